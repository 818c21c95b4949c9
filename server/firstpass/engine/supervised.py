"""The life of an engine that this server runs: five states, one start at a time, restarts with a limit.

It knows no process, no HTTP and no engine: a `Launcher` makes `Child`ren, and time is the clock it is given.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

import httpx

from firstpass.engine.restarts import RestartLimit
from firstpass.engine.spec import Endpoint, EngineSpec, Kind, Progress, State
from firstpass.errors import FirstpassError, TierFailed, TierTimedOut, TierUnavailable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
RETRY_SECONDS = 5


class Child(Protocol):
    """One run of an engine."""

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        ...

    async def exited(self) -> int:
        """The exit status, once no process of it is left."""
        ...

    async def is_up(self) -> bool: ...

    async def warm_up(self, seconds: float) -> bool:
        """Returns: whether its answers carry log-probabilities. Raises: TierFailed, httpx.HTTPError."""
        ...

    def new_stages(self) -> list[str]: ...

    def last_lines(self) -> str: ...

    def reason(self) -> str:
        """Why it ended, quoted from its log; empty where that names no error."""
        ...

    async def stop(self) -> None:
        """Returns when no process of it is left. May be called twice."""
        ...


class Launcher(Protocol):
    @property
    def expects_logprobs(self) -> bool: ...

    async def launch(self) -> Child:
        """Raises: OSError."""
        ...


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
    ) -> None:
        self._spec = spec
        self._launcher = launcher
        self._progress = progress
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._limit = RestartLimit(clock)
        self._state: State = "stopped"
        self._gives_logprobs = launcher.expects_logprobs
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
    def gives_logprobs(self) -> bool:
        return self._gives_logprobs

    async def ensure_ready(self) -> Endpoint:
        """See `Engine.ensure_ready`."""
        if self._closed:
            raise self._unavailable("the draft engine is stopping", RETRY_SECONDS)
        if self._state in ("stopped", "failed"):
            self._begin()
        assert self._start is not None, "every other state has a start"
        outcome = await asyncio.shield(self._start)
        if isinstance(outcome, Endpoint):
            return outcome
        raise type(outcome)(str(outcome), part="draft", retry_after_seconds=outcome.failure.retry_after_seconds)

    async def close(self) -> None:
        self._closed = True
        if self._state == "stopped":
            return
        self._state = "stopping"
        if self._child:
            await self._child.stop()
        await asyncio.wait([task for task in (self._start, self._watch) if task])
        self._state = "stopped"

    def _begin(self) -> None:
        """Raises: TierUnavailable if it has started too often."""
        wait_seconds = self._limit.wait_seconds()
        if wait_seconds > 0:
            self._state = "failed"
            message = "the draft engine died too often and is left alone for now"
            why = f"; the last start: {self._last_failure}" if self._last_failure else ""
            raise self._unavailable(message + why, wait_seconds)
        self._limit.record()
        self._state = "starting"
        self._start = asyncio.create_task(self._run_start())

    async def _run_start(self) -> Endpoint | FirstpassError:
        """One start, from launch to warm. An error is returned, not raised: there may be no caller to hear it."""
        began = self._clock()
        if self._child:
            await self._child.stop()
        try:
            self._child = child = await self._launcher.launch()
        except (OSError, FirstpassError) as error:
            return self._failed(self._unavailable(f"the draft engine could not be launched: {error}"), str(error))
        self._watch = asyncio.create_task(self._restart_when_dead(child))
        try:
            async with asyncio.timeout(self._spec.start_deadline_seconds):
                await self._until_warm(child, began)
        except TimeoutError:
            failure: FirstpassError = self._timed_out()
        except (FirstpassError, httpx.HTTPError, OSError) as error:
            failure = self._unavailable(self._reason(child, error))
        else:
            return self._became_ready(child, began)
        await child.stop()
        return self._failed(failure, child.last_lines())

    async def _until_warm(self, child: Child, began: float) -> None:
        self._say("importing", began)
        while self._closed or not await child.is_up():
            if child.exit_status is not None or self._closed:
                raise TierFailed("it exited", part="draft")
            for stage in child.new_stages():
                self._say(stage, began)
            await asyncio.sleep(self._poll_seconds)
        self._say("warming up", began)
        self._gives_logprobs = await child.warm_up(self._spec.start_deadline_seconds)

    def _became_ready(self, child: Child, began: float) -> Endpoint | FirstpassError:
        if self._closed or child.exit_status is not None:
            return self._failed(self._unavailable("the draft engine stopped while starting"), child.last_lines())
        self._state, self._last_failure = "ready", ""
        self._say("ready", began)
        return child.endpoint

    async def _restart_when_dead(self, child: Child) -> None:
        """Dead in any other state than ready is the concern of whoever started or stopped it."""
        status = await child.exited()
        if self._state != "ready" or self._child is not child:
            return
        log.error("engine %s died with status %s; its last lines:\n%s", self.name, status, child.last_lines())
        try:
            self._begin()
        except TierUnavailable as error:
            log.error("engine %s: %s", self.name, error)

    def _failed(self, failure: FirstpassError, details: str) -> FirstpassError:
        if self._closed:
            return self._unavailable("the draft engine is stopping")
        self._state, self._last_failure = "failed", str(failure)
        log.error("engine %s: %s; its last lines:\n%s", self.name, failure, details)
        return failure

    def _reason(self, child: Child, error: Exception) -> str:
        """Short: the operator's log has the rest."""
        if child.exit_status is not None:
            status, why = child.exit_status, child.reason()
            return f"the draft engine exited with status {status} while starting: {why or 'its log says no more'}"
        return f"the draft engine did not start: {error or type(error).__name__}"

    def _timed_out(self) -> TierTimedOut:
        message = f"the draft engine was not ready within {self._spec.start_deadline_seconds:g} s"
        return TierTimedOut(message, part="draft", retry_after_seconds=self._retry_seconds())

    def _unavailable(self, message: str, wait_seconds: float | None = None) -> TierUnavailable:
        seconds = self._retry_seconds() if wait_seconds is None else math.ceil(wait_seconds)
        return TierUnavailable(message, part="draft", retry_after_seconds=seconds)

    def _retry_seconds(self) -> int:
        return max(RETRY_SECONDS, math.ceil(self._limit.wait_seconds()))

    def _say(self, stage: str, began: float) -> None:
        seconds = self._clock() - began
        log.info("engine %s: %s (%.1f s)", self.name, stage, seconds)
        if self._progress:
            self._progress(stage, seconds)
