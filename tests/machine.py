"""Bounds of time that hold on a slow or busy machine. Knows no test."""

import os
import time
from collections.abc import Callable

TIMES, ROUNDS = 4, 5
LINEAR = 10.0
"""Growth above this is worse than linear: TIMES the size takes linear work TIMES as long, and quadratic its square."""


def stretched(seconds: float) -> float:
    """A bound that holds on idle cores, for as many processes a core as want to run (the last minute's load)."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times as long TIMES the size takes: CPU time of this thread, the best of ROUNDS, in turns.

    A round's sizes are its own, so that work whose result is kept by its text is done again.
    """
    best = [float("inf")] * 2
    for more in range(ROUNDS):
        for place, length in enumerate((size, TIMES * size)):
            started = time.thread_time()
            work(length + more)
            best[place] = min(best[place], time.thread_time() - started)
    return best[1] / best[0]
