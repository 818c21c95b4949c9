"""The life of an engine that this server runs: six states, one start at a time, restarts with a limit.

It knows no process, no HTTP and no engine: a `Launcher` makes `Child`ren, and time is the clock it is given.
"""

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from firstpass.client import Broken
from firstpass.engine.canary import Canary
from firstpass.engine.launching import Child, Launcher
from firstpass.engine.restarts import RestartLimit
from firstpass.engine.spec import (
    Asleep,
    AtWork,
    Endpoint,
    EngineSpec,
    Kind,
    Need,
    Progress,
    SleepLevel,
    State,
    Warmed,
)
from firstpass.engine.working import Run, Working
from firstpass.errors import FirstpassError, TierFailed, TierTimedOut, TierUnavailable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
CANARY_POLL_SECONDS = 0.5
RETRY_SECONDS = 5

FATE_SECONDS = 2.0
"""How long a broken reply waits to hear whether its engine died: its processes do not all end at once."""

SLEEP_SECONDS = 60.0
"""For an engine to put its weights away. Not measured: pinning memory and copying 60 GB into it at 1 GB/s."""

LAST_TIME = "; the last time: "


class SupervisedEngine:
    """An Engine that is a child of this process. `Engine.ensure_ready` says what each state means."""

    def __init__(
        self,
        spec: EngineSpec,
        launcher: Launcher,
        *,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.monotonic,
        poll_seconds: float = POLL_SECONDS,
        canary_poll_seconds: float = CANARY_POLL_SECONDS,
        limit: RestartLimit | None = None,
        need: Need | None = None,
    ) -> None:
        self.need = need
        self._on_gpu = need is not None and need.on_gpu
        self._spec = spec
        self._launcher = launcher
        self._progress = progress
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._canary_poll_seconds = canary_poll_seconds
        self._start_seconds = 0.0
        self._limit = limit or RestartLimit(clock)
        self._working = Working(self, clock, poll_seconds, FATE_SECONDS)
        self._state: State = "stopped"
        self._sleeps = spec.sleeps
        self._asleep: Asleep | None = None
        self._warmed = Warmed(launcher.expects_logprobs)
        self._child: Child | None = None
        self._start: asyncio.Task[Endpoint | FirstpassError] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closed = False
        self._last_failure = ""

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def served(self) -> str:
        return self._spec.served_name or self._spec.name

    @property
    def kind(self) -> Kind:
        return self._spec.kind

    @property
    def state(self) -> State:
        return self._state

    @property
    def warmed(self) -> Warmed:
        return self._warmed

    @property
    def trouble(self) -> str:
        return self._last_failure if self._state == "failed" else ""

    async def ensure_ready(self) -> Endpoint:
        """See `Engine.ensure_ready`."""
        if self._ending:
            raise self._unavailable(f"{self._spec.title} is stopping", RETRY_SECONDS)
        if self._state == "sleeping":
            self._wake()
        if self._state in ("stopped", "failed"):
            self._begin()
        assert self._start is not None, "every other state has a start"
        outcome = await asyncio.shield(self._start)
        if isinstance(outcome, Endpoint):
            return outcome
        raise type(outcome)(str(outcome), part="draft", retry_after_seconds=outcome.failure.retry_after_seconds)

    def at_work(self, body: bytes, key: str | None) -> AbstractAsyncContextManager[AtWork]:
        """See `Engine.at_work`."""
        return self._working.at_work(body, key)

    @property
    def run(self) -> Child | None:
        return self._child if self._state == "ready" else None

    def broke_off(self) -> TierUnavailable:
        return self._unavailable(f"{self._spec.title} ended while it worked on this: {self._last_failure}")

    async def memory_bytes(self) -> int | None:
        """See `Engine.memory_bytes`."""
        return None if self.run is None else await self.run.memory_bytes()

    @property
    def asleep(self) -> Asleep | None:
        """See `Engine.asleep`."""
        return self._asleep if self._state == "sleeping" else None

    async def unload(self) -> None:
        """See `Engine.unload`."""
        if self._state == "ready" and self._sleeps and await self._fell_asleep():
            return
        await self._end()

    async def close(self) -> None:
        self._closed = True
        await self._end()

    async def _fell_asleep(self) -> bool:
        """Whether it sleeps now. One that failed to is tried no more."""
        assert self._child is not None and self._watch is not None, "it was ready"
        child, self._state = self._child, "stopping"
        self._watch.cancel()
        try:
            async with asyncio.timeout(SLEEP_SECONDS):
                asleep = await child.sleep(SLEEP_SECONDS)
        except Exception as error:  # noqa: BLE001  (whatever it is, it does not sleep)
            self._awake_for_good(f"did not fall asleep: {str(error) or type(error).__name__}")
            asleep = None
        if asleep is None or self._closed or child.exit_status is not None:
            self._limit.ended(excused=True)
            return False
        log.info("engine %s sleeps (level %s)", self.name, asleep.level)
        self._state, self._asleep = "sleeping", asleep
        self._watch = asyncio.create_task(self._mind_asleep(child))
        return True

    async def _mind_asleep(self, child: Child) -> None:
        """Until it ends; nobody waits for it, so that it is started when it is asked."""
        self._died_asleep(await child.exited())

    def _died_asleep(self, status: int) -> None:
        self._limit.ended(excused=True)
        self._state = "stopped"
        log.error("engine %s ended in its sleep: %s", self.name, _end_of(status))

    def _wake(self) -> None:
        """Unless it has died, which is heard only when none of its processes is left."""
        assert self._child is not None and self._asleep is not None and self._watch is not None, "it sleeps"
        self._watch.cancel()
        if (status := self._child.exit_status) is not None:
            self._died_asleep(status)
            return
        self._state = "starting"
        self._start = asyncio.create_task(self._run_wake(self._child, self._asleep.level))

    async def _run_wake(self, child: Child, level: SleepLevel) -> Endpoint | FirstpassError:
        """One wake, until it has answered. Where it fails the child is ended, and another one is started."""
        began = self._clock()
        self._say("waking", began)
        why = await self._why_not_awake(child, level)
        if not why or self._ending:
            return self._became_ready(child, "awake", began)
        self._awake_for_good(f"did not wake: {why}")
        self._limit.ended(excused=True)
        try:
            self._count_start()
        except TierUnavailable as error:
            await child.stop()
            return error
        return await self._run_start()

    async def _why_not_awake(self, child: Child, level: SleepLevel) -> str:
        """Empty for one that is, with its weights: those that vLLM 0.32 reads again are not always what they were."""
        seconds = self._spec.start_deadline_seconds
        try:
            async with asyncio.timeout(seconds):
                await child.wake(level, seconds)
                said = await child.warm_up(seconds)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is not awake)
            return str(error) or type(error).__name__
        if not said.says_the_same(self._warmed):
            return "it answers otherwise than before its sleep"
        return "" if child.exit_status is None else "it exited"

    def _awake_for_good(self, what: str) -> None:
        if not self._closed:
            self._sleeps = False
            log.error("engine %s is put to sleep no more, since it %s", self.name, what)

    async def _end(self) -> None:
        """A start that is in progress ends with it; one that was ready counts for no limit.

        Nobody uses it, so it is killed: it has nothing to put away, but for what drivers of GPUs share. While another
        one waits for its end, or was cancelled while it did, this one waits for it too.
        """
        if self._state == "stopped":
            return
        if self._state in ("ready", "sleeping"):
            self._limit.ended(excused=True)
        self._state = "stopping"
        if self._watch:
            self._watch.cancel()
        if self._child:
            await (self._child.stop() if self._closed or self._on_gpu else self._child.kill())
        await asyncio.wait([task for task in (self._start, self._watch) if task])
        if self._state == "stopping":
            self._state = "stopped"

    @property
    def _ending(self) -> bool:
        return self._closed or self._state == "stopping"

    def _begin(self) -> None:
        """Raises: as below."""
        self._count_start()
        self._start = asyncio.create_task(self._run_start())

    def _count_start(self) -> None:
        """Raises: TierUnavailable if it has started too often, or just ended."""
        wait_seconds = self._limit.wait_seconds()
        if wait_seconds > 0:
            self._state = "failed"
            raise self._unavailable(self._left_alone(), wait_seconds)
        self._limit.started()
        self._state = "starting"

    def _left_alone(self) -> str:
        gave_up, why = self._limit.given_up, self._last_failure.partition(LAST_TIME)
        fate = "died too often and is left alone for now" if gave_up else "will be started again"
        told = f"{self._spec.title} {fate}"
        return f"{told}{LAST_TIME}{why[2] or why[0]}" if why[0] else told

    async def _run_start(self) -> Endpoint | FirstpassError:
        """One start, from launch to warm. An error is returned, not raised: there may be no caller to hear it."""
        try:
            return await self._started()
        except Exception as error:
            log.exception("engine %s: its start broke off", self.name)
            why = f"{self._spec.title} did not start: {type(error).__name__}: {error}"
            failure = self._failed(self._unavailable(why), "see above")
            if self._child:
                await self._child.kill()
            return failure

    async def _started(self) -> Endpoint | FirstpassError:
        began = self._clock()
        if self._child:
            await self._child.stop()
        try:
            self._child = child = await self._launcher.launch()
        except (OSError, FirstpassError) as error:
            return self._failed(self._unavailable(f"{self._spec.title} could not be launched: {error}"), str(error))
        try:
            async with asyncio.timeout(self._spec.start_deadline_seconds):
                await self._until_warm(child, began)
        except TimeoutError:
            failure: FirstpassError = self._timed_out()
        except (FirstpassError, Broken, OSError) as error:
            failure = self._unavailable(self._reason(child, error))
        else:
            self._start_seconds = self._clock() - began
            return self._became_ready(child, "ready", began)
        await child.stop()
        return self._failed(failure, child.last_lines())

    async def _until_warm(self, child: Child, began: float) -> None:
        self._say("importing", began)
        while self._ending or not await child.is_up():
            if child.exit_status is not None or self._ending:
                raise TierFailed("it exited", part="draft")
            for stage in child.new_stages():
                self._say(stage, began)
            await asyncio.sleep(self._poll_seconds)
        self._say("warming up", began)
        self._warmed = await child.warm_up(self._spec.start_deadline_seconds)

    def _became_ready(self, child: Child, said: str, began: float) -> Endpoint | FirstpassError:
        if self._ending or child.exit_status is not None:
            return self._failed(self._unavailable(f"{self._spec.title} stopped while starting"), child.last_lines())
        self._state, self._last_failure = "ready", ""
        self._working.begun()
        self._watch = asyncio.create_task(self._mind(child))
        self._say(said, began)
        return child.endpoint

    async def _mind(self, child: Child) -> None:
        """Until it ends, or hangs and is ended; then it is started again, where nobody has done so by then."""
        canary = Canary(child, self._working.pulse, self._spec.patience, self._clock, self._canary_poll_seconds)
        ended, hung = asyncio.ensure_future(child.exited()), asyncio.ensure_future(canary.until_hung())
        try:
            await asyncio.wait((ended, hung), return_when=asyncio.FIRST_COMPLETED)
            if self.run is child:
                self.lost(child, _end_of(ended.result()) if ended.done() else hung.result())
        finally:
            ended.cancel()
            hung.cancel()
        await child.kill()
        if self._awaits_start(child) and not self._limit.given_up:
            await asyncio.sleep(self._limit.wait_seconds())
        if self._awaits_start(child):
            with suppress(TierUnavailable):
                self._begin()

    def _awaits_start(self, child: Child) -> bool:
        return self._child is child and self._state == "failed" and not self._closed

    def lost(self, run: Run, why: str) -> None:
        """What it worked on is suspected; a start is excused where that helps."""
        assert self._child is run, "what is lost was ready"
        self._limit.ended(excused=self._working.died())
        self._state, self._last_failure = "failed", why
        log.error("engine %s is lost: %s; its last lines:\n%s", self.name, why, self._child.last_lines())
        if self._limit.given_up:
            log.error("engine %s: %s", self.name, self._left_alone())

    def _failed(self, failure: FirstpassError, details: str) -> FirstpassError:
        if self._ending:
            return self._unavailable(f"{self._spec.title} is stopping")
        self._limit.ended()
        self._state, self._last_failure = "failed", str(failure)
        log.error("engine %s: %s; its last lines:\n%s", self.name, failure, details)
        return failure

    def _reason(self, child: Child, error: Exception) -> str:
        """Short: the operator's log has the rest."""
        if child.exit_status is not None:
            status, why = child.exit_status, child.reason()
            return f"{self._spec.title} exited with status {status} while starting: {why or 'its log says no more'}"
        return f"{self._spec.title} did not start: {error or type(error).__name__}"

    def _timed_out(self) -> TierTimedOut:
        message = f"{self._spec.title} was not ready within {self._spec.start_deadline_seconds:g} s"
        return TierTimedOut(message, part="draft", retry_after_seconds=self._retry_seconds())

    def _unavailable(self, message: str, wait_seconds: float | None = None) -> TierUnavailable:
        seconds = self._retry_seconds() if wait_seconds is None else math.ceil(wait_seconds)
        return TierUnavailable(message, part="draft", retry_after_seconds=seconds)

    def _retry_seconds(self) -> int:
        """Until it may be ready, by what its last start took."""
        return max(RETRY_SECONDS, math.ceil(self._limit.wait_seconds() + self._start_seconds))

    def _say(self, stage: str, began: float) -> None:
        seconds = self._clock() - began
        log.info("engine %s: %s (%.1f s)", self.name, stage, seconds)
        if self._progress:
            self._progress(stage, seconds)


def _end_of(status: int) -> str:
    """As a shell and as Python say that a signal ended it."""
    number = status - 128 if status > 128 else -status
    if number <= 0:
        return f"it exited with status {status}"
    return f"it was ended by signal {number}{', as where memory runs out' if number == signal.SIGKILL else ''}"
