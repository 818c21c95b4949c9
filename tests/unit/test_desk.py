"""Workers that read diffs: real processes, the real contracts, and texts that were made to be slow."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import firstpass
from firstpass import desk
from firstpass.app import aside
from firstpass.chat import Message
from firstpass.contract import Contract, Shelf, judging
from firstpass.contract.prompted import no_repository
from firstpass.desk import Desk, nursery
from firstpass.desk.nursery import Worker, _Nursery
from firstpass.desk.recipe import Recipe
from firstpass.errors import BadAsk, Busy, FirstpassError
from firstpass.exchange import Ask, Consult, Exchange, Mend, Reply, Step
from tests.doubles import DIFF, OMITS

SHELF = Shelf.of(None)
CONTRACTS = SHELF.contracts(no_repository)
CONTRACT = CONTRACTS["pr-summary@3"]
DRAFT = Consult("draft", "draft")
LARGE = "x" * (desk.LARGE_CHARACTERS + 1)


def asked(number: int = 1, text: str = DIFF) -> Ask:
    return Ask(f"ex_{number}", 0.0, "chat", "firstpass", "cascade", (Message("user", text),), contract="pr-summary@3")


@asynccontextmanager
async def opened() -> AsyncIterator[Desk]:
    made = Desk(Recipe(tuple(SHELF.files.values()), Path("/nonexistent")), CONTRACTS, aside)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def nurseries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[_Nursery]]:
    """Of this test alone."""
    own: list[_Nursery] = []
    monkeypatch.setattr(nursery, "_nurseries", own)
    yield own
    for one in own:
        one.close()


class Work:
    """A function that a worker makes of its text: it can not import this module."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[object, ...]:
        return eval, (self._text,)

    def __call__(self, _: Contract, ask: Ask) -> Any:
        return os.getpid()


whose = Work("lambda contract, ask: __import__('os').getpid()")
dies = Work("lambda contract, ask: __import__('os')._exit(1)")
spins = Work("lambda contract, ask: next(one for one in iter(int, 1) if one)")
fails = Work("lambda contract, ask: {}['nothing']")
grows = Work("lambda contract, ask: setattr(__import__('__main__'), 'MOST_PAGES', 0) or __import__('os').getpid()")
hoards = Work("lambda contract, ask: [bytearray(1 << 20) for _ in iter(lambda: __import__('time').sleep(0.001), 1)]")
modules = Work("lambda contract, ask: set(__import__('sys').modules)")
cached = Work("lambda contract, ask: __import__('firstpass.evidence').evidence.read_diff.cache_info().currsize")


async def test_a_worker_says_what_the_contract_says_here() -> None:
    ask, reply = asked(), Reply(OMITS, "m", "stop", None, 0.1)
    async with opened() as made:
        assert await made(CONTRACT.prepare, Exchange(ask), DRAFT) == CONTRACT.prepare(Exchange(ask), DRAFT)
        judged = await made(judging.judged, CONTRACT, Exchange(ask), DRAFT, reply)
        assert judged == judging.judged(CONTRACT, Exchange(ask), DRAFT, reply)
        assert judged[1], "it omits a call"


async def test_a_new_worker_imports_nothing_of_ours_for_its_first_work() -> None:
    """Each that was made anew took 0.2 s of processor time for it."""
    ask, reply = asked(), Reply(OMITS, "m", "stop", None, 0.1)
    drafted = Exchange(ask, (Step(DRAFT, reply),))
    async with opened() as made:
        before = await made(modules, CONTRACT, ask)
        await made(CONTRACT.prepare, Exchange(ask), DRAFT)
        await made(judging.judged, CONTRACT, Exchange(ask), DRAFT, reply)
        assert (await made(judging.mended, CONTRACT, drafted, Mend(0)))[0]
        after = await made(modules, CONTRACT, ask)
    assert not {name for name in after - before if name.startswith("firstpass")}


async def test_what_a_contract_raises_comes_back_as_it_is() -> None:
    two = replace(asked(), messages=(Message("user", "a"), Message("user", "b")))
    async with opened() as made:
        with pytest.raises(BadAsk, match="exactly one user message") as caught:
            await made(CONTRACT.prepare, Exchange(two), DRAFT)
    assert caught.value.failure.param == "messages"


async def test_a_text_s_later_work_is_done_where_it_was_read() -> None:
    async with opened() as made:
        first, second = await asyncio.gather(*(made(whose, CONTRACT, asked(number)) for number in (1, 2)))
        assert len({first, second, os.getpid()}) == 3
        for _ in range(3):
            assert [await made(whose, CONTRACT, asked(number)) for number in (1, 2)] == [first, second]


async def test_a_text_is_read_by_one_worker_alone_whatever_is_wanted_of_it_at_once() -> None:
    async with opened() as made:
        assert len(set(await asyncio.gather(*(made(whose, CONTRACT, asked()) for _ in range(3))))) == 1
        assert len(made._idle) == 1 and not made._latest


async def test_work_of_another_object_is_done_on_a_thread() -> None:
    async with opened() as made:
        assert await made(whose, SHELF.contracts(no_repository)["pr-summary@3"], asked()) == os.getpid()


async def test_slow_work_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as made:
        slow = [made(spins, CONTRACT, asked(number)) for number in range(2)]
        assert await made(whose, CONTRACT, asked(9))
        assert not any(one.done() for one in slow)
        monkeypatch.setattr(desk, "HURRIED_SECONDS", 0.0)
        for one in slow:
            one.cancel()
        await asyncio.wait(made._jobs)
        assert not made._busy
        assert not any(worker.slow for worker in made._idle), "what nobody waits for is given up, and its worker gone"


async def test_work_that_takes_too_long_is_given_up_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "LEAST_SECONDS", 0.2)
    async with opened() as made:
        with pytest.raises(BadAsk, match="takes too long to read") as caught:
            await made(spins, CONTRACT, asked())
        assert caught.value.failure.param == "messages" and not made._busy


async def test_the_slowest_makes_room_where_no_further_worker_may_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MOST", 2)
    async with opened() as made:
        slow = [made(spins, CONTRACT, asked(number)) for number in range(2)]
        assert await made(whose, CONTRACT, asked(9))
        with pytest.raises(Busy, match="other texts wait"):
            await next(iter((await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED))[0]))
    await asyncio.gather(*slow, return_exceptions=True)


async def test_large_texts_leave_room_for_small_ones() -> None:
    async with opened() as made:
        large = [made(spins, CONTRACT, asked(number, LARGE)) for number in range(desk.MOST)]
        assert await asyncio.wait_for(made(whose, CONTRACT, asked(99)), 60)
        assert sum(worker.slow for worker in made._busy) <= desk.MOST - desk.AT_ONCE
        for one in large:
            one.cancel()


async def test_a_large_text_s_later_work_is_done_where_it_was_read_and_no_other_s() -> None:
    """Each step of its request read it anew."""
    async with opened() as made:
        first, second = [await made(whose, CONTRACT, asked(number, LARGE)) for number in (1, 2)]
        quick = await made(whose, CONTRACT, asked(3))
        assert len({first, second, quick}) == 3
        assert [await made(whose, CONTRACT, asked(number, LARGE)) for number in (1, 2, 1)] == [first, second, first]
        assert not any(worker.slow for worker in made._idle)


async def test_workers_that_wait_for_a_large_text_have_an_end_in_number_and_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened() as made:
        workers = [await made(whose, CONTRACT, asked(number, LARGE)) for number in range(desk.KEPT + 2)]
        assert [worker.pid for worker, _ in made._kept.values()] == workers[2:]
        await _gone(workers[:2])
        monkeypatch.setattr(desk, "KEPT_SECONDS", 0.0)
        assert await made(whose, CONTRACT, asked(2, LARGE)) == workers[2]
        await _gone(workers[2:3])
        assert [worker.pid for worker, _ in made._kept.values()] == workers[3:]
        await made.close()
        await _gone(workers)


@pytest.mark.parametrize("way", ["forgotten", "killed", "grown"])
async def test_a_worker_that_waited_for_a_large_text_is_replaced(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as made:
        old = await made(whose, CONTRACT, asked(1, LARGE))
        if way == "forgotten":
            made.forget()
        elif way == "killed":
            os.kill(old, signal.SIGKILL)
        else:
            monkeypatch.setattr(nursery.Worker, "grown_bytes", lambda one: desk.MOST_BYTES * 2 * one.slow)
            await made(whose, CONTRACT, asked(2, LARGE))
            assert not made._kept
            monkeypatch.undo()
        await _gone([old])
        assert await made(whose, CONTRACT, asked(1, LARGE)) != old


async def test_a_worker_that_ends_is_an_error_and_the_next_one_works() -> None:
    async with opened() as made:
        with pytest.raises(FirstpassError, match="ended by itself"):
            await made(dies, CONTRACT, asked())
        assert await made(whose, CONTRACT, asked())


@pytest.mark.parametrize("busy", [False, True])
async def test_workers_forget_callers_words(busy: bool) -> None:
    async with opened() as made:
        await made(CONTRACT.prepare, Exchange(asked()), DRAFT)
        assert await made(cached, CONTRACT, asked()) == 1
        working = made(cached, CONTRACT, asked())
        if not busy:
            await working
        else:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        made.forget()
        await working
        assert await made(cached, CONTRACT, asked()) == 0


async def test_one_that_has_grown_too_large_is_not_used_again() -> None:
    async with opened() as made:
        workers = set()
        for _ in range(5):
            workers.add(await made(grows, CONTRACT, asked()))
            assert not made._idle
        assert len(workers) == 5


async def test_work_that_takes_too_much_memory_is_given_up_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MOST_BYTES", 16 << 20)
    async with opened() as made:
        with pytest.raises(BadAsk, match="takes too much memory to read") as caught:
            await made(hoards, CONTRACT, asked())
        assert caught.value.failure.param == "messages" and not made._busy


async def test_of_several_that_take_too_much_memory_together_the_largest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened() as made:
        idle, small = await asyncio.gather(*(made(whose, CONTRACT, asked(number)) for number in range(2)))
        large, waits = made(hoards, CONTRACT, asked(0)), made(spins, CONTRACT, asked(1))
        await asyncio.sleep(0)
        monkeypatch.setattr(nursery.Worker, "grown_bytes", lambda one: (120 << 20) if one.pid == idle else 100 << 20)
        with pytest.raises(Busy, match="other texts wait"):
            await large
        assert [one.pid for one in made._busy] == [small], "the other one goes on"
        waits.cancel()


async def test_workers_that_ended_while_they_were_idle_are_replaced(nurseries: list[_Nursery]) -> None:
    async with opened() as made:
        old = set(await asyncio.gather(*(made(whose, CONTRACT, asked(number)) for number in (1, 2))))
        nurseries[0].process.kill()
        await _gone(old)
        new = await asyncio.gather(*(made(whose, CONTRACT, asked(number)) for number in (1, 2)))
        assert not old & {*new, os.getpid()}


async def test_who_waits_is_heard_also_where_those_before_it_got_no_worker(
    nurseries: list[_Nursery], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that come get an answer, on threads, and it is said once."""
    monkeypatch.setattr(nursery.sys, "executable", "/nonexistent")
    async with opened() as made:
        there = [made(whose, CONTRACT, asked(number)) for number in range(5)]
        assert await asyncio.wait_for(asyncio.gather(*there), 60) == [os.getpid()] * 5
        assert not nurseries and made._rests_until


async def test_a_large_text_leaves_the_last_idle_worker_to_the_next_quick_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """But where no other one can be made."""
    async with opened() as made:
        quick = await made(whose, CONTRACT, asked(1))
        assert await made(whose, CONTRACT, asked(2, LARGE)) != quick
        assert await made(whose, CONTRACT, asked(3)) == quick
        monkeypatch.setattr(desk, "born", _unborn)
        assert await made(whose, CONTRACT, asked(4, LARGE)) == quick


def _unborn(_: Recipe) -> Worker:
    raise OSError


async def test_of_what_is_idle_the_largest_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as made:
        small, large = await asyncio.gather(*(made(whose, CONTRACT, asked(number)) for number in (1, 2)))
        sizes = {small: 1 << 20, large: desk.MOST_BYTES}
        monkeypatch.setattr(nursery.Worker, "grown_bytes", lambda one: sizes.get(one.pid, 0))
        await made(whose, CONTRACT, asked(3, LARGE))
        made._end_idle(made._idle_bytes() - desk.MOST_BYTES)
        assert small in {one.pid for one in made._at_no_work()}
        await _gone([large])


async def test_who_waits_is_heard_also_where_those_before_it_left(nurseries: list[_Nursery]) -> None:
    async with opened() as made:
        there = [made(whose, CONTRACT, asked(number)) for number in range(5)]
        await asyncio.sleep(0)
        for one in there[:2]:
            one.cancel()
        assert os.getpid() not in await asyncio.wait_for(asyncio.gather(*there[2:]), 60)
        assert len(made._idle) <= desk.AT_ONCE, "those that were made for nobody are used"


async def test_a_nursery_that_is_stuck_is_replaced(nurseries: list[_Nursery], monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as made:
        await made(whose, CONTRACT, asked())
        nurseries[0]._control.settimeout(0.1)
        monkeypatch.setattr(nursery, "CLOSE_SECONDS", 0.1)
        nurseries[0].process.send_signal(signal.SIGSTOP)
        worker = await asyncio.wait_for(asyncio.to_thread(nursery.born, made.recipe), 60)
        worker.end()
        assert len(nurseries) == 1 and nurseries[0].process.poll() is None


def test_a_fork_that_fails_is_said_and_ends_nothing() -> None:
    """The system may have no room for a process now and have some later."""
    (ours, theirs), (mine, served) = socket.socketpair(), socket.socketpair()
    program = "import os; real, left = os.fork, [BlockingIOError()]\n"
    program += "def fork():\n if left: raise left.pop()\n return real()\n"
    program += "os.fork = fork\nfrom firstpass.desk.worker import main; main()"
    with ours, theirs, mine, served:
        command = [sys.executable, "-c", program, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=nursery.environment())
        theirs.close()
        numbers = []
        for _ in range(2):
            socket.send_fds(ours, [b"x"], [served.fileno()])
            numbers.append(int.from_bytes(ours.recv(8, socket.MSG_WAITALL)))
    assert process.wait(60) == 0 and numbers[0] == 0 and numbers[1] > 0


def test_a_nursery_finds_this_package_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for inherited in ("", "/elsewhere"):
        monkeypatch.setenv("PYTHONPATH", inherited)
        root, *others = nursery.environment()["PYTHONPATH"].split(os.pathsep)
        assert Path(firstpass.__file__).parents[1] == Path(root) and others == [inherited] * bool(inherited)


async def test_what_fails_and_nobody_waits_for_is_no_fault_of_the_loop() -> None:
    """In a worker and on a thread."""
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: seen.append(told))
    async with opened() as made:
        left = [made(fails, CONTRACT, asked()), aside(int, "none")]
        await asyncio.wait(left)
        left.clear()
        gc.collect()
    assert not seen


async def test_no_worker_outlives_a_desk() -> None:
    async with opened() as made:
        pids = [await made(whose, CONTRACT, asked())]
        working = made(spins, CONTRACT, asked())
        await asyncio.sleep(0.1)
    with pytest.raises(FirstpassError):
        await working
    await _gone(pids)


async def _gone(pids: Iterable[int]) -> None:
    for _ in range(1000):
        if not any(map(_lives, pids)):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it still runs")


def _lives(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
