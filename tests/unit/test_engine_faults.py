"""Engines that lack memory, disk or whole weights, and fail again and again: real processes behind real guards."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from firstpass.engine import EngineSpec
from firstpass.engine.child import GuardedLauncher
from firstpass.engine.recipe import Command
from firstpass.engine.restarts import STARTS, RestartLimit
from firstpass.engine.spec import Endpoint
from firstpass.engine.supervised import SupervisedEngine
from firstpass.errors import TierUnavailable
from tests.unit.test_engine_hangs import PLAYED

GREEDY = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
bytearray(2**30)
"""
READS = """
from safetensors import safe_open
safe_open({path!r}, "numpy")
"""
TALKS = "print('loading', flush=True)\n"


class Script:
    """An engine that is a few lines of Python, which find their socket's path in sys.argv."""

    ready_path = "/health"
    stages: ClassVar = {}
    expects_logprobs = False

    def __init__(self, code: str) -> None:
        self.code = code

    def command(self, scratch: Path) -> Command:
        endpoint = Endpoint("http://engine/v1", scratch / "api.sock", "m")
        return Command((sys.executable, "-I", "-c", self.code, str(endpoint.uds)), dict(os.environ), endpoint)


def engine_of(script: Script, data_dir: Path) -> SupervisedEngine:
    spec = EngineSpec("scripted", "vllm", data_dir, isolate="off", start_deadline_seconds=60)
    clock = asyncio.get_running_loop().time
    limit = RestartLimit(clock, rest_seconds=0.0)
    return SupervisedEngine(spec, GuardedLauncher(spec, script), clock=clock, poll_seconds=0.02, limit=limit)


async def why_not(engine: SupervisedEngine) -> TierUnavailable:
    with pytest.raises(TierUnavailable) as caught:
        await asyncio.wait_for(engine.ensure_ready(), 60)
    assert caught.value.failure.retry_after_seconds and engine.state == "failed"
    return caught.value


async def test_an_engine_that_has_no_memory_to_start_says_so(tmp_path: Path) -> None:
    engine = engine_of(Script(GREEDY), tmp_path)
    assert "MemoryError" in str(await why_not(engine))
    await engine.close()


async def test_an_engine_that_can_not_read_its_weights_says_so(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"\xff" * 64)
    engine = engine_of(Script(READS.format(path=str(weights))), tmp_path)
    assert "SafetensorError" in str(await why_not(engine))
    await engine.close()


async def test_an_engine_whose_log_finds_no_room_on_the_disk_fails_and_is_ready_when_there_is_some(
    small_disk: Path,
) -> None:
    full = small_disk / "full"
    with pytest.raises(OSError, match="No space"), full.open("wb") as file:
        while True:
            file.write(b"x" * 2**16)
    engine = engine_of(Script(TALKS + PLAYED), small_disk)
    assert "exited with status" in str(await why_not(engine))
    full.unlink()
    await asyncio.wait_for(engine.ensure_ready(), 60)
    await engine.close()


async def test_an_engine_that_dies_at_every_start_is_given_up_and_the_log_and_callers_hear_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_of(Script("raise RuntimeError('no such device')"), tmp_path)
    for _ in range(STARTS):
        assert "no such device" in str(await why_not(engine))
    with caplog.at_level(logging.ERROR):
        given_up = await why_not(engine)
    assert "too often" in str(given_up) and "no such device" in str(given_up)
    assert (given_up.failure.retry_after_seconds or 0) > 500
    await engine.close()
