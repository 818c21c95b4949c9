"""How two texts differ, word by word, in time that is bounded whatever they say. It knows no answer."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

WORDS_LIMIT = 1_500
LINES_LIMIT = 1_500
"""Of both texts together, between their common beginning and end. What is longer is compared by lines, then whole."""

AROUND = 40
"""Characters of what stayed that are shown on each side of a change."""

COMPARED_WORDS = 60
"""Of an item, to tell whether another one is what became of it."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_HAS_WORD = re.compile(r"\w")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """Of two texts in their order: what stayed, what only the earlier one has, what only the later one has."""

    kind: Literal["same", "gone", "new"]
    text: str


def worded(before: str, after: str) -> list[Piece]:
    for pattern, limit in ((_WORD, WORDS_LIMIT), (_LINE, LINES_LIMIT)):
        old, new = pattern.findall(before), pattern.findall(after)
        begin = _alike(old, new)
        end = _alike(old[begin:][::-1], new[begin:][::-1])
        inner = old[begin : len(old) - end], new[begin : len(new) - end]
        if sum(map(len, inner)) <= limit:
            first, last = (Piece("same", "".join(part)) for part in (old[:begin], old[len(old) - end :]))
            return _joined([first, *_pieces(*inner), last])
    return _joined([Piece("gone", before), Piece("new", after)])


def likeness(before: str, after: str) -> float:
    """From 0 to 1, of the words that two short texts share in order."""
    old, new = (text.split()[:COMPARED_WORDS] for text in (before, after))
    return SequenceMatcher(None, old, new, autojunk=False).ratio()


def shared(pieces: Iterable[Piece]) -> float:
    """Of the longer one of two texts, the share of characters that stayed."""
    lengths = Counter[str]()
    for one in pieces:
        lengths[one.kind] += len(one.text)
    longer = lengths["same"] + max(lengths["gone"], lengths["new"])
    return lengths["same"] / longer if longer else 1.0


def trimmed(pieces: Sequence[Piece]) -> list[Piece]:
    """Of what stayed, only what stands near a change."""
    return [replace(one, text=_near(pieces, at)) if one.kind == "same" else one for at, one in enumerate(pieces)]


def bracketed(pieces: Iterable[Piece]) -> str:
    """As git's --word-diff writes them."""
    marks = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}
    return "".join(f"{marks[one.kind][0]}{one.text}{marks[one.kind][1]}" for one in pieces)


def _near(pieces: Sequence[Piece], at: int) -> str:
    text, first, last = pieces[at].text, at == 0, at == len(pieces) - 1
    if len(text) <= 2 * AROUND:
        return text
    head = "" if first else text[:AROUND]
    tail = "" if last else text[-AROUND:]
    return f"{head}…{tail}"


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    number = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        number += 1
    return number


def _pieces(old: Sequence[str], new: Sequence[str]) -> Iterator[Piece]:
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield Piece("same", "".join(old[a:b]))
        else:
            yield Piece("gone", "".join(old[a:b]))
            yield Piece("new", "".join(new[c:d]))


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind are one, and what is no word between two changes is a part of both."""
    tidy = list[Piece]()
    gone = new = ""

    def close() -> None:
        nonlocal gone, new
        tidy.extend(piece for piece in (Piece("gone", gone), Piece("new", new)) if piece.text)
        gone = new = ""

    for at, piece in enumerate(pieces):
        between = (
            piece.kind == "same" and not _HAS_WORD.search(piece.text) and (gone or new) and _changes_after(pieces, at)
        )
        if piece.kind == "gone" or between:
            gone += piece.text
        if piece.kind == "new" or between:
            new += piece.text
        if piece.kind == "same" and not between and piece.text:
            close()
            tidy.append(piece)
    close()
    return tidy


def _changes_after(pieces: Sequence[Piece], at: int) -> bool:
    later = next((piece for piece in pieces[at + 1 :] if piece.text), None)
    return later is not None and later.kind != "same"
