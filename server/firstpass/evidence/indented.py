"""Frames for Python, whose blocks are told by indentation. Knows no diff and no tree."""

import re
from collections.abc import Iterator

from firstpass.evidence.skeleton import DEEPEST, OPENERS, Frame, Skeleton, skeleton

_TRIPLE = re.compile(r"\"\"\"|'''")


def python_frames(text: str) -> Iterator[Frame]:
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
    hanging = skeleton("python", text)
    if hanging.closers or hanging.openers:
        at = hanging.segments[-2].at if hanging.closers else 0
        outer = _ladder(lines[text.count("\n", 0, at) :]) if hanging.closers else ladder
        yield Frame((*outer, *_opened_python(hanging, outer)), hanging.missing)


def _opened_python(hanging: Skeleton, outer: tuple[str, ...]) -> Iterator[str]:
    """What the unmatched closers close, on one line, a level inside the blocks before it."""
    if hanging.closers:
        indent = f"{_indent(outer[-1])} " if outer else ""
        yield indent + "".join("f(" if closer == ")" else OPENERS[closer] for closer in reversed(hanging.closers))


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _ladder(lines: list[str]) -> tuple[str, ...]:
    """`if x:` at each indentation below the first line's that a later line returns to, outermost first."""
    rungs: list[str] = []
    for line in lines:
        bare = line.lstrip()
        if bare and bare[0] not in "#)]}" and (not rungs or len(line) - len(bare) < len(rungs[-1])):
            rungs.append(_indent(line))
    return tuple(f"{indent}if x:" for indent in reversed(rungs[1:][-DEEPEST:]))
