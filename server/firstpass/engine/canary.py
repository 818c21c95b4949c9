"""Whether an engine that says nothing hangs: a canary is asked, and must be answered. Knows no process and no HTTP."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import httpx

from firstpass.engine.pulse import Pulse
from firstpass.engine.spec import Patience
from firstpass.errors import FirstpassError

log = logging.getLogger(__name__)

ASKED_AFTER = 0.25
"""Of the patience: then the canary is asked too."""

WORKING_SHARE = 0.05
"""Of one core's time. A stopped or locked engine takes none; one that reads a long prompt takes what there is."""

WINDOW = 0.5
"""Of the patience, and at least so long is looked at: on a busy machine a second may pass with nothing done."""


class Watched(Protocol):
    async def canary(self, seconds: float) -> None:
        """Has one token written. Raises: FirstpassError, httpx.HTTPError, TimeoutError where it doesn't come."""
        ...

    async def worked_seconds(self) -> float | None:
        """Processor time of all its processes so far; None where that can't be told."""
        ...


class Canary:
    """Looks after one run of an engine. clock: monotonic seconds, the pulse's own."""

    def __init__(
        self, watched: Watched, pulse: Pulse, patience: Patience, clock: Callable[[], float], poll_seconds: float
    ) -> None:
        self._watched = watched
        self._pulse = pulse
        self._patience = patience
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._asked_after_seconds = ASKED_AFTER * patience.seconds
        self._asked: asyncio.Task[None] | None = None
        self._before: tuple[float, float | None] = (clock(), None)

    async def until_hung(self) -> str:
        """Returns when it hangs, and says how that was noticed."""
        try:
            while not await self._hangs():
                await self._wait()
        finally:
            if self._asked:
                self._asked.cancel()
                await asyncio.wait([self._asked])
        return f"it was asked, by a one-token canary too, and said nothing for {self._pulse.silent_seconds:.0f} s"

    async def _wait(self) -> None:
        """Where this process itself stood still, the silence proves nothing."""
        due = self._clock() + self._poll_seconds
        await asyncio.sleep(self._poll_seconds)
        if self._clock() - due > self._asked_after_seconds:
            self._pulse.heard()

    async def _hangs(self) -> bool:
        silent = self._pulse.silent_seconds
        if silent < self._asked_after_seconds and self._pulse.quiet_seconds < self._patience.idle_seconds:
            return False
        if self._asked is None or self._asked.done():
            if self._before[0] <= self._pulse.heard_at:
                self._before = (self._clock(), await self._watched.worked_seconds())
            self._asked = asyncio.create_task(self._ask())
            return False
        if silent < self._patience.seconds:
            return False
        return silent >= self._patience.busy_seconds or not await self._works()

    async def _ask(self) -> None:
        try:
            with self._pulse.asked():
                await self._watched.canary(self._patience.busy_seconds)
                self._pulse.heard()
        except (FirstpassError, httpx.HTTPError, TimeoutError, OSError) as error:
            log.warning("the engine's canary was not answered: %s", error or type(error).__name__)
            await asyncio.sleep(self._asked_after_seconds)

    async def _works(self) -> bool:
        """Since the canary was asked, or the last look at it."""
        (then, before), now = self._before, self._clock()
        if now - then < WINDOW * self._patience.seconds:
            return True
        worked = await self._watched.worked_seconds()
        self._before = (now, worked)
        return before is None or worked is None or worked - before > WORKING_SHARE * (now - then)
