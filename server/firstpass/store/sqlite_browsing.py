"""The part of the SQLite store that lists and searches, by a connection of its own: a long search delays no other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal, TypeVar

import apsw

from firstpass.errors import BadAsk, StoreFailed, StoreLost
from firstpass.exchange import Exchange
from firstpass.store import Damaged
from firstpass.store.codec import decode
from firstpass.store.index import BIRTH, Index
from firstpass.store.indexed import IN_A_SESSION, match_of, membership
from firstpass.store.log import Log, parsed
from firstpass.store.query import Query, Session, Used
from firstpass.store.reader import Reader

CATCH_UPS = 8
"""Turns of the index that somebody who looks waits for, so that he finds what was just written."""

NUMBER = (
    "SELECT min(number) FROM log WHERE coalesce(entry ->> 'exchange', entry ->> 'id') = ?1 AND entry ->> 'id' = ?1"
    " AND entry ->> 'event' IN (?2, ?3)"
)
NUMBERS = "SELECT rowid FROM found WHERE found MATCH ? AND rowid > ? AND rowid < ? ORDER BY rowid"
USED = (
    "SELECT owner, sum(requests), sum(refused), sum(prompt_tokens), sum(completion_tokens), (SELECT total(usd) FROM"
    " spends WHERE spends.owner = used.owner AND day >= ?1) FROM used WHERE day >= ?1 GROUP BY owner ORDER BY 2 DESC"
)
BEGUN = f"(exchanges > 1 OR name NOT GLOB 'ex_{'[0-9a-f]' * 24}')"
"""A response that nobody went on with, whose id the name would be, is no session yet."""

END = 2**62
Order = Literal["ASC", "DESC"]
T = TypeVar("T")


class SqliteBrowsing:
    """Whoever finds something by the index reads it from the record, as the log vouches for it."""

    _index: Index
    _browser: Reader

    def _write(self, what: str, work: Callable[[], T]) -> T:
        raise NotImplementedError

    def browse(self, query: Query) -> Iterator[Exchange | Damaged]:
        found = (self._at(number) for number in self._numbers(query))
        return (one for one in found if isinstance(one, Damaged) or (one is not None and _fits(one, query)))

    def _numbers(self, query: Query) -> Sequence[int]:
        match = match_of(query)
        self._catch_up()
        after = self._number_of(query.after, query, "after") if query.after is not None else -1
        before = self._before(query)
        order: Order = "DESC" if query.after is None else "ASC"
        return self._matching(match, order, query.limit, after, before)

    def _matching(self, match: str, order: Order, limit: int, after: int = -1, before: int = END) -> list[int]:
        """An index that is found to be damaged is made anew, and for a moment has less than everything."""
        sql = f"{NUMBERS} {order} LIMIT ?"
        values = (match, after, before, limit)
        try:
            rows = self._browser.rows("search", sql, *values)
        except StoreFailed as error:
            if not isinstance(error.__cause__, apsw.CorruptError):
                raise
            self._write("make its index anew", partial(self._index.begin_again, error))
            self._catch_up()
            rows = self._browser.rows("search", sql, *values)
        return [number for (number,) in rows]

    def _catch_up(self) -> None:
        """Where nothing can be written, what is there is found."""
        try:
            for _ in range(CATCH_UPS):
                if not self._is_behind() or not self._write("index what it has", self._index.grow):
                    return
        except StoreLost:
            raise
        except StoreFailed:
            return

    def _is_behind(self) -> bool:
        sql = "SELECT coalesce((SELECT max(number) FROM log), -1) > (SELECT last FROM indexed)"
        [(behind,)] = self._browser.rows("search", sql)
        return bool(behind)

    def _number_of(self, exchange_id: str, query: Query, param: str) -> int:
        """Another's exchange is told from none by nothing."""
        [(number,)] = self._browser.rows("search", NUMBER, exchange_id, *BIRTH)
        if number is None or not (query.owners is None or self._may_be_listed(number, query)):
            raise BadAsk(f"{param}: no exchange {exchange_id[:80]!r} in the record", param=param)
        return int(number)

    def _may_be_listed(self, number: int, query: Query) -> bool:
        found = self._at(number)
        if isinstance(found, Damaged):
            return bool(self._matching(match_of(Query(owners=query.owners)), "ASC", 1, number - 1, number + 1))
        return found is not None and _fits(found, query)

    def _at(self, number: int) -> Exchange | Damaged | None:
        """None for one that has just been purged."""
        named = f"entry {number}"
        try:
            named = self._id_at(number)
            return self._browser.do("list an exchange", lambda: recorded(self._browser.log, named))
        except StoreLost:
            raise
        except (StoreFailed, ValueError, LookupError, TypeError) as error:
            return Damaged(named, str(error))

    def _id_at(self, number: int) -> str:
        try:
            return self._browser.do(
                "list an exchange", lambda: str(parsed(self._browser.log.line(number) or b"")["id"])
            )
        except (LookupError, TypeError) as error:
            raise StoreFailed(f"entry {number} of the log is damaged", part="store") from error

    def sessions(self, query: Query) -> Iterator[Session]:
        self._catch_up()
        if query.words is not None:
            return self._sessions_with(query, match_of(query))
        where, values = ["latest < ?", BEGUN], list[int | str]([self._before(query)])
        if query.owners is not None:
            where.append(f"owner IN ({', '.join('?' * len(query.owners))})")
            values += [owner or "" for owner in query.owners]
        if query.session is not None:
            where.append("name = ?")
            values.append(query.session)
        sql = f"SELECT owner, name, latest FROM sessions WHERE {' AND '.join(where)} ORDER BY latest DESC LIMIT ?"  # noqa: S608
        rows = self._browser.rows("list sessions", sql, *values, query.limit)
        return (self._session(owner or None, name, place) for owner, name, place in rows)

    def _before(self, query: Query) -> int:
        return self._number_of(query.before, query, "before") if query.before is not None else END

    def _sessions_with(self, query: Query, match: str) -> Iterator[Session]:
        """Those with the newest of the exchanges that match come first; each found one is left out of the next look."""
        match = f"({match}) AND marks : {IN_A_SESSION}"
        below, given, left = self._before(query), set[str](), query.limit
        while left and (found := self._newest_whole(_without(match, given), below)) is not None:
            below, exchange = found
            owner, name = exchange.ask.key, exchange.ask.conversation
            if name is None or not _fits(exchange, query):
                continue
            member = membership(owner, name)
            given.add(member)
            newest = found if query.before is None else self._newest_whole(f"({match}) AND marks : {member}", END)
            if newest is not None and newest[0] == below:
                session = self._session(owner, name, below)
                if session.exchanges > 1 or name != exchange.ask.id:
                    left -= 1
                    yield session

    def _newest_whole(self, match: str, below: int) -> tuple[int, Exchange] | None:
        """Of those that can be read, which is where they stand."""
        while (number := self._newest(match, below)) is not None:
            if isinstance(exchange := self._at(number), Exchange):
                return number, exchange
            below = number
        return None

    def _newest(self, match: str, below: int) -> int | None:
        return next(iter(self._matching(match, "DESC", 1, before=below)), None)

    def _session(self, owner: str | None, name: str, place: int) -> Session:
        """place: the number of the exchange that has it stand there in the list."""
        member = f"marks : {membership(owner, name)}"
        orders: tuple[Order, Order] = ("ASC", "DESC")
        ends = [self._matching(member, order, 1) for order in orders]
        sql = "SELECT exchanges FROM sessions WHERE owner = ? AND name = ?"
        count = self._browser.rows("list sessions", sql, owner or "", name)
        first, latest = (_of(owner, self._at(numbers[0])) if numbers else None for numbers in ends)
        return Session(owner, name, self._id_at(place), count[0][0] if count else 0, first, latest)

    def session_ids(self, owner: str | None, name: str) -> list[str]:
        """Of its exchanges, oldest first."""
        return [self._id_at(number) for number in self._session_numbers(owner, name)]

    def _session_numbers(self, owner: str | None, name: str) -> list[int]:
        """Of all its exchanges, however long the index takes to have them."""
        while self._is_behind() and self._write("index what it has", self._index.grow):
            pass
        return self._matching(f"marks : {membership(owner, name)}", "ASC", -1)

    def used(self, since: str, owners: Sequence[str | None] | None) -> list[Used]:
        self._catch_up()
        rows = self._browser.rows("read what was used", USED, since)
        found = [Used(owner or None, *counts) for owner, *counts in rows]
        return [one for one in found if owners is None or one.owner in owners]


def recorded(log: Log, identity: str | int, by: str | None = None) -> Exchange | None:
    """by: the column to find it by, its id by default. Raises: StoreFailed where the log does not vouch for it."""
    row = log.checked("exchanges", identity, by)
    return decode(row["body"]) if row else None


def _fits(exchange: Exchange, query: Query) -> bool:
    """An index is no record: what it says of whose an exchange is decides nothing."""
    return query.owners is None or exchange.ask.key in query.owners


def _of(owner: str | None, found: Exchange | Damaged | None) -> Exchange | None:
    return found if isinstance(found, Exchange) and found.ask.key == owner else None


def _without(match: str, members: Iterable[str]) -> str:
    left_out = " OR ".join(f"marks : {member}" for member in members)
    return f"({match}) NOT ({left_out})" if left_out else match
