"""The scripted server on a socket: plain asyncio, since what it has to break is below any framework. Loopback only."""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from firstpass.mock.faults import FAULTS, Plan
from firstpass.mock.script import Script, last_said

BODY_BYTES = 64 * 2**20
HEADERS_BYTES = 64 * 2**10
DRIP_SECONDS = 0.02
"""Between two bytes of an answer that drips."""

RETRY_SECONDS = 1
JSON, EVENTS, HTML = "application/json", "text/event-stream", "text/html"
ASKED = ("chat/completions", "completions", "embeddings", "messages")
REASONS = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 404: "Not Found", 411: "Length Required"}
Headers = dict[str, str]


class Faulted(Exception):
    """The fault has ended the connection."""


class MockServer:
    """requests: those that were asked for an answer, which is also the next one's number. failed: by fault, how many.

    open: the connections that there are. working: the requests that are being answered.
    """

    def __init__(self, script: Script, plan: Plan, drip_seconds: float = DRIP_SECONDS) -> None:
        self._script = script
        self._plan = plan
        self._drip_seconds = drip_seconds
        self._listening: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()
        self.requests = 0
        self.working = 0
        self.failed: Counter[str] = Counter()

    async def start(self, port: int = 0) -> int:
        """Listens on loopback; gives the port. Raises: OSError where it is taken."""
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=HEADERS_BYTES)
        return int(self._listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def open(self) -> int:
        return len(self._serving)

    def counts(self) -> dict[str, Any]:
        return {"requests": self.requests, "failed": dict(self.failed), "open": self.open, "working": self.working}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """In a task of ours: where one of asyncio's own is cancelled, Python 3.11 logs an error."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, Faulted, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may follow."""
        method, path, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        size = int(headers.get("content-length", "0"))
        if "transfer-encoding" in headers or not 0 <= size <= BODY_BYTES:
            await _send(writer, 411, _error("a body needs its length here, of at most 64 MiB"))
            return False
        raw = await reader.readexactly(size)
        call = _Call(reader, writer, self._script, self._drip_seconds)
        if method == "POST" and (asked := path.removeprefix("/v1/")) in ASKED:
            await self._answer(call, asked, raw)
        else:
            await _send(writer, *self._aside(method, path, raw))
        return headers.get("connection", "").lower() != "close"

    def _aside(self, method: str, path: str, raw: bytes) -> tuple[int, Mapping[str, Any]]:
        match method, path:
            case "GET", "/v1/models":
                return 200, {"object": "list", "data": [{"id": self._script.model, "object": "model"}]}
            case "GET", "/health":
                return 200, {}
            case "GET", "/mock":
                return 200, self.counts()
            case "POST", "/tokenize":
                words = len(last_said(_body(raw) or {}).split())
                return 200, {"count": words, "max_model_len": 32768, "tokens": list(range(words))}
        return 404, _error(f"there is no {method} {path[:80]} here")

    async def _answer(self, call: "_Call", path: str, raw: bytes) -> None:
        number, self.requests = self.requests, self.requests + 1
        body, fault = _body(raw), self._plan.of(number)
        if body is None:
            await _send(call.writer, 400, _error("the body is no JSON object"))
            return
        self.failed.update([fault] if fault else [])
        self.working += 1
        try:
            await call.answer(path, body, fault)
        finally:
            self.working -= 1


class _Call:
    """One request's answer, in pieces: an event of a stream, or a whole body."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Script, drip_seconds: float
    ) -> None:
        self._reader = reader
        self.writer = writer
        self._script = script
        self._drip_seconds = drip_seconds

    async def answer(self, path: str, body: Mapping[str, Any], fault: str | None) -> None:
        if fault in ("refuse", "hang"):
            await self._leave(fault)
        await asyncio.sleep(self._script.delay_seconds)
        match fault:
            case "429" | "500" | "503":
                await _send(self.writer, int(fault), _error(FAULTS[fault]), {"retry-after": str(RETRY_SECONDS)})
            case "redirect":
                await _send(self.writer, 307, _error("elsewhere"), {"location": "http://127.0.0.1:9/v1/elsewhere"})
            case "type":
                await _write(self.writer, 200, HTML, b"<!doctype html><title>Sign in</title>")
            case _:
                reply = self._script.answer(path, body)
                if reply.streams:
                    await self._streamed(list(reply.events()), fault)
                else:
                    await self._whole(json.dumps(reply.whole()).encode(), fault)

    async def _whole(self, raw: bytes, fault: str | None) -> None:
        half = len(raw) // 2
        if fault in ("reset", "stall"):
            self.writer.write(_headers(200, JSON, {"content-length": str(len(raw))}) + raw[:half])
            await self._leave(fault)
        if fault == "drip":
            self.writer.write(_headers(200, JSON, {"content-length": str(len(raw))}))
            await self._drip(raw)
            return
        said = {"truncated": raw[:half], "garbage": b"\x00\xff{]" * 16}.get(fault or "", raw)
        await _write(self.writer, 200, JSON, said)

    async def _streamed(self, events: list[bytes], fault: str | None) -> None:
        self.writer.write(_headers(200, EVENTS, {"transfer-encoding": "chunked"}))
        half = len(events) // 2
        for at, event in enumerate(events):
            if at == half and fault in ("reset", "stall"):
                await self._leave(fault)
            if at == half and fault in ("truncated", "garbage"):
                self.writer.write(_chunk(event[: len(event) // 2] if fault == "truncated" else b"\xff\x00: }\n\n" * 8))
                break
            if fault == "drip":
                await self._drip(event, chunked=True)
                continue
            self.writer.write(_chunk(event))
            await self.writer.drain()
            if at and self._script.tokens_a_second:
                await asyncio.sleep(1 / self._script.tokens_a_second)
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def _drip(self, raw: Iterable[int], *, chunked: bool = False) -> None:
        for byte in raw:
            one = bytes([byte])
            self.writer.write(_chunk(one) if chunked else one)
            await self.writer.drain()
            await asyncio.sleep(self._drip_seconds)

    async def _leave(self, fault: str) -> None:
        """Resets the connection, or waits until the caller has gone. Raises: Faulted."""
        await self.writer.drain()
        if fault in ("hang", "stall"):
            await self._reader.read(1)
        else:
            reset(self.writer)
        raise Faulted(fault)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST: it does not wait for what was not sent. Source: socket(7), SO_LINGER of 0 s."""
    linger = struct.pack("ii", 1, 0)
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def _head(raw: bytes) -> tuple[str, str, Headers]:
    """Raises: ValueError for what is no request."""
    first, *lines = raw.decode("latin-1").rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return method, path.partition("?")[0], {name.strip().lower(): value.strip() for name, _, value in pairs}


def _body(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _error(message: str) -> dict[str, Any]:
    """As both APIs have it."""
    return {"type": "error", "error": {"type": "mock_error", "message": message}}


async def _send(
    writer: asyncio.StreamWriter, status: int, fields: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> None:
    await _write(writer, status, JSON, json.dumps(fields).encode(), headers)


async def _write(
    writer: asyncio.StreamWriter, status: int, kind: str, raw: bytes, headers: Mapping[str, str] | None = None
) -> None:
    writer.write(_headers(status, kind, {"content-length": str(len(raw)), **(headers or {})}) + raw)
    await writer.drain()


def _headers(status: int, kind: str, headers: Mapping[str, str]) -> bytes:
    lines = (f"{name}: {value}\r\n" for name, value in {"content-type": kind, **headers}.items())
    return f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\n{''.join(lines)}\r\n".encode("latin-1")


def _chunk(raw: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(raw), raw)
