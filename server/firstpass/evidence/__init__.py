"""What a diff really says: its calls, TODOs and names. Knows the text alone: no model, no prompt, no repository."""

from collections.abc import Iterator
from dataclasses import dataclass

from firstpass.evidence.calls import calls_in
from firstpass.evidence.diff import Diff, DiffLine, FileDiff, Hunk, LineKind, parse_diff
from firstpass.evidence.identifiers import identifiers
from firstpass.evidence.languages import LanguageName, guessed, language_of
from firstpass.evidence.reading import Allowance
from firstpass.evidence.todos import added_todos, normalised

__all__ = [
    "Diff",
    "DiffLine",
    "Evidence",
    "FileDiff",
    "Hunk",
    "LanguageName",
    "gather",
    "language_of",
    "normalised",
    "parse_diff",
]

_MOST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts of one diff. Names are bare: `a.b.create(x)` is `create`.

    calls: newly introduced, in order of appearance, without repeats.
    removed_calls: all that are called on removed lines, those that only moved included.
    identifiers: every name in the diff, the valid references of an answer.
    notes: what was not read, one sentence each.
    """

    calls: tuple[str, ...] = ()
    removed_calls: tuple[str, ...] = ()
    todos: tuple[str, ...] = ()
    identifiers: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    languages: tuple[LanguageName, ...] = ()
    notes: tuple[str, ...] = ()


def gather(diff: str) -> Evidence:
    """Read a diff; never raises. A text that is no diff is evidence of nothing.

    A call that stands on a removed line too, in whatever file, only moved and is not new. Parsing takes a second at
    most; what it did not get to is noted.
    """
    parsed = parse_diff(diff)
    allowance = Allowance(_MOST_SECONDS)
    added = dict.fromkeys(_calls(parsed.files, "added", allowance))
    removed = dict.fromkeys(_calls(parsed.files, "removed", allowance))
    unread = ("Some hunks took too long to parse; their calls were not read.",) if allowance.spent else ()
    return Evidence(
        calls=tuple(name for name in added if name not in removed),
        removed_calls=tuple(removed),
        todos=added_todos(parsed.files),
        identifiers=identifiers(parsed.files),
        paths=tuple(dict.fromkeys(path for file in parsed.files for path in (file.old_path, file.new_path) if path)),
        languages=tuple(dict.fromkeys(filter(None, map(_language, parsed.files)))),
        notes=parsed.notes + unread,
    )


def _calls(files: tuple[FileDiff, ...], kind: LineKind, allowance: Allowance) -> Iterator[str]:
    for file in files:
        language = _language(file)
        if language is None:
            continue
        for hunk in file.hunks:
            yield from calls_in(language, hunk.after if kind == "added" else hunk.before, kind, allowance)


def _language(file: FileDiff) -> LanguageName | None:
    if file.path is not None:
        return language_of(file.path)
    return guessed("\n".join(line.text for hunk in file.hunks for line in hunk.after))
