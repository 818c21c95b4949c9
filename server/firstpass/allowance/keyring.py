"""Whose key it is that a request brings. It knows no header."""

import asyncio
import time

from firstpass.store import Store
from firstpass.store.keys import NOBODY, KeyRecord, key_id, matches
from firstpass.store.reader import Taken
from firstpass.store.scopes import NO_LIMITS, Scopes


class Keyring:
    """The store is asked each time, so that a key that is revoked has ended on every front at once.

    Mostly on this thread: a row that is in memory anyway takes a third of the way to another thread and back.
    """

    def __init__(self, store: Store, pepper: bytes) -> None:
        self._store = store
        self._pepper = pepper
        self._scopes: dict[str, Scopes] = {}
        self._names: dict[str, str] = {}

    async def holder(self, key: str) -> KeyRecord | None:
        """The record of a live key, None for anything else. Raises: StoreFailed."""
        identity = key_id(key)
        record = (await self._found(identity) if identity else None) or NOBODY
        if not matches(key, record, self._pepper, time.time()):
            return None
        self._scopes[record.owner] = record.scopes
        self._names[record.owner] = record.name
        return record

    async def _found(self, identity: str) -> KeyRecord | None:
        try:
            return self._store.find_key(identity, waits=False)
        except Taken:
            return await asyncio.to_thread(self._store.find_key, identity)

    def scopes(self, owner: str | None) -> Scopes:
        """Of an owner whose key was found before; no limits for a request without a key."""
        return NO_LIMITS if owner is None else self._scopes[owner]

    def name(self, owner: str | None) -> str | None:
        """What the operator called the owner's key that was found last."""
        return None if owner is None else self._names.get(owner)
