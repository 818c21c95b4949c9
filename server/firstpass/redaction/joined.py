"""Literals that code puts together, read as one: `"AKIA" + "..."`. Knows no secret."""

import re
from bisect import bisect_right
from typing import NamedTuple

from firstpass.redaction.views import in_ascii

_SPACE = r"[ \t]{0,8}(?:\\?\r?\n[+\- ]?[ \t]{0,80})?"
_GLUE = re.compile(
    rf"(?P<q>[\"'`])(?:{_SPACE}(?:\+|\.\.|\.|&|\|\||~|<>|\\)?{_SPACE}"
    rf"|;?{_SPACE}[\w.$]{{1,40}}[ \t]{{0,2}}(?:\+=|\.=)[ \t]{{0,4}})(?P=q)"
)
_LISTED = re.compile(rf"(?P<q>[\"'`])[ \t]{{0,4}},{_SPACE}(?P=q)")
AROUND = 300
"""Characters before the first and after the last piece that are read with them."""


class Joined(NamedTuple):
    """What is left of a text around its joined literals. Each piece: where it is in `text`, and where it was."""

    text: str
    pieces: list[tuple[int, int]]
    chains: list[int]

    def before(self, start: int, end: int) -> tuple[int, int] | None:
        """Where characters of this text stood; None if they were in one piece, or in literals of different chains."""
        first, last = self._piece(start), self._piece(end - 1)
        if first == last or self.chains[first] != self.chains[last]:
            return None
        return start + self.pieces[first][1], end + self.pieces[last][1]

    def _piece(self, at: int) -> int:
        return bisect_right(self.pieces, at, key=lambda piece: piece[0]) - 1


def joined(text: str) -> Joined | None:
    """None if nothing is joined."""
    return _without(text, [one.span() for one in _GLUE.finditer(in_ascii(text)) if one.end() - one.start() > 2])


def listed(text: str) -> Joined | None:
    """The literals of lists as if they were joined; None where a text joins none."""
    if "join" not in text and "concat" not in text:
        return None
    return _without(text, [one.span() for one in _LISTED.finditer(in_ascii(text))])


def _without(text: str, glue: list[tuple[int, int]]) -> Joined | None:
    if not glue:
        return None
    parts: list[str] = []
    pieces: list[tuple[int, int]] = []
    chains: list[int] = []
    length = done = chain = 0
    for number, (start, end) in enumerate(glue):
        if number == 0 or start - done > AROUND:
            chain += 1
            first = max(done, start - AROUND)
        else:
            first = done
        following = glue[number + 1][0] if number + 1 < len(glue) else len(text)
        spans = [(first, start)] if number == 0 or first != done or not parts else []
        last = following if following - end <= AROUND else min(len(text), end + AROUND)
        for begin, stop in (*spans, (end, last)):
            pieces.append((length, begin - length))
            chains.append(chain)
            parts.append(text[begin:stop])
            length += stop - begin
        if last != following or number + 1 == len(glue):
            parts.append("\n")
            length += 1
        done = last
    return Joined("".join(parts), pieces, chains)
