"""Half to ten times what an engine of fixed capacity can do: what is answered, how soon the rest is told, and memory.

    python benchmarks/suites/overload/measure.py

One caller sends at each rate, whatever comes back (an open loop, Poisson); another with its own key asks one thing at a
time. The rates take turns in every round, so that a busy machine is as busy for each.
"""

import argparse
import asyncio
import json
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field

import psutil
from running import asked, front, post

from firstpass.bench.figures import percentile

FACTORS = (0.5, 1.0, 2.0, 5.0, 10.0)
REFUSED = (429, 503)

WAITED_SECONDS = 4.5
"""`server.waiting_seconds` is 5: a refusal that took longer than this had waited for a place first."""


@dataclass(slots=True)
class Seen:
    """answered, refused, in_vain, polite: seconds each; in_vain: of those refused after a wait.

    late: seconds between when each was due and when it was sent: what is slow of the sender itself.
    rss: bytes at the end of each turn. cpu_seconds: of the front.
    """

    seconds: float = 0.0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_vain: list[float] = field(default_factory=list)
    polite: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    failed: int = 0
    rss: list[int] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def goodput(self) -> float:
        """Answers a second, of both callers."""
        return (len(self.answered) + len(self.polite)) / self.seconds

    def figures(self, best: float) -> dict[str, float]:
        goodput = self.goodput
        shown = {"goodput_a_second": goodput, "of_the_peak": goodput / best, "failed": self.failed}
        for name in ("answered", "refused", "in_vain", "polite", "late"):
            values = sorted(getattr(self, name))
            shown |= {f"{name}_number": len(values)}
            if values:
                shown |= {
                    f"{name}_p50_ms": percentile(values, 0.5) * 1e3,
                    f"{name}_p99_ms": percentile(values, 0.99) * 1e3,
                }
        number = len(self.late) + len(self.polite)
        return shown | {"cpu_ms_a_request": self.cpu_seconds / number * 1e3, "rss_mb": max(self.rss) / 1e6}


async def turn(port: int, hog: str, polite: str, rate: float, seconds: float, seen: Seen) -> None:
    """One rate for so long, and until the last that was sent has heard."""
    chance, tasks = random.Random(1), list[asyncio.Task[None]]()
    started = time.monotonic()
    end = started + seconds

    async def one() -> None:
        status, took = await asked(port, post(hog))
        if status == 200:
            seen.answered.append(took)
        elif status in REFUSED:
            (seen.in_vain if took > WAITED_SECONDS else seen.refused).append(took)
        else:
            seen.failed += 1

    async def ask_politely() -> None:
        while time.monotonic() < end:
            status, took = await asked(port, post(polite))
            if status == 200:
                seen.polite.append(took)
            else:
                seen.failed += 1

    asking, due = asyncio.create_task(ask_politely()), started
    while (due := due + chance.expovariate(rate)) < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        seen.late.append(max(0.0, time.monotonic() - due))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(asking, *tasks)
    seen.seconds += time.monotonic() - started


def measured(places: int, seconds: float, turn_seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    capacity, seen = places / seconds, defaultdict[float, Seen](Seen)
    with front(places, seconds, callers=2) as (port, pid, (hog, polite)):
        running = psutil.Process(pid)
        asyncio.run(turn(port, hog, polite, capacity, 2.0, Seen()))
        for number in range(rounds):
            for factor in FACTORS if number % 2 else reversed(FACTORS):
                before = sum(running.cpu_times()[:2])
                asyncio.run(turn(port, hog, polite, factor * capacity, turn_seconds, seen[factor]))
                seen[factor].cpu_seconds += sum(running.cpu_times()[:2]) - before
                seen[factor].rss.append(running.memory_info().rss)
    best = max(each.goodput for each in seen.values())
    return {f"{factor:g}x": seen[factor].figures(best) for factor in FACTORS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=8, help="requests that the engine works on at once")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one request at the engine")
    parser.add_argument("--turn-seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    print(json.dumps(measured(wanted.places, wanted.seconds, wanted.turn_seconds, wanted.rounds), indent=2))


if __name__ == "__main__":
    main()
