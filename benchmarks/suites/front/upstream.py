"""An OpenAI-compatible server without a model, which answers as it is told to: `delay=0.02 chunks=256 gap=0.01`.

Usage: upstream.py PORT. It reads just enough HTTP for the clients that are measured, so that its own time is small:
requests with a content-length, one after the other on a connection. Its answers have the fields of vLLM's, and no two
words of a stream in a row are the same: LiteLLM ends a stream that repeats a chunk a hundred times.
Source: vLLM 0.32, entrypoints/openai/chat_completion/protocol.py and serving.py.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import uvloop

SCRIPT = re.compile(rb"\b(delay|chunks|gap)=([0-9.]+)")
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
LOGPROBS = re.compile(rb'"logprobs": *true')
STREAMS = re.compile(rb'"stream": *true')
COUNTED = re.compile(rb'"include_usage": *true')
WORDS = 256
COUNTS = {"prompt_tokens": 10, "total_tokens": 50, "completion_tokens": 40, "prompt_tokens_details": None}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n\r\n"


def dumped(kind: str, fields: dict[str, Any]) -> bytes:
    said = {"id": "chatcmpl-a3f1c2d4e5b60718", "object": kind, "created": 1767225600, "model": "m"} | fields
    return json.dumps(said, separators=(",", ":")).encode()


def event(fields: dict[str, Any]) -> bytes:
    return framed(b"data: " + dumped("chat.completion.chunk", fields) + b"\n\n")


def piece(delta: dict[str, Any], ending: dict[str, Any], **beside: None) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "logprobs": None} | ending]} | beside)


def framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(data: bytes) -> bytes:
    return HEAD % (b"application/json", b"content-length: %d" % len(data)) + data


def answered(logprobs: dict[str, Any] | None) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(f"word {number} " for number in range(20))}
    message |= dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning")) | {"tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    choice |= dict.fromkeys(("stop_reason", "token_ids", "routed_experts"))
    fields = {"choices": [choice], "service_tier": None, "system_fingerprint": None, "usage": COUNTS}
    fields |= dict.fromkeys(("prompt_logprobs", "prompt_token_ids", "prompt_text", "kv_transfer_params", "metrics"))
    return whole(dumped("chat.completion", fields))


WHOLE = answered(None)
WHOLE_WITH_LOGPROBS = answered({"content": [{"token": "word", "logprob": -0.1, "bytes": None, "top_logprobs": []}]})
MODELS = whole(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())
GOES_ON = {"finish_reason": None, "token_ids": None}
BEGIN = HEAD % (b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked")
BEGIN += piece({"role": "assistant", "content": ""}, {"finish_reason": None}, prompt_token_ids=None, prompt_text=None)
PIECES = [piece({"content": f"word {number} "}, GOES_ON) for number in range(WORDS)]
LAST = piece({"content": ""}, {"finish_reason": "stop", "stop_reason": None, "token_ids": None})
USAGE = event({"choices": [], "usage": {name: count for name, count in COUNTS.items() if count is not None}})
END = framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


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
        loop, delay = asyncio.get_running_loop(), said.get("delay", 0)
        if STREAMS.search(body):
            end = LAST + USAGE + END if COUNTED.search(body) else LAST + END
            loop.call_later(delay, self._begin, int(said.get("chunks", 40)), said.get("gap", 0), end)
            return
        answer = WHOLE_WITH_LOGPROBS if LOGPROBS.search(body) else WHOLE
        if delay:
            loop.call_later(delay, self._transport.write, answer)
        else:
            self._transport.write(answer)

    def _begin(self, chunks: int, gap: float, end: bytes) -> None:
        parts = [PIECES[number % len(PIECES)] for number in range(chunks)]
        if not gap:
            self._transport.write(b"".join([BEGIN, *parts, end]))
            return
        self._transport.write(BEGIN)
        self._go_on(iter([*parts, end]), gap, asyncio.get_running_loop().time() + gap)

    def _go_on(self, parts: Iterator[bytes], gap: float, at: float) -> None:
        """One after the other, by the clock: a late one makes no later one late."""
        if part := next(parts, None):
            asyncio.get_running_loop().call_at(at, self._one, part, parts, gap, at + gap)

    def _one(self, part: bytes, parts: Iterator[bytes], gap: float, at: float) -> None:
        self._transport.write(part)
        self._go_on(parts, gap, at)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
