"""What of a hunk is code, what a string and what a comment. Knows words and quotes, no grammar.

A hunk may begin inside a comment or a string of many lines: where it does is guessed from what closes first.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from firstpass.evidence.diffs.diff import DiffLine, FileDiff, Hunk, LineKind
from firstpass.evidence.trees.languages import LanguageName, guessed

Dialect = Literal[
    "python", "javascript", "go", "rust", "java", "kotlin", "csharp", "ruby", "php", "c", "swift", "scala", "shell",
    "settings",
]  # fmt: skip
"""What lines are read as: `settings` are files of keys and values."""

_BY_SUFFIX: dict[str, Dialect] = {
    ".py": "python", ".pyi": "python", ".pyx": "python",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".ts": "javascript",
    ".mts": "javascript", ".cts": "javascript", ".tsx": "javascript", ".vue": "javascript", ".svelte": "javascript",
    ".astro": "javascript",
    ".go": "go", ".rs": "rust", ".java": "java", ".groovy": "java", ".gradle": "java", ".kt": "kotlin",
    ".kts": "kotlin", ".cs": "csharp", ".rb": "ruby", ".rake": "ruby", ".php": "php", ".c": "c", ".h": "c", ".cc": "c",
    ".cpp": "c", ".cxx": "c", ".hpp": "c", ".hh": "c", ".m": "c", ".mm": "c", ".swift": "swift", ".dart": "java",
    ".scala": "scala", ".sc": "scala", ".sh": "shell", ".bash": "shell", ".zsh": "shell", ".ksh": "shell",
    ".yml": "settings", ".yaml": "settings", ".toml": "settings", ".ini": "settings", ".cfg": "settings",
    ".conf": "settings", ".env": "settings", ".properties": "settings", ".tf": "settings", ".tfvars": "settings",
    ".json": "settings", ".json5": "settings", ".jsonc": "settings",
}  # fmt: skip

_SUFFIXES: dict[LanguageName, str] = {
    "python": "py", "javascript": "js", "typescript": "ts", "tsx": "tsx", "go": "go", "rust": "rs", "java": "java",
    "kotlin": "kt",
}  # fmt: skip

_LONGEST = 2_000
"""Characters of a line; longer ones are data."""

_DOUBLE = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
_SINGLE = r"'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?"
_CHARACTER = r"'(?:\\[^\n]{1,9}?|[^'\\\n])'"
_BACKTICKS = r"`[^`\\]*+(?:\\.[^`\\]*+)*+`?"
_BACKTICKS_OF_LINE = r"`[^`\\\n]*+(?:\\.[^`\\\n]*+)*+`?"
_RAW = r"`[^`]*+`?"
_RAW_OF_LINE = r"`[^`\n]*+`?"
_TRIPLE = r'(?P<doc>(?P<mark>"""|\'\'\').*?(?:(?P=mark)|\Z))'
_TEXT_BLOCK = r'""".*?(?:"""|\Z)'
_SLASHES = r"(?P<comment>//[^\n]*+|/\*.*?(?:\*/|\Z))"
_HASH = r"(?P<comment>#[^\n]*+)"
_HASH_APART = r"(?P<comment>(?<![\w$&\\])#[^\n]*+)"
_BOTH = r"(?P<comment>//[^\n]*+|\#(?!\[)[^\n]*+|/\*.*?(?:\*/|\Z))"


def _lexer(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.DOTALL)


_LEXERS: dict[Dialect, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "python": (_lexer(_HASH, _TRIPLE, _DOUBLE, _SINGLE),) * 2,
    "javascript": (
        _lexer(_SLASHES, _DOUBLE, _SINGLE, _BACKTICKS),
        _lexer(_SLASHES, _DOUBLE, _SINGLE, _BACKTICKS_OF_LINE),
    ),
    "go": (_lexer(_SLASHES, _DOUBLE, _CHARACTER, _RAW), _lexer(_SLASHES, _DOUBLE, _CHARACTER, _RAW_OF_LINE)),
    "rust": (_lexer(_SLASHES, _DOUBLE, _CHARACTER),) * 2,
    "java": (_lexer(_SLASHES, _TEXT_BLOCK, _DOUBLE, _CHARACTER),) * 2,
    "kotlin": (_lexer(_SLASHES, _TEXT_BLOCK, _DOUBLE, _CHARACTER),) * 2,
    "csharp": (_lexer(_SLASHES, _DOUBLE, _CHARACTER),) * 2,
    "ruby": (_lexer(_HASH_APART, _DOUBLE, _SINGLE),) * 2,
    "php": (_lexer(_BOTH, _DOUBLE, _SINGLE),) * 2,
    "c": (_lexer(_SLASHES, _DOUBLE, _CHARACTER),) * 2,
    "swift": (_lexer(_SLASHES, _TEXT_BLOCK, _DOUBLE),) * 2,
    "scala": (_lexer(_SLASHES, _TEXT_BLOCK, _DOUBLE, _CHARACTER),) * 2,
    "shell": (_lexer(_HASH_APART, _DOUBLE, _SINGLE),) * 2,
    "settings": (_lexer(_HASH_APART, _DOUBLE, _SINGLE),) * 2,
}
"""One for each dialect, and one for a hunk with an odd number of backticks: there none goes past its line."""

_STARRED = re.compile(r"[ \t]*\*(?:[ \t/*]|$)")
_QUOTES = re.compile(r"[\"'`]")
_CLOSES = re.compile(r"\*/[ \t\r]*(?:$|\{)", re.M)
"""The end of a comment that began above: of a pattern or a glob that is written in code more follows."""
_FENCES = ('"""', "'''")
_WORDY = re.compile(r"\w")


class Side(NamedTuple):
    """One side of a hunk by its lines, all of the same length.

    places: where each line stands in the hunk. lines: as they are. raw: without comments. code: without comments, and
    strings without what is in them. comments: their text, empty where there is none.
    """

    places: Sequence[int]
    lines: Sequence[str]
    raw: Sequence[str]
    code: Sequence[str]
    comments: Sequence[str]


@dataclass(frozen=True)
class Masked:
    """A hunk of a file; each of its sides is read when it is first asked for."""

    hunk: Hunk
    dialect: Dialect

    @cached_property
    def added_text(self) -> str:
        """The added lines as they are, those that are no data."""
        return _joined(self.hunk.lines, "added")

    @cached_property
    def removed_text(self) -> str:
        return _joined(self.hunk.lines, "removed")

    @cached_property
    def before(self) -> Side:
        return _side(self.hunk.lines, "added", self.dialect)

    @cached_property
    def after(self) -> Side:
        return _side(self.hunk.lines, "removed", self.dialect)

    @cached_property
    def runs(self) -> Sequence[int]:
        """Of each place in the hunk, which run of changed lines it is in; 0 for context."""
        return _runs(self.hunk.lines)

    @cached_property
    def nearest(self) -> Sequence[int | None]:
        """Of each place, the 1-based number in the new file of what stands there, or of what is nearest."""
        return _nearest(self.hunk.lines)

    def changed(self, side: Side) -> Iterator[int]:
        """Rows of a side that the diff changes and that are not blank."""
        runs, lines = self.runs, side.lines
        return (row for row, at in enumerate(side.places) if runs[at] and lines[row].strip())

    def added_rows(self, words: Collection[str], may: Callable[[str], object]) -> Iterator[int]:
        """Rows of `after` that hold a word and of which `may` says yes as they stand; no side is read for none."""
        lines = {line for line in lines_with(self.added_text, words) if may(line)}
        return self._rows(self.after, lines) if lines else iter(())

    def removed_rows(self, words: Collection[str], may: Callable[[str], object]) -> Iterator[int]:
        lines = {line for line in lines_with(self.removed_text, words) if may(line)}
        return self._rows(self.before, lines) if lines else iter(())

    def _rows(self, side: Side, lines: Collection[str]) -> Iterator[int]:
        return (row for row in self.changed(side) if side.lines[row] in lines)

    def is_changed(self, side: Side, row: int) -> bool:
        return self.runs[side.places[row]] != 0


def _joined(lines: Sequence[DiffLine], kind: LineKind) -> str:
    return "\n".join(line.text for line in lines if line.kind == kind and len(line.text) <= _LONGEST)


def lines_with(text: str, words: Collection[str]) -> set[str]:
    """The lines of a text that hold one of the words: a search in C, far quicker than to ask each line."""
    found: set[str] = set()
    for word in words:
        at = text.find(word)
        while at >= 0:
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            found.add(text[text.rfind("\n", 0, at) + 1 : end])
            at = text.find(word, end)
    return found


def dialect_of(file: FileDiff) -> Dialect | None:
    """By the suffix, or by the words of a hunk that names no file; None for what is no code."""
    if file.path is not None:
        name = file.path.rpartition("/")[2]
        return _BY_SUFFIX.get(f".{name.rpartition('.')[2].lower()}") or ("settings" if name[:4] == ".env" else None)
    language = guessed("\n".join(line.text for hunk in file.hunks for line in hunk.lines))
    return _BY_SUFFIX[f".{_SUFFIXES[language]}"] if language else None


def _runs(lines: Sequence[DiffLine]) -> list[int]:
    runs: list[int] = []
    run, inside = 0, False
    for line in lines:
        changed = line.kind != "context"
        run += changed and not inside
        inside = changed
        runs.append(run if changed else 0)
    return runs


def _nearest(lines: Sequence[DiffLine]) -> list[int | None]:
    """The next one, and below the last of the new file that one."""
    numbers = [line.new for line in lines]
    following = next((number for number in reversed(numbers) if number is not None), None)
    for at in range(len(numbers) - 1, -1, -1):
        following = numbers[at] or following
        numbers[at] = following
    return numbers


def _side(lines: Sequence[DiffLine], other: str, dialect: Dialect) -> Side:
    places = [at for at, line in enumerate(lines) if line.kind != other]
    texts = [lines[at].text if len(lines[at].text) <= _LONGEST else "" for at in places]
    raw, code, comments = _split("\n".join(texts), dialect)
    return Side(places, texts, raw, code, comments)


def _split(text: str, dialect: Dialect) -> tuple[list[str], list[str], list[str]]:
    """(raw, code, comments), by line."""
    lexer = _LEXERS[dialect][text.count("`") % 2]
    raw: list[str] = []
    code: list[str] = []
    comments: list[str] = []
    end = _inside(text, dialect)
    breaks = "\n" * text.count("\n", 0, end)
    raw.append(breaks)
    code.append(breaks)
    comments.append(text[:end])
    for match in lexer.finditer(text, end):
        between, token = text[end : match.start()], match[0]
        end = match.end()
        raw.append(between)
        code.append(between)
        comments.append("\n" * between.count("\n"))
        breaks = "\n" * token.count("\n")
        if match.lastgroup == "comment" or (match.lastgroup in ("doc", "mark") and _alone(between)):
            raw.append(breaks)
            code.append(breaks)
            comments.append(token)
        else:
            raw.append(token)
            code.append(f"{token[0]}{breaks}{token[0]}")
            comments.append(breaks)
    raw.append(text[end:])
    code.append(text[end:])
    comments.append("\n" * text.count("\n", end))
    return "".join(raw).split("\n"), "".join(code).split("\n"), "".join(comments).split("\n")


def _alone(before: str) -> bool:
    """Whether a triple quote begins a statement: it is a docstring and as good as a comment."""
    return not _WORDY.search(before[before.rfind("\n") + 1 :]) and before.rstrip()[-1:] not in ("(", ",", "=")


def _inside(text: str, dialect: Dialect) -> int:
    """Where the comment or the docstring ends that the text begins in; 0 where it begins in code."""
    if dialect == "python":
        return _docstring_end(text)
    close = text.find("*/")
    if close < 0:
        return 0 if not _STARRED.match(text) or "/*" in text else _starred_end(text)
    if "/*" in text[:close]:
        return 0
    before = text[text.rfind("\n", 0, close) + 1 : close]
    return close + 2 if not _QUOTES.search(before) and _CLOSES.match(text, close) else 0


def _starred_end(text: str) -> int:
    end = 0
    while end < len(text) and _STARRED.match(text, end):
        line_end = text.find("\n", end)
        if line_end < 0:
            return len(text)
        end = line_end + 1
    return max(0, end - 1)


def _docstring_end(text: str) -> int:
    """An odd number of triple quotes leaves one alone: the first closes what began above, unless it opens."""
    for mark in _FENCES:
        if text.count(mark) % 2 == 0:
            continue
        at = text.find(mark)
        line_start = text.rfind("\n", 0, at) + 1
        before, after = text[line_start:at], text[at + 3 :].split("\n", 1)[0]
        above = text[:line_start].rstrip()
        opens = bool(after.strip(" ),.")) or before.rstrip().endswith(("=", "(", ","))
        if not opens and not above.endswith(":"):
            return at + 3
    return 0
