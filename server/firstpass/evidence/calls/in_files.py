"""A changed file as a whole, before and after: what a hunk alone may mislead about. Knows no disk and no repository.

A hunk can begin inside a string or a comment that its context does not show. Where the whole new file is at hand, the
old one follows from it and the diff, and both are read instead.
"""

from collections.abc import Iterator
from typing import NamedTuple

from firstpass.evidence.calls.in_hunks import PROVIDED, Call, called
from firstpass.evidence.diffs.diff import FileDiff, LineKind
from firstpass.evidence.trees.languages import LanguageName, grammar
from firstpass.evidence.trees.reading import Allowance, captured


class Sides(NamedTuple):
    """A file's text before a change and after it."""

    before: str
    after: str


def sides(file: FileDiff, text: str) -> Sides | None:
    """text: the file now. None where the diff does not lead to it: another version, or a file that goes."""
    if file.new_path is None:
        return None
    lines = text.replace("\r\n", "\n").split("\n")
    before = lines.copy()
    for hunk in reversed(file.hunks):
        after = [line.text for line in hunk.after]
        begin = max(0, hunk.new_start - bool(after))
        if lines[begin : begin + len(after)] != after:
            return None
        before[begin : begin + len(after)] = [line.text for line in hunk.before]
    for hunk in file.hunks:  # The numbers of the old side are right only where no other hunk is missing.
        shown = [line.text for line in hunk.before]
        begin = hunk.old_start - bool(shown)
        if before[begin : begin + len(shown)] != shown:
            return None
    return Sides("\n".join(before), "\n".join(lines))


def calls_in_file(
    language: LanguageName, file: FileDiff, both: Sides, kind: LineKind, allowance: Allowance
) -> Iterator[Call] | None:
    """The calls on the lines of one kind, added or removed, in order, repeats included.

    None where a line of that kind does not parse, or there was no time.
    """
    lines = [line for hunk in file.hunks for line in hunk.lines if line.kind == kind]
    numbers = [number for line in lines if (number := line.new if kind == "added" else line.old) is not None]
    text = both.after if kind == "added" else both.before
    if not numbers:
        return iter(())
    tree = allowance.parse(language, f"{text}\n".encode("utf-8", "replace"))
    if tree is None or any(True for _ in captured(grammar(language).errors, "error", tree, numbers)):
        return None
    nodes = captured(grammar(language).calls, "call", tree, numbers)
    names = map(called, nodes)
    return (Call(name, sure=True) for name in names if name not in PROVIDED[language])
