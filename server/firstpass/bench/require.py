"""What a run must reach: `pass>=0.98`, `strong.p50_ms<900`, `cascade.pass.low>=0.95`. Knows figures alone."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from firstpass.bench.figures import Figure, Metric
from firstpass.errors import BadLabels

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_METRICS: dict[str, Metric] = {metric: metric for metric in get_args(Metric)}
_FORM = re.compile(
    r"\s*(?:(?P<arm>[\w-]+)\.)??(?P<metric>[a-z]\w*)(?:\.(?P<end>low|high))?"
    r"\s*(?P<sign>>=|<=|>|<)\s*(?P<bound>[^\s%]+)(?P<percent>%?)\s*"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """arm: None for the run's main one. end: of the interval; None for the value."""

    text: str
    arm: str | None
    metric: Metric
    end: str | None
    sign: str
    bound: float

    def judge(self, arms: Mapping[str, Mapping[Metric, Figure]], main: str) -> "Judgement":
        """A figure that has no value meets nothing."""
        figure = arms.get(self.arm or main, {}).get(self.metric, Figure(math.nan, math.nan, math.nan))
        found = getattr(figure, self.end or "value")
        return Judgement(self.text, found, not math.isnan(found) and _COMPARE[self.sign](found, self.bound))


@dataclass(frozen=True, slots=True)
class Judgement:
    text: str
    found: float
    met: bool


def requirement(text: str, arms: Mapping[str, object]) -> Requirement:
    """Raises: BadLabels that names the part that is wrong."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadLabels(f"--require {text!r}: must be METRIC>=NUMBER, such as pass>=0.98 or strong.p50_ms<900")
    if (metric := _METRICS.get(match["metric"])) is None:
        raise BadLabels(f"--require {text!r}: no figure {match['metric']}; there are {', '.join(_METRICS)}")
    if match["arm"] and match["arm"] not in arms:
        raise BadLabels(f"--require {text!r}: no arm {match['arm']}; there are {', '.join(arms)}")
    try:
        bound = float(match["bound"])
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise BadLabels(f"--require {text!r}: {match['bound']} is no number")
    return Requirement(
        text, match["arm"], metric, match["end"], match["sign"], bound / 100 if match["percent"] else bound
    )
