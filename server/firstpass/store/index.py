"""By what exchanges are listed and searched. It follows the log, behind what is written, and knows no query.

An index is no record: nobody vouches for it, and whoever finds an exchange by it reads the exchange itself. It is made
anew where it is damaged. An exchange stands in it under the number of the log's entry that it began with.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import apsw

from firstpass.exchange import Exchange, Refuse
from firstpass.store import edges
from firstpass.store.codec import decode
from firstpass.store.indexed import NOBODY, VERSION, marks_of, membership, words_of
from firstpass.store.log import Log, parsed
from firstpass.store.migrations import FOUND
from firstpass.store.scopes import day_of
from firstpass.store.succession import BIRTHS, MIGRATED

log = logging.getLogger(__name__)

GROW_SECONDS = 0.02
"""For which others wait at most, while some exchanges are taken in."""

T = TypeVar("T")
BIRTH = (BIRTHS["exchanges"], MIGRATED)
TOGETHER = 256
NEXT = f"SELECT number, CAST(entry AS BLOB) FROM log WHERE number > ? ORDER BY number LIMIT {TOGETHER}"  # noqa: S608
IS_THERE = "SELECT 1 FROM found_docsize WHERE id = ?"
DELETE = "INSERT INTO found (found, rowid, marks, words) VALUES ('delete', ?, ?, ?)"
MERGE = "INSERT INTO found (found, rank) VALUES ('merge', ?)"
LEAST_MERGED = 16
PAGE_BYTES = 4096
LATEST = "SELECT rowid FROM found WHERE found MATCH ? ORDER BY rowid DESC LIMIT 1"
ENTER = (
    "INSERT INTO sessions VALUES (?1, ?2, 1, ?3) ON CONFLICT DO UPDATE"
    " SET exchanges = exchanges + 1, latest = max(latest, ?3)"
)
USE = (
    "INSERT INTO used VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + 1, refused = refused +"
    " excluded.refused, prompt_tokens = prompt_tokens + excluded.prompt_tokens, completion_tokens = completion_tokens +"
    " excluded.completion_tokens"
)


class Index:
    """Whoever changes it has begun a transaction that writes."""

    def __init__(self, connection: apsw.Connection, log: Log) -> None:
        self._connection = connection
        self._log = log

    def grow(self) -> bool:
        """Take in what the log has that it lacks, for a moment; whether there is more."""
        more = self._whole(self._grow)
        return more is not False

    def _grow(self) -> bool:
        [(version, last, counted)] = self._connection.execute("SELECT version, last, counted FROM indexed")
        if version != VERSION:
            if last >= 0:
                self.begin_again(f"it was made by version {version}")
            self._connection.execute("UPDATE indexed SET version = ?", (VERSION,))
            return True
        end, rows = time.monotonic() + GROW_SECONDS, list(self._connection.execute(NEXT, (last,)))
        for number, line in rows:
            self._take(number, line, counts=number > counted)
            last = number
            if time.monotonic() > end:
                break
        if rows:
            self._connection.execute("UPDATE indexed SET last = ?1, counted = max(counted, ?1)", (last,))
        return bool(rows) and (last != rows[-1][0] or len(rows) == TOGETHER)

    def _take(self, number: int, line: bytes, *, counts: bool) -> None:
        try:
            said = parsed(line)
            if said.get("table") != "exchanges" or said.get("event") not in BIRTH:
                return
            row = self._log.row("exchanges", said["id"])
            if row is None:
                return
            exchange = decode(row["body"].decode())
            self._add(number, exchange)
        except (ValueError, LookupError, AttributeError) as error:
            log.warning("what entry %d of the log is about can't be searched, it is damaged: %s", number, error)
            return
        if counts and exchange.ask.shadows is None:
            self._count(exchange)

    def _count(self, exchange: Exchange) -> None:
        ask = exchange.ask
        refused = int(isinstance(exchange.ending, Refuse))
        self._connection.execute(USE, (ask.key or "", day_of(ask.received_unix), refused, *exchange.tokens))

    def _add(self, number: int, exchange: Exchange) -> None:
        values = (number, marks_of(exchange), words_of(exchange))
        self._connection.execute("INSERT INTO found (rowid, marks, words) VALUES (?, ?, ?)", values)
        if (session := exchange.ask.conversation) is not None:
            self._connection.execute(ENTER, (exchange.ask.key or "", session, number))

    def replace(self, number: int, before: Exchange, after: Exchange | None) -> None:
        """Every word of an exchange leaves, if it was there, and another takes its place. before: as it was added."""
        self._whole(partial(self._replace, number, before, after))

    def _replace(self, number: int, before: Exchange, after: Exchange | None) -> None:
        if not list(self._connection.execute(IS_THERE, (number,))):
            return
        said = marks_of(before), words_of(before)
        self._connection.execute(DELETE, (number, *said))
        edges.clear(self._connection, "\n".join(said))
        self._leave_session(before)
        if after is not None:
            self._add(number, after)

    def compact(self, freed_bytes: int) -> None:
        """Deleted words leave gaps in the pages of the index. Some of them close, more the more bytes were freed."""
        pages = LEAST_MERGED + freed_bytes // PAGE_BYTES
        self._whole(lambda: self._connection.execute(MERGE, (-pages,)) and None)

    def _whole(self, work: Callable[[], T]) -> T | None:
        """None where the index is found to be damaged, and begins again.

        A look at it has its last words written, which otherwise would fail with whatever is written next. What fails
        otherwise, as on a full disk, is undone with its transaction, which may be gone by then.
        """
        run = self._connection.execute
        run("SAVEPOINT whole")
        try:
            done = work()
            list(run(LATEST, (f"marks : {NOBODY}",)))
        except apsw.CorruptError as error:
            run("ROLLBACK TO whole; RELEASE whole")
            self.begin_again(error)
            return None
        run("RELEASE whole")
        return done

    def _leave_session(self, exchange: Exchange) -> None:
        owner, session = exchange.ask.key or "", exchange.ask.conversation
        if session is None:
            return
        latest = list(self._connection.execute(LATEST, (f"marks : {membership(owner, session)}",)))
        sql = "UPDATE sessions SET exchanges = exchanges - 1, latest = ? WHERE owner = ? AND name = ?"
        if not latest:
            self._connection.execute("DELETE FROM sessions WHERE owner = ? AND name = ?", (owner, session))
        else:
            self._connection.execute(sql, (latest[0][0], owner, session))

    def begin_again(self, why: object) -> None:
        """Where it is damaged, or has words that can't be taken out by themselves. Until it has grown, it has less."""
        log.warning("the index of the record is made anew: %s", why)
        self._connection.execute("DROP TABLE found; DELETE FROM sessions; UPDATE indexed SET last = -1")
        self._connection.execute(FOUND)
