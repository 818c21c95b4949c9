"""The record as somebody looks through it: whose exchanges he may see, and one look at a time. It knows no HTTP.

A look may take long, so all of them have one thread of their own: they wait for each other, and no request for them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, ParamSpec, TypeVar

from firstpass.errors import Forbidden, NotFound, Overloaded
from firstpass.exchange import Exchange, Label
from firstpass.store import Damaged, Store, whole_keys
from firstpass.store.query import Query, Session, Used

WAITING = 64
"""Looks that wait for the one that is made. A page makes a few at a time."""

PAGE_SECONDS = 1.0
PAGE_CHARACTERS = 8 * 2**20
"""Past which a page ends."""

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Viewer:
    """key: the owner's id of the API key that looks, None for none. everybody: it may see what others asked, too."""

    key: str | None
    everybody: bool = False

    def owners(self, wanted: str | None) -> tuple[str | None, ...] | None:
        """wanted: the owner whose exchanges alone are wanted. Raises: Forbidden."""
        if wanted is not None and wanted != self.key and not self.everybody:
            raise Forbidden("this API key may see its own exchanges alone", param="key", code="record_forbidden")
        if wanted is not None:
            return (wanted,)
        return None if self.everybody else (self.key,)

    def may_see(self, exchange: Exchange) -> bool:
        return self.everybody or exchange.ask.key == self.key


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """In the order of `Store.browse`. has_more: others follow."""

    data: list[T]
    has_more: bool


Make = Callable[[S], tuple[T, int]]
"""What is shown of an exchange or a session, and how many characters that is. It is called in the looks' thread."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An exchange with what was said of its answer."""

    exchange: Exchange
    labels: tuple[Label, ...]


class Browsing:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "browsing")
        self._looks = 0

    async def exchanges(self, query: Query, make: Make[Exchange | Damaged, T]) -> Page[T]:
        """Raises: BadAsk, StoreFailed."""
        return await self._look(_page, self._store.browse, query, make)

    async def exchange(self, exchange_id: str, viewer: Viewer, make: Callable[[Seen], T]) -> T:
        """Raises: NotFound, StoreFailed. Another's is told from none by nothing."""
        return await self._look(lambda: make(self._seen(exchange_id, viewer)))

    async def forget(self, exchange_id: str, viewer: Viewer) -> None:
        """Its words are out of the record when this returns. Raises: NotFound, StoreFailed."""
        await self._look(self._seen, exchange_id, viewer)
        await asyncio.shield(asyncio.to_thread(self._store.forget, exchange_id))

    async def sessions(self, query: Query, make: Make[Session, T]) -> Page[T]:
        """Raises: BadAsk, StoreFailed."""
        return await self._look(_page, self._store.sessions, query, make)

    async def session(self, name: str, query: Query, make: Make[Exchange | Damaged, T]) -> tuple[Session, Page[T]]:
        """A session and its newest exchanges, newest first. Raises: NotFound, BadAsk, StoreFailed."""
        return await self._look(self._session, name, query, make)

    async def forget_session(self, name: str, query: Query) -> int:
        """Gives how many exchanges were in it. Raises: NotFound, StoreFailed where some are damaged, and stay."""
        session = await self._look(self._found, name, query)
        return await asyncio.shield(asyncio.to_thread(self._store.forget_session, session.owner, name))

    async def used(self, since: str, owners: tuple[str | None, ...] | None) -> list[tuple[Used, str | None]]:
        """From that day on, with the name of each owner's key."""
        return await self._look(self._used, since, owners)

    async def _look(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._looks >= WAITING:
            raise Overloaded("too many look through the record at once", part="store", retry_after_seconds=1)
        self._looks += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))
        finally:
            self._looks -= 1

    def _seen(self, exchange_id: str, viewer: Viewer) -> Seen:
        exchange = self._store.read(exchange_id)
        if exchange is None or not viewer.may_see(exchange):
            raise NotFound(f"no exchange {exchange_id[:80]!r} in the record", part="store", param="exchange")
        return Seen(exchange, tuple(self._store.labels(exchange_id)))

    def _session(self, name: str, query: Query, make: Make[Exchange | Damaged, T]) -> tuple[Session, Page[T]]:
        session = self._found(name, query)
        return session, _page(self._store.browse, replace(query, session=name, owners=(session.owner,)), make)

    def _found(self, name: str, query: Query) -> Session:
        """Of several owners' sessions of one name, the last used."""
        found = next(iter(self._store.sessions(Query(limit=1, session=name, owners=query.owners))), None)
        if found is None:
            raise NotFound(f"no session {name[:80]!r} in the record", part="store", param="session")
        return found

    def _used(self, since: str, owners: tuple[str | None, ...] | None) -> list[tuple[Used, str | None]]:
        names = {key.owner: key.name for key in whole_keys(self._store.list_keys())}
        return [(used, names.get(used.owner or "")) for used in self._store.used(since, owners)]

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _page(look: Callable[[Query], Iterator[S]], query: Query, make: Make[S, T]) -> Page[T]:
    """One at a time is in memory. Ends early where they are so large that it would take long, or much memory."""
    end, weight, made = time.monotonic() + PAGE_SECONDS, 0, list[T]()
    for found in look(replace(query, limit=query.limit + 1)):
        if len(made) == query.limit or weight > PAGE_CHARACTERS or (made and time.monotonic() > end):
            return Page(made, has_more=True)
        one, characters = make(found)
        made.append(one)
        weight += characters
    return Page(made, has_more=False)
