"""Small classes that obey the project's Protocols, and a scripted OpenAI-compatible server over real HTTP."""

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response

from firstpass.contract.verdict import Edit, render_verdict
from firstpass.errors import FirstpassError
from firstpass.exchange import Ask, Chunk, Delta, Reply, Usage
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
        return reply(line)


def amends(right: str) -> Callable[[str], str]:
    """A verdict on whatever draft it is shown: `right` should stand in its place."""

    def verdict(asked: str) -> str:
        nonce = asked.split("\n", 1)[0].removeprefix("nonce: ")
        draft = asked.partition(f"<draft {nonce}>\n")[2].partition(f"\n</draft {nonce}>")[0]
        return render_verdict(nonce, [Edit(draft, right)])

    return verdict


def _stream(model: str, text: str) -> str:
    chunks = [{"index": 0, "delta": {"content": word}} for word in text.splitlines(keepends=True)]
    events = [json.dumps({"model": model, "choices": [chunk]}) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])


Answerer = Callable[[dict[str, Any]], str]


def messages_app(message: Callable[[dict[str, Any]], dict[str, Any]], finish_reason: str = "stop") -> Any:
    """An ASGI application whose /v1/chat/completions answers with the message that `message` makes of the body.

    A stream brings each tool call in three pieces, the text and the reasoning in words.
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
        lines = [json.dumps(base | {"choices": [choice]}) for choice in choices]
        lines += [json.dumps(base | {"choices": [], "usage": usage}), "[DONE]"]
        return Response("".join(f"data: {line}\n\n" for line in lines), media_type="text/event-stream")

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "scripted", "object": "model"}]}

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
    for name in ("reasoning", "content"):
        yield from ({name: word} for word in re.findall(r"\S+\s*", message.get(name) or ""))
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        named = {"index": index, "id": call["id"], "type": "function"}
        yield {"tool_calls": [named | {"function": {"name": function["name"], "arguments": ""}}]}
        half = len(function["arguments"]) // 2
        for part in (function["arguments"][:half], function["arguments"][half:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


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


def openai_app(answer: Answerer, sure: Sureness | None = None) -> Any:
    """An ASGI application that answers /v1/chat/completions with what `answer` says to the request's body.

    sure: how sure it is of that; None gives no logprobs.
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
        return {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]} | {
            "usage": usage
        }

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "scripted", "object": "model"}]}

    return app
