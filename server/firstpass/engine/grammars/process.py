"""The child that compiles, from the front's side: its start, its jobs, its end. Knows no constraint but its words."""

import asyncio
import contextlib
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from firstpass.engine.recipe import clean_environment
from firstpass.errors import TierUnavailable

log = logging.getLogger(__name__)

CHILD = "firstpass.engine.grammars.child"
ROOT = str(Path(__file__).parents[3])
"""Where this package is: the child gets no other path of the front's."""

START_SECONDS = 120.0
JOB_SECONDS = 60.0
"""The child counts processor time; this is for one that does nothing at all, or waits for a processor."""

AGAIN_SECONDS = 5


class NotCompiled(Exception):
    """part: which of the job's constraints. why: the compiler's words, None where it took too much of the machine."""

    def __init__(self, part: int, why: str | None) -> None:
        super().__init__(why)
        self.part = part
        self.why = why


class Child:
    """One process, and the jobs that wait for its answers."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._jobs: dict[int, asyncio.Future[tuple[int | None, str | None]]] = {}
        self._count = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, wanted: Mapping[str, Any]) -> "Child":
        """wanted: its argument, see child.py. Raises: TierUnavailable."""
        command = (sys.executable, "-m", CHILD, json.dumps(wanted))
        environment = clean_environment(PYTHONPATH=ROOT)
        # A session of its own: a terminal's Ctrl-C is the front's to handle.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, start_new_session=True
        )
        assert process.stdout is not None, "it is a pipe"
        try:
            async with asyncio.timeout(START_SECONDS):
                said = json.loads(await process.stdout.readline() or b'{"ready": false, "why": "it died at once"}')
        except BaseException as error:
            await _kill(process)
            if isinstance(error, TimeoutError):
                raise _unavailable() from error
            raise
        if not said["ready"]:
            await _kill(process)
            raise TierUnavailable(f"schemas can not be checked: {said['why']}", part="draft", retry_after_seconds=60)
        if said["why"]:
            log.warning("schemas are compiled for bytes beforehand, not for the model's tokens: %s", said["why"])
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._reading.done()

    async def ask(self, parts: Sequence[tuple[str, str]]) -> None:
        """Raises: NotCompiled, TierUnavailable where it died or does not answer; then it is to be replaced."""
        assert self._process.stdin is not None, "it is a pipe"
        self._count += 1
        number, said = self._count, asyncio.get_running_loop().create_future()
        self._jobs[number] = said
        try:
            async with asyncio.timeout(JOB_SECONDS):
                self._process.stdin.write(json.dumps({"id": number, "parts": parts}).encode() + b"\n")
                await self._process.stdin.drain()
                part, fault = await said
        except (TimeoutError, OSError) as error:
            await self.close()
            raise _unavailable() from error
        finally:
            del self._jobs[number]
        if part is None:
            raise TierUnavailable("the check of schemas failed", part="draft", retry_after_seconds=AGAIN_SECONDS)
        if fault is not None:
            raise NotCompiled(part, fault or None)

    async def ended(self) -> None:
        """Returns when it is dead and its jobs have heard of it."""
        await asyncio.wait({self._reading})

    async def close(self) -> None:
        """May be called twice."""
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        await _kill(self._process)

    async def _read(self) -> None:
        assert self._process.stdout is not None, "it is a pipe"
        try:
            while line := await self._process.stdout.readline():
                said = json.loads(line)
                job = self._jobs.get(said["id"])
                if job is not None and not job.done():
                    job.set_result((said["part"], said["fault"]))
        finally:
            for job in self._jobs.values():
                if not job.done():
                    job.set_exception(_unavailable())


def _unavailable() -> TierUnavailable:
    text = "the process that checks schemas does not answer; another takes its place"
    return TierUnavailable(text, part="draft", retry_after_seconds=AGAIN_SECONDS)


async def _kill(process: Process) -> None:
    """Its jobs die with it, see child.py."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
