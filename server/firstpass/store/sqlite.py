"""The store in one SQLite file, written through apsw, whose SQLite we choose. It knows no HTTP and no model."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import finalize

import apsw

from firstpass.errors import StoreFailed, StoreLost, StoreUnavailable
from firstpass.exchange import Answer, Exchange, Judgement, Label, Receipt, Refuse
from firstpass.store import Damaged, HeldSettings, Proof, settings_digest
from firstpass.store.codec import AUDITED, decode, encode, forgotten, judgement, kept
from firstpass.store.files import OpenFiles
from firstpass.store.index import Index
from firstpass.store.log import Log
from firstpass.store.merkle import consistency, inclusion, leaf_hash
from firstpass.store.opening import check_sqlite, opened, prepare
from firstpass.store.reader import Reader
from firstpass.store.reasons import explained, unavailable
from firstpass.store.retention import Retention
from firstpass.store.sqlite_browsing import SqliteBrowsing, recorded
from firstpass.store.sqlite_keys import SqliteKeys
from firstpass.store.writer import Writer

log = logging.getLogger(__name__)

EMPTY_MILLISECONDS = 200
"""How long a deletion waits for other processes to stop reading; meanwhile, nobody else gets to the store."""

SALT = "lower(hex(randomblob(16)))"
"""Of a row with a caller's words: once it is gone, the log's digest of the row can not be matched with a guess.

A departure's digest and count of bytes, which are a receipt, have no salt, and stay."""

EXCHANGE = (
    "id, received_unix, model, contract, session, route, status, seconds, prompt_tokens, completion_tokens, body,"
    " experiment, shadows, entry, salt"
)
INSERT = f"INSERT INTO exchanges ({EXCHANGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {SALT})"  # noqa: S608
LABEL = "exchange_id, verdict, source, made_unix, text, key, salt"
ADD_LABEL = f"INSERT INTO labels ({LABEL}) VALUES (?, ?, ?, ?, ?, ?, {SALT}) RETURNING number"  # noqa: S608
P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore(SqliteBrowsing, SqliteKeys):
    """One thread writes, and many writes share a commit; reads have a connection of their own and wait for none.

    Raises: StoreFailed where the file can't be opened, is no store of ours, or this SQLite is a broken one.
    """

    def __init__(self, path: Path) -> None:
        check_sqlite()
        with explained("open"):
            self._connection = opened(path)
        with explained("migrate"):
            prepare(self._connection)
        self._log = Log(self._connection)
        self._index = Index(self._connection, self._log)
        self._retention = Retention(self._connection, self._log, self._index)
        self._files = OpenFiles(path)
        self._reader, self._browser = Reader(path, self._files), Reader(path, self._files)
        self._writer = Writer(self._connection, self._files, self._index.grow)
        self._writer.empty_log(0)
        finalize(self, self._writer.stop)

    def check(self) -> None:
        """Raises: StoreLost; StoreUnavailable where the last commit failed, until one is made."""
        self._files.check()
        if self._writer.trouble is not None:
            raise unavailable(self._writer.trouble)

    def soon(self, write: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        return self._writer.soon("write", lambda: write(*args, **kwargs))

    def _write(self, what: str, work: Callable[[], T]) -> T:
        """A part of a transaction: a row and the log's entry about it are there together, or neither is."""
        if self._writer.writes_here:
            with explained(what):
                return work()
        done: T = self._writer.wait(what, work)
        return done

    def append(self, exchange: Exchange) -> None:
        self._write("append an exchange", lambda: self._append(_row(self._kept(exchange))))

    def _kept(self, exchange: Exchange) -> Exchange:
        """A shadow may end when the words of the request that it repeats have been deleted already."""
        shadows = exchange.ask.shadows
        repeated = None if shadows is None else recorded(self._log, shadows)
        return kept(exchange) if repeated is None or repeated.ask.store else forgotten(exchange)

    def _append(self, row: tuple[Any, ...]) -> None:
        self._connection.execute(INSERT, (*row, self._log.size()))
        self._log.enter("exchange", "exchanges", row[0])

    def record_departure(self, exchange_id: str, receipt: Receipt) -> Receipt:
        return self._write("record a departure", lambda: self._log.depart(exchange_id, receipt))

    def read(self, exchange_id: str) -> Exchange | None:
        return self._reader.do("read an exchange", lambda: recorded(self._reader.log, exchange_id))

    def forget(self, exchange_id: str) -> bool:
        """Its words and its shadows' are out of the record at once, and off the disk unless another process is just
        reading the file.

        Then they leave it with the first exchange that is appended or forgotten after that, or the next start.
        """
        there = self._write("forget an exchange", lambda: self._forget(exchange_id))
        if there:
            self._writer.empty_log(EMPTY_MILLISECONDS)
        return there

    def forget_session(self, owner: str | None, name: str) -> int:
        """One after the other, so that nobody waits for all; one that is damaged keeps no other from going."""
        numbers, damaged, gone = self._session_numbers(owner, name), list[StoreFailed](), 0
        for number in numbers:
            try:
                forget = partial(self._forget_in, owner, name, self._id_at(number))
                gone += self._write("forget an exchange", forget)
            except (StoreLost, StoreUnavailable):
                raise
            except StoreFailed as error:
                damaged.append(error)
        if numbers:
            self._writer.empty_log(EMPTY_MILLISECONDS)
        if damaged:
            raise StoreFailed(f"{len(damaged)} of {len(numbers)} exchanges stay: {damaged[0]}", part="store")
        return gone

    def _forget_in(self, owner: str | None, name: str, exchange_id: str) -> bool:
        """An index is no record: what it says of whose an exchange is lets nothing go."""
        exchange = recorded(self._log, exchange_id)
        its_own = exchange is not None and (exchange.ask.key, exchange.ask.conversation) == (owner, name)
        return its_own and self._forget(exchange_id)

    def _forget(self, exchange_id: str) -> bool:
        row = self._log.checked("exchanges", exchange_id)
        if row is None:
            return False
        there, run = decode(row["body"]), self._connection.execute
        born, exchange = self._log.birth(row["entry"]), forgotten(there)
        self._index.replace(born, there, exchange)
        values = (exchange.ask.model, exchange.ask.session, encode(exchange), exchange_id)
        run(f"UPDATE exchanges SET model = ?, session = ?, body = ?, salt = {SALT} WHERE id = ?", values)  # noqa: S608
        self._log.vouch("forgotten", "exchanges", exchange_id)
        worded = "SELECT number FROM labels WHERE exchange_id = ? AND text IS NOT NULL"
        for (number,) in list(run(worded, (exchange_id,))):
            self._log.checked("labels", number)
            run(f"UPDATE labels SET text = NULL, salt = {SALT} WHERE number = ?", (number,))  # noqa: S608
            self._log.vouch("forgotten", "labels", number, exchange=exchange_id)
        for (shadow,) in list(run("SELECT id FROM exchanges WHERE shadows = ?", (exchange_id,))):
            self._forget(shadow)
        return True

    def latest(self, limit: int) -> list[Exchange | Damaged]:
        """Looked up in an index first, and then one by one: one that is damaged hides no other."""
        sql = "SELECT rowid FROM exchanges ORDER BY received_unix DESC, rowid DESC LIMIT ?"
        listed = (self._listed(rowid) for (rowid,) in self._reader.rows("list exchanges", sql, limit))
        return [exchange for exchange in listed if exchange is not None]

    def _listed(self, rowid: int) -> Exchange | Damaged | None:
        """None for one that has just been purged."""
        try:
            return self._reader.do("list an exchange", lambda: recorded(self._reader.log, rowid, by="rowid"))
        except StoreLost:
            raise
        except StoreFailed as error:
            return Damaged(self._id_of(rowid), str(error))

    def _id_of(self, rowid: int) -> str:
        """As far as that can still be read."""
        try:
            [(found,)] = self._reader.rows(
                "read an id", "SELECT CAST(id AS BLOB) FROM exchanges WHERE rowid = ?", rowid
            )
        except StoreFailed:
            return f"row {rowid}"
        return str(bytes(found).decode(errors="replace"))

    def of_experiment(self, name: str, since_unix: float) -> Iterator[Exchange | Damaged]:
        sql = "SELECT rowid FROM exchanges WHERE experiment = ? AND received_unix >= ? ORDER BY rowid"
        for (rowid,) in self._reader.rows("read an experiment", sql, name, since_unix):
            if (exchange := self._listed(rowid)) is not None:
                yield exchange

    def experiments(self) -> list[str]:
        sql = "SELECT DISTINCT experiment FROM exchanges WHERE experiment IS NOT NULL ORDER BY experiment"
        return [str(name) for (name,) in self._reader.rows("list experiments", sql)]

    def add_label(self, label: Label) -> None:
        self._write("record a label", lambda: self._add_label(label))

    def _add_label(self, label: Label) -> None:
        values = (label.exchange, label.verdict, label.source, label.made_unix, label.text, label.key)
        [(number,)] = list(self._connection.execute(ADD_LABEL, values))
        self._log.vouch("label", "labels", number, exchange=label.exchange)

    def labels(self, exchange_id: str) -> list[Label]:
        sql = "SELECT number FROM labels WHERE exchange_id = ? ORDER BY number"
        numbers = self._reader.rows("read labels", sql, exchange_id)
        return [label for (number,) in numbers if (label := self._label(number))]

    def _label(self, number: int) -> Label | None:
        row = self._reader.do("read a label", lambda: self._reader.log.checked("labels", number))
        return _label(row) if row else None

    def labelled(self, source: str) -> list[tuple[Exchange, Label]]:
        joined = "labels JOIN exchanges ON id = exchange_id WHERE source = ? ORDER BY number"
        rows = self._reader.rows("read labels", f"SELECT number, id FROM {joined}", source)  # noqa: S608
        found = (self._pair(number, exchange_id) for number, exchange_id in rows)
        return [pair for pair in found if pair is not None]

    def _pair(self, number: int, exchange_id: str) -> tuple[Exchange, Label] | None:
        """None for what is damaged, which the server's log names, and for what has just been purged."""
        try:
            exchange, label = self.read(exchange_id), self._label(number)
            return (exchange, label) if exchange and label else None
        except StoreLost:
            raise
        except StoreFailed as error:
            log.error("label %d is left out: %s", number, error)
            return None

    def audits(self, source: str) -> Iterator[tuple[Judgement, Label]]:
        """Of an exchange only what the gate said is made out: a record may have tens of thousands."""
        joined = "labels JOIN exchanges ON id = exchange_id WHERE source = ? AND instr(body, ?) ORDER BY number"
        rows = self._reader.rows("read labels", f"SELECT number, id FROM {joined}", source, AUDITED)  # noqa: S608
        for number, exchange_id in rows:
            try:
                yield from self._reader.do("read an audit", partial(self._audit, number, exchange_id))
            except StoreLost:
                raise
            except StoreFailed as error:
                log.error("label %d is left out: %s", number, error)

    def _audit(self, number: int, exchange_id: str) -> list[tuple[Judgement, Label]]:
        """None or one."""
        log = self._reader.log
        exchange, row = log.checked("exchanges", exchange_id), log.checked("labels", number)
        judged = judgement(exchange["body"]) if exchange and row else None
        return [(judged, _label(row))] if judged and row else []

    def hold_contract(self, pinned: str, sha256: str) -> str:
        found = self._reader.do("read a contract", lambda: self._reader.log.checked("contracts", pinned))
        if found is None:
            found = self._write("record a contract", lambda: self._hold_contract(pinned, sha256))
        return str(found["sha256"])

    def _hold_contract(self, pinned: str, sha256: str) -> dict[str, Any]:
        sql = "INSERT OR IGNORE INTO contracts (pinned, sha256) VALUES (?, ?) RETURNING pinned"
        if list(self._connection.execute(sql, (pinned, sha256))):
            self._log.vouch("contract", "contracts", pinned)
        return self._log.checked("contracts", pinned) or {}

    def hold_settings(self, told: str, now_unix: float) -> str:
        digest = settings_digest(told)
        if not self.settings(digest):
            sql = "INSERT OR IGNORE INTO settings (digest, first_unix, told) VALUES (?, ?, ?)"
            self._write("record settings", lambda: list(self._connection.execute(sql, (digest, now_unix, told))))
        return digest

    def settings(self, digest: str | None = None) -> list[HeldSettings]:
        sql = "SELECT digest, first_unix, told FROM settings WHERE instr(digest, ?) = 1 ORDER BY first_unix DESC"
        return [HeldSettings(*row) for row in self._reader.rows("read settings", sql, digest or "")]

    def entries(self, exchange_id: str | None, limit: int) -> list[bytes]:
        return self._reader.do("read the log", lambda: list(self._reader.log.lines(exchange_id, limit)))

    def size(self) -> int:
        return self._reader.do("read the log", self._reader.log.size)

    def root(self, size: int) -> bytes:
        return self._reader.do("read the log", lambda: self._reader.log.root(size))

    def prove(self, number: int) -> Proof | None:
        return self._reader.do("read the log", lambda: self._prove(number))

    def _prove(self, number: int) -> Proof | None:
        line, size = self._reader.log.line(number), self._reader.log.size()
        if line is None:
            return None
        if leaf_hash(line) != self._reader.log.node(0, number):
            raise StoreFailed(f"entry {number} of the log is damaged", part="store")
        hashes = inclusion(self._reader.log.node, number, size)
        return Proof(number, line, leaf_hash(line), size, self._reader.log.root(size), tuple(hashes))

    def consistency(self, old: int) -> tuple[int, tuple[bytes, ...]] | None:
        return self._reader.do("read the log", lambda: self._consistency(old))

    def _consistency(self, old: int) -> tuple[int, tuple[bytes, ...]] | None:
        size = self._reader.log.size()
        if not 0 <= old <= size:
            return None
        return size, tuple(consistency(self._reader.log.node, old, size)) if old else ()

    def purge(self, keep_bytes: int, before_unix: float) -> int:
        gone = self._write("purge", lambda: self._retention.purge(keep_bytes, before_unix))
        if gone:
            self._shrink()
        return gone

    def _shrink(self) -> None:
        with self._writer.lock, explained("give space back"):
            list(self._connection.execute("PRAGMA incremental_vacuum"))
        self._writer.empty_log(0)

    def close(self) -> None:
        """After all that was to be written. Where the files were replaced, the last to close would delete others'."""
        self._writer.close()
        try:
            self._files.check()
        except StoreLost:
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        with explained("close"):
            self._reader.close()
            self._browser.close()
            self._connection.close()


def _label(row: dict[str, Any]) -> Label:
    return Label(row["exchange_id"], *(row[name] for name in ("verdict", "source", "made_unix", "text", "key")))


def _row(exchange: Exchange) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    ask, ending = exchange.ask, exchange.ending
    assert ending is not None and exchange.seconds is not None, "only an ended exchange is stored"
    return (
        ask.id,
        ask.received_unix,
        ask.model,
        ask.contract,
        ask.session,
        ending.route if isinstance(ending, Answer) else None,
        ending.failure.status if isinstance(ending, Refuse) else 200,
        exchange.seconds,
        *exchange.tokens,
        encode(exchange),
        ask.experiment,
        ask.shadows,
    )
