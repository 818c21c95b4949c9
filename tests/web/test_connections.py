"""The connection to an engine: kept for the next request where a stream ends, left where it does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.conftest import fronted, serving
from tests.dialects import ask, read
from tests.replayed import READY, STREAM


def engine(ports: list[int], further: bytes, seconds: float) -> Starlette:
    """Streams, and then says or does something more. ports: of the connections on which it was asked."""

    async def streamed() -> AsyncIterator[bytes]:
        yield STREAM
        await asyncio.sleep(seconds)
        yield further

    async def chat(request: Request) -> Response:
        body: dict[str, Any] = json.loads(await request.body())
        if not body.get("stream"):
            return JSONResponse(READY)
        assert request.client is not None
        ports.append(request.client.port)
        return StreamingResponse(streamed(), media_type="text/event-stream")

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model"}]})

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"]), Route("/v1/models", models)])


@pytest.mark.parametrize(
    ("further", "seconds", "connections"), [(b"", 0, 1), (b": more\n\n", 0, 1), (b"data: {}\n\n", 0, 1), (b"", 30, 3)]
)
def test_a_stream_that_ends_leaves_its_connection_to_the_next(
    tmp_path: Path, further: bytes, seconds: float, connections: int
) -> None:
    ports: list[int] = []
    with serving(engine(ports, further, seconds)) as url, fronted(url, tmp_path) as client:
        for _ in range(3):
            response = ask(client, "chat", stream=True)
            assert read(response, "chat", stream=True)["text"] == "hi"
            assert response.elapsed.total_seconds() < 10, "nobody waits for what comes after the end"
    assert len(ports) == 3 and len(set(ports)) == connections
