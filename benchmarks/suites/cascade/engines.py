"""What the measurements with two engines of their own share: the engines, commits, requests and paired ratios."""

import argparse
import asyncio
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from measure import HELD_OUT, STRONGER, delayed, settings

from firstpass import engine as engines
from firstpass.bench.cases import Case, read_labelled
from firstpass.bench.figures import percentile
from firstpass.drafting import engine_spec
from firstpass.settings import Settings

DRAWS = 2_000
REQUEST_SECONDS = 600


@contextmanager
def engine(wanted: Settings) -> Iterator[str]:
    """A real engine without a front, as the `unix:` URL of its socket."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = engines.build(engine_spec(wanted, wanted.engine))
    try:
        endpoint = asyncio.run_coroutine_threadsafe(running.ensure_ready(), loop).result()
        yield f"unix:{endpoint.uds}"
    finally:
        asyncio.run_coroutine_threadsafe(running.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextmanager
def both(delay_ms: float) -> Iterator[tuple[Path, str, str]]:
    """(a folder, the draft engine's socket, the verifier's URL behind a network's delay)"""
    with (
        tempfile.TemporaryDirectory() as name,
        engine(settings(Path(name) / "drafter")) as drafter,
        engine(settings(Path(name) / "stronger", engine={"model": STRONGER})) as stronger,
        delayed(stronger, delay_ms / 2000) as far,
    ):
        yield Path(name), drafter, f"{far}/v1"


def options(description: str | None, number: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--number", type=int, default=number)
    parser.add_argument("--delay-ms", type=float, default=150.0, help="a round trip's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def chosen(commits: Path, number: int, seed: int, most_bytes: int = 8_000) -> list[Case]:
    """Of the repositories that nothing was trained or tuned on, as `firstpass eval` draws them: at random."""
    held = [case for case in read_labelled(commits, "") if case.repository in HELD_OUT]
    fitting = [case for case in held if len(case.diff.encode()) <= most_bytes]
    return random.Random(seed).sample(fitting, number)


def asked(client: httpx.Client, case: Case, contract: str) -> tuple[float, dict[str, Any]]:
    """(seconds, the answer)"""
    body = {"model": "firstpass", "messages": [{"role": "user", "content": case.diff}]}
    started = time.perf_counter()
    response = client.post(
        "/v1/chat/completions", json=body | {"firstpass": {"contract": contract}}, timeout=REQUEST_SECONDS
    )
    seconds = time.perf_counter() - started
    if not response.is_success:
        raise SystemExit(f"{response.status_code}: {response.text}")
    return seconds, response.json()


def used(steps: Sequence[dict[str, Any]], tier: str, kind: str) -> int:
    return sum(step["usage"][f"{kind}_tokens"] for step in steps if step["tier"] == tier and step["usage"])


Measure = Callable[[Sequence[dict[str, Any]]], float]


def share(name: str, at: float) -> Measure:
    return lambda rows: percentile(sorted(row[name] for row in rows), at)


def mean(name: str) -> Measure:
    return lambda rows: sum(row[name] for row in rows) / len(rows)


def interval(draw: Callable[[Sequence[int]], float], size: int, seed: int = 1) -> tuple[float, float, float]:
    """(value, low, high): a 95% percentile bootstrap over commits; an arm's figures share the drawn ones."""
    rng = random.Random(seed)
    found = sorted(draw(rng.choices(range(size), k=size)) for _ in range(DRAWS))
    return draw(range(size)), percentile(found, 0.025), percentile(found, 0.975)


def ratio(
    arm: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]], measure: Measure
) -> tuple[float, float, float]:
    """Of one arm's figure to another's, paired by commit."""

    def draw(places: Sequence[int]) -> float:
        below = measure([other[place] for place in places])
        return measure([arm[place] for place in places]) / below if below else float("nan")

    return interval(draw, len(arm))


def shown(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:.2f} ({figure[1]:.2f}-{figure[2]:.2f})"


def write(out: Path, name: str, rows: object) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_text(json.dumps(rows, indent=1) + "\n")
