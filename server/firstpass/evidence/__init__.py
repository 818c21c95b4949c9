"""What a diff really says: its calls, TODOs and names. Knows the text alone: no model, no prompt, no repository."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from firstpass.evidence.calls.in_files import Sides, calls_in_file, sides
from firstpass.evidence.calls.in_hunks import LONGEST_LINE, Call, calls_in
from firstpass.evidence.calls.readable import Readable, readable
from firstpass.evidence.calls.unread import Unread
from firstpass.evidence.comments.todos import added_todos, normalised
from firstpass.evidence.diffs.diff import Diff, DiffLine, FileDiff, Hunk, LineKind, parse_diff
from firstpass.evidence.diffs.identifiers import heading_names, identifiers
from firstpass.evidence.diffs.telltales import listed
from firstpass.evidence.facts.files import Facts, SortedFile, read_facts
from firstpass.evidence.facts.kinds import kind_of, why_unread
from firstpass.evidence.memory import remembered
from firstpass.evidence.trees.languages import LanguageName, language_of
from firstpass.evidence.trees.reading import Allowance, Kept

__all__ = [
    "Diff",
    "DiffLine",
    "Evidence",
    "Facts",
    "FileDiff",
    "Hunk",
    "LanguageName",
    "Unread",
    "facts_of",
    "gather",
    "language_of",
    "languages_in",
    "names_of",
    "normalised",
    "parse_diff",
    "read_diff",
]

_MOST_SECONDS = 1.0
_MOST_TEXTS = 16
_MOST_TEXTS_WITH_TREES = 2

read_diff = remembered(_MOST_TEXTS)(parse_diff)
"""`parse_diff`, once for all that look at the same request: its rules, its prompt and its evidence."""


@remembered(_MOST_TEXTS)
def names_of(diff: str) -> frozenset[str]:
    """The identifier tokens of the diff's lines and paths."""
    return identifiers(read_diff(diff).files)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts of one diff. Names are bare: `a.b.create(x)` is `create`.

    calls: newly introduced, in order of appearance, without repeats.
    perhaps_calls: names that may be new calls too: they stand before a bracket where the text did not parse, or are
        called on removed lines, but of another file.
    removed_calls: all that are called on removed lines, those that only moved included.
    identifiers: every name in the diff's lines and paths, the valid references of an answer.
    headings: further names that only hunk headings have. git prints there what stands before a hunk's first line, and
        the change is often elsewhere: of 257 such names in 1,514 answers, 184 were no function that the commit touched.
    notes: what was not read, one sentence each.
    unread: the files that may have calls which were not read.
    unread_names: the names on the lines of these; whether they are called is not known.
    shown_lines: (path, 1-based number) of the new files' lines that the diff has.
    elsewhere: names that an answer may use although only the diff's repository has them.
    """

    calls: tuple[str, ...] = ()
    removed_calls: tuple[str, ...] = ()
    todos: tuple[str, ...] = ()
    identifiers: frozenset[str] = frozenset()
    headings: frozenset[str] = frozenset()
    perhaps_calls: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    languages: tuple[LanguageName, ...] = ()
    notes: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()
    unread_names: frozenset[str] = frozenset()
    shown_lines: frozenset[tuple[str, int]] = frozenset()
    elsewhere: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All that prose may use."""
        return self.identifiers | self.elsewhere if self.elsewhere else self.identifiers

    def shows(self, path: str, line: int) -> bool:
        """Whether the diff has that line of the new file, changed or as context."""
        return (path, line) in self.shown_lines


@remembered(_MOST_TEXTS)
def gather(diff: str, files: tuple[tuple[str, str], ...] = ()) -> Evidence:
    """Read a diff; never raises. A text that is no diff is evidence of nothing.

    files: (path, text) of changed files as they are now, those that are at hand. Where the diff leads to the text,
    calls are read in the whole file instead of in the hunk.

    A call that stands on a removed line too, in whatever file, only moved and is not new. Parsing takes a second at
    most; what it did not get to is noted. A text that was just read is not read again.
    """
    parsed = read_diff(diff)
    kept = _kept(diff)
    allowance = Allowance(kept.seconds, kept)
    texts = dict(files)
    left_out = {id(one.file): note for one, kind in _sorted_files(diff) if (note := why_unread(one.file, kind))}
    read = [one for one, _ in _sorted_files(diff) if id(one.file) not in left_out]
    whole = [sides(one.file, texts[one.file.path]) if one.file.path in texts else None for one in read]
    pairs = list(zip(read, whole, strict=True))
    added = [tuple(_calls(file, both, "added", allowance)) for file, both in pairs]
    removed = [tuple(_calls(file, both, "removed", allowance)) for file, both in pairs]
    gone = dict.fromkeys(call.name for file in removed for call in file if call.sure)
    new = dict.fromkeys(call.name for file in added for call in file if call.sure and call.name not in gone)
    could = (left_out[id(file)] for file in parsed.files if id(file) in left_out and language_of(file.path))
    slow = ("Some hunks took too long to parse; their calls were not read.",) if allowance.spent else ()
    kept.seconds = allowance.left
    opened = tuple(one.opened for one in read)
    cells = [file for file, one in zip(opened, read, strict=True) if file is not one.file]
    unread = {one.unread: one.file for one in read if one.unread}
    shown = names_of(diff) | identifiers(cells)
    return Evidence(
        calls=tuple(new),
        removed_calls=tuple(gone),
        todos=added_todos(opened),
        identifiers=shown,
        headings=heading_names(parsed.files) - shown,
        perhaps_calls=_perhaps(added, removed).difference(new),
        paths=tuple(dict.fromkeys(path for file in parsed.files for path in (file.old_path, file.new_path) if path)),
        languages=tuple(dict.fromkeys(one.language for one in read if one.language)),
        notes=(*parsed.notes, *_long_lines(parsed.files), *could, *slow, *(one.note for one in read if one.note)),
        unread=tuple(unread),
        unread_names=identifiers(unread.values()) if unread else frozenset(),
        shown_lines=frozenset(_shown(parsed.files)),
    )


@remembered(_MOST_TEXTS)
def facts_of(diff: str) -> Facts:
    """What the diff did, file by file; never raises. A text that was just read is not read again."""
    return read_facts(read_diff(diff), _sorted_files(diff), _kept(diff))


@remembered(_MOST_TEXTS)
def _sorted_files(diff: str) -> tuple[SortedFile, ...]:
    return tuple([SortedFile(readable(file), kind_of(file)) for file in read_diff(diff).files])


@remembered(_MOST_TEXTS_WITH_TREES)
def _kept(_diff: str) -> Kept:
    """Trees are large, and the calls and the facts of a text are mostly asked for one after the other."""
    return Kept(_MOST_SECONDS)


def _long_lines(files: Iterable[FileDiff]) -> tuple[str, ...]:
    """A note of the lines in which neither calls nor TODOs are looked for."""
    found = {
        file.path: long
        for file in files
        if (long := sum(len(line.text) > LONGEST_LINE for hunk in file.hunks for line in hunk.lines))
    }
    many = f"{sum(found.values())} lines" if sum(found.values()) > 1 else "A line"
    what = f"{many} of more than {LONGEST_LINE:,} characters not read for calls and TODOs"
    return (f"{what}: in {listed(found)}",) if found else ()


def languages_in(diff: str) -> frozenset[LanguageName]:
    """Of the changed files that a grammar reads; none where a part of the diff was not read."""
    parsed = read_diff(diff)
    found = (language_of(path) for file in parsed.files for path in (file.old_path, file.new_path) if path)
    return frozenset() if parsed.notes else frozenset(language for language in found if language)


def _shown(files: Iterable[FileDiff]) -> Iterator[tuple[str, int]]:
    for file in files:
        for hunk in file.hunks if file.new_path else ():
            yield from ((file.new_path or "", line.new) for line in hunk.lines if line.new is not None)


def _calls(file: Readable, both: Sides | None, kind: LineKind, allowance: Allowance) -> Iterator[Call]:
    language = file.host
    if language is None:
        return
    code = file.whole(both) if both is not None else None
    if code is not None and (found := calls_in_file(language, file.file, code, kind, allowance)) is not None:
        yield from found
        return
    for side in file.sides(kind):
        yield from calls_in(language, side.lines, kind, allowance, side.heading)


def _perhaps(added: Sequence[tuple[Call, ...]], removed: Sequence[tuple[Call, ...]]) -> frozenset[str]:
    """By file: names on added lines, and none of the same file's removed lines."""
    pairs = ((now, {call.name for call in before}) for now, before in zip(added, removed, strict=True))
    return frozenset(call.name for now, before in pairs for call in now if call.name not in before)
