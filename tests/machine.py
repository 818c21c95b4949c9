"""Bounds of time that hold on a slow or busy machine. Knows no test."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable

TIMES, ROUNDS, MOST_ROUNDS = 4, 5, 25
LINEAR = 10.0
"""Growth above this is worse than linear: TIMES the size takes linear work TIMES as long, and quadratic its square."""

CLEARLY = 0.7
"""Growth below so much of LINEAR, in two rounds, needs no third."""

PIECE = "def name(first: int, second: str) -> None:  # said 'once'\n" * 400
PIECE_SECONDS = 0.0009
"""Of a free core of the machine that bounds were measured on, for the words of PIECE to be counted."""


def stretched(seconds: float) -> float:
    """A bound that holds on free cores of the machine of reference, for this one as it is now.

    That is for as many processes a core as want to run (the last minute's load), and for a core that is as slow.
    """
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)) * slowness()


def slowness() -> float:
    """How many times the CPU time of the machine of reference a fixed piece of work takes here; at least 1."""
    return max(1.0, cpu_seconds(lambda: Counter(re.findall(r"\w+", PIECE))) / PIECE_SECONDS)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this thread, the best of ROUNDS: for work whose result nobody keeps."""
    return min(cpu_seconds_once(work) for _ in range(ROUNDS))


def cpu_seconds_once(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times as long TIMES the size takes: CPU time of this thread, the best of at most MOST_ROUNDS, in turns.

    A neighbour on the same core can make five rounds of linear work look like growth of ten.

    A round's sizes are its own, so that work whose result is kept by its text is done again.
    """
    best = [float("inf")] * 2
    for more in range(MOST_ROUNDS):
        for place, length in enumerate((size, TIMES * size)):
            best[place] = min(best[place], cpu_seconds_once(lambda length=length + more: work(length)))  # type: ignore[misc]
        if more and best[1] < CLEARLY * LINEAR * best[0]:
            break
    return best[1] / best[0]
