"""A copy of a store while a server writes to it, and a store from such a copy. It knows no settings and no terminal."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import apsw

from firstpass.errors import StoreFailed
from firstpass.store.files import SUFFIXES
from firstpass.store.log import heed_no_code
from firstpass.store.notes import Checkpoint
from firstpass.store.reasons import explained
from firstpass.store.verify import Finding, reading, verify


def back_up(store: Path, to: Path) -> Finding:
    """The store as it is at one moment, in one file that is whole or not there. Raises: StoreFailed."""
    if to.exists():
        raise StoreFailed(f"{to} is there already", part="store")
    draft = to.with_name(f"{to.name}.{os.getpid()}.part")
    try:
        with explained("be copied"):
            _copy(store, draft)
            found = _whole(draft, ())
            with draft.open("rb") as file:
                _name(file, draft, to)
            _sync(to)
    finally:
        draft.unlink(missing_ok=True)
    return found


def restore(backup: Path, store: Path, checkpoints: Sequence[Checkpoint]) -> tuple[Finding, Path | None]:
    """Put a copy of the backup in the store's place. Gives what was found in it, and where the store is that was there.

    Nothing is changed where the backup is damaged, is not what the checkpoints say, or somebody has the store open.
    Raises: StoreFailed.
    """
    draft = store.with_name(f"{store.name}.{os.getpid()}.part")
    with explained("be restored"):
        store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _copy(backup, draft)
            found = _whole(draft, checkpoints)
            aside = _set_aside(store, draft)
        finally:
            draft.unlink(missing_ok=True)
    return found, aside


def _copy(source: Path, to: Path) -> None:
    """Without a log beside it, so that it is one file. Its pages are those of the source."""
    os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with reading(source) as read, closing(apsw.Connection(str(to))) as made:
        heed_no_code(made)
        with made.backup("main", read, "main") as copying:
            copying.step()
        made.execute("PRAGMA journal_mode = DELETE")
    _sync(to)


def _whole(path: Path, checkpoints: Sequence[Checkpoint]) -> Finding:
    """Raises: StoreFailed where anything is wrong in it."""
    found = verify(path, checkpoints)
    if found.flaw_count:
        more = f" (and {found.flaw_count - 1} more)" if found.flaw_count > 1 else ""
        raise StoreFailed(f"the copy is damaged or was altered: {found.flaws[0]}{more}", part="store")
    return found


def _set_aside(store: Path, draft: Path) -> Path | None:
    """The draft in the store's place, from one moment to the next; the store is kept under another name."""
    if not store.exists():
        _place(draft, store)
        return None
    _write_its_log_back(store)
    aside = store.with_name(f"{store.name}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    with _to_itself(store) as file:
        _name(file, store, aside)
        for suffix in SUFFIXES[1:]:
            with suppress(FileNotFoundError):
                store.with_name(store.name + suffix).rename(aside.with_name(aside.name + suffix))
        _place(draft, store)
    return aside


def _name(file: BinaryIO, path: Path, to: Path) -> None:
    """A second name, or a copy where the file system knows no such thing (exFAT, SMB); it overwrites nothing.

    file: open at `path`, and at its beginning. The copy is of it: to open and close another handle would drop its lock.
    """
    try:
        os.link(path, to)
    except FileExistsError:
        raise
    except OSError:
        _copy_bytes(file, to)


def _copy_bytes(file: BinaryIO, to: Path) -> None:
    made = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(made, "wb") as copy:
            shutil.copyfileobj(file, copy)
        _sync(to)
    except BaseException:
        to.unlink()
        raise


def _place(draft: Path, store: Path) -> None:
    draft.rename(store)
    _sync(store)


def _write_its_log_back(store: Path) -> None:
    """What a crash left beside the file comes into it, if it can be read at all."""
    with suppress(apsw.Error), closing(apsw.Connection(str(store))) as connection:
        heed_no_code(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _to_itself(store: Path) -> Iterator[BinaryIO]:
    """While nobody else has the file open: SQLite holds a lock on it for as long as it is open in WAL mode.

    A damaged file has the lock too. Raises: StoreFailed.
    """
    with store.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"another process has {store} open: stop the server first"
            raise StoreFailed(message, part="store") from error
        yield file


def _sync(path: Path) -> None:
    """The file and its name."""
    for each in (path, path.parent):
        opened = os.open(each, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
