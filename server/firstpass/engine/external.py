"""An OpenAI-compatible server on this machine that somebody else runs. Starts and stops nothing: it stops asking."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from firstpass.client import Broken, TimedOut
from firstpass.engine import probe
from firstpass.engine.address import local_address
from firstpass.engine.canary import Canary
from firstpass.engine.pulse import Pulse
from firstpass.engine.spec import AtWork, Endpoint, EngineSpec, Kind, State, Warmed
from firstpass.engine.working import Run, Working
from firstpass.errors import FirstpassError, TierUnavailable

log = logging.getLogger(__name__)

GLANCE_EVERY_SECONDS = 5.0
"""Between two looks whether it is still there."""

OLD_SECONDS = 30.0
"""No request waits for a look at what was there a moment ago: a busy server may be slow to say that it is there."""

POLL_SECONDS = 0.1
CANARY_POLL_SECONDS = 0.5

CHAT_BEGUN_SECONDS = 0.02
"""After which a chat is taken to have arrived, so that what is answered before it is answered meanwhile."""

FATE_SECONDS = 0.5
"""How long a broken reply waits to hear whether the server is gone. vLLM's stops listening 0.1 s after its engine."""


class ExternalRun:
    """From when it was found ready to when it is found gone. Its processes are nobody's here to look at.

    speaks_meanwhile: whether it is known to answer others while it works on a reply. One that does not, as a server
    of a single thread, may say nothing for as long as a whole reply takes.
    """

    def __init__(
        self, endpoint: Endpoint, clock: Callable[[], float], warmed: Warmed, *, speaks_meanwhile: bool
    ) -> None:
        self.endpoint = endpoint
        self._chats = warmed.chats
        self.pulse: Pulse | None = None
        self._clock = clock
        self._speaks_meanwhile = speaks_meanwhile
        self._spoke = 0.0
        self._glance: asyncio.Task[None] | None = None

    async def listens(self) -> bool:
        return await probe.is_there(self.endpoint)

    async def canary(self, seconds: float) -> None:
        await probe.canary(self.endpoint, seconds, chats=self._chats)

    async def worked_seconds(self) -> float | None:
        """What names its models when it is looked at is taken to work: whole replies are heard of at their end alone.

        So one that says nothing at all hangs after the short patience, one that only generates nothing after the long.
        Returns: when it did so last, as far as is known now, and it is asked again meanwhile; None for one that may
        have to finish a reply first.
        """
        if self._glance is None or self._glance.done():
            self._glance = asyncio.create_task(self._look())
        return self._spoke if self._speaks_meanwhile else None

    async def _look(self) -> None:
        pulse = self.pulse
        before = pulse.heard_at if pulse is not None and pulse.awaited_from is not None else None
        if await probe.answers(self.endpoint, "models"):
            self._spoke = self._clock()
            self._speaks_meanwhile |= pulse is not None and pulse.heard_at == before

    def end(self) -> None:
        if self._glance is not None:
            self._glance.cancel()


class ExternalEngine:
    """Ready when it names its models and has answered one chat; looked at again every few seconds that it is used."""

    kind: Kind = "external"
    need = None
    asleep = None

    def __init__(
        self,
        spec: EngineSpec,
        clock: Callable[[], float] = time.monotonic,
        canary_poll_seconds: float = CANARY_POLL_SECONDS,
    ) -> None:
        """Raises: BadSettings for an address that is not on this machine."""
        self.name = spec.name
        self.state: State = "stopped"
        self.warmed = Warmed(logprobs=False)
        self.run: ExternalRun | None = None
        self._spec = spec
        self._patience = replace(spec.patience, idle_seconds=math.inf)
        self._clock = clock
        self._canary_poll_seconds = canary_poll_seconds
        self.served: str | None = spec.served_name
        self._base_url, self._uds = local_address(spec.url or "")
        self._working = Working(self, clock, POLL_SECONDS, FATE_SECONDS)
        self._seen = 0.0
        self._looking: asyncio.Task[Endpoint | FirstpassError] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ends: set[asyncio.Timeout] = set()
        self._hangs = False
        self._trouble = ""

    async def ensure_ready(self) -> Endpoint:
        """See `Engine.ensure_ready`; there is nothing to start, so it answers or it doesn't.

        Nobody waits for one that hung until it has answered again. What is heard of it spares the waiting for a look,
        and no look: another model may have come to its address.
        """
        if self.run and self._clock() - self._seen < GLANCE_EVERY_SECONDS:
            return self.run.endpoint
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._looked())
        if self.run and self._clock() - max(self._seen, self._working.pulse.heard_at) < OLD_SECONDS:
            return self.run.endpoint
        if self._hangs:
            raise self._unavailable(self._trouble)
        outcome = await asyncio.shield(self._looking)
        if isinstance(outcome, Endpoint):
            return outcome
        raise type(outcome)(str(outcome), part="draft", retry_after_seconds=outcome.failure.retry_after_seconds)

    async def _looked(self) -> Endpoint | FirstpassError:
        """One look for all who wait. An error is returned, not raised: there may be no caller left to hear it."""
        try:
            endpoint = await self._look()
        except TimedOut:
            pulse = self._working.pulse
            if self.run and (pulse.awaited_from is not None or pulse.quiet_seconds < probe.GLANCE_SECONDS):
                return self.run.endpoint  # The canary finds out whether it hangs.
            text = "the server at the engine's address takes connections and says nothing"
            return self._failed(self._unavailable(text), hangs=True)
        except FirstpassError as error:
            if self.run and isinstance(error, TierUnavailable):
                self._working.died()
            return self._failed(error, hangs=self._hangs and isinstance(error.__cause__, TimedOut))
        self._seen = self._clock()
        return endpoint

    def _failed(self, error: FirstpassError, *, hangs: bool = False) -> FirstpassError:
        self._forget_run()
        self.state, self._trouble, self._hangs = "failed", str(error), hangs
        return error

    async def _look(self) -> Endpoint:
        """Raises: TierUnavailable, TierFailed, TimedOut."""
        model = await probe.first_model(Endpoint(self._base_url, self._uds, ""))
        endpoint = Endpoint(self._base_url, self._uds, self._spec.served_name or model)
        self.served = endpoint.model
        if self.run is None or endpoint != self.run.endpoint:
            self._begin(await self._warmed_up(endpoint))
        return endpoint

    async def _warmed_up(self, endpoint: Endpoint) -> ExternalRun:
        """Has it answer a chat, and name its models meanwhile."""
        self.state = "failed" if self._hangs else "starting"
        chat = asyncio.create_task(probe.warm_up(endpoint, self._spec.start_deadline_seconds))
        try:
            await asyncio.wait([chat], timeout=CHAT_BEGUN_SECONDS)
            speaks = await probe.answers(endpoint, "models") and not chat.done()
            self.warmed = await chat
        except Broken as error:
            raise self._unavailable(f"the external engine did not answer a chat ({error})") from error
        finally:
            chat.cancel()
        return ExternalRun(endpoint, self._clock, self.warmed, speaks_meanwhile=speaks)

    def _begin(self, run: ExternalRun) -> None:
        self._forget_run()
        self.run, self.state, self._hangs = run, "ready", False
        self._working.begun()
        run.pulse = self._working.pulse
        self._watch = asyncio.create_task(self._mind(run))

    async def _mind(self, run: ExternalRun) -> None:
        """Until it hangs: then all that it works on is broken off, and nothing is sent until it answers again."""
        pulse = self._working.pulse
        why = await Canary(run, pulse, self._patience, self._clock, self._canary_poll_seconds).until_hung()
        self._watch = None
        self.lost(run, why)
        self._hangs = True
        for end in tuple(self._ends):
            end.reschedule(asyncio.get_running_loop().time())

    def lost(self, run: Run, why: str) -> None:
        """What it works on is suspected; what is answered all the same is cleared by that."""
        assert self.run is run, "what is lost was ready"
        self._working.died()
        self._failed(self._unavailable(why))
        log.error("engine %s is lost: %s", self.name, why)

    def _forget_run(self) -> None:
        if self.run is not None:
            self.run.end()
            self.run = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def broke_off(self) -> TierUnavailable:
        return self._unavailable(f"{self._spec.title} ended or hung while it worked on this: {self._trouble}")

    def _unavailable(self, message: str) -> TierUnavailable:
        return TierUnavailable(message, part="draft", retry_after_seconds=probe.RETRY_SECONDS)

    @property
    def trouble(self) -> str:
        return self._trouble if self.state == "failed" else ""

    @asynccontextmanager
    async def at_work(self, body: bytes, key: str | None) -> AsyncIterator[AtWork]:
        """See `Engine.at_work`."""
        async with self._working.at_work(body, key) as work, asyncio.timeout(None) as end:
            self._ends.add(end)
            try:
                yield work
            finally:
                self._ends.discard(end)

    async def memory_bytes(self) -> int | None:
        """What it takes is no affair of this server's."""
        return None

    async def unload(self) -> None:
        """It stays where it is: somebody else runs it."""

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._forget_run()
        self.state = "stopped"
