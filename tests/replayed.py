"""An engine that answers with exactly the given bytes, whatever it is asked."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.conftest import fronted, serving


def message(finish_reason: str = "stop", **said: Any) -> dict[str, Any]:
    """A whole chat completion."""
    choice = {"index": 0, "message": {"role": "assistant"} | said, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "replayed", "choices": [choice]} | {
        "usage": usage
    }


WHOLE = {"model": "replayed", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}

READY = message(content="hi")
READY["choices"][0]["logprobs"] = {"content": [{"token": "hi", "logprob": -0.1}]}


@dataclass
class Replayed:
    """stream, whole, error: what it answers; error is (status, body), and may depend on what is asked.

    breaks: whether a stream's connection does, at its end. tokenizes: whether it counts tokens, as vLLM does. The
    question whether it is ready it answers by itself.
    seen: the bodies of the other questions. counted: those that it was to count.
    """

    stream: bytes = b""
    whole: Mapping[str, Any] = field(default_factory=lambda: WHOLE)
    error: Callable[[dict[str, Any]], tuple[int, Any] | None] = lambda body: None
    breaks: bool = False
    tokenizes: bool = True
    seen: list[dict[str, Any]] = field(default_factory=list)
    counted: list[dict[str, Any]] = field(default_factory=list)

    def take(self, other: "Replayed") -> None:
        """From now on answer as the other would, and tell it what was asked."""
        self.stream, self.whole, self.error, self.breaks = other.stream, other.whole, other.error, other.breaks
        self.seen, self.counted = other.seen, other.counted

    @property
    def app(self) -> Starlette:
        paths = ("v1/chat/completions", "v1/completions", "v1/embeddings", "v1/messages", "tokenize")
        asked = [Route(f"/{path}", self._answer, methods=["POST"]) for path in paths]
        return Starlette(routes=[*asked, Route("/v1/models", self._models)])

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        if body.get("messages", [{}])[0].get("content") == "ready?":
            return JSONResponse(READY)
        if request.url.path == "/tokenize":
            if not self.tokenizes:
                return Response(status_code=404)
            self.counted.append(body)
        else:
            self.seen.append(body)
        if (fault := self.error(body)) is not None:
            return JSONResponse(fault[1], fault[0])
        if body.get("stream"):
            return StreamingResponse(self._streamed(), media_type="text/event-stream")
        return JSONResponse(dict(self.whole))

    def _streamed(self) -> Iterator[bytes]:
        yield self.stream
        if self.breaks:
            raise ConnectionAbortedError("planned")

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "replayed", "object": "model"}]})


def sse(*events: object) -> bytes:
    """Each as the data of an event; a text as it stands."""
    lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def delta(number: int = 0, finish_reason: str | None = None, **said: Any) -> dict[str, Any]:
    """One event of a streamed chat."""
    choice = {"index": number, "delta": said, "finish_reason": finish_reason}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "replayed", "choices": [choice]}


def call(**fields: Any) -> dict[str, Any]:
    """One call of a delta: `name` and `arguments` are its function's."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return fields | ({"function": function} if function else {})


STREAM = sse(delta(role="assistant", content="hi"), delta(finish_reason="stop"), "[DONE]")
"""A whole streamed answer."""


@contextmanager
def before(engine: Replayed, tmp_path: Path) -> Iterator[httpx.Client]:
    """A whole Firstpass before the engine, once it is ready."""
    with serving(engine.app) as url, fronted(url, tmp_path / "data") as client:
        yield client
