"""A hunk as a text that a grammar can read: what its missing surroundings must have opened. Knows no diff and no tree.

A hunk begins anywhere: in a block, an argument list, a docstring, a chain of calls. A frame puts lines before and after
it that open and close what the hunk leaves hanging; the caller keeps the frame that leaves the fewest errors.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from firstpass.evidence.languages import LanguageName


class Frame(NamedTuple):
    """Lines to put before and after a fragment."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


_DEEPEST = 24
"""Levels of nesting that a frame restores; deeper code is read as it stands."""

_ECMASCRIPT_BLOCKS = (("{",), ("class X {", "f() {", "{"), ("x = {",), ("x = {", "f() {", "{"))
_BLOCKS: dict[LanguageName, tuple[tuple[str, ...], ...]] = {
    "javascript": _ECMASCRIPT_BLOCKS,
    "typescript": _ECMASCRIPT_BLOCKS,
    "tsx": _ECMASCRIPT_BLOCKS,
    "go": (("func f() {", "{"), ("var x = T{", "{"), ("type T struct {",)),
    "rust": (("fn f() {", "{"), ("impl X {", "fn f() {", "{"), ("struct X {",)),
    "java": (("class X {", "void f() {", "{"), ("class X {", "class Y {", "void f() {", "{"), ("{",)),
    "kotlin": (
        ("class X {", "fun f() {", "if (x) {"),
        ("fun f() {", "if (x) {"),
        ("class X {", "class Y {", "fun f() {", "if (x) {"),
    ),
}
"""What may open a block, outermost first; the last one repeats."""

_PARAMETERS: dict[LanguageName, str] = {
    "javascript": "function f(", "typescript": "function f(", "tsx": "function f(",
    "go": "func f(", "rust": "fn f(", "java": "void f(", "kotlin": "fun f(",
}  # fmt: skip
"""What may open a list of parameters."""

_OPENERS = {")": "(", "]": "[", "}": "{"}
_CLOSERS = {opener: closer for closer, opener in _OPENERS.items()}
_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"\"\".*?(?:\"\"\"|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.){1,80}'"
    r"|(?<!\\)`(?:[^`\\]|\\.)*+`|[()\[\]{}]",
    re.DOTALL,
)
_TRIPLE = re.compile(r"\"\"\"|'''")


def frames(language: LanguageName, text: str) -> Iterator[Frame]:
    """Frames worth trying when the bare text does not parse, likeliest first; at most nine."""
    return _python_frames(text) if language == "python" else _brace_frames(language, text)


def _python_frames(text: str) -> Iterator[Frame]:
    """Blocks for every indentation that the text falls back to; a docstring or brackets that began or end outside."""
    lines = text.split("\n")
    ladder = _ladder(lines)
    if ladder:
        yield Frame(ladder)
    marks = [(at, mark) for at, line in enumerate(lines) for mark in _TRIPLE.findall(line)]
    if marks:
        at, mark = marks[0]
        argument = "x = f(" if f"{mark})" in lines[at] else ""
        opened = (*_ladder(lines[at:]), _indent(lines[at]) + argument + mark)
        yield Frame(opened)
        yield Frame(ladder, (marks[-1][1],))
        yield Frame(opened, (marks[-1][1],))
    hanging = _hanging(text)
    if hanging.closers or hanging.openers:
        outer = _ladder(lines[text.count("\n", 0, hanging.closers[-1][1]) :]) if hanging.closers else ladder
        yield Frame((*outer, *_opened_python(hanging, outer)), hanging.after)


def _opened_python(hanging: "_Hanging", outer: tuple[str, ...]) -> Iterator[str]:
    """What the unmatched closers close, on one line, a level inside the blocks before it."""
    if hanging.closers:
        indent = f"{_indent(outer[-1])} " if outer else ""
        yield indent + "".join("f(" if closer == ")" else _OPENERS[closer] for closer, _ in reversed(hanging.closers))


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _ladder(lines: list[str]) -> tuple[str, ...]:
    """`if x:` at each indentation below the first line's that a later line returns to, outermost first."""
    rungs: list[str] = []
    for line in lines:
        bare = line.lstrip()
        if bare and bare[0] not in "#)]}" and (not rungs or len(line) - len(bare) < len(rungs[-1])):
            rungs.append(_indent(line))
    return tuple(f"{indent}if x:" for indent in reversed(rungs[1:][-_DEEPEST:]))


def _brace_frames(language: LanguageName, text: str) -> Iterator[Frame]:
    """Every kind of block that unmatched closers may close; the text may be cut in a comment, chain or template."""
    comment = text.find("*/") + 2
    inside = comment > 1 and "/*" not in text[:comment]
    hanging = _hanging(text[comment:] if inside else text)
    after = ("*/", *hanging.after) if text.rfind("/*") > text.rfind("*/") else hanging.after
    first = ("/*",) if inside else ("x",) if text.lstrip().startswith((".", "?.")) else ()
    for levels in _BLOCKS[language]:
        yield Frame((*_opened(levels, hanging, "f("), *first), after)
        if any(closer == ")" for closer, _ in hanging.closers):
            yield Frame((*_opened(levels, hanging, _PARAMETERS[language]), *first), after)
    if text.count("`") % 2:
        yield Frame(("`",), after)
        yield Frame((), ("`",))


def _opened(levels: tuple[str, ...], hanging: "_Hanging", parenthesis: str) -> Iterator[str]:
    """An opener for each closer that the text has too many, the outermost, so last, first."""
    depth = 0
    for closer, _ in reversed(hanging.closers):
        if closer == "}":
            yield levels[min(depth, len(levels) - 1)]
            depth += 1
        else:
            yield parenthesis if closer == ")" else "["
    if not hanging.closers:
        yield from levels[:1]


class _Hanging(NamedTuple):
    """The closers without an opener, with where they stand, and the closers for what was not closed."""

    closers: list[tuple[str, int]]
    openers: list[str]

    @property
    def after(self) -> tuple[str, ...]:
        return tuple(_CLOSERS[opener] for opener in reversed(self.openers))


def _hanging(text: str) -> _Hanging:
    """Strings and comments are left out, in a way that is right for most languages and for most lines."""
    closers: list[tuple[str, int]] = []
    openers: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in _CLOSERS:
            openers.append(token)
        elif token in _OPENERS and openers:
            openers.pop()
        elif token in _OPENERS:
            closers.append((token, match.start()))
    return _Hanging(closers[-_DEEPEST:], openers[-_DEEPEST:])


def unmatched(text: str) -> tuple[list[str], tuple[str, ...]]:
    """(The closers that the text has too many, in its order, those that it has too few, in the order they come)"""
    hanging = _hanging(text)
    return [closer for closer, _ in hanging.closers], hanging.after
