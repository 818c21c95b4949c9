"""How many accepted answers may be wrong, by exact bounds on labelled drafts. Knows no signal and no contract.

The loss of a labelled draft is 1 where it is accepted and bad, so the risk is a share of all requests, not of the
accepted ones. It can only fall as the threshold rises; that is why one bound at the chosen threshold is enough, and why
no correction for having looked at many thresholds is due. Sources: Clopper and Pearson, Biometrika 26, 1934; Bates et
al., Distribution-Free, Risk-Controlling Prediction Sets, 2021.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from firstpass.errors import BadLabels

STEPS = 60
"""Of a bisection: past a double's precision."""

COVERAGE_CONFIDENCE = 0.99
"""Of the share that is accepted, alone; the promise about accepted answers has less than both."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A draft with its score and the truth. passed: by the hard checks. bad: what a judge says of the answer."""

    score: float
    passed: bool
    bad: bool


@dataclass(frozen=True, slots=True)
class Promise:
    """With probability `confidence` over the choice of the labels, at most a share `risk` of requests is accepted bad.

    labels, failures: how many drafts the bound rests on, and how many of them would have been accepted bad.
    upper: the bound itself, at most `risk`. coverage: the share of the labelled drafts that would have been accepted.
    accepted_risk: the bound among accepted answers alone; it holds with probability `accepted_confidence`, and is None
    where the coverage is too small or too little known.
    """

    risk: float
    confidence: float
    labels: int
    failures: int
    upper: float
    coverage: float
    accepted_risk: float | None
    accepted_confidence: float


def least_labels(risk: float, confidence: float) -> int:
    """How many labelled drafts a promise needs even if none of them is accepted bad."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - risk))


def chance_of_at_most(failures: int, number: int, risk: float) -> float:
    """Pr[Binomial(number, risk) <= failures]."""
    if failures >= number or risk <= 0:
        return 1.0
    if risk >= 1:
        return 0.0
    yes, no = math.log(risk), math.log1p(-risk)
    whole = math.lgamma(number + 1)
    return min(
        1.0,
        math.fsum(
            math.exp(whole - math.lgamma(k + 1) - math.lgamma(number - k + 1) + k * yes + (number - k) * no)
            for k in range(failures + 1)
        ),
    )


def upper_bound(failures: int, number: int, confidence: float) -> float:
    """The Clopper-Pearson upper end: the largest risk under which so few failures are not yet too unlikely."""
    low, high = 0.0, 1.0
    if failures >= number:
        return high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if chance_of_at_most(failures, number, middle) > 1 - confidence else (low, middle)
    return high


def most_failures(number: int, risk: float, confidence: float) -> int | None:
    """The most failures among `number` labels whose upper bound is still at most `risk`; None where not even 0 is."""
    low, high = -1, number
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if chance_of_at_most(middle, number, risk) <= 1 - confidence else (low, middle)
    return low if low >= 0 else None


def threshold(drafts: Sequence[Labelled], risk: float, confidence: float) -> float:
    """The lowest score at which drafts may be accepted: those with this score or a higher one that pass the checks.

    -inf where all that pass may be.
    Raises: BadLabels where there are too few drafts for any promise.
    """
    allowed = most_failures(len(drafts), risk, confidence)
    if allowed is None:
        needed = least_labels(risk, confidence)
        text = (
            f"a risk of {risk:g} at {confidence:g} confidence needs {needed} labelled drafts; there are {len(drafts)}"
        )
        raise BadLabels(text)
    bad = sorted((draft.score for draft in drafts if draft.bad and draft.passed), reverse=True)
    return math.nextafter(bad[allowed], math.inf) if len(bad) > allowed else -math.inf


def promise(drafts: Sequence[Labelled], accept_from: float, risk: float, confidence: float) -> Promise:
    """What may be said of a threshold that `threshold` gave for the same drafts.

    The share that is accepted may be read off the same drafts although they chose the threshold: how far a sample's
    shares above all thresholds at once may be from the truth has a bound of its own.
    Source: Massart, Annals of Probability 18, 1990 (Dvoretzky, Kiefer and Wolfowitz' inequality, one side).
    """
    accepted = [draft for draft in drafts if draft.passed and draft.score >= accept_from]
    failures = sum(draft.bad for draft in accepted)
    coverage = len(accepted) / len(drafts)
    sure = coverage - math.sqrt(math.log(1 / (1 - COVERAGE_CONFIDENCE)) / (2 * len(drafts)))
    return Promise(
        risk,
        confidence,
        len(drafts),
        failures,
        upper_bound(failures, len(drafts), confidence),
        coverage,
        risk / sure if sure > risk else None,
        max(0.0, confidence + COVERAGE_CONFIDENCE - 1),
    )
