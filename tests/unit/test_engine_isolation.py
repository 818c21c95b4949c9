"""An engine's own network, with real namespaces and shells in place of an engine."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstpass.engine import EngineSpec, guard, isolation
from firstpass.engine.child import GuardedLauncher, log_file
from firstpass.errors import BadSettings, TierFailed
from firstpass.settings import load
from tests.unit.test_engine_guard import ShellRecipe

WHY_NOT = asyncio.run(isolation.why_not())
namespaced = pytest.mark.skipif(WHY_NOT is not None, reason=f"no network namespaces here: {WHY_NOT}")

LISTEN = f"""exec {sys.executable} -I -S -c '
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print("grown", listener.getsockname()[1], flush=True)
time.sleep(60)'
"""
CONNECT = f"""{sys.executable} -I -S -c '
import socket
for family, host in ((socket.AF_INET, "203.0.113.1"), (socket.AF_INET6, "2001:db8::1")):
    try:
        socket.socket(family).connect((host, 80))
    except OSError as error:
        print(error.strerror)
with socket.create_server(("127.0.0.1", 0)) as listener:
    socket.create_connection(listener.getsockname()).close()
print("loopback works")'
"""


def spec_of(data_dir: Path, isolate: str = "auto", extra_args: tuple[str, ...] = ()) -> EngineSpec:
    return EngineSpec(name="x", kind="vllm", data_dir=data_dir, isolate=isolate, extra_args=extra_args)  # type: ignore[arg-type]


async def said(data_dir: Path, script: str, isolate: str) -> str:
    child = await GuardedLauncher(spec_of(data_dir, isolate), ShellRecipe(script)).launch()
    assert await child.exited() == 0
    return log_file(data_dir, "x").read_text()


def network() -> str:
    return str(Path("/proc/self/ns/net").readlink())


@namespaced
async def test_an_isolated_engine_has_its_loopback_and_no_way_out(tmp_path: Path) -> None:
    assert await said(tmp_path, CONNECT, "on") == "Network is unreachable\n" * 2 + "loopback works\n"
    own = network()
    assert await said(tmp_path, "readlink /proc/self/ns/net", "auto") != own + "\n"
    assert await said(tmp_path, "readlink /proc/self/ns/net", "off") == own + "\n"


@namespaced
async def test_nobody_reaches_what_an_isolated_engine_listens_on(tmp_path: Path) -> None:
    for isolate, ports in (("on", 0), ("off", 1)):
        child = await GuardedLauncher(spec_of(tmp_path, isolate), ShellRecipe(LISTEN)).launch()
        async with asyncio.timeout(10):
            while "grown" not in (log := log_file(tmp_path, "x").read_text()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(isolation.open_ports(child.pid)) == ports
        assert isolation.open_ports(child.pid) in ([], [int(log.split()[1])])
        await child.stop()


@namespaced
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_privileges_is_isolated_as_itself(tmp_path: Path) -> None:
    """With a user namespace, where root needs none; the guard is copied to where that user may read it."""
    copied = Path(f"/tmp/guard-{os.getpid()}.py")
    copied.write_text(Path(guard.__file__).read_text())
    try:
        script = "id -u; cat /proc/self/uid_map /proc/net/dev; grep CapEff /proc/self/status"
        guarded = ("python3", "-I", "-S", str(copied), "--isolate", "--", "sh", "-c", script)
        pipe = subprocess.PIPE
        with subprocess.Popen(guarded, stdin=pipe, stdout=pipe, stderr=pipe, text=True, user=65534, group=65534) as run:
            assert run.stdout and run.stderr
            if "no network namespace" in (told := run.stderr.read()):
                pytest.skip(f"users have no namespaces here: {told}")
            lines = run.stdout.read().split()
    finally:
        copied.unlink()
    assert lines[:4] == ["65534", "65534", "65534", "1"] and lines[-1] == "0" * 16
    assert [word for word in lines if word.endswith(":")] == ["lo:", "CapEff:"]


async def test_where_the_system_has_no_namespace_auto_warns_and_on_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "ON_LINUX", False)
    with caplog.at_level(logging.WARNING):
        assert not await isolation.isolated(spec_of(tmp_path))
    assert "shares this machine's network: only Linux has network namespaces" in caplog.text
    with pytest.raises(TierFailed, match=r"engine\.isolate is on, and that can't be"):
        await isolation.isolated(spec_of(tmp_path, "on"))


@pytest.mark.parametrize(
    "arguments",
    [("--nnodes", "2"), ("-dpa", "10.0.0.1"), ("--data_parallel_address=10.0.0.1",), ("--data-parallel-backend=ray",)],
)
async def test_an_engine_with_parts_on_other_machines_keeps_the_network(
    tmp_path: Path, arguments: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    assert not await isolation.isolated(spec_of(tmp_path, extra_args=arguments))
    assert "is among engine.extra_args" in caplog.text


@pytest.mark.skipif(not guard.ON_LINUX, reason="only Linux tells")
def test_the_work_of_a_process_that_has_ended_is_not_forgotten_and_that_of_none_is_unknown() -> None:
    spin = f"{sys.executable} -I -S -c 'import time\nwhile time.process_time() < 0.3: pass'; echo done; read x"
    pipe = subprocess.PIPE
    with subprocess.Popen(("sh", "-c", spin), stdin=pipe, stdout=pipe, start_new_session=True) as run:
        assert run.stdout and run.stdout.readline() == b"done\n"
        worked = isolation.worked_seconds(run.pid)
        assert worked is not None and worked >= 0.25
        run.communicate(b"x\n")
    assert isolation.worked_seconds(run.pid) is None


def test_an_external_engine_can_not_be_isolated() -> None:
    variables = {"KIND": "external", "URL": "http://127.0.0.1:1/v1", "ISOLATE": "on"}
    with pytest.raises(BadSettings, match="isolate = 'on' does not reach an external engine"):
        load(environment={f"FIRSTPASS_ENGINE__{name}": value for name, value in variables.items()})


def test_the_memory_of_an_engine_s_processes_counts_what_they_share_once() -> None:
    size = 64 << 20
    script = f"import os, time; held = b'x' * {size}; os.fork(); print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        taken = isolation.memory_bytes(process.pid)
        os.killpg(process.pid, 9)
    assert taken is not None and size < taken < 2 * size
    assert isolation.memory_bytes(process.pid) is None
