"""Whether a server grows: the memory of a real front and of what reads diffs for it, while it answers mixed requests.

Usage: python benchmarks/suites/growth/measure.py [--requests 50000] [--at-once 8]
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

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


def resident(pid: int) -> float:
    """In MB; of a process's children too, whose shared pages count once (PSS)."""
    total = 0.0
    for one in (pid, *descendants(pid)):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
    return total


def descendants(pid: int) -> Iterator[int]:
    for one in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, one.read_text().split()):
            yield child
            yield from descendants(child)


async def ask(client: httpx.AsyncClient, wanted: Iterator[tuple[str, dict[str, object]]]) -> None:
    for path, body in wanted:
        response = await client.post(path, json=body, timeout=120)
        await response.aread()
        assert response.status_code < 500 or response.status_code == 503, response.text


async def drive(url: str, pid: int, many: int, at_once: int) -> None:
    endless = bodies(random.Random(7))
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in range(int(START_SECONDS * 10)):
            try:
                if (await client.get("/readyz")).is_success:
                    break
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
        print(f"{0:>7} requests: front {own(pid):6.1f} MB, with its readers {resident(pid):6.1f} MB", flush=True)
        step = min(1000, many)
        for done in range(step, many + 1, step):
            share = itertools.islice(endless, step)
            await asyncio.gather(*(ask(client, share) for _ in range(at_once)))
            print(f"{done:>7} requests: front {own(pid):6.1f} MB, with its readers {resident(pid):6.1f} MB", flush=True)


def own(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def configured(folder: str, port: int, engine_port: int) -> Path:
    config = Path(folder, "firstpass.toml")
    config.write_text(
        f'[server]\nport = {port}\ndata_dir = "{folder}/data"\n'
        f'[engine]\nkind = "external"\nurl = "http://127.0.0.1:{engine_port}/v1"\n'
    )
    return config


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--at-once", type=int, default=8)
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
        front = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            await drive(f"http://127.0.0.1:{port}", front.pid, options.requests, options.at_once)
        finally:
            front.terminate()
            front.wait()
            engine.should_exit = True
            await serving


if __name__ == "__main__":
    asyncio.run(main())
