"""A scripted engine that also waits, fails and notices when its caller hangs up: real clients are tried against it."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.doubles import pieces
from tests.machine import stretched

USAGE = {"prompt_tokens": 11, "completion_tokens": 13, "total_tokens": 24}
DROP_SECONDS = 1.0
"""How soon a model must hear that its caller has gone."""

PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One answer. holds: `silent` never says a word, `begun` sends its first word and no more."""

    message: Mapping[str, Any] = field(default_factory=lambda: {"content": "hi"})
    finish_reason: str = "stop"
    status: int = 200
    fault: str = "planned"
    headers: Mapping[str, str] = field(default_factory=dict)
    holds: Literal["", "silent", "begun"] = ""


Play = Callable[[dict[str, Any]], Scene]


class Stage:
    """The engine. seen: the bodies. dropped: what was said where a caller hung up on a scene that holds, and when.

    Times are in Unix seconds, so that they can be compared with those of other processes.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self.seen: list[dict[str, Any]] = []
        self.dropped: list[tuple[str, float]] = []
        chats = [Route(f"/v1/{path}", self._answer, methods=["POST"]) for path in ("chat/completions", "completions")]
        more = [Route("/v1/embeddings", embed, methods=["POST"]), Route("/v1/models", list_models)]
        more.append(Route("/tokenize", tokenize, methods=["POST"]))
        self.app = Starlette(routes=[*chats, *more])

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        self.seen.append(body)
        scene = self._play(body)
        if scene.holds:
            return Held(self, scene, body)
        if scene.status != 200:
            return JSONResponse({"error": {"message": scene.fault}}, scene.status, dict(scene.headers))
        if body.get("stream"):
            return Response(b"".join(events(scene, body)), media_type="text/event-stream")
        return JSONResponse(whole(scene, body))

    def assert_dropped(self, said: str, left_unix: float) -> None:
        """The engine noticed in time that its caller left, on a scene about `said`."""
        deadline = time.time() + 10 * DROP_SECONDS
        while time.time() < deadline:
            for about, moment in self.dropped:
                if about == said:
                    assert -DROP_SECONDS / 2 < moment - left_unix < stretched(DROP_SECONDS)
                    return
            time.sleep(0.01)
        raise AssertionError(f"nobody hung up on {said!r}")


def last_said(body: dict[str, Any]) -> str:
    """The text of the last message, or of the prompt."""
    content = body["messages"][-1]["content"] if is_chat(body) else body["prompt"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class Held(Response):
    """Answers nothing, or its beginning, until the caller hangs up."""

    def __init__(self, stage: Stage, scene: Scene, body: dict[str, Any]) -> None:
        super().__init__()
        self._stage, self._scene, self._body = stage, scene, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._scene.holds == "begun":
            kind = b"text/event-stream" if self._body.get("stream") else b"application/json"
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
            first = b"".join(islice(events(self._scene, self._body), 2)) if self._body.get("stream") else b"{"
            await send({"type": "http.response.body", "body": first, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stage.dropped.append((last_said(self._body), time.time()))


def is_chat(body: dict[str, Any]) -> bool:
    return "messages" in body


def whole(scene: Scene, body: dict[str, Any]) -> dict[str, Any]:
    base = {"id": "x", "created": 1, "model": body["model"], "usage": USAGE}
    count = range(body.get("n", 1))
    if is_chat(body):
        message = {"role": "assistant", "content": None} | dict(scene.message)
        logprobs = logprobs_of(message["content"] or "") if body.get("logprobs") else None
        choice = {"message": message, "logprobs": logprobs, "finish_reason": scene.finish_reason}
        return base | {"object": "chat.completion", "choices": [choice | {"index": number} for number in count]}
    choice = {"text": scene.message["content"], "logprobs": None, "finish_reason": scene.finish_reason}
    return base | {"object": "text_completion", "choices": [choice | {"index": number} for number in count]}


def logprobs_of(text: str) -> dict[str, Any]:
    """A token a word."""
    return {"content": [{"token": word, "logprob": -0.25, "top_logprobs": []} for word in text.split()]}


def events(scene: Scene, body: dict[str, Any]) -> Iterator[bytes]:
    base = {"id": "x", "created": 1, "model": body["model"]}
    base["object"] = "chat.completion.chunk" if is_chat(body) else "text_completion"
    said = pieces(dict(scene.message))
    choices = [{"delta": piece} if is_chat(body) else {"text": piece.get("content", "")} for piece in said]
    last = {"delta": {}} if is_chat(body) else {"text": ""}
    for choice in (*choices, last | {"finish_reason": scene.finish_reason}):
        yield event(base | {"choices": [{"index": 0} | choice]})
    yield event(base | {"choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


async def embed(request: Request) -> Response:
    body = await request.json()
    vector = "AACAPw==" if body.get("encoding_format") == "base64" else [1.0]
    data = [{"object": "embedding", "index": number, "embedding": vector} for number, _ in enumerate(body["input"])]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return JSONResponse({"object": "list", "model": body["model"], "data": data, "usage": usage})


async def tokenize(request: Request) -> Response:
    """As vLLM's: as many tokens as it counts itself when it is asked, and a word each of system turns in between."""
    asked = await request.json()
    between = [turn["content"] for turn in asked.get("messages", ())[1:-1] if turn["role"] == "system"]
    count = USAGE["prompt_tokens"] + sum(len(text.split()) for text in between)
    return JSONResponse({"count": count, "max_model_len": 4096, "tokens": list(range(count))})


async def list_models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})


def until(true: Callable[[], object], seconds: float = PATIENCE_SECONDS, every_seconds: float = 0.01) -> None:
    deadline = time.monotonic() + stretched(seconds)
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(every_seconds)


@contextmanager
def calling(
    client: httpx.Client, *bodies: dict[str, Any], path: str = "/v1/chat/completions"
) -> Iterator[socket.socket]:
    """Requests on a socket of their own, which is closed at the end whatever has come by then."""
    url = client.base_url
    with socket.create_connection((url.host, url.port), timeout=PATIENCE_SECONDS) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: {url.host}\r\ncontent-type: application/json\r\n"
        for raw in (json.dumps(body).encode() for body in bodies):
            connection.sendall(f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw)
        yield connection
