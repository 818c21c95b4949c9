"""What an unconstrained draft says of itself: small numbers, each a pure function of its tokens. Knows no truth.

Natural logarithms throughout; higher means surer. A signal that has nothing to look at gives None, never a guess.
A grammar or pattern would take the alternatives away before their probabilities are known, so a draft that was held to
one has no signals. Source for lowest tokens instead of means: Gupta et al., Language Model Cascades, 2024
(arXiv 2404.10136); for names alone: measured, see benchmarks/suites/gate.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from firstpass.chat import TokenLogprob

LOWEST = 3

_WORD = re.compile(r"[\w$]+")


@dataclass(frozen=True)
class Draft:
    """A reply's tokens, and what is known of its text without judging it.

    names: (start, end) of each name that the text mentions. lists: (start, end) of the parts that are lists of facts.
    listed: the names in them. candidates: the names that the model was shown as possible ones. valid: all names that
    the input has. lines: changed lines of the input. files: of the input.
    """

    tokens: Sequence[TokenLogprob]
    names: Sequence[tuple[int, int]]
    lists: Sequence[tuple[int, int]]
    listed: frozenset[str]
    candidates: frozenset[str]
    valid: Collection[str]
    lines: int
    files: int

    @cached_property
    def begins(self) -> list[int]:
        """Where each token begins in the text, and where the last one ends."""
        return [0, *accumulate(len(token.token) for token in self.tokens)]

    def touching(self, start: int, end: int) -> range:
        """Places of the tokens that have any character of a part of the text."""
        if not self.tokens or start >= end or start >= self.begins[-1]:
            return range(0)
        return range(bisect_right(self.begins, start) - 1, min(bisect_right(self.begins, end - 1), len(self.tokens)))

    @cached_property
    def name_places(self) -> list[int]:
        return sorted({place for span in self.names for place in self.touching(*span)})

    @cached_property
    def listed_places(self) -> list[int]:
        return sorted({place for span in self.lists for place in self.touching(*span)})

    def logprobs(self, places: Sequence[int]) -> list[float]:
        return [self.tokens[place].logprob for place in places]


def mean_logprob(draft: Draft) -> float | None:
    """Of all tokens: the usual signal, and the one to beat."""
    return math.fsum(token.logprob for token in draft.tokens) / len(draft.tokens) if draft.tokens else None


def least_logprob(draft: Draft) -> float | None:
    """Of all tokens, the lowest."""
    return min((token.logprob for token in draft.tokens), default=None)


def least_name(draft: Draft) -> float | None:
    """Of the names' tokens, the lowest."""
    return min(draft.logprobs(draft.name_places), default=None)


def least_listed(draft: Draft) -> float | None:
    """Of the tokens of names in lists, the lowest."""
    lists = set(draft.listed_places)
    return min(draft.logprobs([place for place in draft.name_places if place in lists]), default=None)


def lowest_names(draft: Draft) -> float | None:
    """The mean of the names' LOWEST lowest tokens."""
    lowest = sorted(draft.logprobs(draft.name_places))[:LOWEST]
    return math.fsum(lowest) / len(lowest) if lowest else None


def list_logprob(draft: Draft) -> float | None:
    """Of all tokens of the lists together: how likely these lists, of all that the model could have written.

    It has what no name has: how sure the model was to end a list.
    """
    return math.fsum(draft.logprobs(draft.listed_places)) if draft.listed_places else None


def least_decision(draft: Draft) -> float | None:
    """Of the lists' tokens that are in no name, the lowest: to go on, or to end."""
    names = set(draft.name_places)
    return min(draft.logprobs([place for place in draft.listed_places if place not in names]), default=None)


def free_logprob(draft: Draft) -> float | None:
    """Of all tokens outside the lists together."""
    listed = set(draft.listed_places)
    free = [token.logprob for place, token in enumerate(draft.tokens) if place not in listed]
    return math.fsum(free) if free else None


def margin(draft: Draft) -> float | None:
    """The smallest lead of a chosen token over the next likeliest, among the lists' tokens."""
    leads = (_lead(draft.tokens[place]) for place in draft.listed_places)
    return min((lead for lead in leads if lead is not None), default=None)


def omitted_mass(draft: Draft) -> float | None:
    """The highest share of probability, where a listed name begins, of candidates that the lists do not have; negative.

    A model that is about to leave one out has mostly thought of it.
    """
    left, listed = _Names(draft.candidates - draft.listed), _Names(draft.listed)
    lists = set(draft.listed_places)
    found = []
    for start, end in draft.names:
        place = next(iter(draft.touching(start, end)), None)
        if place in lists and place is not None and draft.tokens[place].top:
            shares = [(text.lstrip(), math.exp(logprob)) for text, logprob in draft.tokens[place].top]
            found.append(
                math.fsum(share for text, share in shares if left.continued(text) and not listed.continued(text))
            )
    return -max(found) if found else None


def unlisted_share(draft: Draft) -> float | None:
    """Of the candidates, the share that the lists do not have; negative."""
    return -len(draft.candidates - draft.listed) / len(draft.candidates) if draft.candidates else None


def feasible_mass(draft: Draft) -> float | None:
    """The lowest share of probability, where a name begins, that names of the input have: at least so much."""
    return min((low for low, _ in feasible_bounds(draft)), default=None)


def feasible_bounds(draft: Draft) -> Iterator[tuple[float, float]]:
    """Where each name begins: logarithms of the least and the most probability that valid names can have there.

    Only the likeliest tokens are known. Those among them that begin a valid name count for sure; the rest, which has no
    more than what they leave of 1, may count or not.
    """
    valid = _Names(draft.valid)
    for start, end in draft.names:
        place = next(iter(draft.touching(start, end)), None)
        if place is None or not draft.tokens[place].top:
            continue
        before = start - draft.begins[place]
        shares = [(token[max(0, before) :], math.exp(logprob)) for token, logprob in draft.tokens[place].top]
        sure = math.fsum(share for text, share in shares if valid.begun(text))
        rest = max(0.0, 1.0 - math.fsum(share for _, share in shares))
        yield _log(sure), _log(sure + rest)


class _Names:
    """Names, sorted, so that asking how they begin takes no walk over all of them: a diff may have very many."""

    def __init__(self, names: Collection[str]) -> None:
        self._sorted = sorted(names)
        self._all = frozenset(names)

    def continued(self, text: str) -> bool:
        """Whether one begins with the text."""
        at = bisect_left(self._sorted, text)
        return bool(text) and at < len(self._sorted) and self._sorted[at].startswith(text)

    def begun(self, text: str) -> bool:
        """Whether a token is the beginning of one, or one and what follows it."""
        word = text.lstrip()
        whole = _WORD.match(word)
        return self.continued(word) or (whole is not None and whole[0] != word and whole[0] in self._all)


def _lead(token: TokenLogprob) -> float | None:
    """None where the alternatives are not known."""
    others = [logprob for text, logprob in token.top if text != token.token]
    return token.logprob - max(others) if others else None


def _log(share: float) -> float:
    return math.log(max(share, 1e-12))


SIGNALS: Mapping[str, Callable[[Draft], float | None]] = {
    "mean_logprob": mean_logprob,
    "least_logprob": least_logprob,
    "least_name": least_name,
    "least_listed": least_listed,
    "lowest_names": lowest_names,
    "list_logprob": list_logprob,
    "least_decision": least_decision,
    "free_logprob": free_logprob,
    "margin": margin,
    "feasible_mass": feasible_mass,
    "omitted_mass": omitted_mass,
    "unlisted_share": unlisted_share,
    "tokens": lambda draft: -float(len(draft.tokens)),
    "candidates": lambda draft: -float(len(draft.candidates)),
    "listed": lambda draft: -float(len(draft.listed)),
    "unlisted": lambda draft: -float(len(draft.candidates - draft.listed)),
    "lines": lambda draft: -float(draft.lines),
    "files": lambda draft: -float(draft.files),
}
"""By name. Sizes are negative, since larger inputs are harder."""


def signals(draft: Draft) -> dict[str, float]:
    """Those that the draft has."""
    found = ((name, signal(draft)) for name, signal in SIGNALS.items())
    return {name: value for name, value in found if value is not None}


def agreement(chosen: frozenset[str], samples: Sequence[frozenset[str]]) -> float | None:
    """The share of the samples that list the same names as the draft. Source: Wang et al., Self-Consistency, 2023."""
    return sum(sample == chosen for sample in samples) / len(samples) if samples else None
