"""Three real engines and memory for two: requests at random, kills in between, and the memory watched.

Usage: python benchmarks/suites/fleet/measure.py [--requests 300] [--kills 10] [--at-once 4] [--turn-seconds 30]
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from firstpass.engine.isolation import memory_bytes

MODELS = {
    "small": ("firstpass-draft-10m", "vllm"),
    "large": ("firstpass-verify-30m", "vllm"),
    "plain": ("firstpass-draft-10m", "transformers"),
}
SPARE = 1.02
"""Of the budget, beyond what the two largest took alone."""

EVERYTHING = 10**12
LOAD_SECONDS, PATIENCE_SECONDS, BEGIN_SECONDS = 600.0, 900.0, 60.0
LOOK_SECONDS, END_SECONDS = 0.25, 60.0
GUARD = "engine/guard.py"
SHARES = {"median": 0.5, "p99": 0.99, "longest": 1.0}


@dataclass
class Seen:
    """ends: how requests ended. most_bytes: that all engines took together at any look."""

    ends: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    most_bytes: int = 0
    kills: int = 0


@dataclass(frozen=True)
class Live:
    url: str
    process: psutil.Process

    def guards(self) -> list[int]:
        """The sessions of engines."""
        found = []
        for child in self.process.children():
            with suppress(psutil.Error):
                if any(GUARD in part for part in child.cmdline()):
                    found.append(child.pid)
        return found

    def standings(self) -> dict[str, dict[str, Any]]:
        cards = httpx.get(f"{self.url}/v1/models", trust_env=False).json()["data"]
        return {card["id"]: card["firstpass"] for card in cards if card["id"] in MODELS}

    def move(self, name: str, what: str) -> float:
        """Seconds until it is loaded, or unloaded."""
        began = time.monotonic()
        answer = httpx.post(f"{self.url}/v1/models/{name}/{what}", json={}, timeout=PATIENCE_SECONDS, trust_env=False)
        answer.raise_for_status()
        return time.monotonic() - began


@contextmanager
def server(folder: Path, budget_bytes: int, turn_seconds: float) -> Iterator[Live]:
    """`firstpass serve` in a process of its own; when it has ended no process below it may be left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "settings.toml"
    settings.write_text("".join(_settings(folder, port, budget_bytes, turn_seconds)))
    command = [sys.executable, "-m", "firstpass", "serve", "--config", str(settings)]
    with (folder / "serve.log").open("ab") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log)
    live = Live(f"http://127.0.0.1:{port}", psutil.Process(started.pid))
    try:
        _until_answers(live.url)
        yield live
    finally:
        below = live.process.children(recursive=True)
        started.send_signal(signal.SIGTERM)
        started.wait(END_SECONDS)
        _, left = psutil.wait_procs(below, timeout=5.0)
        for process in left:
            print(f"left: {process.pid} {' '.join(process.cmdline())[:200]}")
        if left:
            raise SystemExit(1)


def _settings(folder: Path, port: int, budget_bytes: int, turn_seconds: float) -> Iterator[str]:
    yield f'[server]\nport = {port}\ndata_dir = "{folder / "data"}"\n'
    yield f"[fleet]\nmemory_bytes = {budget_bytes}\nload_seconds = {LOAD_SECONDS}\nturn_seconds = {turn_seconds}\n"
    for name, (model, kind) in MODELS.items():
        yield f'[engines.{name}]\nmodel = "{model}"\nkind = "{kind}"\n'


def _until_answers(url: str) -> None:
    end = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/healthz", trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise SystemExit("the server does not answer")


def alone(folder: Path) -> tuple[dict[str, float], dict[str, int]]:
    """(Seconds of each engine's start, bytes that it takes), with nothing else in the memory."""
    starts, sizes = {}, {}
    with server(folder, EVERYTHING, 0.0) as live:
        live.move(next(iter(MODELS)), "load")
        live.move(next(iter(MODELS)), "unload")
        for name in MODELS:
            starts[name] = live.move(name, "load")
            sizes[name] = live.standings()[name]["memory_bytes"]
            live.move(name, "unload")
    return starts, sizes


def switches(live: Live) -> dict[str, float]:
    """Seconds until each is loaded in the place of another, and again beside nothing in the same run: the ratio."""
    ratios = {}
    for name in MODELS:
        others = [other for other in MODELS if other != name]
        for other in others:
            live.move(other, "load")
        switched = live.move(name, "load")
        for other, standing in live.standings().items():
            if standing["state"] == "loaded":
                live.move(other, "unload")
        ratios[name] = switched / live.move(name, "load")
        live.move(name, "unload")
    return ratios


async def asked(client: httpx.AsyncClient, name: str, seen: Seen) -> None:
    body = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    began = time.monotonic()
    try:
        answer = await client.post("/v1/chat/completions", json=body)
    except httpx.HTTPError as error:
        seen.ends[f"no answer: {type(error).__name__}"] += 1
        return
    seen.seconds.append(time.monotonic() - began)
    if not answer.is_success:
        seen.ends[f"{answer.status_code} {answer.json()['error']['code']}"] += 1
        return
    seen.ends["answered"] += 1
    model, (wanted, kind) = str(answer.json()["model"]), MODELS[name]
    right = model == wanted if kind == "vllm" else f"/{wanted}@" in model  # transformers says where it was loaded from
    if not right:
        seen.wrong.append(f"{name}: {model}")


async def callers(live: Live, requests: int, at_once: int, of: random.Random, seen: Seen) -> None:
    names = iter([of.choice(list(MODELS)) for _ in range(requests)])
    async with httpx.AsyncClient(base_url=live.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:

        async def caller() -> None:
            for name in names:
                await asked(client, name, seen)

        await asyncio.gather(*(caller() for _ in range(at_once)))


async def killer(live: Live, requests: int, kills: int, of: random.Random, seen: Seen) -> None:
    """After every so many answers, one of an engine's processes, as the kernel would out of memory."""
    while seen.kills < kills:
        await asyncio.sleep(LOOK_SECONDS)
        if sum(seen.ends.values()) < (seen.kills + 1) * requests / (kills + 1):
            continue
        below = [child for guard in live.guards() for child in psutil.Process(guard).children(recursive=True)]
        if below:
            with suppress(psutil.Error):
                of.choice(below).kill()
                seen.kills += 1


async def watch(live: Live, seen: Seen) -> None:
    while True:
        taken = await asyncio.to_thread(lambda: sum(memory_bytes(guard) or 0 for guard in live.guards()))
        seen.most_bytes = max(seen.most_bytes, taken)
        await asyncio.sleep(LOOK_SECONDS)


async def tried(live: Live, wanted: argparse.Namespace) -> Seen:
    seen, of = Seen(), random.Random(wanted.seed)
    works = (watch(live, seen), killer(live, wanted.requests, wanted.kills, of, seen))
    beside = [asyncio.create_task(work) for work in works]
    await callers(live, wanted.requests, wanted.at_once, random.Random(wanted.seed + 1), seen)
    for task in beside:
        task.cancel()
    return seen


def starts_of(live: Live) -> float:
    text = httpx.get(f"{live.url}/metrics", trust_env=False).text
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("firstpass_engine_starts_total"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--turn-seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=7)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        starts, sizes = alone(folder)
        budget = int(SPARE * sum(sorted(sizes.values())[-2:]))
        with server(folder, budget, wanted.turn_seconds) as live:
            ratios = switches(live)
            before = starts_of(live)
            seen = asyncio.run(tried(live, wanted))
            loads = starts_of(live) - before
    print(json.dumps(shown(starts, sizes, budget, ratios, seen, loads), indent=1))
    if seen.wrong or any(end.startswith("no answer") for end in seen.ends):
        raise SystemExit(1)


def shown(
    starts: dict[str, float], sizes: dict[str, int], budget: int, ratios: dict[str, float], seen: Seen, loads: float
) -> dict[str, Any]:
    taken = sorted(seen.seconds)
    return {
        "start_seconds": {name: round(seconds, 1) for name, seconds in starts.items()},
        "took_mb": {name: round(size / 1e6) for name, size in sizes.items()},
        "switch_beside_start": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "ends": dict(seen.ends),
        "by_the_wrong_model": seen.wrong,
        "kills": seen.kills,
        "starts": loads,
        "seconds": {name: round(taken[int(share * (len(taken) - 1))], 2) for name, share in SHARES.items()},
        "most_beside_budget": round(seen.most_bytes / budget, 3),
    }


if __name__ == "__main__":
    main()
