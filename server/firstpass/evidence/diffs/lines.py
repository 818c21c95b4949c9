"""A diff, once read: its files, their hunks and lines. Knows no way of writing one down, and no language."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

LineKind = Literal["added", "removed", "context"]


class DiffLine(NamedTuple):
    """One line of a hunk without its sign and end; `old` and `new` are its 1-based numbers, None where it is absent.

    Both are None where the hunk does not say where it stands.
    """

    kind: LineKind
    text: str
    old: int | None
    new: int | None


@dataclass(frozen=True)
class Hunk:
    """The starts are 0 where the hunk does not say where it stands.

    Of a combined diff: added is what no parent has, removed what one of them has and the merge has not; a line that
    came from only some parents is context. `old` numbers are the first parent's.
    """

    old_start: int
    new_start: int
    heading: str
    lines: tuple[DiffLine, ...]

    @cached_property
    def before(self) -> tuple[DiffLine, ...]:
        return tuple([line for line in self.lines if line.kind != "added"])

    @cached_property
    def after(self) -> tuple[DiffLine, ...]:
        return tuple([line for line in self.lines if line.kind != "removed"])

    @cached_property
    def text(self) -> str:
        """All lines of both sides: what is not in it is on no line."""
        return "\n".join([line.text for line in self.lines])

    @cached_property
    def kinds(self) -> frozenset[LineKind]:
        return frozenset([line.kind for line in self.lines])


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file. A path is None on the side where the file does not exist, and on both for a hunk without a header.

    perhaps: what its paths may be instead, where the headers do not tell a directory from a prefix.
    """

    old_path: str | None
    new_path: str | None
    hunks: tuple[Hunk, ...] = ()
    binary: bool = False
    perhaps: tuple[str, ...] = ()

    @property
    def path(self) -> str | None:
        return self.new_path or self.old_path


@dataclass(frozen=True, slots=True)
class Diff:
    """notes: what was not read, or is missing, one sentence each: with any, there may be changes that `files` has not.

    unread: whether a part of the text was not read; else the notes say only what is not in it, as of a diff cut short.
    remarks: what the diff says of itself that is not so, and did no harm.
    text: without colours and without what it was wrapped in, the prefixes of `git log --graph` or of a quoted mail.
    preamble: the number of lines of the text before the first that is the diff's.
    """

    files: tuple[FileDiff, ...] = ()
    notes: tuple[str, ...] = ()
    unread: bool = False
    remarks: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    preamble: int = 0
