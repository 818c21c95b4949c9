"""Where secrets stand again that were found before. Knows no rule."""

from collections.abc import Callable, Iterator

from firstpass.redaction.found import Found

LEAST = 8
"""Characters of a secret that is looked for again: a shorter one is a word of many texts."""
_STRIDE = 4_096


class Repeats:
    """Finds any number of texts at once: the first characters of each lead to those that begin with them.

    A text takes time in proportion to its length, and to how many lengths there are of secrets with one beginning.
    """

    def __init__(self) -> None:
        self._begun: dict[str, dict[int, set[str]]] = {}

    def add(self, secret: str) -> None:
        if len(secret) >= LEAST:
            self._begun.setdefault(secret[:LEAST], {}).setdefault(len(secret), set()).add(secret)

    def find(self, text: str, tick: Callable[[], None]) -> Iterator[Found]:
        """tick: called every few thousand characters; it may raise what ends the search."""
        begun = self._begun
        for start in range(0, len(text) - LEAST + 1 if begun else 0, _STRIDE):
            tick()
            for at in range(start, min(start + _STRIDE, len(text) - LEAST + 1)):
                if (head := text[at : at + LEAST]) in begun:
                    yield from self._at(text, at, head)

    def _at(self, text: str, at: int, head: str) -> Iterator[Found]:
        """The longest that stands here."""
        lengths = self._begun[head]
        here = [length for length, secrets in lengths.items() if text[at : at + length] in secrets]
        if here:
            yield Found(at, at + max(here), "SECRET")
