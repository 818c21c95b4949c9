"""Small classes that obey the project's Protocols, and a scripted OpenAI-compatible server over real HTTP."""

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import FastAPI, Request, Response

from firstpass.chat import Chunk, Delta, Usage
from firstpass.contract.verdict import Edit, render_verdict
from firstpass.errors import FirstpassError
from firstpass.exchange import Ask, Reply
from firstpass.tier import Listener

DIFF = """diff --git a/auth.py b/auth.py
--- a/auth.py
+++ b/auth.py
@@ -1,3 +1,4 @@
 def login(user):
     check(user)
+    s = createSession(user)
     return user
"""
OMITS = "Summary: Log the user in.\nCalls:\n- none\nTODOs:\n- none\nActions:\n- none"
NAMES = "Summary: Create a session at login.\nCalls:\n- createSession()\nTODOs:\n- none\nActions:\n- none"
STRAYS = NAMES.replace("Create a session at login.", "Launch the rocket with launchRocket().")
"""A change that adds a call; an answer that omits it (the origin's failing case); one that does not; and one whose
prose names what is nowhere, which code can not mend."""


FLAT_TOOL: dict[str, Any] = {
    "type": "function",
    "name": "weather",
    "description": "Of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
CALLS = [
    {"id": f"call_{city}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city": "{city}"}}'}}
    for city in ("Oslo", "Rome")
]
"""A tool as the Responses API writes it, and what `calling` makes of it as chat completions write it."""


def reply(text: str, *, model: str = "double", finish_reason: str = "stop") -> Reply:
    """A whole reply with the wire body that a real server would have sent."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    raw = json.dumps({"id": "c1", "created": 1, "model": model, "choices": [choice], "usage": usage}).encode()
    return Reply(text, model, finish_reason, Usage(7, 5), seconds=0.01, raw=raw)


@dataclass
class ScriptedTier:
    """Says its lines one after the other; an exception among them is raised, a function is asked what to say.

    Remembers what it was asked.
    """

    lines: list[str | Callable[[str], str] | FirstpassError | BaseException]
    asked: list[Ask] = field(default_factory=list)

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        self.asked.append(ask)
        line = self.lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        if not isinstance(line, str):
            line = line(ask.messages[-1].content)
        if listener.streaming:
            await listener.chunk(Chunk(f"data: {line}\n\n".encode(), "openai", "double", (Delta(text=line),)))
        if listener.watching:
            return await _watched(line, listener)
        return reply(line)


async def _watched(line: str, listener: Listener) -> Reply:
    """As much of it as is wanted, offered character by character; its wire body came in pieces."""
    for end in range(1, len(line)):
        if not await listener.goes_on(line[:end]):
            return Reply(line[:end], "double", None, Usage(7, 3), seconds=0.01)
    return replace(reply(line), raw=None)


def amends(right: str) -> Callable[[str], str]:
    """A verdict on whatever draft it is shown: `right` should stand in its place."""

    def verdict(asked: str) -> str:
        nonce = asked.split("\n", 1)[0].removeprefix("nonce: ")
        draft = asked.partition(f"<draft {nonce}>\n")[2].partition(f"\n</draft {nonce}>")[0]
        return render_verdict(nonce, [Edit(draft, right)] if draft != right else [])

    return verdict


def _stream(model: str, text: str) -> str:
    chunks = [{"index": 0, "delta": {"content": word}} for word in text.splitlines(keepends=True)]
    events = [json.dumps({"model": model, "choices": [chunk]}) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])


Answerer = Callable[[dict[str, Any]], str]


def messages_app(message: Callable[[dict[str, Any]], dict[str, Any]], finish_reason: str = "stop") -> Any:
    """An ASGI application whose /v1/chat/completions answers with the message that `message` makes of the body.

    A stream brings each tool call in three pieces, the text and the reasoning in words. As with vLLM, every event of it
    has the counts so far where the request asks for that.
    """
    app = FastAPI()
    app.state.seen = []
    usage = {"prompt_tokens": 11, "completion_tokens": 13, "total_tokens": 24}

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Response | dict[str, Any]:
        body = await request.json()
        app.state.seen.append(body)
        said = {"role": "assistant", "content": None} | message(body)
        base = {"id": "x", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            choice = {"index": 0, "message": said, "finish_reason": finish_reason}
            return base | {"object": "chat.completion", "choices": [choice], "usage": usage}
        choices = [{"index": 0, "delta": piece} for piece in pieces(said)]
        choices.append({"index": 0, "delta": {}, "finish_reason": finish_reason})
        base |= {"object": "chat.completion.chunk"}
        counted = body.get("stream_options", {}).get("continuous_usage_stats")
        so_far = {"usage": {"prompt_tokens": 11, "completion_tokens": 0}} if counted else {}
        lines = [json.dumps(base | so_far | {"choices": [choice]}) for choice in choices]
        lines += [json.dumps(base | {"choices": [], "usage": usage}), "[DONE]"]
        return Response("".join(f"data: {line}\n\n" for line in lines), media_type="text/event-stream")

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "scripted", "object": "model"}]}

    return app


def counts_words(app: Any) -> Any:
    """The application with vLLM's /tokenize beside it, to which every word of the messages and tools is a token."""
    app.state.tokenized = []

    @app.post("/tokenize")
    async def tokenize(request: Request) -> dict[str, Any]:
        body = await request.json()
        app.state.tokenized.append(body)
        words = re.findall(r"\w+", json.dumps([body["messages"], body.get("tools", [])]))
        return {"count": len(words), "max_model_len": 4096, "tokens": list(range(len(words)))}

    return app


def calling(body: dict[str, Any]) -> dict[str, Any]:
    """A message that calls the tool twice, and one in words where there is none or its results are there."""
    if "tools" not in body or body["messages"][-1]["role"] == "tool":
        return {"content": "Rain here and there."}
    return {"tool_calls": CALLS, "reasoning": "Two cities, two calls."}


def echo(body: dict[str, Any]) -> dict[str, Any]:
    """A message that says who was asked, with how many turns, and the last of them."""
    return {"content": f"{body['model']} {len(body['messages'])}: {body['messages'][-1]['content']}"}


def pieces(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message as the deltas of a stream."""
    yield {"role": "assistant", "content": ""}
    for name in ("reasoning", "content", "refusal"):
        yield from ({name: word} for word in re.findall(r"\S+\s*", message.get(name) or ""))
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        named = {"index": index, "id": call["id"], "type": "function"}
        yield {"tool_calls": [named | {"function": {"name": function["name"], "arguments": ""}}]}
        half = len(function["arguments"]) // 2
        for part in (function["arguments"][:half], function["arguments"][half:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


Blocks = list[dict[str, Any]]
CLAUDE_USAGE = {"input_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 1, "output_tokens": 13}


def anthropic_app(blocks: Callable[[dict[str, Any]], Blocks | Response], stop_reason: str | None = None) -> Any:
    """An ASGI application whose /v1/messages answers with the blocks that `blocks` makes of the body, or as it says.

    It remembers each request's `seen` body, `sent` bytes and `headers`, and refuses what the API refuses.
    """
    app = FastAPI()
    app.state.seen, app.state.sent, app.state.headers = [], [], []

    @app.post("/v1/messages", response_model=None)
    async def messages(request: Request) -> Response | dict[str, Any]:
        raw = await request.body()
        body = json.loads(raw)
        app.state.seen.append(body)
        app.state.sent.append(raw)
        app.state.headers.append(dict(request.headers))
        fault = next(claude_faults(body, request.headers), None)
        if fault is not None:
            error = {"type": "invalid_request_error", "message": fault}
            return Response(json.dumps({"type": "error", "error": error}), 400, media_type="application/json")
        said = blocks(body)
        if isinstance(said, Response):
            return said
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": f"{body['model']}-20260101"}
        called = any(block["type"] == "tool_use" for block in said)
        ends = {"stop_reason": stop_reason or ("tool_use" if called else "end_turn"), "stop_sequence": None}
        if body.get("stream"):
            return Response(claude_stream(message, said, ends), media_type="text/event-stream")
        return message | ends | {"content": said, "usage": CLAUDE_USAGE}

    return app


CLAUDE_FIELDS = {
    *("model", "max_tokens", "messages", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences"),
    *("tools", "tool_choice", "thinking", "output_config", "metadata"),
}


def claude_faults(body: dict[str, Any], headers: Any) -> Iterator[str]:
    """What the API would say against a request. Source: its reference, and the words of its errors in public issues."""
    if "anthropic-version" not in headers:
        yield "anthropic-version: header is required"
    yield from (f"{name}: Extra inputs are not permitted" for name in body.keys() - CLAUDE_FIELDS)
    if "max_tokens" not in body:
        yield "max_tokens: Field required"
    if body.get("temperature", 0) > 1:
        yield "temperature: Input should be less than or equal to 1"
    turns = body["messages"]
    if not turns:
        yield "messages: at least one message is required"
    before = {"role": None, "content": []}
    for at, (turn, after) in enumerate(zip(turns, [*turns[1:], None], strict=True)):
        role, content = turn["role"], turn["content"]
        if at == 0 and role == "system":
            yield "messages.0: use the top-level 'system' parameter for the initial system prompt"
        if role == "system" and (before["role"] != "user" or (after and after["role"] != "assistant")):
            yield f"messages.{at}: a system message must follow a user message and come before an assistant's, or last"
        if not content or any(block["type"] == "text" and not block["text"].strip() for block in content):
            yield f"messages.{at}: text content blocks must contain non-whitespace text"
        called = [block["id"] for block in before["content"] if block["type"] == "tool_use"]
        answered = [block.get("tool_use_id") for block in content[: len(called)]]
        if sorted(called) != sorted(id_ or "" for id_ in answered):
            yield f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after"
        before = turn


def claude_stream(message: dict[str, Any], blocks: Blocks, ends: dict[str, Any]) -> str:
    """A message as the events of a stream."""
    beginning = {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": CLAUDE_USAGE | {"output_tokens": 1},
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message | beginning}, {"type": "ping"}]
    for index, block in enumerate(blocks):
        empty, deltas = _claude_deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": ends, "usage": {"output_tokens": CLAUDE_USAGE["output_tokens"]}})
    return "".join(map(claude_event, [*events, {"type": "message_stop"}]))


def claude_event(fields: dict[str, Any]) -> str:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n"


def _claude_deltas(block: dict[str, Any]) -> tuple[dict[str, Any], Blocks]:
    """A block as it begins, and what is added to it."""
    if block["type"] == "text":
        words = re.findall(r"\S+\s*", block["text"])
        return block | {"text": ""}, [{"type": "text_delta", "text": word} for word in words]
    if block["type"] == "thinking":
        words = re.findall(r"\S+\s*", block["thinking"])
        deltas = [{"type": "thinking_delta", "thinking": word} for word in words]
        seal = {"type": "signature_delta", "signature": block["signature"]}
        return block | {"thinking": "", "signature": ""}, [*deltas, seal]
    if block["type"] == "tool_use":
        written = json.dumps(block["input"])
        pieces = ("", written[: len(written) // 2], written[len(written) // 2 :])
        return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block, []


def claude_says(text: str) -> Callable[[dict[str, Any]], Blocks]:
    """Answers everything with `text`."""
    return lambda body: [{"type": "text", "text": text}]


def claude_judges(right: str) -> Callable[[dict[str, Any]], Blocks]:
    """Answers a question for a verdict as `amends` does, if it is held to a verdict's form."""

    def blocks(body: dict[str, Any]) -> Blocks:
        assert body["output_config"]["format"]["schema"]["required"] == ["nonce", "ok", "edits"]
        return [{"type": "text", "text": amends(right)(body["messages"][-1]["content"][-1]["text"])}]

    return blocks


def says(text: str) -> Answerer:
    """Answers everything with `text`."""
    return lambda body: text


def judges(right: str) -> Answerer:
    """Answers a question for a verdict as `amends` does."""
    return lambda body: amends(right)(body["messages"][-1]["content"])


Sureness = Callable[[dict[str, Any]], float]
"""From a request's body to the log-probability of every token of the answer."""


def _logprobs(text: str, logprob: float, alternatives: int) -> dict[str, Any]:
    """A token a word, with one other that has nearly all that is left."""
    other = {"token": "else", "logprob": math.log(max(1e-9, 0.999 * (1 - math.exp(logprob))))}
    tokens = re.findall(r"\w+|\W+", text)
    chosen = [{"token": token, "logprob": logprob} for token in tokens]
    return {"content": [token | {"top_logprobs": [token, other][:alternatives]} for token in chosen]}


def _prompt_logprobs(text: str, logprob: float) -> list[Any]:
    """As vLLM gives them: of the prompt's first token none, of the others each by its id."""
    tokens = ["<assistant>", *re.findall(r"\w+|\W+", text)]
    shown = [{str(at): {"logprob": logprob, "rank": 1, "decoded_token": token}} for at, token in enumerate(tokens)]
    return [None, *shown]


def openai_app(answer: Answerer, sure: Sureness | None = None) -> Any:
    """An ASGI application that answers /v1/chat/completions with what `answer` says to the request's body.

    sure: how sure it is of that, and of a last message that it is to score; None gives no logprobs.
    """
    app = FastAPI()
    app.state.seen = []

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Response | dict[str, Any]:
        body = await request.json()
        app.state.seen.append(body)
        if body.get("stream"):
            return Response(_stream(body["model"], answer(body)), media_type="text/event-stream")
        said = await asyncio.to_thread(answer, body)
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        if sure is not None and body.get("logprobs"):
            choice["logprobs"] = _logprobs(said, sure(body), body.get("top_logprobs", 0))
        usage = {"prompt_tokens": 11, "completion_tokens": 13, "total_tokens": 24}
        whole = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
        if sure is not None and "prompt_logprobs" in body:
            whole["prompt_logprobs"] = _prompt_logprobs(body["messages"][-1]["content"], sure(body))
        return whole | {"choices": [choice], "usage": usage}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "scripted", "object": "model"}]}

    return app
