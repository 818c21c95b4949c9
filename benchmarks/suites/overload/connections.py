"""Connections that say nothing, half a request, or a body byte by byte: what they cost others, and how long they stay.

    python benchmarks/suites/overload/connections.py

A neighbour asks /healthz all the time, on new connections. Quiet turns and each attack alternate in every round, so
that a busy machine is as busy for each; what counts is the ratio.
"""

import argparse
import asyncio
import json
import resource
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from running import asked, front

from firstpass.bench.figures import percentile

HEALTH = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
HALF = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: "
BODY = b"POST /infer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n"
ATTACKS = {
    "200 half-sent requests": (200, HALF, b"y"),
    "1000 that say nothing": (1000, b"", b""),
    "1000 bodies, a byte a second": (1000, BODY, b" "),
    "5000 that say nothing": (5000, b"", b""),
}
"""By name: how many, what each says at first, and each second."""

FILES = 6000
GIVE_UP_SECONDS = 60.0
AT_ONCE = 100


async def attacker(port: int, opening: asyncio.Semaphore, first: bytes, more: bytes) -> float:
    """For how many seconds its connection stays, GIVE_UP_SECONDS where it would stay on."""
    async with opening:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    ended = asyncio.ensure_future(reader.read())
    try:
        writer.write(first)
        while not ended.done() and time.monotonic() - started < GIVE_UP_SECONDS:
            await asyncio.wait({ended}, timeout=1.0)
            writer.write(more)
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        writer.close()
    return time.monotonic() - started


async def neighbour(port: int, taken: list[float], until: "asyncio.Future[Any]") -> int:
    """How many were not answered."""
    failed = 0
    while not until.done():
        status, seconds = await asked(port, HEALTH)
        failed += status != 200
        taken.append(seconds)
        await asyncio.sleep(0.01)
    return failed


def attack(port: int, name: str) -> float:
    """In a process of its own, which takes no time from the neighbour. How long the last connection stayed."""
    number, first, more = ATTACKS[name]

    async def all_of_them() -> float:
        opening = asyncio.Semaphore(AT_ONCE)
        return max(await asyncio.gather(*(attacker(port, opening, first, more) for _ in range(number))))

    return asyncio.run(all_of_them())


async def attacked(port: int, name: str, attackers: ProcessPoolExecutor, taken: list[float]) -> tuple[int, float]:
    """(requests of the neighbour that were not answered, seconds that the last connection of the attack stayed)"""
    attacking = asyncio.get_running_loop().run_in_executor(attackers, attack, port, name)
    failed = await neighbour(port, taken, attacking)
    return failed, await attacking


async def quiet(port: int, seconds: float, taken: list[float]) -> int:
    return await neighbour(port, taken, asyncio.ensure_future(asyncio.sleep(seconds)))


def measured(rounds: int, quiet_seconds: float) -> dict[str, dict[str, float]]:
    taken, failed = defaultdict[str, list[float]](list), defaultdict[str, int](int)
    stayed = defaultdict[str, float](float)
    with front(4, 0.1) as (port, _, _), ProcessPoolExecutor(1) as attackers:
        for _ in range(rounds):
            for name in ATTACKS:
                failed["quiet"] += asyncio.run(quiet(port, quiet_seconds, taken["quiet"]))
                lost, longest = asyncio.run(attacked(port, name, attackers, taken[name]))
                failed[name] += lost
                stayed[name] = max(stayed[name], longest)
    base = {share: percentile(sorted(taken["quiet"]), share) for share in (0.5, 0.99)}
    return {
        name: _figures(sorted(all_), base) | {"failed": failed[name], "stayed_s": stayed[name]}
        for name, all_ in taken.items()
    }


def _figures(taken: list[float], base: dict[float, float]) -> dict[str, float]:
    ratios = {f"p{share * 100:g}_ratio": percentile(taken, share) / quiet for share, quiet in base.items()}
    return ratios | {"p99_ms": percentile(taken, 0.99) * 1e3, "number": len(taken)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quiet-seconds", type=float, default=10.0)
    wanted = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))
    print(json.dumps(measured(wanted.rounds, wanted.quiet_seconds), indent=2))


if __name__ == "__main__":
    main()
