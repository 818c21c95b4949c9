"""Where a diff may have a new call or TODO, or change a function, by brackets, words and markers alone.

Knows no grammar, model or prompt.

A small model copies well and searches badly. Shown the places to choose from it has only to judge each: whether one is
a definition, a keyword, a comment or a string is left to it. The checks' parser has no part in this.
"""

import re
from collections.abc import Iterator
from itertools import compress

from firstpass.evidence.comments.todos import MARKERS, may_have_marker
from firstpass.evidence.diffs.diff import Diff, Hunk, LineKind
from firstpass.evidence.trees.languages import FIRST, language_of

MOST_CHARACTERS = 48
"""Of the text before a bracket."""

BETWEEN = " ... "

MOST_LINE_CHARACTERS = 200

_SIGNS: dict[LineKind, str] = {"added": "+", "removed": "-", "context": "="}

_OPENING = re.compile(r"(?<![\w$])([^\W\d][\w$]*+|\$[\w$]*+)(?:(?:\?\.|!)?[ \t]{0,4}(?:<[^()]{0,80}>)?\(|![ \t]?[\[{])")
"""A name and its bracket: also `open?.(`, `open<T>(`, and Rust's `open!(`, `open![`, `open! {`."""

_MARKER = re.compile(rf"\b(?:{MARKERS})\b")

_BLOCK_WORDS = "if|for|while|switch|catch|return|match|with|do|try|super|new|await|when|else|elif|loop|unsafe|select"

_DEFINED = (
    re.compile(
        r"\b(?:def|fn|fun|func|function\*?)\s+(?:\([^)]*\)\s*)?(?:<[^>]*>\s*)?(?:[\w<>?]+\.)?(?P<name>[^\W\d][\w$]*)"
    ),
    re.compile(
        r"(?<![\w$])(?P<name>[^\W\d][\w$]*)\s*(?::[^=]{1,80})?[:=]\s*(?:async\s+)?"
        r"(?:function\b|\([^()]*\)\s*(?::[^=]{1,80})?=>|[\w$]+\s*=>)"
    ),
    re.compile(
        rf"^\s*(?!(?:\}}\s*)?(?:{_BLOCK_WORDS})\b)(?:[\w<>\[\],@.?]+\s+){{0,6}}"
        r"(?P<name>#?[^\W\d][\w$]*)\s*(?:<[^()]*>)?\([^;]*\{\s*$"
    ),
)
"""A word that defines, an arrow or a function that is given a name, and a line with brackets that opens a block."""


def openings(parsed: Diff) -> dict[str, str]:
    """By name, the text of an added line up to the name's bracket; names before a bracket on a removed line left out.

    A name that is defined and then called shows both: the text where it stands first and, where that is another, where
    it stands last. The last name of the diff comes first: a reader from left to right knows at each which came before,
    so an answer in the diff's order can follow the list from its end. Only files in a language that the bundled model
    learned, and diffs that name no file.
    """
    gone = {name for text in _texts(parsed, "removed") for name in _OPENING.findall(text)}
    shown: dict[str, list[re.Match[str]]] = {}
    for found in (found for text in _texts(parsed, "added") for found in _OPENING.finditer(text)):
        if found[1] not in gone:
            shown.setdefault(found[1], []).append(found)
    return {
        name: BETWEEN.join(dict.fromkeys((_before(all_found[0]), _before(all_found[-1]))))
        for name, all_found in reversed(shown.items())
    }


def definitions(parsed: Diff) -> dict[str, str]:
    """By name, the functions that a hunk's lines define or its heading names: sign, changed lines until the next, text.

    The sign is @ for a heading and = for a line that stays. Where a name is defined twice both are shown. The last name
    comes first, as `openings` has it, and each text ends with a bracket after the name.
    """
    shown: dict[str, list[str]] = {}
    for file in parsed.files:
        for hunk in file.hunks:
            for name, text in _definitions(hunk):
                shown.setdefault(name, []).append(text)
    return {name: BETWEEN.join(dict.fromkeys((texts[0], texts[-1]))) for name, texts in reversed(shown.items())}


def _definitions(hunk: Hunk) -> list[tuple[str, str]]:
    """(name, text), in the hunk's order."""
    found: list[tuple[str, str, str]] = []
    changed: list[int] = []
    lines = (("@", hunk.heading.strip()), *((_SIGNS[line.kind], line.text) for line in hunk.lines))
    for sign, text in lines:
        if defined := _defined(text):
            found.append((sign, *defined))
            changed.append(0)
        if sign in "+-" and text.strip() and changed:
            changed[-1] += 1
    return [(name, f"{sign}{count} {text}(") for (sign, name, text), count in zip(found, changed, strict=True)]


def _defined(text: str) -> tuple[str, str] | None:
    """(name, text up to its end) of the first function that a line defines."""
    begin = text[:MOST_LINE_CHARACTERS]
    may = "def" in begin or ("f" in begin and "n" in begin), "=>" in begin or "function" in begin, "{" in begin
    for expression in compress(_DEFINED, may):
        for match in expression.finditer(begin):
            if match["name"] not in ("function", "func", "fn"):
                before = text[max(0, match.start("name") - MOST_CHARACTERS) : match.start("name")].lstrip()
                return match["name"], f"{before}{match['name']}"
    return None


def todo_lines(parsed: Diff) -> tuple[str, ...]:
    """The added lines with a marker such as TODO, without their indentation and cut at the right, each once.

    A line that is also removed only moved.
    """
    lines = [
        line
        for file in parsed.files
        for hunk in file.hunks
        if may_have_marker(hunk.text)
        for line in hunk.lines
        if may_have_marker(line.text) and _MARKER.search(line.text)
    ]
    moved = {line.text.strip() for line in lines if line.kind == "removed"}
    added = dict.fromkeys(line.text.strip() for line in lines if line.kind == "added")
    return tuple(text[:MOST_LINE_CHARACTERS] for text in added if text not in moved)


def _texts(parsed: Diff, kind: LineKind) -> Iterator[str]:
    """The lines that may hold an opening."""
    for file in parsed.files:
        if file.path is not None and language_of(file.path) not in FIRST:
            continue
        for hunk in file.hunks:
            for line in hunk.lines:
                if line.kind == kind and ("(" in line.text or "!" in line.text):
                    yield line.text


def _before(found: re.Match[str]) -> str:
    """The text up to the bracket, cut on the left, between runs of letters and digits and never within the name."""
    text = found.string
    begin = max(0, min(found.end() - MOST_CHARACTERS, found.start()))
    while 0 < begin < found.start() and text[begin - 1].isalnum() and text[begin].isalnum():
        begin += 1
    return text[begin : found.end()].strip()
