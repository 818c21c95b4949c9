"""A tier that is asked again where its endpoint failed for a moment, and left alone where it fails and fails.

Nothing is asked again once its caller has seen a piece of the reply. What nobody saw, a whole reply that broke midway
among it, is: the endpoint may have its price for both. So every try goes through the door, with a record and a
reservation of its own there, and what broke stays spent at the most that it may have cost. It knows no wire format and
no connection.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from firstpass.chat import Chunk
from firstpass.errors import TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import Ask, Receipt, Reply, TierName
from firstpass.tier import Listener, Tier

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 2.0
SAVED_RETRIES = 10.0
"""How many may follow each other where there were none before."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """retries: of one ask. share: of all asks that may be retries. seconds: after which no retry begins.

    failures: so many one after the other, and nothing is asked for rest_seconds; then one ask tries it.
    """

    retries: int
    share: float
    seconds: float
    failures: int
    rest_seconds: float


class SteadyTier:
    """draw: gives evenly spread numbers from 0 to 1."""

    def __init__(
        self,
        tier: Tier,
        part: TierName,
        patience: Retrying,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._tier = tier
        self._patience = patience
        self._clock, self._sleep, self._draw = clock, sleep, draw
        self._breaker = Breaker(part, patience, clock)
        self._saved = SAVED_RETRIES

    @property
    def left_alone(self) -> bool:
        """Whether whoever asks is refused at once."""
        return self._breaker.refuses

    def check(self) -> None:
        """Raises: TierUnavailable where the endpoint is left alone."""
        self._breaker.check()

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        """See `Tier.reply`. Raises: TierUnavailable at once where the endpoint is left alone."""
        began, heard = self._clock(), Heard(listener, self._clock)
        self._saved = min(SAVED_RETRIES, self._saved + self._patience.share)
        for tried in range(self._patience.retries + 1):
            try:
                with self._breaker.tried(heard):
                    return await self._tier.reply(ask, heard)
            except TierFailed as error:
                may_retry = heard.begun_at is None and self._saved >= 1 and tried < self._patience.retries
                wait = self._wait_seconds(error, tried) if may_retry else None
                if wait is None or self._clock() + wait - began > self._patience.seconds:
                    raise
            self._saved -= 1
            await self._sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _wait_seconds(self, error: TierFailed, tried: int) -> float | None:
        """Full jitter, and as long as the endpoint wants at least; None where waiting does not help, or took long."""
        if not _passes(error) or isinstance(error, TierTimedOut) or self._breaker.open:
            return None
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0**tried)
        asked = error.asked_to_wait_seconds if isinstance(error, TierUnavailable) else None
        return self._draw() * longest + (asked or 0)


class Breaker:
    """Around every try: counts failures that follow each other. What one request brought about by itself is none.

    A reply that never ends is a failure like one that never begins. But one that still comes when its time is over may
    be a long answer: the first in a row says nothing of the endpoint.
    """

    def __init__(self, part: TierName, patience: Retrying, clock: Callable[[], float]) -> None:
        self._part, self._patience, self._clock = part, patience, clock
        self._failures = 0
        self._rests_until = 0.0
        self._trying: Heard | None = None
        self._was_long = False

    @property
    def open(self) -> bool:
        return self._failures >= self._patience.failures

    @property
    def refuses(self) -> bool:
        """All but the one that tries after the rest. Once its reply comes, another may try after a rest."""
        if not self.open:
            return False
        trying = self._trying
        if trying is None:
            return self._rests_until > self._clock()
        return trying.begun_at is None or trying.begun_at + self._patience.rest_seconds > self._clock()

    def check(self) -> None:
        """Raises: TierUnavailable where it refuses."""
        if self.refuses:
            left = max(1, math.ceil(self._rests_until - self._clock()))
            text = f"the {self._part} endpoint failed {self._failures} times in a row and is left alone for a while"
            raise TierUnavailable(text, part=self._part, retry_after_seconds=left)

    @contextmanager
    def tried(self, heard: "Heard") -> Iterator[None]:
        """Raises: TierUnavailable where it refuses. A try that began before others failed is not the one after them."""
        self.check()
        if self.open:
            self._trying = heard
        try:
            yield
            self._failures, self._was_long = 0, False
        except TierFailed as error:
            is_long = isinstance(error, TierTimedOut) and error.in_all and heard.begun_at is not None
            if _passes(error) and (self._was_long or not is_long):
                self._failures += 1
                self._rests_until = self._clock() + self._patience.rest_seconds
            self._was_long = is_long
            raise
        finally:
            if self._trying is heard:
                self._trying = None


def _passes(error: TierFailed) -> bool:
    """Whether it is the endpoint that failed, and may work again: then the error says when to come back."""
    return error.failure.retry_after_seconds is not None


class Heard:
    """Another's listener, and when a reply has begun."""

    def __init__(self, listener: Listener, clock: Callable[[], float]) -> None:
        self._listener = listener
        self._clock = clock
        self.streaming, self.watching = listener.streaming, listener.watching
        self.begun_at: float | None = None

    async def goes_on(self, text: str) -> bool:
        self._begins()
        return await self._listener.goes_on(text)

    def sent(self, receipt: Receipt) -> None:
        self._listener.sent(receipt)

    def instead(self, field: str, value: str) -> None:
        self._listener.instead(field, value)

    async def chunk(self, chunk: Chunk) -> None:
        self._begins()
        await self._listener.chunk(chunk)

    def _begins(self) -> None:
        if self.begun_at is None:
            self.begun_at = self._clock()
