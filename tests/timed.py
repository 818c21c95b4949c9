"""A server whose times and tokens are known, for tests of load benchmarks."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.conftest import serving

GAP, FIRST = 0.08, 0.05


class Engine:
    """Says `pieces` pieces of four tokens each, a gap apart. stalls: from when to when it answers nobody.

    asked: when, and the body.
    """

    def __init__(self, pieces: int = 4, stalls: tuple[float, float] = (0.0, 0.0), status: int = 200) -> None:
        self.pieces, self.stalls, self.status, self.began = pieces, stalls, status, math.inf
        self.asked: list[tuple[float, dict[str, Any]]] = []
        routes = [Route("/v1/chat/completions", self._answer, methods=["POST"])]
        self.app = Starlette(routes=[*routes, Route("/v1/messages", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        body, now = await request.json(), time.monotonic()
        self.asked.append((now, body))
        if self.status != 200:
            return JSONResponse({"error": {"message": "no"}}, self.status)
        self.began = min(self.began, now)
        begin, end = self.stalls
        if begin <= now - self.began < end:
            await asyncio.sleep(end - (now - self.began))
        claude = "stream_options" not in body
        return StreamingResponse(self._claude() if claude else self._openai(), media_type="text/event-stream")

    async def _openai(self) -> AsyncIterator[str]:
        for number in range(self.pieces):
            await asyncio.sleep(GAP if number else FIRST)
            yield f"data: {json.dumps({'choices': [{'delta': {'content': 'a b c d '}}]})}\n\n"
        usage = {"prompt_tokens": 7, "completion_tokens": 4 * self.pieces}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

    async def _claude(self) -> AsyncIterator[str]:
        yield f"data: {json.dumps({'type': 'message_start', 'message': {'usage': {'input_tokens': 7}}})}\n\n"
        for number in range(self.pieces):
            await asyncio.sleep(GAP if number else FIRST)
            yield f"data: {json.dumps({'type': 'content_block_delta', 'delta': {'text': 'a b c d '}})}\n\n"
        yield f"data: {json.dumps({'type': 'message_delta', 'usage': {'output_tokens': 4 * self.pieces}})}\n\n"
        yield f"data: {json.dumps({'type': 'message_stop'})}\n\n"


@contextmanager
def several(engines: tuple[tuple[str, Engine], ...]) -> Iterator[list[str]]:
    if not engines:
        yield []
        return
    with serving(engines[0][1].app) as url, several(engines[1:]) as urls:
        yield [url, *urls]
