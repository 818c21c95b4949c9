"""When requests are to be sent. Knows no server and no clock.

In an open loop they come when they come, whatever was answered by then; so latency counts from the intended moment, or
a server that stalls would hide all that it kept from being sent. Sources: MLPerf LoadGen; Tene, How NOT to Measure
Latency, 2013.
"""

import random
from typing import Literal

Pace = Literal["poisson", "constant"]
"""Poisson: the times between two are exponential, so that requests also come in bursts, as those of many callers do."""


def offsets(pace: Pace, rate: float, number: int, seed: str) -> list[float]:
    """Seconds from the beginning, of `number` requests at `rate` a second."""
    if pace == "constant":
        return [at / rate for at in range(number)]
    rng, now, found = random.Random(seed), 0.0, list[float]()
    for _ in range(number):
        now += rng.expovariate(rate)
        found.append(now)
    return found
