"""A unified diff, read line by line. Knows no language and no repository; skips what it can not read, never raises."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

LineKind = Literal["added", "removed", "context"]
_KINDS: dict[str, LineKind] = {"+": "added", "-": "removed", " ": "context"}

_HUNK = re.compile(
    r"@@ -(?P<old>\d{1,9})(?:,(?P<olds>\d{1,9}))? \+(?P<new>\d{1,9})(?:,(?P<news>\d{1,9}))? @@ ?(?P<heading>.*)",
    re.ASCII,
)
_GIT_HEADER = re.compile(r"diff --git (?P<old>\"(?:[^\"\\]|\\.)*\"|a/.*?) (?P<new>\"(?:[^\"\\]|\\.)*\"|b/.*)")
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class DiffLine(NamedTuple):
    """One line of a hunk without its sign and end; `old` and `new` are its 1-based numbers, None where it is absent."""

    kind: LineKind
    text: str
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class Hunk:
    old_start: int
    new_start: int
    heading: str
    lines: tuple[DiffLine, ...]

    @property
    def before(self) -> tuple[DiffLine, ...]:
        return tuple(line for line in self.lines if line.kind != "added")

    @property
    def after(self) -> tuple[DiffLine, ...]:
        return tuple(line for line in self.lines if line.kind != "removed")


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file. A path is None on the side where the file does not exist, and on both for a hunk without a header."""

    old_path: str | None
    new_path: str | None
    hunks: tuple[Hunk, ...] = ()
    binary: bool = False

    @property
    def path(self) -> str | None:
        return self.new_path or self.old_path


@dataclass(frozen=True, slots=True)
class Diff:
    """`notes` say what was skipped, one sentence each."""

    files: tuple[FileDiff, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _OpenFile:
    """A file that is still being read."""

    old_path: str | None = None
    new_path: str | None = None
    hunks: list[Hunk] = field(default_factory=list)
    binary: bool = False

    def closed(self) -> FileDiff:
        return FileDiff(self.old_path, self.new_path, tuple(self.hunks), self.binary)


def parse_diff(text: str) -> Diff:
    """Read a git or plain unified diff; text that holds none gives no files.

    A combined diff (`diff --cc`) is skipped with a note: its hunks have one sign column a parent.
    """
    return _Reader(text).read()


class _Reader:
    """One pass over the lines; every method either moves `_at` forward or returns without a claim on the line."""

    def __init__(self, text: str) -> None:
        self._lines = [line.removesuffix("\r") for line in text.split("\n")]
        self._at = 0
        self._files: list[_OpenFile] = []
        self._notes: list[str] = []
        self._skipping = False

    def read(self) -> Diff:
        while self._at < len(self._lines):
            self._read_one(self._lines[self._at])
        return Diff(tuple(file.closed() for file in self._files), tuple(self._notes))

    def _read_one(self, line: str) -> None:
        if line.startswith("diff "):
            self._open(line)
        elif self._skipping:
            self._at += 1
        elif line.startswith("@@") and (match := _HUNK.match(line)):
            self._hunk(match)
        elif self._is_plain_header(self._at):
            self._paths(line, self._lines[self._at + 1])
        else:
            self._extended(line)

    def _open(self, line: str) -> None:
        """`diff --git a/x b/x` opens a file; its paths are only a fallback, since a path may hold " b/"."""
        self._at += 1
        self._skipping = line.startswith(("diff --cc ", "diff --combined "))
        if self._skipping:
            self._notes.append(f"A combined diff was skipped: {line.split(' ', 2)[2]}")
            return
        if not line.startswith("diff --git "):
            return
        self._files.append(_OpenFile(*_git_paths(line)))

    def _is_plain_header(self, at: int) -> bool:
        lines = self._lines
        return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")

    def _paths(self, old: str, new: str) -> None:
        """`--- a/x` and `+++ b/x`; they belong to the open git header unless that has hunks already."""
        self._at += 2
        if not self._files or self._files[-1].hunks:
            self._files.append(_OpenFile())
        self._files[-1].old_path = _side(old[4:], "a/")
        self._files[-1].new_path = _side(new[4:], "b/")

    def _extended(self, line: str) -> None:
        """The lines between a git header and its first hunk; anything else is text around the diff."""
        self._at += 1
        if not self._files or self._files[-1].hunks:
            return
        file = self._files[-1]
        if line.startswith("new file mode "):
            file.old_path = None
        elif line.startswith("deleted file mode "):
            file.new_path = None
        elif line.startswith(("rename from ", "copy from ")):
            file.old_path = _unquoted(line.split(" from ", 1)[1])
        elif line.startswith(("rename to ", "copy to ")):
            file.new_path = _unquoted(line.split(" to ", 1)[1])
        elif line == "GIT binary patch" or (line.startswith("Binary files ") and line.endswith(" differ")):
            file.binary = True

    def _hunk(self, header: re.Match[str]) -> None:
        self._at += 1
        if not self._files:
            self._files.append(_OpenFile())
        old, new = int(header["old"]), int(header["new"])
        lines = tuple(self._body(old, new, _count(header["olds"]), _count(header["news"])))
        self._files[-1].hunks.append(Hunk(old, new, header["heading"], lines))

    def _body(self, old: int, new: int, olds: int, news: int) -> Iterator[DiffLine]:
        """The lines of a hunk: by the header's counts first, and past them while a line can only be the hunk's."""
        old_end, new_end = old + olds, new + news
        while self._at < len(self._lines):
            line = self._lines[self._at]
            over = old >= old_end and new >= new_end
            if self._ends_hunk(line, over):
                return
            self._at += 1
            if line.startswith("\\"):
                continue
            kind = _KINDS.get(line[:1], "context")
            yield DiffLine(kind, line[1:], old if kind != "added" else None, new if kind != "removed" else None)
            old += kind != "added"
            new += kind != "removed"

    def _ends_hunk(self, line: str, over: bool) -> bool:
        """Whether `line` is past the hunk. Mail clients strip an empty context line's blank, and models miscount."""
        if not line:
            return over or self._at + 1 == len(self._lines)
        if line[0] not in "+- \\":
            return True
        if line.startswith("--- ") and self._is_plain_header(self._at):
            following = self._lines[self._at + 2] if self._at + 2 < len(self._lines) else ""
            return over or following.startswith("@@ -")
        return over and line == "-- "


def _count(digits: str | None) -> int:
    return 1 if digits is None else int(digits)


def _git_paths(line: str) -> tuple[str | None, str | None]:
    """The two paths of a git header. Without a rename both are equal, which decides where an unquoted path ends."""
    rest = line.removeprefix("diff --git ")
    half = len(rest) // 2
    if rest[half : half + 1] == " " and rest[2:half] == rest[half + 3 :]:
        return _side(rest[:half], "a/"), _side(rest[half + 1 :], "b/")
    match = _GIT_HEADER.fullmatch(line)
    return (_side(match["old"], "a/"), _side(match["new"], "b/")) if match else (None, None)


def _side(path: str, prefix: str) -> str | None:
    """A header's path without its `a/` or `b/`; None for /dev/null. Some tools add a tab and a date."""
    path = path if path.startswith('"') else path.split("\t", 1)[0]
    path = _unquoted(path.strip())
    return None if path == "/dev/null" else path.removeprefix(prefix) or None


def _unquoted(path: str) -> str:
    """git quotes a path that holds a quote, a control character or a byte above 127, the last as octal UTF-8."""
    if len(path) < 2 or not (path.startswith('"') and path.endswith('"')):
        return path
    raw = bytearray()
    end = 0
    inner = path[1:-1]
    for match in _ESCAPE.finditer(inner):
        raw += inner[end : match.start()].encode("utf-8", "replace") + _unescaped(match[1])
        end = match.end()
    return (raw + inner[end:].encode("utf-8", "replace")).decode("utf-8", "replace")


def _unescaped(escape: str) -> bytes:
    if len(escape) == 3:
        return bytes([int(escape, 8) & 0xFF])
    return _ESCAPES.get(escape, escape).encode("utf-8", "replace")
