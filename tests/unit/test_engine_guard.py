"""The guard and the child, with real processes: small trees of shells in place of an engine."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from firstpass.engine import EngineSpec, guard
from firstpass.engine.child import GuardedChild, GuardedLauncher, log_file, private_directory
from firstpass.engine.recipe import Command
from firstpass.engine.spec import Endpoint, Isolation
from tests.machine import stretched

GONE_SECONDS = 3.0

TREE = """
trap '' TERM
(trap '' TERM; sleep 997; true) &
setsid sh -c "trap '' TERM; sleep 997; true" &
sleep 997 &
echo grown
wait; wait; wait
"""
"""Children that ignore SIGTERM, and one that leaves the session: no engine behaves worse."""

FRONT = """
import subprocess, sys, time
from tests.machine import stretched
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""
"""Stands in for the server: starts the guard, and waits to be killed."""


class ShellRecipe:
    """An engine that is a shell script."""

    ready_path = "/health"
    stages: ClassVar = {"grown": "growing"}
    expects_logprobs = False

    def __init__(self, script: str) -> None:
        self._script = script

    def command(self, scratch: Path) -> Command:
        endpoint = Endpoint("http://engine/v1", scratch / "api.sock", "m")
        return Command(("sh", "-c", self._script), dict(os.environ), endpoint)


async def grown(
    data_dir: Path, script: str = TREE, isolate: Isolation = "auto"
) -> tuple[GuardedChild, list[psutil.Process]]:
    """A launched child with its whole tree: the outer guard, the inner one, the command, and what is below it."""
    spec = EngineSpec(name="tree", kind="vllm", data_dir=data_dir, isolate=isolate)
    child = await GuardedLauncher(spec, ShellRecipe(script)).launch()
    async with asyncio.timeout(5):
        while "grown" not in log_file(data_dir, "tree").read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return child, await asyncio.to_thread(whole_tree, child.pid)


def whole_tree(root: int, sleepers: int = 3) -> list[psutil.Process]:
    guard_process = psutil.Process(root)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        below = guard_process.children(recursive=True)
        if sum(process.name() == "sleep" for process in below) >= sleepers:
            return [guard_process, *below]
        time.sleep(0.005)
    raise AssertionError("the tree did not grow")


def encloses() -> bool:
    """Whether the guard gets a process namespace here: then the command is the second process in it."""
    command = [sys.executable, "-I", "-S", guard.__file__, "--isolate", "--", "sh", "-c", "echo $$"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tried:
        assert tried.stdout
        return tried.stdout.read() == b"2\n"


def left(tree: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after a while."""
    deadline = time.monotonic() + stretched(GONE_SECONDS)
    while alive := [process for process in tree if runs(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return alive


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.engine.child.GRACE_SECONDS", 0.1)


async def test_stopping_leaves_no_process_and_no_directory(tmp_path: Path) -> None:
    child, tree = await grown(tmp_path)
    assert len(tree) >= 7
    await child.stop()
    assert left(tree) == [] and not child.endpoint.uds.parent.exists()  # type: ignore[union-attr]
    await child.stop()


async def test_a_killed_command_takes_its_whole_tree_along(tmp_path: Path) -> None:
    child, tree = await grown(tmp_path)
    tree[2].send_signal(signal.SIGKILL)
    assert await child.exited() == 128 + signal.SIGKILL
    assert left(tree) == []


@pytest.mark.parametrize("isolate", ["auto", "off"])
@pytest.mark.parametrize(("killed", "status"), [(0, -signal.SIGKILL), (1, 128 + signal.SIGKILL)])
async def test_what_one_guard_leaves_the_other_ends(
    killed: int, status: int, isolate: Isolation, tmp_path: Path
) -> None:
    child, tree = await grown(tmp_path, isolate=isolate)
    tree[killed].send_signal(signal.SIGKILL)
    assert await child.exited() == status
    assert left(tree) == [] and not child.endpoint.uds.parent.exists()  # type: ignore[union-attr]


async def test_of_two_killed_guards_the_namespace_leaves_nothing_and_without_one_the_front_ends_the_group(
    tmp_path: Path,
) -> None:
    # Without a namespace the child that left the session can only be caught by a guard that lives.
    child, tree = await grown(tmp_path, TREE if encloses() else TREE.replace("setsid ", ""))
    for one in tree[:2]:
        one.send_signal(signal.SIGKILL)
    assert await child.exited() == -signal.SIGKILL
    assert left(tree) == [] and not child.endpoint.uds.parent.exists()  # type: ignore[union-attr]


async def test_a_stopped_tree_is_ended_with_no_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.engine.child.GRACE_SECONDS", 3600.0)
    child, tree = await grown(tmp_path)
    for one in tree[2:]:
        one.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(30):
        await child.kill()
    assert left(tree) == []


@pytest.mark.parametrize(
    ("how", "guards"), [(signal.SIGKILL, 0), (signal.SIGTERM, 0), (signal.SIGKILL, 1), (signal.SIGKILL, 2)]
)
def test_a_killed_front_leaves_no_process_behind(how: signal.Signals, guards: int, tmp_path: Path) -> None:
    """guards: how many of them are killed with it. Nothing but a namespace outlives both."""
    enclosed = encloses()
    if guards == 2 and not enclosed:
        pytest.skip("this system has no process namespaces for this user")
    guarded = [sys.executable, "-I", "-S", guard.__file__, "--grace", "0.1", "--remove", str(tmp_path / "scratch")]
    guarded += ["--isolate"] if enclosed else []
    (tmp_path / "scratch").mkdir()
    front = subprocess.Popen([sys.executable, "-c", FRONT, *guarded, "--", "sh", "-c", TREE], stdout=subprocess.PIPE)
    assert front.stdout
    tree = whole_tree(int(front.stdout.readline()))
    front.send_signal(how)
    for one in tree[:guards]:
        one.send_signal(signal.SIGKILL)
    front.wait()
    front.stdout.close()
    assert left(tree) == [] and (guards == 2 or not (tmp_path / "scratch").exists())


async def test_the_exit_status_is_the_command_s(tmp_path: Path) -> None:
    launcher = GuardedLauncher(EngineSpec(name="tree", kind="vllm", data_dir=tmp_path), ShellRecipe("exit 7"))
    assert await (await launcher.launch()).exited() == 7


async def test_the_log_is_private_and_the_one_before_is_kept(tmp_path: Path) -> None:
    launcher = GuardedLauncher(EngineSpec(name="a/b", kind="vllm", data_dir=tmp_path), ShellRecipe("date +%N"))
    for _ in range(2):
        await (await launcher.launch()).exited()
    log, before = tmp_path / "engine-a-b.log", tmp_path / "engine-a-b.log.1"
    assert log.read_text() != before.read_text() and log.stat().st_mode & 0o777 == 0o600


async def test_the_last_lines_are_the_last_twenty(tmp_path: Path) -> None:
    launcher = GuardedLauncher(EngineSpec(name="x", kind="vllm", data_dir=tmp_path), ShellRecipe("seq 1 5000"))
    child = await launcher.launch()
    await child.exited()
    assert child.last_lines().splitlines() == [str(number) for number in range(4981, 5001)]


async def test_files_of_the_command_are_its_user_s_alone(tmp_path: Path) -> None:
    launcher = GuardedLauncher(
        EngineSpec(name="x", kind="vllm", data_dir=tmp_path), ShellRecipe(f"touch {tmp_path}/made")
    )
    await (await launcher.launch()).exited()
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_a_private_directory_leaves_room_for_a_socket_s_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    made = private_directory()
    assert len(os.fsencode(made)) < 60 and made.stat().st_mode & 0o777 == 0o700
    made.rmdir()


async def test_an_engine_runs_on_its_cpus_alone_with_its_libraries_before_its_own(tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    seen = tmp_path / "seen"
    script = f"grep Cpus_allowed_list /proc/self/status > {seen}; echo $LD_PRELOAD >> {seen}"
    library = tmp_path / "not-there.so"
    spec = EngineSpec("m", "vllm", tmp_path, model_dir=tmp_path, cpus=(cpu,), preload=(library,), isolate="off")
    child = await GuardedLauncher(spec, ShellRecipe(script)).launch()  # type: ignore[arg-type]
    await child.exited()
    await child.stop()
    allowed, preloaded = seen.read_text().splitlines()
    assert allowed.split() == ["Cpus_allowed_list:", str(cpu)]
    assert preloaded.split(":")[0] == str(library)
