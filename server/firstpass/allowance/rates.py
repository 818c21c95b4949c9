"""Requests and tokens a minute of each owner of keys. They survive a restart, but for the last seconds of a crash.

It knows no HTTP, and of the database two methods of the store.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable

from firstpass.allowance.bucket import Bucket
from firstpass.allowance.keyring import Keyring
from firstpass.errors import RateLimited, StoreFailed
from firstpass.exchange import Ask, Exchange
from firstpass.store import Level, Store, Unit
from firstpass.store.keys import KeyRecord

log = logging.getLogger(__name__)

KEEP_SECONDS = 2.0
"""How long what was used may be in memory alone. A request never waits for the disk."""

CHARACTERS_A_TOKEN = 4
"""A guess at a prompt's tokens, before a model has counted them."""


class Rates:
    """The buckets, as full as the store has them. Each front counts for itself. Raises: StoreFailed."""

    def __init__(self, store: Store, keyring: Keyring, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._levels = store.rates()
        self._buckets: dict[tuple[str, Unit], Bucket] = {}
        self._used: set[tuple[str, Unit]] = set()
        self._keeping: asyncio.Task[None] | None = None

    def admit(self, holder: KeyRecord) -> None:
        """Counts a request. Raises: RateLimited."""
        if holder.scopes.requests is not None:
            self._take(holder.owner, "requests", holder.scopes.requests, 1)

    def reserve(self, ask: Ask) -> int:
        """Takes the tokens that an ask may need, and says how many. Raises: RateLimited."""
        limit = self._keyring.scopes(ask.key).tokens
        if limit is None or ask.key is None:
            return 0
        characters = sum(len(message.content) for message in ask.messages)
        needed = math.ceil(characters / CHARACTERS_A_TOKEN) + (ask.sampling.max_tokens or 0) * (ask.sampling.n or 1)
        self._take(ask.key, "tokens", limit, needed)
        return needed

    def settle(self, exchange: Exchange, reserved: int) -> None:
        """Takes what was really used, of all models together, in the place of what was reserved."""
        owner = exchange.ask.key
        limit = self._keyring.scopes(owner).tokens
        if limit is None or owner is None:
            return
        self._bucket(owner, "tokens", limit).use(sum(exchange.tokens) - reserved, self._clock())
        self._note(owner, "tokens")

    def _take(self, owner: str, unit: Unit, limit: int, amount: int) -> None:
        bucket, now = self._bucket(owner, unit, limit), self._clock()
        if wait := bucket.wait(amount, now):
            message = f"this API key may use {limit} {unit} a minute, and they are used up"
            raise RateLimited(message, retry_after_seconds=math.ceil(wait))
        bucket.use(amount, now)
        self._note(owner, unit)

    def _bucket(self, owner: str, unit: Unit, limit: int) -> Bucket:
        whose = (owner, unit)
        if whose not in self._buckets:
            level, at_unix = self._levels.get(whose, (limit, self._clock()))
            self._buckets[whose] = Bucket(limit, limit / 60, level, at_unix)
        return self._buckets[whose]

    def _note(self, owner: str, unit: Unit) -> None:
        self._used.add((owner, unit))
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_soon())

    async def _keep_soon(self) -> None:
        await asyncio.sleep(KEEP_SECONDS)
        self._keeping = None
        try:
            await self._store.soon(self._store.keep_rates, self._unkept())
        except StoreFailed:
            log.exception("what is left of the rates could not be kept: a restart would forget it")

    def _unkept(self) -> dict[tuple[str, Unit], Level]:
        used, self._used = self._used, set()
        return {whose: (self._buckets[whose].level, self._buckets[whose].at_unix) for whose in used}

    def close(self) -> None:
        """Keeps what is not kept yet. Raises: StoreFailed."""
        if self._keeping is not None:
            self._keeping.cancel()
        if unkept := self._unkept():
            self._store.keep_rates(unkept)
