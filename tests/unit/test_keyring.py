"""Whose key a request brings: a real store, and a clock that is set by hand."""

import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from firstpass.allowance import keyring
from firstpass.allowance.keyring import KEPT_SECONDS, Keyring
from firstpass.store.keys import KeyRecord, key_id, mint
from firstpass.store.sqlite import SqliteStore

PEPPER = b"pepper"


class Counting(SqliteStore):
    asked = 0

    def find_key(self, key_id: str) -> KeyRecord | None:
        self.asked += 1
        return super().find_key(key_id)


class Ring:
    """A keyring over a store with some keys."""

    def __init__(self, store: Counting, keys: int) -> None:
        self.store, self.now = store, 100.0
        self.keys = [mint(f"key {number}", PEPPER, 1.0) for number in range(keys)]
        for _, record in self.keys:
            store.add_key(record)
        self.keyring = Keyring(store, PEPPER, lambda: self.now)

    async def is_live(self, number: int = 0) -> bool:
        return await self.keyring.holder(self.keys[number][0]) is not None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Counting]:
    with closing(Counting(tmp_path / "store.sqlite")) as opened:
        yield opened


async def test_a_key_that_was_found_a_moment_ago_is_known_without_a_thread_or_the_store(store: Counting) -> None:
    ring = Ring(store, 1)
    assert await ring.is_live() and store.asked == 1
    with pytest.raises(StopIteration) as found:
        ring.keyring.holder(ring.keys[0][0]).send(None)
    assert found.value.value == ring.keys[0][1] and store.asked == 1


async def test_a_key_that_is_revoked_has_ended_when_the_store_s_word_is_old(store: Counting) -> None:
    ring = Ring(store, 1)
    assert await ring.is_live()
    store.revoke_key(ring.keys[0][1].id, 2.0)
    ring.now += KEPT_SECONDS
    assert not await ring.is_live()
    assert not await ring.is_live(), "the word that it ended is kept too"


async def test_the_id_of_a_known_key_beside_another_secret_is_no_key(store: Counting) -> None:
    ring, other = Ring(store, 1), mint("other", PEPPER, 1.0)
    assert await ring.is_live()
    stem = other[0].rpartition("-")[0].replace(other[1].id, ring.keys[0][1].id)
    wrong = f"{stem}-{zlib.crc32(stem.encode()):08x}"
    assert key_id(wrong) == ring.keys[0][1].id
    assert await ring.keyring.holder(wrong) is None and store.asked == 1


async def test_keys_that_are_not_there_are_looked_up_each_time_and_kept_nowhere(store: Counting) -> None:
    ring, (unknown, _) = Ring(store, 0), mint("unknown", PEPPER, 1.0)
    for _ in range(3):
        assert await ring.keyring.holder(unknown) is None
    assert store.asked == 3 and not ring.keyring._found


async def test_only_so_many_are_kept(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "KEPT", 2)
    ring = Ring(store, 3)
    for number in (0, 1, 2):
        assert await ring.is_live(number)
    assert len(ring.keyring._found) == 2
    assert await ring.is_live(2) and store.asked == 3
    assert await ring.is_live(0) and store.asked == 4
