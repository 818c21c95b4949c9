"""The whole files around a commit's hunks, out of released versions of its repository. Knows no call and no label.

A diff shows a few lines of a file, and a front end wants all of it. The file of the commit itself is to be had where a
version has it, or a chain of other commits' diffs leads to it: then git's hash, which the diff names, proves it. Else
the hunks are put where their lines stand in a version, all in one where that can be, or one by one.
"""

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

MOST_PLACES = 4
"""Of a file or a hunk, the nearest first: a front end may not understand the first."""

_HEADING = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.ASCII)
_HASHES = re.compile(r"^index ([0-9a-f]+)\.\.([0-9a-f]+)", re.MULTILINE)
_CONTEXTS = (3, 1)
"""Unchanged lines that must stand around a change, on each side; git shows three."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """lines: with their marks " ", "-" and "+". old and new: 0-based numbers of the first line on each side."""

    heading: str
    old: int
    new: int
    lines: tuple[str, ...]

    def side(self, mark: str) -> tuple[str, ...]:
        return tuple(line[1:] for line in self.lines if line[0] in (" ", mark))

    def within(self, context: int) -> "Hunk":
        """With at most so many unchanged lines before and after."""
        before = sum(1 for _ in itertools.takewhile(_unchanged, self.lines))
        after = sum(1 for _ in itertools.takewhile(_unchanged, reversed(self.lines)))
        less, end = max(0, before - context), len(self.lines) - max(0, after - context)
        return Hunk(self.heading, self.old + less, self.new + less, self.lines[less:end])


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path is None, and a hash of zeros, on the side where the file is not."""

    old: str | None
    new: str | None
    hashes: tuple[str, str]
    hunks: tuple[Hunk, ...]

    @property
    def path(self) -> str:
        return self.new or self.old or ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file before and after some hunks of a commit, with the 1-based numbers of the changed lines.

    how: "proven" by git's hash, "together" in a version or "apart" in one.
    """

    before: str
    after: str
    removed: tuple[int, ...]
    added: tuple[int, ...]
    how: str


def file_changes(diff: str) -> Iterator[FileChange]:
    for section in re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE):
        head, *hunks = re.split(r"^(?=@@ )", section, flags=re.MULTILINE)
        hashes = _HASHES.search(head)
        if hunks and hashes:
            old, new = _path(head, "--- "), _path(head, "+++ ")
            yield FileChange(old, new, (hashes[1], hashes[2]), tuple(map(_hunk, hunks)))


def _path(head: str, mark: str) -> str | None:
    line = next(line for line in head.split("\n") if line.startswith(mark))[len(mark) :].rstrip("\t")
    return None if line == "/dev/null" else line[2:]


def _hunk(text: str) -> Hunk:
    """An empty line is an unchanged one: the end of a diff may have lost its space."""
    heading, *lines = text.removesuffix("\n").split("\n")
    match = _HEADING.match(heading)
    assert match is not None, "git wrote it"
    old, new = (int(match[at]) - (match[at + 1] != "0") for at in (1, 3))
    marked = tuple(line or " " for line in lines if line[:1] != "\\")
    lost = int(match[2] or 1) - sum(line[0] != "+" for line in marked)
    return Hunk(heading, old, new, marked + (" ",) * lost)


def _unchanged(line: str) -> bool:
    return line[0] == " "


@dataclass(slots=True)
class Versions:
    """Known files of a repository, by the last part of their paths, and what git's hashes prove."""

    digits: int
    _by_name: dict[str, dict[tuple[str, ...], str]] = field(default_factory=lambda: defaultdict(dict))
    _by_hash: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, text: str) -> None:
        self._by_name[PurePosixPath(path).name].setdefault(tuple(text.split("\n")), path)
        self._by_hash[self._hash(text)] = text

    def chain(self, files: Iterable[FileChange]) -> None:
        """Go from known files along the changes of all commits, either way, as far as hashes prove each step."""
        steps: dict[str, list[tuple[str, FileChange, bool]]] = defaultdict(list)
        for file in files:
            steps[file.hashes[0]].append((file.hashes[1], file, False))
            steps[file.hashes[1]].append((file.hashes[0], file, True))
        self._by_hash["0" * self.digits] = ""
        pending = list(self._by_hash)
        while pending:
            known = pending.pop()
            for wanted, file, back in steps[known]:
                if wanted not in self._by_hash and (text := self._next(self._by_hash[known], wanted, file, back)):
                    self.add(file.path, text)
                    pending.append(wanted)

    def _next(self, text: str, wanted: str, file: FileChange, back: bool) -> str | None:
        changed = _changed(text.split("\n"), [(hunk, hunk.new if back else hunk.old) for hunk in file.hunks], back)
        ends = ("\n".join(changed), "\n".join((*changed, "")), "\n".join(changed).removesuffix("\n"))
        return next((end for end in ends if self._hash(end) == wanted), None)

    def _hash(self, text: str) -> str:
        content = text.encode("utf-8", "surrogateescape")
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()[: self.digits]

    def whole(self, file: FileChange) -> list[Placed]:
        """What all of the file's change may be put into, the best first."""
        proven = self._proven(file)
        return [proven] if proven else self._found(file, file.hunks, "together")

    def apart(self, file: FileChange, hunk: Hunk) -> list[Placed]:
        return self._found(file, (hunk,), "apart")

    def _proven(self, file: FileChange) -> Placed | None:
        before, after = (self._by_hash.get(one) for one in file.hashes)
        if before is None or after is None:
            return None
        removed, added = (_numbers([(hunk, getattr(hunk, side)) for hunk in file.hunks], mark) for side, mark in _SIDES)
        return Placed(before, after, removed, added, "proven")

    def _found(self, file: FileChange, hunks: Sequence[Hunk], how: str) -> list[Placed]:
        """Those under the same path and near to the hunks' own numbers first."""
        known = self._by_name[PurePosixPath(file.path).name]
        for context in _CONTEXTS:
            some = [hunk.within(context) for hunk in hunks]
            found = []
            for (lines, path), back in itertools.product(known.items(), (False, True)):
                if (starts := _starts(lines, some, back)) is not None:
                    own = [hunk.new if back else hunk.old for hunk in some]
                    far = sum(abs(at - number) for at, number in zip(starts, own, strict=True))
                    found.append((path != file.path, far, len(found), _placed(lines, some, starts, back, how)))
            if found:
                return [place for *_, place in sorted(found)[:MOST_PLACES]]
        return []


_SIDES = (("old", "-"), ("new", "+"))


def _starts(lines: Sequence[str], hunks: Sequence[Hunk], back: bool) -> list[int] | None:
    """Where one side of each hunk begins in the lines, in order; None unless each stands there."""
    starts: list[int] = []
    least = 0
    for hunk in hunks:
        side = hunk.side("+" if back else "-")
        near = hunk.new if back else hunk.old
        at = _nearest(lines, side, near, least)
        if at is None:
            return None
        starts.append(at)
        least = at + len(side)
    return starts


def _nearest(lines: Sequence[str], side: Sequence[str], near: int, least: int) -> int | None:
    if not any(line.strip() for line in side):
        return None
    first = max(side, key=len)
    offset = side.index(first)
    found = [
        at - offset
        for at, line in enumerate(lines)
        if line == first and at - offset >= least and tuple(lines[at - offset : at - offset + len(side)]) == tuple(side)
    ]
    return min(found, key=lambda at: abs(at - near), default=None)


def _placed(lines: Sequence[str], hunks: Sequence[Hunk], starts: Sequence[int], back: bool, how: str) -> Placed:
    here = list(zip(hunks, starts, strict=True))
    there = []
    moved = 0
    for hunk, at in here:
        there.append((hunk, at + moved))
        more = len(hunk.side("+")) - len(hunk.side("-"))
        moved += -more if back else more
    other = "\n".join(_changed(lines, here, back))
    if back:
        return Placed(other, "\n".join(lines), _numbers(there, "-"), _numbers(here, "+"), how)
    return Placed("\n".join(lines), other, _numbers(here, "-"), _numbers(there, "+"), how)


def _changed(lines: Sequence[str], hunks: Iterable[tuple[Hunk, int]], back: bool) -> list[str]:
    """The lines with hunks put in at the numbers given, or taken back."""
    mine, other = ("+", "-") if back else ("-", "+")
    changed: list[str] = []
    done = 0
    for hunk, at in hunks:
        changed += (*lines[done:at], *hunk.side(other))
        done = at + len(hunk.side(mine))
    return [*changed, *lines[done:]]


def _numbers(hunks: Iterable[tuple[Hunk, int]], mark: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for hunk, at in hunks:
        for line in hunk.lines:
            at += line[0] in (" ", mark)
            if line[0] == mark:
                numbers.append(at)
    return tuple(numbers)
