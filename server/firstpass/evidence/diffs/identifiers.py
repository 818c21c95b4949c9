"""Every name that a diff holds: the references that an answer may make. Knows no grammar."""

import re
from collections.abc import Iterable, Iterator

from firstpass.evidence.diffs.diff import FileDiff

LONGEST_NAME = 100

_IDENTIFIER = re.compile(r"[^\W\d][\w$]*|[$]+[\w$]*")
_ASCII_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
"""Finds what the other does where a text is plain ASCII, in less than half of the time: one set begins all matches."""


def identifiers(files: Iterable[FileDiff]) -> frozenset[str]:
    """The identifier tokens of every line and path, words of comments and strings included."""
    return frozenset[str]().union(*(_names(text) for file in files for text in _texts(file)))


def heading_names(files: Iterable[FileDiff]) -> frozenset[str]:
    """The identifier tokens of the hunk headings."""
    return frozenset[str]().union(*(_names(hunk.heading) for file in files for hunk in file.hunks))


def names_in_text(text: str) -> frozenset[str]:
    """The identifier tokens of a text, each at most LONGEST_NAME characters."""
    return frozenset(name for name in _names(text) if len(name) <= LONGEST_NAME)


def names_in_paths(files: Iterable[FileDiff]) -> frozenset[str]:
    return frozenset(name for file in files for path in _paths(file) for name in _names(path))


def _names(text: str) -> list[str]:
    return (_ASCII_IDENTIFIER if text.isascii() else _IDENTIFIER).findall(text)


def _texts(file: FileDiff) -> Iterator[str]:
    yield from _paths(file)
    for hunk in file.hunks:
        yield hunk.text


def _paths(file: FileDiff) -> Iterator[str]:
    return filter(None, (file.old_path, file.new_path))
