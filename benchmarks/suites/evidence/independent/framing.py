"""What may stand around a hunk of which no version has the surroundings. Knows no call and no label.

A frame is text before and after the lines, so that each bracket is closed. Several may make sense of the same lines;
which do, the front end says, and whoever asks must see whether they agree: `Wolf(x)` is a call in a function and none
in an enum. Frames are tried in an order that says nothing about which is right.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_FRAMES = 800
_MOST_OUTSIDE = 3
"""Brackets that are open before the hunk and still after it."""

_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSING = {opened: closed for closed, opened in _PAIRS.items()}

_QUOTED = {
    "python": r'"""(?s:.*?)"""|\'\'\'(?s:.*?)\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*',
    "rust": r'r(#*)"(?s:.*?)"\1|"(?s:\\.|[^"\\])*"|\'(?:\\[^\n\']*|[^\\\'\n])\'|//[^\n]*|/\*(?s:.*?)\*/',
    "go": r'`[^`]*`|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*(?s:.*?)\*/',
}
_QUOTED["javascript"] = _QUOTED["typescript"] = _QUOTED["go"]

_TOP, _DOES, _VALUES, _ARMS, _FIELDS = "top", "does", "values", "arms", "fields"
_INSIDE: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "go": {
        _TOP: (
            ("func f() {", _DOES), ("type T struct {", _FIELDS), ("type T interface {", _FIELDS),
            ("var x = T{", _VALUES), ("import (", _FIELDS), ("var (", _DOES), ("const (", _DOES), ("type (", "types"),
        ),
        "types": (("T struct {", _FIELDS), ("T interface {", _FIELDS)),
        _DOES: (
            ("if x {", _DOES), ("x := func() {", _DOES), ("switch x {", _ARMS), ("switch x {\ncase x:", _DOES),
            ("f(", _VALUES), ("x := T{", _VALUES), ("select {", _ARMS),
        ),
        _VALUES: (("f(", _VALUES), ("T{", _VALUES), ("{", _VALUES), ("func() {", _DOES)),
    },
    "rust": {
        _TOP: (
            ("impl X {", _TOP), ("fn f() {", _DOES), ("mod x {", _TOP), ("enum X {", _FIELDS), ("struct X {", _FIELDS),
            ("fn f(", _FIELDS), ("use x::{", _FIELDS), ("const X: X = f(", _VALUES), ("const X: X = &[", _VALUES),
        ),
        _DOES: (
            ("if x {", _DOES), ("match x {", _ARMS), ("match x { x => {", _DOES), ("x = X {", "named"),
            ("f(", _VALUES), ("m!(", _VALUES), ("[", _VALUES), ("x = || {", _DOES),
        ),
        _ARMS: (("x => {", _DOES), ("x => f(", _VALUES)),
        _VALUES: (
            ("f(", _VALUES), ("X {", "named"), ("|x| {", _DOES), ("match x {", _ARMS), ("[", _VALUES),
            ("if x {", _DOES),
        ),
        "named": (("x: f(", _VALUES), ("x: X {", "named"), ("x: {", _DOES), ("x: match x {", _ARMS)),
    },
    "python": {
        _TOP: (
            ("f(", _VALUES), ("x = [", _VALUES), ("x = {", _VALUES), ("from x import (", _VALUES), ("def f(", _VALUES),
        ),
        _VALUES: (("f(", _VALUES), ("[", _VALUES), ("{", _VALUES), ("x={", _VALUES)),
    },
    "javascript": {
        _TOP: (
            ("if (x) {", _TOP), ("try {", _TOP), ("function* f() {", _TOP), ("class X {", "members"),
            ("switch (x) {", _ARMS), ("switch (x) { case x:", _TOP), ("f(", _VALUES), ("x = {", "named"),
            ("x = [", _VALUES), ("import {", _FIELDS), ("if (", _VALUES), ("do {", _TOP),
        ),
        "members": (("m() {", _TOP), ("m(", _FIELDS)),
        _VALUES: (("f(", _VALUES), ("() => {", _TOP), ("{", "named"), ("[", _VALUES), ("function () {", _TOP)),
        "named": (("k: f(", _VALUES), ("k: {", "named"), ("k: [", _VALUES), ("k: () => {", _TOP), ("m() {", _TOP)),
    },
}  # fmt: skip
"""By language and place: what may open a bracket there, and which place that is inside."""

_TYPES = (("interface X {", "types"), ("type X = {", "types"), ("declare module 'x' {", _TOP))
_INSIDE["typescript"] = _INSIDE["javascript"] | {
    _TOP: (*_INSIDE["javascript"][_TOP], *_TYPES),
    "types": (("k: {", "types"), ("m(", _FIELDS)),
}
_BOUND = re.compile(r"\s*[A-Z]\w*: .*,$", re.MULTILINE)
_GOES_ON = re.compile(r"\s*(?:[.?&|+*/=<>:-]|as\b|else\b)")
_LISTS = frozenset((_VALUES, "named", _FIELDS))
_QUOTES = '"""'
_UNSURE = "m!("
"""Nothing in it is a call, so it counts only where the lines close it: else all might stand in one."""
_MACRO = re.compile(r"@@[^@]*@@.*\w!(?:\s*[({\[]| \w+ *{)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Loose:
    """Brackets closed and not opened, what follows each, and those opened and not closed; each in its order."""

    closed: list[str]
    follows: list[str]
    opened: list[str]


def frames(language: str, lines: Sequence[str], heading: str) -> Iterator[tuple[str, str]]:
    """(text before the lines, text after), each with its line ends; none where no frame could be right."""
    if language not in _INSIDE:
        return iter(())
    if language == "rust" and _MACRO.match(heading):
        return _in_macro(lines)
    make = _by_indents(lines) if language == "python" else _by_brackets(language, lines)
    return itertools.islice(make, MOST_FRAMES)


def _in_macro(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The heading is an unindented line before them, so they begin in that macro, and leave it where they close it."""
    for opening, closing in _cut("rust", "\n".join(lines)):
        whole = opening + "\n".join(lines) + closing
        loose = _loose("rust", whole)
        before = "m!(" + "".join(_PAIRS[one] for one in reversed(loose.closed))
        if any(re.match(r"[)\]}]", line) for line in lines):
            before = before.replace("(", "", 1)
        after = "".join(_CLOSING[one] for one in reversed(_loose("rust", before + whole).opened))
        for end in ("", ";", " {}"):
            yield f"{before}{opening}\n", f"{closing}\n{after}{end}\n"


def _by_brackets(language: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    text = "\n".join(lines)
    head = "package p\n" if language == "go" and not text.lstrip().startswith("package ") else ""
    begins = ("fn f() where ", "x", "") if _BOUND.match(text) else ("x", "") if _GOES_ON.match(text) else ("",)
    for opening, closing in _cut(language, text):
        whole = opening + text + closing
        loose = _loose(language, whole)
        for outside in range(_MOST_OUTSIDE + 1):
            for path in _paths(_INSIDE[language], _TOP, len(loose.closed) + outside, loose):
                before = head + " ".join(path)
                opened = _loose(language, f"{before}\n{whole}").opened
                for begin, end in itertools.product(begins, _ends(opened, len(loose.opened), text)):
                    yield f"{before}{begin}{opening}\n", closing + end


def _cut(language: str, text: str) -> tuple[tuple[str, str], ...]:
    """What opens a comment or string that began before the lines, and what closes one that goes on after them."""
    plain = re.sub(_QUOTED[language], "", text)
    if "*/" in plain:
        return (("/*", ""),)
    return (('"', ""), ("", '"')) if language == "rust" and '"' in plain else (("", ""),)


def _bracket(opener: str) -> str:
    """The one that the text leaves open at its end."""
    return next(char for char in reversed(opener) if char in _CLOSING)


def _paths(
    inside: dict[str, tuple[tuple[str, str], ...]], place: str, length: int, loose: _Loose
) -> Iterator[tuple[str, ...]]:
    """Texts that open brackets one in another, the innermost of which the lines close, in their order."""
    if length == 0:
        yield ()
        return
    closes = length <= len(loose.closed)
    if closes and not _may_follow(loose.follows[length - 1], place):
        return
    for opener, next_place in inside.get(place, ()):
        if (not closes and opener != _UNSURE) or (closes and _bracket(opener) == _PAIRS[loose.closed[length - 1]]):
            yield from ((opener, *rest) for rest in _paths(inside, next_place, length - 1, loose))


def _may_follow(char: str, place: str) -> bool:
    """Whether what stands after a closing bracket can stand in such a place: lists have commas, statements none."""
    if char == ",":
        return place in _LISTS or place in ("arms", "types")
    return place not in _LISTS or not (char == ";" or char.isidentifier())


def _ends(opened: Sequence[str], own: int, text: str) -> Iterator[str]:
    """What closes all brackets; the last `own` of them are the lines'. A line may want an operand or a body first."""
    closing = [_CLOSING[one] for one in reversed(opened)]
    mine, others = "".join(closing[:own]), "\n".join(closing[own:])
    unfinished = re.search(r"(?:[=+*/&|.<>!?:-]|\breturn)\s*$", text)
    bodies = f"{mine[:1]} {{}};{mine[1:]}" if mine else ""
    ended = (mine, mine.replace("}", ";}"), re.sub(r"}(?![)\]])", "};", mine), f"{mine} {{}}", f"{mine};", bodies)
    for want, end in itertools.product(("", "x", "x {}") if unfinished else ("", "{}"), dict.fromkeys(ended)):
        yield f"\n{want}{end}\n{others}\n"
        if mine[:1] in (")", "]"):  # Go wants a comma before a line that begins so
            yield f"{want}{end}\n{others}\n"
    for at in (match.end() for match in re.finditer("}", mine) if "try {" in text):
        yield f"\n{mine[:at]} catch {{}}{mine[at:]}\n{others}\n"


def _by_indents(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A text in quotes may have begun before the lines, or go on after them, or both."""
    quotes = [at for at, line in enumerate(lines) if line.count(_QUOTES) % 2]
    if len(quotes) % 2 == 0:
        yield from _in_blocks(lines)
    for begins, ends in ((1, 0), (0, 1)) if len(quotes) % 2 else ((1, 1),) if quotes else ():
        first, last = quotes[0] + 1 if begins else 0, quotes[-1] if ends else len(lines)
        opening = f"{_indent(lines[first - 1])}{_QUOTES}\n" if begins else ""
        for before, after in _in_blocks(lines[first:last] or [f"{_indent(lines[quotes[0]])}pass"]):
            yield before + opening, f"{_QUOTES}{after}" if ends else after


def _in_blocks(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """An opening line for each indentation that the lines fall back to."""
    loose = _loose("python", "\n".join(lines))
    written = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not written:
        return
    first = _width(written[0])
    start = _blocks(written, first)
    if re.match(r"\s*(?:elif|else|except|finally)\b", written[0]):
        indent = _indent(written[0])
        start += f"{indent}{_before(written[0])}\n{indent} pass\n"
    closing = "".join(_CLOSING[one] for one in reversed(loose.opened))
    last = _indent(written[-1])
    tries = [_indent(line) for line in written if line.strip() == "try:"]
    caught = "".join(f"\n{indent}except X: pass" for indent in reversed(tries))
    deeper = f"\n{last}    pass"
    ends = ("", closing, f"{closing}:", deeper, f"\n{last}pass", f"{closing}:{deeper}", f"x{closing}", f"\n{closing}")
    levels = sorted({_width(line): line for line in written[1:]}.items())
    for outside in range(2):
        for path in _paths(_INSIDE["python"], _TOP, len(loose.closed) + outside, loose):
            rest = "".join(_CLOSING[_bracket(one)] for one in reversed(path[:outside]))
            begins = [_blocks(written[1:], width) + _indent(line) + " ".join(path) + "\n" for width, line in levels]
            for begin, end in itertools.product(begins or [" ".join(path)] if path else [start], ends):
                yield begin, f"{end}{rest}{caught}\n"
                yield begin, f"{end}{rest}\n"


def _blocks(written: Sequence[str], first: int) -> str:
    """A line that opens a block at each level that the lines fall back to from the first one's."""
    blocks: dict[int, str] = {}
    for line in written:
        if _width(line) < min((first, *blocks)):
            blocks[_width(line)] = _indent(line) + _before(line)
    if first and 0 not in blocks:
        blocks[0] = "if x:"
    return "".join(f"{blocks[width]}\n" for width in sorted(blocks))


def _indent(line: str) -> str:
    return line[: _width(line)]


def _width(line: str) -> int:
    return len(line) - len(line.lstrip())


def _before(line: str) -> str:
    return "try:" if line.lstrip().startswith(("except", "finally")) else "if x:"


def _loose(language: str, text: str) -> _Loose:
    loose = _Loose([], [], [])
    plain = re.sub(_QUOTED[language], "", text)
    for at, char in enumerate(plain):
        if char in _CLOSING:
            loose.opened.append(char)
        elif char in _PAIRS and loose.opened:
            loose.opened.pop()
        elif char in _PAIRS:
            loose.closed.append(char)
            loose.follows.append(plain[at + 1 :].lstrip()[:1])
    return loose
