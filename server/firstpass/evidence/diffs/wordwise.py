"""`git diff --word-diff`, read back into lines. Knows a hunk's body and its counts, and no header.

A line there holds what was removed and what was added side by side. What is one changed line in it is a removed and an
added one here, as in the plain diff. Blank lines have no mark: whether one is new only the counts could say.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from firstpass.evidence.diffs.lines import DiffLine

_MARK = re.compile(r"\[-|-\]|\{\+|\+\}")
_OPENS = {"[-": "-", "{+": "+"}
_CLOSES = {"-]": "-", "+}": "+"}
_STYLES = re.compile(r"(?:\x1b\[|\x9b)(?P<codes>[\d;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]")
_SIGNS = {"31": "-", "91": "-", "32": "+", "92": "+", "": "", "0": "", "39": ""}
_WRITTEN = {"-": ("[-", "-]"), "+": ("{+", "+}"), "": ("", "")}


class Pair(NamedTuple):
    """A line of each side, None where the side has none."""

    old: str | None
    new: str | None


class Read(NamedTuple):
    """right: whether the lines are as many as the hunk says, blank ones aside."""

    lines: tuple[DiffLine, ...]
    right: bool


def has_marks(lines: Iterable[str]) -> bool:
    return any(("[-" in line and "-]" in line) or ("{+" in line and "+}" in line) for line in lines)


def marked(lines: Iterable[str]) -> Iterator[Pair]:
    """`[-removed-]` and `{+added+}`."""
    return (_pair(list(_parts(line))) for line in lines)


def porcelain(lines: Iterable[str]) -> Iterator[Pair]:
    """--word-diff=porcelain: a part a line, with its sign, and `~` for the end of each line."""
    parts: list[tuple[str, str]] = []
    for line in lines:
        if line == "~":
            yield _pair(parts)
            parts = []
        elif line[:1] in ("+", "-", " "):
            parts.append((line[0].strip(), line[1:]))
    if parts:
        yield _pair(parts)


def remarked(line: str) -> str:
    """A line of --word-diff=color, with git's own colours, as --word-diff writes it."""
    shown: list[str] = []
    sign, end = "", 0
    for style in _STYLES.finditer(line):
        _append(shown, sign, line[end : style.start()])
        sign, end = _sign(style["codes"], sign), style.end()
    _append(shown, sign, line[end:])
    return "".join(shown)


def numbered(pairs: Sequence[Pair], old: tuple[int, int], new: tuple[int, int]) -> Read:
    """old, new: (first line, count) as the hunk says. Blank lines at the end that it does not count are left out."""
    end = len(pairs)
    olds, news = (sum(getattr(pair, side) is not None for pair in pairs) for side in ("old", "new"))
    while end and pairs[end - 1] == ("", "") and olds > old[1] and news > new[1]:
        end, olds, news = end - 1, olds - 1, news - 1
    blank = sum(not (pair.old or "").strip() and not (pair.new or "").strip() for pair in pairs[:end])
    right = abs(olds - old[1]) <= blank and abs(news - new[1]) <= blank
    return Read(tuple(_lines(pairs[:end], old[0], new[0])), right)


def _lines(pairs: Iterable[Pair], old: int, new: int) -> Iterator[DiffLine]:
    for pair in pairs:
        if pair.old is not None and pair.old == pair.new:
            yield DiffLine("context", pair.old, old, new)
        else:
            if pair.old is not None:
                yield DiffLine("removed", pair.old, old, None)
            if pair.new is not None:
                yield DiffLine("added", pair.new, None, new)
        old += pair.old is not None
        new += pair.new is not None


def _parts(line: str) -> Iterator[tuple[str, str]]:
    """(sign, text), the sign empty for what both sides have."""
    sign, end = "", 0
    for mark in _MARK.finditer(line):
        opens, closes = _OPENS.get(mark[0]), _CLOSES.get(mark[0])
        if (sign and closes == sign) or (not sign and opens):
            yield sign, line[end : mark.start()]
            sign, end = opens or "", mark.end()
    yield sign, line[end:]


def _pair(parts: Sequence[tuple[str, str]]) -> Pair:
    """A line of white space and added words alone is new, and one of removed words alone is gone."""
    signs = {sign for sign, text in parts if sign and text}
    shared = any(text.strip() for sign, text in parts if not sign)
    old = "".join(text for sign, text in parts if sign != "+")
    new = "".join(text for sign, text in parts if sign != "-")
    if shared or len(signs) != 1:
        return Pair(old, new)
    return Pair(None, new) if signs == {"+"} else Pair(old, None)


def _sign(codes: str | None, sign: str) -> str:
    for code in re.split("[;:]", codes) if codes is not None else ():
        sign = _SIGNS.get(code, sign)
    return sign


def _append(shown: list[str], sign: str, text: str) -> None:
    if text:
        opens, closes = _WRITTEN[sign]
        shown.append(f"{opens}{text}{closes}")
