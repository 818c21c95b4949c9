"""A whole server before a scripted engine, and callers that note what they were given before it is killed.

A whole answer counts once its last byte is there, a stream once `[DONE]` is, a receipt with the answer that names it.
"""

import asyncio
import json
import os
import random
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import uvicorn

from firstpass.front import front, run
from firstpass.settings import Settings

LONGEST_SECONDS = 0.5
"""From the first answer on. A part is killed earlier."""

START_SECONDS = 60.0
CHUNKS = 20
USAGE = {"prompt_tokens": 10, "completion_tokens": CHUNKS, "total_tokens": 10 + CHUNKS}

Said = list[tuple[str, ...]]


@contextmanager
def engine() -> Iterator[str]:
    """The scripted engine in a process of its own; gives its URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # a terminal's Ctrl-C is for the program that counts
        try:
            server = uvicorn.Server(
                uvicorn.Config(_answer, log_config=None, access_log=False, ws="none", lifespan="off")
            )
            server.run([listening])
        finally:
            os._exit(1)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    asked = json.loads(body) if body else {}
    said, kind = _said(scope["path"], bool(asked.get("stream")))
    headers = [(b"content-type", kind), (b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


def _said(path: str, stream: bool) -> tuple[bytes, bytes]:
    about = {"id": "x", "created": 1, "model": "m"}
    if path.endswith("models"):
        return json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode(), b"application/json"
    if not stream:
        message = {"role": "assistant", "content": "word " * CHUNKS}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        whole = about | {"object": "chat.completion", "choices": choices, "usage": USAGE}
        return json.dumps(whole).encode(), b"application/json"
    about |= {"object": "chat.completion.chunk"}
    deltas = [{"index": 0, "delta": {"content": "word "}, "finish_reason": None} for _ in range(CHUNKS)]
    chunks = [about | {"choices": [one]} for one in [*deltas, {"index": 0, "delta": {}, "finish_reason": "stop"}]]
    events = [*chunks, about | {"choices": [], "usage": USAGE}]
    return b"".join(
        b"data: %b\n\n" % json.dumps(e).encode() for e in events
    ) + b"data: [DONE]\n\n", b"text/event-stream"


def before(url: str) -> Callable[[Path, int, random.Random], tuple[int, Said]]:
    def begin(data: Path, callers: int, rng: random.Random) -> tuple[int, Said]:
        """Fork a server, ask it much at once, kill it, and give what callers had by then."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            _serve(url, data, port)
        return pid, asyncio.run(_ask_until_killed(pid, port, callers, rng))

    return begin


def _serve(url: str, data: Path, port: int) -> NoReturn:
    try:
        settings = {
            "engine": {"kind": "external", "url": url},
            "verifier": {"url": url, "model": "m", "hosted": True},
            "policy": {"egress": "any"},
            "server": {"data_dir": data, "port": port},
        }
        run(front(Settings.model_validate(settings)))
    finally:
        os._exit(1)


async def _ask_until_killed(pid: int, port: int, callers: int, rng: random.Random) -> Said:
    said: Said = []
    answered = asyncio.Event()
    await _ready(port)
    ways = [_whole, _stream, _strong]
    asking = [asyncio.create_task(_ask_on(ways[number % 3], port, said, answered)) for number in range(callers)]
    if rng.random() < 0.9:
        await answered.wait()
    await asyncio.sleep(rng.uniform(0, LONGEST_SECONDS))
    os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*asking)
    return said


async def _ready(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            if b" 200 " in await reader.readline():
                return
        except OSError:
            pass
        await asyncio.sleep(0.05)
    raise TimeoutError("the front did not get ready")


Way = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Said]]


async def _ask_on(way: Way, port: int, said: Said, answered: asyncio.Event) -> None:
    """One request after the other, until the server is gone. One that it refuses ends its connection."""
    try:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    said += await way(reader, writer)
                    answered.set()
            except _RefusedError as refused:
                said.append(("refused", str(refused)))
                writer.close()
    except (OSError, EOFError):
        return


class _RefusedError(Exception):
    """Told by a status or a stream's last event: on a busy machine an engine may take too long."""


async def _whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Said:
    headers = await _asked(reader, writer, "local", stream=False)
    await reader.readexactly(int(headers["content-length"]))
    return [("exchange", headers["x-request-id"])]


async def _strong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Said:
    headers = await _asked(reader, writer, "strong", stream=False)
    await reader.readexactly(int(headers["content-length"]))
    _, _, number, leaf = headers["x-firstpass-receipt"].split(";")
    return [("exchange", headers["x-request-id"]), ("receipt", number, leaf)]


async def _stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Said:
    headers = await _asked(reader, writer, "local", stream=True)
    done = False
    while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
        done |= b"data: [DONE]" in await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    if not done:
        raise _RefusedError("a stream ended in an error")
    return [("stream", headers["x-request-id"])]


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, model: str, *, stream: bool
) -> dict[str, str]:
    """The answer's headers."""
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    if " 200 " not in status:
        raise _RefusedError(status)
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
