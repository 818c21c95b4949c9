"""What a diff did, file by file. Knows the diff alone: no prompt, no repository, and not what matters most."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from firstpass.evidence.calls.readable import Readable
from firstpass.evidence.diffs.diff import Diff, FileDiff
from firstpass.evidence.facts.changes import (
    DependencyChange,
    FileVerb,
    MessageChange,
    SettingChange,
    SymbolChange,
)
from firstpass.evidence.facts.configuration import settings_changes
from firstpass.evidence.facts.documents import headings, texts
from firstpass.evidence.facts.imports import imports
from firstpass.evidence.facts.kinds import UNREAD_KINDS, FileKind, why_unread
from firstpass.evidence.facts.manifests import dependencies
from firstpass.evidence.facts.messages import messages
from firstpass.evidence.facts.migrations import operations
from firstpass.evidence.facts.symbols import Changed, changed_symbols, placed
from firstpass.evidence.facts.tests_named import Tests
from firstpass.evidence.trees.languages import LanguageName, is_code, language_of
from firstpass.evidence.trees.reading import Allowance, Kept

__all__ = [
    "DependencyChange",
    "Facts",
    "FileFacts",
    "MessageChange",
    "SettingChange",
    "SymbolChange",
    "read_facts",
]

_SCRIPTS = ("javascript", "typescript", "tsx")
_EXPORTS = re.compile(r"^(?:export|import) ", re.M)
_PROSE: frozenset[FileKind] = frozenset(("documentation", "changelog"))
_SETTINGS: frozenset[FileKind] = frozenset(("configuration", "ci", "manifest"))
_WITH_SYMBOLS: frozenset[FileKind] = frozenset(("code", "test", "migration", "manifest", "configuration"))


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What happened to one file. Everything but its path, kind, verb and counts is empty for a kind that is not read.

    verb: "moved" to another directory, "renamed" in the same one.
    imports_added, imports_removed: as the language writes them, without its keyword.
    headings: of documentation, those above the changes. texts: its added lines.
    operations: of a migration, short phrases.
    tests_added, tests_removed, tests_changed: functions by name, others by their title.
    """

    path: str
    kind: FileKind
    verb: FileVerb
    old_path: str | None = None
    added_lines: int = 0
    removed_lines: int = 0
    symbols: tuple[SymbolChange, ...] = ()
    imports_added: tuple[str, ...] = ()
    imports_removed: tuple[str, ...] = ()
    messages: tuple[MessageChange, ...] = ()
    headings: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    operations: tuple[str, ...] = ()
    tests_added: tuple[str, ...] = ()
    tests_removed: tuple[str, ...] = ()
    tests_changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """files: in the diff's order. notes: what was not read, one sentence each."""

    files: tuple[FileFacts, ...] = ()
    dependencies: tuple[DependencyChange, ...] = ()
    notes: tuple[str, ...] = ()


class SortedFile(NamedTuple):
    """A changed file as it is read, and what kind of file it is."""

    readable: Readable
    kind: FileKind


def read_facts(parsed: Diff, shown: Sequence[SortedFile], kept: Kept) -> Facts:
    """Never raises; bounded in time and size. shown: the diff's files. kept: what others who read it left."""
    allowance = Allowance(kept.seconds, kept)
    files = [one.readable.opened for one in shown]
    kinds = [one.kind for one in shown]
    languages = [_language(one.readable) for one in shown]
    symbols = placed(_symbols(*each, allowance) for each in zip(files, kinds, languages, strict=True))
    read = [_file(*each, allowance) for each in zip(files, kinds, symbols, strict=True)]
    asked = [change for file, kind in zip(files, kinds, strict=True) for change in _asked(file, kind, allowance)]
    slow = ("Some hunks took too long to read; what they changed is not told.",) if allowance.spent else ()
    kept.seconds = allowance.left
    return Facts(
        files=tuple(read),
        dependencies=tuple(asked),
        notes=(*parsed.notes, *filter(None, map(why_unread, files, kinds)), *slow),
    )


def _asked(file: FileDiff, kind: FileKind, allowance: Allowance) -> tuple[DependencyChange, ...]:
    return () if kind in UNREAD_KINDS or allowance.spent else dependencies(file)


def _language(file: Readable) -> LanguageName | None:
    """Of a file's lines as they are opened; None where they are not all code, which is then read by words."""
    if file.language is None or is_code(file.language):
        return file.language
    return file.host if file.language == "notebook" else None


def _symbols(
    file: FileDiff, kind: FileKind, language: LanguageName | None, allowance: Allowance
) -> tuple[Changed, ...]:
    if kind not in _WITH_SYMBOLS:
        return ()
    return changed_symbols(language, file, language in _SCRIPTS and _exports(file), allowance)


def _exports(file: FileDiff) -> bool:
    """Whether it says by a word what others may use: TypeScript does, and a script that has modules."""
    typed = language_of(file.path) in ("typescript", "tsx")
    return typed or any(_EXPORTS.search(hunk.text) for hunk in file.hunks)


def _file(file: FileDiff, kind: FileKind, symbols: tuple[SymbolChange, ...], allowance: Allowance) -> FileFacts:
    kinds = [line.kind for hunk in file.hunks for line in hunk.lines]
    facts = FileFacts(
        path=file.path or "",
        kind=kind,
        verb=_verb(file),
        old_path=file.old_path,
        added_lines=kinds.count("added"),
        removed_lines=kinds.count("removed"),
        symbols=symbols,
    )
    return facts if kind in UNREAD_KINDS or allowance.spent else _with_words(file, facts)


def _with_words(file: FileDiff, facts: FileFacts) -> FileFacts:
    """Also what its lines say without a tree, each kind of file its own."""
    if facts.kind in _PROSE:
        return replace(facts, headings=headings(file), texts=texts(file))
    if facts.kind in _SETTINGS and language_of(file.path) is None:
        names = {change.name for change in dependencies(file)}
        settings = (change for change in settings_changes(file) if change.key.rpartition(".")[2] not in names)
        return replace(facts, settings=tuple(settings))
    added, removed = imports(language_of(file.path), file)
    tests = Tests(file, facts.symbols, facts.kind == "test")
    return replace(
        facts,
        imports_added=added,
        imports_removed=removed,
        messages=messages(file),
        operations=operations(file) if facts.kind == "migration" else (),
        tests_added=tests.first(tests.added),
        tests_removed=tests.first(tests.removed),
        tests_changed=tests.first(tests.changed),
    )


def _verb(file: FileDiff) -> FileVerb:
    if file.old_path is None or file.new_path is None:
        return "removed" if file.old_path else "added" if file.new_path else "changed"
    if file.old_path == file.new_path:
        return "changed"
    return "renamed" if PurePosixPath(file.old_path).parent == PurePosixPath(file.new_path).parent else "moved"
