"""The requests that an engine works on: when each begins, who hears its pieces, what a broken one says of the engine.

It knows no process and no HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol

from firstpass.engine.canary import Watched
from firstpass.engine.pulse import Pulse
from firstpass.engine.spec import AtWork, Endpoint
from firstpass.engine.suspects import Suspects, Work
from firstpass.errors import FirstpassError, TierFailed, TierUnavailable

JUST_SECONDS = 5.0
"""Before it is known that an engine died, what broke off may have been what killed it."""


class Run(Watched, Protocol):
    """One life of an engine."""

    @property
    def endpoint(self) -> Endpoint: ...

    async def listens(self) -> bool:
        """Whether anything takes connections at its endpoint."""
        ...


class Host(Protocol):
    """The engine."""

    @property
    def run(self) -> Run | None:
        """The one that is ready now."""
        ...

    async def ensure_ready(self) -> Endpoint:
        """See `Engine.ensure_ready`."""
        ...

    def lost(self, run: Run, why: str) -> None:
        """What was ready is no more, or hangs."""
        ...

    def broke_off(self) -> TierUnavailable:
        """What a request is told whose reply the last loss ended."""
        ...


class Working:
    """clock: monotonic seconds. fate_seconds: how long a broken reply waits to hear whether its engine died."""

    def __init__(self, host: Host, clock: Callable[[], float], poll_seconds: float, fate_seconds: float) -> None:
        self._host = host
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._fate_seconds = fate_seconds
        self.suspects = Suspects(clock)
        self.pulse = Pulse(clock)

    def begun(self) -> None:
        """Another run is ready."""
        self.pulse = Pulse(self._clock)

    def died(self) -> bool:
        """The run did, or hangs. Returns: see `Suspects.died`."""
        return self.suspects.died(min(self._clock() - JUST_SECONDS, self.pulse.heard_at))

    @asynccontextmanager
    async def at_work(self, body: bytes, key: str | None) -> AsyncIterator[AtWork]:
        """See `Engine.at_work`."""
        work = self.suspects.asked(body, key)
        async with AsyncExitStack() as turn:
            run = await self._ready_in_turn(work, turn)
            pulse = self.pulse

            def heard() -> None:
                pulse.heard()
                self.suspects.begun(work)

            with self.suspects.running(work), pulse.asked():
                try:
                    yield AtWork(run.endpoint, pulse.heard, heard)
                except Exception as error:
                    if type(error) is TierFailed or not isinstance(error, FirstpassError):
                        await self._blame(run, error)
                    raise

    async def _ready_in_turn(self, work: Work, turn: AsyncExitStack) -> Run:
        """Who waits for a start holds no suspect's turn meanwhile."""
        while True:
            endpoint = await self._host.ensure_ready()
            await turn.enter_async_context(self.suspects.in_turn(work))
            run = self._host.run
            if run is not None and run.endpoint == endpoint:
                return run
            await turn.aclose()

    async def _blame(self, run: Run, error: Exception) -> None:
        """Raises: TierUnavailable where a reply broke off because its engine is gone, or is found to be now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._fate_seconds):
                while self._host.run is run and await run.listens():  # noqa: ASYNC110
                    await asyncio.sleep(self._poll_seconds)  # nobody announces the end of what is not our child
        is_gone = self._host.run is run and not await run.listens()
        if is_gone and self._host.run is run:
            self._host.lost(run, "nothing listens at its address any more")
        if self._host.run is not run:
            raise self._host.broke_off() from error
