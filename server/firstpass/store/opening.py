"""How the SQLite file is opened and brought to this version's schema. It knows no row of it."""

import time
from pathlib import Path

import apsw

from firstpass.errors import StoreFailed, StoreLost
from firstpass.exchange import Receipt
from firstpass.store.files import identity
from firstpass.store.log import IDS, Log, heed_no_code
from firstpass.store.migrations import AFTERWARDS, BOOK, MIGRATIONS, VOUCHED

BUSY_MILLISECONDS = 10_000

WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""SQLite 3.7.0 to 3.51.2 can lose commits when a WAL is reset. Fixed in these, for their lines, and after."""


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite has the WAL-reset fix. Source: SQLite release notes of 3.51.3, 3.50.7, 3.44.6."""
    return version >= WAL_RESET_FIXED[-1] or any(
        version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_FIXED
    )


def check_sqlite() -> None:
    """Raises: StoreFailed where this SQLite is a broken one."""
    version = apsw.sqlite_lib_version()
    if not wal_is_safe(tuple(int(part) for part in version.split("."))):
        raise StoreFailed(f"SQLite {version} can lose commits; 3.51.3 or later is needed", part="store")


def opened(path: Path) -> apsw.Connection:
    """The file, for its owner alone, in WAL mode: so it is locked against being replaced by `firstpass restore`.

    A trigger or a view in it is none of ours: SQLite is told to heed neither. Raises: StoreLost where it was replaced
    before the lock was there.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    found = identity(path)
    connection = apsw.Connection(str(path))
    heed_no_code(connection)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _switch_to_wal(connection)
    if identity(path) != found:
        raise StoreLost(f"{path.name} was replaced while it was opened: start again", part="store")
    return connection


def prepare(connection: apsw.Connection) -> None:
    """Every commit is on the disk when it returns, and what is deleted is gone. Raises: ValueError for a newer file."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _switch_to_wal(connection: apsw.Connection) -> None:
    """SQLite does not wait for its busy timeout here: two processes that make the file at once would collide."""
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _migrate(connection: apsw.Connection) -> None:
    connection.execute(BOOK)
    done = {row[0] for row in connection.execute("SELECT name FROM migrations")}
    unknown = done - {name for name, _ in MIGRATIONS}
    if unknown:
        raise ValueError(f"it was written by a newer version (migration {max(unknown)})")
    for name, script in MIGRATIONS:
        if name not in done:
            connection.execute(script)
            log = Log(connection)  # which knows the tables' columns
            connection.execute("INSERT INTO migrations VALUES (?)", (name,))
            if name == "0005_audit":
                _move_departures(connection, log)
            for table in VOUCHED.get(name, ()):
                _vouch_for_all(connection, log, table)


def _move_departures(connection: apsw.Connection, log: Log) -> None:
    """Into the log: it has had its own table."""
    sql = "SELECT exchange_id, host, sent_unix, bytes, sha256 FROM departures ORDER BY number"
    for exchange, *receipt in connection.execute(sql):
        log.depart(exchange, Receipt(*receipt))
    connection.execute(AFTERWARDS["0005_audit"])


def _vouch_for_all(connection: apsw.Connection, log: Log, table: str) -> None:
    for (row,) in list(connection.execute(f"SELECT {IDS[table]} FROM {table} ORDER BY rowid")):  # noqa: S608
        log.vouch("migrated", table, row)
