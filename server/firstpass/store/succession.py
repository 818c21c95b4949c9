"""What may follow what in the log about one row. An entry that breaks this is none that this program writes."""

from typing import Any

import apsw

from firstpass.store.codec import decode, forgotten
from firstpass.store.log import IDS, parsed

MIGRATED = "migrated"
BIRTHS = {"exchanges": "exchange", "labels": "label", "keys": "key_created", "contracts": "contract"}
"""The event with which a row begins; with `migrated` begins one that an older version made."""

AFTER = {
    "exchanges": {
        "exchange": {"forgotten", "purged"},
        MIGRATED: {"forgotten", "purged"},
        "forgotten": {"forgotten", "purged"},
    },
    "labels": {"label": {"forgotten", "purged"}, MIGRATED: {"forgotten", "purged"}, "forgotten": {"purged"}},
    "keys": {
        "key_created": {"key_rotated", "key_revoked"},
        MIGRATED: {MIGRATED, "key_rotated", "key_revoked"},
        "key_rotated": {"key_rotated", "key_revoked"},
    },
    "contracts": {},
}
"""By table: which events may follow an event."""

EARLIER = (
    "SELECT 1 FROM log WHERE coalesce(entry ->> 'exchange', entry ->> 'id') = ?1 AND number < ?2"
    " AND entry ->> 'table' = ?3 AND entry ->> 'id' = ?4 LIMIT 1"
)


class Succession:
    """Told of the entries in their order. has_index: whether what was said of a row can be looked up."""

    def __init__(self, connection: apsw.Connection, has_index: bool) -> None:
        self._connection = connection
        self._has_index = has_index
        self._begun = False

    def complaint(self, said: dict[str, Any]) -> str | None:
        """What is wrong with an entry that comes next; None if nothing is. Raises: LookupError, TypeError, ValueError
        for one that can't be read."""
        event, table = said["event"], said.get("table")
        late, self._begun = self._begun, self._begun or event not in ("departure", MIGRATED)
        if table is None and said.get("row") is None and said.get("before") is None:
            return None
        if table not in IDS:
            return f"there are no rows of {table!r}"
        if said.get("damaged"):
            return f"{_row(said)} was damaged when it was revoked"
        if (event == "purged") == (said.get("row") is not None):
            return f"{event!r} of {_row(said)}, and its row is {'there' if event == 'purged' else 'gone'}"
        if event == MIGRATED and late:
            return f"{_row(said)} is migrated long after the log began"
        return self._begins(said) if said.get("before") is None else self._follows(said)

    def _begins(self, said: dict[str, Any]) -> str | None:
        table, event = said["table"], said["event"]
        if event not in (BIRTHS[table], MIGRATED):
            return f"{event!r} of {_row(said)}, which nothing was said of before"
        about = (said.get("exchange", said["id"]), said["number"], table, said["id"])
        if self._has_index and list(self._connection.execute(EARLIER, about)):
            return f"{_row(said)} begins a second time"
        return None

    def _follows(self, said: dict[str, Any]) -> str | None:
        table, event, number = said["table"], said["event"], said["before"]
        found = list(self._connection.execute("SELECT CAST(entry AS BLOB) FROM log WHERE number = ?", (number,)))
        if not found:
            return None  # which is told as a gap
        before = parsed(found[0][0])
        if (before.get("table"), before.get("id")) != (table, said["id"]):
            return f"it follows entry {number}, which is about another row than {_row(said)}"
        if event not in AFTER[table].get(before["event"], ()):
            return f"{event!r} of {_row(said)}, which can not follow {before['event']!r} in entry {number}"
        return None


def end_complaint(table: str, row: dict[str, Any], event: str) -> str | None:
    """What a row still has, though the last event about it took that away.

    A version that forgets more than this one has to forget it in the rows that are forgotten already.
    """
    if event == "key_revoked" and row["revoked_unix"] is None:
        return "it is live, and was revoked"
    if event == "forgotten" and table == "labels" and row["text"] is not None:
        return "it has a text, and was forgotten"
    if event == "forgotten" and table == "exchanges" and _has_words(row["body"]):
        return "it has words, and was forgotten"
    return None


def _has_words(body: bytes) -> bool:
    try:
        exchange = decode(body.decode())
    except ValueError:
        return True
    return exchange != forgotten(exchange)


def _row(said: dict[str, Any]) -> str:
    return f"{said['table'].removesuffix('s')} {said['id']}"
