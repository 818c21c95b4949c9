"""Connections that say nothing, half a request, or a body byte by byte: what they cost others, and how long they stay.

    python benchmarks/suites/overload/connections.py

A neighbour asks /healthz all the time, on new connections. Quiet turns and each attack alternate in every round, so
that a busy machine is as busy for each; what counts is the ratio.
"""

import argparse
import asyncio
import json
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
from running import asked, front

from firstpass.bench.figures import percentile

HEALTH = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
HALF = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: "
LARGE = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"
BODY = b"POST /infer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n"
ATTACKS = {
    "1000 bodies, a byte a second": (1000, BODY, b" "),
    "5000 that say nothing": (5000, b"", b""),
    "5000 half-sent requests": (5000, HALF, b"y"),
    "1000 that do not read their answer": (1000, LARGE, b""),
}
"""By name: how many, what each says at first, and each second."""

Taken = list[tuple[float, float]]
"""When each was asked, in monotonic seconds, and how many it took."""

FILES = 6000
GIVE_UP_SECONDS = 60.0
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Attacked:
    """there: the monotonic time when all had come. stayed_seconds: of the last one, after that."""

    there: float
    stayed_seconds: float


def attack(port: int, name: str) -> Attacked:
    """In a process of its own, and with as little work as can be, so that the neighbour has the other processor."""
    number, first, more = ATTACKS[name]
    poller, open_ = select.poll(), dict[int, socket.socket]()
    while len(open_) < number:
        for one in connected(port, min(AT_ONCE, number - len(open_))):
            one.sendall(first)
            poller.register(one, select.POLLRDHUP)
            open_[one.fileno()] = one
    there = time.monotonic()
    while open_ and time.monotonic() < there + GIVE_UP_SECONDS:
        due = time.monotonic() + 1.0
        while (left := due - time.monotonic()) > 0 and open_:
            for file, _ in poller.poll(left * 1e3):
                poller.unregister(file)
                open_.pop(file).close()
        for one in open_.values() if more else ():
            with suppress(OSError):
                one.send(more)
    return Attacked(there, time.monotonic() - there)


def connected(port: int, number: int) -> list[socket.socket]:
    """So many at once."""
    begun = [socket.socket() for _ in range(number)]
    for one in begun:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    for one in begun:
        there = select.poll()
        there.register(one, select.POLLOUT)
        there.poll()
    return begun


async def neighbour(port: int, taken: Taken, until: "asyncio.Future[Any]") -> int:
    """How many were not answered."""
    failed = 0
    while not until.done():
        begun = time.monotonic()
        status, seconds = await asked(port, HEALTH)
        failed += status != 200
        taken.append((begun, seconds))
        await asyncio.sleep(0.01)
    return failed


async def attacked(port: int, name: str, attackers: ProcessPoolExecutor, taken: Taken) -> tuple[int, Attacked]:
    """How many requests of the neighbour were not answered."""
    attacking = asyncio.get_running_loop().run_in_executor(attackers, attack, port, name)
    failed = await neighbour(port, taken, attacking)
    return failed, await attacking


async def quiet(port: int, seconds: float, taken: Taken) -> int:
    return await neighbour(port, taken, asyncio.ensure_future(asyncio.sleep(seconds)))


@dataclass(slots=True)
class Seen:
    """arriving: while the attack's connections came. held: after that. quiet: beside each of its turns."""

    quiet: list[float] = field(default_factory=list)
    arriving: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    failed: int = 0
    stayed_seconds: float = 0.0
    grown_bytes: int = 0

    def figures(self) -> dict[str, float]:
        base = sorted(self.quiet)
        shown: dict[str, float] = {"quiet_p99_ms": percentile(base, 0.99) * 1e3, "failed": self.failed}
        shown |= {"stayed_s": self.stayed_seconds, "grown_mb": self.grown_bytes / 1e6}
        for name, all_ in (("arriving", self.arriving), ("held", self.held), ("both", self.arriving + self.held)):
            values = sorted(all_)
            shown |= {f"{name}_number": len(values)}
            if values:
                ratios = ((share, percentile(values, share) / percentile(base, share)) for share in (0.5, 0.99))
                shown |= {f"{name}_p{share * 100:g}_ratio": ratio for share, ratio in ratios}
        return shown


def measured(rounds: int, quiet_seconds: float, names: list[str]) -> dict[str, dict[str, float]]:
    seen = {name: Seen() for name in names}
    with front(4, 0.1) as (port, pid, _), ProcessPoolExecutor(1) as attackers:
        for _ in range(rounds):
            for name, one in seen.items():
                before, loud = Taken(), Taken()
                one.failed += asyncio.run(quiet(port, quiet_seconds, before))
                with watched(pid) as grown:
                    lost, attack_ = asyncio.run(attacked(port, name, attackers, loud))
                one.grown_bytes = max(one.grown_bytes, *grown)
                one.failed += lost
                one.stayed_seconds = max(one.stayed_seconds, attack_.stayed_seconds)
                one.quiet += [seconds for _, seconds in before]
                one.arriving += [seconds for when, seconds in loud if when < attack_.there]
                one.held += [seconds for when, seconds in loud if when >= attack_.there]
    return {name: one.figures() for name, one in seen.items()}


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """By how many bytes the process has grown, looked at ten times a second."""
    process, ended = psutil.Process(pid), threading.Event()
    rest = process.memory_info().rss
    grown = [0]

    def look() -> None:
        while not ended.wait(0.1):
            grown.append(process.memory_info().rss - rest)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield grown
    finally:
        ended.set()
        looking.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quiet-seconds", type=float, default=10.0)
    parser.add_argument("--attack", action="append", choices=list(ATTACKS), help="only this one")
    wanted = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))
    print(json.dumps(measured(wanted.rounds, wanted.quiet_seconds, wanted.attack or list(ATTACKS)), indent=2))


if __name__ == "__main__":
    main()
