"""The servers that are compared: each a child process before the scripted upstream, and how it is asked."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

HERE = Path(__file__).parent
START_SECONDS = 120.0
HONO = "@hono/node-server"
"""Portkey's gateway 1.15 writes to headers that this lets nobody write to since 1.14.2: its streams are a 500 there."""


@dataclass(slots=True)
class Contender:
    """url: of its chat completions. process: None for the upstream itself, asked without anything between."""

    name: str
    url: str
    model: str = "m"
    version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    process: psutil.Process | None = None

    def cpu_seconds(self) -> float:
        """Of the process and its children so far."""
        if self.process is None:
            return 0.0
        times = [one.cpu_times() for one in (self.process, *self.process.children(recursive=True))]
        return sum(one.user + one.system for one in times)


class Started:
    """Children that end with the block."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(35)
            except subprocess.TimeoutExpired:
                child.kill()

    def start(self, command: list[str], ready: str, environment: dict[str, str] | None = None) -> psutil.Process:
        """ready: a URL that is answered 200 once it is. Raises: TimeoutError, RuntimeError."""
        quiet = subprocess.DEVNULL
        child = subprocess.Popen(command, env=os.environ | (environment or {}), stdout=quiet, stderr=quiet)
        self._children.append(child)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(ready, trust_env=False).is_success:
                    return psutil.Process(child.pid)
            except httpx.HTTPError:
                pass
            if child.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {child.returncode}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{command[0]} did not start")
            time.sleep(0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def direct(started: Started) -> Contender:
    port = free_port()
    base = f"http://127.0.0.1:{port}/v1"
    started.start([sys.executable, str(HERE / "upstream.py"), str(port)], f"{base}/models")
    return Contender("direct", f"{base}/chat/completions")


def copier(started: Started, upstream: str) -> Contender:
    port, base = free_port(), urlsplit(upstream)
    command = [sys.executable, str(HERE / "copier.py"), str(port), str(base.port)]
    process = started.start(command, f"http://127.0.0.1:{port}{base.path}/models")
    url = f"http://127.0.0.1:{port}{base.path}/chat/completions"
    return Contender("copier", url, version=f"on uvloop {version('uvloop')}", process=process)


def firstpass(started: Started, upstream: str, data_dir: Path, source: Path | None, name: str) -> Contender:
    """source: another checkout's `server` folder, to compare two."""
    port = free_port()
    environment = {
        "FIRSTPASS_SERVER__DATA_DIR": str(data_dir),
        "FIRSTPASS_SERVER__PORT": str(port),
        "FIRSTPASS_SERVER__IN_FLIGHT_LIMIT": "1024",
        "FIRSTPASS_ENGINE__KIND": "external",
        "FIRSTPASS_ENGINE__URL": upstream,
    }
    if source is not None:
        environment["PYTHONPATH"] = str(source)
    base = f"http://127.0.0.1:{port}"
    process = started.start([sys.executable, "-m", "firstpass", "serve"], f"{base}/readyz", environment)
    return Contender(name, f"{base}/v1/chat/completions", "local", commit(source or HERE), process=process)


def commit(folder: Path) -> str:
    """Of the checkout that a folder lies in."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "no checkout"


def litellm(started: Started, upstream: str, python: Path, scratch: Path) -> Contender:
    """python: of an environment that has litellm[proxy]."""
    port, config = free_port(), scratch / "litellm.json"
    asked = {"model": "openai/m", "api_base": upstream, "api_key": "none"}
    config.write_text(json.dumps({"model_list": [{"model_name": "m", "litellm_params": asked}]}))
    command = [str(python.parent / "litellm"), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    environment = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "PYTHONPATH": "",
        "NO_PROXY": "127.0.0.1",
    }
    process = started.start(command, f"http://127.0.0.1:{port}/health/liveliness", environment)
    told = "import importlib.metadata as m; print(m.version('litellm'))"
    version = subprocess.run([str(python), "-c", told], capture_output=True, text=True, check=True).stdout.strip()
    return Contender("litellm", f"http://127.0.0.1:{port}/v1/chat/completions", "m", version, process=process)


def portkey(started: Started, upstream: str, package: Path) -> Contender:
    """package: the folder of @portkey-ai/gateway, as npm installs it, its HONO beside it."""
    port = free_port()
    command = ["node", str(package / "build/start-server.js"), f"--port={port}", "--headless"]
    process = started.start(command, f"http://127.0.0.1:{port}/")
    ours, below = (json.loads((folder / "package.json").read_text()) for folder in (package, package.parents[1] / HONO))
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    version = f"{ours['version']} ({HONO} {below['version']}, node {node})"
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream, "authorization": "Bearer none"}
    return Contender("portkey", f"http://127.0.0.1:{port}/v1/chat/completions", "m", version, headers, process)
