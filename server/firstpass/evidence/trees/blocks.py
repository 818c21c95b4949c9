"""What a line of a hunk stands in, and what follows it there, by indentation and words. Knows no grammar."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from firstpass.evidence.trees.masking import Dialect, Side

_CUT = 400
"""Characters of a line that patterns see."""
_MOST_ABOVE = 400
"""Definitions above a line that may be what it stands in."""
_MOST_DECORATORS = 16

_ECMASCRIPT = re.compile(
    r"(?:export\s+)?(?:default\s+)?(?:async\s+)?(?:function\*?\s+(?P<a>[\w$]+)|(?:abstract\s+)?class\s+(?P<b>[\w$]+)"
    r"|(?:const|let|var)\s+(?P<c>[\w$]+)\b[^=]{0,80}=\s*(?:async\s*)?(?:function\b|\([^()]{0,200}\)[^=]{0,60}=>"
    r"|[\w$]+\s*=>)"
    r"|(?:[\w$]+\.){1,4}(?P<d>[\w$]+)\s*=\s*(?:async\s*)?(?:function\b|\([^()]{0,200}\)\s*=>)"
    r"|(?:it|test|describe|context|specify)(?:\.\w+)*\s*\(\s*(?P<e>['\"`][^'\"`]{0,120})"
    r"|(?:(?:public|private|protected|static|async|get|set|override|readonly)\s+){0,4}"
    r"(?!(?:if|for|while|switch|catch|return|with|else|function|do|try)\b)(?P<f>#?[\w$]+)\s*"
    r"(?:<[^()]{0,60}>)?\([^;]{0,200}\{\s*$)"
)
_C_LIKE = re.compile(
    r"(?:@\w+(?:\([^)]{0,80}\))?\s+){0,4}(?:(?:public|private|protected|internal|static|final|abstract|override"
    r"|virtual|async|sealed|open|suspend|inline"
    r"|default|synchronized|partial|export)\s+){0,6}(?:(?:class|interface|enum|record|struct|object|namespace)\s+"
    r"(?P<a>\w+)|(?!(?:return|else|new|throw|await|case|goto|if|for|while|switch|catch|using|lock)\b)"
    r"[\w<>\[\],.?:*&]+\s[\s*&]{0,4}(?P<b>[\w:~]+)\s*\([^;=]{0,200}$)"
)
_PATTERNS: dict[Dialect, re.Pattern[str]] = {
    "python": re.compile(r"(?:async\s+)?(?:def|class)\s+(?P<a>\w+)"),
    "javascript": _ECMASCRIPT,
    "go": re.compile(r"func\s+(?:\([^)]{0,80}\)\s*)?(?P<a>\w+)|type\s+(?P<b>\w+)|t\.Run\((?P<c>\"[^\"]{0,80})"),
    "rust": re.compile(
        r"(?:pub(?:\([^)]{0,40}\))?\s+)?(?:default\s+)?(?:const\s+)?(?:async\s+)?(?:unsafe\s+)?(?:extern\s+\S+\s+)?"
        r"(?:fn|struct|enum|trait|mod|union)\s+(?P<a>\w+)|impl\b[^{]{0,80}?(?P<b>\w+)\s*\{"
    ),
    "kotlin": re.compile(
        r"(?:@?\w+(?:\([^)]{0,80}\))?\s+){0,5}?(?:fun\s+(?:<[^>]{0,40}>\s*)?(?:[\w<>?]+\.)?(?P<a>\w+|`[^`]{0,80})"
        r"|(?:class|object|interface)\s+(?P<b>\w+))"
    ),
    "java": _C_LIKE,
    "csharp": _C_LIKE,
    "c": _C_LIKE,
    "ruby": re.compile(
        r"def\s+(?:self\.)?(?P<a>\w+[?!]?)|(?:class|module)\s+(?P<b>[\w:]+)|(?:it|describe|context"
        r"|test)\s+(?P<c>['\"][^'\"]{0,80})"
    ),
    "php": re.compile(
        r"(?:(?:public|private|protected|static|final|abstract)\s+){0,4}(?:function\s+&?(?P<a>\w+)|(?:class"
        r"|trait)\s+(?P<b>\w+))"
    ),
    "swift": re.compile(
        r"(?:@?\w+\s+){0,5}?(?:func\s+(?P<a>\w+)|(?:class|struct|enum|extension|protocol)\s+(?P<b>\w+))"
    ),
    "scala": re.compile(r"(?:\w+\s+){0,4}?(?:def\s+(?P<a>\w+)|(?:class|object|trait)\s+(?P<b>\w+))"),
    "shell": re.compile(r"(?:function\s+)?(?P<a>[\w-]+)\s*\(\)"),
}
_HEADING = re.compile(r"(?:def|class|func|fn|fun|function|it|test|void|describe)\b")


class Defined(NamedTuple):
    """What a line of a hunk's side defines; row -1 is the hunk's heading."""

    row: int
    name: str
    indent: int


def indent(line: str) -> int:
    """In blanks; a tab counts as four, which is enough to compare lines of one file."""
    before = line[: len(line) - len(line.lstrip())]
    return len(before) + 3 * before.count("\t")


def defined(dialect: Dialect, line: str) -> str | None:
    """The name of the function, class or test that a line defines."""
    pattern = _PATTERNS.get(dialect)
    found = pattern.match(line[:_CUT].lstrip()) if pattern else None
    return next((name.strip("'\"`") for name in found.groups() if name), None) if found else None


def definitions(dialect: Dialect, side: Side, heading: str) -> list[Defined]:
    """In order; the heading's first."""
    found = [Defined(row, name, indent(line)) for row, line in enumerate(side.raw) if (name := defined(dialect, line))]
    above = defined(dialect, heading) if heading else None
    return [Defined(-1, above, 0), *found] if above else found


def owners(found: Sequence[Defined], row: int, at_indent: int) -> Iterator[Defined]:
    """What a line stands in, innermost first."""
    last = bisect_left(found, row, key=_row)
    inner = at_indent
    for at in range(last - 1, max(-1, last - _MOST_ABOVE), -1):
        one = found[at]
        if one.indent < inner or one.row < 0:
            yield one
            inner = one.indent
        if inner == 0 and found[0].row >= 0:
            return


def target(found: Sequence[Defined], row: int, at_indent: int) -> Defined | None:
    """What a decorator above it decorates."""
    at = bisect_left(found, row, key=_row)
    if at == len(found) or found[at].row - row >= _MOST_DECORATORS:
        return None
    return found[at] if found[at].indent == at_indent else None


def _row(one: Defined) -> int:
    return one.row


def body(side: Side, row: int) -> list[int]:
    """The rows inside the block that a row opens."""
    edge = indent(side.lines[row])
    rows: list[int] = []
    for at in range(row + 1, min(len(side.lines), row + 200)):
        line = side.lines[at]
        if line.strip() and indent(line) <= edge:
            break
        if is_code(side.code[at]):
            rows.append(at)
    return rows


def followers(side: Side, row: int) -> tuple[list[int], bool]:
    """The rows of code below a row's own block, up to the end of the block that it stands in; whether the end shows."""
    edge = indent(side.lines[row])
    rows: list[int] = []
    for at in range(row + 1, min(len(side.lines), row + 200)):
        line = side.lines[at]
        if line.strip() and indent(line) < edge:
            return rows, True
        if indent(line) == edge and is_code(side.code[at]) and not _CONTINUED.match(line.lstrip()):
            rows.append(at)
    return rows, False


_CONTINUED = re.compile(r"[})\]]|(?:else|elif|except|finally|catch|rescue|ensure)\b")
_TELLING = re.compile(r"\w")


def is_code(code: str) -> bool:
    """Whether a line, its comments blanked, has more than brackets."""
    return _TELLING.search(code) is not None


_FORMATTED = {ord(letter): None for letter in " \t\r\f\v"} | {ord("'"): '"'}


def squeezed(line: str) -> str:
    """A line without what a formatter changes; of joined lines all."""
    return line.translate(_FORMATTED).rstrip(";,")


def all_squeezed(text: str) -> frozenset[str]:
    """The lines of a text, squeezed, each also without what may be a comment at its end."""
    lines = text.translate(_FORMATTED).split("\n")
    bare = (line.partition(sign)[0] for sign in ("#", "//") if sign in text for line in lines if sign in line)
    return frozenset(line.rstrip(";,") for line in (*lines, *bare))
