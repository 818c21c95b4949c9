"""transformers' server on a socket: real uvicorn, and small packages in place of versions of transformers."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from firstpass.engine import on_socket

BY_CONFIG = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": " ".join(sys.argv).encode()})
def main():
    host = sys.argv[sys.argv.index("--host") + 1]
    uvicorn.Server(uvicorn.Config(app, host=host, port=8000, log_level="info")).run()
"""
BY_ITSELF = """
import socket, sys
def main():
    socket.create_server((sys.argv[sys.argv.index("--host") + 1], 0))
"""


def started(tmp_path: Path, version: str) -> subprocess.Popen[bytes]:
    """A process as the engine's, with this `transformers/cli/transformers.py`."""
    package = tmp_path / "transformers/cli"
    package.mkdir(parents=True)
    for directory in (package, package.parent):
        (directory / "__init__.py").touch()
    (package / "transformers.py").write_text(version)
    command = [sys.executable, "-P", on_socket.__file__, str(tmp_path / "api.sock"), "serve", "model"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    return subprocess.Popen([*command, "--host", on_socket.NO_HOST], env=environment, stderr=subprocess.PIPE)


def test_a_server_that_asks_uvicorn_for_a_port_gets_the_socket(tmp_path: Path) -> None:
    with started(tmp_path, BY_CONFIG) as process:
        deadline = time.monotonic() + 20
        while not (tmp_path / "api.sock").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "api.sock"))) as client:
            assert client.get("http://engine/").text == f"transformers serve model --host {on_socket.NO_HOST}"
        process.terminate()


def test_a_version_that_listens_in_another_way_fails_rather_than_listens(tmp_path: Path) -> None:
    with started(tmp_path, BY_ITSELF) as process:
        assert process.stderr
        said = process.stderr.read().decode()
    assert process.returncode == 1 and "Cannot assign requested address" in said


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_request_ends_with_its_caller_and_not_before(leaves: bool) -> None:
    ended: list[str] = []
    messages = [{"type": "http.request", "body": b"x"}] + ([{"type": "http.disconnect"}] if leaves else [])
    gone = asyncio.Event()

    async def app(scope: on_socket.Message, receive: on_socket.Receive, send: on_socket.Send) -> None:
        assert (await receive())["body"] == b"x"
        try:
            await asyncio.wait_for(gone.wait(), None if leaves else 0.1)
        except TimeoutError:
            ended.append("answered")
            await send({"type": "http.response.start"})
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def receive() -> on_socket.Message:
        if messages:
            return messages.pop(0)
        await gone.wait()
        raise AssertionError("nobody goes")

    sent: list[on_socket.Message] = []

    async def send(message: on_socket.Message) -> None:
        sent.append(message)

    async with asyncio.timeout(30):
        await on_socket.with_its_caller(app)({"type": "http"}, receive, send)
    assert ended == ["cancelled" if leaves else "answered"] and bool(sent) is not leaves


async def test_what_the_server_raises_comes_through() -> None:
    async def app(scope: on_socket.Message, receive: on_socket.Receive, send: on_socket.Send) -> None:
        raise ValueError("broken")

    async def never() -> on_socket.Message:
        await asyncio.sleep(3600)
        return {}

    with pytest.raises(ValueError, match="broken"):
        await on_socket.with_its_caller(app)({"type": "http"}, never, lambda message: asyncio.sleep(0))


@pytest.mark.parametrize(
    ("draws", "temperature", "top_p", "top_k", "expected"),
    [
        (True, 0.0, 0.9, 50, (1.0, 1.0, 1)),
        (False, 0.7, 0.9, 50, (1.0, 1.0, 1)),
        (True, 0.7, None, 50, (0.7, 1.0, 50)),
        (True, None, 0.9, None, (1.0, 0.9, 256)),
        (True, 0.7, 0.9, 1000, (0.7, 0.9, 256)),
    ],
)
def test_each_request_of_a_batch_is_decoded_as_it_says_itself(
    draws: bool, temperature: float | None, top_p: float | None, top_k: int | None, expected: tuple[float, float, int]
) -> None:
    config = SimpleNamespace(do_sample=draws, temperature=temperature, top_p=top_p, top_k=top_k)
    assert on_socket.decoding(config, 256) == dict(zip(("temperature", "top_p", "top_k"), expected, strict=True))


class Templated:
    def __init__(self, ending: str) -> None:
        self._ending = ending

    def apply_chat_template(self, turns: object, **options: object) -> str:
        return f"hi{self._ending}"


def test_a_template_for_answers_is_used_where_the_chat_template_is_of_its_kind_alone() -> None:
    template = {"start_anchor": ["<|im_start|>assistant\n", "<|other|>"]}
    assert on_socket.fits(template, Templated("<|im_start|>assistant\n"))
    assert not on_socket.fits(template, Templated("<|assistant|>"))
    assert on_socket.fits({}, Templated("<|assistant|>"))
