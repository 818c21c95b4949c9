"""At which lines of a TOML text its cases and their fields begin, which `tomllib` does not say. Knows no case.

The text is one that `tomllib` has read, so strings, comments and headers can be told apart by their first characters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_KEY = r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'"""
_TOKEN = re.compile(
    r'"""(?>[^"\\]+|\\.|"(?!""))*+"{3,5}'
    r"|'''.*?'{3,5}"
    rf"|^[ \t]*\[\[?[ \t]*(?P<table>{_KEY})[ \t]*(?:\.[ \t]*(?P<below>{_KEY})[^\]\n]*)?\]\]?"
    rf"|^[ \t]*(?P<key>{_KEY})[ \t]*[=.]"
    r'|"(?>[^"\\\n]+|\\.)*+"'
    r"|'[^'\n]*'"
    r"|#[^\n]*",
    re.S | re.M,
)


@dataclass(slots=True)
class Lines:
    """Of one `[[case]]`. header: its line, from 1. fields: the first line of each field."""

    header: int
    fields: dict[str, int] = field(default_factory=dict)


def lines_of_cases(text: str, table: str = "case") -> list[Lines]:
    """In their order. One that is not written as `[[case]]` is not among them."""
    found: list[Lines] = []
    own = False
    for match, line in _numbered(text):
        named, below = match["table"], _bare(match["below"])
        if named == table and below is None:
            found.append(Lines(line))
        elif named == table and below is not None and found:
            found[-1].fields.setdefault(below, line)
        if named is not None:
            own = named == table and below is None
        key = _bare(match["key"])
        if key is not None and own:
            found[-1].fields.setdefault(key, line)
    return found


def _numbered(text: str) -> Iterator[tuple[re.Match[str], int]]:
    line, end = 1, 0
    for match in _TOKEN.finditer(text):
        line, end = line + text.count("\n", end, match.start()), match.start()
        yield match, line


def _bare(key: str | None) -> str | None:
    return key.strip("\"'") if key is not None else None
