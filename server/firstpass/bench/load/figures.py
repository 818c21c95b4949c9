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
from typing import Literal

from firstpass.bench.figures import Figure, Z, percentile
from firstpass.bench.load.request import Timed
from firstpass.bench.load.run import Block, Ran

DRAWS = 500
CHANCE = 3.0
"""So many standard errors are not chance."""

SHARES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

Latency = Literal["ttft_ms", "tpot_ms", "itl_ms", "e2e_ms", "ttft_from_sent_ms", "queue_ms"]
LATENCIES: tuple[Latency, ...] = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms", "ttft_from_sent_ms", "queue_ms")
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
    if latency != "itl_ms" and found is not None:
        yield found


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the figures of a block are made of, so that it is read once however often it is drawn."""

    latencies: Mapping[Latency, Sequence[float]]
    seconds: float
    number: int
    answered: int
    tokens: int
    met: int


def _counted(block: Block, slo: Slo) -> _Counted:
    every = block.requests
    answered = [timed for timed in every if timed.error is None]
    latencies = {latency: milliseconds([block], latency) for latency in LATENCIES}
    tokens = sum(timed.tokens_out for timed in answered)
    return _Counted(latencies, block.seconds, len(every), len(answered), tokens, sum(map(slo.met, every)))


def values(blocks: Sequence[Block], slo: Slo) -> dict[str, float]:
    """Every figure of some blocks by its name, as `ttft_ms.p99`."""
    every = [_counted(block, slo) for block in blocks]
    return _values(every, _pooled(every), slo)


def _pooled(every: Sequence[_Counted]) -> Mapping[Latency, Sequence[float]]:
    return {name: sorted(one for counted in every for one in counted.latencies[name]) for name in LATENCIES}


def _values(every: Sequence[_Counted], pooled: Mapping[Latency, Sequence[float]], slo: Slo) -> dict[str, float]:
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
    if slo.asked:
        met = sum(one.met for one in every)
        found |= {"goodput": met / number, "goodput_per_s": met / seconds}
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


def figures(ran: Ran, slo: Slo) -> dict[str, dict[str, Figure]]:
    """By arm and name."""
    return {target.name: _of_arm(list(ran.of(target.name)), slo, ran.seed) for target in ran.targets}


def _of_arm(blocks: Sequence[Block], slo: Slo, seed: int) -> dict[str, Figure]:
    """One round says nothing about how much rounds differ: it has no interval."""
    rng, every = random.Random(seed), [_counted(block, slo) for block in blocks]
    pooled = _pooled(every)
    whole = _values(every, pooled, slo)
    if len(every) < 2:
        return {name: Figure(value, math.nan, math.nan) for name, value in whole.items()}
    drawn = [_values(rng.choices(every, k=len(every)), pooled, slo) for _ in range(DRAWS)]
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


def ratios(ran: Ran, slo: Slo) -> list[Ratio]:
    """Of every other arm to the first."""
    first, *others = [target.name for target in ran.targets]
    of = {name: {block.round: values([block], slo) for block in ran.of(name)} for name in (first, *others)}
    return [
        Ratio(other, first, name, ratio([(of[other][at].get(name), of[first][at].get(name)) for at in of[first]]))
        for other in others
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


@dataclass(frozen=True, slots=True)
class Bounds:
    """When the client itself is in the way. queue_share: of the first token's median; lag_ms: of its event loop, p99;
    cores: of the one that it has. uneven: by how much arms' prompts may differ in tokens.
    """

    queue_share: float = 0.05
    lag_ms: float = 20.0
    cores: float = 0.8
    uneven: float = 0.05
    others_cores: float = 0.5
    growth: float = 2.0


def warnings(ran: Ran, found: Mapping[str, Mapping[str, Figure]], bounds: Bounds = Bounds()) -> Iterator[str]:
    """What speaks against the figures, worst first."""
    if ran.cut_short:
        yield f"cut short after {len({block.round for block in ran.blocks})} of {ran.load.rounds} rounds"
    for arm, figures_ in found.items():
        queue, first = figures_.get("queue_ms.p99"), figures_.get("ttft_ms.p50")
        if queue and first and queue.value > max(1.0, bounds.queue_share * first.value):
            text = f"requests of {arm} left {queue.value:.1f} ms late (p99): this client is the bottleneck"
            yield f"{text}; lower the rate or run it elsewhere"
    lag_ms = 1000 * percentile(sorted(ran.lags), 0.99) if ran.lags else 0.0
    if lag_ms > bounds.lag_ms:
        yield f"this client's event loop was {lag_ms:.0f} ms late (p99): its figures are partly its own"
    for target in ran.targets:
        blocks = list(ran.of(target.name))
        cores = sum(block.client_cores * block.seconds for block in blocks) / sum(block.seconds for block in blocks)
        if cores > bounds.cores:
            text = f"this client used {cores:.2f} of the one core that it can while it asked {target.name}"
            yield f"{text}: it is the bottleneck"
        if errors := [timed.error for block in blocks for timed in block.requests if timed.error]:
            yield f"{len(errors)} requests of {target.name} failed, and count for no latency; the first: {errors[0]}"
        if ran.load.is_open and (grown := _growth(blocks)) > bounds.growth:
            yield f"{target.name} fell behind: first tokens came {grown:.1f} times later at a block's end than before"
    if shared := _shared(ran):
        text = f"{shared} are one server and one model, and are asked the same lines: whoever is later may find them"
        yield f"{text} in a cache; --fresh makes each new"
    if uneven := _uneven(ran, "tokens_in", bounds):
        yield f"prompts have {uneven} tokens on the mean: the arms' loads are not the same"
    if uneven := _uneven(ran, "tokens_out", bounds):
        yield f"answers have {uneven} tokens on the mean: whole answers' times are not of the same work"
    if ran.other_cores is not None and ran.other_cores > bounds.others_cores:
        yield f"others used {ran.other_cores:.1f} cores of the client's machine: read ratios, not milliseconds"


def _shared(ran: Ran) -> str | None:
    """Arms that find each other's lines in one cache."""
    if ran.load.workload is None or ran.load.fresh:
        return None
    at = [(target.url, target.uds, target.model) for target in ran.targets]
    names = [target.name for target, place in zip(ran.targets, at, strict=True) if at.count(place) > 1]
    return " and ".join(names) or None


def _growth(blocks: Iterable[Block]) -> float:
    """Of first tokens' mean time, from the first third of each block to its last: a queue that only grows."""
    early, late = list[float](), list[float]()
    for block in blocks:
        times = [timed.first_seconds for timed in block.requests if timed.first_seconds is not None]
        third = len(times) // 3
        early, late = early + times[:third], late + times[len(times) - third :] if third else late
    return statistics.fmean(late) / statistics.fmean(early) if early and late else 1.0


def _uneven(ran: Ran, name: Literal["tokens_in", "tokens_out"], bounds: Bounds) -> str | None:
    """The least and the most of arms' means, where chance does not explain how far they are apart."""
    answered = {
        target.name: [
            getattr(timed, name) for block in ran.of(target.name) for timed in block.requests if not timed.error
        ]
        for target in ran.targets
    }
    means = [(statistics.fmean(found), _error(found)) for found in answered.values() if found]
    (least, one), (most, two) = min(means, default=(0.0, 0.0)), max(means, default=(0.0, 0.0))
    far = most - least > max(bounds.uneven * least, CHANCE * math.hypot(one, two))
    return f"{least:.0f} to {most:.0f}" if far else None


def _error(found: Sequence[int]) -> float:
    return statistics.stdev(found) / math.sqrt(len(found)) if len(found) > 1 else 0.0
