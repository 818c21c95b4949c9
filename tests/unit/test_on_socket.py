"""transformers' server on a socket: real uvicorn, and small packages in place of versions of transformers."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

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
