"""Whatever is changed in a record is found and said, against a checkpoint that was exported before."""

import json
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from firstpass.errors import StoreFailed
from firstpass.exchange import Label
from firstpass.store import whole_keys
from firstpass.store.keys import mint
from firstpass.store.log import IDS
from firstpass.store.merkle import leaf_hash
from firstpass.store.notes import Checkpoint
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import Finding, verify
from tests.unit.test_store import RECEIPT, WHOLE

TABLES = (*IDS, "log")
EXCHANGES = 9


def filled(path: Path) -> None:
    """A store with rows of every kind, some of them forgotten, revoked and purged."""
    with closing(SqliteStore(path)) as store:
        for number in range(EXCHANGES):
            exchange = f"ex_{number}"
            store.record_departure(exchange, RECEIPT)
            store.append(replace(WHOLE, ask=replace(WHOLE.ask, id=exchange, received_unix=float(number))))
            store.add_label(Label(exchange, "edit", "user", 3.0, text="better", key="k1"))
            store.hold_contract(f"contract@{number}", "ab" * 32)
            store.add_key(mint(f"key {number}", b"pepper", 1.0)[1])
        store.forget("ex_4")
        for key in store.list_keys()[:3]:
            store.revoke_key(key.id, 2.0)
        assert store.purge(2**40, before_unix=1.5) == 2


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    """The file, and the checkpoint that was taken of it."""
    path = tmp_path_factory.mktemp("verify") / "store.sqlite"
    filled(path)
    with closing(SqliteStore(path)) as store:
        size = store.size()
        return path, Checkpoint("-", size, store.root(size))


@pytest.fixture
def copy(original: tuple[Path, Checkpoint], tmp_path: Path) -> Path:
    return Path(shutil.copy(original[0], tmp_path / "copy.sqlite"))


def changed(path: Path, statement: str, *values: object) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(statement, values)


def test_an_untouched_record_holds(original: tuple[Path, Checkpoint]) -> None:
    path, checkpoint = original
    found = verify(path, [checkpoint])
    assert found.flaws == [] and found.checkpoints == 1 and found.root == checkpoint.root
    assert found.entries == checkpoint.size
    assert found.rows == {
        "exchanges": EXCHANGES - 2,
        "labels": EXCHANGES - 2,
        "keys": EXCHANGES,
        "contracts": EXCHANGES,
    }


def test_a_record_that_went_on_holds_against_all_that_was_signed_of_it(copy: Path) -> None:
    checkpoints = []
    with closing(SqliteStore(copy)) as store:
        for number in range(5):
            store.append(replace(WHOLE, ask=replace(WHOLE.ask, id=f"later_{number}")))
            checkpoints.append(Checkpoint("-", store.size(), store.root(store.size())))
    found = verify(copy, checkpoints[::-1])
    assert (found.flaws, found.checkpoints) == ([], 5)


Mutation = Callable[[apsw.Connection, random.Random], str]
"""Changes something, and says what for the message of a failure."""


def one(connection: apsw.Connection, dice: random.Random) -> tuple[str, int]:
    table = dice.choice(TABLES)
    rows = [row[0] for row in connection.execute(f"SELECT rowid FROM {table}")]  # noqa: S608
    return table, dice.choice(rows)


def flip(connection: apsw.Connection, dice: random.Random) -> str:
    """One bit of one value. The index would not take an entry that is no JSON any more."""
    connection.execute("DROP INDEX log_by_exchange")
    while True:
        table, row = one(connection, dice)
        columns = list(connection.execute(f"SELECT name, type FROM pragma_table_info('{table}')"))  # noqa: S608
        column, kind = dice.choice(columns)
        sql = f"SELECT CAST({column} AS BLOB), {column} FROM {table} WHERE rowid = ?"  # noqa: S608
        [(data, value)] = connection.execute(sql, (row,))
        if value is None:
            continue
        new, shown = flipped(data, kind, value, dice)
        try:
            connection.execute(f"UPDATE {table} SET {column} = {shown} WHERE rowid = ?", (new, row))  # noqa: S608
        except apsw.ConstraintError:
            continue
        return f"{table}.{column} of row {row}: {data!r} to {new!r}"


def flipped(data: bytes, kind: str, value: object, dice: random.Random) -> tuple[object, str]:
    """The new value, and how it is written into SQL."""
    if kind == "INTEGER":
        assert isinstance(value, int)
        return value ^ 1 << dice.randrange(16), "?"
    if kind == "REAL":
        assert isinstance(value, float)
        return value + 2.0 ** dice.randrange(-20, 20), "?"
    changed = bytearray(data)
    bit = dice.randrange(len(changed) * 8)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed), "CAST(? AS TEXT)" if kind == "TEXT" else "?"


def delete(connection: apsw.Connection, dice: random.Random) -> str:
    table, row = one(connection, dice)
    connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
    return f"delete {table} {row}"


def swap(connection: apsw.Connection, dice: random.Random) -> str:
    """Two rows of one table exchange their places, or all that they have but their names."""
    table = dice.choice(TABLES)
    name = IDS.get(table, "number")
    a, b = dice.sample([row[0] for row in connection.execute(f"SELECT {name} FROM {table}")], 2)  # noqa: S608
    there = "-1" if isinstance(a, int) else "'there'"
    for new, old in ((there, a), (repr(a), b)):
        connection.execute(f"UPDATE {table} SET {name} = {new} WHERE {name} = ?", (old,))  # noqa: S608
    connection.execute(f"UPDATE {table} SET {name} = ? WHERE {name} = {there}", (b,))  # noqa: S608
    return f"swap {table} {a} and {b}"


def truncate(connection: apsw.Connection, dice: random.Random) -> str:
    """The newest entries go, and every row that they vouch for."""
    size = next(connection.execute("SELECT count(*) FROM log"))[0]
    kept = dice.randrange(size)
    connection.execute("DELETE FROM log WHERE number >= ?", (kept,))
    for table in IDS:
        connection.execute(f"DELETE FROM {table} WHERE entry >= ?", (kept,))  # noqa: S608
    return f"cut to {kept} of {size}"


def duplicate(connection: apsw.Connection, dice: random.Random) -> str:
    table = dice.choice(("exchanges", "keys", "contracts"))
    name = IDS[table]
    columns = [row[0] for row in connection.execute(f"SELECT name FROM pragma_table_info('{table}')")]  # noqa: S608
    others = ", ".join(column for column in columns if column != name)
    [row] = dice.sample([row[0] for row in connection.execute(f"SELECT {name} FROM {table}")], 1)  # noqa: S608
    connection.execute(
        f"INSERT INTO {table} ({name}, {others}) SELECT 'new', {others} FROM {table} WHERE {name} = ?",  # noqa: S608
        (row,),
    )
    return f"duplicate {table} {row}"


def insert(connection: apsw.Connection, dice: random.Random) -> str:
    """An entry at the end that nobody appended: without the tree's nodes, which hash it."""
    size = next(connection.execute("SELECT count(*) FROM log"))[0]
    line = json.dumps({"number": size, "event": "purged", "table": "exchanges", "id": f"ex_{dice.randrange(9)}"})
    connection.execute("INSERT INTO log VALUES (?, ?, ?)", (size, line, leaf_hash(line.encode())))
    connection.execute("DELETE FROM log WHERE number = ?", (dice.randrange(size),))
    return "insert"


@pytest.mark.parametrize("kind", [flip, delete, swap, truncate, duplicate, insert])
def test_every_change_of_a_row_is_found(kind: Mutation, original: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    path, checkpoint = original
    dice, copy = random.Random(kind.__name__), tmp_path / "copy.sqlite"
    for _ in range(150 if kind is flip else 30):
        shutil.copy(path, copy)
        with closing(apsw.Connection(str(copy))) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            what = kind(connection, dice)
        assert verify(copy, [checkpoint]).flaws, what
        copy.unlink()


def test_every_change_of_a_byte_of_the_file_is_found_where_it_holds_something(
    original: tuple[Path, Checkpoint], tmp_path: Path
) -> None:
    """What is not found has changed nothing that a query of ours gives."""
    path, checkpoint = original
    data, dice, copy = path.read_bytes(), random.Random(7), tmp_path / "copy.sqlite"
    found = missed = 0
    for _ in range(120):
        changed = bytearray(data)
        place = dice.randrange(100, len(data))
        changed[place] ^= 1 << dice.randrange(8)
        copy.write_bytes(changed)
        try:
            flaws = verify(copy, [checkpoint]).flaws
        except StoreFailed:
            flaws = ["unreadable"]
        if flaws:
            found += 1
        else:
            missed += 1
            assert everything(copy) == everything(path), place
    assert found > 20


def test_a_schema_that_is_no_text_is_told(original: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    """It was read outside of what makes a finding of such a fault."""
    path, checkpoint = original
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(path.read_bytes().replace(b"prompt_tokens INTEGER", b"prompt_token\xf3 INTEGER"))
    assert verify(copy, [checkpoint]).flaws


def everything(path: Path) -> list[object]:
    with closing(apsw.Connection(str(path))) as connection:
        return [list(connection.execute(f"SELECT * FROM {table} ORDER BY 1")) for table in TABLES]  # noqa: S608


def flaws(path: Path, *checkpoints: Checkpoint) -> list[str]:
    return verify(path, checkpoints).flaws


def test_a_change_is_said_where_it_is(original: tuple[Path, Checkpoint], copy: Path) -> None:
    changed(copy, "UPDATE log SET entry = replace(entry, 'verifier.example', 'elsewhere.example') WHERE number = 0")
    assert flaws(copy, original[1]) == ["entry 0: it was changed; its hash is another one"]


def test_a_gap_is_said_where_it_is(original: tuple[Path, Checkpoint], copy: Path) -> None:
    changed(copy, "DELETE FROM log WHERE number IN (5, 6)")
    told = flaws(copy, original[1])
    assert told[0] == "entries 5 to 6: missing" and any("log with gaps" in flaw for flaw in told)


@pytest.mark.parametrize("number", [-5, 2**60])
def test_a_number_that_can_not_be_is_said_and_takes_no_memory(copy: Path, number: int) -> None:
    changed(copy, "UPDATE log SET number = ? WHERE number = 7", number)
    assert f"entry {number}: there is no such place" in " ".join(flaws(copy))


def test_an_older_copy_that_was_put_back_is_found(copy: Path, tmp_path: Path) -> None:
    older = shutil.copy(copy, tmp_path / "older.sqlite")
    with closing(SqliteStore(copy)) as store:
        before = store.size()
        store.append(replace(WHOLE, ask=replace(WHOLE.ask, id="later")))
        checkpoint = Checkpoint("-", store.size(), store.root(store.size()))
    assert flaws(copy, checkpoint) == [] and flaws(Path(older)) == []
    [told] = flaws(Path(older), checkpoint)
    assert told.startswith(f"entries {before} to {before}: missing") and "older copy" in told


def test_another_history_of_the_same_length_is_found_between_two_checkpoints(copy: Path, tmp_path: Path) -> None:
    """All hashes were made anew, as who has the disk can: only the checkpoint says that it was otherwise."""
    forged = Path(shutil.copy(copy, tmp_path / "forged.sqlite"))
    with closing(SqliteStore(copy)) as store:
        first = Checkpoint("-", store.size(), store.root(store.size()))
        store.append(replace(WHOLE, ask=replace(WHOLE.ask, id="later")))
        second = Checkpoint("-", store.size(), store.root(store.size()))
    with closing(SqliteStore(forged)) as store:
        store.append(replace(WHOLE, ask=replace(WHOLE.ask, id="other")))
    assert flaws(forged) == [] and flaws(forged, first) == []
    [told] = flaws(forged, second, first)
    assert told.startswith(f"one of the entries {first.size} to {second.size - 1} is not what it was")


def test_a_key_that_came_to_life_again_is_found_and_not_accepted(copy: Path) -> None:
    with closing(SqliteStore(copy)) as store:
        revoked = next(key.id for key in whole_keys(store.list_keys()) if key.revoked_unix is not None)
    changed(copy, "UPDATE keys SET revoked_unix = NULL WHERE id = ?", revoked)
    assert [flaw for flaw in flaws(copy) if revoked in flaw]
    with closing(SqliteStore(copy)) as store, pytest.raises(StoreFailed, match=f"key {revoked} is damaged"):
        store.find_key(revoked)


def test_a_row_from_before_with_the_entry_of_then_is_found(copy: Path) -> None:
    with closing(SqliteStore(copy)) as store:
        key = next(key for key in whole_keys(store.list_keys()) if key.revoked_unix is None)
        created = store._log.row("keys", key.id)
        assert created is not None and store.revoke_key(key.id, 9.0)
    changed(copy, "UPDATE keys SET revoked_unix = NULL, entry = ? WHERE id = ?", created["entry"], key.id)
    told = flaws(copy)
    assert any(f"key {key.id}: entry {created['entry']} of the log is not the last about it" in flaw for flaw in told)


def test_a_purged_exchange_is_no_flaw_and_a_missing_one_is_named(copy: Path) -> None:
    changed(copy, "DELETE FROM exchanges WHERE id = 'ex_5'")
    [told] = flaws(copy)
    assert "its row (exchange ex_5) is missing" in told


def test_many_flaws_are_counted_and_some_are_told(copy: Path) -> None:
    with closing(SqliteStore(copy)) as store:
        for number in range(120):
            store.hold_contract(f"many@{number}", "ab")
    changed(copy, "UPDATE contracts SET sha256 = 'other'")
    found = verify(copy, [])
    assert isinstance(found, Finding) and found.flaw_count >= 120 and len(found.flaws) == 100


def test_a_store_is_verified_while_it_is_written_to(copy: Path) -> None:
    with closing(SqliteStore(copy)) as store:
        store.record_departure("ex_9", RECEIPT)
        assert verify(copy, []).flaws == []
        store.record_departure("ex_9", RECEIPT)


def test_what_can_not_be_verified_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="can not be read"):
        verify(tmp_path / "none.sqlite", [])
    (tmp_path / "text.sqlite").write_text("no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(StoreFailed, match="not a database"):
        verify(tmp_path / "text.sqlite", [])
    with closing(apsw.Connection(str(tmp_path / "old.sqlite"))) as connection:
        connection.execute("CREATE TABLE exchanges (id TEXT)")
    with pytest.raises(StoreFailed, match="newer version"):
        verify(tmp_path / "old.sqlite", [])


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DROP INDEX exchanges_by_time", "the index exchanges_by_time is missing"),
        ("DELETE FROM migrations WHERE name = '0003_contracts'", "the file does not say that 0003_contracts was made"),
        ("INSERT INTO migrations VALUES ('9999_later')", "a newer version made it (migration 9999_later)"),
        ("CREATE VIEW seen AS SELECT 1", "the view seen is none of ours"),
        ("DROP TABLE keys; CREATE VIEW keys AS SELECT 1 AS id, 2 AS entry", "the table keys is missing"),
    ],
)
def test_another_schema_than_ours_is_said(copy: Path, statement: str, told: str) -> None:
    changed(copy, statement)
    assert told in " ".join(flaws(copy))


def test_a_table_without_what_it_needs_is_said_like_other_damage(copy: Path) -> None:
    changed(copy, "ALTER TABLE labels RENAME COLUMN number TO other")
    assert [flaw for flaw in flaws(copy) if flaw.startswith("labels can not be read to its end")]


def vouched(path: Path, event: str, table: str, statement: str, identity: str | int) -> list[str]:
    """What is told of a row that was changed by whoever also appended a well-formed entry about it."""
    with closing(SqliteStore(path)) as store:

        def work() -> None:
            store._connection.execute(statement)
            if event == "purged":
                store._log.remove(event, table, identity)
            else:
                store._log.vouch(event, table, identity)

        store._write("forge", work)
    return flaws(path)


REVOKED, LIVE = "revoked_unix IS NOT NULL", "revoked_unix IS NULL"


@pytest.mark.parametrize("event", ["exchange", "migrated", "forgotten", "key_revoked", "of no kind"])
def test_an_exchange_is_not_rewritten_by_an_entry_about_it(
    original: tuple[Path, Checkpoint], copy: Path, event: str
) -> None:
    told = vouched(copy, event, "exchanges", "UPDATE exchanges SET body = replace(body, 'launch', 'lunch')", "ex_5")
    assert f"entry {original[1].size}" in " ".join(told) or "exchange ex_5: it has words, and was forgotten" in told


def test_an_exchange_that_is_gone_does_not_come_back(original: tuple[Path, Checkpoint], copy: Path) -> None:
    with closing(SqliteStore(copy)) as store:
        store.append(replace(WHOLE, ask=replace(WHOLE.ask, id="ex_0", received_unix=99.0)))
    assert flaws(copy) == [f"entry {original[1].size}: exchange ex_0 begins a second time"]


@pytest.mark.parametrize("event", ["label", "migrated", "forgotten"])
def test_a_label_is_not_rewritten_by_an_entry_about_it(copy: Path, event: str) -> None:
    assert vouched(copy, event, "labels", "UPDATE labels SET verdict = 'accept' WHERE number = 6", 6)


@pytest.mark.parametrize("event", ["contract", "migrated", "forgotten", "purged"])
def test_what_a_contract_was_is_for_good(copy: Path, event: str) -> None:
    [told] = vouched(
        copy, event, "contracts", "UPDATE contracts SET sha256 = 'cd' WHERE pinned = 'contract@3'", "contract@3"
    )
    assert "contract@3" in told


@pytest.mark.parametrize("event", ["key_created", "migrated", "key_rotated", "key_revoked"])
@pytest.mark.parametrize("which", [REVOKED, LIVE])
def test_a_key_does_not_come_to_life_or_to_more_scopes_by_an_entry_about_it(copy: Path, event: str, which: str) -> None:
    with closing(SqliteStore(copy)) as store:
        [(key,), *_] = store._connection.execute(f"SELECT id FROM keys WHERE {which}")  # noqa: S608
    told = vouched(copy, event, "keys", f"UPDATE keys SET revoked_unix = NULL WHERE id = '{key}'", key)  # noqa: S608
    legal = which == LIVE and event == "key_rotated"
    assert legal == (told == []) and all(key in flaw for flaw in told)


def test_a_key_does_not_take_the_place_of_another(copy: Path) -> None:
    with closing(SqliteStore(copy)) as store:
        [(key,), *_] = store._connection.execute("SELECT id FROM keys WHERE revoked_unix IS NULL")
    [told] = vouched(copy, "key_rotated", "keys", f"UPDATE keys SET id = 'other' WHERE id = '{key}'", "other")  # noqa: S608
    assert "is about another row than key other" in told
