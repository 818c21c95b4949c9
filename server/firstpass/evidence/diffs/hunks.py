"""The lines under a hunk's header, in each way that git writes them. Knows the lines and the header's counts, no file.

Each reader is told where the body begins and says where it ended, and what of it the header promised in vain.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from firstpass.evidence.diffs import wordwise
from firstpass.evidence.diffs.lines import DiffLine, LineKind

_KINDS: dict[str, LineKind] = {"+": "added", "-": "removed", " ": "context"}
_RANGE = r"(?:,(\d{1,9}))?"
_HUNK = re.compile(rf"@@ -(\d{{1,9}}){_RANGE} \+(\d{{1,9}}){_RANGE} @@ ?(.*)", re.ASCII)
_COMBINED = re.compile(
    rf"(@{{3,64}})((?: -\d{{1,9}}(?:,\d{{1,9}})?){{2,63}}) \+(\d{{1,9}}){_RANGE} (@{{3,64}}) ?(.*)", re.ASCII
)
_PARENT = re.compile(rf"-(\d{{1,9}}){_RANGE}", re.ASCII)
_HEADER = re.compile(r"diff --(?:git|cc|combined) |@@@? -\d|commit [0-9a-f]{7,64}\b|Index: ")
_VERSION = re.compile(r"\d{1,9}\.[\w.() -]{1,80}")

Span = tuple[int, int]
"""(first line, count)."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """What a hunk's header says, of each parent and of the new file: one parent, but for a combined diff."""

    olds: tuple[Span, ...]
    new: Span
    heading: str


@dataclass(frozen=True, slots=True)
class Body:
    """after: the place after it. missing: lines that the header counts and that are not there, of the old and the new
    side; below 0 where there are more.
    """

    lines: tuple[DiffLine, ...]
    after: int
    missing: tuple[int, int]

    @property
    def unchanged(self) -> bool:
        """Whether it has no changed line, which no hunk of a plain diff is without."""
        return all(line.kind == "context" for line in self.lines)

    @property
    def short(self) -> bool:
        return max(self.missing) > 0


def ranges_of(line: str) -> Ranges | None:
    if match := _HUNK.match(line):
        old, olds, new, news, heading = match.groups()
        return Ranges((_span(old, olds),), _span(new, news), heading)
    if (match := _COMBINED.match(line)) and match[1] == match[5]:
        parents = tuple(_span(start, count) for start, count in _PARENT.findall(match[2]))
        return Ranges(parents, _span(match[3], match[4]), match[6]) if len(parents) == len(match[1]) - 1 else None
    return None


def _span(start: str, count: str | None) -> Span:
    return int(start), int(count) if count else 1


def body_of(lines: list[str], styled: list[str], begin: int, ranges: Ranges) -> Body:
    """styled: the same lines with a terminal's colours, or none; lines whose colours say what changed get marks."""
    if len(ranges.olds) > 1:
        return _combined(lines, begin, ranges)
    body = _signed(lines, begin, ranges)
    if body.short or body.unchanged:
        return _word_by_word(lines, styled, begin, body.after, ranges) or body
    return body


def unnumbered(lines: list[str], begin: int) -> Body:
    """Lines with signs under a header that does not say where they stand, as models and tools for them write it."""
    found: list[DiffLine] = []
    at = begin
    while at < len(lines) and not _ends(lines, at, over=True):
        if (line := lines[at])[:1] != "\\":
            found.append(DiffLine(_KINDS.get(line[:1], "context"), line[1:], None, None))
        at += 1
        if (
            at + 1 < len(lines)
            and not lines[at]
            and lines[at + 1][:1] in ("+", "-", " ")
            and not is_header(lines, at + 1)
        ):
            found.append(DiffLine("context", "", None, None))
            at += 1
    return Body(tuple(found), at, (0, 0))


def is_header(lines: list[str], at: int) -> bool:
    """Whether `--- old` and `+++ new` stand there."""
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _signed(lines: list[str], begin: int, ranges: Ranges) -> Body:
    """By the header's counts first, and past them while a line can only be the hunk's."""
    found: list[DiffLine] = []
    at, old, new = begin, ranges.olds[0][0], ranges.new[0]
    old_end, new_end = old + ranges.olds[0][1], new + ranges.new[1]
    while at < len(lines):
        line = lines[at]
        sign = line[:1]
        if sign == "+":
            found.append(DiffLine("added", line[1:], None, new))
            new += 1
        elif sign == " ":
            found.append(DiffLine("context", line[1:], old, new))
            old, new = old + 1, new + 1
        elif _ends(lines, at, over=old >= old_end and new >= new_end):
            break
        elif sign == "-":
            found.append(DiffLine("removed", line[1:], old, None))
            old += 1
        elif not sign:
            found.append(DiffLine("context", "", old, new))
            old, new = old + 1, new + 1
        at += 1
    return Body(tuple(found), at, (old_end - old, new_end - new))


def _ends(lines: list[str], at: int, *, over: bool) -> bool:
    """Whether the line is past the hunk. Mail clients strip an empty context line's blank, and models miscount."""
    line = lines[at]
    if not line:
        return over or at + 1 == len(lines)
    if line[0] not in "+- \\":
        return True
    if line[0] != "-":
        return False
    if is_header(lines, at):
        return over or (at + 2 < len(lines) and lines[at + 2].startswith("@@ -"))
    return line in ("-- ", "--") and ((over and line == "-- ") or _is_signed_mail(lines, at))


def _is_signed_mail(lines: list[str], at: int) -> bool:
    """git's version follows, and ends a mail of `git format-patch`."""
    return at + 1 < len(lines) and _VERSION.fullmatch(lines[at + 1]) is not None


def _combined(lines: list[str], begin: int, ranges: Ranges) -> Body:
    """One sign column a parent. A parent has a line where its column is blank, or `-` on a line that is lost."""
    found: list[DiffLine] = []
    parents, at = len(ranges.olds), begin
    numbers, new = [start for start, _ in ranges.olds], ranges.new[0]
    ends, new_end = [start + count for start, count in ranges.olds], ranges.new[0] + ranges.new[1]
    while at < len(lines):
        over = new >= new_end and all(number >= end for number, end in zip(numbers, ends, strict=True))
        signs = lines[at][:parents].ljust(parents)
        if lines[at].lstrip(" ").startswith("\\ No newline"):
            at += 1
            continue
        if signs.strip("+- ") or (over and not signs.strip()) or (not lines[at] and at + 1 == len(lines)):
            break
        lost = "-" in signs
        has = [sign == ("-" if lost else " ") for sign in signs]
        kind: LineKind = "removed" if lost else "context" if any(has) else "added"
        found.append(DiffLine(kind, lines[at][parents:], numbers[0] if has[0] else None, None if lost else new))
        numbers = [number + own for number, own in zip(numbers, has, strict=True)]
        new, at = new + (not lost), at + 1
    missing = max((end - number for number, end in zip(numbers, ends, strict=True)), key=abs)
    return Body(tuple(found), at, (missing, new_end - new))


def _word_by_word(lines: list[str], styled: list[str], begin: int, end: int, ranges: Ranges) -> Body | None:
    """The hunk as a word diff; None where it is none, or not one that its counts agree with."""
    if end < len(lines) and lines[end] == "~":
        after = _until(lines, begin, len(lines), lambda line: line[:1] not in ("+", "-", " ", "~", "\\"))
        pairs = list(wordwise.porcelain(lines[begin:after]))
    else:
        most = begin + ranges.olds[0][1] + ranges.new[1] + 1
        after = _until(lines, begin, most, lambda line: _HEADER.match(line) is not None)
        shown = lines[begin:after]
        if styled and not wordwise.has_marks(shown):
            remarked = (wordwise.remarked(styled[at]) for at in range(begin, min(most, len(styled))))
            shown = list(takewhile(lambda line: not _HEADER.match(line), remarked))
            after = begin + len(shown)
            lines[begin:after] = shown
        pairs = list(wordwise.marked(shown)) if wordwise.has_marks(shown) else []
    read = wordwise.numbered(pairs, ranges.olds[0], ranges.new)
    return Body(read.lines, after, (0, 0)) if pairs and read.right else None


def _until(lines: Sequence[str], begin: int, most: int, ends: Callable[[str], bool]) -> int:
    at = begin
    while at < min(most, len(lines)) and not ends(lines[at]):
        at += 1
    return at
