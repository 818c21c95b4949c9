"""A server as users start it: in a process of its own, for what a thread can't be told, refused or limited in."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from tests.conftest import wait_until_ready
from tests.scenes import until

START_SECONDS = 120.0


def heeding() -> None:
    """In a child before its program: SIGINT, which a shell has its background jobs ignore, and so what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def serve(engine_url: str, data_dir: Path, before: str = "") -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """`firstpass serve` before the engine at this URL, once it is ready. before: Python that runs first in it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "FIRSTPASS_ENGINE__KIND": "external",
        "FIRSTPASS_ENGINE__URL": f"{engine_url}/v1",
        "FIRSTPASS_SERVER__DATA_DIR": str(data_dir),
    }
    code = f"{before}\nfrom firstpass.cli.main import main\nmain()"
    command = [sys.executable, "-c", code, "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                until(lambda: _is_up(client), START_SECONDS)
                wait_until_ready(client)
                yield process, client
        finally:
            process.kill()


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False
