"""Whether an engine that says nothing hangs: a canary is asked, and must be answered. Knows no process and no HTTP."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from firstpass.engine.pulse import Pulse
from firstpass.engine.spec import HangAfter

log = logging.getLogger(__name__)

ASKED_AFTER = 0.25
"""Of the patience: then the canary is asked too."""

WORKING_SHARE = 0.05
"""Of one core's time. A stopped or locked engine takes none; one that reads a long prompt takes what there is."""

WINDOW = 0.5
"""Of the patience, and at least so long is looked at: on a busy machine a second may pass with nothing done."""


class Watched(Protocol):
    async def canary(self, seconds: float) -> None:
        """Has one token written, or refused. Raises: whatever, where there is no answer."""
        ...

    async def worked_seconds(self) -> float | None:
        """Processor time of all its processes so far; None where that can't be told."""
        ...


class Canary:
    """Looks after one run of an engine. clock: monotonic seconds, the pulse's own."""

    def __init__(
        self, watched: Watched, pulse: Pulse, patience: HangAfter, clock: Callable[[], float], poll_seconds: float
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
            while not await self._is_found_hung():
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

    async def _is_found_hung(self) -> bool:
        """A look that fails is told, and ends no watch."""
        try:
            return await self._hangs()
        except Exception:
            log.exception("could not look after the engine; this is tried again")
            return False

    async def _hangs(self) -> bool:
        """What nobody waits for may have been swapped out, and has the longer time."""
        silent = self._pulse.silent_seconds
        if silent < self._asked_after_seconds and self._pulse.quiet_seconds < self._patience.idle_seconds:
            return False
        awaited = self._pulse.awaited_from
        if self._before[0] <= max(self._pulse.heard_at, awaited or 0.0):
            self._before = (self._clock(), await self._watched.worked_seconds())
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(self._ask())
            return False
        if silent >= self._patience.busy_seconds:
            return True
        is_late = awaited is not None and self._clock() - awaited >= self._patience.seconds
        return is_late and not await self._works()

    async def _ask(self) -> None:
        try:
            with self._pulse.asked(caller=False):
                await self._watched.canary(self._patience.busy_seconds)
                self._pulse.heard()
        except Exception as error:  # noqa: BLE001  (whatever it is, there was no answer)
            log.warning("the engine's canary was not answered: %s", str(error) or type(error).__name__)
            await asyncio.sleep(self._asked_after_seconds)

    async def _works(self) -> bool:
        """Since it was asked, or the last look at it. Less work than before can't be: a process was missed."""
        (then, before), now = self._before, self._clock()
        if now - then < WINDOW * self._patience.seconds:
            return True
        worked = await self._watched.worked_seconds()
        self._before = (now, worked)
        if before is None or worked is None or worked < before:
            return True
        return worked - before > WORKING_SHARE * (now - then)
