"""Recorded exchanges as a conversation: their turns, and what a list calls them. It knows no store and no format."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from firstpass.chat import ToolCall
from firstpass.exchange import Answer, Exchange, Refuse

TITLE = 120
"""Characters."""

TITLE_FILES = 4
TITLE_FROM = 2**17
"""Characters of what was asked that are looked at for it."""

_FILE = re.compile(r"^(?:diff --git a/(?P<git>\S+)|\+\+\+ b/(?P<plain>\S+))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Turn:
    """What was new in a request, or its answer. code: why there is none."""

    role: str
    text: str
    code: str | None = None
    calls: tuple[ToolCall, ...] = ()


def turns(exchange: Exchange) -> Iterator[Turn]:
    ending, answer = exchange.ending, exchange.answer
    for message in exchange.ask.new_messages:
        yield Turn(message.role, message.told(lambda image: f"[{image.media_type}]"))
    if isinstance(ending, Refuse):
        yield Turn("assistant", ending.failure.message, ending.failure.code)
    elif answer is not None:
        yield Turn("assistant", answer.text or "", calls=answer.reply.tool_calls if answer.reply else ())


def title(exchange: Exchange) -> str:
    """What was asked, in short: of a diff, the files."""
    said = next((message.content for message in exchange.ask.new_messages if message.content.strip()), "")
    files = list(dict.fromkeys(found["git"] or found["plain"] for found in _FILE.finditer(said[:TITLE_FROM])))
    more = len(files) - TITLE_FILES
    line = ", ".join(files[:TITLE_FILES]) + (f" and {more} more" if more > 0 else "")
    line = line or " ".join(said[: 4 * TITLE].split())
    return line if len(line) <= TITLE else f"{line[: TITLE - 1]}…"


def end(exchange: Exchange) -> str:
    """How it ended, in a word or two."""
    match exchange.ending:
        case Answer(route=route):
            return route
        case Refuse(failure=failure):
            return f"{failure.status} {failure.code}"
        case None:
            return "unended"
