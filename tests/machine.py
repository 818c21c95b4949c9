"""What others' work on the machine does to a bound of time. Knows no test."""

import os


def stretched(seconds: float) -> float:
    """A bound that holds on idle cores, for as many processes a core as want to run (the last minute's load)."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
