"""A diff, read line by line, in whatever form it comes. Knows no language and no repository; never raises.

Read are unified and combined diffs with any prefixes, as git, Mercurial, Subversion and `diff` write them, in colour,
in a graph, quoted or indented; word diffs, context diffs and what `diff` writes by itself. What else looks like a diff,
and what a diff says that it has and has not, a note says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from firstpass.evidence.diffs import oldforms, wrapping
from firstpass.evidence.diffs.hunks import Body, body_of, is_header, ranges_of, unnumbered
from firstpass.evidence.diffs.lines import Diff, DiffLine, FileDiff, Hunk, LineKind
from firstpass.evidence.diffs.paths import (
    Paths,
    Sides,
    are_one_file,
    command_sides,
    is_absent,
    is_git_header,
    may_be_absent,
    plain_path,
    resolved,
)
from firstpass.evidence.diffs.telltales import Around, listed, says_cut

__all__ = ["Diff", "DiffLine", "FileDiff", "Hunk", "LineKind", "parse_diff"]

_BINARY = re.compile(r"(?:Binary files |Files )(?P<old>.*) and (?P<new>.*) differ")
_HG_BINARY = re.compile(r"Binary file (?P<path>.*) has changed")
_ONLY_IN = re.compile(r"Only in (?P<directory>\S+): (?P<name>\S+)")
_SUBMODULE = re.compile(r"Submodule (?P<path>[^\n]{1,1000}?) (?:[0-9a-f]{4,64}\.{2,3}[0-9a-f]{4,64}|contains )")
_PATCHED = re.compile(r"\*\*\* (?P<what>Update|Add|Delete) File: (?P<path>.+)")
_DEPOT = re.compile(r"==== //(?P<path>[^\n]{1,1000}?)#\d{1,9} .*====")
_EMPTY_BLOB = re.compile(r"index .*\b(?:e69de29|473a0f4)")
_SAYS_NO_PATH = (
    "index ",
    "old mode ",
    "new mode ",
    "mode ",
    "similarity ",
    "dissimilarity ",
    "=====",
    "literal ",
    "delta ",
)
_LONGEST_HEADER = 8_000
_MOST_CONTEXT = 3


@dataclass(slots=True)
class _OpenFile:
    """A file that is still being read.

    headed: its `--- ` and `+++ ` were there. indexed: so was its `index `, of a text with something in it. short, long,
    unread, unplaced: of a hunk, whether it has fewer or more lines than it says, was not read, or has no line numbers.
    """

    sides: Sides = field(default_factory=Sides)
    hunks: list[Hunk] = field(default_factory=list)
    binary: bool = False
    headed: bool = False
    indexed: bool = False
    short: bool = False
    long: bool = False
    unread: bool = False
    unplaced: bool = False

    @property
    def awaited(self) -> bool:
        """Whether its headers say that hunks come, and none did."""
        return not self.hunks and not self.binary and (self.headed or self.indexed)

    def closed(self, paths: Paths) -> FileDiff:
        return FileDiff(paths.old, paths.new, tuple(self.hunks), self.binary, paths.perhaps)


def parse_diff(text: str) -> Diff:
    """Read a diff; text that holds none gives no files."""
    return _Reader(text).read()


class _Reader:
    """One pass over the lines; every method either moves `_at` forward or returns without a claim on the line."""

    def __init__(self, text: str) -> None:
        text = wrapping.escaped(text)
        coloured = wrapping.is_coloured(text)
        self._styled = wrapping.split_lines(text) if coloured else []
        self._lines = wrapping.split_lines(wrapping.uncoloured(text) if coloured else text)
        self._at = 0
        self._unwrapped_to = 0
        self._bare_at = -1
        """Where lines with signs may stand without a hunk's header."""

        self._files: list[_OpenFile] = []
        self._around = Around()
        self._begins: int | None = None
        self._left = False
        """Whether other text has come after the last file."""

    def read(self) -> Diff:
        while self._at < len(self._lines):
            begin, count = self._at, len(self._files)
            if not (line := self._lines[begin]):
                self._at += 1
                continue
            self._read_one(line)
            if len(self._files) > count:
                self._left = False
                self._begins = begin if self._begins is None else self._begins
        return self._closed()

    def _closed(self) -> Diff:
        paths = resolved([file.sides for file in self._files])
        files = tuple(file.closed(own) for file, own in zip(self._files, paths, strict=True))
        pairs = list(zip(files, self._files, strict=True))
        unread = self._around.notes(files=bool(files))
        missing = [
            *_note("A file's changes were not read", (file for file, own in pairs if own.unread)),
            *_note("A hunk is shorter than it says", (file for file, own in pairs if own.short)),
            *_note("The diff ends before the changes", (file for file, own in pairs[-1:] if own.awaited)),
            *(["The diff says that a part of it was left out"] if self._around.marked_cut else []),
        ]
        remarks = [
            *_note("A hunk is longer than it says", (file for file, own in pairs if own.long)),
            *_note("A hunk does not say where it stands", (file for file, own in pairs if own.unplaced)),
        ]
        begins = len(self._lines) if self._begins is None else self._begins
        return Diff(files, (*unread, *missing), bool(unread), tuple(remarks), "\n".join(self._lines), begins)

    def _read_one(self, line: str) -> None:
        first = line[:1]
        if first == "d" and line.startswith("diff "):
            self._open(line)
        elif first == "@" and line.startswith("@@"):
            self._hunk(line)
        elif first == "-" and is_header(self._lines, self._at) and self._may_be_headed():
            self._headed(line, self._lines[self._at + 1])
        elif first == "*" and line.startswith("***") and self._context_diff(line):
            return
        elif first.isdigit() and oldforms.is_command(self._lines, self._at):
            self._take(oldforms.command_hunk(self._lines, self._at))
        elif self._at == self._bare_at and first in ("+", "-", " "):
            self._bare("")
        elif not self._unwrap(line):
            self._other(line)

    def _unwrap(self, line: str) -> bool:
        """Whether a diff begins in this line with something before it, which is now gone."""
        if self._at < self._unwrapped_to or not _may_begin(line):
            return False
        prefix = wrapping.prefix_at(self._lines, self._at)
        if prefix is None:
            return False
        self._unwrapped_to = wrapping.unwrap(self._lines, self._at, prefix)
        if self._styled:
            self._styled[self._at : self._unwrapped_to] = self._lines[self._at : self._unwrapped_to]
        return True

    def _open(self, line: str) -> None:
        """`diff --git a/x b/x` opens a file; so may the commands that Mercurial and `diff -r` write before one."""
        what, _, rest = line.removeprefix("diff ").partition(" ")
        if what in ("--cc", "--combined") and rest:
            self._files.append(_OpenFile(Sides(named=plain_path(rest))))
        elif what == "--git" and (self._is_git_header() or is_git_header(rest)):
            self._files.append(_OpenFile(Sides(git=rest), headed=not wrapping.goes_on(self._following())))
        elif (command := command_sides(line[:_LONGEST_HEADER])) is not None:
            self._command(command)
        else:
            self._other(line)
            return
        self._at += 1

    def _is_git_header(self) -> bool:
        """By the line that follows; what a commit message says of git may be followed by anything."""
        following = self._following()
        third = self._line(self._at + 2)
        return wrapping.goes_on(following) and (not following.startswith("--- ") or third.startswith("+++ "))

    def _command(self, command: tuple[str, str]) -> None:
        """`diff -r 12ab path` (Mercurial), `diff -r old/x new/x`: a file, where no header of its own follows."""
        if hg := _HG_BINARY.fullmatch(self._following()):
            self._files.append(_OpenFile(Sides(named=hg["path"]), binary=True))
            self._at += 1
        elif self._at + 1 < len(self._lines) and oldforms.is_command(self._lines, self._at + 1):
            self._files.append(_OpenFile(Sides(old=command[0], new=command[1])))

    def _following(self) -> str:
        return self._line(self._at + 1)

    def _line(self, at: int) -> str:
        return self._lines[at] if at < len(self._lines) else ""

    def _headed(self, old: str, new: str) -> None:
        """Both sides; they belong to the open header unless that has had its own already."""
        self._at += 2
        last = self._files[-1] if self._files else None
        if last is None or last.hunks or last.binary or (last.headed and last.sides.old is not None):
            self._files.append(_OpenFile())
        file, sides = self._files[-1], self._files[-1].sides
        file.headed, sides.old, sides.new = True, old[4:], new[4:]
        sides.added = sides.added or is_absent(old[4:])
        sides.deleted = sides.deleted or is_absent(new[4:])
        self._bare_at = self._at

    def _may_be_headed(self) -> bool:
        """Whether a hunk follows the two sides, or a git header is there that awaits them: else they are prose."""
        if self._files and self._files[-1].sides.git is not None and not self._files[-1].hunks:
            return True
        third, fourth = self._line(self._at + 2), self._line(self._at + 3)
        if third[:1] == " ":
            return are_one_file(self._line(self._at)[4:], self._line(self._at + 1)[4:])
        if third.startswith("@@"):
            return ranges_of(third) is not None or (fourth[:1] in ("+", "-", " ") and fourth != "---")
        return third[:1] in ("+", "-", "\\") or self._at + 3 >= len(self._lines)

    def _context_diff(self, line: str) -> bool:
        if oldforms.is_context_header(self._lines, self._at):
            self._headed(line, self._lines[self._at + 1])
        elif (found := oldforms.context_hunk(self._lines, self._at)) is not None:
            self._take(found)
        else:
            return False
        return True

    def _take(self, found: oldforms.Found) -> None:
        self._at = found.after
        file = self._current()
        file.short = file.short or not found.right
        file.hunks.append(found.hunk)

    def _current(self) -> _OpenFile:
        """The file that a hunk belongs to: after other text it is another, which nothing names."""
        if not self._files or (self._left and self._files[-1].hunks):
            self._files.append(_OpenFile())
        return self._files[-1]

    def _hunk(self, line: str) -> None:
        ranges = ranges_of(line)
        if ranges is None:
            self._unplaced(line)
            return
        file = self._current()
        body = body_of(self._lines, self._styled, self._at + 1, ranges)
        self._at = body.after
        self._judge(file, body)
        if ranges.olds[0] == (0, 0) and file.sides.old is not None and may_be_absent(file.sides.old):
            file.sides.added = True
        if ranges.new == (0, 0) and file.sides.new is not None and may_be_absent(file.sides.new):
            file.sides.deleted = True
        file.hunks.append(Hunk(ranges.olds[0][0], ranges.new[0], ranges.heading, body.lines))

    def _unplaced(self, line: str) -> None:
        """`@@ ... @@` or `@@ def f():`, as models write it, under a file's header."""
        if self._files and not self._left and not line.startswith("@@@") and self._following()[:1] in ("+", "-", " "):
            self._at += 1
            self._bare(line.strip("@ ."))
        else:
            self._other(line)

    def _bare(self, heading: str) -> None:
        body = unnumbered(self._lines, self._at)
        self._at = max(body.after, self._at + 1)
        self._files[-1].unplaced = True
        self._files[-1].hunks.append(Hunk(0, 0, heading, body.lines))

    def _judge(self, file: _OpenFile, body: Body) -> None:
        if body.short and not _lacks_context(body):
            file.short = True
        elif min(body.missing) < 0:
            file.long = True
        elif body.unchanged and body.lines:
            file.unread = True

    def _other(self, line: str) -> None:
        """The lines between a git header and its first hunk, other signs of a file, and text around the diff."""
        at = self._at
        self._at += 1
        if self._files and not self._files[-1].hunks and self._extended(self._files[-1], line):
            return
        if len(line) <= _LONGEST_HEADER and self._names_a_file(line, self._line(at + 1)):
            return
        cut = says_cut(line)
        self._around.look(line, cut=cut and bool(self._files))
        if cut:
            self._bare_at = self._at if self._files and self._files[-1].hunks else -1
        else:
            self._left = True

    def _extended(self, file: _OpenFile, line: str) -> bool:
        sides = file.sides
        if line.startswith("--- ") and sides.named is not None and self._line(self._at)[:4] in ("--- ", "+++ "):
            return True  # A combined diff with the paths of all parents.
        if line.startswith("new file mode "):
            sides.added = True
        elif line.startswith("deleted file mode "):
            sides.deleted = True
        elif line.startswith(("rename from ", "copy from ")):
            sides.origin = plain_path(line.partition(" from ")[2])
        elif line.startswith(("rename to ", "copy to ")):
            sides.target = plain_path(line.partition(" to ")[2])
        elif line.startswith("*** Move to: "):
            sides.origin, sides.target, sides.named = sides.named, line.removeprefix("*** Move to: ").strip(), None
            self._bare_at = self._at
        elif line.startswith("index "):
            file.indexed = _EMPTY_BLOB.match(line) is None
        elif _says_binary(line) and not (file.binary and line.startswith(("Binary files ", "Files "))):
            file.binary = True
        else:
            return line.startswith(_SAYS_NO_PATH)
        return True

    def _names_a_file(self, line: str, following: str) -> bool:
        """Other ways to say which file comes, or which changed without a hunk."""
        first = line[0]
        if first == "I" and line.startswith("Index: ") and following.startswith("======"):
            self._files.append(_OpenFile(Sides(index=plain_path(line.removeprefix("Index: ")))))
        elif first in "BF" and (match := _BINARY.fullmatch(line)):
            self._files.append(_OpenFile(Sides(old=match["old"], new=match["new"]), binary=True))
        elif first == "S" and (match := _SUBMODULE.match(line)):
            self._files.append(_OpenFile(Sides(named=match["path"])))
        elif first == "O" and self._files and (match := _ONLY_IN.fullmatch(line)):
            path = f"{match['directory'].rstrip('/')}/{match['name']}"
            self._files.append(_OpenFile(Sides(old=path, new=path), unread=True))
        elif first == "*" and (match := _PATCHED.fullmatch(line)):
            what, path = match["what"], match["path"].strip()
            self._files.append(_OpenFile(Sides(named=path, added=what == "Add", deleted=what == "Delete")))
            self._bare_at = self._at
        elif first == "=" and (match := _DEPOT.fullmatch(line)):
            self._files.append(_OpenFile(Sides(named=match["path"])))
        elif first == "+" and line.startswith("+++ ") and ranges_of(following) is not None:
            self._at -= 2
            self._headed(line, line)
        else:
            return False
        return True


def _lacks_context(body: Body) -> bool:
    """Whether all that is missing can be context after the last change, as where a text's end was stripped."""
    old, new = body.missing
    after = next((at for at, line in enumerate(reversed(body.lines)) if line.kind != "context"), 0)
    return old == new and after > 0 and old + after <= _MOST_CONTEXT


def _may_begin(line: str) -> bool:
    return "@@ -" in line or "--- " in line or "diff --" in line or "*** " in line or "Index: " in line


def _says_binary(line: str) -> bool:
    return line == "GIT binary patch" or line.startswith(
        ("Cannot display: file marked as a binary type", "Binary files ")
    )


def _note(what: str, files: Iterable[FileDiff]) -> list[str]:
    paths = [file.path for file in files]
    return [f"{what}: {listed(paths)}"] if paths else []
