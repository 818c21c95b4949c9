"""How much a body of JSON holds, told from its bytes before any of it is made. Knows no field."""

import re
from collections.abc import Iterator

from firstpass.errors import BadAsk

VALUES_LIMIT = 250_000
"""Of a body, names included. The longest talks of agents have some ten thousand; a million take a second and 200 MB."""

DEPTH_LIMIT = 256
"""Levels of lists and objects: JSON is read, checked and written by recursion."""

_SIGN = re.compile(rb'[][{},:"]')
_TEXT = re.compile(rb'(?:[^"\\]{1,4096}+|\\.){0,4096}+', re.DOTALL)
"""A part of a text. No part is long: while it is looked for, no other thread runs."""

_OPENING, _CLOSING = b"[{", b"]}"


def bound_values(raw: bytes) -> None:
    """Raises: BadAsk for more values, or levels, than a body may have. In time that is linear in the body."""
    opening = raw.count(b"[") + raw.count(b"{")
    if opening <= DEPTH_LIMIT and opening + raw.count(b",") + raw.count(b":") <= VALUES_LIMIT:
        return  # Most of them may well stand in texts.
    values = depth = 0
    for sign in _signs(raw):
        if sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth -= 1
        values += sign in b",:[{"
        if depth > DEPTH_LIMIT:
            raise BadAsk(f"the body is nested deeper than {DEPTH_LIMIT} levels", code="invalid_json")
        if values > VALUES_LIMIT:
            raise BadAsk(f"the body holds more than {VALUES_LIMIT} values", code="invalid_json")


def _signs(raw: bytes) -> Iterator[int]:
    """Those of JSON that stand in no text."""
    at = 0
    while sign := _SIGN.search(raw, at):
        at = sign.end()
        if sign[0] != b'"':
            yield sign[0][0]
            continue
        while (end := _TEXT.match(raw, at)) and end.end() > at:
            at = end.end()
        at += 1
