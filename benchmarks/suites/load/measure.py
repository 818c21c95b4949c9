"""Is `firstpass bench` right? Against an upstream whose truth is known, and under a load of others.

    python benchmarks/suites/load/measure.py [--runs 40] [--vllm-bench]

stall: an upstream answers nobody for a second of an open loop; the p90 and p99 to the first token are known. With
--vllm-bench also what vLLM's own `vllm bench serve` says of it at the same rate, and where that keeps to so many
requests at once (--max-concurrency), which that rate needs.

tokens: it says four tokens a piece, so that their number and the time between two are known. alike: the same arm twice,
while other processes take processor time now and then; how often the interval of its ratio holds 1. slower: an arm that
takes a twentieth longer; how often that is called a difference.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from firstpass.bench.figures import percentile
from firstpass.bench.load.figures import by_round, measured, ratios
from firstpass.bench.load.request import Target
from firstpass.bench.load.run import Load, run

FIRST_SECONDS, GAP_SECONDS, PIECES, TOKENS_A_PIECE = 0.05, 0.04, 5, 4
SLOWER = 1.05
STALLS_AFTER, STALLS_FOR = 1.0, 1.0
COMPARED = ("e2e_ms.p50", "ttft_ms.p50")
BUSY_SECONDS, IDLE_SECONDS = (0.05, 0.5), (0.05, 0.5)
STALL_RATE, STALL_REQUESTS, AT_ONCE = 50.0, 300, 12
START_SECONDS = 20.0
CONSTANT = 1e6
"""vLLM's word for a pace: the larger, the more even (it draws from a gamma distribution)."""

BUNDLED = Path(__file__).resolve().parents[3] / "models" / "catalogue" / "firstpass-draft-10m"
"""Whose tokenizer vLLM's client makes up its prompts with."""

VLLM_BENCH = """
import argparse
from vllm.benchmarks import serve
parser = argparse.ArgumentParser()
serve.add_cli_args(parser)
serve.main(parser.parse_args())
"""
"""`vllm bench serve`, which the command of a vLLM for CPUs can not find under its distribution's name."""

BLOCKS = Load(requests=8, rounds=10, words=20, tokens=20, at_once=4)


def upstream(port: int) -> None:
    """Paths begin with how many times as long it takes, and whether it stalls: each that begins with `stalls` once."""
    began: dict[str, float] = {}

    async def answer(request: Request) -> StreamingResponse:
        await request.json()
        times, kind = float(request.path_params["times"]), request.path_params["kind"]
        now = time.monotonic()
        if kind.startswith("stalls"):
            begin = began.setdefault(kind, now) + STALLS_AFTER
            if begin <= now < begin + STALLS_FOR:
                await asyncio.sleep(begin + STALLS_FOR - now)
        return StreamingResponse(said(times), media_type="text/event-stream")

    async def said(times: float) -> AsyncIterator[str]:
        due = time.monotonic() + FIRST_SECONDS * times
        for _ in range(PIECES):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += GAP_SECONDS * times
            yield f"data: {json.dumps({'choices': [{'delta': {'content': 'a b c d '}}]})}\n\n"
        usage = {"prompt_tokens": 20, "completion_tokens": TOKENS_A_PIECE * PIECES}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

    app = Starlette(routes=[Route("/{times}/{kind}/v1/chat/completions", answer, methods=["POST"])])
    uvicorn.run(app, port=port, log_config=None, access_log=False)


def busy(seed: int) -> None:
    """A neighbour that takes a core now and then."""
    of = random.Random(seed)
    while True:
        until = time.monotonic() + of.uniform(*BUSY_SECONDS)
        while time.monotonic() < until:
            pass
        time.sleep(of.uniform(*IDLE_SECONDS))


@contextmanager
def started(*works: tuple[object, int]) -> Iterator[None]:
    made = [multiprocessing.Process(target=work, args=(argument,), daemon=True) for work, argument in works]  # type: ignore[arg-type]
    for one in made:
        one.start()
    try:
        yield
    finally:
        for one in made:
            one.kill()
            one.join()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until_up(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the upstream did not start")


def stall(url: str) -> dict[str, float]:
    load = Load(STALL_REQUESTS, 1, 5, 20, rate=STALL_RATE, pace="constant")
    ran = asyncio.run(run([Target("a", f"{url}/1/stalls", "m")], load, 1, lambda: None))
    found = measured(ran).arms["a"]
    return of_truth({name: found[f"ttft_ms.{name}"].value for name in ("p90", "p99")})


def of_truth(found: dict[str, float]) -> dict[str, float]:
    """Milliseconds to the first token, and what they are of callers' who ask at a constant rate, come what may."""
    due = [at / STALL_RATE for at in range(STALL_REQUESTS)]
    end = STALLS_AFTER + STALLS_FOR
    held = sorted(1000 * (FIRST_SECONDS + (end - at if STALLS_AFTER <= at < end else 0.0)) for at in due)
    truth = {"p90": percentile(held, 0.9), "p99": percentile(held, 0.99)}
    told = {f"{name}_ms": value for name, value in found.items()}
    return told | {f"{name} of its truth": value / truth[name] for name, value in found.items()}


def vllm_bench(url: str, at_once: int | None) -> dict[str, float]:
    """What vLLM's client says of the same stall. at_once: the most requests in flight; None: any number."""
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "backend": "openai-chat",
            "base-url": f"{url}/1/stalls-vllm-{at_once}",
            "endpoint": "/v1/chat/completions",
            "model": str(BUNDLED),
            "dataset-name": "random",
            "random-input-len": 8,
            "random-output-len": TOKENS_A_PIECE * PIECES,
            "num-prompts": STALL_REQUESTS,
            "request-rate": STALL_RATE,
            "burstiness": CONSTANT,
            "metric-percentiles": "90,99",
            "ready-check-timeout-sec": 0,
            "result-dir": folder,
            "result-filename": "it.json",
        } | ({} if at_once is None else {"max-concurrency": at_once})
        argv = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        quiet = os.environ | {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-c", VLLM_BENCH, "--save-result", "--disable-tqdm", *argv]
        subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        told = json.loads((Path(folder) / "it.json").read_text())
    if told["completed"] != STALL_REQUESTS:
        raise RuntimeError(f"vllm bench had {told['completed']} of {STALL_REQUESTS} answers")
    return of_truth({name: told[f"{name}_ttft_ms"] for name in ("p90", "p99")})


def tokens(url: str) -> dict[str, float]:
    ran = asyncio.run(run([Target("a", f"{url}/1/plain", "m")], Load(20, 2, 5, 20), 1, lambda: None))
    every = [timed for block in ran.blocks for timed in block.requests]
    truth = 1000 * GAP_SECONDS / TOKENS_A_PIECE
    found = measured(ran).arms["a"]["itl_ms.p50"].value
    wrong = sum(timed.tokens_out != TOKENS_A_PIECE * PIECES for timed in every)
    return {"answers": len(every), "with another number": wrong, "itl_ratio": found / truth}


def compared(url: str, times: float, runs: int) -> dict[str, float]:
    """By figure: in how many runs the interval left out 1."""
    found = dict.fromkeys(COMPARED, 0)
    for seed in range(runs):
        pair = [Target("a", f"{url}/1/plain", "m"), Target("b", f"{url}/{times}/plain", "m")]
        for one in ratios(by_round(asyncio.run(run(pair, BLOCKS, seed, lambda: None)))):
            if one.name in found:
                found[one.name] += one.real
    return {name: told / runs for name, told in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--vllm-bench", action="store_true")
    wanted = parser.parse_args()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started((upstream, port)):
        until_up(port)
        told: dict[str, object] = {"stall": stall(url)}
        if wanted.vllm_bench:
            told["stall, vllm bench"] = vllm_bench(url, None)
            told[f"stall, vllm bench, {AT_ONCE} at once"] = vllm_bench(url, AT_ONCE)
        told["tokens"] = tokens(url)
        with started((busy, 1), (busy, 2)):
            told["alike, called different"] = compared(url, 1.0, wanted.runs)
            told["a twentieth slower, called different"] = compared(url, SLOWER, wanted.runs)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
