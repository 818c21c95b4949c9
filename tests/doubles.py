"""Small classes that obey the project's Protocols, and a scripted OpenAI-compatible server over real HTTP."""

import asyncio
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import FastAPI, Request, Response

from firstpass.contract.verdict import Edit, render_verdict
from firstpass.errors import FirstpassError
from firstpass.exchange import Ask, Reply, Usage
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
            await listener.chunk(f"data: {line}\n\n".encode())
        if listener.watching:
            return _watched(line, listener)
        return reply(line)


def _watched(line: str, listener: Listener) -> Reply:
    """As much of it as is wanted, offered character by character; its wire body came in pieces."""
    for end in range(1, len(line)):
        if not listener.goes_on(line[:end]):
            return Reply(line[:end], "double", None, Usage(7, 3), seconds=0.01)
    return replace(reply(line), raw=None)


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
