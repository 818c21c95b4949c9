"""The record as callers use it: answers are labelled, recalled and forgotten, and what labels say of gates is heard.

It knows no HTTP, and no database beside the store's own methods.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import replace

from firstpass.errors import NotFound
from firstpass.exchange import Exchange, Judgement, Label
from firstpass.gate.drift import Monitor
from firstpass.store import Store

log = logging.getLogger(__name__)

Show = Callable[[str, float, bool], None]
"""Takes a gate's name, the evidence against its promise, and whether that is broken."""


class Record:
    """auditors: the keys whose labels count for a gate's promise; everybody's where there are none.

    Raises: StoreFailed.
    """

    def __init__(self, store: Store, monitor: Monitor, auditors: Collection[str], show: Show) -> None:
        self._store, self._monitor, self._auditors, self._show = store, monitor, auditors, show
        for judged, label in store.audits("user") if monitor.audits else ():
            self._hear(judged, label)
        self._show_all()

    def broken(self, gate: str) -> bool:
        return self._monitor.broken(gate)

    def check(self) -> None:
        """Waits for nothing. Raises: StoreLost, StoreUnavailable where nothing can be recorded."""
        self._store.check()

    async def label(self, label: Label) -> None:
        """Keep a label, and let the gate's monitor hear it. Raises: NotFound, StoreFailed."""
        exchange = await asyncio.to_thread(self._store.read, label.exchange)
        if exchange is None or exchange.ask.key not in (None, label.key):
            raise NotFound(f"no exchange {label.exchange[:80]!r} in the record", part="store", param="exchange")
        kept = label if exchange.ask.store else replace(label, text=None)
        await self._store.soon(self._store.add_label, kept)
        self._hear(exchange.judged, label)
        self._show_all()

    async def catch_up(self) -> None:
        """Hear what came while another record was in use, which took it; what was heard already counts once."""
        if not self._monitor.audits:
            return
        for judged, label in await asyncio.to_thread(lambda: list(self._store.audits("user"))):
            self._hear(judged, label)
        self._show_all()

    async def recall(self, exchange_id: str, key: str | None) -> Exchange:
        """An exchange with its words. Raises: NotFound, StoreFailed. Another key's is told from none by nothing."""
        exchange = await asyncio.to_thread(self._store.read, exchange_id)
        if exchange is None or exchange.ask.key != key or not exchange.ask.store:
            raise NotFound(f"no exchange {exchange_id[:80]!r} in the record", part="store", param="exchange")
        return exchange

    async def forget(self, exchange_id: str, key: str | None) -> None:
        """The exchange's words are out of the record when this returns. Raises: NotFound, StoreFailed."""
        exchange = await self.recall(exchange_id, key)
        await asyncio.shield(asyncio.to_thread(self._store.forget, exchange.ask.id))

    def _hear(self, judged: Judgement | None, label: Label) -> None:
        if self._auditors and label.key not in self._auditors:
            return
        if self._monitor.hear(judged, label) and judged is not None:
            log.error("the promise of the gate %s is broken: it accepts nothing any more", judged.gate)

    def _show_all(self) -> None:
        for name, audits in self._monitor.audits.items():
            self._show(name, audits.evidence, self._monitor.broken(name))
