"""An OpenAI-compatible server without a model, which answers as it is told to: `delay=0.02 chunks=256 gap=0.01`.

Usage: upstream.py PORT. It reads just enough HTTP for the clients that are measured, so that its own time is small:
requests with a content-length, one after the other on a connection.
"""

import asyncio
import json
import re
import sys
from typing import Any

import uvloop

SCRIPT = re.compile(rb"\b(delay|chunks|gap)=([0-9.]+)")
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
STREAMS = re.compile(rb'"stream": *true')
BASE = {"id": "c1", "created": 1, "model": "m"}
COUNTS = {"prompt_tokens": 10, "completion_tokens": 40, "total_tokens": 50}
MESSAGE = {"role": "assistant", "content": "word " * 40}
LOGPROBS = {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": []}]}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n\r\n"


def dumped(fields: dict[str, Any]) -> bytes:
    return json.dumps(BASE | fields).encode()


def piece(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return framed(b"data: " + dumped({"object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n")


def framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(data: bytes) -> bytes:
    return HEAD % (b"application/json", b"content-length: %d" % len(data)) + data


CHOICE = {"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": LOGPROBS}
WHOLE = whole(dumped({"object": "chat.completion", "choices": [CHOICE], "usage": COUNTS}))
MODELS = whole(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())
BEGIN = HEAD % (b"text/event-stream", b"transfer-encoding: chunked") + piece({"role": "assistant", "content": ""})
WORD = piece({"content": "word "})
END = piece({}, "stop") + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if found and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._transport.write(MODELS)
            return
        said = {name.decode(): float(value) for name, value in SCRIPT.findall(body)}
        loop = asyncio.get_running_loop()
        if STREAMS.search(body):
            loop.call_later(said.get("delay", 0), self._begin, int(said.get("chunks", 40)), said.get("gap", 0))
        elif delay := said.get("delay"):
            loop.call_later(delay, self._transport.write, WHOLE)
        else:
            self._transport.write(WHOLE)

    def _begin(self, chunks: int, gap: float) -> None:
        if gap:
            self._transport.write(BEGIN)
            self._next(chunks, gap, asyncio.get_running_loop().time() + gap)
        else:
            self._transport.write(BEGIN + WORD * chunks + END)

    def _next(self, chunks: int, gap: float, at: float) -> None:
        loop = asyncio.get_running_loop()
        if chunks == 0:
            loop.call_at(at, self._transport.write, END)
            return
        loop.call_at(at, self._one, chunks, gap, at)

    def _one(self, chunks: int, gap: float, at: float) -> None:
        self._transport.write(WORD)
        self._next(chunks - 1, gap, at + gap)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
