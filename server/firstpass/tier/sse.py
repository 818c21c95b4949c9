"""Server-sent events as a tier's connection brings them. Knows no dialect. Source: the HTML standard, section 9.2."""

import re
from collections.abc import AsyncIterator

import httpx

LINE_END = re.compile(rb"\r\n|\n|\r")
BOM = b"\xef\xbb\xbf"


async def events(response: httpx.Response) -> AsyncIterator[bytes]:
    """The stream's events as they stood on the wire, each with a blank line at its end; comments are dropped."""
    event: list[bytes] = []
    async for line in _lines(response):
        if line and not line.startswith(b":"):
            event.append(line)
        elif not line and event:
            yield b"\n".join(event) + b"\n\n"
            event = []
    if event:
        yield b"\n".join(event) + b"\n\n"


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """9.2.5: a line ends with CRLF, LF or CR and with nothing else; one leading BOM is not text."""
    rest, first = b"", True
    async for part in response.aiter_bytes():
        rest += part
        if first and len(rest) >= len(BOM):
            rest, first = rest.removeprefix(BOM), False
        held = rest[-1:] if rest.endswith(b"\r") else b""  # A CR may be half of a CRLF.
        *lines, rest = LINE_END.split(rest[: len(rest) - len(held)])
        rest += held
        for line in lines:
            yield line
    for line in LINE_END.split(rest):
        yield line


def data_of(event: bytes) -> bytes:
    """9.2.6: data lines are joined with a newline; one space after the colon is not part of it."""
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)
