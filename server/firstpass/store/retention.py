"""The oldest exchanges go where the record is too large or they are too old. A few at a time: others wait meanwhile."""

import apsw

from firstpass.store.log import Log

BATCH = 50
BATCH_BYTES = 4 * 2**20

OLDEST = "SELECT id, received_unix, octet_length(body) FROM exchanges ORDER BY received_unix, rowid LIMIT ?"
COUNTS = "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"


def purge(connection: apsw.Connection, log: Log, keep_bytes: int, before_unix: float) -> int:
    """Delete a few of the oldest exchanges that have to go; gives how many. Within a transaction that writes."""
    gone = freed = 0
    for exchange, received_unix, size in list(connection.execute(OLDEST, (BATCH,))):
        if received_unix >= before_unix and used_bytes(connection) <= keep_bytes:
            break
        _purge_one(connection, log, exchange)
        gone, freed = gone + 1, freed + size
        if freed > BATCH_BYTES:
            break
    return gone


def used_bytes(connection: apsw.Connection) -> int:
    """Of the file, without its free pages."""
    [(pages, free, size)] = connection.execute(COUNTS)
    return (int(pages) - int(free)) * int(size)


def _purge_one(connection: apsw.Connection, log: Log, exchange: str) -> None:
    sql = "SELECT number FROM labels WHERE exchange_id = ?"
    for (number,) in list(connection.execute(sql, (exchange,))):
        log.remove("purged", "labels", number, exchange=exchange)
    log.remove("purged", "exchanges", exchange)
