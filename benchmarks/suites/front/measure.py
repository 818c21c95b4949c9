"""What a front costs: the same requests directly, through Firstpass and through others, one round of each in turn.

Usage: python benchmarks/suites/front/measure.py [--rounds 5] [--litellm PYTHON] [--portkey FOLDER] [--against SERVER]
       [--out results.json]. `--against` is the `server` folder of another checkout, measured beside this one.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import uvloop
from client import Answer, Connection
from servers import Contender, Started, direct, firstpass, litellm, portkey

AT_ONCE = 16
UPSTREAM_SECONDS = 0.02
BURST_CHUNKS = 256
Figures = dict[str, list[float]]
Measure = Callable[[Contender, Figures], Awaitable[None]]


async def one_after_the_other(contender: Contender, figures: Figures, count: int = 100) -> None:
    """Whole answers on one connection: how long each takes, and what it costs."""
    answers, cost, _ = await _asked(contender, 1, count, "delay=0")
    figures["p50_ms"].append(1e3 * statistics.median(answer.seconds for answer in answers))
    figures["cpu_ms_a_request"].append(1e3 * cost / count)


async def many_at_once(contender: Contender, figures: Figures, count: int = 480) -> None:
    """16 connections, the upstream takes 20 ms."""
    answers, cost, seconds = await _asked(contender, AT_ONCE, count, f"delay={UPSTREAM_SECONDS}")
    figures["requests_a_second_at_16"].append(count / seconds)
    figures["p99_ms_at_16"].append(1e3 * _quantile([answer.seconds for answer in answers], 0.99))
    figures["cpu_ms_a_request_at_16"].append(1e3 * cost / count)


async def chunks(contender: Contender, figures: Figures, count: int = AT_ONCE, pieces: int = 200) -> None:
    """Paced chunks on 16 streams; what streams without chunks cost is taken off."""
    _, bare, _ = await _asked(contender, AT_ONCE, count, "chunks=0 gap=0.01", stream=True)
    _, cost, _ = await _asked(contender, AT_ONCE, count, f"chunks={pieces} gap=0.01", stream=True)
    figures["cpu_us_a_chunk"].append(1e6 * (cost - bare) / (count * pieces))


async def burst(contender: Contender, figures: Figures, count: int = 20) -> None:
    """256 chunks at once: when the first of them is here."""
    answers, cost, _ = await _asked(contender, 1, count, f"chunks={BURST_CHUNKS} gap=0", stream=True)
    figures["burst_first_ms"].append(1e3 * statistics.median(answer.first for answer in answers))
    figures["burst_whole_ms"].append(1e3 * statistics.median(answer.seconds for answer in answers))
    figures["burst_cpu_us_a_chunk"].append(1e6 * cost / (count * BURST_CHUNKS))


async def frames(contender: Contender, figures: Figures) -> None:
    """Streams of a chunk each 100 ms: how late frames come, at 64 and at 256 streams."""
    for streams in (64, 256):
        answers, _, _ = await _asked(contender, streams, streams, "chunks=20 gap=0.1", stream=True)
        gaps = [gap for answer in answers for gap in answer.gaps]
        figures[f"frame_p99_ms_at_{streams}"].append(1e3 * _quantile(gaps, 0.99))


MEASURES: tuple[Measure, ...] = (one_after_the_other, many_at_once, chunks, burst, frames)


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
    await asyncio.gather(*map(work, opened))
    seconds = time.perf_counter() - began
    cost = contender.cpu_seconds() - spent
    for connection in opened:
        connection.close()
    return answers, cost, seconds


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measured(contenders: Sequence[Contender], rounds: int, chosen: Sequence[Measure]) -> dict[str, Figures]:
    figures: dict[str, Figures] = {contender.name: defaultdict(list) for contender in contenders}
    for contender in contenders:
        await _asked(contender, AT_ONCE, 64, "delay=0")
        await _asked(contender, AT_ONCE, 16, "chunks=40 gap=0", stream=True)
    for measure in chosen:
        shown = {name for known in figures.values() for name in known}
        for _ in range(rounds):
            for contender in random.sample(contenders, len(contenders)):
                await measure(contender, figures[contender.name])
        _show(measure, contenders, figures, shown)
    return figures


def _show(
    measure: Measure, contenders: Sequence[Contender], figures: dict[str, Figures], shown: Collection[str]
) -> None:
    print(f"{measure.__name__}:", flush=True)
    for contender in contenders:
        found = {name: values for name, values in figures[contender.name].items() if name not in shown}
        middle = {name: round(statistics.median(values), 3) for name, values in found.items()}
        print(f"  {contender.name}: {json.dumps(middle)}", flush=True)


@contextmanager
def _contenders(options: argparse.Namespace) -> Iterator[list[Contender]]:
    with tempfile.TemporaryDirectory() as scratch, Started() as started:
        straight = direct(started)
        upstream = straight.url.removesuffix("/chat/completions")
        found = [straight, firstpass(started, upstream, Path(scratch) / "data", None, "firstpass")]
        if options.against:
            other = Path(scratch) / "against"
            found.append(firstpass(started, upstream, other, options.against, "against"))
        if options.litellm:
            found.append(litellm(started, upstream, options.litellm, Path(scratch)))
        else:
            print("litellm: skipped; --litellm names the python of an environment that has litellm[proxy]")
        if options.portkey:
            found.append(portkey(started, upstream, options.portkey))
        else:
            print("portkey: skipped; --portkey names the folder of @portkey-ai/gateway")
        yield found


def _machine() -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = ("aiohttp", "fastapi", "httptools", "httpx", "starlette", "uvicorn", "uvloop")
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", type=Path)
    parser.add_argument("--portkey", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--out", type=Path)
    names = [measure.__name__ for measure in MEASURES]
    parser.add_argument("--only", choices=names, action="append")
    return parser.parse_args()


def main() -> None:
    options = _options()
    chosen = [measure for measure in MEASURES if not options.only or measure.__name__ in options.only]
    machine = _machine()
    with _contenders(options) as contenders:
        figures = uvloop.run(measured(contenders, options.rounds, chosen))
        versions = {contender.name: contender.version for contender in contenders}
    result = {"machine": machine, "contenders": versions, "rounds": options.rounds, "figures": figures}
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written to {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
