"""The keys in the SQLite file, what their owners spent, and how much is left of their rates."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import apsw

from firstpass.errors import StoreFailed, StoreLost
from firstpass.store import Damaged, Level, Unit
from firstpass.store.keys import KeyRecord
from firstpass.store.log import Log
from firstpass.store.reader import Reader
from firstpass.store.scopes import decode_scopes, encode_scopes

COLUMNS = tuple(field.name for field in fields(KeyRecord))

ADD = f"INSERT INTO keys ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608

T = TypeVar("T")


class SqliteKeys:
    """The part of the SQLite store that is about keys."""

    _connection: apsw.Connection
    _log: Log
    _reader: Reader

    def _write(self, what: str, work: Callable[[], T]) -> T:
        raise NotImplementedError

    def add_key(self, key: KeyRecord) -> None:
        self._write("add a key", lambda: self._add_key(key))

    def _add_key(self, key: KeyRecord) -> None:
        self._connection.execute(ADD, _row(key))
        self._log.vouch("key_created", "keys", key.id)

    def find_key(self, key_id: str, *, waits: bool = True) -> KeyRecord | None:
        return self._reader.do("find a key", lambda: _key(self._reader.log.checked("keys", key_id)), waits=waits)

    def list_keys(self) -> list[KeyRecord | Damaged]:
        ids = self._reader.rows("list keys", "SELECT CAST(id AS BLOB) FROM keys ORDER BY created_unix")
        listed = (self._listed_key(bytes(key_id).decode(errors="replace")) for (key_id,) in ids)
        return [key for key in listed if key is not None]

    def _listed_key(self, key_id: str) -> KeyRecord | Damaged | None:
        try:
            return self.find_key(key_id) or Damaged(key_id, f"key {key_id} can not be found by its id")
        except StoreLost:
            raise
        except StoreFailed as error:
            return Damaged(key_id, str(error))

    def revoke_key(self, key_id: str, now_unix: float) -> bool:
        return self._write("revoke a key", lambda: self._revoke_key(key_id, now_unix))

    def _revoke_key(self, key_id: str, now_unix: float) -> bool:
        """One that is damaged is revoked whatever its row says, and the log says that it was damaged."""
        damaged = self._is_damaged(key_id) or None
        live = "?3 OR revoked_unix IS NULL AND ifnull(expires_unix > ?1, TRUE)"
        sql = f"UPDATE keys SET revoked_unix = ?1 WHERE id = ?2 AND ({live}) RETURNING id"  # noqa: S608
        revoked = list(self._connection.execute(sql, (now_unix, key_id, bool(damaged))))
        for (identity,) in revoked:
            self._log.vouch("key_revoked", "keys", identity, damaged=damaged)
        return bool(revoked)

    def _is_damaged(self, key_id: str) -> bool:
        try:
            self._log.checked("keys", key_id)
        except StoreFailed:
            return True
        return False

    def rotate_key(self, old_id: str, key: KeyRecord, ends_unix: float) -> None:
        self._write("rotate a key", lambda: self._rotate_key(old_id, key, ends_unix))

    def _rotate_key(self, old_id: str, key: KeyRecord, ends_unix: float) -> None:
        old = self._log.checked("keys", old_id)
        if old is None or old["revoked_unix"] is not None:
            raise ValueError(f"{old_id} is no live key any more")
        self._add_key(key)
        sql = "UPDATE keys SET expires_unix = min(ifnull(expires_unix, ?1), ?1) WHERE id = ?2"
        self._connection.execute(sql, (ends_unix, old_id))
        self._log.vouch("key_rotated", "keys", old_id)

    def add_spend(self, owner: str, day: str, usd: float, since: str, cap_usd: float | None) -> bool:
        """One statement, so that two fronts on one file can not both find room for what only one has room for."""
        sql = (
            "INSERT INTO spends SELECT ?1, ?2, ?3 WHERE ?5 IS NULL OR ?3 + "
            "(SELECT total(usd) FROM spends WHERE owner = ?1 AND day >= ?4) <= ?5 "
            "ON CONFLICT DO UPDATE SET usd = max(0, usd + excluded.usd) RETURNING usd"
        )
        values = (owner, day, usd, since, cap_usd)
        return self._write("record a spend", lambda: bool(list(self._connection.execute(sql, values))))

    def spent(self, owner: str, since: str) -> float:
        sql = "SELECT total(usd) FROM spends WHERE owner = ? AND day >= ?"
        return float(self._reader.rows("read spends", sql, owner, since)[0][0])

    def rates(self) -> dict[tuple[str, Unit], Level]:
        rows = self._reader.rows("read rates", "SELECT owner, unit, level, at_unix FROM rates")
        return {(owner, unit): (level, at_unix) for owner, unit, level, at_unix in rows}

    def keep_rates(self, levels: Mapping[tuple[str, Unit], Level]) -> None:
        rows = [(*whose, *level) for whose, level in levels.items()]

        def work() -> None:
            self._connection.executemany("INSERT OR REPLACE INTO rates VALUES (?, ?, ?, ?)", rows)

        self._write("keep rates", work)


def _key(row: dict[str, Any] | None) -> KeyRecord | None:
    if row is None:
        return None
    return KeyRecord(**{name: row[name] for name in COLUMNS} | {"scopes": decode_scopes(row["scopes"])})


def _row(key: KeyRecord) -> tuple[Any, ...]:
    return tuple(encode_scopes(key.scopes) if name == "scopes" else getattr(key, name) for name in COLUMNS)
