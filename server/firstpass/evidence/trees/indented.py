"""Frames for Python, whose blocks are told by indentation. Knows no diff and no tree."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from firstpass.evidence.trees.skeleton import DEEPEST, OPENERS, Frame, Skeleton, skeleton

_MARK = re.compile(r"\"\"\"|'''")
_DOCTEST = re.compile(r"^[ \t]*+(?:>>>[ ]|\.\.\.[ ]++[^#\s])", re.MULTILINE)
_STATEMENT = re.compile(
    r"[\s]*+(?:(?:async[ ]++)?(?:def|class)[ ]\w|import[ ]\w|from[ ][\w.]++[ ]import\b|@\w|(?:if|for|while|with|elif)[ ][^\n]*:[ ]*+$"  # noqa: E501
    r"|(?:try|else|finally):|return\b|raise[ ]|assert[ ]|pass$|[\w.\[\]]++(?:[ ]*+:[^\n=]*)?[ ]*+[-+|]?=[^\n=]|[\w.]++\([^\n]*\)[ ]*+$)",  # noqa: E501
    re.MULTILINE,
)
"""What is no prose of a docstring."""

_CASE = re.compile(r"case[ \t]++(?!=)[\w\[({\"'*-].*[:(\[{|][ \t]*+$")
_GOES_ON = re.compile(r"(?:(else[ \t]*+:|elif\b)|(except\b|finally[ \t]*+:))")
_HEADER = re.compile(r"(?:async[ \t]++)?(?:def|class|if|elif|for|while|with|match|case|except)\b")
_OPENS_TEXT = re.compile(r"[\"'][\"'][\"'][^\s),.\]}%:;]")
_BEFORE_TEXT = ("(", "=", ",", "[", "{", ":", "+", "%", "return")
_HEADER_FOLLOWS = re.compile(r"[ \t]*+(?:->|:[ \t]*+(?:#.*)?(?:\n|\Z))")
_LOGIC = re.compile(r"^[ \t]*+(?:and|or|not)\b|\b(?:and|or)[ \t]*+$|[=!<>]=", re.MULTILINE)


class _Inside(NamedTuple):
    """mark: the quotes of the string that a text begins inside of, or "". end: where that ends."""

    mark: str
    end: int


def is_apart(text: str) -> bool:
    """Whether a text begins inside of a string or of a statement, which a grammar may not see."""
    bare = text.lstrip()
    return bool(_GOES_ON.match(bare) or _CASE.match(bare.split("\n", 1)[0]) or _begun(text).mark or _is_doctest(text))


def python_frames(text: str) -> Iterator[Frame]:
    """Blocks for every indentation that the text falls back to; a docstring or brackets that began or end outside."""
    if _is_doctest(text):
        yield Frame(('"""',), ('"""',))
    begun = _begun(text)
    yield from _frames(text, begun)
    yield Frame()
    marks = _MARK.search(text)
    if marks:
        other = _Inside("", 0) if begun.mark else _Inside(marks[0], marks.end())
        yield from _frames(text, other)
    missing = skeleton("python", text).missing
    yield Frame(("f(",), (*missing, ")"))
    yield Frame(("x = {",), (*missing, "}"))


def _is_doctest(text: str) -> bool:
    return _DOCTEST.search(text) is not None and not _MARK.search(text)


def _begun(text: str) -> _Inside:
    """By the first mark: it opens a text where a value may stand or where the text follows at once, else it closes."""
    mark = _MARK.search(text)
    if mark is None:
        return _Inside("", 0)
    before = text[: mark.start()].rstrip(" \t")
    here = before[before.rfind("\n") + 1 :]
    opens = (
        here.rstrip("rRbBfFuU").endswith(_BEFORE_TEXT)
        or "#" in here
        or (not here and _opens_alone(text, mark))
        or (bool(here) and here[-1] in "rRbBfFuU" and not here[:-1].strip())
    )
    return _Inside("", 0) if opens else _Inside(mark[0], mark.end())


def _opens_alone(text: str, mark: re.Match[str]) -> bool:
    """Of a mark that begins its line."""
    before = text[: mark.start()].rstrip()
    if _OPENS_TEXT.match(text, mark.start()) or before.endswith(_BEFORE_TEXT):
        return True
    return not before and not _STATEMENT.match(text, mark.end())


def _frames(text: str, begun: _Inside) -> Iterator[Frame]:
    code = text[begun.end :]
    bones = skeleton("python", code)
    lines = text.split("\n")
    first = text.count("\n", 0, begun.end)
    after = [bones.open] if bones.open else []
    after += bones.missing
    tail = _tail(lines, bones)
    for parenthesis in _parentheses(bones):
        at = bones.segments[-2].at + begun.end if bones.closers else begun.end
        ladder = _ladder(lines[text.count("\n", 0, at) if bones.closers else first :])
        before = [*ladder, *_opened(bones, begun, ladder, parenthesis, lines[first:])]
        yield Frame(tuple(before), (*after, *tail))
        if tail:
            yield Frame(tuple(before), tuple(after))


def _parentheses(bones: Skeleton) -> Iterator[str]:
    """What may open the outermost `)` that the text has too many."""
    if bones.closers and bones.closers[-1] == ")" and _HEADER_FOLLOWS.match(bones.segments[-1].text):
        inner = bones.segments[-2].text[:2_000]
        goes_on = re.match(r"\s*+(?:and|or)\b", inner)
        yield from ("if (x" if goes_on else "if (", "def f(") if _LOGIC.search(inner) else ("def f(", "with (")
    yield "f("


def _opened(
    bones: Skeleton, begun: _Inside, ladder: Sequence[str], parenthesis: str, lines: Sequence[str]
) -> Iterator[str]:
    """On one line, a level inside the blocks before it: what is closed, and the string that the text begins in."""
    indent = f"{_indent(ladder[-1])} " if ladder else ""
    openers = [OPENERS[closer] if closer != ")" else "f(" for closer in reversed(bones.closers)]
    if openers and openers[0] == "f(":
        openers[0] = parenthesis
    if openers:
        yield indent + "".join(openers) + begun.mark
    elif begun.mark:
        yield _indent(lines[0]) + begun.mark
    elif lines:
        yield from _prelude(next((line for line in lines if line.strip()), ""), indent)


def _prelude(line: str, indent: str) -> Iterator[str]:
    """What the first line goes on from."""
    bare = line.lstrip()
    if found := _GOES_ON.match(bare):
        yield _indent(line) + ("if x: pass" if found[1] else "try: pass")
    elif _CASE.match(bare) and len(_indent(line)) > len(indent.rstrip()):
        yield f"{_indent(line)[:-1]}match x:"


def _tail(lines: Sequence[str], bones: Skeleton) -> tuple[str, ...]:
    """A body for what ends as the header of a block or in a decorator."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    bare = last.lstrip()
    if bones.open:
        return ()
    if bones.openers:
        header = bones.segments[-1].text.rsplit("\n", 1)[-1]
        if header.lstrip().startswith("@"):
            return (f"{_indent(header)}def f(): pass",)
        return (f"{_indent(header)} : pass",) if _HEADER.match(header.lstrip()) else ()
    if bare.startswith("@"):
        return (f"{_indent(last)}def f(): pass",)
    return (f"{_indent(last)} pass",) if bare.split("#", 1)[0].rstrip().endswith(":") else ()


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _ladder(lines: Sequence[str]) -> tuple[str, ...]:
    """A block at each indentation below the first line's that a later line returns to, outermost first."""
    rungs: list[tuple[str, str]] = []
    for line in lines:
        bare = line.lstrip()
        ends = bare[:1] in tuple("#)]}") and (bool(rungs) or bare[0] == "#" or bare.rstrip().endswith(":"))
        if bare and not ends and (not rungs or len(line) - len(bare) < len(rungs[-1][0])):
            rungs.append((_indent(line), bare))
    return tuple(opener for indent, bare in reversed(rungs[1:][-DEEPEST:]) for opener in _rung(indent, bare))


def _rung(indent: str, bare: str) -> Iterator[str]:
    """What opens the block before a line that returns to an indentation."""
    if indent and _CASE.match(bare):
        yield f"{indent[:-1]}match x:"
        yield f"{indent}case x:"
    else:
        goes_on = _GOES_ON.match(bare)
        yield indent + ("try:" if goes_on and goes_on[2] else "if x:")
