"""One score of many signals: a logistic regression, fitted here so that a gate file is a page of plain numbers.

Knows no threshold: whether a score is enough is for `bounds` to say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

ROUNDS = 25
MOST_DEVIATIONS = 4.0
"""A signal further out counts as if it were here: one odd value must not decide."""


@dataclass(frozen=True, slots=True)
class Term:
    """A signal's part in the score: weight for each standard deviation above its mean, over the drafts of the fit."""

    signal: str
    mean: float
    deviation: float
    weight: float

    def value(self, signals: Mapping[str, float]) -> float:
        """A draft that has not this signal is taken for an average one."""
        return standard(signals.get(self.signal, self.mean), self.mean, self.deviation)


@dataclass(frozen=True, slots=True)
class Score:
    terms: tuple[Term, ...]
    bias: float

    def of(self, signals: Mapping[str, float]) -> float:
        """From 0 to 1: the chance that the answer is right, as the drafts of the fit have it."""
        return _share(self.bias + math.fsum(term.weight * term.value(signals) for term in self.terms))


def standard(value: float, mean: float, deviation: float) -> float:
    return max(-MOST_DEVIATIONS, min(MOST_DEVIATIONS, (value - mean) / deviation))


def fitted(drafts: Sequence[Mapping[str, float]], right: Sequence[bool], names: Sequence[str], ridge: float) -> Score:
    """The maximum of the likelihood less ridge/2 times the weights' squares, by Newton's steps.

    A signal that no draft has, or that all have alike, gets no term; nor does any where all drafts are right or wrong.
    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, section 4.4.1.
    """
    if len(set(right)) < 2:
        return Score((), 0.0)
    held = {name: [draft[name] for draft in drafts if name in draft] for name in names}
    terms = [
        Term(name, fmean(values), pstdev(values), 0.0) for name, values in held.items() if values and pstdev(values) > 0
    ]
    rows = [[1.0, *(term.value(draft) for term in terms)] for draft in drafts]
    weights = [0.0] * (len(terms) + 1)
    for _ in range(ROUNDS):
        step = _newton(rows, right, weights, ridge)
        weights = [weight + move for weight, move in zip(weights, step, strict=True)]
        if max(map(abs, step)) < 1e-9:
            break
    bias, *slopes = weights
    return Score(
        tuple(Term(term.signal, term.mean, term.deviation, slope) for term, slope in zip(terms, slopes, strict=True)),
        bias,
    )


def auroc(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """The chance that a right one scores higher than a wrong one, ties counted half; None where one kind is missing.

    Source: Hanley and McNeil, Radiology 143, 1982.
    """
    good = sum(right)
    if not 0 < good < len(scores):
        return None
    ordered = sorted(range(len(scores)), key=scores.__getitem__)
    total, at = 0.0, 0
    while at < len(ordered):
        end = at
        while end < len(ordered) and scores[ordered[end]] == scores[ordered[at]]:
            end += 1
        total += (at + 1 + end) / 2 * sum(right[place] for place in ordered[at:end])
        at = end
    return (total - good * (good + 1) / 2) / (good * (len(scores) - good))


def _newton(
    rows: Sequence[Sequence[float]], right: Sequence[bool], weights: Sequence[float], ridge: float
) -> list[float]:
    """One step: the curvature's inverse times the slope; the bias is not held back."""
    size = len(weights)
    slope = [-ridge * weight * bool(place) for place, weight in enumerate(weights)]
    curve = [
        [ridge * (row == column) * bool(row) + 1e-9 * (row == column) for column in range(size)] for row in range(size)
    ]
    for row, good in zip(rows, right, strict=True):
        chance = _share(math.fsum(weight * value for weight, value in zip(weights, row, strict=True)))
        spread = chance * (1 - chance)
        for place, value in enumerate(row):
            slope[place] += (good - chance) * value
            part = spread * value
            line = curve[place]
            for other in range(place + 1):
                line[other] += part * row[other]
    for place in range(size):
        for other in range(place):
            curve[other][place] = curve[place][other]
    return _solved(curve, slope)


def _solved(matrix: list[list[float]], vector: Sequence[float]) -> list[float]:
    """x of matrix x = vector, by elimination with pivots."""
    lines = [[*row, value] for row, value in zip(matrix, vector, strict=True)]
    for at in range(len(lines)):
        pivot = max(range(at, len(lines)), key=lambda place: abs(lines[place][at]))
        lines[at], lines[pivot] = lines[pivot], lines[at]
        for below in range(at + 1, len(lines)):
            factor = lines[below][at] / lines[at][at]
            lines[below] = [low - factor * high for low, high in zip(lines[below], lines[at], strict=True)]
    found = [0.0] * len(lines)
    for at in reversed(range(len(lines))):
        rest = math.fsum(lines[at][place] * found[place] for place in range(at + 1, len(lines)))
        found[at] = (lines[at][-1] - rest) / lines[at][at]
    return found


def _share(odds: float) -> float:
    """Of logarithmic odds."""
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else 1 - 1 / (1 + math.exp(odds))
