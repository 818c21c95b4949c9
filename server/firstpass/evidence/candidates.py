"""Where a diff may have a new call or TODO, found by brackets and markers alone. Knows no grammar, model or prompt.

A small model copies well and searches badly. Shown the places to choose from it has only to judge each: whether one is
a definition, a keyword, a comment or a string is left to it. The checks' parser has no part in this.
"""

import re
from collections.abc import Iterator

from firstpass.evidence.diff import Diff, LineKind
from firstpass.evidence.languages import language_of
from firstpass.evidence.todos import MARKERS

MOST_CHARACTERS = 48
"""Of the text before a bracket."""

BETWEEN = " ... "

MOST_LINE_CHARACTERS = 200

_OPENING = re.compile(r"(?<![\w$])([^\W\d][\w$]*|\$[\w$]*)(?:(?:\?\.|!)?[ \t]{0,4}(?:<[^()]{0,80}>)?\(|![ \t]?[\[{])")
"""A name and its bracket: also `open?.(`, `open<T>(`, and Rust's `open!(`, `open![`, `open! {`."""

_MARKER = re.compile(rf"\b(?:{MARKERS})\b")


def openings(parsed: Diff) -> dict[str, str]:
    """By name, the text of an added line up to the name's bracket; names before a bracket on a removed line left out.

    A name that is defined and then called shows both: the text where it stands first and, where that is another, where
    it stands last. The last name of the diff comes first: a reader from left to right knows at each which came before,
    so an answer in the diff's order can follow the list from its end. Only files in a language that the evidence reads,
    and diffs that name no file.
    """
    gone = {name for name, _ in _found(parsed, "removed")}
    shown: dict[str, list[str]] = {}
    for name, text in _found(parsed, "added"):
        if name not in gone:
            shown.setdefault(name, []).append(text)
    return {name: BETWEEN.join(dict.fromkeys((texts[0], texts[-1]))) for name, texts in reversed(shown.items())}


def todo_lines(parsed: Diff) -> tuple[str, ...]:
    """The added lines with a marker such as TODO, without their indentation and cut at the right, each once.

    A line that is also removed only moved.
    """
    lines = [line for file in parsed.files for hunk in file.hunks for line in hunk.lines if _MARKER.search(line.text)]
    moved = {line.text.strip() for line in lines if line.kind == "removed"}
    added = dict.fromkeys(line.text.strip() for line in lines if line.kind == "added")
    return tuple(text[:MOST_LINE_CHARACTERS] for text in added if text not in moved)


def _found(parsed: Diff, kind: LineKind) -> Iterator[tuple[str, str]]:
    """(name, text up to the bracket)"""
    for file in parsed.files:
        if file.path is not None and language_of(file.path) is None:
            continue
        for hunk in file.hunks:
            for line in hunk.lines:
                if line.kind == kind:
                    yield from ((found[1], _before(line.text, found)) for found in _OPENING.finditer(line.text))


def _before(text: str, found: re.Match[str]) -> str:
    """Cut on the left, between runs of letters and digits and never within the name."""
    begin = max(0, min(found.end() - MOST_CHARACTERS, found.start()))
    while 0 < begin < found.start() and text[begin - 1].isalnum() and text[begin].isalnum():
        begin += 1
    return text[begin : found.end()].strip()
