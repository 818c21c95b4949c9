"""Diffs that were made to be slow: what they cost others, and how much memory they take.

    python benchmarks/suites/overload/diffs.py

Four attackers, each with a key and a process of its own, send hostile diffs of up to the body limit to a contract, one
after the other. A neighbour asks /healthz, chats and sends honest diffs to a contract, one of each at a time. Quiet
turns and attacks alternate, so that a busy machine is as busy for both; what counts is the ratio.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event

import psutil
from running import asked, front, post

from firstpass.bench.figures import percentile

ATTACKERS = 4
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
SUFFIXES = ("py", "ts", "go", "rs", "java", "kt", "cpp", "rb", "json", "md")
LINES = (
    "'" * 19 + " TODO x {0}",
    "a(" * 30,
    "[" * 60,
    "foo_{0}(bar_{0})",
    "/* a {0}",
    "x = <<~EOF_{0}",
    "def f_{0}(a):",
    "{0}: `${{a",
    " " * 200 + "x",
)
"""Of hostile diffs; `{0}` is a number that counts."""

REQUESTS = 12
"""Of each attacker, made beforehand."""

SIZES = (60_000, 500_000, 3_500_000)
LOOKS_EVERY_SECONDS = 0.25
SETTLE_SECONDS = 5.0
"""Until the last of an attack is over."""


def hostile(of: random.Random) -> str:
    """One file, or a file for each line."""
    line, suffix, size, files = of.choice(LINES), of.choice(SUFFIXES), of.choice(SIZES), of.random() < 0.25
    head = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n@@ -1,0 +1,{1} @@ def g():\n"
    texts, left = [], size
    while left > 0:
        texts.append("+" + line.format(len(texts)) + "\n")
        left -= len(texts[-1]) + (80 if files else 0)
    if files:
        return "".join(head.format(f"d{at}/a.{suffix}", 1) + text for at, text in enumerate(texts))
    return head.format(f"a.{suffix}", len(texts)) + "".join(texts)


def honest(of: random.Random) -> str:
    """Some kilobytes of code that no other one is like."""
    lines = [f"+    r{row} = call_{of.getrandbits(24):x}(a, b)  # said {of.getrandbits(20):x}\n" for row in range(60)]
    path = f"src/m{of.getrandbits(32):x}.py"
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,0 +1,60 @@ def f():\n" + "".join(lines)


def contracted(diff: str, key: str) -> bytes:
    body = {"model": "local", "messages": [{"role": "user", "content": diff}], "firstpass": {"contract": "pr-summary"}}
    return post(key, json.dumps(body).encode())


def attack(
    port: int, key: str, seed: int, goes: Event, ends: Event, told: "multiprocessing.Queue[Counter[int]]"
) -> None:
    """Sends while `goes` is set. Says at the end what it was answered, by status."""
    of, answers = random.Random(seed), Counter[int]()
    requests = [contracted(hostile(of), key) for _ in range(REQUESTS)]
    while not ends.is_set():
        if goes.wait(0.1):
            status, _ = asyncio.run(asked(port, of.choice(requests)))
            answers[status] += 1
            if status != 200:
                time.sleep(0.05)
    told.put(answers)


class Memory:
    """Of the front and of all that it has started, in bytes; what they share counts once."""

    def __init__(self, pid: int) -> None:
        self._front = psutil.Process(pid)

    def now(self) -> int:
        total = 0
        for one in (self._front, *self._front.children(recursive=True)):
            try:
                total += one.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total

    async def most(self, until: float) -> int:
        found = 0
        while time.monotonic() < until:
            found = max(found, await asyncio.to_thread(self.now))
            await asyncio.sleep(LOOKS_EVERY_SECONDS)
        return found


async def turn(port: int, key: str, seconds: float, seed: int, memory: Memory, taken: dict[str, list[float]]) -> int:
    """The most memory. taken: by what is asked, seconds of what was answered; of all else under `failed`."""
    until, of = time.monotonic() + seconds, random.Random(seed)

    async def keep_asking(name: str, request: Callable[[], bytes]) -> None:
        while time.monotonic() < until:
            status, took = await asked(port, request())
            taken[name if status == 200 else f"{name} failed"].append(took)

    most, *_ = await asyncio.gather(
        memory.most(until),
        keep_asking("healthz", lambda: HEALTH),
        keep_asking("chat", lambda: post(key)),
        keep_asking("contract", lambda: contracted(honest(of), key)),
    )
    return most


def shown(quiet: dict[str, list[float]], loud: dict[str, list[float]]) -> Iterator[tuple[str, dict[str, float]]]:
    """Without times of what was never answered."""
    for name in ("healthz", "chat", "contract"):
        figures: dict[str, float] = {
            "failed": len(loud[f"{name} failed"]),
            "failed_quiet": len(quiet[f"{name} failed"]),
        }
        for which, values in (("quiet", sorted(quiet[name])), ("attacked", sorted(loud[name]))):
            figures[f"{which}_number"] = len(values)
            if values:
                figures |= {f"{which}_p50_ms": percentile(values, 0.5) * 1e3}
                figures |= {f"{which}_p99_ms": percentile(values, 0.99) * 1e3}
        if quiet[name] and loud[name]:
            for point in ("p50", "p99"):
                figures[f"{point}_times"] = figures[f"attacked_{point}_ms"] / figures[f"quiet_{point}_ms"]
        yield name, figures


def measured(seconds: float, rounds: int) -> dict[str, object]:
    quiet, loud = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    told: multiprocessing.Queue[Counter[int]] = multiprocessing.Queue()
    goes, ends, rest, most = multiprocessing.Event(), multiprocessing.Event(), 0, 0
    with front(8, 0.02, callers=ATTACKERS + 1) as (port, pid, (key, *theirs)):
        made = [
            multiprocessing.Process(target=attack, args=(port, one, seed, goes, ends, told), daemon=True)
            for seed, one in enumerate(theirs)
        ]
        for one in made:
            one.start()
        memory = Memory(pid)
        asyncio.run(turn(port, key, 3.0, 0, memory, defaultdict(list)))
        for number in range(rounds):
            goes.clear()
            time.sleep(SETTLE_SECONDS)
            usual = asyncio.run(turn(port, key, seconds, 2 * number + 1, memory, quiet))
            rest = rest or usual
            goes.set()
            most = max(most, asyncio.run(turn(port, key, seconds, 2 * number + 2, memory, loud)))
        ends.set()
        answers = sum((told.get(timeout=60) for _ in made), Counter[int]())
    return {
        **dict(shown(quiet, loud)),
        "attackers_heard": {str(status): many for status, many in sorted(answers.items())},
        "memory_at_rest_mb": rest / 1e6,
        "memory_above_rest_mb": (most - rest) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turn-seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    print(json.dumps(measured(wanted.turn_seconds, wanted.rounds), indent=2))


if __name__ == "__main__":
    main()
