"""Server-sent events as a tier's connection brings them. Knows no dialect. Source: the HTML standard, section 9.2.

Whoever sends them may be hostile: an event is bounded, and so is what says nothing.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from firstpass.client import Broken, TooMuch

LINE_END = re.compile(rb"\r\n|\n|\r")
BOM = b"\xef\xbb\xbf"
DONE = b"data: [DONE]\n\n"
"""How most streams end."""

DRAIN_SECONDS = 0.05

EVENT_BYTES = 8 * 2**20
"""Of one event, as it comes."""

LINE_COST = 64
"""Of each of its lines beside its bytes, since an empty one is kept too."""

SILENT_BYTES = 2**20
"""Between two events, such as comments; a keep-alive every second for a day is less."""

TURN_EVENTS = 64
"""After so many, others have a turn: what is buffered is read without a wait."""


class Event(NamedTuple):
    """raw: as it stood on the wire, its data in one line and a blank line at its end. whole: the stream ended it."""

    raw: bytes
    data: bytes
    whole: bool = True


async def events(parts: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """Those that say something. Comments are dropped, also where a proxy put one into the data (opencode#50871).

    9.2.6: an event without data is none. What the stream breaks off in comes too, and is not whole.
    Raises: TooMuch.
    """
    lines, number = Lines(), 0
    async for part in parts:
        for event in lines.read(part):
            yield event
            number += 1
            if number % TURN_EVENTS == 0:
                await asyncio.sleep(0)
    if (last := lines.end()) is not None:
        yield last


async def until_broken(stream: AsyncIterator[Event], ended: Callable[[], bool]) -> AsyncIterator[Event]:
    """The stream, up to where its connection breaks once the reply has ended: only a count can be lost then."""
    try:
        async for event in stream:
            yield event
    except Broken:
        if not ended():
            raise


async def drained(stream: AsyncIterator[Event]) -> None:
    """Reads a stream that has said all to its end, so that its connection can serve again, unless that is long."""
    with suppress(TimeoutError, Broken):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in stream:
                pass


def _event(lines: list[bytes]) -> Event | None:
    """9.2.6: data lines are joined with a newline; one space after the colon is not part of it."""
    kept: list[bytes] = []
    said: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"data":
            said.append(value.removeprefix(b" "))
        elif name:
            kept.append(line)
    data = b" ".join(_without_comments(said)).strip()
    return Event(b"\n".join([*kept, b"data: " + data]) + b"\n\n", data) if data else None


def _without_comments(said: list[bytes]) -> list[bytes]:
    """No JSON begins with a colon, but a line of it may: such a line is one only where the rest needs it to be none.

    Between the tokens of JSON a space is as good as a newline, and no newline is inside one.
    """
    comments = [line for line in said if line.lstrip().startswith(b":")]
    if not comments or (len(said) > len(comments) and _is_json(b"\n".join(said))):
        return said
    return [line for line in said if not line.lstrip().startswith(b":")]


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


class Lines:
    """9.2.5: a line ends with CRLF, LF or CR and with nothing else; one leading BOM is not text."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._lines: list[bytes] = []
        self._first, self._after_cr = True, False
        self._size = self._silent = 0

    def read(self, part: bytes) -> Iterator[Event]:
        """The events that end in this part of the stream. Raises: TooMuch."""
        plain = part.removesuffix(DONE)
        if self._is_plain(plain):
            for said in plain.split(b"\n\n")[:-1]:
                yield Event(said + b"\n\n", said[6:])
            if len(plain) < len(part):
                yield Event(DONE, DONE[6:-2])
            return
        more = part[1:] if self._after_cr and part.startswith(b"\n") else part  # The rest of a CRLF.
        self._after_cr = part.endswith(b"\r")
        begin, *rest = LINE_END.split(more)
        self._begin(begin)
        for after in rest:
            event = self._end_line()
            if event is not None:
                yield event
            self._begin(after)

    def end(self) -> Event | None:
        line = self._line()
        event = _event([*self._lines, line] if line else self._lines)
        return event._replace(whole=False) if event is not None and line else event

    def _is_plain(self, part: bytes) -> bool:
        """Whole events of one line of data each, as vLLM sends them: there is nothing to look for in them."""
        if self._begun or self._lines or self._after_cr or not part.startswith(b"data: {"):
            return False
        count = part.count(b"}\n\ndata: {") + 1
        if not part.endswith(b"}\n\n") or part.count(b"\n") != 2 * count or b"\r" in part:
            return False
        self._first, self._silent = False, 0
        return True

    def _begin(self, begun: bytes) -> None:
        if not begun:
            return
        self._begun.append(begun)
        self._size += len(begun)
        if self._size > EVENT_BYTES:
            raise TooMuch(f"an event is over the limit of {EVENT_BYTES} bytes")

    def _line(self) -> bytes:
        line = b"".join(self._begun)
        self._begun.clear()
        if self._first:
            self._first, line = False, line.removeprefix(BOM)
        return line

    def _end_line(self) -> Event | None:
        """The event, where this line is the empty one at its end."""
        line = self._line()
        if line and not line.startswith(b":"):
            self._lines.append(line)
            self._size += LINE_COST
            return None
        self._silent += len(line) + 1
        if self._silent > SILENT_BYTES:
            raise TooMuch(f"it says nothing for {SILENT_BYTES} bytes")
        if line:
            self._size -= len(line)
            return None
        event = _event(self._lines)
        self._silent += 0 if event else self._size
        self._lines, self._size = [], 0
        if event is not None:
            self._silent = 0
        return event
