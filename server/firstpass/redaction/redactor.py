"""Finds what must not leave this machine, and puts placeholders in its place. Opens nothing and keeps nothing."""

import re
from collections.abc import Callable, Iterator, Sequence

from firstpass.errors import BadSettings
from firstpass.linear import Expression, NotLinear
from firstpass.redaction.addresses import addressed
from firstpass.redaction.blocks import private_keys
from firstpass.redaction.entropy import random_strings
from firstpass.redaction.formats import strict_formats
from firstpass.redaction.found import Found, merged
from firstpass.redaction.joined import joined, listed
from firstpass.redaction.known import Known
from firstpass.redaction.library import known_formats, load
from firstpass.redaction.names import named_values
from firstpass.redaction.placeholders import TAKEN, Placeholders
from firstpass.redaction.views import in_ascii, lowered

NAME = "NAME"
"""The kind of words that are names."""

_KIND = re.compile(r"[A-Z]+(?:_[A-Z]+)*")
WINDOW, BEFORE, AFTER = 131_072, 2_048, 32_768
"""Characters of a text that are looked through at once, and of what is seen before and after them: names, long keys."""

Tick = Callable[[], None]
"""May raise what ends the search."""


def _go_on() -> None:
    pass


class Redactor:
    """Secrets out of texts, by rules that are made once. Its repr shows no secret.

    known: secrets of this machine, to be found exactly and in the ways that texts write them.
    patterns: kind and regular expression of what else is hidden: identifiers, paths, names of hosts. words: names.
    Raises: BadSettings.
    """

    def __init__(
        self, known: Sequence[str] = (), patterns: Sequence[tuple[str, str]] = (), words: Sequence[str] = ()
    ) -> None:
        self._known = Known(known)
        self._patterns = [_compiled(kind, pattern) for kind, pattern in patterns]
        self._words = _whole_words(words) if words else None

    def load(self) -> None:
        """Compile the rules now, and not at the first text: off the event loop, some seconds at the first start."""
        load()

    def find(self, text: str, tick: Tick = _go_on) -> list[Found]:
        """What is to be hidden in a text: in order, none over another.

        A long text is looked through in windows, each with what stands around it. tick: called before each.
        """
        found = list[Found]()
        for start in range(0, max(1, len(text)), WINDOW):
            tick()
            first, end = max(0, start - BEFORE), start + WINDOW
            for one in self._in_one(text[first : end + AFTER] if len(text) > WINDOW else text):
                if start <= first + one.start < end:
                    found.append(Found(first + one.start, first + one.end, one.kind))
        return merged(found)

    def _in_one(self, text: str) -> list[Found]:
        found = [*self._found(text)]
        for whole, rules in ((joined(text), self._named), (listed(text), self._formed)):
            for one in rules(whole.text) if whole else ():
                if whole and (span := whole.before(one.start, one.end)):
                    found.append(Found(*span, one.kind))
        return merged(found)

    def _found(self, text: str) -> Iterator[Found]:
        yield from self._named(text)
        if self._words is not None:
            yield from (Found(*one.span(), NAME) for one in self._words.finditer(text))
        for kind, pattern in self._patterns:
            yield from (Found(*span, kind) for span in pattern.spans(text))
        yield from random_strings(text)

    def _named(self, text: str) -> Iterator[Found]:
        """What its form or a name beside it shows."""
        yield from self._formed(text)
        lower = lowered(text)
        yield from addressed(text, in_ascii(lower))
        yield from named_values(text, lower)

    def _formed(self, text: str) -> Iterator[Found]:
        yield from self._known.find(text)
        yield from private_keys(text)
        yield from known_formats(text)
        yield from strict_formats(text)

    def hide(self, text: str, places: Placeholders, tick: Tick = _go_on) -> str:
        """A text with placeholders for its secrets, and for those that the request's other texts hold."""
        found = self.find(text, tick)
        for one in found:
            places.repeats.add(text[one.start : one.end])
        return _replaced(text, merged([*found, *places.repeats.find(text, tick)]), places)

    def again(self, text: str, places: Placeholders, tick: Tick = _go_on) -> str:
        """A text with placeholders for the secrets that are hidden already, wherever they were found; for no others."""
        return _replaced(text, merged(places.repeats.find(text, tick)), places)


def _whole_words(words: Sequence[str]) -> re.Pattern[str]:
    """Plain words one beside the other: no way through them is tried twice."""
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")


def _compiled(kind: str, pattern: str) -> tuple[str, Expression]:
    if not _KIND.fullmatch(kind):
        raise BadSettings(f"{kind!r} is no kind of secret: capital letters and underscores only", part="egress")
    try:
        return kind, Expression(pattern)
    except NotLinear as error:
        raise BadSettings(f"the pattern of {kind} {error}", part="egress") from None


def _replaced(text: str, found: Sequence[Found], held: Placeholders) -> str:
    taken = frozenset(TAKEN.findall(text)) if found else frozenset()
    out, done = [], 0
    for one in _beside(found, held.spans(text)):
        out += [text[done : one.start], held.stand_in(text[one.start : one.end], one.kind, taken)]
        done = one.end
    return "".join(out) + text[done:]


def _beside(found: Sequence[Found], ours: Sequence[tuple[int, int]]) -> Iterator[Found]:
    """What is found, without the placeholders in it that stand there already. Both are in order."""
    later = 0
    for start, end, kind in found:
        while later < len(ours) and ours[later][1] <= start:
            later += 1
        number = later
        while number < len(ours) and ours[number][0] < end:
            if start < ours[number][0]:
                yield Found(start, ours[number][0], kind)
            start = max(start, ours[number][1])
            number += 1
        if start < end:
            yield Found(start, end, kind)
