"""Keys, spends and rates on a real SQLite file."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from firstpass.allowance.keyring import Keyring
from firstpass.errors import StoreFailed
from firstpass.store.keys import NOBODY, KeyRecord, load_pepper, matches, mint, mint_after
from firstpass.store.migrations import MIGRATIONS
from firstpass.store.reader import Taken
from firstpass.store.scopes import Scopes, Spend, day_of, decode_scopes
from firstpass.store.sqlite import SqliteStore

PEPPER = b"pepper"
LIMITED = Scopes(("chat", "models"), ("local", "claude-*"), "local-only", 60, 1000, Spend(2.5, "month"))
DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "store.sqlite")


def kept(store: SqliteStore, record: KeyRecord) -> KeyRecord:
    found = store.find_key(record.id)
    assert found is not None
    return found


def test_a_key_comes_back_with_all_that_limits_it(store: SqliteStore) -> None:
    _, record = mint("ci", PEPPER, 1.0, LIMITED, not_before_unix=2.0, expires_unix=3.0)
    store.add_key(record)
    assert kept(store, record) == record and store.list_keys() == [record]


def test_a_key_from_before_there_were_scopes_goes_on_without_limits(tmp_path: Path) -> None:
    path, pepper = tmp_path / "store.sqlite", load_pepper(tmp_path / "pepper")
    key, record = mint("old", pepper, 1.0)
    with apsw.Connection(str(path)) as old:
        old.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY) STRICT")
        for name, script in MIGRATIONS:
            if name < "0005":
                old.execute(script)
                old.execute("INSERT INTO migrations VALUES (?)", (name,))
        old.execute("INSERT INTO keys VALUES (?, 'old', ?, 1.0, NULL)", (record.id, record.digest))
    found = kept(SqliteStore(path), record)
    assert found == record and found.scopes == Scopes() and matches(key, found, pepper, 2.0)


async def test_the_loop_never_waits_for_a_thread_that_reads(store: SqliteStore) -> None:
    """It looked whether one did, and read: one might begin between the two."""
    key, record = mint("ci", PEPPER, 1.0)
    store.add_key(record)
    with store._reader._lock:
        with pytest.raises(Taken):
            store.find_key(record.id, waits=False)
        holder = asyncio.create_task(Keyring(store, PEPPER).holder(key))
        await asyncio.sleep(0.01)
        assert not holder.done()
    assert await holder == record == store.find_key(record.id, waits=False)


@pytest.mark.parametrize("text", ['{"audience": "all"}', '{"requests": "many"}', '{"ceiling": "none"}', "{", "null"])
def test_a_limit_that_is_not_understood_is_not_lifted(tmp_path: Path, store: SqliteStore, text: str) -> None:
    _, record = mint("ci", PEPPER, 1.0)
    store.add_key(record)
    with apsw.Connection(str(tmp_path / "store.sqlite")) as other:
        other.execute("UPDATE keys SET scopes = ?", (text,))
    with pytest.raises(StoreFailed, match="damaged"):
        store.find_key(record.id)
    with pytest.raises(ValueError):
        decode_scopes(text)


@pytest.mark.parametrize(("now", "live"), [(1.9, False), (2.0, True), (2.9, True), (3.0, False)])
def test_a_key_is_live_from_its_beginning_to_its_end(now: float, live: bool) -> None:
    key, record = mint("ci", PEPPER, 1.0, not_before_unix=2.0, expires_unix=3.0)
    assert matches(key, record, PEPPER, now) is live


def test_nobody_s_record_has_no_key() -> None:
    key, _ = mint("ci", PEPPER, 1.0)
    assert not matches(key, NOBODY, PEPPER, 1.0) and not NOBODY.live(0.0)


def test_a_rotated_key_and_its_successor_are_both_live_for_the_grace(store: SqliteStore) -> None:
    old_key, old = mint("ci", PEPPER, 0.0, LIMITED, expires_unix=90 * DAY)
    store.add_key(old)
    new_key, new = mint_after(old, PEPPER, 80 * DAY)
    store.rotate_key(old.id, new, 87 * DAY)
    for at, lives in ((86 * DAY, (True, True)), (87 * DAY, (False, True)), (170 * DAY, (False, False))):
        both = (matches(old_key, kept(store, old), PEPPER, at), matches(new_key, kept(store, new), PEPPER, at))
        assert both == lives
    assert (new.owner, new.scopes, new.name) == (old.id, LIMITED, "ci") and new.id != old.id


def test_a_grace_makes_no_key_live_longer(store: SqliteStore) -> None:
    _, old = mint("ci", PEPPER, 0.0, expires_unix=2 * DAY)
    store.add_key(old)
    store.rotate_key(old.id, mint_after(old, PEPPER, DAY)[1], 8 * DAY)
    assert kept(store, old).expires_unix == 2 * DAY


def test_a_key_that_has_ended_can_not_be_revoked(store: SqliteStore) -> None:
    _, record = mint("ci", PEPPER, 0.0, expires_unix=5.0)
    store.add_key(record)
    assert not store.revoke_key(record.id, 6.0) and store.revoke_key(record.id, 4.0)


def test_two_fronts_on_one_file_never_spend_more_than_the_cap(tmp_path: Path) -> None:
    fronts = [SqliteStore(tmp_path / "store.sqlite") for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda number: fronts[number % 2].add_spend("k", "2027-01-31", 0.25, "", 2.0), range(40)))
    assert sum(added) == 8 and fronts[0].spent("k", "2027-01-31") == 2.0


def test_a_month_s_cap_counts_its_days_and_no_others(store: SqliteStore) -> None:
    month = Spend(1.0, "month")

    def add(day: str, usd: float) -> bool:
        return store.add_spend("k", day, usd, month.since(day), month.usd)

    assert add("2027-01-30", 0.75) and not add("2027-01-31", 0.5) and add("2027-01-31", 0.25)
    assert add("2027-02-01", 1.0) and store.spent("k", "2027-01-01") == 2.0 and store.spent("other", "") == 0.0


def test_what_is_given_back_makes_room_again(store: SqliteStore) -> None:
    assert store.add_spend("k", "2027-01-31", 1.0, "2027-01-31", 1.0)
    store.add_spend("k", "2027-01-31", -0.5, "2027-01-31", None)
    assert store.add_spend("k", "2027-01-31", 0.5, "2027-01-31", 1.0)


@pytest.mark.parametrize(
    ("spend", "now", "seconds"),
    [(Spend(1), 0.0, 86_400), (Spend(1), DAY - 0.2, 1), (Spend(1, "month"), 30 * DAY, 86_400)],
)
def test_a_cap_says_when_there_is_room_again(spend: Spend, now: float, seconds: int) -> None:
    assert spend.seconds_left(now) == seconds


def test_days_are_of_utc() -> None:
    assert (day_of(0.0), day_of(DAY - 1), day_of(DAY)) == ("1970-01-01", "1970-01-01", "1970-01-02")


def test_rates_are_kept_by_owner_and_unit(store: SqliteStore) -> None:
    store.keep_rates({("k", "requests"): (1.0, 2.0), ("k", "tokens"): (-3.0, 2.0)})
    store.keep_rates({("k", "requests"): (0.5, 4.0)})
    assert store.rates() == {("k", "requests"): (0.5, 4.0), ("k", "tokens"): (-3.0, 2.0)}
