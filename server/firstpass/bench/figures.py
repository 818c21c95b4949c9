"""Figures of a run with their intervals, and one arm against another. Knows no server and no report.

Intervals are 95% percentile bootstraps over repositories: commits of one repository resemble each other. Where there is
one repository, over its commits. Every arm has the same drawn ones, so what two arms share cancels out of a comparison.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 8.6 (clusters).
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from firstpass.bench.cases import Case
from firstpass.bench.runner import Outcome

DRAWS = 1000
Z = 1.959964
"""Of a normal distribution, 95% lie within so many standard deviations."""

Metric = Literal[
    "pass",
    "pass_structured",
    "pass_prose",
    "omissions",
    "hallucinations",
    "hallucinations_prose",
    "omissions_todos",
    "identified",
    "identified_whole",
    "told",
    "words",
    "escalations",
    "hosted_tokens_in",
    "hosted_tokens_out",
    "hosted_tokens",
    "cost_usd",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "errors",
]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a million tokens of the verifier."""

    tokens_in: float
    tokens_out: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with the ends of its 95% interval; NaN where there is nothing to count."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """`arm` against `other`: their difference, or their ratio."""

    arm: str
    other: str
    metric: Metric
    kind: Literal["difference", "ratio"]
    figure: Figure


@dataclass(frozen=True, slots=True)
class Figures:
    """over: what was drawn for the intervals, and how many of them there are."""

    arms: Mapping[str, Mapping[Metric, Figure]]
    comparisons: tuple[Comparison, ...]
    over: Literal["repositories", "commits"]
    units: int


_RATIOS: dict[Metric, tuple[str, str]] = {
    "pass": ("passed", "asked"),
    "pass_structured": ("structured", "asked"),
    "pass_prose": ("prose", "asked"),
    "omissions": ("omitted", "required"),
    "hallucinations": ("invented_calls", "calls"),
    "hallucinations_prose": ("invented_mentions", "mentions"),
    "omissions_todos": ("omitted_todos", "todos"),
    "identified": ("identified", "ranked"),
    "identified_whole": ("identified_whole", "ranked"),
    "told": ("told", "sentences"),
    "words": ("words", "sentences"),
    "escalations": ("escalated", "asked"),
    "hosted_tokens_in": ("tokens_in", "asked"),
    "hosted_tokens_out": ("tokens_out", "asked"),
    "hosted_tokens": ("tokens", "asked"),
    "cost_usd": ("cost", "asked"),
    "errors": ("errors", "asked"),
}
_PERCENTILES: dict[Metric, float] = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}

_COMPARED: tuple[tuple[Metric, Literal["difference", "ratio"]], ...] = (
    ("pass", "difference"),
    ("pass_structured", "difference"),
    ("hosted_tokens", "ratio"),
    ("p50_ms", "difference"),
    ("p50_ms", "ratio"),
)

_COUNTS = (
    "asked", "passed", "structured", "prose", "omitted", "required", "invented_calls", "calls", "invented_mentions",
    "mentions", "omitted_todos", "todos", "ranked", "identified", "identified_whole", "sentences", "told", "words",
    "escalated", "tokens_in", "tokens_out", "tokens", "cost", "errors",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Unit:
    """One arm's outcomes on what is drawn together: their counts in the order of _COUNTS, and milliseconds."""

    counts: tuple[float, ...]
    milliseconds: tuple[float, ...]


def figures_of(
    cases: Sequence[Case], outcomes: Iterable[Outcome], price: Price | None, against: str, seed: int = 1
) -> Figures:
    """against: the arm that every other one is compared with, if it is there. price: None leaves the cost out."""
    names = {case.repository for case in cases}
    keys = [case.repository if len(names) > 1 else str(number) for number, case in enumerate(cases)]
    grouped: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.arm, {}).setdefault(keys[outcome.case], []).append(outcome)
    labels = sorted(set(keys))
    units = {arm: [_unit(by[label], price) for label in labels] for arm, by in grouped.items()}
    whole = {arm: _measured(found, price) for arm, found in units.items()}
    rng = random.Random(seed)
    drawn: dict[str, list[dict[Metric, float]]] = {arm: [] for arm in units}
    for _ in range(DRAWS):
        places = rng.choices(range(len(labels)), k=len(labels))
        for arm, found in units.items():
            drawn[arm].append(_measured([found[place] for place in places], price))
    return Figures(
        arms={
            arm: {metric: _figure(value, [one[metric] for one in drawn[arm]]) for metric, value in values.items()}
            for arm, values in whole.items()
        },
        comparisons=tuple(_compared(against, whole, drawn)),
        over="repositories" if len(names) > 1 else "commits",
        units=len(labels),
    )


def _unit(outcomes: Sequence[Outcome], price: Price | None) -> _Unit:
    rows = [_counts(outcome, price) for outcome in outcomes]
    answered = tuple(outcome.seconds * 1000 for outcome in outcomes if outcome.error is None)
    return _Unit(tuple(map(sum, zip(*rows, strict=True))), answered)


def _counts(outcome: Outcome, price: Price | None) -> tuple[float, ...]:
    score, tokens_in, tokens_out = outcome.score, outcome.verifier_tokens_in, outcome.verifier_tokens_out
    answered = outcome.error is None
    cost = (price.tokens_in * tokens_in + price.tokens_out * tokens_out) / 1e6 if price else math.nan
    return (
        1,
        answered and score.passed,
        answered and score.structured,
        answered and score.prose,
        score.omitted,
        score.required,
        score.invented_calls,
        score.calls,
        score.invented_mentions,
        score.mentions,
        score.omitted_todos,
        score.todos,
        score.ranked,
        score.identified,
        score.identified_whole,
        score.sentences,
        score.told,
        score.words,
        outcome.escalated,
        tokens_in,
        tokens_out,
        tokens_in + tokens_out,
        cost,
        not answered,
    )


def _measured(units: Sequence[_Unit], price: Price | None) -> dict[Metric, float]:
    totals = dict(zip(_COUNTS, map(sum, zip(*(unit.counts for unit in units), strict=True)), strict=True))
    found = {metric: _ratio(totals[top], totals[bottom]) for metric, (top, bottom) in _RATIOS.items()}
    if price is None:
        del found["cost_usd"]
    milliseconds = sorted(one for unit in units for one in unit.milliseconds)
    return found | {metric: percentile(milliseconds, share) for metric, share in _PERCENTILES.items()}


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else math.nan


def percentile(ordered: Sequence[float], share: float) -> float:
    """With linear interpolation between neighbours; NaN of nothing. Source: Hyndman and Fan, 1996, definition 7."""
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _figure(value: float, draws: Iterable[float]) -> Figure:
    ordered = sorted(one for one in draws if not math.isnan(one))
    return Figure(value, percentile(ordered, 0.025), percentile(ordered, 0.975))


def _compared(
    against: str, whole: Mapping[str, dict[Metric, float]], drawn: Mapping[str, list[dict[Metric, float]]]
) -> Iterable[Comparison]:
    kinds: dict[str, Callable[[float, float], float]] = {"difference": lambda a, b: a - b, "ratio": _ratio}
    for other in whole if against in whole else ():
        for metric, kind in _COMPARED if other != against else ():
            measure = kinds[kind]
            pairs = zip(drawn[against], drawn[other], strict=True)
            draws = [measure(one[metric], two[metric]) for one, two in pairs]
            value = measure(whole[against][metric], whole[other][metric])
            yield Comparison(against, other, metric, kind, _figure(value, draws))
