"""Two runs of `firstpass bench` that were made at different times. Reads their results; measures nothing.

Sources: Welch, The generalization of "Student's" problem, 1947; Newcombe, Interval estimation for the difference
between independent proportions, 1998, method 10 (from Wilson's intervals).
"""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstpass.bench.figures import Figure, Z
from firstpass.bench.load.figures import COMPARED, Ratio, student
from firstpass.bench.load.report import FORMAT
from firstpass.errors import BadLabels

OF_THE_RUN, OF_THE_ARM = ("machine", "version"), ("model", "api")
HIGHER_IS_BETTER = "tokens_per_s"


@dataclass(frozen=True, slots=True)
class Result:
    """An arm of a run. setting: what has to be alike for two to be comparable, by name. rounds: figures of each."""

    setting: Mapping[str, Any]
    requests: int
    rounds: Sequence[Mapping[str, float]]

    @property
    def failed(self) -> float:
        """Of its requests, how many."""
        return self.requests * sum(row.get("errors", 0.0) for row in self.rounds)

    @property
    def asked(self) -> int:
        return self.requests * len(self.rounds)


def read_result(path: Path, arm: str | None) -> Result:
    """arm: None for the first. Raises: BadLabels."""
    path = path / "results.json" if path.is_dir() else path
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise BadLabels(f"{path}: its format is {told['format']}, and this firstpass reads {FORMAT}")
        arms = told["arms"]
        name = arm or next(iter(arms))
        if name not in arms:
            raise BadLabels(f"--arm {name!r}: {path} has only {', '.join(arms)}")
        rounds = [{figure: float(value) for figure, value in row.items()} for row in arms[name]["rounds"]]
        if any(not 0 <= value < math.inf for row in rounds for value in row.values()):
            raise ValueError("a figure is no number from 0 up")
        load = dict(told["load"])
        setting = {one: told.get(one) for one in OF_THE_RUN} | {one: arms[name].get(one) for one in OF_THE_ARM} | load
        return Result(setting, int(load.get("requests", 1)), rounds)
    except (OSError, ValueError, LookupError, StopIteration, TypeError, AttributeError, RecursionError) as error:
        raise BadLabels(f"{path} is no result of firstpass bench run: {error}") from error


def unlike(old: Result, new: Result) -> Iterator[str]:
    """What the two do not have in common, beside what is to be compared."""
    for name in [*old.setting, *(new.setting.keys() - old.setting.keys())]:
        was, is_ = old.setting.get(name), new.setting.get(name)
        if was != is_:
            yield f"{name} was {was} and is {is_}"


def changes(old: Result, new: Result) -> list[Ratio]:
    return [
        Ratio(
            "after",
            "before",
            name,
            _unpaired([row.get(name) for row in new.rounds], [row.get(name) for row in old.rounds]),
        )
        for name in COMPARED
    ]


def is_worse(one: Ratio, slower: float) -> bool:
    """Whether a latency is more than `slower` times as long, or the throughput as much lower, without a doubt."""
    return one.figure.high < 1 / slower if one.name == HIGHER_IS_BETTER else one.figure.low > slower


def _unpaired(new: Sequence[float | None], old: Sequence[float | None]) -> Figure:
    """Of the means of the logarithms, with Welch's interval, for which the fewer rounds count."""
    logs = [[math.log(one) for one in side if one] for side in (new, old)]
    if any(len(side) < 2 for side in logs):
        return Figure(math.nan, math.nan, math.nan)
    mean = statistics.fmean(logs[0]) - statistics.fmean(logs[1])
    error = math.sqrt(sum(statistics.variance(side) / len(side) for side in logs))
    reach = student(min(map(len, logs)) - 1) * error
    return Figure(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach))


def lost(old: Result, new: Result) -> Figure:
    """How many more of the requests failed, as a share, with its 95% interval; NaN where one has no request."""
    if not old.asked or not new.asked:
        return Figure(math.nan, math.nan, math.nan)
    was, is_ = (_wilson(one.failed, one.asked) for one in (old, new))
    rise = is_.value - was.value
    low = rise - math.hypot(is_.value - is_.low, was.high - was.value)
    return Figure(rise, low, rise + math.hypot(is_.high - is_.value, was.value - was.low))


def _wilson(count: float, number: int) -> Figure:
    share = count / number
    middle = (share + Z**2 / (2 * number)) / (1 + Z**2 / number)
    reach = Z * math.sqrt(share * (1 - share) / number + Z**2 / (4 * number**2)) / (1 + Z**2 / number)
    return Figure(share, middle - reach, middle + reach)
