"""The store in one SQLite file, written through apsw, whose SQLite we choose. It knows no HTTP and no model."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from firstpass.chat import Usage
from firstpass.errors import StoreFailed, StoreLost
from firstpass.exchange import Answer, Exchange, Judgement, Label, Receipt, Refuse
from firstpass.store import Damaged, Proof
from firstpass.store.codec import AUDITED, decode, encode, forgotten, judgement, kept
from firstpass.store.files import OpenFiles
from firstpass.store.log import IDS, Log, heed_no_code
from firstpass.store.merkle import consistency, inclusion, leaf_hash
from firstpass.store.migrations import AFTERWARDS, BOOK, MIGRATIONS, VOUCHED
from firstpass.store.retention import Retention
from firstpass.store.sqlite_keys import SqliteKeys

log = logging.getLogger(__name__)

BUSY_MILLISECONDS = 10_000
EMPTY_MILLISECONDS = 200
"""How long a deletion waits for other processes to stop reading; meanwhile, nobody else gets to the store."""

WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""SQLite 3.7.0 to 3.51.2 can lose commits when a WAL is reset. Fixed in these, for their lines, and after."""

SALT = "lower(hex(randomblob(16)))"
"""Of a row with a caller's words: once it is gone, the log's digest of the row can not be matched with a guess.

A departure's digest and count of bytes, which are a receipt, have no salt, and stay."""

EXCHANGE = (
    "id, received_unix, model, contract, session, route, status, seconds, prompt_tokens, completion_tokens, body,"
    " entry, salt"
)
INSERT = f"INSERT INTO exchanges ({EXCHANGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {SALT})"  # noqa: S608
LABEL = "exchange_id, verdict, source, made_unix, text, key, salt"
ADD_LABEL = f"INSERT INTO labels ({LABEL}) VALUES (?, ?, ?, ?, ?, ?, {SALT}) RETURNING number"  # noqa: S608
T = TypeVar("T")


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite has the WAL-reset fix. Source: SQLite release notes of 3.51.3, 3.50.7, 3.44.6."""
    return version >= WAL_RESET_FIXED[-1] or any(
        version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_FIXED
    )


class SqliteStore(SqliteKeys):
    """One connection behind one lock: appends are single rows, and SQLite has one writer anyway.

    Raises: StoreFailed where the file can't be opened, is no store of ours, or this SQLite is a broken one.
    """

    def __init__(self, path: Path) -> None:
        version = apsw.sqlite_lib_version()
        if not wal_is_safe(tuple(int(part) for part in version.split("."))):
            raise StoreFailed(f"SQLite {version} can lose commits; 3.51.3 or later is needed", part="store")
        self._lock = threading.Lock()
        self._log_is_due = False
        self._files: OpenFiles | None = None
        self._connection = self._do("open", lambda: _opened(path))
        self._log = Log(self._connection)
        self._do("migrate", self._prepare)
        self._retention = Retention(self._connection, self._log)
        self._files = OpenFiles(path)

    def check(self) -> None:
        """Raises: StoreLost."""
        if self._files is not None:
            self._files.check()

    def _do(self, what: str, work: Callable[[], T]) -> T:
        with self._lock:
            try:
                self.check()
                done = work()
                self.check()
            except apsw.CorruptError as error:
                message = f"the store is damaged ({error}); `firstpass audit verify` says where"
                raise StoreFailed(message, part="store") from error
            except (apsw.Error, OSError, ValueError) as error:
                raise StoreFailed(f"the store could not {what}: {error}", part="store") from error
            return done

    def _write(self, what: str, work: Callable[[], T]) -> T:
        """Some work as one transaction: a row and the log's entry about it are there together, or neither is."""
        return self._do(what, lambda: self._transact(work))

    def _transact(self, work: Callable[[], T]) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            done = work()
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return done

    def _prepare(self) -> None:
        self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._switch_to_wal()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")
        self._transact(self._migrate)
        self._empty_log(0)

    def _switch_to_wal(self) -> None:
        """SQLite does not wait for its busy timeout here: two processes that make the file at once would collide."""
        deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _migrate(self) -> None:
        self._connection.execute(BOOK)
        done = {row[0] for row in self._connection.execute("SELECT name FROM migrations")}
        unknown = done - {name for name, _ in MIGRATIONS}
        if unknown:
            raise ValueError(f"it was written by a newer version (migration {max(unknown)})")
        for name, script in MIGRATIONS:
            if name not in done:
                self._connection.execute(script)
                self._log = Log(self._connection)  # which knows the tables' columns
                self._connection.execute("INSERT INTO migrations VALUES (?)", (name,))
                if name == "0005_audit":
                    self._move_departures()
                for table in VOUCHED.get(name, ()):
                    self._vouch_for_all(table)

    def _move_departures(self) -> None:
        """Into the log: it has had its own table."""
        sql = "SELECT exchange_id, host, sent_unix, bytes, sha256 FROM departures ORDER BY number"
        for exchange, *receipt in self._connection.execute(sql):
            self._depart(exchange, Receipt(*receipt))
        self._connection.execute(AFTERWARDS["0005_audit"])

    def _vouch_for_all(self, table: str) -> None:
        for (identity,) in list(self._connection.execute(f"SELECT {IDS[table]} FROM {table} ORDER BY rowid")):  # noqa: S608
            self._log.vouch("migrated", table, identity)

    def _rows(self, what: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._do(what, lambda: list(self._connection.execute(sql, values)))

    def append(self, exchange: Exchange) -> None:
        self._write("append an exchange", lambda: self._append(_row(kept(exchange))))
        if self._log_is_due:
            self._do("empty its log", lambda: self._empty_log(0))

    def _append(self, row: tuple[Any, ...]) -> None:
        self._connection.execute(INSERT, (*row, self._log.size()))
        self._log.enter("exchange", "exchanges", row[0])

    def record_departure(self, exchange_id: str, receipt: Receipt) -> Receipt:
        return self._write("record a departure", lambda: self._depart(exchange_id, receipt))

    def _depart(self, exchange_id: str, receipt: Receipt) -> Receipt:
        said = {name: value for name, value in asdict(receipt).items() if name not in ("number", "leaf", "sent_unix")}
        logged = self._log.append("departure", exchange=exchange_id, time=receipt.sent_unix, **said)
        return replace(receipt, number=logged.number, leaf=logged.leaf.hex())

    def read(self, exchange_id: str) -> Exchange | None:
        return self._do("read an exchange", lambda: self._read(exchange_id))

    def _read(self, identity: str | int, by: str | None = None) -> Exchange | None:
        row = self._log.checked("exchanges", identity, by)
        return decode(row["body"]) if row else None

    def forget(self, exchange_id: str) -> bool:
        """The words are out of the record at once, and off the disk unless another process is just reading the file.

        Then they leave it with the first exchange that is appended or forgotten after that, or the next start.
        """
        there = self._write("forget an exchange", lambda: self._forget(exchange_id))
        if there:
            self._do("empty its log", lambda: self._empty_log(EMPTY_MILLISECONDS))
        return there

    def _forget(self, exchange_id: str) -> bool:
        exchange = self._read(exchange_id)
        if exchange is None:
            return False
        exchange, run = forgotten(exchange), self._connection.execute
        values = (exchange.ask.model, exchange.ask.session, encode(exchange), exchange_id)
        run(f"UPDATE exchanges SET model = ?, session = ?, body = ?, salt = {SALT} WHERE id = ?", values)  # noqa: S608
        self._log.vouch("forgotten", "exchanges", exchange_id)
        worded = "SELECT number FROM labels WHERE exchange_id = ? AND text IS NOT NULL"
        for (number,) in list(run(worded, (exchange_id,))):
            self._log.checked("labels", number)
            run(f"UPDATE labels SET text = NULL, salt = {SALT} WHERE number = ?", (number,))  # noqa: S608
            self._log.vouch("forgotten", "labels", number, exchange=exchange_id)
        return True

    def _empty_log(self, wait_milliseconds: int) -> None:
        """`secure_delete` zeroes old bytes in the file, but the log keeps old pages until nobody reads it."""
        self._connection.set_busy_timeout(wait_milliseconds)
        try:
            [(busy, _, _)] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._log_is_due = bool(busy)
        except (apsw.BusyError, apsw.LockedError):
            self._log_is_due = True
        finally:
            self._connection.set_busy_timeout(BUSY_MILLISECONDS)

    def latest(self, limit: int) -> list[Exchange | Damaged]:
        """Looked up in an index first, and then one by one: one that is damaged hides no other."""
        sql = "SELECT rowid FROM exchanges ORDER BY received_unix DESC, rowid DESC LIMIT ?"
        listed = (self._listed(rowid) for (rowid,) in self._rows("list exchanges", sql, limit))
        return [exchange for exchange in listed if exchange is not None]

    def _listed(self, rowid: int) -> Exchange | Damaged | None:
        """None for one that has just been purged."""
        try:
            return self._do("list an exchange", lambda: self._read(rowid, by="rowid"))
        except StoreLost:
            raise
        except StoreFailed as error:
            return Damaged(self._id_of(rowid), str(error))

    def _id_of(self, rowid: int) -> str:
        """As far as that can still be read."""
        try:
            [(found,)] = self._rows("read an id", "SELECT CAST(id AS BLOB) FROM exchanges WHERE rowid = ?", rowid)
        except StoreFailed:
            return f"row {rowid}"
        return str(bytes(found).decode(errors="replace"))

    def add_label(self, label: Label) -> None:
        self._write("record a label", lambda: self._add_label(label))

    def _add_label(self, label: Label) -> None:
        values = (label.exchange, label.verdict, label.source, label.made_unix, label.text, label.key)
        [(number,)] = list(self._connection.execute(ADD_LABEL, values))
        self._log.vouch("label", "labels", number, exchange=label.exchange)

    def labels(self, exchange_id: str) -> list[Label]:
        sql = "SELECT number FROM labels WHERE exchange_id = ? ORDER BY number"
        numbers = self._rows("read labels", sql, exchange_id)
        return [label for (number,) in numbers if (label := self._label(number))]

    def _label(self, number: int) -> Label | None:
        row = self._do("read a label", lambda: self._log.checked("labels", number))
        return _label(row) if row else None

    def labelled(self, source: str) -> list[tuple[Exchange, Label]]:
        joined = "labels JOIN exchanges ON id = exchange_id WHERE source = ? ORDER BY number"
        rows = self._rows("read labels", f"SELECT number, id FROM {joined}", source)  # noqa: S608
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
        rows = self._rows("read labels", f"SELECT number, id FROM {joined}", source, AUDITED)  # noqa: S608
        for number, exchange_id in rows:
            try:
                yield from self._do("read an audit", partial(self._audit, number, exchange_id))
            except StoreLost:
                raise
            except StoreFailed as error:
                log.error("label %d is left out: %s", number, error)

    def _audit(self, number: int, exchange_id: str) -> list[tuple[Judgement, Label]]:
        """None or one."""
        exchange, row = self._log.checked("exchanges", exchange_id), self._log.checked("labels", number)
        judged = judgement(exchange["body"]) if exchange and row else None
        return [(judged, _label(row))] if judged and row else []

    def hold_contract(self, pinned: str, sha256: str) -> str:
        found = self._do("read a contract", lambda: self._log.checked("contracts", pinned))
        if found is None:
            found = self._write("record a contract", lambda: self._hold_contract(pinned, sha256))
        return str(found["sha256"])

    def _hold_contract(self, pinned: str, sha256: str) -> dict[str, Any]:
        sql = "INSERT OR IGNORE INTO contracts (pinned, sha256) VALUES (?, ?) RETURNING pinned"
        if list(self._connection.execute(sql, (pinned, sha256))):
            self._log.vouch("contract", "contracts", pinned)
        return self._log.checked("contracts", pinned) or {}

    def entries(self, exchange_id: str | None, limit: int) -> list[bytes]:
        return self._do("read the log", lambda: list(self._log.lines(exchange_id, limit)))

    def size(self) -> int:
        return self._do("read the log", self._log.size)

    def root(self, size: int) -> bytes:
        return self._do("read the log", lambda: self._log.root(size))

    def prove(self, number: int) -> Proof | None:
        return self._do("read the log", lambda: self._prove(number))

    def _prove(self, number: int) -> Proof | None:
        line, size = self._log.line(number), self._log.size()
        if line is None:
            return None
        if leaf_hash(line) != self._log.node(0, number):
            raise StoreFailed(f"entry {number} of the log is damaged", part="store")
        hashes = inclusion(self._log.node, number, size)
        return Proof(number, line, leaf_hash(line), size, self._log.root(size), tuple(hashes))

    def consistency(self, old: int) -> tuple[int, tuple[bytes, ...]] | None:
        return self._do("read the log", lambda: self._consistency(old))

    def _consistency(self, old: int) -> tuple[int, tuple[bytes, ...]] | None:
        size = self._log.size()
        if not 0 <= old <= size:
            return None
        return size, tuple(consistency(self._log.node, old, size)) if old else ()

    def purge(self, keep_bytes: int, before_unix: float) -> int:
        gone = self._write("purge", lambda: self._retention.purge(keep_bytes, before_unix))
        if gone:
            self._do("give space back", self._shrink)
        return gone

    def _shrink(self) -> None:
        list(self._connection.execute("PRAGMA incremental_vacuum"))
        self._empty_log(0)

    def close(self) -> None:
        """Where the files were replaced, the last to close would delete what others write."""
        try:
            self.check()
        except StoreLost:
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._files = None
        self._do("close", self._connection.close)


def _opened(path: Path) -> apsw.Connection:
    """The file, for its owner alone. A trigger or a view in it is none of ours: SQLite is told to heed neither."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    connection = apsw.Connection(str(path))
    heed_no_code(connection)
    return connection


def _label(row: dict[str, Any]) -> Label:
    return Label(row["exchange_id"], *(row[name] for name in ("verdict", "source", "made_unix", "text", "key")))


def _row(exchange: Exchange) -> tuple[Any, ...]:
    """In the order of the table's columns. Tokens are summed over the steps."""
    ask, ending = exchange.ask, exchange.ending
    assert ending is not None and exchange.seconds is not None, "only an ended exchange is stored"
    usages = [step.reply.usage or Usage(0, 0) for step in exchange.steps if step.reply]
    return (
        ask.id,
        ask.received_unix,
        ask.model,
        ask.contract,
        ask.session,
        ending.route if isinstance(ending, Answer) else None,
        ending.failure.status if isinstance(ending, Refuse) else 200,
        exchange.seconds,
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        encode(exchange),
    )
