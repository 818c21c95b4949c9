"""Where something to hide stands in a text. Knows no rule."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Found(NamedTuple):
    """Characters `start` to `end` of a text. kind: a short upper-case word, such as PASSWORD."""

    start: int
    end: int
    kind: str


def merged(found: Iterable[Found]) -> list[Found]:
    """In order, none over another. What overlaps becomes one, of the kind that was named first."""
    ranked = sorted((one.start, -one.end, rank, one) for rank, one in enumerate(found))
    out: list[tuple[int, Found]] = []
    for start, _, rank, one in ranked:
        if out and start < out[-1][1].end:
            first, last = out[-1]
            kind = last.kind if first <= rank else one.kind
            out[-1] = (min(first, rank), Found(last.start, max(last.end, one.end), kind))
        else:
            out.append((rank, one))
    return [one for _, one in out]


def places(text: str, part: str) -> Iterator[int]:
    """Where a part begins in a text, none over another."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))
