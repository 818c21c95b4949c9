"""Whether a server grows: the memory of a real front and of what reads diffs for it, while it answers mixed requests.

Usage: python benchmarks/suites/growth/measure.py [--requests 50000] [--at-once 8] [--out results.json]

SIGINT or SIGTERM ends it early; it says then what it saw until there.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SAID = "Summary: Calls more.\nCalls:\n- none\nTODOs:\n- none\nActions:\n- none"
USAGE = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
START_SECONDS = 60.0


async def answer(request: Request) -> Response:
    body = await request.json()
    base = {"id": "c", "created": 1, "model": "scripted", "usage": USAGE}
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}
        return JSONResponse(base | {"object": "chat.completion", "choices": [choice]})
    return StreamingResponse(events(base), media_type="text/event-stream")


def events(base: dict[str, object]) -> Iterator[str]:
    for text in SAID.splitlines(keepends=True):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        yield f"data: {json.dumps(base | {'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield f"data: {json.dumps(base | {'object': 'chat.completion.chunk', 'choices': [choice]})}\n\ndata: [DONE]\n\n"


def models(_: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "nobody"}]})


def diff(of: random.Random) -> str:
    """Some kilobytes of code that no other one is like."""
    suffix = of.choice(("py", "ts", "go", "rs", "java", "c", "rb", "yml"))
    parts = []
    for number in range(of.randint(1, 6)):
        path = f"src/m{of.getrandbits(32):x}.{suffix}"
        lines = [f"+    r{row} = call_{of.getrandbits(24):x}(a, b)  # TODO {of.getrandbits(20):x}" for row in range(40)]
        parts += [f"diff --git a/{path} b/{path}", f"--- a/{path}", f"+++ b/{path}"]
        parts += [f"@@ -{number + 1},0 +{number + 1},40 @@ def f():", *lines]
    return "\n".join([*parts, ""])


def bodies(of: random.Random) -> Iterator[tuple[str, dict[str, object]]]:
    """(path, body) without end: chats, streams, contracts, what is not stored, and what is refused."""
    while True:
        word = f"hello {of.getrandbits(64):x}"
        chat: dict[str, object] = {"model": "firstpass", "messages": [{"role": "user", "content": word}]}
        held = {"model": "firstpass", "messages": [{"role": "user", "content": diff(of)}]}
        yield "/v1/chat/completions", chat
        yield "/v1/chat/completions", chat | {"stream": True}
        yield "/v1/chat/completions", held | {"firstpass": {"contract": "pr-summary"}}
        yield "/v1/chat/completions", held | {"firstpass": {"contract": "code-review"}, "store": False}
        yield "/v1/messages", chat | {"max_tokens": 50}
        yield "/v1/responses", {"model": "firstpass", "input": word}
        yield "/v1/chat/completions", {"model": "firstpass", "messages": word}
        yield "/v1/chat/completions", chat | {"model": word}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was resident after so many requests.

    front_mb: RSS of its process. whole_mb: PSS of it and of its children, of which there are as many to read diffs as
    the last ones needed.
    """

    requests: int
    front_mb: float
    whole_mb: float
    children: int

    @classmethod
    def after(cls, requests: int, pid: int) -> "Seen":
        children = list(descendants(pid))
        whole = sum(map(proportional, (pid, *children)))
        return cls(requests, round(own(pid), 1), round(whole, 1), len(children))

    def __str__(self) -> str:
        front = f"{self.requests:>7} requests: front {self.front_mb:6.1f} MB"
        return f"{front}, with its {self.children} children {self.whole_mb:6.1f} MB"


def proportional(pid: int) -> float:
    """In MB; shared pages count once. 0 of a process that is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
    return 0.0


def descendants(pid: int) -> Iterator[int]:
    for one in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, one.read_text().split()):
                yield child
                yield from descendants(child)


def own(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def ratios(seen: list[Seen]) -> dict[str, float]:
    """Of what was resident at the end to what was after the first step; empty where there is no second.

    halves: the median of the whole in the later half of the steps to that in the earlier, which one child more or less
    does not change.
    """
    if len(seen) < 3:
        return {}
    first, last = seen[1], seen[-1]
    steps = [one.whole_mb for one in seen[1:]]
    middle = len(steps) // 2
    return {
        "front": round(last.front_mb / first.front_mb, 3),
        "whole": round(last.whole_mb / first.whole_mb, 3),
        "halves": round(median(steps[middle:]) / median(steps[:middle]), 3),
    }


def summary(seen: list[Seen]) -> str:
    if not (found := ratios(seen)):
        return "too few requests to compare"
    first, last = seen[1], seen[-1]
    return (
        f"after {last.requests} requests beside after {first.requests}: front {found['front']:.3f} "
        f"({last.front_mb} MB to {first.front_mb}), with its children {found['whole']:.3f} ({last.whole_mb} MB with "
        f"{last.children} to {first.whole_mb} with {first.children}; the later half's median to the earlier's "
        f"{found['halves']:.3f})"
    )


async def ask(client: httpx.AsyncClient, wanted: Iterator[tuple[str, dict[str, object]]]) -> None:
    for path, body in wanted:
        response = await client.post(path, json=body, timeout=120)
        await response.aread()
        assert response.status_code < 500 or response.status_code == 503, response.text


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).is_success:
                    return
            await asyncio.sleep(0.1)


async def drive(url: str, pid: int, options: argparse.Namespace, seen: list[Seen]) -> None:
    """Adds to `seen` before the first request and after each thousand."""
    endless = bodies(random.Random(7))
    step = min(1000, options.requests)
    async with httpx.AsyncClient(base_url=url) as client:
        await ready(client)
        end_by_signal(asyncio.current_task())
        note(seen, Seen.after(0, pid), options.out)
        for done in range(step, options.requests + 1, step):
            share = itertools.islice(endless, step)
            await asyncio.gather(*(ask(client, share) for _ in range(options.at_once)))
            note(seen, Seen.after(done, pid), options.out)


def end_by_signal(driving: asyncio.Task[None] | None) -> None:
    """Not before the engine has started: uvicorn takes the signals for itself then."""
    assert driving
    for ending in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(ending, driving.cancel)


def note(seen: list[Seen], one: Seen, out: Path | None) -> None:
    seen.append(one)
    print(one, flush=True)
    if out:
        found = {"ratios": ratios(seen), "seen": [asdict(earlier) for earlier in seen]}
        out.write_text(json.dumps(found, indent=1) + "\n")


def configured(folder: str, port: int, engine_port: int) -> Path:
    config = Path(folder, "firstpass.toml")
    config.write_text(
        f'[server]\nport = {port}\ndata_dir = "{folder}/data"\n'
        f'[engine]\nkind = "external"\nurl = "http://127.0.0.1:{engine_port}/v1"\n'
    )
    return config


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--out", type=Path, help="written anew after each thousand")
    options = parser.parse_args()
    routes = [Route("/v1/chat/completions", answer, methods=["POST"]), Route("/v1/models", models)]
    ours, theirs = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    engine = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", timeout_keep_alive=3600))
    serving = asyncio.create_task(engine.serve(sockets=[ours]))
    port = theirs.getsockname()[1]
    theirs.close()
    with tempfile.TemporaryDirectory() as folder:
        config = configured(folder, port, ours.getsockname()[1])
        command = [sys.executable, "-m", "firstpass", "serve", "--config", str(config)]
        quiet = subprocess.DEVNULL
        front = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: ASYNC220
        seen: list[Seen] = []
        driving = asyncio.create_task(drive(f"http://127.0.0.1:{port}", front.pid, options, seen))
        try:
            with suppress(asyncio.CancelledError):
                await driving
        finally:
            print(summary(seen), flush=True)
            front.terminate()
            front.wait()
            engine.should_exit = True
            await serving


if __name__ == "__main__":
    asyncio.run(main())
