"""Expressions of an operator, searched in time that is linear in the text, whatever they are. Knows no rule.

The engine of regular ones is RE2. It has no look-around, no references back and no atomic groups, which need more than
that.
Source: github.com/google/re2/wiki/Syntax.
"""

import re
from collections.abc import Iterator

import re2

LETTERS = {"w": r"\pL\pN_", "d": r"\p{Nd}", "s": r"\s\v\x{85}\x{a0}\p{Z}"}
"""Of Unicode, as Python's own expressions mean them; RE2's are of ASCII."""


_HALF = re.compile("[\ud800-\udfff]")


class NotLinear(ValueError):
    """RE2 has no such expression."""


class Expression:
    r"""\b is RE2's own: it knows the letters of ASCII alone. Raises: NotLinear, with the reason."""

    def __init__(self, pattern: str) -> None:
        options = re2.Options()
        options.log_errors = False
        try:
            self._made = re2.compile(_unicode(pattern), options)
        except re2.error as error:
            said = error.args[0] if error.args else ""
            reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise NotLinear(f"is no regular expression that takes linear time: {reason}") from error

    def fits(self, text: str) -> bool:
        """Whether it is anywhere in the text."""
        return self._made.search(_whole(text)) is not None

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it is in the text, in characters: in order, none within another, none empty."""
        for match in self._made.finditer(_whole(text)):
            start, end = match.span()
            if start < end:
                yield start, end


def _whole(text: str) -> str:
    """As long, without halves of UTF-16 pairs, which UTF-8 can not say."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _HALF.sub("\ufffd", text)
    return text


def _unicode(pattern: str) -> str:
    """The pattern with the letters, digits and spaces of Unicode; what a class excludes stays that of ASCII."""
    out, within, at = list[str](), False, 0
    while at < len(pattern):
        pair = pattern[at : at + 2]
        if pair[0] == "\\":
            wide = LETTERS.get(pair[1:].lower())
            if wide and (pair[1].islower() or not within):
                pair = wide if within else f"[{'' if pair[1].islower() else '^'}{wide}]"
            out.append(pair)
            at += 2
            continue
        opens = pair[0] == "[" and not within
        if opens:
            end = at + 1 + pattern.startswith("^", at + 1)
            end += pattern.startswith("]", end)
            out.append(pattern[at:end])
            within, at = True, end
            continue
        within = within and pair[0] != "]"
        out.append(pair[0])
        at += 1
    return "".join(out)


def fits(pattern: str, name: str) -> bool:
    """Whether a name is one of the pattern's, where * stands for any text; in time that is linear in the name."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
