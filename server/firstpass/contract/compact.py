"""A diff with less to read: what changed, one line around it, each file's path once. Knows no model and no prompt.

A hunk's line numbers, blob hashes, repeated paths and far context are half of a diff's tokens, and no section of an
answer needs them. Every added and removed line stays.
"""

from collections.abc import Iterator

from firstpass.contract.quoted import unbroken
from firstpass.evidence import Diff, DiffLine, FileDiff, Hunk

_SIGNS = {"added": "+", "removed": "-", "context": " "}


def compact(diff: str, parsed: Diff) -> str:
    """The diff in short form; text that is no diff, or was not read whole, as it is but for a terminal's colours.

    A file is `diff path`, with ` (new)`, ` (deleted)`, ` (binary)` or `old => new`; a run of changes is `@@ heading`,
    the lines with their signs, and the line of context on either side.
    """
    return _short(diff, parsed, numbers=False)


def numbered(diff: str, parsed: Diff) -> str:
    """The same with each line's number in the new file before it; a removed line has none."""
    return _short(diff, parsed, numbers=True)


def _short(diff: str, parsed: Diff, *, numbers: bool) -> str:
    if not parsed.files or parsed.unread:
        return parsed.text or diff
    return "\n".join([*_preamble(parsed), *(line for file in parsed.files for line in _file(file, numbers))])


def _preamble(parsed: Diff) -> Iterator[str]:
    """The text before the first file: a mail's subject, a commit message."""
    yield from filter(str.strip, parsed.text.split("\n", parsed.preamble)[: parsed.preamble])


def _file(file: FileDiff, numbers: bool) -> Iterator[str]:
    if file.path is not None:
        yield f"diff {unbroken(_path(file))}{' (binary)' if file.binary else ''}"
    for hunk in file.hunks:
        yield from _hunk(hunk, numbers)


def _path(file: FileDiff) -> str:
    if file.old_path is None:
        return f"{file.new_path} (new)"
    if file.new_path is None:
        return f"{file.old_path} (deleted)"
    return file.new_path if file.old_path == file.new_path else f"{file.old_path} => {file.new_path}"


def _hunk(hunk: Hunk, numbers: bool) -> Iterator[str]:
    lines = hunk.lines
    changed = {place for place, line in enumerate(lines) if line.kind != "context"}
    kept = [place for place, line in enumerate(lines) if place in changed or _is_beside(place, line, changed)]
    heading = f"@@ {hunk.heading.strip()}".rstrip()
    last = None
    for place in kept:
        if last is None or place > last + 1:
            yield heading if last is None else "@@"
        number = f"{lines[place].new or '':>5} " if numbers else ""
        yield f"{number}{_SIGNS[lines[place].kind]}{lines[place].text}"
        last = place


def _is_beside(place: int, line: DiffLine, changed: set[int]) -> bool:
    return bool(line.text.strip()) and not changed.isdisjoint((place - 1, place + 1))
