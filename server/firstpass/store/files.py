"""Whether the files of an open SQLite database are still those at their paths.

SQLite goes on with files that were deleted or replaced: what it writes is lost, and what others write it never sees. It
looks with stat alone: POSIX drops a process's locks on a file as soon as that process closes any handle of it.
"""

from pathlib import Path

from firstpass.errors import StoreLost

SUFFIXES = ("", "-wal", "-shm")


class OpenFiles:
    """As they are when this is made: the database is open and in WAL mode, so that all three are there."""

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
        self._found = [identity(path) for path in self._paths]

    def check(self) -> None:
        """Raises: StoreLost."""
        for path, found in zip(self._paths, self._found, strict=True):
            if (now := identity(path)) != found or now is None:
                what = "gone" if now is None else "another file than the one that is open"
                raise StoreLost(
                    f"{path.name} is {what}: nothing is recorded, and no key can be looked up, until it is put back"
                    " or this process is started again",
                    part="store",
                )


def identity(path: Path) -> tuple[int, int] | None:
    """Which file that is; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
