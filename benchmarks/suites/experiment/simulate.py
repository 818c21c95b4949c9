"""How often an experiment calls a difference real that is none, and how soon it finds one that is there.

    python benchmarks/suites/experiment/simulate.py

Arms of simulated requests are looked at again and again. Beside the verdict of `firstpass experiment` stands that of a
95% interval that is meant for one look.
"""

import argparse
import json
import math
import random
from typing import get_args

from firstpass.bench.trials import FALSE_ALARMS, LEAST_UNITS, Measure, Z, boundary

MEASURES = len(get_args(Measure))
"""Between which the allowed false alarms are divided, of two arms."""


def looked(rng: random.Random, first: float, second: float, most: int, every: int) -> tuple[int | None, int | None]:
    """After how many requests of each arm a difference was called real: here, and by the interval for one look."""
    good, here, once = [0, 0], None, None
    for number in range(1, most + 1):
        good[0] += rng.random() < first
        good[1] += rng.random() < second
        if number < LEAST_UNITS or number % every:
            continue
        smoothed = [(one + 2) / (number + 4) for one in good]
        error = math.sqrt(sum(share * (1 - share) / (number + 4) for share in smoothed))
        off = abs(good[0] - good[1]) / number
        once = once or (number if off > Z * error else None)
        here = here or (number if off > error * boundary(2 * number, FALSE_ALARMS / MEASURES) else None)
        if here:
            break
    return here, once


def simulated(first: float, second: float, runs: int, most: int, every: int) -> dict[str, float | None]:
    rng = random.Random(1)
    found = [looked(rng, first, second, most, every) for _ in range(runs)]
    soon = sorted(here for here, _ in found if here)
    return {
        "called real": len(soon) / runs,
        "by an interval for one look": sum(once is not None for _, once in found) / runs,
        "median requests an arm until then": soon[len(soon) // 2] if soon else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=2000, help="of each arm")
    parser.add_argument("--every", type=int, default=10, help="requests of each arm between two looks")
    wanted = parser.parse_args()
    pairs = [(0.5, 0.5), (0.8, 0.8), (0.95, 0.95), (0.8, 0.85), (0.8, 0.9), (0.5, 0.6)]
    told = {f"{one} and {two}": simulated(one, two, wanted.runs, wanted.requests, wanted.every) for one, two in pairs}
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
