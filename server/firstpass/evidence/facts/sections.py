"""Lines of a manifest or a configuration file with the sections they stand in. Knows a hunk's side, no whole file.

What stands above the first line is known only as far as the hunk's heading says it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from firstpass.evidence.diffs.diff import DiffLine, Hunk, LineKind
from firstpass.evidence.facts.by_words import indentation

MOST_LINE_CHARACTERS = 1_000
_TABLE = re.compile(r"\s*\[{1,2}(?P<name>[^\[\]\n]{1,200})\]{1,2}\s*(?:[#;].*)?$")
_OPENED = re.compile(r"\s*+(?:-\s++)*+[\"']?(?P<key>[\w.$@/ -]{1,100}?)[\"']?\s*[:=]\s*[\[{(|>]?[+-]?\s*(?:#.*)?$")


class Placed(NamedTuple):
    """A line with what it stands in, outermost first. changed: whether it is of the wanted kind."""

    text: str
    sections: tuple[str, ...]
    number: int
    changed: bool


def placed_lines(hunk: Hunk, side: LineKind, tables: bool) -> Iterator[Placed]:
    """tables: whether `[name]` on a line of its own opens a section (TOML, INI); else the indentation nests."""
    if side not in hunk.kinds:
        return
    lines = hunk.after if side == "added" else hunk.before
    opened: list[tuple[int, str]] = []
    table = _table(hunk.heading) if tables else None
    if not table and (key := _OPENED.match(hunk.heading)):
        opened.append((0, key["key"]))
    for line in lines:
        text = line.text[:MOST_LINE_CHARACTERS]
        bare = text.strip()
        if tables and (name := _table(text)):
            table, opened = name, []
        elif bare:
            opened = _left(opened, text, bare)
        yield Placed(text, _names(table, opened), _number(line, side), line.kind == side)
        if bare and (key := _OPENED.match(text)) and not bare.startswith(("#", "//", "]", "}")):
            opened.append((indentation(text) + 2 * bare.startswith("- "), key["key"]))


def _left(opened: list[tuple[int, str]], text: str, bare: str) -> list[tuple[int, str]]:
    """What a line is still inside. A YAML list may stand at the column of its key, a closer always does."""
    indent = indentation(text)
    if bare[0] in "]})":
        return [one for one in opened if one[0] < indent]
    return [one for one in opened if one[0] < indent or (one[0] == indent and bare.startswith("- "))]


def _names(table: str | None, opened: list[tuple[int, str]]) -> tuple[str, ...]:
    return (*((table,) if table else ()), *(name for _, name in opened[-8:]))


def _table(text: str) -> str | None:
    match = _TABLE.match(text[:MOST_LINE_CHARACTERS])
    return match["name"].strip() if match else None


def _number(line: DiffLine, side: LineKind) -> int:
    return (line.new if side == "added" else line.old) or 0
