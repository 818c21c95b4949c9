"""Forms of a diff from before the unified one: context diffs and what `diff` writes by itself. Knows no paths."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from firstpass.evidence.diffs.lines import DiffLine, Hunk

_STARS = "***************"
_OLD_RANGE = re.compile(r"\*\*\* (\d{1,9})(?:,(\d{1,9}))? \*{4}", re.ASCII)
_NEW_RANGE = re.compile(r"--- (\d{1,9})(?:,(\d{1,9}))? -{4}", re.ASCII)
_COMMAND = re.compile(r"(\d{1,9})(?:,(\d{1,9}))?([acd])(\d{1,9})(?:,(\d{1,9}))?", re.ASCII)


class Found(NamedTuple):
    """after: the place after the hunk. right: whether it is as long as it says."""

    hunk: Hunk
    after: int
    right: bool


def is_context_header(lines: list[str], at: int) -> bool:
    """`*** old`, `--- new` and a row of stars."""
    return (
        at + 2 < len(lines)
        and lines[at].startswith("*** ")
        and lines[at + 1].startswith("--- ")
        and lines[at + 2].startswith(_STARS)
    )


def context_hunk(lines: list[str], at: int) -> Found | None:
    """The hunk that a row of stars opens; None where none follows."""
    if at + 1 >= len(lines) or not lines[at].startswith(_STARS) or not (old := _OLD_RANGE.match(lines[at + 1])):
        return None
    olds, place = _side(lines, at + 2, "-! ", _length(old[1], old[2]))
    new = _NEW_RANGE.match(lines[place]) if place < len(lines) else None
    wanted = _length(new[1], new[2]) if new else 0
    news, place = _side(lines, place + 1, "+! ", wanted) if new else ([], place)
    heading = lines[at].removeprefix(_STARS).strip()
    old_start, new_start = int(old[1]), int(new[1]) if new else 0
    merged = tuple(_merged(olds, news, old_start, new_start))
    right = new is not None and len(olds) in (0, _length(old[1], old[2])) and len(news) in (0, wanted)
    return Found(Hunk(old_start, new_start, heading, merged), place, right and bool(olds or news))


def _length(first: str, last: str | None) -> int:
    """`4,7` are four lines, `4` is one, and `0` none."""
    if last is None:
        return int(first != "0")
    return max(0, int(last) - int(first) + 1)


def _side(lines: list[str], at: int, signs: str, most: int) -> tuple[list[tuple[str, str]], int]:
    """(sign, text) of the lines that belong to one side, and the place after them. A side that is left out is empty."""
    found: list[tuple[str, str]] = []
    while at < len(lines):
        line = lines[at]
        if line.startswith("\\ "):
            at += 1
            continue
        fits = line[:1] in signs and line[1:2] in ("", " ") if line else bool(found)
        if not fits or len(found) >= most:
            break
        found.append((line[:1] or " ", line[2:]))
        at += 1
    return found, at


def _merged(olds: list[tuple[str, str]], news: list[tuple[str, str]], old: int, new: int) -> Iterator[DiffLine]:
    """Both sides in one order. A side that is left out has nothing but the other's context."""
    shared = [side for side in (olds, news) if side]
    if len(shared) == 1:
        context = [(sign, text) for sign, text in shared[0] if sign == " "]
        olds, news = olds or context, news or context
    at = to = 0
    while at < len(olds) or to < len(news):
        if at < len(olds) and olds[at][0] != " ":
            yield DiffLine("removed", olds[at][1], old + at, None)
            at += 1
        elif to < len(news) and news[to][0] != " ":
            yield DiffLine("added", news[to][1], None, new + to)
            to += 1
        else:
            text = olds[at][1] if at < len(olds) else news[to][1]
            yield DiffLine("context", text, old + at, new + to)
            at, to = at + 1, to + 1


def is_command(lines: list[str], at: int) -> bool:
    """`5a6,7` and the first of its lines."""
    found = _COMMAND.fullmatch(lines[at])
    return (
        found is not None
        and at + 1 < len(lines)
        and lines[at + 1][:2] in (("> ", ">") if found[3] == "a" else ("< ", "<"))
    )


def command_hunk(lines: list[str], at: int) -> Found:
    """What `is_command` says is one: removed lines with `<`, then added ones with `>`."""
    found = _COMMAND.fullmatch(lines[at])
    assert found is not None, "is_command has said so"
    old, new, kind = int(found[1]), int(found[4]), found[3]
    olds = 0 if kind == "a" else _length(found[1], found[2])
    news = 0 if kind == "d" else _length(found[4], found[5])
    gone, place = _marked(lines, at + 1, "<", olds)
    if kind == "c" and place < len(lines) and lines[place] == "---":
        place += 1
    come, place = _marked(lines, place, ">", news)
    removed = [DiffLine("removed", text, old + number, None) for number, text in enumerate(gone)]
    added = [DiffLine("added", text, None, new + number) for number, text in enumerate(come)]
    right = len(gone) == olds and len(come) == news
    return Found(Hunk(old, new, "", (*removed, *added)), place, right)


def _marked(lines: list[str], at: int, sign: str, most: int) -> tuple[list[str], int]:
    found: list[str] = []
    while at < len(lines) and len(found) < most and (lines[at] == sign or lines[at].startswith(f"{sign} ")):
        found.append(lines[at][2:])
        at += 1
    while at < len(lines) and lines[at].startswith("\\ "):
        at += 1
    return found, at
