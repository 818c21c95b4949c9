"""Is `firstpass bench` right? Against an upstream whose truth is known, and under a load of others.

    python benchmarks/suites/load/measure.py [--runs 40]

stall: an upstream answers nobody for a second of an open loop; the p99 to the first token is known beforehand. tokens:
it says four tokens a piece, so that their number and the time between two are known. alike: the same arm twice, while
other processes take processor time now and then; how often the interval of its ratio holds 1. slower: an arm that takes
a twentieth longer; how often that is called a difference.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from firstpass.bench.figures import percentile
from firstpass.bench.load.figures import Slo, figures, ratios
from firstpass.bench.load.request import Target
from firstpass.bench.load.run import Load, run

FIRST_SECONDS, GAP_SECONDS, PIECES, TOKENS_A_PIECE = 0.05, 0.04, 5, 4
SLOWER = 1.05
STALLS_AFTER, STALLS_FOR = 1.0, 1.0
COMPARED = ("e2e_ms.p50", "ttft_ms.p50")
BUSY_SECONDS, IDLE_SECONDS = (0.05, 0.5), (0.05, 0.5)
START_SECONDS = 20.0
BLOCKS = Load(requests=8, rounds=10, words=20, tokens=20, at_once=4)


def upstream(port: int) -> None:
    """Paths begin with how many times as long it takes, and whether it stalls."""
    began: list[float] = []

    async def answer(request: Request) -> StreamingResponse:
        await request.json()
        times, stalls = float(request.path_params["times"]), request.path_params["kind"] == "stalls"
        now = time.monotonic()
        if stalls:
            began.append(now)
            until = began[0] + STALLS_AFTER + STALLS_FOR
            if began[0] + STALLS_AFTER <= now < until:
                await asyncio.sleep(until - now)
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
    rate, number = 50.0, 300
    load = Load(number, 1, 5, 20, rate=rate, pace="constant")
    ran = asyncio.run(run([Target("a", f"{url}/1/stalls", "m")], load, 1, lambda: None))
    due = [at / rate for at in range(number)]
    held = [max(0.0, STALLS_AFTER + STALLS_FOR - at) if at >= STALLS_AFTER else 0.0 for at in due]
    truth = percentile(sorted(1000 * (FIRST_SECONDS + one) for one in held), 0.99)
    found = figures(ran, Slo())["a"]
    return {"p99_ms": found["ttft_ms.p99"].value, "truth_ms": truth, "ratio": found["ttft_ms.p99"].value / truth}


def tokens(url: str) -> dict[str, float]:
    ran = asyncio.run(run([Target("a", f"{url}/1/plain", "m")], Load(20, 2, 5, 20), 1, lambda: None))
    every = [timed for block in ran.blocks for timed in block.requests]
    truth = 1000 * GAP_SECONDS / TOKENS_A_PIECE
    found = figures(ran, Slo())["a"]["itl_ms.p50"].value
    wrong = sum(timed.tokens_out != TOKENS_A_PIECE * PIECES for timed in every)
    return {"answers": len(every), "with another number": wrong, "itl_ratio": found / truth}


def compared(url: str, times: float, runs: int) -> dict[str, float]:
    """By figure: in how many runs the interval left out 1."""
    found = dict.fromkeys(COMPARED, 0)
    for seed in range(runs):
        pair = [Target("a", f"{url}/1/plain", "m"), Target("b", f"{url}/{times}/plain", "m")]
        for one in ratios(asyncio.run(run(pair, BLOCKS, seed, lambda: None)), Slo()):
            if one.name in found:
                found[one.name] += one.real
    return {name: told / runs for name, told in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    wanted = parser.parse_args()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started((upstream, port)):
        until_up(port)
        told: dict[str, object] = {"stall": stall(url), "tokens": tokens(url)}
        with started((busy, 1), (busy, 2)):
            told["alike, called different"] = compared(url, 1.0, wanted.runs)
            told["a twentieth slower, called different"] = compared(url, SLOWER, wanted.runs)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
