"""The log of what left and of what the record has held, one numbered entry after the other, in SQLite.

An entry is one line of JSON with sorted keys: its number, an event and its time, and what the event is about. Where
that is a row of a table, it has `table`, `id` and `row`, the digest of the row as it is from then on; without `row`,
the row is gone. `before` is the number of the entry that spoke of the row until then. A row points back at its entry:
so a row that nobody vouches for, an entry without its row, and a row from before are all seen. The line is hashed as
stored.

With an entry are kept its leaf and every node of the tree that it filled, lowest first: so each full node is kept once,
with the last entry below it.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import apsw
from pydantic_core import from_json

from firstpass.errors import StoreFailed
from firstpass.exchange import Receipt
from firstpass.store import merkle
from firstpass.store.merkle import HASH_BYTES

IDS = {"exchanges": "id", "labels": "number", "keys": "id", "contracts": "pinned"}
"""The tables whose rows are vouched for, and what names a row in each. A column that a table gains later has to be NULL
in the rows that there are, or each needs a new entry: a digest is over what is not NULL."""

LAST = "SELECT number, substr(nodes, 1, ?) FROM log ORDER BY number DESC LIMIT 1"
NO_BLOB = "CAST({0} AS BLOB) AS {0}"
_line = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Logged:
    """Where an entry stands. number: from 0. leaf: its hash in the tree."""

    number: int
    leaf: bytes


class Log:
    """Whoever appends has begun a transaction that writes: only then no other process takes the same number."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._tip: tuple[bytes, merkle.Frontier] | None = None
        self._columns: dict[str, str] = {}
        self._schema = 0

    def size(self) -> int:
        [(last,)] = self._connection.execute("SELECT max(number) FROM log")
        return 0 if last is None else int(last) + 1

    def append(self, event: str, **fields: Any) -> Logged:
        """One more entry. A field that is None is left out; `time` is that of now by default, in Unix seconds."""
        number, tree = self._tree()
        said = {"number": number, "event": event, "time": round(time.time(), 3)} | fields
        line = _line({name: value for name, value in said.items() if value is not None})
        self._tip = None
        filled = tree.push(merkle.leaf_hash(line.encode()))
        sql = "INSERT INTO log VALUES (?, ?, ?) RETURNING number"
        if list(self._connection.execute(sql, (number, line, b"".join(filled)))) != [(number,)]:
            raise StoreFailed(f"entry {number} did not get into the log", part="store")
        self._tip = filled[0], tree
        return Logged(number, filled[0])

    def _tree(self) -> tuple[int, merkle.Frontier]:
        """How many entries there are, and their tree: as this has left it, unless another entry is the last by now."""
        last = list(self._connection.execute(LAST, (HASH_BYTES,)))
        if not last:
            return 0, merkle.Frontier()
        [(number, leaf)] = last
        if self._tip is not None and self._tip[1].size == number + 1 and self._tip[0] == leaf:
            return number + 1, self._tip[1]
        return number + 1, merkle.frontier(self.node, number + 1)

    def depart(self, exchange: str, receipt: Receipt) -> Receipt:
        """One more entry, about what is about to leave; the receipt with its place in the log."""
        said = {name: value for name, value in asdict(receipt).items() if name not in ("number", "leaf", "sent_unix")}
        logged = self.append("departure", exchange=exchange, time=receipt.sent_unix, **said)
        return replace(receipt, number=logged.number, leaf=logged.leaf.hex())

    def vouch(self, event: str, table: str, identity: str | int, **fields: Any) -> Logged:
        """One more entry, about a row as it is now; the row points at it from here on."""
        row = self._there(table, identity)
        logged = self.append(event, table=table, id=identity, row=digest(row), before=row["entry"], **fields)
        sql = f"UPDATE {table} SET entry = ? WHERE {IDS[table]} = ?"  # noqa: S608
        self._connection.execute(sql, (logged.number, identity))
        return logged

    def enter(self, event: str, table: str, identity: str, **fields: Any) -> Logged:
        """As `vouch`, of a row that was inserted with its `entry` already: the size that the log had."""
        row = self._there(table, identity)
        logged = self.append(event, table=table, id=identity, row=digest(row), **fields)
        assert logged.number == row["entry"], "nothing is logged between"
        return logged

    def _there(self, table: str, identity: str | int) -> dict[str, Any]:
        row = self.row(table, identity)
        if row is None:
            raise StoreFailed(f"{table.removesuffix('s')} {identity} did not get into the store", part="store")
        return row

    def remove(self, event: str, table: str, identity: str | int, **fields: Any) -> None:
        """Delete a row, and say so."""
        sql = f"DELETE FROM {table} WHERE {IDS[table]} = ? RETURNING entry"  # noqa: S608
        [(before,)] = list(self._connection.execute(sql, (identity,)))
        self.append(event, table=table, id=identity, before=before, **fields)

    def row(self, table: str, identity: str | int, by: str | None = None) -> dict[str, Any] | None:
        """A row by its columns' names, as it is now. Text is in bytes: damaged text may be no UTF-8.

        by: the column to find it by, its id by default.
        """
        sql = f"SELECT {self.columns(table)} FROM {table} WHERE {by or IDS[table]} = ?"  # noqa: S608
        cursor = self._connection.execute(sql, (identity,))
        rows = [dict(zip(names(cursor), values, strict=True)) for values in cursor]
        return rows[0] if rows else None

    def checked(self, table: str, identity: str | int, by: str | None = None) -> dict[str, Any] | None:
        """A row by its columns' names, with its texts. Raises: StoreFailed where the log does not vouch for it."""
        row = self.row(table, identity, by)
        if row is None:
            return None
        wrong = complaint(table, row, None if row["entry"] is None else self.line(row["entry"]))
        if wrong is not None:
            raise StoreFailed(f"{named(table, row)} is damaged: {wrong}", part="store")
        return {name: _text(value) for name, value in row.items()}

    def columns(self, table: str) -> str:
        """All of a table in the order of their names, for a SELECT. Another process may give it more at any time."""
        [(schema,)] = self._connection.execute("PRAGMA schema_version")
        if schema != self._schema:
            self._columns, self._schema = {}, schema
        if table not in self._columns:
            sql = "SELECT name, type FROM pragma_table_info(?) ORDER BY name"
            named = list(self._connection.execute(sql, (table,)))
            parts = (NO_BLOB.format(f'"{name}"') if kind == "TEXT" else f'"{name}"' for name, kind in named)
            self._columns[table] = ", ".join(parts)
        return self._columns[table]

    def node(self, level: int, index: int) -> bytes:
        """Raises: StoreFailed where the log lacks it."""
        last = ((index + 1) << level) - 1
        sql = "SELECT substr(nodes, ?, ?) FROM log WHERE number = ?"
        found = list(self._connection.execute(sql, (1 + level * HASH_BYTES, HASH_BYTES, last)))
        if not found or len(found[0][0]) != HASH_BYTES:
            raise StoreFailed(f"entry {last} of the log is missing or damaged", part="store")
        return bytes(found[0][0])

    def root(self, size: int) -> bytes:
        """Of the log as it was when it had `size` entries."""
        return merkle.frontier(self.node, size).root()

    def line(self, number: int) -> bytes | None:
        found = list(self._connection.execute("SELECT CAST(entry AS BLOB) FROM log WHERE number = ?", (number,)))
        return bytes(found[0][0]) if found else None

    def lines(self, exchange: str | None, limit: int) -> Iterator[bytes]:
        """The newest entries, newest first: all, or those about one exchange."""
        where = "WHERE coalesce(entry ->> 'exchange', entry ->> 'id') = ?" if exchange is not None else ""
        sql = f"SELECT CAST(entry AS BLOB) FROM log {where} ORDER BY number DESC LIMIT ?"  # noqa: S608
        values = (limit,) if exchange is None else (exchange, limit)
        return (bytes(row[0]) for row in self._connection.execute(sql, values))

    def birth(self, number: int) -> int:
        """The first entry about the row of which an entry speaks."""
        while (line := self.line(number)) is not None and (before := parsed(line).get("before")) is not None:
            number = before
        return number

    def all(self) -> Iterator[bytes]:
        """Every line, in order."""
        sql = "SELECT CAST(entry AS BLOB) FROM log ORDER BY number"
        return (bytes(row[0]) for row in self._connection.execute(sql))


def heed_no_code(connection: apsw.Connection) -> None:
    """Of what is in the file: a trigger or a view there could drop or change what is written and read in silence."""
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)


def names(cursor: apsw.Cursor) -> list[str]:
    return [column[0] for column in cursor.get_description()]


def parsed(line: bytes) -> Any:
    """An entry's fields. Raises: ValueError."""
    return from_json(line, allow_inf_nan=False)


def named(table: str, row: dict[str, Any]) -> str:
    """A row, for people."""
    return f"{table.removesuffix('s')} {_text(row[IDS[table]])}".encode(errors="replace").decode()


def digest(row: dict[str, Any]) -> str:
    """SHA-256, in hex, over a row's columns that are not NULL, but for `entry`, in the order of their names.

    Each is its name, `t` for a text or `n` for a number, how many bytes follow, a colon, and these; between two is a
    newline.
    """
    said = []
    for name, value in row.items():
        if isinstance(value, bytes):
            said.append(f"{name} t {len(value)}:".encode() + value)
        elif value is not None and name != "entry":
            said.append(f"{name} n {len(repr(value))}:{value!r}".encode())
    return hashlib.sha256(b"\n".join(said)).hexdigest()


def complaint(table: str, row: dict[str, Any], line: bytes | None) -> str | None:
    """What is wrong with a row, going by the entry that it points at; None if nothing is."""
    number, identity = row["entry"], _text(row[IDS[table]])
    if number is None:
        return "no entry of the log vouches for it"
    if line is None:
        return f"entry {number} of the log, which vouches for it, is missing"
    try:
        said = parsed(line)
        about, vouched = (said.get("table"), said.get("id")), said.get("row")
    except (ValueError, AttributeError):
        return f"entry {number} of the log, which vouches for it, is damaged"
    if about != (table, identity):
        return f"it points at entry {number} of the log, which is not about it"
    return None if vouched == digest(row) else f"it is not what entry {number} of the log vouches for"


def _text(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
