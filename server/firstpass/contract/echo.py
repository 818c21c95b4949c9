"""Text that says nothing: it repeats itself without end, or the words that asked for it.

Knows no contract, no section and no diff. Time is linear in the text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import eq

TIMES = 4
"""What follows on itself as often is a loop, from LEAST_WORDS or LEAST_CHARACTERS in all on."""

LEAST_WORDS = 8
MOST_PERIOD = 64
"""Words of what is repeated."""

LEAST_CHARACTERS, MOST_CHARACTERS_PERIOD = 32, 16
"""Of one word that repeats itself inside, which is longer than an address, a number or a UUID of noughts."""

LONGEST_ROW = 130
"""Of one character: a digest of noughts has 128."""

TAIL_CHARACTERS = 4_096
"""Of a text's end, in which a loop is looked for while more is written."""

LEAST_PARROTED = 2
"""Words of the instructions that are no answer. One alone, such as "none", may be one."""

MOST_LABEL = 3
"""Words before a colon that may be the text's own where what follows is not."""

_MARK = re.compile(r"^[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_ROW = re.compile(r"^(?:[^|\n]*\|){2}.*$", re.MULTILINE)
_EDGE = "".join(map(chr, (*range(33, 48), *range(58, 65), *range(91, 95), 96, *range(123, 127)))) + "\u201c\u201d\u2019"
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
_FIELD = re.compile(r"\{\w+\}")
_QUOTED = re.compile(r'"([^"\n-][^"\n]{0,80})"')


@dataclass(frozen=True, slots=True)
class Instructions:
    """What a model was told. runs: the words between the fields of a template, with a blank around each.

    offered: answers that it may give in these words, since the template has them in quotes.
    """

    runs: tuple[str, ...] = ()
    offered: frozenset[str] = frozenset()

    @classmethod
    def of(cls, templates: Iterable[str]) -> "Instructions":
        texts = tuple(dict.fromkeys(templates))
        runs = dict.fromkeys(_plain(run) for text in texts for run in _FIELD.split(text))
        return cls(tuple(runs), frozenset(_plain(found) for text in texts for found in _QUOTED.findall(text)))


UNTOLD = Instructions()


def repeats(text: str, *, at_end: bool = False) -> str:
    """What a text says TIMES and more in a row; empty where it says nothing so. Rows of a table are not looked at.

    at_end: whether only what it ends in counts, of which more may follow.
    """
    words = words_said(text[-TAIL_CHARACTERS:] if at_end else text)
    for period in range(1, min(MOST_PERIOD, len(words) // TIMES) + 1):
        for start in _runs(words, period, max(TIMES * period, LEAST_WORDS), at_end=at_end):
            unit = " ".join(words[start : start + period])
            if any(map(str.isalpha, unit)):
                return unit
    return next(filter(None, map(_stutter, words[-1:] if at_end else words)), "")


def parrots(text: str, told: Instructions) -> bool:
    """Whether each of a text's sentences is a run of the instructions' words, or says one word alone.

    A label before a sentence may be its own: what follows `approve:` or `auth.py:3:` is what it says.
    """
    sentences = [_plain(sentence) for sentence in _SENTENCE_END.split(text) if _counted(sentence) >= LEAST_PARROTED]
    if not sentences or _plain(text) in told.offered:
        return False
    return all(_is_told(sentence, told) for sentence in _SENTENCE_END.split(text))


def says_nothing(text: str, told: Instructions) -> bool:
    return bool(repeats(text)) or parrots(text, told)


def sound_items(items: Iterable[str], told: Instructions) -> list[str]:
    """A list without the items that say nothing, each once where they are a loop together."""
    kept = [item for item in items if not says_nothing(item, told)]
    return list(dict.fromkeys(kept)) if repeats("\n".join(kept)) else kept


def sound_lines(lines: Sequence[str], told: Instructions) -> tuple[str, ...]:
    """Running text without the paragraphs and list items that say nothing; none of it where all is a loop."""
    kept = [line for block in blocks(lines) if not says_nothing("\n".join(block), told) for line in block]
    if len(kept) == len(lines):
        return () if repeats("\n".join(lines)) else tuple(lines)
    text = "\n".join(kept).strip("\n")
    return tuple(text.split("\n")) if text and not repeats(text) else ()


def blocks(lines: Iterable[str]) -> list[list[str]]:
    """Paragraphs, list items, and blank lines, each by itself."""
    found: list[list[str]] = []
    for line in lines:
        if found and line.strip() and found[-1][-1].strip() and not _MARK.match(line):
            found[-1].append(line)
        else:
            found.append([line])
    return found


def words_said(text: str) -> list[str]:
    """As they are compared: without case, the punctuation around them, marks of lists, and rows of tables."""
    lines = _MARK.sub("", _ROW.sub("", text))
    return [word for token in lines.casefold().split() if (word := token.strip(_EDGE))]


def _runs(items: Sequence[object], period: int, least: int, *, at_end: bool = False) -> Iterator[int]:
    """Where at least so many items begin of which each is what stands a period before it."""
    same = bytes(map(eq, items, items[period:]))
    alike = b"\x01" * (least - period)
    if at_end:
        if same.endswith(alike):
            yield len(same) - len(alike)
        return
    start = same.find(alike)
    while start >= 0:
        yield start
        after = same.find(b"\x00", start)
        start = same.find(alike, after) if after >= 0 else -1


def _stutter(word: str) -> str:
    """What one long word repeats inside, such as `1.1.1.1`; empty where it does not."""
    for period in range(1, min(MOST_CHARACTERS_PERIOD, len(word) // TIMES) + 1):
        least = LONGEST_ROW if period == 1 else max(TIMES * period, LEAST_CHARACTERS)
        for start in _runs(word, period, least) if len(word) >= least else ():
            unit = word[start : start + period]
            if any(map(str.isalnum, unit)) and (period == 1 or len(set(unit)) > 1):
                return unit
    return ""


def _plain(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _counted(text: str) -> int:
    return len(_WORD.findall(text))


def _is_told(sentence: str, told: Instructions) -> bool:
    label, colon, rest = sentence.partition(": ")
    labelled = colon and _counted(label) <= MOST_LABEL and _counted(rest) >= LEAST_PARROTED
    said = [_plain(sentence), _plain(rest)] if labelled else [_plain(sentence)]
    return _counted(sentence) < LEAST_PARROTED or any(one in run for one in said for run in told.runs)
