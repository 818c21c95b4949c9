"""The TODOs that a diff adds, from its comments. Knows no tree: each line is read alone, without its strings."""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from firstpass.evidence.diff import DiffLine, FileDiff, LineKind
from firstpass.evidence.languages import comments_of, language_of

MARKERS = "TODO|FIXME|XXX|HACK"
_MARKER = re.compile(rf"(?<![\w.])(?:{MARKERS})(?:\([^()\n]{{0,80}}\))?(?!\w)\s*[:,-]*\s*(?P<text>.*)")
_STRING = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`"
_SLASHES = re.compile(rf"(?:{_STRING}|[^\"'`])*?(?P<comment>//.*|/\*.*)|^\s*(?P<inside>\*.*)")
_HASH = re.compile(rf"(?:{_STRING}|[^\"'`])*?(?P<comment>#.*)")
_ANY = re.compile(r"(?:^|.*?\s)(?P<comment>(?:#|//|/\*|\*|--|;|%|<!--|\{#).*)")
_MARKUP = re.compile(r".*?(?P<comment><!--.*)")
_MARKUP_SUFFIXES = frozenset((".md", ".markdown", ".html", ".htm", ".xml", ".vue", ".svelte", ".rst", ".txt"))
_ENDS = re.compile(r"\s*(?:\*+/|-->|#\}).*$")


def added_todos(files: Iterable[FileDiff]) -> tuple[str, ...]:
    """The text after each marker, in order, without repeats; a TODO that also stands on a removed line only moved."""
    files = tuple(files)
    moved = {normalised(text) for file in files for text in _todos(file, "removed")}
    found = {normalised(text): text for file in reversed(files) for text in reversed([*_todos(file, "added")])}
    return tuple(text for key, text in reversed(found.items()) if key not in moved)


def normalised(text: str) -> str:
    """What two TODOs are compared by: letters and digits count, case, spacing and a final stop do not."""
    return " ".join(text.casefold().split()).rstrip(".!:;, ")


def _todos(file: FileDiff, kind: LineKind) -> Iterator[str]:
    for hunk in file.hunks:
        for line in hunk.lines:
            if line.kind == kind and (text := _todo(line, file.path)):
                yield text


def _todo(line: DiffLine, path: str | None) -> str | None:
    """The text of the first marker in the line's comment; an author in parentheses and a colon are left out."""
    if not _MARKER.search(line.text) or len(line.text) > 2_000:
        return None
    comment = _comment_pattern(path).match(line.text) or _ANY.search(line.text)
    marker = _MARKER.search(next((group for group in comment.groups() if group), "")) if comment else None
    return " ".join(_ENDS.sub("", marker["text"]).split()) or None if marker else None


def _comment_pattern(path: str | None) -> re.Pattern[str]:
    language = language_of(path)
    if language is None:
        return _MARKUP if path and PurePosixPath(path).suffix.lower() in _MARKUP_SUFFIXES else _ANY
    return {"hash": _HASH, "slashes": _SLASHES, "any": _ANY}[comments_of(language)]
