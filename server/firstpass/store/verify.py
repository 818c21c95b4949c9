"""Whether a record is what its log says, and the log what signed checkpoints say. Only reads; needs no server.

Everything is read once and in order: the log's entries, then the rows that they vouch for. In memory stays one bit an
entry, whether a row has to point at it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from firstpass.errors import StoreFailed
from firstpass.store.log import IDS, Log, complaint, heed_no_code, named, names, parsed
from firstpass.store.merkle import HASH_BYTES, Frontier, leaf_hash
from firstpass.store.migrations import MIGRATIONS, schema, schema_after
from firstpass.store.notes import Checkpoint
from firstpass.store.succession import Succession, end_complaint

BUSY_MILLISECONDS = 10_000
FLAWS_TOLD = 100
FAR = 1000
"""How far beyond twice the entries there are a number may be: room for gaps, but not in memory for any number."""


@dataclass(slots=True)
class Finding:
    """What a verification saw. flaws: in words, the first hundred of `flaw_count`. rows: of each table, how many."""

    entries: int = 0
    root: bytes = b""
    rows: dict[str, int] = field(default_factory=dict)
    checkpoints: int = 0
    flaw_count: int = 0
    flaws: list[str] = field(default_factory=list)

    def complain(self, flaw: str) -> None:
        self.flaw_count += 1
        if len(self.flaws) < FLAWS_TOLD:
            self.flaws.append(flaw)


@contextmanager
def reading(path: Path) -> Iterator[apsw.Connection]:
    """The store's file as it is at one moment, while others go on writing to it. Raises: StoreFailed."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise StoreFailed(f"{path} can not be read: {error}", part="store") from error
    try:
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        heed_no_code(connection)
        connection.execute("BEGIN")
        if not list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'log'")):
            raise StoreFailed(f"{path} has no log yet: a newer version has to open it once", part="store")
        yield connection
    except apsw.CantOpenError as error:
        where = (
            "" if os.access(path.parent, os.W_OK) else ": the disk is read-only; copy the file and what is beside it"
        )
        raise StoreFailed(f"{path} can not be read: {error}{where}", part="store") from error
    except apsw.Error as error:
        raise StoreFailed(f"{path} can not be read: {error}", part="store") from error
    finally:
        connection.close()


def verify(path: Path, checkpoints: Sequence[Checkpoint]) -> Finding:
    """Raises: StoreFailed where the file can't be read at all; what is wrong in it is in the finding."""
    with reading(path) as connection:
        found = Finding()
        with _told(found, "the schema"):
            _check_schema(connection, found)
        entries = _Entries(connection, found, checkpoints)
        with _told(found, "the log"):
            entries.read()
        for table in IDS:
            with _told(found, table):
                _check_rows(connection, table, entries.vouching, found)
        for number in entries.vouching.left():
            found.complain(f"entry {number}: its row{_about(connection, number)} is missing, and no entry says why")
        with _told(found, "the file"):
            _check_file(connection, found)
    return found


@contextmanager
def _told(found: Finding, what: str) -> Iterator[None]:
    """What SQLite can not read is a finding like others."""
    try:
        yield
    except (apsw.Error, ValueError, TypeError, LookupError, AttributeError) as error:
        found.complain(f"{what} can not be read to its end: {type(error).__name__}: {error}")


class _Bits:
    """A set of numbers, a bit for each that may come."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, number: int) -> None:
        missing = (number >> 3) + 1 - len(self._bytes)
        if missing > 0:
            self._bytes.extend(bytes(max(missing, 4096)))
        self._bytes[number >> 3] |= 1 << (number & 7)

    def take(self, number: object) -> bool:
        """Whether it was there; it is not any more."""
        if not isinstance(number, int) or not 0 <= number < len(self._bytes) * 8:
            return False
        byte, bit = number >> 3, 1 << (number & 7)
        there = bool(self._bytes[byte] & bit)
        self._bytes[byte] &= ~bit
        return there

    def left(self) -> Iterator[int]:
        filled = ((place, byte) for place, byte in enumerate(self._bytes) if byte)
        return (place * 8 + bit for place, byte in filled for bit in range(8) if byte >> bit & 1)


class _Entries:
    """One reading of the log, from its first entry to its last. vouching: the entries that rows have to point at."""

    def __init__(self, connection: apsw.Connection, found: Finding, checkpoints: Sequence[Checkpoint]) -> None:
        self._connection = connection
        self._found = found
        self._checkpoints = sorted(checkpoints, key=lambda checkpoint: checkpoint.size)
        self._tree = Frontier()
        self._held = 0
        self._whole = True
        self._suspect = -1
        self._succession = Succession(connection, ("index", "log_by_exchange") in schema(connection))
        self.vouching = _Bits()

    def read(self) -> None:
        self._hold()
        expected = 0
        sql = "SELECT number, CAST(entry AS BLOB), nodes FROM log ORDER BY number"
        [(count,)] = self._connection.execute("SELECT count(*) FROM log")
        for number, line, nodes in self._connection.execute(sql):
            if not 0 <= number < 2 * count + FAR:
                self._found.complain(f"entry {number}: there is no such place in a log of {count} entries")
                continue
            if number != expected:
                self._missing(expected, number)
            expected = number + 1
            self._found.entries += 1
            self._entry(number, line, nodes)
            if self._whole:
                self._grow(number, nodes)
        self._found.root = self._tree.root()
        for checkpoint in self._checkpoints[self._found.checkpoints :]:
            self._unheld(checkpoint, expected)

    def _missing(self, first: int, after: int) -> None:
        self._whole = False
        which = f"entry {first}" if after == first + 1 else f"entries {first} to {after - 1}"
        self._found.complain(f"{which}: missing")

    def _entry(self, number: int, line: bytes, nodes: bytes) -> None:
        if leaf_hash(line) != nodes[:HASH_BYTES]:
            self._suspect = number
            self._found.complain(f"entry {number}: it was changed; its hash is another one")
        try:
            said = parsed(line)
            stands, before, row = said["number"], said.get("before"), said.get("row")
            wrong = self._succession.complaint(said)
        except (ValueError, LookupError, TypeError, AttributeError):
            self._found.complain(f"entry {number}: it can not be read")
            return
        if wrong is not None:
            self._found.complain(f"entry {number}: {wrong}")
        if stands != number:
            self._found.complain(f"entry {number}: it says that it is entry {stands}")
        if before is not None and not self.vouching.take(before):
            self._found.complain(f"entry {number}: it follows entry {before}, which was not the last about its row")
        if row is not None:
            self.vouching.add(number)

    def _grow(self, number: int, nodes: bytes) -> None:
        """By the hash that is kept for the entry: one that was changed without it is told once, where it is."""
        filled = self._tree.push(nodes[:HASH_BYTES])
        if b"".join(filled) != nodes:
            first = self._first_of_wrong(number, filled, nodes)
            if self._suspect < first:
                which = f"entry {number}" if first == number else f"entries {first} to {number}"
                self._found.complain(f"{which}: changed, or out of order: their hashes do not fit together")
            self._suspect = number
        self._hold()

    @staticmethod
    def _first_of_wrong(number: int, filled: list[bytes], nodes: bytes) -> int:
        """The first entry below the lowest node that is not as kept."""
        kept = (nodes[level * HASH_BYTES :][:HASH_BYTES] for level in range(len(filled)))
        wrong = (level for level, (hash_, other) in enumerate(zip(filled, kept, strict=True)) if hash_ != other)
        return number + 1 - (1 << next(wrong, 0))

    def _hold(self) -> None:
        """Against the checkpoints of a log as large as what has been read."""
        for checkpoint in self._checkpoints[self._found.checkpoints :]:
            if checkpoint.size != self._tree.size:
                return
            self._found.checkpoints += 1
            if checkpoint.root == self._tree.root():
                self._held = checkpoint.size
            else:
                which = f"one of the entries {self._held} to {checkpoint.size - 1}"
                self._found.complain(f"{which} is not what it was for the checkpoint of {checkpoint.size} entries")

    def _unheld(self, checkpoint: Checkpoint, size: int) -> None:
        if checkpoint.size > size:
            which = f"entries {size} to {checkpoint.size - 1}"
            self._found.complain(
                f"{which}: missing; a checkpoint has {checkpoint.size}: the log was cut, or an older copy put back"
            )
        else:
            self._found.complain(f"the checkpoint of {checkpoint.size} entries can not be held against a log with gaps")


def _check_schema(connection: apsw.Connection, found: Finding) -> None:
    """Against that of a new file with the same migrations."""
    done, known = (
        {name for (name,) in connection.execute("SELECT name FROM migrations")},
        [name for name, _ in MIGRATIONS],
    )
    if unknown := done - set(known):
        found.complain(f"the schema: a newer version made it (migration {max(unknown)}), which has to verify it")
        return
    count = max((known.index(name) + 1 for name in done), default=0)
    for name in known[:count]:
        if name not in done:
            found.complain(f"the schema: the file does not say that {name} was made")
    there, ours = schema(connection), schema_after(count)
    for kind, name in sorted(there.keys() | ours.keys()):
        if (kind, name) not in ours:
            found.complain(f"the schema: the {kind} {name} is none of ours")
        elif there.get((kind, name)) != ours[kind, name]:
            found.complain(f"the schema: the {kind} {name} is {'changed' if (kind, name) in there else 'missing'}")


def _check_rows(connection: apsw.Connection, table: str, vouching: _Bits, found: Finding) -> None:
    columns = Log(connection).columns(table)
    sql = f"SELECT {columns}, (SELECT CAST(log.entry AS BLOB) FROM log WHERE number = {table}.entry) FROM {table}"  # noqa: S608
    cursor = connection.execute(sql)
    found.rows[table] = 0
    labels: list[str] | None = None
    for *values, line in cursor:
        labels = labels or names(cursor)
        row: dict[str, Any] = dict(zip(labels, values, strict=False))
        found.rows[table] += 1
        wrong = complaint(table, row, line)
        last = vouching.take(row["entry"])
        if wrong is None and not last:
            wrong = f"entry {row['entry']} of the log is not the last about it: it is from before, or there twice"
        wrong = wrong or end_complaint(table, row, parsed(line)["event"])
        if wrong is not None:
            found.complain(f"{named(table, row)}: {wrong}")


def _about(connection: apsw.Connection, number: int) -> str:
    try:
        said = parsed(Log(connection).line(number) or b"")
        return f" ({said['table'].removesuffix('s')} {said['id']})"
    except (ValueError, KeyError, TypeError, AttributeError, apsw.Error):
        return ""


def _check_file(connection: apsw.Connection, found: Finding) -> None:
    """SQLite's own look at the file, indexes included."""
    for (said,) in connection.execute(f"PRAGMA integrity_check({FLAWS_TOLD})"):
        if said != "ok":
            found.complain(f"the file: {said}")
