"""What speaks against a run's figures: the client, the neighbours, arms that were not asked the same. Knows no server.

Whether an arm was warm is seen by its first rounds beside its later ones, as a chain's beginning is held against its
end. Source: Geweke, Evaluating the Accuracy of Sampling-Based Approaches to the Calculation of Posterior Moments, 1992.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from firstpass.bench.figures import Z, percentile
from firstpass.bench.load.figures import LEAST_ROUNDS, Measured, student
from firstpass.bench.load.run import Block, Ran

CHANCE = 3.0
"""So many standard errors are not chance."""

STEADY = {"ttft_ms.p50": "to the first token", "e2e_ms.p50": "of a whole answer"}
"""Figures by which the first rounds are held against the later ones."""

FIRST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Bounds:
    """When the client itself is in the way. queue_share: of the first token's median; lag_ms: of its event loop, p99;
    cores: of the one that it has. uneven: by how much arms' prompts may differ in tokens. queue_ms: below which nothing
    is late: timers and the interpreter pause. unsteady: by how much first rounds may differ from later ones.
    """

    queue_ms: float = 5.0
    queue_share: float = 0.05
    lag_ms: float = 20.0
    cores: float = 0.8
    uneven: float = 0.05
    others_cores: float = 0.5
    growth: float = 2.0
    unsteady: float = 0.05


def warnings(ran: Ran, found: Measured, bounds: Bounds = Bounds()) -> Iterator[str]:
    """What speaks against the figures, worst first."""
    if ran.cut_short:
        yield f"cut short after {len({block.round for block in ran.blocks})} of {ran.load.rounds} rounds"
    for arm, figures in found.arms.items():
        queue, first = figures.get("queue_ms.p99"), figures.get("ttft_ms.p50")
        if queue and first and queue.value > max(bounds.queue_ms, bounds.queue_share * first.value):
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
    for arm, rounds in found.rounds.items():
        yield from _unsteady(arm, rounds, bounds)
    if shared := _shared(ran):
        text = f"{shared} are one server and one model, and are asked the same lines: whoever is later may find them"
        yield f"{text} in a cache; --fresh makes each new"
    if uneven := _uneven(ran, "tokens_in", bounds):
        yield f"prompts have {uneven} tokens on the mean: the arms' loads are not the same"
    if uneven := _uneven(ran, "tokens_out", bounds):
        yield f"answers have {uneven} tokens on the mean: whole answers' times are not of the same work"
    if ran.other_cores is not None and ran.other_cores > bounds.others_cores:
        yield f"others used {ran.other_cores:.1f} cores of the client's machine: read ratios, not milliseconds"


def _unsteady(arm: str, rounds: Sequence[Mapping[str, float]], bounds: Bounds) -> Iterator[str]:
    """The first fifth of the rounds beside the later ones, where chance does not explain how far they are apart."""
    first = max(1, int(FIRST_SHARE * len(rounds)))
    for name, said in STEADY.items() if len(rounds) >= LEAST_ROUNDS else ():
        logs = [math.log(row[name]) for row in rounds if row.get(name)]
        if len(logs) < len(rounds):
            continue
        begin, later = logs[:first], logs[first:]
        apart = statistics.fmean(begin) - statistics.fmean(later)
        error = statistics.stdev(later) * math.sqrt(1 / len(begin) + 1 / len(later))
        reach = CHANCE * error * student(len(later) - 1) / Z
        if abs(apart) > max(reach, math.log1p(bounds.unsteady)):
            text = f"{arm} was not steady: the median time {said} was in the first {first} of {len(rounds)} rounds"
            yield f"{text} {math.exp(apart):.2f} of that in the others; it wants a longer --warm-up"


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
