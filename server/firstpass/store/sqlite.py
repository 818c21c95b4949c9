"""The store in one SQLite file, written through apsw, whose SQLite we choose. It knows no HTTP and no model."""

import threading
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

import apsw

from firstpass.chat import Usage
from firstpass.errors import StoreFailed
from firstpass.exchange import Answer, Exchange, Label, Receipt, Refuse
from firstpass.store.codec import decode, encode, forgotten, kept
from firstpass.store.migrations import MIGRATIONS
from firstpass.store.sqlite_keys import SqliteKeys

BUSY_MILLISECONDS = 10_000
EMPTY_MILLISECONDS = 200
"""How long a deletion waits for other processes to stop reading; meanwhile, nobody else gets to the store."""

WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""SQLite 3.7.0 to 3.51.2 can lose commits when a WAL is reset. Fixed in these, for their lines, and after."""

INSERT = "INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
LABEL = "exchange_id, verdict, source, made_unix, text, labels.key"
"""The columns, in the order of Label's fields."""

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
        self._connection = self._do("open", lambda: _opened(path))
        self._do("migrate", self._prepare)

    def _do(self, what: str, work: Callable[[], T]) -> T:
        with self._lock:
            try:
                return work()
            except (apsw.Error, OSError, ValueError) as error:
                raise StoreFailed(f"the store could not {what}: {error}", part="store") from error

    def _prepare(self) -> None:
        self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        self._switch_to_wal()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._migrate()
        self._connection.execute("COMMIT")
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
        self._connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT")
        done = {row[0] for row in self._connection.execute("SELECT name FROM migrations")}
        unknown = done - {name for name, _ in MIGRATIONS}
        if unknown:
            raise ValueError(f"it was written by a newer version (migration {max(unknown)})")
        for name, script in MIGRATIONS:
            if name not in done:
                self._connection.execute(script)
                self._connection.execute("INSERT INTO migrations VALUES (?)", (name,))

    def _rows(self, what: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._do(what, lambda: list(self._connection.execute(sql, values)))

    def append(self, exchange: Exchange) -> None:
        self._do("append an exchange", lambda: self._append(_row(kept(exchange))))

    def _append(self, row: tuple[Any, ...]) -> None:
        self._connection.execute(INSERT, row)
        if self._log_is_due:
            self._empty_log(0)

    def record_departure(self, exchange_id: str, receipt: Receipt) -> None:
        sql = "INSERT INTO departures (exchange_id, host, sent_unix, bytes, sha256) VALUES (?, ?, ?, ?, ?)"
        values = (exchange_id, receipt.host, receipt.sent_unix, receipt.bytes, receipt.sha256)
        self._rows("record a departure", sql, *values)

    def departures(self, exchange_id: str) -> list[Receipt]:
        sql = "SELECT host, sent_unix, bytes, sha256 FROM departures WHERE exchange_id = ? ORDER BY number"
        return [Receipt(*row) for row in self._rows("read departures", sql, exchange_id)]

    def read(self, exchange_id: str) -> Exchange | None:
        rows = self._rows("read an exchange", "SELECT body FROM exchanges WHERE id = ?", exchange_id)
        return self._decoded(rows)[0] if rows else None

    def forget(self, exchange_id: str) -> bool:
        """The words are out of the record at once, and off the disk unless another process is just reading the file.

        Then they leave it with the first exchange that is appended or forgotten after that, or the next start.
        """
        exchange = self.read(exchange_id)
        if exchange is None:
            return False
        self._do("forget an exchange", lambda: self._overwrite(forgotten(exchange)))
        return True

    def _overwrite(self, exchange: Exchange) -> None:
        ask = exchange.ask
        values = (ask.model, ask.session, encode(exchange), ask.id)
        with self._connection:
            self._connection.execute("UPDATE exchanges SET model = ?, session = ?, body = ? WHERE id = ?", values)
            self._connection.execute("UPDATE labels SET text = NULL WHERE exchange_id = ?", (ask.id,))
        self._empty_log(EMPTY_MILLISECONDS)

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

    def latest(self, limit: int) -> list[Exchange]:
        sql = "SELECT body FROM exchanges ORDER BY received_unix DESC, rowid DESC LIMIT ?"
        return self._decoded(self._rows("list exchanges", sql, limit))

    def add_label(self, label: Label) -> None:
        sql = "INSERT INTO labels (exchange_id, verdict, source, made_unix, text, key) VALUES (?, ?, ?, ?, ?, ?)"
        self._rows("record a label", sql, *astuple(label))

    def labels(self, exchange_id: str) -> list[Label]:
        sql = f"SELECT {LABEL} FROM labels WHERE exchange_id = ? ORDER BY number"  # noqa: S608
        return [Label(*row) for row in self._rows("read labels", sql, exchange_id)]

    def labelled(self, source: str) -> list[tuple[Exchange, Label]]:
        joined = "labels JOIN exchanges ON id = exchange_id WHERE source = ? ORDER BY number"
        rows = self._rows("read labels", f"SELECT body, {LABEL} FROM {joined}", source)  # noqa: S608
        return list(zip(self._decoded(rows), (Label(*row[1:]) for row in rows), strict=True))

    def _decoded(self, rows: list[tuple[Any, ...]]) -> list[Exchange]:
        return self._do("read an exchange", lambda: [decode(row[0]) for row in rows])

    def hold_contract(self, pinned: str, sha256: str) -> str:
        self._rows("record a contract", "INSERT OR IGNORE INTO contracts VALUES (?, ?)", pinned, sha256)
        found = self._rows("read a contract", "SELECT sha256 FROM contracts WHERE pinned = ?", pinned)
        return str(found[0][0])

    def close(self) -> None:
        self._do("close", self._connection.close)


def _opened(path: Path) -> apsw.Connection:
    """The file, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    return apsw.Connection(str(path))


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
