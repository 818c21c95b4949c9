"""What a run of `firstpass bench` has to reach: `--require`. Reads figures; measures nothing."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firstpass.bench.figures import Figure
from firstpass.bench.load.figures import LATENCIES, Slo
from firstpass.bench.load.report import FIGURES
from firstpass.errors import BadLabels

ERRORS = "errors"
_FORM = re.compile(r"(?:(?P<arm>[\w-]+):)?(?P<name>[a-z_0-9]+(?:\.p\d\d)?)(?P<sign>[<>])(?P<value>\d+(?:\.\d+)?)")

Found = Mapping[str, Mapping[str, Figure]]
"""By arm and name."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """arm: of the run; name: of a figure; at_most: or at least."""

    text: str
    arm: str
    name: str
    value: float
    at_most: bool

    def fault(self, found: Found, allowed_errors: float = 0.0) -> str | None:
        """Why it is not met. A latency is none of those that failed: of more than are allowed it proves nothing.

        allowed_errors: the share of the arm's requests that may fail.
        """
        value, errors = _value(found, self.arm, self.name), _value(found, self.arm, ERRORS)
        if math.isnan(value):
            return f"{self.text}: no answer has it"
        if not (value < self.value if self.at_most else value > self.value):
            return f"{self.text}: it is {value:.4g}"
        if self.name.partition(".")[0] in LATENCIES and errors > allowed_errors:
            return f"{self.text}: {errors:.1%} of the requests failed, which have no latency"
        return None


def _value(found: Found, arm: str, name: str) -> float:
    figure = found[arm].get(name)
    return math.nan if figure is None else figure.value


def faults(wanted: Sequence[Requirement], found: Found) -> list[str]:
    """Of all that are not met. Where a requirement is `errors<0.01`, so many may fail beside that arm's latencies."""
    allowed = {one.arm: one.value for one in wanted if one.name == ERRORS and one.at_most}
    every = (one.fault(found, allowed.get(one.arm, 0.0)) for one in wanted)
    return [fault for fault in every if fault is not None]


def requirement(text: str, arms: Sequence[str], slo: Slo) -> Requirement:
    """arms: their names; the first is meant where none is named. Raises: BadLabels."""
    match = _FORM.fullmatch(text.replace(" ", ""))
    if match is None or match["name"] not in FIGURES:
        raise BadLabels(f"--require {text!r}: must be as ttft_ms.p99<500; figures are {', '.join(FIGURES)}")
    if match["name"].startswith("goodput") and not slo.asked:
        raise BadLabels(f"--require {text!r}: goodput is of --slo-ttft-ms or --slo-tpot-ms, and neither is given")
    arm = match["arm"] or arms[0]
    if arm not in arms:
        raise BadLabels(f"--require {text!r}: there is no arm {arm!r}")
    return Requirement(text, arm, match["name"], float(match["value"]), match["sign"] == "<")
