"""A caller that leaves, seen from inside a real vLLM: its own count of running requests."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest

from firstpass import drafting
from firstpass.engine import probe
from firstpass.engine.recipe import recipe_for
from firstpass.settings import Settings
from tests.conftest import fronted
from tests.scenes import DROP_SECONDS, calling, until
from tests.vllm.conftest import READY_SECONDS, assert_gone
from tests.vllm.test_main_job import LONG

pytestmark = pytest.mark.vllm

RUNNING = "vllm:num_requests_running"


@pytest.fixture(scope="module")
def counting() -> Iterator[Path]:
    """The socket of a vLLM that is run as ours are, but counts (`--disable-log-stats` takes its metrics away)."""
    with TemporaryDirectory() as name:  # Short, as a socket's path has to be.
        directory = Path(name)
        settings = Settings.model_validate({"engine": {"kind": "vllm"}, "server": {"data_dir": directory}})
        command = recipe_for(drafting.engine_spec(settings, settings.engine)).command(directory)
        assert command.endpoint.uds is not None
        argv = [word for word in command.argv if word != "--disable-log-stats"]
        with (directory / "vllm.log").open("wb") as log, running(argv, dict(command.environment), log):
            until(lambda: asyncio.run(probe.answers(command.endpoint, "models")), READY_SECONDS, 0.5)
            yield command.endpoint.uds


@contextmanager
def running(argv: list[str], environment: dict[str, str], log: object) -> Iterator[None]:
    process = psutil.Popen(argv, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        tree = [process, *process.children(recursive=True)]
        process.terminate()
        assert_gone(tree)


def at(socket: Path) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://engine", timeout=10)


def count(engine: httpx.Client, metric: str) -> float:
    lines = engine.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{metric}{{", f"{metric} ")))


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_runs_nothing_a_second_after_its_caller_left(counting: Path, tmp_path: Path, stream: bool) -> None:
    url = {"kind": "external", "url": f"unix:{counting}"}
    with at(counting) as engine, fronted("", tmp_path, engine=url) as front:
        with calling(front, LONG | {"stream": stream}):
            until(lambda: count(engine, RUNNING) == 1)
        left = time.monotonic()
        until(lambda: count(engine, RUNNING) == 0, DROP_SECONDS)
        print(json.dumps({"stream": stream, "seconds": round(time.monotonic() - left, 3)}))
