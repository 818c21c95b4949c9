"""The measuring side: one request after the other on a connection, read with as little work as can be."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
ANSWER_SECONDS = 120.0


@dataclass(slots=True)
class Answer:
    """All in seconds. first: to the first event with words. gaps: between two reads in which events with words came."""

    seconds: float = 0.0
    first: float = 0.0
    gaps: list[float] = field(default_factory=list)


class Connection:
    """One connection to one server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self._reader, self._writer, self._head = reader, writer, head

    @classmethod
    async def to(cls, url: str, headers: dict[str, str]) -> "Connection":
        """url: of the path that is asked."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return cls(reader, writer, "\r\n".join(lines).encode())

    async def ask(self, model: str, script: str, *, stream: bool = False) -> Answer:
        """Raises: AssertionError for an answer that is none."""
        turns = [{"role": "user", "content": script}]
        body = json.dumps({"model": model, "messages": turns, "stream": stream}).encode()
        began = time.perf_counter()
        self._writer.write(self._head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(ANSWER_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), (self._head, head, await self._reader.read(2000))
            if stream:
                return await self._streamed(began)
            length = LENGTH.search(head)
            assert length, head
            await self._reader.readexactly(int(length[1]))
        return Answer(time.perf_counter() - began)

    async def _streamed(self, began: float) -> Answer:
        answer, tail, last = Answer(), b"", 0.0
        while not tail.endswith(b"0\r\n\r\n"):
            data = await self._reader.read(65536)
            assert data, "the connection broke off"
            now = time.perf_counter()
            if b'"word ' in data:
                if last:
                    answer.gaps.append(now - last)
                else:
                    answer.first = now - began
                last = now
            tail = (tail + data)[-64:]
        assert b"[DONE]" in tail, tail
        answer.seconds = time.perf_counter() - began
        return answer

    def close(self) -> None:
        self._writer.close()
