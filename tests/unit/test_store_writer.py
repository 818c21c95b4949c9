"""The thread that writes: what shares a commit, and what one write's failure does to others."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from firstpass.chat import Message, Sampling
from firstpass.errors import StoreFailed, StoreLost, StoreUnavailable
from firstpass.exchange import Answer, Ask, Exchange, Receipt
from firstpass.store.sqlite import SqliteStore
from firstpass.store.verify import verify
from firstpass.store.writer import TOGETHER
from tests.scenes import until

MANY = 50


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "store.sqlite")) as opened:
        yield opened


def exchange(number: int, words: str = "word") -> Exchange:
    ask = Ask(f"ex_{number}", float(number), "chat", "m", "local", (Message("user", words),), Sampling())
    return Exchange(ask, (), Answer(0, "draft"), 1.0)


async def at_once(store: SqliteStore, *exchanges: Exchange) -> list[BaseException | None]:
    """They wait for the writer together, as behind a slow commit."""
    with store._writer.lock:
        waiting = [store.soon(store.append, one) for one in exchanges]
        until(lambda: store._writer._jobs.qsize() < len(waiting))
    return await asyncio.gather(*waiting, return_exceptions=True)


def full(store: SqliteStore, room_pages: int = 0) -> None:
    [(pages,)] = store._connection.execute("PRAGMA page_count")
    store._connection.execute(f"PRAGMA max_page_count = {pages + room_pages}")


async def test_what_waits_together_is_committed_together(store: SqliteStore) -> None:
    commits: list[int] = []
    store._connection.set_wal_hook(lambda connection, name, pages: commits.append(pages) or apsw.SQLITE_OK)
    assert await at_once(store, *map(exchange, range(MANY))) == [None] * MANY
    assert len(commits) <= 2 and store.size() == MANY


async def test_more_than_one_commit_holds_are_all_written(store: SqliteStore) -> None:
    count = 2 * TOGETHER + 1
    assert await at_once(store, *map(exchange, range(count))) == [None] * count
    assert store.size() == count


async def test_a_bad_row_fails_alone(store: SqliteStore, tmp_path: Path) -> None:
    said = await at_once(store, exchange(0), exchange(1), exchange(1), replace(exchange(2), ending=None), exchange(3))
    assert [type(error) for error in said] == [type(None), type(None), StoreFailed, AssertionError, type(None)]
    assert [bool(store.read(f"ex_{number}")) for number in range(4)] == [True, True, False, True]
    assert verify(tmp_path / "store.sqlite", []).flaws == []


async def test_a_row_that_the_disk_has_no_room_for_takes_no_other_with_it(store: SqliteStore, tmp_path: Path) -> None:
    """SQLite undoes a whole transaction then, savepoints and all."""
    full(store, room_pages=20)
    huge = exchange(1, "word " * 200_000)
    said = await at_once(store, exchange(0), huge, exchange(2))
    assert [type(error) for error in said] == [type(None), StoreUnavailable, type(None)]
    assert [bool(store.read(f"ex_{number}")) for number in range(3)] == [True, False, True]
    assert verify(tmp_path / "store.sqlite", []).flaws == []


async def test_where_nothing_can_be_written_that_is_said_until_something_can(store: SqliteStore) -> None:
    store.check()
    full(store)
    with pytest.raises(StoreUnavailable, match="full") as failed:
        for number in range(MANY):
            await store.soon(store.append, exchange(number))
    assert (failed.value.failure.status, failed.value.failure.part) == (503, "store")
    assert failed.value.failure.retry_after_seconds
    with pytest.raises(StoreUnavailable, match="full"):
        store.check()


def test_a_file_that_another_process_holds_is_written_again_by_itself_once_it_is_free(tmp_path: Path) -> None:
    with (
        closing(SqliteStore(tmp_path / "s.sqlite")) as store,
        closing(apsw.Connection(str(tmp_path / "s.sqlite"))) as other,
    ):
        store._connection.set_busy_timeout(1)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.append(exchange(0))
        with pytest.raises(StoreUnavailable, match="locked"):
            store.check()
        other.execute("ROLLBACK")
        until(lambda: store._writer.trouble is None)
        store.check()
        store.append(exchange(0))


@contextmanager
def refused(store: SqliteStore, statement: str, error: type[Exception] | None = None) -> Iterator[None]:
    """SQLite is kept from BEGIN, COMMIT or ROLLBACK, with an error of its own or of none of its kind."""

    def allowed(code: int, what: str | None, *more: object) -> int:
        if code != apsw.SQLITE_TRANSACTION or what != statement:
            return int(apsw.SQLITE_OK)
        if error is not None:
            raise error
        return int(apsw.SQLITE_DENY)

    store._connection.authorizer = allowed
    yield
    store._connection.authorizer = None


@pytest.mark.parametrize(("statement", "error"), [("ROLLBACK", None), ("BEGIN", MemoryError), ("COMMIT", MemoryError)])
async def test_whatever_goes_wrong_nobody_waits_for_ever(
    store: SqliteStore, statement: str, error: type[Exception] | None
) -> None:
    await store.soon(store.append, exchange(0))
    with refused(store, statement, error):
        said = await asyncio.wait_for(at_once(store, replace(exchange(1), ending=None), exchange(2)), 60)
        alone = await asyncio.wait_for(at_once(store, exchange(0)), 60)
        assert isinstance(alone[0], StoreFailed) and isinstance(said[0], StoreFailed | AssertionError)
        with pytest.raises(StoreUnavailable):
            store.check()
    until(lambda: store._writer.trouble is None)
    await store.soon(store.append, exchange(3))
    assert [bool(store.read(f"ex_{number}")) for number in (0, 2, 3)] == [True, said[1] is None, True]


async def test_what_fails_many_writes_is_told_to_each_by_an_error_of_its_own(
    store: SqliteStore, tmp_path: Path
) -> None:
    moved = (tmp_path / "store.sqlite").rename(tmp_path / "moved")
    said = await at_once(store, exchange(0), exchange(1), exchange(2))
    moved.rename(tmp_path / "store.sqlite")
    assert [type(error) for error in said] == [StoreLost] * 3 and len(set(map(id, said))) == 3
    assert all(isinstance(error, StoreLost) and error.failure.code == "store_lost" for error in said)


async def test_reading_waits_for_no_writer_that_waits(store: SqliteStore, tmp_path: Path) -> None:
    store.append(exchange(0))
    with closing(apsw.Connection(str(tmp_path / "store.sqlite"))) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = store.soon(store.append, exchange(1))
        assert store.read("ex_0") is not None and store.find_key("00000000") is None and not waiting.done()
        other.execute("ROLLBACK")
    assert await waiting is None


async def test_who_does_not_wait_any_more_is_recorded_all_the_same(store: SqliteStore) -> None:
    with store._writer.lock:
        waiting = store.soon(store.append, exchange(0))
        waiting.cancel()
    await store.soon(store.append, exchange(1))
    assert store.read("ex_0") is not None


async def test_closing_waits_for_what_was_to_be_written(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    waiting = [store.soon(store.append, exchange(number)) for number in range(MANY)]
    await asyncio.to_thread(store.close)
    await asyncio.gather(*waiting)
    with pytest.raises(StoreFailed, match="closed"):
        store.append(exchange(MANY))
    with closing(SqliteStore(tmp_path / "store.sqlite")) as again:
        assert again.size() == MANY


async def test_a_receipt_has_its_place_in_the_log(store: SqliteStore) -> None:
    receipt = await store.soon(store.record_departure, "ex_1", Receipt("verifier.example", 2.0, 10, "ab" * 32))
    assert (receipt.number, store.prove(0) is not None) == (0, True)


def test_threads_wait_for_their_own_writes(store: SqliteStore) -> None:
    threads = [threading.Thread(target=store.append, args=(exchange(number),)) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.size() == MANY


def test_a_store_that_nobody_has_any_more_leaves_no_thread(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    store.append(exchange(0))
    thread = store._writer._thread
    assert thread is not None and thread.is_alive()
    del store
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()
