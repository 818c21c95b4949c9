"""Requests with a canary in them, over every route, ceiling, stream and fault; and the models that hear them.

A canary is a text of its own that is looked for wherever it must not be. A secret canary has the format of a key.
"""

import json
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from firstpass.exchange import Ceiling, strictest
from tests.doubles import CALLS, DIFF, FLAT_TOOL, NAMES, STRAYS, amends, claude_stream

CEILINGS: tuple[Ceiling, ...] = ("local-only", "redacted", "any")


@dataclass(frozen=True, slots=True)
class Canary:
    """plain: a word like any other. secret: in the format of a key."""

    plain: str
    secret: str

    @property
    def both(self) -> str:
        return f"{self.plain} {self.secret}"


def canary(rng: random.Random) -> Canary:
    letters = "".join(rng.choices(string.ascii_uppercase + "234567", k=16))
    return Canary(f"canary{rng.getrandbits(64):016x}", f"AKIA{letters}")


@dataclass(frozen=True, slots=True)
class Try:
    """One request.

    ceilings: the one that it asks for itself, and that of the key that it comes with. leaves_after: in seconds, where
    its caller hangs up.
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    canary: Canary
    ceilings: tuple[Ceiling, ...]
    leaves_after: float | None
    method: str = "POST"


class Planter:
    """Draws tries. What it heard of answers, it goes on with: under the ceilings that they were under.

    ceiling: the server's. keys: of each ceiling one.
    """

    def __init__(self, seed: int, ceiling: Ceiling, keys: Mapping[Ceiling, str]) -> None:
        self._rng = random.Random(seed)
        self._ceiling = ceiling
        self._keys = keys
        self.answered: list[tuple[str, Ceiling]] = []

    def heard(self, one: Try, response_id: str) -> None:
        self.answered.append((response_id, self.effective(one)))

    def effective(self, one: Try) -> Ceiling:
        """The strictest of the server's, the request's, and those of what it goes on with."""
        before = dict(self.answered).get(one.body.get("previous_response_id", ""), "any")
        return strictest(self._ceiling, *one.ceilings, before)

    def draw(self) -> Try:
        rng, mark = self._rng, canary(self._rng)
        ceiling = rng.choice([None, *CEILINGS])
        path, body = rng.choice(ROUTES)(rng, mark, self.answered)
        if rng.random() < 0.3 and path != "/infer":
            body |= {"stream": True} if "input" not in body or "responses" in path else {}
        headers: dict[str, str] = {}
        if ceiling is not None and rng.random() < 0.5:
            headers["x-firstpass-egress"] = ceiling
        elif ceiling is not None:
            body.setdefault("firstpass", {})["egress"] = ceiling
        key_s = rng.choice([None, None, *CEILINGS])
        if key_s is not None:
            headers["x-api-key"] = self._keys[key_s]
        leaves = rng.choice([0.0, 0.01, 0.05]) if rng.random() < 0.1 else None
        return Try(path, body, headers, mark, tuple(filter(None, [ceiling, key_s])), leaves)


def _model(rng: random.Random) -> str:
    return rng.choice(["firstpass", "firstpass", "strong", "strong", "local", "nobody-knows"])


def _chat(rng: random.Random, mark: Canary, _: object) -> tuple[str, dict[str, Any]]:
    said: list[dict[str, Any]] = [{"role": "system", "content": f"Be brief. {mark.both}"}] if rng.random() < 0.5 else []
    said.append({"role": "user", "content": rng.choice([mark.both, [{"type": "text", "text": mark.both}]])})
    body: dict[str, Any] = {"model": _model(rng), "messages": said}
    if rng.random() < 0.3:
        result = {"role": "tool", "tool_call_id": "call_Oslo", "content": mark.both}
        said += [{"role": "assistant", "content": None, "tool_calls": CALLS[:1]}, result]
        body["tools"] = [{"type": "function", "function": {"name": "weather", "description": mark.both}}]
    more = [
        *({"stop": [mark.secret]}, {"user": mark.both}, {"metadata": {"a": mark.both}}, {"seed": 3}, {"store": False}),
        {"response_format": {"type": "json_object"}},
    ]
    return "/v1/chat/completions", body | rng.choice(more)


def _contract(rng: random.Random, mark: Canary, _: object) -> tuple[str, dict[str, Any]]:
    """The canary is in the diff, in what a draft will say, and in what its faults are told with."""
    diff = DIFF.replace("createSession(user)", f'createSession(user, "{mark.both}")')
    said = [{"role": "user", "content": f"{rng.choice(FAULTS)}\n{diff}"}]
    options = {"contract": rng.choice(["pr-summary@3", "pr-summary@4", "commit-message@2", "code-review@2"])}
    path = rng.choice(["/v1/chat/completions", "/v1/messages", "/v1/explain"])
    limit = {"max_tokens": 300} if path == "/v1/messages" else {}
    return path, {"model": _model(rng), "messages": said, "firstpass": options} | limit


def _messages(rng: random.Random, mark: Canary, _: object) -> tuple[str, dict[str, Any]]:
    body = {"model": _model(rng), "max_tokens": 50, "system": mark.both, "messages": []}
    said: list[dict[str, Any]] = [{"role": "user", "content": f"{rng.choice(FAULTS)} {mark.both}"}]
    if rng.random() < 0.4:
        use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": mark.both}}
        result = {"type": "tool_result", "tool_use_id": "t1", "content": mark.both}
        said += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
        body["tools"] = [{"name": "weather", "input_schema": {"type": "object"}, "description": mark.both}]
    path = "/v1/messages/count_tokens" if rng.random() < 0.2 else "/v1/messages"
    body = body | {"messages": said}
    return path, body if path == "/v1/messages" else {name: body[name] for name in body if name != "max_tokens"}


def _responses(rng: random.Random, mark: Canary, answered: list[tuple[str, Ceiling]]) -> tuple[str, dict[str, Any]]:
    body = {"model": _model(rng), "input": f"{rng.choice(FAULTS)} {mark.both}", "instructions": mark.both}
    if answered and rng.random() < 0.5:
        body["previous_response_id"] = rng.choice(answered)[0]
    return "/v1/responses", body | rng.choice([{}, {"tools": [FLAT_TOOL | {"description": mark.both}]}])


def _completion(rng: random.Random, mark: Canary, _: object) -> tuple[str, dict[str, Any]]:
    return "/v1/completions", {"model": _model(rng), "prompt": f"{rng.choice(FAULTS)} {mark.both}"}


def _embeddings(rng: random.Random, mark: Canary, _: object) -> tuple[str, dict[str, Any]]:
    return "/v1/embeddings", {"model": _model(rng), "input": [mark.both, mark.plain]}


def _infer(rng: random.Random, mark: Canary, _: object) -> tuple[str, dict[str, Any]]:
    return "/infer", {"model": _model(rng), "prompt": f"{rng.choice(FAULTS)} {mark.both}"}


def _broken(rng: random.Random, mark: Canary, _: object) -> tuple[str, dict[str, Any]]:
    """What is refused, with the canary where the fault is."""
    said = [{"role": "user", "content": mark.both}]
    faults: list[dict[str, Any]] = [
        *({"temperature": mark.both}, {mark.plain: 1}, {"messages": mark.both}, {"tools": [mark.both]}),
        *({"max_tokens": -1}, {"firstpass": {"contract": mark.both}}, {"firstpass": {"egress": mark.secret}}),
    ]
    path = rng.choice(["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/nowhere"])
    return path, {"model": _model(rng), "messages": said} | rng.choice(faults)


ROUTES: tuple[Callable[[random.Random, Canary, Any], tuple[str, dict[str, Any]]], ...] = (
    *(_chat, _contract, _contract, _messages, _responses, _completion, _embeddings, _infer, _broken),
)

FAULTS = (
    "",
    "",
    "",
    "",
    "fault:500",
    "fault:429",
    "fault:400",
    "fault:system",
    "fault:cut",
    "fault:nonsense",
    "fault:slow",
)
"""Words in a request that tell a model how to fail."""


@dataclass
class Upstream:
    """A model that speaks both APIs and fails as it is told to. heard: of each request, all of its bytes.

    drafts: it is the draft engine, which answers contracts with what fails their checks.
    """

    drafts: bool
    heard: list[bytes] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    """SHA-256 of each body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        raw, request = b"", Request(scope, receive)
        async for part in request.stream():
            raw += part
        if request.method == "POST":
            head = b"\n".join(name + b": " + value for name, value in scope["headers"])
            self.heard.append(scope["path"].encode() + b"\n" + head + b"\n\n" + raw)
            self.bodies.append(sha256(raw).hexdigest())
        await self._answer(request, raw)(scope, receive, send)

    def _answer(self, request: Request, raw: bytes) -> Response:
        path = request.url.path
        if request.method == "GET":
            return _json({"object": "list", "data": [{"id": "scripted", "object": "model"}]})
        body, asked = json.loads(raw), raw.decode()
        if "fault:500" in asked or "fault:429" in asked:
            return _json({"error": {"message": "planned"}}, 500 if "fault:500" in asked else 429)
        if "fault:400" in asked:
            return _json({"error": {"message": f"no good: {asked[:300]}"}}, 400)
        systems = [turn["role"] for turn in body.get("messages", ())].count("system")
        if "fault:system" in asked and systems > 1:
            return _json({"error": {"message": "System message must be at the beginning."}}, 400)
        if "fault:nonsense" in asked:
            return Response(b'{"nonsense": 1}', media_type="application/json")
        if path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": at, "embedding": [0.5]} for at in range(len(body["input"]))]
            return _json({"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 1}})
        if path.endswith("/tokenize"):
            return _json({"count": 3, "max_model_len": 4096, "tokens": [1, 2, 3]})
        said = self._said(asked, body)
        cut = "fault:cut" in asked
        return _claude(body, said, cut=cut) if path.endswith("/messages") else _openai(body, said, cut=cut)

    def _said(self, asked: str, body: dict[str, Any]) -> str:
        if "diff" not in asked:
            return "ok"
        if self.drafts:
            return STRAYS
        last = body["messages"][-1]["content"]
        question = last if isinstance(last, str) else last[-1]["text"]
        return amends(NAMES)(question) if question.startswith("nonce: ") else NAMES


def _json(fields: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(fields), status, media_type="application/json")


def _openai(body: dict[str, Any], said: str, *, cut: bool) -> Response:
    usage = {"prompt_tokens": 11, "completion_tokens": 13, "total_tokens": 24}
    base = {"id": "x", "created": 1, "model": body["model"], "object": "chat.completion"}
    is_chat = "messages" in body
    if not body.get("stream"):
        choice = {"message": {"role": "assistant", "content": said}} if is_chat else {"text": said}
        return _json(base | {"choices": [{"index": 0, "finish_reason": "stop"} | choice], "usage": usage})
    events = []
    for piece in (said[:3], said[3:]):
        choice = {"delta": {"content": piece}} if is_chat else {"text": piece}
        events.append(base | {"choices": [{"index": 0, "finish_reason": None} | choice]})
    end: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
    events.append(base | {"choices": [{"index": 0, "finish_reason": "stop"} | end]})
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in [*events, base | {"choices": [], "usage": usage}])
    return Response(lines[: len(lines) // 3] if cut else f"{lines}data: [DONE]\n\n", media_type="text/event-stream")


def _claude(body: dict[str, Any], said: str, *, cut: bool) -> Response:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    ends = {"stop_reason": "end_turn", "stop_sequence": None}
    content = [{"type": "text", "text": said}]
    if not body.get("stream"):
        usage = {"input_tokens": 7, "output_tokens": 13}
        return _json(message | ends | {"content": content, "usage": usage})
    lines = claude_stream(message, content, ends)
    return Response(lines[: len(lines) // 3] if cut else lines, media_type="text/event-stream")
