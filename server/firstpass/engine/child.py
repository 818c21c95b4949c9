"""A running engine: its guard, its log, its private directory. Knows processes; the recipe knows what to run."""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from firstpass.engine import guard, isolation, probe
from firstpass.engine.reason import quoted
from firstpass.engine.recipe import Recipe
from firstpass.engine.sleeping import Sleeper, check_private
from firstpass.engine.spec import Asleep, Endpoint, EngineSpec, SleepLevel, Warmed
from firstpass.errors import TierFailed

log = logging.getLogger(__name__)

GRACE_SECONDS = 8.0
"""For an engine to end by itself; its guard kills it after that."""

AT_ONCE_SECONDS = 5.0
"""For a guard to kill all that is below it."""

UNSWEPT_SECONDS = 5.0
INNER_SECONDS = 3.0
"""Of these, what the inner guard has for what it finds."""

LAST_LINES = 20
LAST_BYTES = 16_384
REASON_BYTES = 262_144
"""vLLM prints the traceback of each of its processes after the one that matters."""

SCRATCH_BYTES = 60
"""The longest private directory: a Unix socket's path has 108 bytes (unix(7)), and vLLM's own sockets add 37."""


class GuardedLauncher:
    """Starts engines of one spec, each in a fresh private directory, each with a log of its own."""

    def __init__(self, spec: EngineSpec, recipe: Recipe) -> None:
        self._spec = spec
        self._recipe = recipe

    @property
    def expects_logprobs(self) -> bool:
        return self._recipe.expects_logprobs

    async def launch(self) -> "GuardedChild":
        """Raises: OSError if the process or its log can't be made; TierFailed if it can't be as isolated or
        private as it must be.
        """
        isolate = await isolation.isolated(self._spec)
        scratch = private_directory()
        try:
            command = self._recipe.command(scratch)
            if self._spec.sleeps:
                check_private(command.endpoint, scratch)
            log_path = log_file(self._spec.data_dir, self._spec.name)
            with fresh(log_path) as written:
                environment = {**command.environment, **preloading(self._spec, command.environment)}
                cpus = self._spec.cpus
                process = await spawn(command.argv, environment, scratch, written, isolate=isolate, cpus=cpus)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        sleeper = Sleeper(self._spec, command.endpoint, log_path)
        return GuardedChild(process, command.endpoint, self._recipe, scratch, log_path, sleeper, isolated=isolate)


def preloading(spec: EngineSpec, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The libraries of the spec, before those that this process itself was started with."""
    if not spec.preload:
        return {}
    before = environment.get("LD_PRELOAD", "")
    return {"LD_PRELOAD": ":".join((*map(str, spec.preload), *([before] if before else [])))}


async def spawn(
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    scratch: Path,
    log: IO[bytes],
    *,
    isolate: bool = False,
    cpus: Sequence[int] = (),
) -> Process:
    """The guard, with the command below it, in a session of its own: a terminal's Ctrl-C is the front's to handle.

    The guard's standard input is the pipe whose end tells it that this process is gone.
    """
    guarded = (sys.executable, "-I", "-S", guard.__file__, "--grace", str(GRACE_SECONDS), "--remove", str(scratch))
    return await asyncio.create_subprocess_exec(
        *guarded,
        *(["--isolate"] if isolate else []),
        *(["--cpus", ",".join(map(str, cpus))] if cpus else []),
        "--",
        *argv,
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=log,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


class GuardedChild:
    """One run of an engine, from its launch to the end of its last process."""

    def __init__(
        self,
        process: Process,
        endpoint: Endpoint,
        recipe: Recipe,
        scratch: Path,
        log_path: Path,
        sleeper: Sleeper,
        *,
        isolated: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.isolated = isolated
        self._warmed = Warmed(logprobs=False)
        self._process = process
        self._recipe = recipe
        self._scratch = scratch
        self._log_path = log_path
        self._sleeper = sleeper
        self._read_bytes = 0
        self._swept: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The guard's, which is the session's and the process group's number too."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        return self._process.returncode

    async def exited(self) -> int:
        """The status, once no process of it is left."""
        status = await self._process.wait()
        if self._swept is None:
            self._swept = asyncio.create_task(self._sweep())
        await asyncio.shield(self._swept)
        return status

    async def is_up(self) -> bool:
        """Raises: TierFailed if its socket is open to others."""
        if self.endpoint.uds and not self.endpoint.uds.exists():
            return False
        if not await probe.answers(self.endpoint, self._recipe.ready_path):
            return False
        if self.endpoint.uds:
            seal(self.endpoint.uds)
        return True

    async def warm_up(self, seconds: float) -> Warmed:
        self._warmed = await probe.warm_up(self.endpoint, seconds)
        if not self.isolated and (ports := await asyncio.to_thread(isolation.open_ports, self.pid)):
            said = "the engine listens on %s TCP ports, which other users of this machine can reach (engine.isolate)"
            log.warning(said, len(ports))
        return self._warmed

    async def canary(self, seconds: float) -> None:
        await probe.canary(self.endpoint, seconds, chats=self._warmed.chats)

    async def listens(self) -> bool:
        """Whether anything takes connections where it should, as far as is known; also a stopped process does so."""
        if self.endpoint.uds is None:
            return True
        try:
            _, writer = await asyncio.open_unix_connection(self.endpoint.uds)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # Of this process, as too many open files, or of a full backlog: somebody may listen.
            return True
        writer.close()
        return True

    async def worked_seconds(self) -> float | None:
        return await asyncio.to_thread(isolation.worked_seconds, self.pid)

    async def memory_bytes(self) -> int | None:
        return await asyncio.to_thread(isolation.memory_bytes, self.pid)

    async def sleep(self, seconds: float) -> Asleep:
        return await self._sleeper.sleep(seconds)

    async def wake(self, level: SleepLevel, seconds: float) -> None:
        await self._sleeper.wake(level, seconds)

    async def stop(self) -> None:
        """Returns when no process of it is left."""
        if self.exit_status is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            async with asyncio.timeout(GRACE_SECONDS + guard.KILL_SECONDS):
                await self.exited()
        except TimeoutError:
            signal_group(self.pid, signal.SIGKILL)
            await self.exited()

    async def kill(self) -> None:
        """Of what hangs, which would not hear of an end. Returns when no process of it is left."""
        if self.exit_status is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGUSR1)
        try:
            async with asyncio.timeout(AT_ONCE_SECONDS):
                await self.exited()
        except TimeoutError:
            signal_group(self.pid, signal.SIGKILL)
            await self.exited()

    def new_stages(self) -> list[str]:
        """What its log has said since the last call, in the recipe's words."""
        with self._log_path.open("rb") as log:
            log.seek(self._read_bytes)
            whole_lines = log.read().rpartition(b"\n")[0]
        self._read_bytes += len(whole_lines)
        said = whole_lines.decode(errors="replace")
        return [stage for marker, stage in self._recipe.stages.items() if marker in said]

    def last_lines(self) -> str:
        return "\n".join(self._tail(LAST_BYTES).splitlines()[-LAST_LINES:])

    def reason(self) -> str:
        return quoted(self._tail(REASON_BYTES))

    def _tail(self, size_bytes: int) -> str:
        with self._log_path.open("rb") as log:
            log.seek(max(0, self._log_path.stat().st_size - size_bytes))
            return log.read().decode(errors="replace")

    async def _sweep(self) -> None:
        """A guard that ended by itself has left nothing; one that was killed has left processes, in its group.

        The inner guard, if it is among them, finds those too that have left the group, where it is given the time.
        """
        clock = asyncio.get_running_loop().time
        began, number = clock(), signal.SIGUSR1
        while signal_group(self.pid, number) and clock() < began + UNSWEPT_SECONDS:
            await asyncio.sleep(0.02)  # nobody announces the end of a process that isn't a child
            number = signal.SIGUSR1 if clock() < began + INNER_SECONDS else signal.SIGKILL
        if self._process.stdin:
            self._process.stdin.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def signal_group(group: int, number: signal.Signals) -> bool:
    """Whether there was any process in the group to hear it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def private_directory() -> Path:
    """Fresh, mode 0700, with a path short enough for the sockets in it. The caller removes it."""
    base = tempfile.gettempdir()
    fits = len(os.fsencode(base)) + len("/firstpass-12345678") <= SCRATCH_BYTES
    return Path(tempfile.mkdtemp(prefix="firstpass-", dir=base if fits else "/tmp"))  # noqa: S108


def seal(socket: Path) -> None:
    """Mode 0600. Raises: TierFailed if it isn't a socket, or stays open to others."""
    socket.chmod(0o600)
    mode = socket.lstat().st_mode
    if not stat.S_ISSOCK(mode) or stat.S_IMODE(mode) != 0o600:
        raise TierFailed(f"the engine's socket has mode {stat.filemode(mode)}", part="draft")


def log_file(data_dir: Path, name: str) -> Path:
    return data_dir / f"engine-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.log"


def fresh(log_path: Path) -> IO[bytes]:
    """An empty log for this user alone; the previous start's is kept with `.1` after its name."""
    log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log_path.exists():
        log_path.replace(log_path.with_name(log_path.name + ".1"))
    return os.fdopen(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), "wb")
