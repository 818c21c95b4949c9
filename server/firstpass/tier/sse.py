"""Server-sent events as a tier's connection brings them. Knows no dialect. Source: the HTML standard, section 9.2."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import NamedTuple

import httpx

LINE_END = re.compile(rb"\r\n|\n|\r")
BOM = b"\xef\xbb\xbf"
DRAIN_SECONDS = 0.05


class Event(NamedTuple):
    """raw: as it stood on the wire, its data in one line and a blank line at its end. whole: the stream ended it."""

    raw: bytes
    data: bytes
    whole: bool = True


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """Those that say something. Comments are dropped, also where a proxy put one into the data (opencode#50871).

    9.2.6: an event without data is none. What the stream breaks off in comes too, and is not whole.
    """
    lines: list[bytes] = []
    async for line in _lines(response):
        if line:
            lines.append(line)
            continue
        event, lines = _event(lines), []
        if event is not None:
            yield event
    if (event := _event(lines)) is not None:
        yield event._replace(whole=False)


async def until_broken(stream: AsyncIterator[Event], ended: Callable[[], bool]) -> AsyncIterator[Event]:
    """The stream, up to where its connection breaks once the reply has ended: only a count can be lost then."""
    try:
        async for event in stream:
            yield event
    except (httpx.RemoteProtocolError, httpx.ReadError):
        if not ended():
            raise


async def drained(stream: AsyncIterator[Event]) -> None:
    """Reads a stream that has said all to its end, so that its connection can serve again, unless that is long."""
    with suppress(TimeoutError, httpx.HTTPError):
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


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """9.2.5: a line ends with CRLF, LF or CR and with nothing else; one leading BOM is not text."""
    begun: list[bytes] = []
    first, after_cr = True, False
    async for part in response.aiter_bytes():
        if not part:
            continue
        more = part[1:] if after_cr and part.startswith(b"\n") else part  # The rest of a CRLF.
        after_cr = part.endswith(b"\r")
        begin, *rest = LINE_END.split(more)
        begun.append(begin)
        for line in rest:
            whole = b"".join(begun)
            yield whole.removeprefix(BOM) if first else whole
            begun, first = [line], False
    last = b"".join(begun)
    yield last.removeprefix(BOM) if first else last
