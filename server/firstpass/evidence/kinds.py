"""What kind of file a file of a diff is, by its path and its lines. Knows no grammar and no repository."""

from typing import Literal

from firstpass.evidence.diff import FileDiff

FileKind = Literal[
    "code", "test", "documentation", "changelog", "manifest", "lock", "configuration", "ci", "migration", "generated",
    "vendored", "minified", "binary", "data", "other",
]  # fmt: skip

UNREAD_KINDS: frozenset[FileKind] = frozenset(("lock", "generated", "vendored", "minified", "binary"))
"""Counted and named, never read."""


def kind_of(file: FileDiff) -> FileKind:
    return "binary" if file.binary else "code"
