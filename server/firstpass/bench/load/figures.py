"""Latencies, rates and goodput of a run with their intervals, and one arm against another. Knows no server.

An arm's intervals are 95% percentile bootstraps over rounds, expanded where those are few. Arms are compared round by
round, since blocks of one round met the same machine: the mean of the logarithms of their ratios, with Student's
interval, which is wide enough for few rounds where a bootstrap is too narrow. Sources: Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapters 13 and 22; Georges, Buytaert and Eeckhout, Statistically Rigorous Java
Performance Evaluation, 2007; Abramowitz and Stegun, 26.7.5 (Student's quantiles).
"""

import math
import random
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from firstpass.bench.figures import Figure, Price, Z, percentile
from firstpass.bench.load.request import Timed
from firstpass.bench.load.run import Block, Ran

DRAWS = 500
SHARES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

LEAST_ROUNDS = 5
"""For an arm's interval: of fewer, draws say too little of how much rounds differ."""

Latency = Literal[
    "ttft_ms",
    "tpot_ms",
    "itl_ms",
    "piece_ms",
    "e2e_ms",
    "ttft_from_sent_ms",
    "queue_ms",
    "draft_ttft_ms",
    "checks_ms",
]
LATENCIES: tuple[Latency, ...] = get_args(Latency)
Rounds = Mapping[str, Sequence[Mapping[str, float]]]
"""Of each arm's rounds the figures by name."""

COMPARED = ("ttft_ms.p50", "ttft_ms.p99", "tpot_ms.p50", "e2e_ms.p50", "e2e_ms.p99", "tokens_per_s")


@dataclass(frozen=True, slots=True)
class Slo:
    """The most milliseconds that a request may take to its first token, and a token after it; None: any."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None

    @property
    def asked(self) -> bool:
        return self.ttft_ms is not None or self.tpot_ms is not None

    def met(self, timed: Timed) -> bool:
        if timed.error is not None or timed.first_seconds is None:
            return False
        within = self.ttft_ms is None or timed.first_seconds * 1000 <= self.ttft_ms
        return within and (self.tpot_ms is None or (timed.token_seconds or 0.0) * 1000 <= self.tpot_ms)


@dataclass(frozen=True, slots=True)
class Ratio:
    """`arm` over `other` in one figure, with a 95% interval. NaN where a round has no value."""

    arm: str
    other: str
    name: str
    figure: Figure

    @property
    def real(self) -> bool:
        """Whether the interval leaves out 1; not where there is none."""
        return self.figure.low > 1 or self.figure.high < 1


def milliseconds(blocks: Iterable[Block], latency: Latency) -> list[float]:
    """Of all requests that were answered, in order."""
    answered = (timed for block in blocks for timed in block.requests if timed.error is None)
    return sorted(1000 * seconds for timed in answered for seconds in _seconds(timed, latency))


def _seconds(timed: Timed, latency: Latency) -> Iterator[float]:
    match latency:
        case "itl_ms":
            yield from timed.gaps()
        case "piece_ms":
            yield from timed.piece_gaps()
        case "ttft_ms":
            found = timed.first_seconds
        case "ttft_from_sent_ms":
            found = None if timed.first_seconds is None else timed.first_seconds - timed.queue_seconds
        case "tpot_ms":
            found = timed.token_seconds
        case "e2e_ms":
            found = timed.whole_seconds
        case "queue_ms":
            found = timed.queue_seconds
        case "draft_ttft_ms":
            found = timed.made.draft_first_seconds if timed.made else None
        case "checks_ms":
            found = timed.made.checks_seconds if timed.made else None
    if latency not in ("itl_ms", "piece_ms") and found is not None:
        yield found


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the figures of a block are made of, so that it is read once however often it is drawn.

    made: answers whose server says how it made them; judged: of those, whom it checked.
    """

    latencies: Mapping[Latency, Sequence[float]]
    seconds: float
    number: int
    answered: int
    tokens: int
    met: int
    made: int
    escalated: int
    judged: int
    accepted: int
    verifier_tokens: int
    usd: float


def _counted(block: Block, wanted: "Wanted") -> _Counted:
    every = block.requests
    answered = [timed for timed in every if timed.error is None]
    latencies = {latency: milliseconds([block], latency) for latency in LATENCIES}
    made = [timed.made for timed in answered if timed.made is not None]
    judged = [one.accepted for one in made if one.accepted is not None]
    tokens_in, tokens_out = sum(one.tokens_in for one in made), sum(one.tokens_out for one in made)
    price = wanted.price
    return _Counted(
        latencies,
        block.seconds,
        len(every),
        len(answered),
        sum(timed.tokens_out for timed in answered),
        sum(map(wanted.slo.met, every)),
        len(made),
        sum(one.escalated for one in made),
        len(judged),
        sum(judged),
        tokens_in + tokens_out,
        (price.tokens_in * tokens_in + price.tokens_out * tokens_out) / 1e6 if price else math.nan,
    )


def values(blocks: Sequence[Block], wanted: "Wanted") -> dict[str, float]:
    """Every figure of some blocks by its name, as `ttft_ms.p99`."""
    every = [_counted(block, wanted) for block in blocks]
    return _values(every, _pooled(every), wanted)


def _pooled(every: Sequence[_Counted]) -> Mapping[Latency, Sequence[float]]:
    return {name: sorted(one for counted in every for one in counted.latencies[name]) for name in LATENCIES}


def _values(every: Sequence[_Counted], pooled: Mapping[Latency, Sequence[float]], wanted: "Wanted") -> dict[str, float]:
    """pooled: at least all latencies of `every`, in order."""
    found = {
        f"{latency}.{name}": _percentile(parts, pooled[latency], share)
        for latency in LATENCIES
        if any(parts := [counted.latencies[latency] for counted in every])
        for name, share in SHARES.items()
    }
    number, seconds = sum(one.number for one in every), sum(one.seconds for one in every)
    found["requests_per_s"] = sum(one.answered for one in every) / seconds
    found["tokens_per_s"] = sum(one.tokens for one in every) / seconds
    found["errors"] = 1 - sum(one.answered for one in every) / number
    if wanted.slo.asked:
        met = sum(one.met for one in every)
        found |= {"goodput": met / number, "goodput_per_s": met / seconds}
    return found | _of_cascade(every)


def _of_cascade(every: Sequence[_Counted]) -> dict[str, float]:
    """Of answers whose server says how it made them. What there is nothing of has no figure."""
    made, judged, accepted = (sum(getattr(one, name) for one in every) for name in ("made", "judged", "accepted"))
    found = {"escalations": sum(one.escalated for one in every) / made} if made else {}
    if judged:
        found["accepted"] = accepted / judged
    if accepted:
        found["verifier_tokens_per_accepted"] = sum(one.verifier_tokens for one in every) / accepted
        usd = sum(one.usd for one in every) / accepted
        found |= {} if math.isnan(usd) else {"usd_per_1000_accepted": 1000 * usd}
    return found


def _percentile(parts: Sequence[Sequence[float]], pooled: Sequence[float], share: float) -> float:
    """As `percentile` of all parts together, which are not put together: that takes minutes for long answers."""
    last = sum(map(len, parts)) - 1
    place = share * last
    low = int(place)

    def ranked(rank: int) -> float:
        return pooled[bisect_left(pooled, rank + 1, key=lambda one: sum(bisect_right(part, one) for part in parts))]

    below, above = ranked(low), ranked(min(low + 1, last))
    return below + (place - low) * (above - below)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of figures. price: of a verifier's tokens, for what accepted answers cost."""

    slo: Slo = Slo()
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """arms: figures by arm and name. rounds, warm: the same of each round, and of the warm-up, as plain values.

    ratios: of every other arm to the first.
    """

    arms: Mapping[str, Mapping[str, Figure]]
    rounds: Rounds
    warm: Mapping[str, Mapping[str, float]]
    ratios: Sequence[Ratio]


def measured(ran: Ran, wanted: Wanted = Wanted()) -> Measured:
    every = {target.name: [_counted(block, wanted) for block in ran.of(target.name)] for target in ran.targets}
    rounds = _by_round(every, wanted)
    return Measured(
        {arm: _of_arm(counted, wanted, ran.seed) for arm, counted in every.items()},
        rounds,
        {block.arm: values([block], wanted) for block in ran.warm},
        ratios(rounds),
    )


def by_round(ran: Ran, wanted: Wanted = Wanted()) -> Rounds:
    """Every figure of each round, without what takes time: intervals of arms."""
    every = {target.name: [_counted(block, wanted) for block in ran.of(target.name)] for target in ran.targets}
    return _by_round(every, wanted)


def _by_round(every: Mapping[str, Sequence[_Counted]], wanted: Wanted) -> Rounds:
    return {arm: [_values([one], one.latencies, wanted) for one in counted] for arm, counted in every.items()}


def _of_arm(every: Sequence[_Counted], wanted: Wanted, seed: int) -> dict[str, Figure]:
    """Few rounds say too little about how much rounds differ: there is no interval."""
    rng, pooled = random.Random(seed), _pooled(every)
    whole = _values(every, pooled, wanted)
    if len(every) < LEAST_ROUNDS:
        return {name: Figure(value, math.nan, math.nan) for name, value in whole.items()}
    drawn = [_values(rng.choices(every, k=len(every)), pooled, wanted) for _ in range(DRAWS)]
    tail = _tail(len(every))
    return {name: _figure(value, [one[name] for one in drawn if name in one], tail) for name, value in whole.items()}


def _tail(rounds: int) -> float:
    """Of the draws, the share that is beyond each end: less than 2.5% for few rounds, whose draws are too narrow.

    Source: Hesterberg, What Teachers Should Know About the Bootstrap, 2015, 5.4 (expanded percentile intervals).
    """
    return statistics.NormalDist().cdf(-math.sqrt(rounds / (rounds - 1)) * student(rounds - 1))


def _figure(value: float, draws: Iterable[float], tail: float) -> Figure:
    ordered = sorted(draws)
    return Figure(value, percentile(ordered, tail), percentile(ordered, 1 - tail))


def ratios(rounds: Rounds) -> list[Ratio]:
    """Of every other arm to the first, round by round."""
    (first, base), *others = rounds.items()
    return [
        Ratio(other, first, name, ratio([(one.get(name), two.get(name)) for one, two in zip(found, base, strict=True)]))
        for other, found in others
        for name in COMPARED
    ]


def ratio(pairs: Sequence[tuple[float | None, float | None]]) -> Figure:
    """Of the first to the second of each round."""
    logs = [math.log(one / two) for one, two in pairs if one and two]
    if len(logs) < len(pairs) or not logs:
        return Figure(math.nan, math.nan, math.nan)
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return Figure(math.exp(mean), 0.0, math.inf)
    reach = student(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Figure(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach))


def student(freedom: int) -> float:
    """So many standard errors hold 95% of Student's distribution."""
    if freedom <= len(FEW):
        return FEW[freedom - 1]
    terms: tuple[Callable[[int], float], ...] = (
        lambda n: (Z**3 + Z) / (4 * n),
        lambda n: (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * n**2),
        lambda n: (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * n**3),
    )
    return Z + sum(term(freedom) for term in terms)


FEW = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447)
"""For which the series is not near enough."""
