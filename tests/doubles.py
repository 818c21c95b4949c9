"""Small classes that obey the project's Protocols, and a scripted OpenAI-compatible server over real HTTP."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firstpass.errors import FirstpassError
from firstpass.exchange import Ask, Reply, Usage
from firstpass.tier import Listener


def reply(text: str, *, model: str = "double", finish_reason: str = "stop") -> Reply:
    """A whole reply with the wire body that a real server would have sent."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    raw = json.dumps({"id": "c1", "created": 1, "model": model, "choices": [choice], "usage": usage}).encode()
    return Reply(text, model, finish_reason, Usage(7, 5), seconds=0.01, raw=raw)


@dataclass
class ScriptedTier:
    """Says its lines one after the other; an exception among them is raised. Remembers what it was asked."""

    lines: list[str | FirstpassError | BaseException]
    asked: list[Ask] = field(default_factory=list)

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        self.asked.append(ask)
        line = self.lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        if listener.streaming:
            await listener.chunk(f"data: {line}\n\n".encode())
        return reply(line)


Answerer = Callable[[dict[str, Any]], str]


def openai_app(answer: Answerer) -> Any:
    """An ASGI application that answers /v1/chat/completions with what `answer` says to the request's body."""
    from fastapi import FastAPI, Request

    app = FastAPI()
    app.state.seen = []

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> dict[str, Any]:
        body = await request.json()
        app.state.seen.append(body)
        choice = {"index": 0, "message": {"role": "assistant", "content": answer(body)}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 13, "total_tokens": 24}
        return {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]} | {
            "usage": usage
        }

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "scripted", "object": "model"}]}

    return app
