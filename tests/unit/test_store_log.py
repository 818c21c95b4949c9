"""The store and its log: one transaction, whatever the disk does; damage and lost files are noticed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from firstpass.errors import StoreFailed, StoreLost
from firstpass.exchange import Exchange, Label
from firstpass.store import Damaged, retention
from firstpass.store.keys import mint
from firstpass.store.merkle import is_included, leaf_hash
from firstpass.store.migrations import MIGRATIONS
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import verify
from tests.unit.test_store import RECEIPT, SECRET_TEXT, WHOLE


def exchange(number: int, words: str = SECRET_TEXT) -> Exchange:
    messages = (replace(WHOLE.ask.messages[0], content=words),)
    return replace(WHOLE, ask=replace(WHOLE.ask, id=f"ex_{number}", received_unix=float(number), messages=messages))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        yield opened


def said(store: SqliteStore, about: str | None = None) -> list[dict[str, object]]:
    """Oldest first."""
    return [json.loads(line) for line in reversed(store.entries(about, 1000))]


def test_everything_that_is_kept_and_goes_has_an_entry(store: SqliteStore, path: Path) -> None:
    receipt = replace(RECEIPT, path="/v1/chat", model="m", why="verify", ceiling="any", key="k1", redacted={"AWS": 2})
    store.record_departure("ex_1", receipt)
    store.append(exchange(1))
    store.add_label(Label("ex_1", "edit", "user", 3.0, text=SECRET_TEXT))
    store.forget("ex_1")
    store.purge(2**40, before_unix=2.0)
    _, key = mint("ci", b"pepper", 1.0)
    store.add_key(key)
    store.revoke_key(key.id, 2.0)
    store.hold_contract("pr-summary@1", "ab")
    entries = said(store)
    assert [entry["number"] for entry in entries] == list(range(10))
    assert [(entry["event"], entry.get("table")) for entry in entries] == [
        ("departure", None),
        ("exchange", "exchanges"),
        ("label", "labels"),
        ("forgotten", "exchanges"),
        ("forgotten", "labels"),
        ("purged", "labels"),
        ("purged", "exchanges"),
        ("key_created", "keys"),
        ("key_revoked", "keys"),
        ("contract", "contracts"),
    ]
    left = {name: entries[0][name] for name in ("host", "path", "model", "why", "ceiling", "key", "redacted", "bytes")}
    assert left == {
        "host": "verifier.example",
        "path": "/v1/chat",
        "model": "m",
        "why": "verify",
        "ceiling": "any",
        "key": "k1",
        "redacted": {"AWS": 2},
        "bytes": 10,
    }
    assert entries[0]["sha256"] == RECEIPT.sha256 and entries[0]["time"] == RECEIPT.sent_unix
    assert [entry["number"] for entry in said(store, "ex_1")] == list(range(7))
    assert verify(path, []).flaws == []


def test_no_word_of_a_caller_is_in_the_log(store: SqliteStore) -> None:
    store.append(exchange(1))
    store.add_label(Label("ex_1", "edit", "user", 3.0, text=SECRET_TEXT))
    assert SECRET_TEXT not in str(said(store))


def test_an_entry_is_proved_to_be_in_the_log(store: SqliteStore) -> None:
    for number in range(7):
        store.record_departure(f"ex_{number}", RECEIPT)
    for number in range(7):
        proof = store.prove(number)
        assert proof is not None and proof.leaf == leaf_hash(proof.line)
        assert is_included(proof.leaf, number, proof.size, proof.hashes, proof.root) and proof.root == store.root(7)
    assert store.prove(7) is None


def test_what_is_damaged_in_the_log_is_not_proved(store: SqliteStore) -> None:
    store.record_departure("ex_1", RECEIPT)
    store._connection.execute("UPDATE log SET entry = replace(entry, 'verifier', 'attacker')")
    with pytest.raises(StoreFailed, match="entry 0 of the log is damaged"):
        store.prove(0)


def test_many_processes_append_to_one_log(path: Path) -> None:
    SqliteStore(path).close()
    code = (
        "import sys, pathlib\nfrom firstpass.store.sqlite import SqliteStore\n"
        "from firstpass.exchange import Receipt\nstore = SqliteStore(pathlib.Path(sys.argv[1]))\n"
        "for number in range(20): store.record_departure(f'ex_{number}', Receipt('h', 1.0, 2, 'ab'))"
    )
    command = [sys.executable, "-c", code, str(path)]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in started] == [b""] * 3
    found = verify(path, [])
    assert found.flaws == [] and found.entries == 60


@contextmanager
def full(store: SqliteStore, path: Path) -> Iterator[str]:
    [(pages,)] = store._connection.execute("PRAGMA page_count")
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    yield "full"


@contextmanager
def read_only(store: SqliteStore, path: Path) -> Iterator[str]:
    store._connection.execute("PRAGMA query_only = ON")
    yield "readonly"


@contextmanager
def locked(store: SqliteStore, path: Path) -> Iterator[str]:
    store._connection.set_busy_timeout(20)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        yield "locked"


@pytest.mark.parametrize("trouble", [full, read_only, locked])
def test_what_can_not_be_written_is_said_and_nothing_of_it_stays(
    store: SqliteStore, path: Path, trouble: object
) -> None:
    store.append(exchange(1))
    before = said(store)
    assert callable(trouble)
    with trouble(store, path) as why:
        with pytest.raises(StoreFailed, match=f"record a departure.*{why}"):
            for _ in range(100):
                store.record_departure("ex_1", replace(RECEIPT, path="p" * 1000))
        with pytest.raises(StoreFailed, match=why):
            store.append(exchange(2, "w" * 9000))
    assert store.read("ex_2") is None and said(store)[: len(before)] == before
    assert verify(path, []).flaws == []


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_deleted_or_replaced_is_noticed_at_once(path: Path, suffix: str, replaced: bool) -> None:
    """Records were lost in silence, and a revoked key went on to work."""
    store = SqliteStore(path)
    _, key = mint("ci", b"pepper", 1.0)
    store.add_key(key)
    gone = path.with_name(path.name + suffix)
    if replaced:
        shutil.copy(gone, path.with_name("other"))
        path.with_name("other").replace(gone)
    else:
        gone.unlink()
    calls = [
        lambda: store.find_key(key.id),
        lambda: store.append(exchange(1)),
        lambda: store.record_departure("ex_1", RECEIPT),
        lambda: store.latest(1),
        store.check,
    ]
    for call in calls:
        with pytest.raises(StoreLost, match=f"{gone.name} is {'another file' if replaced else 'gone'}"):
            call()
    assert StoreLost.status == 503
    store.close()


def test_a_store_that_is_closed_leaves_the_files_that_took_the_place_of_its_own(path: Path) -> None:
    """The last to close deletes the write-ahead log by its name."""
    old = SqliteStore(path)
    old.append(exchange(1))
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    with closing(SqliteStore(path)) as new:
        new.append(exchange(2))
        old.close()
        new.append(exchange(3))
        assert [type(each) for each in new.latest(9)] == [Exchange, Exchange]


def test_what_is_put_back_is_used_again(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    path.rename(tmp_path / "aside")
    with pytest.raises(StoreLost):
        store.append(exchange(1))
    (tmp_path / "aside").rename(path)
    store.append(exchange(1))
    assert store.read("ex_1") is not None


def test_a_data_directory_that_is_gone_is_noticed(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    tmp_path.rename(tmp_path.with_name("unmounted"))
    try:
        with pytest.raises(StoreLost):
            store.find_key("k")
    finally:
        tmp_path.with_name("unmounted").rename(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE exchanges SET body = 'nonsense' WHERE id = 'ex_1'",
        "UPDATE exchanges SET body = replace(body, 'launch', 'lunch') WHERE id = 'ex_1'",
        "UPDATE exchanges SET body = CAST(x'ff' || CAST(body AS BLOB) AS TEXT) WHERE id = 'ex_1'",
        "UPDATE exchanges SET status = 201 WHERE id = 'ex_1'",
        "UPDATE exchanges SET entry = 0 WHERE id = 'ex_1'",
        "UPDATE exchanges SET entry = NULL WHERE id = 'ex_1'",
        "DELETE FROM log WHERE number = 1",
    ],
)
def test_one_bad_row_is_told_and_hides_no_other(store: SqliteStore, damage: str) -> None:
    for number in range(3):
        store.append(exchange(number))
    store._connection.execute(damage)
    newest, bad, oldest = store.latest(9)
    assert isinstance(newest, Exchange) and isinstance(oldest, Exchange)
    assert isinstance(bad, Damaged) and bad.id == "ex_1" and "exchange ex_1 is damaged" in bad.why
    with pytest.raises(StoreFailed, match="ex_1 is damaged"):
        store.read("ex_1")


def test_a_damaged_page_is_told_and_hides_no_other(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        for number in range(20):
            store.append(exchange(number, f"word{number} " * 900))
    data = path.read_bytes()
    place = data.index(b"word7 word7")
    path.write_bytes(data[: place - 300] + bytes(600) + data[place + 300 :])
    with closing(SqliteStore(path)) as store:
        listed = store.latest(99)
        bad = [each for each in listed if isinstance(each, Damaged)]
        assert len(listed) == 20 and 1 <= len(bad) <= 2
    assert verify(path, []).flaws


def test_labels_and_contracts_are_checked_like_exchanges(store: SqliteStore) -> None:
    store.append(exchange(1))
    store.add_label(Label("ex_1", "reject", "user", 3.0))
    store.hold_contract("c@1", "ab")
    store._connection.execute("UPDATE labels SET verdict = 'accept'")
    store._connection.execute("UPDATE contracts SET sha256 = 'cd'")
    with pytest.raises(StoreFailed, match="label 1 is damaged"):
        store.labels("ex_1")
    with pytest.raises(StoreFailed, match="contract c@1 is damaged"):
        store.hold_contract("c@1", "ab")


def test_a_damaged_exchange_is_left_out_of_what_labels_tell_and_named(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2):
        store.append(exchange(number))
        store.add_label(Label(f"ex_{number}", "accept", "user", 3.0))
    store._connection.execute("UPDATE exchanges SET seconds = 9 WHERE id = 'ex_0'")
    assert [found.ask.id for found, _ in store.labelled("user")] == ["ex_1"]
    assert "exchange ex_0 is damaged" in caplog.text


def test_a_record_of_an_older_version_gets_its_log(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY) STRICT")
        for name, script in MIGRATIONS[:4]:
            connection.execute(script)
            connection.execute("INSERT INTO migrations VALUES (?)", (name,))
        row = ("ex_1", 1.0, "m", None, None, "draft", 200, 1.5, 3, 4)
        with closing(SqliteStore(path.with_name("other"))) as other:
            other.append(WHOLE)
            [(body,)] = other._connection.execute("SELECT body FROM exchanges")
        connection.execute("INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, body))
        connection.execute("INSERT INTO departures VALUES (1, 'ex_1', 'verifier.example', 2.0, 10, 'abab')")
        connection.execute("INSERT INTO labels VALUES (1, 'ex_1', 'accept', 'user', 3.0, NULL, NULL)")
        connection.execute("INSERT INTO keys VALUES ('k1', 'ci', 'ab', 1.0, 2.0)")
        connection.execute("INSERT INTO contracts VALUES ('c@1', 'ab')")
    with closing(SqliteStore(path)) as store:
        events = [(entry["event"], entry.get("exchange") or entry.get("id")) for entry in said(store)]
        assert events == [
            ("departure", "ex_1"),
            ("migrated", "ex_1"),
            ("migrated", 1),
            ("migrated", "k1"),
            ("migrated", "c@1"),
            ("migrated", "k1"),
        ]
        assert store.read("ex_1") is not None and store.labels("ex_1") == [Label("ex_1", "accept", "user", 3.0)]
        assert store.forget("ex_1")
    assert verify(path, []).flaws == []


def test_a_column_that_another_process_adds_is_vouched_for_from_then_on(store: SqliteStore, path: Path) -> None:
    store.hold_contract("c@1", "ab")
    with closing(apsw.Connection(str(path))) as other:
        other.execute("ALTER TABLE contracts ADD COLUMN more TEXT")
    assert store.hold_contract("c@1", "cd") == "ab", "a column without a value changes no digest"
    store.hold_contract("c@2", "ab")
    store._connection.execute("UPDATE contracts SET more = 'x'")
    assert len([flaw for flaw in verify(path, []).flaws if flaw.startswith("contract")]) == 2


def test_the_oldest_go_until_the_record_is_small_enough_and_the_disk_has_its_space_back(
    store: SqliteStore, path: Path
) -> None:
    for number in range(20):
        store.append(exchange(number, f"{number} " * 40_000))
        store.add_label(Label(f"ex_{number}", "edit", "user", 3.0, text=SECRET_TEXT))
    large = sum(file.stat().st_size for file in path.parent.iterdir())
    bound = 600_000
    calls = 0
    while store.purge(bound, before_unix=0.0):
        calls += 1
    kept = [each.ask.id for each in store.latest(99) if isinstance(each, Exchange)]
    assert calls > 0 and 0 < len(kept) < 20 and kept == [f"ex_{n}" for n in range(19, 19 - len(kept), -1)]
    assert large > 1_500_000 and path.stat().st_size <= bound + log_bytes(store)
    assert store.labels("ex_0") == [] and store.labels("ex_19") != []
    assert b"0 0 0 0 0 0" not in b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert verify(path, []).flaws == []


def test_the_old_go_by_their_age_alone(store: SqliteStore) -> None:
    for number in range(5):
        store.append(exchange(number))
    assert store.purge(2**40, before_unix=3.0) == 3 and store.purge(2**40, before_unix=3.0) == 0
    assert [each.ask.id for each in store.latest(9) if isinstance(each, Exchange)] == ["ex_4", "ex_3"]
    assert [entry["id"] for entry in said(store) if entry["event"] == "purged"] == ["ex_0", "ex_1", "ex_2"]


def test_one_turn_of_purging_is_short(store: SqliteStore) -> None:
    for number in range(30):
        store.append(exchange(number, "x"))
    assert store.purge(2**40, before_unix=99.0) == 10
    store.purge(2**40, before_unix=99.0)
    for number in range(100, 103):
        store.append(exchange(number, "x" * 3 * 2**20))
    assert [store.purge(2**40, before_unix=999.0) for _ in range(3)] == [10, 2, 1]


TRIGGER = "CREATE TRIGGER quiet BEFORE INSERT ON log BEGIN SELECT RAISE(IGNORE); END"
SWALLOWING = """
    CREATE TABLE other (number INTEGER PRIMARY KEY, entry, nodes, one INT AS (1) UNIQUE ON CONFLICT IGNORE);
    INSERT INTO other SELECT * FROM log;
    DROP TABLE log;
    ALTER TABLE other RENAME TO log
"""
"""A table that takes one row, and no other in silence."""


def planted(path: Path, sql: str) -> None:
    with closing(apsw.Connection(str(path))) as other:
        other.execute(sql)


def test_a_trigger_in_the_file_drops_no_departure(store: SqliteStore, path: Path) -> None:
    planted(path, TRIGGER)
    receipts = [store.record_departure(f"ex_{number}", RECEIPT) for number in range(2)]
    assert [receipt.number for receipt in receipts] == [0, 1] and len(said(store)) == 2
    assert verify(path, []).flaws == ["the schema: the trigger quiet is none of ours"]


def test_an_entry_that_is_not_there_when_it_was_written_is_an_error(store: SqliteStore, path: Path) -> None:
    store.record_departure("ex_0", RECEIPT)
    planted(path, SWALLOWING)
    with pytest.raises(StoreFailed, match="entry 1 did not get into the log"):
        store.record_departure("ex_1", RECEIPT)
    assert "the schema: the table log is changed" in verify(path, []).flaws


def test_nothing_of_ours_vouches_for_a_row_that_was_damaged_before(store: SqliteStore, path: Path) -> None:
    store.append(exchange(1))
    store.add_label(Label("ex_1", "edit", "user", 3.0, text=SECRET_TEXT))
    keys = [mint(f"key {number}", b"pepper", 1.0)[1] for number in range(2)]
    store.add_key(keys[0])
    store._connection.execute("UPDATE labels SET verdict = 'accept'")
    store._connection.execute("UPDATE keys SET owner = 'other', expires_unix = 1.5")
    with pytest.raises(StoreFailed, match="label 1 is damaged"):
        store.forget("ex_1")
    with pytest.raises(StoreFailed, match=f"key {keys[0].id} is damaged"):
        store.rotate_key(keys[0].id, keys[1], 9.0)
    assert store.find_key(keys[1].id) is None and len(said(store)) == 3


def test_a_damaged_key_is_revoked_all_the_same_and_the_log_says_that_it_was_damaged(
    store: SqliteStore, path: Path
) -> None:
    key = mint("ci", b"pepper", 1.0)[1]
    store.add_key(key)
    store._connection.execute("UPDATE keys SET owner = 'other', expires_unix = 1.5")
    assert store.revoke_key(key.id, 2.0)
    assert said(store)[-1]["event"] == "key_revoked" and said(store)[-1]["damaged"] is True
    [told] = verify(path, []).flaws
    assert told == f"entry 1: key {key.id} was damaged when it was revoked"


def test_a_key_that_was_revoked_is_not_rotated(store: SqliteStore) -> None:
    first, second = (mint(name, b"pepper", 1.0)[1] for name in ("first", "second"))
    store.add_key(first)
    store.revoke_key(first.id, 2.0)
    with pytest.raises(StoreFailed, match="no live key any more"):
        store.rotate_key(first.id, second, 9.0)
    assert store.find_key(second.id) is None


def log_bytes(store: SqliteStore) -> int:
    """As SQLite counts its pages."""
    [(size,)] = store._connection.execute("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'log%'")
    return int(size)


def test_a_log_that_is_over_the_bound_empties_no_record(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def depart() -> None:
        for number in range(500):
            store._log.depart(f"ex_{number}", replace(RECEIPT, path="p" * 200))

    for number in range(4):
        store.append(exchange(number, "w" * 90_000))
        store._write("depart", depart)
    bound = 1_000_000
    monkeypatch.setattr(retention, "COUNT_ENTRIES", 1500)
    assert log_bytes(store) > bound
    assert [store.purge(bound, 0.0) for _ in range(2)] == [0, 0] and len(store.latest(9)) == 4
    assert store.purge(300_000, 0.0) == 2, "of 450 kB, and an exchange has 93"
