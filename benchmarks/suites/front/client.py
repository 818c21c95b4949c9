"""The measuring side: one request after the other on a connection, read with as little work as can be."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
ANSWER_SECONDS = 120.0
WORD = re.compile(rb'"word ([0-9]+) ')
TOLD = 400
"""Bytes of a stream's end or of an error that are kept, to say what came instead of an answer."""

FAILURES = (OSError, EOFError, asyncio.LimitOverrunError)
"""What ends a request beside NoAnswer; a time-out is an OSError."""


class NoAnswer(Exception):
    """Says what came instead."""


@dataclass(slots=True)
class Answer:
    """All in seconds.

    words: of each read with words in it, when it came and which word was the first in it, counted from 0.
    """

    seconds: float = 0.0
    words: list[tuple[float, int]] = field(default_factory=list)

    @property
    def first(self) -> float:
        return self.words[0][0]

    def gaps(self) -> Iterator[float]:
        """Between one read and the next."""
        return (after - before for (before, _), (after, _) in pairwise(self.words))

    def late(self, gap: float) -> Iterator[float]:
        """How long after it was due each of these words came; the first was due one gap after it was asked for."""
        return (at - gap * (number + 1) for at, number in self.words)


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
        """Raises: NoAnswer, and FAILURES."""
        turns = [{"role": "user", "content": script}]
        body = json.dumps({"model": model, "messages": turns, "stream": stream}).encode()
        began = time.perf_counter()
        self._writer.write(self._head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(ANSWER_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 200") or (length is None) != stream:
                raise await self._refused(head, length)
            if length is None:
                return await self._streamed(began)
            await self._reader.readexactly(int(length[1]))
        return Answer(time.perf_counter() - began)

    async def _refused(self, head: bytes, length: re.Match[bytes] | None) -> NoAnswer:
        body = await self._reader.readexactly(min(TOLD, int(length[1]))) if length else b""
        return NoAnswer((head.partition(b"\r\n")[0] + b" " + body).decode(errors="replace"))

    async def _streamed(self, began: float) -> Answer:
        answer, tail = Answer(), b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = await self._reader.read(65536)
            if not data:
                raise NoAnswer(f"the stream broke off after {tail.decode(errors='replace')}")
            if word := WORD.search(data):
                answer.words.append((time.perf_counter() - began, int(word[1])))
            tail = (tail + data)[-TOLD:]
        if b"[DONE]" not in tail[-64:]:
            raise NoAnswer(f"the stream ended with {tail.decode(errors='replace')}")
        answer.seconds = time.perf_counter() - began
        return answer

    def close(self) -> None:
        self._writer.close()
