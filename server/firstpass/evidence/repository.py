"""An index of a repository's names and definitions, in one SQLite file. Knows no diff, no answer and no request."""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from firstpass.errors import BadIndex
from firstpass.evidence.diffs.identifiers import names_in_text
from firstpass.evidence.salience.frequencies import Frequencies
from firstpass.evidence.salience.vocabulary import words_of
from firstpass.evidence.sources import MOST_BYTES, is_file, sources, why_not, without_secrets
from firstpass.evidence.trees.definitions import Definition, definitions
from firstpass.evidence.trees.languages import host, in_code, language_of
from firstpass.evidence.trees.reading import Allowance

FORMAT = 2
PARSE_SECONDS = 2.0
BUSY_MILLISECONDS = 10_000
MOST_NAMES = 500
"""In one question; an answer has fewer."""

NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}", re.A)

_SCHEMA = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    sha256 BLOB NOT NULL, left_out TEXT
) STRICT;
CREATE TABLE root (path TEXT NOT NULL) STRICT;
CREATE TABLE names (
    name TEXT NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (name, file)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_file ON names (file);
CREATE TABLE definitions (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL, name TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE INDEX definitions_by_file ON definitions (file);
CREATE VIRTUAL TABLE words USING fts5(
    name, text, content = definitions, content_rowid = id, tokenize = "unicode61 tokenchars '_$'"
);
CREATE TRIGGER defined AFTER INSERT ON definitions BEGIN
    INSERT INTO words (rowid, name, text) VALUES (new.id, new.name, new.text);
END;
CREATE TRIGGER gone AFTER DELETE ON definitions BEGIN
    INSERT INTO words (words, rowid, name, text) VALUES ('delete', old.id, old.name, old.text);
END;
"""


_SCHEMA_2 = """
CREATE TABLE frequencies (word TEXT PRIMARY KEY, files INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
"""How many files have a word; made anew by each update that changes something."""

_STEPS = (_SCHEMA, _SCHEMA_2)
"""What brings an index from one version to the next."""


class Place(NamedTuple):
    """Where a name is defined."""

    path: str
    definition: Definition

    def __str__(self) -> str:
        return f"{self.path}:{self.definition.line}: {self.definition.text}"


@dataclass(slots=True)
class Changes:
    """What an update did, in files. left_out: not read, by reason."""

    read: int = 0
    same: int = 0
    gone: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


class RepositoryIndex:
    """One file; an update is one transaction, so readers see the repository before it or after it.

    Raises: BadIndex where the file can not be opened or is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._frequencies: tuple[tuple[int, int], Frequencies] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            self._connection = apsw.Connection(str(path))
            self._prepare()
        except (apsw.Error, OSError) as error:
            raise BadIndex(f"the index {path} can not be opened: {error}") from error

    def _prepare(self) -> None:
        self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        self._connection.execute("PRAGMA journal_mode = WAL")
        with self._connection:
            (version,) = next(self._connection.execute("PRAGMA user_version"))
            if version > FORMAT:
                raise BadIndex(f"the index was made by another version ({version}); remove it and make it again")
            for step in _STEPS[version:]:
                self._connection.execute(step)
            self._connection.execute(f"PRAGMA user_version = {FORMAT}")

    def update(self, root: Path, seen: Callable[[str], None] = lambda path: None) -> Changes:
        """Read what changed below root since the last time. seen: hears every path.

        Raises: BadIndex.
        """
        changes = Changes()
        try:
            with self._lock, self._connection:
                self._rows("DELETE FROM root")
                self._rows("INSERT INTO root VALUES (?)", str(root.resolve()))
                sql = "SELECT path, id, bytes, changed_ns, sha256 FROM files"
                known = {path: rest for path, *rest in self._rows(sql)}
                for path in sources(root):
                    seen(path)
                    self._update_file(root, path, known.pop(path, None), changes)
                for identity, *_ in known.values():
                    self._forget(identity)
                    changes.gone += 1
                if changes.read or changes.gone or not self._rows("SELECT 1 FROM frequencies LIMIT 1"):
                    self._count_words()
                changes.left_out.update(
                    dict(self._rows("SELECT left_out, count(*) FROM files WHERE left_out IS NOT NULL GROUP BY 1"))
                )
        except (apsw.Error, OSError) as error:
            raise BadIndex(f"{root} can not be indexed: {error}") from error
        return changes

    def _update_file(self, root: Path, path: str, known: Sequence[Any] | None, changes: Changes) -> None:
        """By size and time first, by content then: a checkout changes times alone."""
        try:
            status = (root / path).stat()
            if known and [status.st_size, status.st_mtime_ns] == list(known[1:3]):
                changes.same += 1
                return
            text = (root / path).read_bytes() if status.st_size <= MOST_BYTES else b""
        except OSError:
            changes.left_out["it can not be read"] += 1
            return
        digest = hashlib.sha256(text).digest()
        if known and digest == known[3] and status.st_size == known[1]:
            self._rows("UPDATE files SET changed_ns = ? WHERE id = ?", status.st_mtime_ns, known[0])
            changes.same += 1
            return
        if known:
            self._forget(known[0])
        reason = why_not(text) if status.st_size <= MOST_BYTES else f"more than {MOST_BYTES} bytes"
        ((identity,),) = self._rows(
            "INSERT INTO files (path, bytes, changed_ns, sha256, left_out) VALUES (?, ?, ?, ?, ?) RETURNING id",
            *(path, status.st_size, status.st_mtime_ns, digest, reason),
        )
        if reason is None:
            self._read(identity, path, text)
            changes.read += 1

    def _read(self, identity: int, path: str, text: bytes) -> None:
        text = without_secrets(text)
        names = ((name, identity) for name in names_in_text(text.decode("utf-8", "replace")))
        self._connection.executemany("INSERT INTO names VALUES (?, ?)", names)
        rows = ((identity, *one) for one in _definitions(path, text))
        self._connection.executemany("INSERT INTO definitions (file, name, line, text) VALUES (?, ?, ?, ?)", rows)

    def _count_words(self) -> None:
        """Of each file every word once, whatever the names that it is in."""
        counts = Counter[str]()
        rows = self._connection.execute("SELECT file, name FROM names ORDER BY file")
        for _, names in groupby(rows, key=itemgetter(0)):
            counts.update({word for _, name in names for word in words_of(str(name))})
        self._rows("DELETE FROM frequencies")
        self._connection.executemany("INSERT INTO frequencies VALUES (?, ?)", counts.items())

    def _forget(self, identity: int) -> None:
        for sql in ("names WHERE file", "definitions WHERE file", "files WHERE id"):
            self._rows(f"DELETE FROM {sql} = ?", identity)  # noqa: S608 - the three are written here

    def known(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the names that stand in any file."""
        asked = sorted(set(names))[:MOST_NAMES]
        marks = ", ".join("?" * len(asked))
        sql = f"SELECT DISTINCT name FROM names WHERE name IN ({marks})"  # noqa: S608 - question marks alone
        return frozenset(name for (name,) in self._asked(sql, *asked))

    def frequencies(self) -> Frequencies:
        """How common words are in the repository's files; read once for as long as the index stays the same."""
        ((others,),) = self._asked("PRAGMA data_version")
        version = others, self._connection.total_changes()
        if self._frequencies is None or self._frequencies[0] != version:
            counts: dict[str, int] = dict(self._asked("SELECT word, files FROM frequencies"))
            ((files,),) = self._asked("SELECT count(*) FROM files WHERE left_out IS NULL")
            self._frequencies = version, Frequencies(files, counts)
        return self._frequencies[1]

    def users(self, names: Iterable[str], but: Iterable[str], most: int = 4) -> dict[str, tuple[str, ...]]:
        """By name, paths of other files than `but` that have it, `most` of them; none where no other has."""
        left_out = set(but)
        sql = "SELECT path FROM names JOIN files ON files.id = names.file WHERE name = ? ORDER BY path LIMIT ?"
        found = {}
        for name in dict.fromkeys(names):
            paths = [path for (path,) in self._asked(sql, name, most + len(left_out)) if path not in left_out]
            found[name] = tuple(paths[:most])
        return found

    def defined(self, names: Iterable[str], most: int) -> list[Place]:
        """Where the names are defined, in the order of the names; of each as many as all get."""
        asked = list(dict.fromkeys(names))[:MOST_NAMES]
        each = max(1, most // max(1, len(asked)))
        return [place for name in asked for place in self._defined(name, each)][:most]

    def _defined(self, name: str, most: int) -> Iterator[Place]:
        sql = (
            "SELECT path, d.name, line, d.text FROM words JOIN definitions AS d ON d.id = words.rowid"
            " JOIN files ON files.id = d.file WHERE words MATCH ? AND d.name = ? ORDER BY path, line LIMIT ?"
        )
        quoted = name.replace('"', '""')
        for path, *definition in self._asked(sql, f'name : "{quoted}"', name, most):
            yield Place(path, Definition(*definition))

    def texts(self, paths: Iterable[str]) -> dict[str, str]:
        """What stands on the disk now, of those paths that are indexed; what can not be read is left out."""
        asked = sorted(set(paths))[:MOST_NAMES]
        marks = ", ".join("?" * len(asked))
        sql = f"SELECT path FROM files WHERE left_out IS NULL AND path IN ({marks})"  # noqa: S608 - question marks alone
        roots = self._asked("SELECT path FROM root")
        found = {path: _text(Path(roots[0][0]), path) for (path,) in self._asked(sql, *asked)} if roots else {}
        return {path: text for path, text in found.items() if text is not None}

    def size(self) -> tuple[int, int]:
        """(files that were read, definitions)"""
        ((files, found),) = self._asked(
            "SELECT (SELECT count(*) FROM files WHERE left_out IS NULL), (SELECT count(*) FROM definitions)"
        )
        return files, found

    def _asked(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._rows(sql, *values)
        except apsw.Error as error:
            raise BadIndex(f"the index can not be read: {error}") from error

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(sql, values))

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class Repositories:
    """The indexes of a folder by their names; one that is made while a server runs is there at its next request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[tuple[int, int], RepositoryIndex]] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in self._folder.glob("*.sqlite") if NAME.fullmatch(path.stem)))

    def path(self, name: str) -> Path:
        """Where the index of that name is kept. Raises: BadIndex for what can be no name."""
        if not NAME.fullmatch(name):
            raise BadIndex(f"{name!r} can not be an index's name: letters, digits, dots, dashes and underscores can")
        return self._folder / f"{name}.sqlite"

    def find(self, name: str) -> RepositoryIndex:
        """Opened once, and again where the file is another one. Raises: BadIndex, also where there is none."""
        path = self.path(name)
        try:
            status = path.stat()
        except OSError as error:
            raise BadIndex(f"there is no index of a repository {name!r}") from error
        file = status.st_dev, status.st_ino
        if name not in self._open or self._open[name][0] != file:
            self._open[name] = file, RepositoryIndex(path)
        return self._open[name][1]


def _text(root: Path, path: str) -> str | None:
    """None where it is gone, has grown too large, or would now be reached by a link."""
    try:
        if not is_file(root, path) or (root / path).stat().st_size > MOST_BYTES:
            return None
        return (root / path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _definitions(path: str, text: bytes) -> list[Definition]:
    """None where the file takes too long to parse."""
    name = language_of(path)
    assert name is not None, "only files that a grammar reads are indexed"
    code = in_code(name, text.decode("utf-8", "replace").split("\n"))
    if code is None:
        return []
    language, text = host(name), "\n".join((*code, "")).encode("utf-8", "replace")
    tree = Allowance(PARSE_SECONDS).parse(language, text)
    return list(definitions(language, tree, text)) if tree else []
