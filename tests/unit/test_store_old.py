"""Files of earlier versions: what was in them is there, vouched for, after each migration that came since."""

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from firstpass.chat import Message, Sampling
from firstpass.exchange import Answer, Ask, Exchange, Label
from firstpass.store.codec import encode
from firstpass.store.migrations import BOOK, MIGRATIONS
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import verify

OLD = Exchange(
    Ask("ex_old", 1.0, "chat", "m", "local", (Message("user", "hello"),), Sampling()), (), Answer(0, "draft"), 1.0
)
ROWS: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "0001_exchanges": (
        (
            "INSERT INTO exchanges VALUES (?, 1.0, 'm', NULL, NULL, 'draft', 200, 1.0, 3, 4, ?)",
            ("ex_old", encode(OLD)),
        ),
        ("INSERT INTO departures VALUES (1, 'ex_old', 'verifier.example', 2.0, 10, ?)", ("ab" * 32,)),
    ),
    "0002_keys": (("INSERT INTO keys VALUES ('aabbccdd', 'ci', ?, 1.0, NULL)", ("cd" * 32,)),),
    "0003_contracts": (("INSERT INTO contracts VALUES ('c@1', ?)", ("ef" * 32,)),),
    "0004_labels": (("INSERT INTO labels VALUES (1, 'ex_old', 'accept', 'user', 3.0, NULL, NULL)", ()),),
}
"""What a version wrote that had this migration as its last new one, and later ones kept. From 0005 on, the store's own
methods write, which the log vouches for."""


def old_file(path: Path, count: int) -> None:
    """As the version with the first so many migrations left it, with something in every table."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")
        connection.execute(BOOK)
        for name, script in MIGRATIONS[:count]:
            connection.execute(script)
            connection.execute("INSERT INTO migrations VALUES (?)", (name,))
            for sql, values in ROWS[name]:
                connection.execute(sql, values)


@pytest.mark.parametrize("count", range(1, len(ROWS) + 1))
def test_a_file_of_an_earlier_version_is_taken_over_with_all_that_is_in_it(tmp_path: Path, count: int) -> None:
    path = tmp_path / "store.sqlite"
    old_file(path, count)
    with closing(SqliteStore(path)) as store:
        assert store.read("ex_old") == OLD
        departure, *_ = reversed(store.entries("ex_old", 10))
        assert b'"event":"departure"' in departure and b'"sent' not in departure
        assert bool(store.find_key("aabbccdd")) == (count >= 2)
        assert store.hold_contract("c@1", "00" * 32) == ("ef" * 32 if count >= 3 else "00" * 32)
        assert store.labels("ex_old") == ([Label("ex_old", "accept", "user", 3.0)] if count >= 4 else [])
        store.add_label(Label("ex_old", "reject", "user", 4.0))
    assert verify(path, []).flaws == []


def test_a_file_of_the_version_before_keys_had_scopes_is_taken_over(tmp_path: Path) -> None:
    """Its rows have entries in the log already."""
    path = tmp_path / "store.sqlite"
    old_file(path, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("firstpass.store.opening.MIGRATIONS", MIGRATIONS[:5])
        SqliteStore(path).close()
    with closing(apsw.Connection(str(path))) as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM migrations")] == [m for m, _ in MIGRATIONS[:5]]
        assert not list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name IN ('spends', 'departures')"))
    with closing(SqliteStore(path)) as store:
        key = store.find_key("aabbccdd")
        assert key is not None and key.owner == "aabbccdd" and key.live(2.0)
        assert store.read("ex_old") == OLD
    assert verify(path, []).flaws == []


def test_a_migration_that_fails_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    old_file(path, 4)
    broken = (*MIGRATIONS[:5], ("0006_keys_scoped", "ALTER TABLE nowhere ADD COLUMN x TEXT"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Exception, match="nowhere"):
        patch.setattr("firstpass.store.opening.MIGRATIONS", broken)
        SqliteStore(path)
    with closing(apsw.Connection(str(path))) as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM migrations")] == list(ROWS)
    with closing(SqliteStore(path)) as store:
        assert store.read("ex_old") == OLD
