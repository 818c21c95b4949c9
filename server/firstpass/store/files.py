"""Whether the files of an open SQLite database are still those at their paths.

SQLite goes on with files that were deleted or replaced: what it writes is lost, and what others write it never sees. It
looks with stat alone: POSIX drops a process's locks on a file as soon as that process closes any handle of it.
"""

import os
from pathlib import Path

from firstpass.errors import StoreLost

SUFFIXES = ("", "-wal", "-shm")


class OpenFiles:
    """As they are when this is made: the database is open and in WAL mode, so that all three are there."""

    def __init__(self, path: Path) -> None:
        self._paths = [f"{path}{suffix}" for suffix in SUFFIXES]
        self._found = [identity(path) for path in self._paths]

    def check(self) -> None:
        """Raises: StoreLost."""
        for path, found in zip(self._paths, self._found, strict=True):
            if (now := identity(path)) != found or now is None:
                name, what = Path(path).name, "gone" if now is None else "another file than the one that is open"
                raise StoreLost(
                    f"{name} is {what}: nothing is recorded, and no key can be looked up, until it is put back"
                    " or this process is started again",
                    part="store",
                )


def identity(path: Path | str) -> tuple[int, int] | None:
    """Which file that is; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- it is asked for each request, and Path takes four times as long
    except OSError:
        return None
    return found.st_dev, found.st_ino
