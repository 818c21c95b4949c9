"""Real vLLM and real transformers, a real (tiny) model, real signals. Slow: they share one vLLM, in order."""

import asyncio
import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from firstpass import catalogue, engine
from firstpass.engine import Endpoint, EngineSpec
from firstpass.engine.child import GuardedChild
from firstpass.engine.supervised import SupervisedEngine
from tests.machine import stretched

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="session")]

READY_SECONDS = 120.0
QUICK_SECONDS = 3.0
GONE_SECONDS = 15.0
BACK_SECONDS = 60.0

FRONT = """
import asyncio, sys
from pathlib import Path
from firstpass import catalogue, engine
async def main():
    spec = engine.EngineSpec(name="tiny", kind="vllm", data_dir=Path(sys.argv[2]), model_dir=Path(sys.argv[1]))
    await engine.build(spec).ensure_ready()
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""

SCHEMA = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}


async def chat(endpoint: Endpoint, **more: Any) -> tuple[dict[str, Any], float]:
    """The answer, and how many seconds it took."""
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, **more}
    started = time.monotonic()
    transport = httpx.AsyncHTTPTransport(uds=str(endpoint.uds))
    async with httpx.AsyncClient(transport=transport, base_url=endpoint.base_url, timeout=60) as client:
        response = await client.post("chat/completions", json=body)
    assert response.status_code == httpx.codes.OK, response.text
    return response.json(), time.monotonic() - started


def tree(running: SupervisedEngine) -> list[psutil.Process]:
    """The two guards and everything below them."""
    child = running._child
    assert isinstance(child, GuardedChild)
    root = psutil.Process(child.pid)
    return [root, *root.children(recursive=True)]


def guard_of(processes: list[psutil.Process]) -> psutil.Process:
    return processes[0]


def api_server_of(processes: list[psutil.Process]) -> psutil.Process:
    return processes[2]


def engine_core_of(processes: list[psutil.Process]) -> psutil.Process:
    return next(process for process in processes if "EngineCore" in " ".join(process.cmdline()))


async def left(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, GONE_SECONDS)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def listening(running: SupervisedEngine) -> list[int]:
    """The TCP ports that the engine's processes listen on in this machine's own network."""
    return [
        connection.laddr.port
        for process in tree(running)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]


async def test_a_cold_vllm_is_ready_in_time(vllm_engine: SupervisedEngine) -> None:
    started = time.monotonic()
    await vllm_engine.ensure_ready()
    seconds = time.monotonic() - started
    print(f"cold start to ready: {seconds:.1f} s")
    assert seconds <= stretched(READY_SECONDS) and vllm_engine.warmed.logprobs


async def test_the_first_requests_after_ready_are_quick(vllm_engine: SupervisedEngine) -> None:
    endpoint = await vllm_engine.ensure_ready()
    answer, plain_seconds = await chat(endpoint, logprobs=True, top_logprobs=20)
    assert len(answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 20
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    _, schema_seconds = await chat(endpoint, response_format=schema)
    assert max(plain_seconds, schema_seconds) < stretched(QUICK_SECONDS)


async def test_only_this_user_can_reach_the_engine(vllm_engine: SupervisedEngine) -> None:
    endpoint = await vllm_engine.ensure_ready()
    assert endpoint.uds is not None
    assert endpoint.uds.stat().st_mode & 0o777 == 0o600 and endpoint.uds.parent.stat().st_mode & 0o777 == 0o700
    assert listening(vllm_engine) == []


@pytest.mark.parametrize("victim", [engine_core_of, api_server_of, guard_of])
async def test_a_killed_part_takes_the_rest_along_and_the_engine_comes_back(
    vllm_engine: SupervisedEngine,
    victim: Callable[[list[psutil.Process]], psutil.Process],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vllm_engine._limit, "_times", type(vllm_engine._limit._times)())
    before = await vllm_engine.ensure_ready()
    processes = tree(vllm_engine)
    victim(processes).send_signal(signal.SIGKILL)
    killed = time.monotonic()
    assert await left(processes) == []
    print(f"{victim.__name__}: all gone after {time.monotonic() - killed:.1f} s")
    async with asyncio.timeout(BACK_SECONDS):
        while (endpoint := await vllm_engine.ensure_ready()) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    print(f"{victim.__name__}: ready again after {time.monotonic() - killed:.1f} s")
    await chat(endpoint)


async def test_a_killed_front_leaves_no_process_behind(tiny_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FRONT, str(tiny_model), str(tmp_path)]
    front = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert front.stdout and await front.stdout.readline() == b"ready\n"
    processes = psutil.Process(front.pid).children(recursive=True)
    assert len(processes) >= 3
    os.kill(front.pid, signal.SIGKILL)
    await front.wait()
    assert await left(processes) == []


async def test_closing_leaves_no_process_and_no_socket(vllm_engine: SupervisedEngine) -> None:
    endpoint = await vllm_engine.ensure_ready()
    processes = tree(vllm_engine)
    await vllm_engine.close()
    assert await left(processes) == []
    assert endpoint.uds is not None and not endpoint.uds.parent.exists()


async def test_transformers_serves_where_vllm_can_not(tiny_model: Path, tmp_path: Path) -> None:
    spec = EngineSpec(name="tiny", kind="transformers", data_dir=tmp_path, model_dir=tiny_model, isolate="off")
    running = engine.build(spec)
    assert isinstance(running, SupervisedEngine)
    endpoint = await running.ensure_ready()
    answer, _ = await chat(endpoint)
    assert answer["choices"] and not running.warmed.logprobs
    assert listening(running) == [], "it has a socket in a private directory, whatever its network"
    assert endpoint.uds is not None and endpoint.uds.stat().st_mode & 0o777 == 0o600
    processes = tree(running)
    await running.close()
    assert await left(processes) == []


HOSTILE_CODE = """
from pathlib import Path
Path({marker!r}).touch()
"""


def hostile_copy(model: Path, directory: Path, marker: Path) -> Path:
    """The model with everything in it that would run code, were it asked to."""
    copy = directory / "hostile"
    shutil.copytree(model, copy)
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (copy / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((copy / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["code.Tokenizer", None]}
    (copy / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    for name in ("code.py", "sitecustomize.py", "uvloop.py", "torch.py"):
        (copy / name).write_text(HOSTILE_CODE.format(marker=str(marker)))
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Touches(marker)))
    return copy


class Touches:
    """Whoever unpickles this makes a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self._marker),)


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
async def test_code_that_comes_with_a_model_is_never_run_nor_what_lies_where_the_server_is_started(
    kind: engine.Kind,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    marker = tmp_path / "ran"
    hostile = hostile_copy(tiny_model, tmp_path, marker)
    assert catalogue.find(str(hostile)).directory == hostile
    monkeypatch.chdir(hostile)
    spec = EngineSpec(name="tiny", kind=kind, data_dir=tmp_path, model_dir=hostile, isolate="off")
    running = engine.build(spec)
    assert isinstance(running, SupervisedEngine)
    try:
        answer, _ = await chat(await running.ensure_ready())
        assert answer["choices"] and not marker.exists()
        ports = listening(running)
        assert (f"listens on {len(ports)} TCP ports" in caplog.text) == bool(ports) == (kind == "vllm")
        print(f"{kind}: {len(ports)} TCP ports without isolation")
        with contextlib.suppress(TypeError):
            pickle.loads((hostile / "pytorch_model.bin").read_bytes())  # noqa: S301
        assert marker.exists(), "it would have run, had anybody read it"
    finally:
        await running.close()
