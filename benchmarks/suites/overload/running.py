"""What both measurements share: a scripted engine of fixed capacity and a whole front before it, each a process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from firstpass.store.keys import load_pepper, mint
from firstpass.store.sqlite import SqliteStore

START_SECONDS = 60.0
BODY = json.dumps({"model": "local", "messages": [{"role": "user", "content": "hi"}]}).encode()


def engine(places: int, seconds: float) -> Starlette:
    """Answers so many at once, each after so many seconds; more wait, as in vLLM, for as long as it takes."""
    free = asyncio.Semaphore(places)

    async def chat(request: Request) -> JSONResponse:
        body = await request.json()
        async with free:
            await asyncio.sleep(seconds)
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return JSONResponse({"id": "x", "created": 1, "model": body["model"], "choices": [choice], "usage": usage})

    async def models(request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"]), Route("/v1/models", models)])


@contextmanager
def process(*command: str, port: int, **environment: str) -> Iterator[int]:
    """Its process id, once something listens on the port."""
    running = subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert running.poll() is None and time.monotonic() < deadline, f"{command} did not start"
            time.sleep(0.1)
        yield running.pid
    finally:
        running.terminate()
        running.wait()


@contextmanager
def front(places: int, seconds: float, callers: int = 0) -> Iterator[tuple[int, int, list[str]]]:
    """(port, process id, a key for each caller; none are required where there are no callers)"""
    with tempfile.TemporaryDirectory() as name:
        engine_port, port = _free(), _free()
        keys = [_new_key(Path(name)) for _ in range(callers)]
        needed = "required" if keys else "auto"
        settings = {"port": port, "data_dir": name, "in_flight_limit": places, "keys": needed}
        environment = {f"FIRSTPASS_SERVER__{field.upper()}": str(value) for field, value in settings.items()}
        environment |= {
            "FIRSTPASS_ENGINE__KIND": "external",
            "FIRSTPASS_ENGINE__URL": f"http://127.0.0.1:{engine_port}/v1",
        }
        serve = (sys.executable, "-m", "firstpass", "serve")
        with (
            process(sys.executable, __file__, str(engine_port), str(places), str(seconds), port=engine_port),
            process(*serve, port=port, **environment) as pid,
        ):
            yield port, pid, keys


def _new_key(data_dir: Path) -> str:
    key, record = mint("caller", load_pepper(data_dir / "pepper"), time.time())
    with closing(SqliteStore(data_dir / "firstpass.sqlite")) as store:
        store.add_key(record)
    return key


def post(key: str | None = None, body: bytes = BODY) -> bytes:
    given = f"authorization: Bearer {key}\r\n" if key else ""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{given}"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def asked(port: int, request: bytes) -> tuple[int, float]:
    """(status, 0 where the connection was ended without one; seconds from the first byte sent to the last received)"""
    started = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
    except OSError:
        return 0, time.monotonic() - started
    return int(answer[9:12] or b"0"), time.monotonic() - started


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    own_port, at_once, each_seconds = sys.argv[1:]
    uvicorn.run(engine(int(at_once), float(each_seconds)), port=int(own_port), log_level="warning")
