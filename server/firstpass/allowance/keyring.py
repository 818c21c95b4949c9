"""Whose key it is that a request brings. It knows no header."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from firstpass.store import Store
from firstpass.store.keys import NOBODY, KeyRecord, key_id, matches
from firstpass.store.scopes import NO_LIMITS, Scopes

KEPT_SECONDS = 1.0
"""How long the store's word on a key counts: then a key that was revoked has ended on every front."""

KEPT = 1024
"""Keys that were found last. One that is not there is looked up each time, and tells nothing to the next."""


class Keyring:
    """clock: monotonic seconds."""

    def __init__(self, store: Store, pepper: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, KeyRecord]] = OrderedDict()
        self._scopes: dict[str, Scopes] = {}
        self._names: dict[str, str] = {}

    async def holder(self, key: str) -> KeyRecord | None:
        """The record of a live key, None for anything else. Raises: StoreFailed."""
        identity = key_id(key)
        record = (await self._record(identity) if identity else None) or NOBODY
        if not matches(key, record, self._pepper, time.time()):
            return None
        self._scopes[record.owner] = record.scopes
        self._names[record.owner] = record.name
        return record

    async def _record(self, identity: str) -> KeyRecord | None:
        """Whatever secret stands beside the id: it is compared with the record each time."""
        looked, record = self._found.get(identity, (0.0, None))
        now = self._clock()
        if record is not None and now - looked < KEPT_SECONDS:
            return record
        self._found.pop(identity, None)
        record = await asyncio.to_thread(self._store.find_key, identity)
        if record is not None:
            self._found[identity] = (now, record)
            if len(self._found) > KEPT:
                self._found.popitem(last=False)
        return record

    def scopes(self, owner: str | None) -> Scopes:
        """Of an owner whose key was found before; no limits for a request without a key."""
        return NO_LIMITS if owner is None else self._scopes[owner]

    def name(self, owner: str | None) -> str | None:
        """What the operator called the owner's key that was found last."""
        return None if owner is None else self._names.get(owner)
