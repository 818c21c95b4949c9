"""Why the store could not do something, as an error for its callers. It knows no statement and no table."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from firstpass.errors import StoreFailed, StoreUnavailable

RETRY_SECONDS = 5

PASSING = (
    *(apsw.FullError, apsw.ReadOnlyError, apsw.IOError, apsw.BusyError, apsw.LockedError),
    *(apsw.CantOpenError, apsw.PermissionsError),
)
"""The disk is full, read-only or broken, or another process holds the file. It may pass."""


def reason(what: str, error: Exception) -> Exception:
    """What to raise where the store could not do `what`. Errors that are none of SQLite's or the system's stay."""
    if isinstance(error, apsw.CorruptError):
        return StoreFailed(f"the store is damaged ({error}); `firstpass audit verify` says where", part="store")
    message = f"the store could not {what}: {error}"
    if isinstance(error, PASSING):
        return unavailable(message)
    return StoreFailed(message, part="store") if isinstance(error, apsw.Error | OSError | ValueError) else error


def unavailable(message: str) -> StoreUnavailable:
    return StoreUnavailable(message, part="store", retry_after_seconds=RETRY_SECONDS)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raises: StoreFailed, StoreUnavailable where the file or the disk is at fault."""
    try:
        yield
    except (apsw.Error, OSError, ValueError) as error:
        raise reason(what, error) from error
