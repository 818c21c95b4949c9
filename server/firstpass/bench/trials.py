"""Figures of an experiment's arms from the record, with intervals, and which differences are real. Knows no store.

Requests of one session are in one arm and resemble each other: what varies is counted over sessions, by linearisation
of ratios, and of percentiles by the interval of the share below them. Where a request has no session, it is its own,
and one with what goes on with it. Sessions of unlike sizes say as much as fewer of one size (Kish's effective number).
Whoever watches an experiment looks at it again and again, and an interval that is meant for one look is soon wrong by
chance. What is called real here is so however often one looks, with probability 95% over all that is compared.
Sources: Cochran, Sampling Techniques, 1977, chapters 6 and 9A; Woodruff, Confidence Intervals for Medians and Other
Position Measures, 1952; Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion, 2001 (Wilson's);
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence sequences,
2024, theorem 2.2; Kish, Survey Sampling, 1965, chapter 11.7.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from firstpass.bench.figures import Figure, Z, percentile
from firstpass.chat import Usage
from firstpass.errors import Abandoned, Stopping
from firstpass.exchange import Answer, Exchange, Label, Refuse

FALSE_ALARMS = 0.05
TUNED_FOR = 500
"""Units in two arms together at which a difference is told soonest; at others it takes little longer."""

LEAST_UNITS = 50
"""Of each arm, before anything is called real: what the sources say holds for many."""

ROUNDING = 1e-9
"""Of two figures, a difference that is none."""

LEAST_BEYOND = 20
"""Requests above a percentile and below it, likewise."""

Measure = Literal["right", "passed", "refused", "escalated", "usd", "p50_ms", "p90_ms", "p99_ms"]
PERCENTILES: Mapping[Measure, float] = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
SHARES: tuple[Measure, ...] = ("right", "passed", "refused", "escalated")


@dataclass(frozen=True, slots=True)
class Trial:
    """What one request came to. None where that is not known, or there is no such thing.

    unit: what is drawn for an arm. right: by the labels. passed: the checks of a contract. usd: of its verifiers.
    refused: of a shadow that the server's end cut off, nothing is known. shadow: it answered nobody.
    """

    arm: str
    unit: str
    right: bool | None
    passed: bool | None
    refused: bool | None
    escalated: bool
    usd: float | None
    milliseconds: float | None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """figure: with its 95% interval, for one look. error: standard. units: of one size, that would say as much.

    told: whether there is enough to tell by.
    """

    figure: Figure
    error: float
    units: float
    told: bool


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """units: sessions, and requests without one. labelled: requests that somebody said of whether they are right.

    shadow: it answered nobody.
    """

    requests: int
    units: int
    labelled: int
    measured: Mapping[Measure, Measured]
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """`arm` less `other`, with an interval that holds however often one looks. real: None where there is too little."""

    arm: str
    other: str
    measure: Measure
    figure: Figure
    real: bool | None


Cost = Callable[[str | None, Usage], float | None]
"""Of what a verifier of that name counted, in US dollars; None where nobody said a price."""


def trial_of(exchange: Exchange, labels: Sequence[Label], cost: Cost, before: str | None = None) -> Trial:
    """before: the unit of the exchange that it goes on with.

    Of labels the last of a person counts, else the last one.
    """
    ask, answer = exchange.ask, exchange.answer
    said, begins = ask.session or ask.user, before or ask.previous or ask.shadows or ask.id
    last = [one for one in labels if one.source == "user"][-1:] or list(labels)[-1:]
    asked = [step for step in exchange.steps if step.move.tier == "verifier"]
    replies = [step.reply for step in asked if step.reply is not None]
    costs = [cost(reply.verifier, reply.usage) if reply.usage else None for reply in replies]
    known = [one for one in costs if one is not None]
    failed = exchange.ending.failure.kind if isinstance(exchange.ending, Refuse) else None
    cut_off = ask.shadows is not None and failed in (Abandoned.__name__, Stopping.__name__)
    checked = ask.contract is not None and answer is not None
    return Trial(
        ask.arm or "",
        begins if said is None else f"{ask.key or ''}\0{said}",
        last[0].verdict == "accept" if last else None,
        answer.passed if checked and answer is not None else None,
        None if cut_off else not isinstance(exchange.ending, Answer),
        bool(asked),
        sum(known) if len(known) == len(costs) else None,
        None if answer is None or exchange.seconds is None else exchange.seconds * 1000,
        ask.shadows is not None,
    )


def figures_of(trials: Iterable[Trial]) -> dict[str, ArmFigures]:
    """By arm."""
    by_arm: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_arm[trial.arm].append(trial)
    return {arm: _of_arm(found) for arm, found in by_arm.items()}


def differences(arms: Mapping[str, ArmFigures], against: str) -> list[Difference]:
    """Of every other arm, in all that both have.

    But for latencies of shadows: an engine that has just read the same prompt is faster, and one finds a quiet moment.
    """
    others = [arm for arm in arms if arm != against] if against in arms else []
    pairs = [
        (arm, measure)
        for arm in others
        for measure in arms[arm].measured
        if measure in arms[against].measured
        and (measure not in PERCENTILES or arms[arm].shadow == arms[against].shadow)
    ]
    compared = len(others) * len(get_args(Measure))  # Of what is there only later, too: looks before it count.
    return [_difference(arms, arm, against, measure, FALSE_ALARMS / compared) for arm, measure in pairs]


def boundary(units: float, false_alarms: float) -> float:
    """How many standard errors an estimate is ever off at so many units, but with that probability."""
    spent = -2 * math.log(false_alarms)
    seen = units * (spent + math.log(spent + 1)) / TUNED_FOR
    return math.sqrt((seen + 1) / seen * (math.log(seen + 1) + spent))


def _difference(
    arms: Mapping[str, ArmFigures], arm: str, other: str, measure: Measure, false_alarms: float
) -> Difference:
    one, two = arms[arm].measured[measure], arms[other].measured[measure]
    value = one.figure.value - two.figure.value
    reach = math.hypot(one.error, two.error) * boundary(one.units + two.units, false_alarms)
    reach = max(reach, ROUNDING * (abs(one.figure.value) + abs(two.figure.value)))
    figure = Figure(value, value - reach, value + reach)
    return Difference(arm, other, measure, figure, abs(value) > reach if one.told and two.told else None)


def _of_arm(trials: Sequence[Trial]) -> ArmFigures:
    measured = {share: found for share in SHARES if (found := _share(trials, share))}
    if all(trial.usd is not None for trial in trials):
        value, error, units = _ratio((trial.unit, trial.usd or 0.0) for trial in trials)
        measured["usd"] = Measured(
            Figure(value, value - Z * error, value + Z * error), error, units, units >= LEAST_UNITS
        )
    timed = sorted((trial.milliseconds, trial.unit) for trial in trials if trial.milliseconds is not None)
    if timed:
        measured |= {name: _percentile(timed, share) for name, share in PERCENTILES.items()}
    labelled = sum(trial.right is not None for trial in trials)
    shadow = any(trial.shadow for trial in trials)
    return ArmFigures(len(trials), len({trial.unit for trial in trials}), labelled, measured, shadow)


def _share(trials: Iterable[Trial], name: Measure) -> Measured | None:
    """None where it is known of no request. Its error is that of a few requests more, half of them so and half not:
    where all are alike, nothing is known for certain.
    """
    known = [(trial.unit, float(found)) for trial in trials if (found := getattr(trial, name)) is not None]
    if not known:
        return None
    value, error, units = _ratio(known)
    size = value * (1 - value) / error**2 if error > 0 else units
    middle = (value + Z**2 / (2 * size)) / (1 + Z**2 / size)
    reach = Z / (1 + Z**2 / size) * math.sqrt(value * (1 - value) / size + Z**2 / (4 * size**2))
    smoothed = (value * size + 2) / (size + 4)
    figure = Figure(value, max(0.0, middle - reach), min(1.0, middle + reach))
    return Measured(figure, math.sqrt(smoothed * (1 - smoothed) / (size + 4)), units, units >= LEAST_UNITS)


def _percentile(timed: Sequence[tuple[float, str]], share: float) -> Measured:
    """timed: milliseconds and units, in order."""
    ordered = [milliseconds for milliseconds, _ in timed]
    value = percentile(ordered, share)
    _, error, units = _ratio((unit, float(milliseconds <= value)) for milliseconds, unit in timed)
    ends = max(0.0, share - Z * error), min(1.0, share + Z * error)
    low, high = (percentile(ordered, end) for end in ends)
    told = units >= LEAST_UNITS and min(share, 1 - share) * len(ordered) >= LEAST_BEYOND
    return Measured(Figure(value, low, high), (high - low) / (2 * Z), units, told)


def _ratio(known: Iterable[tuple[str, float]]) -> tuple[float, float, float]:
    """(The mean of the values, its standard error over units, how many units of one size would say as much)"""
    totals, counts = defaultdict[str, float](float), Counter[str]()
    for unit, value in known:
        totals[unit] += value
        counts[unit] += 1
    size, units = counts.total(), len(counts)
    mean = math.fsum(totals.values()) / size
    squares = math.fsum((totals[unit] - mean * count) ** 2 for unit, count in counts.items())
    alike = size**2 / sum(count**2 for count in counts.values())
    return mean, math.sqrt(squares * units / max(1, units - 1)) / size, alike
