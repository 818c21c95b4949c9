"""The oldest exchanges go where the record is too large or they are too old. A few at a time: others wait meanwhile.

The log only grows, and does not count: where it alone was over the bound, every exchange would go and nothing be won.
"""

import apsw

from firstpass.store.codec import decode
from firstpass.store.index import Index
from firstpass.store.log import Log

BATCH = 10
BATCH_BYTES = 4 * 2**20
COUNT_ENTRIES = 100_000
"""Of the log, how many are measured in one turn."""
ENTRY_BYTES = 68
"""What an entry takes in the file beside its line and nodes, with its place in the index. Measured: 65 to 69."""

OLDEST = "SELECT id, received_unix, octet_length(body) FROM exchanges ORDER BY received_unix, rowid LIMIT ?"
COUNTS = "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
ENTRIES = (
    "SELECT count(*), total(octet_length(entry) + octet_length(nodes)), max(number) FROM"
    " (SELECT * FROM log WHERE number > ? ORDER BY number LIMIT ?)"
)


class Retention:
    """What was measured of the log, which does not change, is not measured again."""

    def __init__(self, connection: apsw.Connection, log: Log, index: Index) -> None:
        self._connection = connection
        self._log = log
        self._index = index
        self._last = -1
        self._log_bytes = 0

    def purge(self, keep_bytes: int, before_unix: float) -> int:
        """Delete a few of the oldest exchanges that have to go; gives how many. Within a transaction that writes."""
        gone = freed = 0
        over = self._bytes_over(keep_bytes)
        for exchange, received_unix, size in list(self._connection.execute(OLDEST, (BATCH,))):
            if received_unix >= before_unix and 2 * freed >= over:  # what they have in the index goes with them
                break
            self._purge_one(exchange)
            gone, freed = gone + 1, freed + size
            if freed > BATCH_BYTES:
                break
        if gone:
            self._index.compact(freed)
        return gone

    def _bytes_over(self, keep_bytes: int) -> int:
        """None yet where the log is not measured to its end: a later turn knows."""
        over = used_bytes(self._connection) - keep_bytes
        return over - self._log_bytes if over > 0 and self._measure_log() else 0

    def _measure_log(self) -> bool:
        """Some more of it; whether that was all."""
        [(count, size, last)] = self._connection.execute(ENTRIES, (self._last, COUNT_ENTRIES))
        self._log_bytes += int(size) + count * ENTRY_BYTES
        self._last = self._last if last is None else last
        return bool(count < COUNT_ENTRIES)

    def _purge_one(self, exchange: str) -> None:
        sql = "SELECT number FROM labels WHERE exchange_id = ?"
        for (number,) in list(self._connection.execute(sql, (exchange,))):
            self._log.remove("purged", "labels", number, exchange=exchange)
        self._unfind(exchange)
        self._log.remove("purged", "exchanges", exchange)

    def _unfind(self, exchange: str) -> None:
        row = self._log.row("exchanges", exchange)
        try:
            if row is not None:
                self._index.replace(self._log.birth(row["entry"]), decode(row["body"].decode()), None)
        except (ValueError, TypeError, AttributeError):
            self._index.begin_again(f"exchange {exchange} goes, which is damaged")


def used_bytes(connection: apsw.Connection) -> int:
    """Of the file, without its free pages."""
    [(pages, free, size)] = connection.execute(COUNTS)
    return (int(pages) - int(free)) * int(size)
