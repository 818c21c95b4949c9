"""Tests that have a title instead of a name: `it("...")`, `t.Run("...")`, `test "..." do`. Knows no tree."""

import re
from collections.abc import Iterable

from firstpass.evidence.diffs.diff import DiffLine, FileDiff
from firstpass.evidence.facts.by_words import indentation
from firstpass.evidence.facts.changes import MOST_CHARACTERS, SymbolChange

MOST_TESTS = 60
_TITLE = re.compile(
    r"\s*(?:await\s+)?(?:(?P<block>describe|context|suite|feature)|(?:it|test|specify|scenario|fit|xit"
    r"|bench|tap\.test|t\.test|QUnit\.test))"
    r"(?:\.\w+(?:\([^()]{0,80}\))?)*\s*\(?\s*(?P<quote>[\"'`])(?P<title>.*?)(?<!\\)(?P=quote)"
    r"|.{0,80}?\bt\.Run\(\s*\"(?P<run>[^\"]+)\"|\s*(?:@\w{1,60}(?:\([^()]{0,80}\))?\s+){0,4}fun\s+`(?P<named>[^`]+)`|\s*TEST(?:_F|_P)?\("
    r"(?P<first>\w+),\s*(?P<second>\w+)"
)


class Tests:
    """The tests of a file that came, went and changed. titles: whether lines may have some."""

    def __init__(self, file: FileDiff, symbols: Iterable[SymbolChange], titles: bool) -> None:
        self.added: dict[str, None] = {}
        self.removed: dict[str, None] = {}
        self.changed: dict[str, None] = {}
        for symbol in symbols:
            if symbol.test:
                verbs = {"added": self.added, "removed": self.removed, "moved": {}}
                verbs.get(symbol.verb, self.changed)[symbol.name] = None
        for hunk in file.hunks if titles else ():
            self._read(hunk.lines)
        both = [title for title in self.added if title in self.removed]
        for title in both:
            del self.added[title], self.removed[title]
            self.changed[title] = None

    def _read(self, lines: Iterable[DiffLine]) -> None:
        """A changed line belongs to the last test before it that is indented less."""
        open_tests: list[tuple[int, str, bool]] = []
        for line in lines:
            text = line.text[: 2 * MOST_CHARACTERS]
            if not text.strip():
                continue
            indent = indentation(text)
            title = _title(text)
            while open_tests and (indent < open_tests[-1][0] or (title and indent == open_tests[-1][0])):
                open_tests.pop()
            if title:
                open_tests.append((indent, title[0], title[1]))
            if line.kind != "context":
                self._count(line, title, open_tests)

    def _count(self, line: DiffLine, title: tuple[str, bool] | None, open_tests: list[tuple[int, str, bool]]) -> None:
        if title:
            (self.added if line.kind == "added" else self.removed)[title[0]] = None
        elif open_tests and not open_tests[-1][2] and open_tests[-1][1] not in self.added | self.removed:
            self.changed[open_tests[-1][1]] = None

    def first(self, found: dict[str, None]) -> tuple[str, ...]:
        return tuple(found)[:MOST_TESTS]


def _title(text: str) -> tuple[str, bool] | None:
    """(title, whether it is of a group of tests)"""
    quoted = '"' in text or "'" in text or "`" in text
    match = _TITLE.match(text) if quoted or "TEST" in text else None
    if match is None:
        return None
    title = (
        match["title"]
        or match["run"]
        or match["named"]
        or (f"{match['first']}.{match['second']}" if match["first"] else "")
    )
    return (" ".join(title.split())[:MOST_CHARACTERS], bool(match["block"])) if title.strip() else None
