"""A connection that only reads. In WAL mode it waits for no writer, of this process or another."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from firstpass.store import opening
from firstpass.store.files import OpenFiles
from firstpass.store.log import Log, heed_no_code
from firstpass.store.reasons import explained

T = TypeVar("T")


class Taken(Exception):
    """Another thread reads, and who asked would not wait for it."""


class Reader:
    """One caller at a time. files: of the store, which is open already. Raises: StoreFailed, StoreUnavailable."""

    def __init__(self, path: Path, files: OpenFiles) -> None:
        with explained("open"):
            self.connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            self.connection.set_busy_timeout(opening.BUSY_MILLISECONDS)
            heed_no_code(self.connection)
        self.log = Log(self.connection)
        self._files = files
        self._lock = threading.Lock()

    def do(self, what: str, work: Callable[[], T], *, waits: bool = True) -> T:
        """Raises: StoreFailed. Taken only where it does not wait."""
        if not self._lock.acquire(blocking=waits):
            raise Taken
        try:
            with explained(what):
                self._files.check()
                done = work()
                self._files.check()
                return done
        finally:
            self._lock.release()

    def rows(self, what: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.do(what, lambda: list(self.connection.execute(sql, values)))

    def close(self) -> None:
        with self._lock:
            self.connection.close()
