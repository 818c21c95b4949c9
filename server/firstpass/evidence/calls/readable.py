"""A changed file as it is read: in which language, and the lines of its hunks as code. Knows no tree.

Most files are code as they stand. Of a component or a notebook only parts are, and a hunk may not show which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from firstpass.evidence.calls.in_files import Sides
from firstpass.evidence.calls.unread import UNCLEAR, Unread, without_grammar
from firstpass.evidence.diffs.diff import DiffLine, FileDiff, LineKind
from firstpass.evidence.trees.grammars.cells import cell_texts, other_kernel
from firstpass.evidence.trees.languages import (
    LanguageName,
    guessed,
    host,
    in_code,
    is_code,
    is_installed,
    language_of,
    narrowed,
)

_KINDS: tuple[LineKind, ...] = ("added", "removed")


class Side(NamedTuple):
    """Lines of a hunk before or after the change, and the hunk's heading."""

    lines: tuple[DiffLine, ...]
    heading: str


@dataclass(frozen=True, slots=True)
class Readable:
    """A changed file.

    language: as its path says; None where no grammar reads it. unread: why not all of its calls can be read.
    """

    file: FileDiff
    language: LanguageName | None
    unread: Unread | None

    @property
    def host(self) -> LanguageName | None:
        """The language that its code is in."""
        return host(self.language) if self.language else None

    def sides(self, kind: LineKind) -> list[Side]:
        """Of each hunk the side with the lines of a kind, as code; a hunk of which that can't be told is left out."""
        sides = [Side(hunk.after if kind == "added" else hunk.before, hunk.heading) for hunk in self.file.hunks]
        if self.language is None or is_code(self.language):
            return sides if self.language else []
        return [Side(code, "") for side in sides if (code := _as_code(self.language, side.lines)) is not None]

    def whole(self, both: Sides) -> Sides | None:
        """The whole file before and after as code, line by line."""
        if self.language is None or is_code(self.language):
            return both
        before, after = (in_code(self.language, text.split("\n")) for text in both)
        return Sides("\n".join(before), "\n".join(after)) if before is not None and after is not None else None

    @property
    def opened(self) -> FileDiff:
        """The file for who reads its lines as text: those of a notebook's code cells as code, its others empty."""
        if self.language != "notebook":
            return self.file
        hunks = (replace(hunk, lines=_with(hunk.lines, cell_texts(_texts(hunk.lines)))) for hunk in self.file.hunks)
        return replace(self.file, hunks=tuple(hunks))

    @property
    def note(self) -> str | None:
        """What is to be said of a file that was read, but not as a whole."""
        if self.language != "notebook" or not self.file.hunks:
            return None
        return f"{self.file.path} is a notebook: only what its hunks show of code cells was read."


def readable(file: FileDiff) -> Readable:
    language = _language(file)
    if language is None:
        return Readable(file, None, without_grammar(file))
    if not is_installed(language):
        return Readable(file, None, Unread(file.path or "", f"the grammar of {language} is not installed"))
    if language == "notebook" and (
        kernel := other_kernel([text for hunk in file.hunks for text in _texts(hunk.lines)])
    ):
        return Readable(file, None, Unread(file.path or "", f"a notebook whose kernel is {kernel}"))
    whole = Readable(file, language, None)
    if is_code(language) or all(len(whole.sides(kind)) == len(file.hunks) for kind in _KINDS):
        return whole
    return replace(whole, unread=Unread(file.path or "", UNCLEAR))


def _language(file: FileDiff) -> LanguageName | None:
    if file.path is None:
        return guessed("\n".join(line.text for hunk in file.hunks for line in hunk.after))
    return narrowed(language_of(file.path), file.path, (line.text for hunk in file.hunks for line in hunk.lines))


def _as_code(language: LanguageName, lines: tuple[DiffLine, ...]) -> tuple[DiffLine, ...] | None:
    code = in_code(language, _texts(lines))
    return None if code is None else _with(lines, code)


def _texts(lines: Sequence[DiffLine]) -> list[str]:
    return [line.text for line in lines]


def _with(lines: Sequence[DiffLine], texts: Sequence[str]) -> tuple[DiffLine, ...]:
    return tuple(line._replace(text=text) for line, text in zip(lines, texts, strict=True))
