"""Patterns in schemas that llama.cpp hangs over: those that repeat what repeats. Knows no connection.

Its grammars keep every way in which a text may be read. Of `(([a-z]{0,300}){0,300})` there are so many after a dozen
tokens that its server answered nobody for minutes.
"""

import re
from collections.abc import Iterator
from typing import Any

PIECE = re.compile(
    r"(?P<open>\((?:\?(?:[:=!]|<[=!]|P?<\w+>))?)|(?P<close>\))|(?P<times>[*+?]|\{(?P<least>\d+)(?P<more>,\d*)?\})"
    r"|\\.|\[(?:\\.|[^\]\\])*\]|.",
    re.DOTALL,
)

FEW = 4
"""A group may come so often, and exactly so, with whatever it holds: addresses are written so."""


def repeats_twice(schema: Any) -> str | None:
    """The first pattern of a schema that does so."""
    return next((pattern for pattern in _patterns(schema) if _nested(pattern)), None)


def _patterns(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _patterns(one)
    elif isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        named = value.get("patternProperties")
        yield from named if isinstance(named, dict) else ()
        for one in value.values():
            yield from _patterns(one)


def _nested(pattern: str) -> bool:
    """groups: of each open one whether something in it may repeat. before: the same of what a quantifier counts."""
    groups, before = [False], False
    for piece in PIECE.finditer(pattern):
        if piece["open"]:
            groups.append(False)
            before = False
        elif piece["close"] and len(groups) > 1:
            before = groups.pop()
            groups[-1] |= before
        elif piece["times"]:
            exactly = piece["least"] and not piece["more"]
            if before and piece["times"] != "?" and not (exactly and int(piece["least"]) <= FEW):
                return True
            groups[-1] |= not exactly
            before = False
        else:
            before = False
    return False
