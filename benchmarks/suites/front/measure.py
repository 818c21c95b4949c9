"""What a front costs: the same requests directly, through Firstpass and through others, one round of each in turn.

Usage: python benchmarks/suites/front/measure.py [--rounds 5] [--litellm PYTHON] [--portkey FOLDER] [--against SERVER]
       [--out results.json] [--publish]. `--against` is the `server` folder of another checkout, measured beside this.
A picture of the results is put beside them. Who fails at a measure has no figure there; results and screen say why.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import psutil
import uvloop
from client import FAILURES, Answer, Connection, NoAnswer
from hardware import Others, machine
from picture import draw, publish, table
from servers import Contender, Started, copier, direct, firstpass, litellm, portkey

AT_ONCE = 16
UPSTREAM_SECONDS = 0.02
BURST_CHUNKS = 256
REST_SECONDS = 1.0
"""After a failure, so that what it left running costs nobody else."""

Figures = dict[str, float]
Measure = Callable[[Contender], Awaitable[Figures]]


async def one_after_the_other(contender: Contender, count: int = 100) -> Figures:
    """Whole answers on one connection: how long each takes, and what it costs."""
    answers, cost, _ = await _asked(contender, 1, count, "delay=0")
    middle = statistics.median(answer.seconds for answer in answers)
    return {"p50_ms": 1e3 * middle, "cpu_ms_a_request": 1e3 * cost / count}


async def many_at_once(contender: Contender, count: int = 480) -> Figures:
    """16 connections, the upstream takes 20 ms."""
    answers, cost, seconds = await _asked(contender, AT_ONCE, count, f"delay={UPSTREAM_SECONDS}")
    return {
        "requests_a_second_at_16": count / seconds,
        "p99_ms_at_16": 1e3 * _quantile([answer.seconds for answer in answers], 0.99),
        "cpu_ms_a_request_at_16": 1e3 * cost / count,
    }


async def chunks(contender: Contender, count: int = AT_ONCE, pieces: int = 200) -> Figures:
    """Paced chunks on 16 streams; what streams without chunks cost is taken off."""
    _, bare, _ = await _asked(contender, AT_ONCE, count, "chunks=0 gap=0.01", stream=True)
    _, cost, _ = await _asked(contender, AT_ONCE, count, f"chunks={pieces} gap=0.01", stream=True)
    return {"cpu_us_a_chunk": 1e6 * (cost - bare) / (count * pieces)}


async def burst(contender: Contender, count: int = 20) -> Figures:
    """256 chunks at once: when the first of them is here."""
    answers, cost, _ = await _asked(contender, 1, count, f"chunks={BURST_CHUNKS} gap=0", stream=True)
    return {
        "burst_first_ms": 1e3 * statistics.median(answer.first for answer in answers),
        "burst_whole_ms": 1e3 * statistics.median(answer.seconds for answer in answers),
        "burst_cpu_us_a_chunk": 1e6 * cost / (count * BURST_CHUNKS),
    }


async def frames_at_64(contender: Contender) -> Figures:
    return await _frames(contender, 64)


async def frames_at_256(contender: Contender) -> Figures:
    return await _frames(contender, 256)


async def _frames(contender: Contender, streams: int) -> Figures:
    """Streams of a chunk each 100 ms: the time between two, and how late they come."""
    answers, _, _ = await _asked(contender, streams, streams, "chunks=20 gap=0.1", stream=True)
    gaps, late = (
        chain.from_iterable(one.gaps() for one in answers),
        chain.from_iterable(one.late(0.1) for one in answers),
    )
    return {
        f"frame_p99_ms_at_{streams}": 1e3 * _quantile(gaps, 0.99),
        f"late_p99_ms_at_{streams}": 1e3 * _quantile(late, 0.99),
    }


async def warmed(contender: Contender) -> Figures:
    await _asked(contender, AT_ONCE, 64, "delay=0")
    await _asked(contender, AT_ONCE, 16, "chunks=40 gap=0", stream=True)
    return {}


MEASURES: tuple[Measure, ...] = (one_after_the_other, many_at_once, chunks, burst, frames_at_64, frames_at_256)


async def _asked(
    contender: Contender, connections: int, count: int, script: str, *, stream: bool = False
) -> tuple[list[Answer], float, float]:
    """The answers, the CPU seconds of the server for them, and the seconds that they took together."""
    opened = [await Connection.to(contender.url, contender.headers) for _ in range(connections)]
    left, answers = iter(range(count)), list[Answer]()

    async def work(connection: Connection) -> None:
        for _ in left:
            answers.append(await connection.ask(contender.model, script, stream=stream))

    spent, began = contender.cpu_seconds(), time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(work(connection))
    finally:
        for connection in opened:
            connection.close()
    seconds = time.perf_counter() - began
    return answers, contender.cpu_seconds() - spent, seconds


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Results:
    """What each contender's rounds of each measure gave, and why there is nothing where one failed."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[Figures]] = {}
        self.missing: dict[str, dict[str, str]] = {}

    async def add(self, measure: Measure, contender: Contender) -> None:
        """One round, unless an earlier one failed."""
        key, known = (contender.name, measure.__name__), self.missing.setdefault(contender.name, {})
        if measure.__name__ in known:
            return
        try:
            self._rounds.setdefault(key, []).append(await measure(contender))
        except* (NoAnswer, psutil.Error, *FAILURES) as failed:
            known[measure.__name__] = f"{failed.exceptions[0]!r:.600}"
            self._rounds.pop(key)
            await asyncio.sleep(REST_SECONDS)

    def of(self, contender: str, measure: str) -> dict[str, list[float]]:
        """By figure, one a round."""
        rounds = self._rounds.get((contender, measure), [])
        return {name: [found[name] for found in rounds] for name in (rounds[0] if rounds else ())}

    def figures(self, contender: str) -> dict[str, list[float]]:
        measures = [measure for name, measure in self._rounds if name == contender]
        return {name: values for measure in measures for name, values in self.of(contender, measure).items()}


async def measured(contenders: Sequence[Contender], rounds: int, chosen: Sequence[Measure]) -> Results:
    results = Results()
    for contender in contenders:
        await results.add(warmed, contender)
    for measure in chosen:
        for _ in range(rounds):
            for contender in random.sample(contenders, len(contenders)):
                await results.add(measure, contender)
        print(f"{measure.__name__}:", flush=True)
        for contender in contenders:
            print(f"  {contender.name}: {_said(results, contender.name, measure.__name__)}", flush=True)
    return results


def _said(results: Results, contender: str, measure: str) -> str:
    if why := results.missing[contender].get(measure):
        return f"no figure: {why}"
    found = results.of(contender, measure)
    return json.dumps({name: round(statistics.median(values), 3) for name, values in found.items()})


@contextmanager
def _contenders(options: argparse.Namespace) -> Iterator[tuple[list[Contender], dict[str, str]]]:
    """Those that run, and why others don't."""
    with tempfile.TemporaryDirectory() as scratch, Started() as started:
        folder, straight = Path(scratch), direct(started)
        upstream = straight.url.removesuffix("/chat/completions")
        ours = firstpass(started, upstream, folder / "data", None, "firstpass")
        found = [straight, copier(started, upstream), ours]
        ways: dict[str, Callable[[Path], Contender]] = {
            "against": lambda source: firstpass(started, upstream, folder / "against", source, "against"),
            "litellm": lambda python: litellm(started, upstream, python, folder),
            "portkey": lambda package: portkey(started, upstream, package),
        }
        absent = {}
        for name, begin in ways.items():
            if (given := getattr(options, name)) is None:
                continue
            try:
                found.append(begin(given))
            except (OSError, RuntimeError, subprocess.CalledProcessError) as failed:
                absent[name] = f"{failed!r:.600}"
        yield found, absent


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", type=Path, help="the python of an environment that has litellm[proxy]")
    parser.add_argument("--portkey", type=Path, help="the folder of @portkey-ai/gateway; see the README for its parts")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--out", type=Path)
    told = "write the results, the picture and the READMEs' tables that this repository has"
    parser.add_argument("--publish", action="store_true", help=told)
    names = [measure.__name__ for measure in MEASURES]
    parser.add_argument("--only", choices=names, action="append")
    return parser.parse_args()


def main() -> None:
    options = _options()
    chosen = [measure for measure in MEASURES if not options.only or measure.__name__ in options.only]
    about, others = machine(), Others()
    with _contenders(options) as (contenders, absent):
        found = uvloop.run(measured(contenders, options.rounds, chosen))
        about |= {"cores_that_others_used": round(others.cores(), 2)}
    missing = {name: {"start": why} for name, why in absent.items()}
    result = {
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": about,
        "contenders": {contender.name: contender.version for contender in contenders},
        "rounds": options.rounds,
        "missing": missing | {name: why for name, why in found.missing.items() if why},
        "figures": {contender.name: found.figures(contender.name) for contender in contenders},
    }
    print(f"\n{table(result)}\n\n{json.dumps(about)}")
    for name, reasons in result["missing"].items():
        print(f"{name} failed ({', '.join(reasons)}): {next(iter(reasons.values()))}")
    if options.publish:
        publish(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
        options.out.with_suffix(".svg").write_text(draw(result))
        print(f"written to {options.out}, and the picture beside it", file=sys.stderr)


if __name__ == "__main__":
    main()
