"""The keys in the SQLite file, what their owners spent, and how much is left of their rates."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import apsw

from firstpass.store import Level, Unit
from firstpass.store.keys import NOBODY, KeyRecord
from firstpass.store.scopes import decode_scopes, encode_scopes

COLUMNS = "id, name, digest, created_unix, revoked_unix, owner, not_before_unix, expires_unix, scopes"
"""In the order of KeyRecord's fields."""

ADD = f"INSERT INTO keys ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608

T = TypeVar("T")


class SqliteKeys:
    """The part of the SQLite store that is about keys."""

    _connection: apsw.Connection

    def _do(self, what: str, work: Callable[[], T]) -> T:
        raise NotImplementedError

    def _rows(self, what: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def add_key(self, key: KeyRecord) -> None:
        self._rows("add a key", ADD, *_row(key))

    def find_key(self, key_id: str) -> KeyRecord | None:
        rows = self._rows("find a key", f"SELECT {COLUMNS} FROM keys WHERE id = ?", key_id)  # noqa: S608
        found = self._records(rows or [_row(NOBODY)])[0]  # An unknown id takes as long as a known one.
        return found if rows else None

    def list_keys(self) -> list[KeyRecord]:
        return self._records(self._rows("list keys", f"SELECT {COLUMNS} FROM keys ORDER BY created_unix"))  # noqa: S608

    def _records(self, rows: list[tuple[Any, ...]]) -> list[KeyRecord]:
        return self._do("read a key", lambda: [replace(KeyRecord(*row), scopes=decode_scopes(row[-1])) for row in rows])

    def revoke_key(self, key_id: str, now_unix: float) -> bool:
        sql = "UPDATE keys SET revoked_unix = ? WHERE id = ? AND revoked_unix IS NULL AND"
        ended = self._rows(
            "revoke a key", f"{sql} ifnull(expires_unix > ?, TRUE) RETURNING id", now_unix, key_id, now_unix
        )
        return bool(ended)

    def rotate_key(self, old_id: str, key: KeyRecord, ends_unix: float) -> None:
        sql = "UPDATE keys SET expires_unix = min(ifnull(expires_unix, ?1), ?1) WHERE id = ?2"

        def work() -> None:
            with self._connection:
                self._connection.execute(ADD, _row(key))
                self._connection.execute(sql, (ends_unix, old_id))

        self._do("rotate a key", work)

    def add_spend(self, owner: str, day: str, usd: float, since: str, cap_usd: float | None) -> bool:
        """One statement, so that two fronts on one file can not both find room for what only one has room for."""
        sql = (
            "INSERT INTO spends SELECT ?1, ?2, ?3 WHERE ?5 IS NULL OR ?3 + "
            "(SELECT total(usd) FROM spends WHERE owner = ?1 AND day >= ?4) <= ?5 "
            "ON CONFLICT DO UPDATE SET usd = max(0, usd + excluded.usd) RETURNING usd"
        )
        return bool(self._rows("record a spend", sql, owner, day, usd, since, cap_usd))

    def spent(self, owner: str, since: str) -> float:
        sql = "SELECT total(usd) FROM spends WHERE owner = ? AND day >= ?"
        return float(self._rows("read spends", sql, owner, since)[0][0])

    def rates(self) -> dict[tuple[str, Unit], Level]:
        rows = self._rows("read rates", "SELECT owner, unit, level, at_unix FROM rates")
        return {(owner, unit): (level, at_unix) for owner, unit, level, at_unix in rows}

    def keep_rates(self, levels: Mapping[tuple[str, Unit], Level]) -> None:
        rows = [(*whose, *level) for whose, level in levels.items()]

        def work() -> None:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO rates VALUES (?, ?, ?, ?)", rows)

        self._do("keep rates", work)


def _row(key: KeyRecord) -> tuple[Any, ...]:
    span = (key.not_before_unix, key.expires_unix)
    return (
        key.id,
        key.name,
        key.digest,
        key.created_unix,
        key.revoked_unix,
        key.owner,
        *span,
        encode_scopes(key.scopes),
    )
