"""A real `firstpass serve` with a real vLLM and the bundled model, in processes of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.doubles import Answerer

READY_SECONDS = 180.0
LEAVE_SECONDS = 40.0


@dataclass
class Live:
    """A running server. `ready_seconds` counts from the start of its process to the first 200 of /readyz."""

    process: psutil.Popen
    url: str
    data_dir: Path
    environment: dict[str, str]
    ready_seconds: float

    @property
    def socket_log(self) -> Path:
        return self.data_dir.parent / "sockets.tsv"

    def tree(self) -> list[psutil.Process]:
        """The front and everything below it."""
        return [self.process, *self.process.children(recursive=True)]

    def cli(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "firstpass", *arguments]
        environment = self.environment | {"FIRSTPASS_URL": self.url}
        return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=120, check=False)


def answers(live: Live) -> Answerer:
    """The engine of a server, to be asked by another front that knows nothing of its model."""
    words = [word for process in live.tree() for word in process.cmdline()]
    socket, model = (words[words.index(name) + 1] for name in ("--uds", "--served-model-name"))

    def answer(body: dict[str, Any]) -> str:
        with httpx.Client(transport=httpx.HTTPTransport(uds=socket), timeout=120) as engine:
            response = engine.post("http://engine/v1/chat/completions", json=body | {"model": model})
        assert response.is_success, response.text
        return str(response.json()["choices"][0]["message"]["content"])

    return answer


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def living(data_dir: Path, **variables: str) -> Iterator[Live]:
    """A server that is ready, until its clean end."""
    began = time.monotonic()
    with started(data_dir, **variables) as live:
        wait_until_ready(live, READY_SECONDS)
        live.ready_seconds = time.monotonic() - began
        yield live


@contextmanager
def started(data_dir: Path, **variables: str) -> Iterator[Live]:
    """A server that may not be ready, or never. It ends cleanly by SIGINT; fails where processes of it are left."""
    port = free_port()
    environment = os.environ | {
        "FIRSTPASS_SERVER__PORT": str(port),
        "FIRSTPASS_SERVER__DATA_DIR": str(data_dir),
        **variables,
    }
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "front.log").open("wb") as log:
        command = [sys.executable, "-m", "firstpass", "serve"]
        process = psutil.Popen(command, env=environment, stdout=log, stderr=log)
    live = Live(process, f"http://127.0.0.1:{port}", data_dir, environment, 0.0)
    try:
        yield live
    finally:
        tree = live.tree() if process.is_running() else []
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert_gone(tree)


def wait_until_ready(live: Live, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(f"{live.url}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        log = (live.data_dir / "front.log").read_text(errors="replace")
        assert live.process.poll() is None, f"the server ended: {log[-3000:]}"
        assert time.monotonic() < deadline, f"not ready in {seconds} s: {log[-3000:]}"
        time.sleep(0.1)


def assert_gone(processes: list[psutil.Process]) -> None:
    """Fails where one of them still runs after a while; whatever is left is killed first."""
    _, left = psutil.wait_procs(processes, timeout=LEAVE_SECONDS)
    left = [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    names = [" ".join(process.cmdline())[:120] for process in left]
    for process in left:
        process.kill()
    assert names == []


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The one server that most tests share. Every address that its processes ask libc for is in its `socket_log`."""
    directory = tmp_path_factory.mktemp("live")
    spied = {"LD_PRELOAD": str(spy(directory))} if shutil.which("cc") else {}
    with living(directory / "data", **spied) as running:
        yield running


def spy(directory: Path) -> Path:
    """The compiled sockets.c, which writes into sockets.tsv beside it."""
    library, source = directory / "sockets.so", Path(__file__).with_name("sockets.c")
    log = f'-DSOCKET_LOG="{directory / "sockets.tsv"}"'
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", log, "-o", str(library), str(source), "-ldl"], check=True)
    return library
