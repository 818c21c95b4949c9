"""What contracts make of diffs, made in other processes: no diff holds up the event loop, and each can be given up.

It knows contracts by their names alone, and no tier, policy or HTTP. A thread would not do: it shares the
interpreter's lock with the loop, and can not be ended. A worker whose work takes long goes on at a low priority,
and another takes its place; from then on it does what else is wanted of that text, and of no other.
"""

import asyncio
import logging
import math
import pickle
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MethodType
from typing import Any, Protocol, TypeVar, cast

from firstpass.contract import Contract
from firstpass.desk.nursery import Worker, born
from firstpass.desk.recipe import Recipe
from firstpass.errors import BadAsk, Busy, FirstpassError
from firstpass.exchange import Ask, Exchange

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE, MOST = 2, 6
"""Workers that are at work, without the slow ones and with them."""

SLOW_AFTER_SECONDS = 0.25
"""Of processor time, as all that bounds work: a busy machine makes none slow."""

LARGE_CHARACTERS = 40_000
"""What reads a text of more is slow from its beginning, and never takes the place of one that is quick."""

KEPT, KEPT_SECONDS = MOST - AT_ONCE, 60.0
"""Slow workers that wait for what else is wanted of their text, and how long: a draft is written meanwhile."""

LEAST_SECONDS, SECONDS_A_CHARACTER, MOST_SECONDS = 3.0, 2e-5, 12.0
"""Of processor time, for one piece of work: ten times what real diffs take."""

HURRIED_SECONDS = 0.5
"""What work gets that nobody waits for any more: a worker is not made anew for each caller that goes."""

MOST_BYTES = 176 << 20
"""What all workers together may have grown by: the largest is given up where they have grown by more."""

HUNG_SECONDS = 120.0
PATIENCE_SECONDS = 1.0
"""A slow one goes on for as long while others wait for its place. These and the times between looks are the wall's."""

LOOKS_EVERY_SECONDS = 0.1

REST_SECONDS = 60.0
"""For so long no process is asked for after none could be made: its work is done on threads."""


class Threads(Protocol):
    """Begins some work on a thread."""

    def __call__(self, work: Callable[..., T], /, *args: object) -> asyncio.Future[T]: ...


@dataclass(eq=False)
class _Job:
    """message: pickled. ask: whose words it is about. seconds: of processor time. slow: from its beginning.

    crowded: given up for others. large: given up for the memory that it took by itself.
    """

    message: bytes
    ask: str
    seconds: float
    slow: bool = False
    crowded: bool = False
    large: bool = False


@dataclass(eq=False)
class Desk:
    """contracts: those that the recipe makes, by name; work of or on any other object is done on a thread.
    So is all work where no process can be made, as far as none is there.

    Raises, where the work is awaited: what it raises; BadAsk for a text that takes too long to read.
    """

    recipe: Recipe
    contracts: Mapping[str, Contract]
    aside: Threads
    _idle: list[Worker] = field(default_factory=list)
    _kept: dict[str, tuple[Worker, asyncio.TimerHandle]] = field(default_factory=dict)
    _busy: set[Worker] = field(default_factory=set)
    _coming: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _slow_waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _jobs: set[asyncio.Task[object]] = field(default_factory=set)
    _latest: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    _making: set[asyncio.Future[Worker]] = field(default_factory=set)
    _rests_until: float = 0.0
    _closed: bool = False

    def __call__(self, work: Callable[..., T], /, *args: object) -> asyncio.Future[T]:
        """Begin some work: a contract's method, or a function of a contract and more."""
        function, subject, given = _parts(work, args)
        pinned = next((name for name, one in self.contracts.items() if one is subject), None)
        if pinned is None or self._closed:
            return self.aside(work, *args)
        ask = _ask_of(given)
        characters = sum(len(message.content) for message in ask.messages) if ask else 0
        seconds = min(MOST_SECONDS, LEAST_SECONDS + characters * SECONDS_A_CHARACTER)
        slow = characters > LARGE_CHARACTERS
        job = _Job(pickle.dumps((function, pinned, given), 5), ask.id if ask else "", seconds, slow)
        before = self._latest.get(job.ask)
        begun = asyncio.ensure_future(cast(Coroutine[Any, Any, T], self._answered(job, partial(work, *args), before)))
        begun.add_done_callback(_seen)
        if job.ask:
            self._latest[job.ask] = begun
            begun.add_done_callback(partial(self._ends, job.ask))
        return begun

    def _ends(self, ask: str, done: asyncio.Future[Any]) -> None:
        if self._latest.get(ask) is done:
            del self._latest[ask]

    async def warm(self) -> None:
        """Makes the first worker while the engine starts: its first import takes a second, which no diff waits for."""
        if (worker := await self._hired()) is not None:
            self._put_back(worker)

    async def _answered(self, job: _Job, work: Callable[[], object], before: asyncio.Future[Any] | None) -> object:
        """before: of the same ask, which is read once: what else is wanted of it waits."""
        if before is not None:
            await asyncio.wait([before])
        worker = await self._free(job.ask, slow=job.slow)
        if worker is None:
            return await self.aside(work)
        doing = asyncio.create_task(self._done(worker, job))
        self._jobs.add(doing)
        doing.add_done_callback(self._jobs.discard)
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            job.seconds = min(job.seconds, HURRIED_SECONDS)
            doing.add_done_callback(_seen)
            raise

    async def _done(self, worker: Worker, job: _Job) -> object:
        watch = asyncio.create_task(self._watched(worker, job))
        if job.slow:
            worker.slow_down()
        try:
            right, said, worker.leaves = pickle.loads(await worker.answer(job.message, job.ask))  # noqa: S301
        except (OSError, EOFError) as error:
            worker.end()
            if not worker.given_up:
                raise FirstpassError("what reads diffs has ended by itself", part="contract") from error
            if job.crowded:
                busy = "other texts wait for this one to be read; send it later, or a smaller one"
                raise Busy(busy, part="contract", retry_after_seconds=5) from error
            much = "much memory" if job.large else "long"
            message = f"the text takes too {much} to read; send a smaller diff, or none"
            raise BadAsk(message, part="contract", param="messages") from error
        finally:
            watch.cancel()
            self._put_back(worker)
        if not right:
            raise said
        return cast(object, said)

    async def _watched(self, worker: Worker, job: _Job) -> None:
        began, clock = worker.cpu_seconds(), asyncio.get_running_loop().time
        began_at, spent = clock(), 0.0
        while spent < job.seconds and clock() < began_at + HUNG_SECONDS:
            await asyncio.sleep(LOOKS_EVERY_SECONDS)
            spent = worker.cpu_seconds() - began
            if spent > SLOW_AFTER_SECONDS and not worker.slow:
                worker.slow_down()
                self._wake()
            if worker.slow and clock() > began_at + PATIENCE_SECONDS and self._crowded():
                job.crowded = True
                break
            if self._makes_room(worker):
                job.large = worker.grown_bytes() > MOST_BYTES
                job.crowded = not job.large
                break
        worker.give_up()

    def _makes_room(self, worker: Worker) -> bool:
        """Whether it has to be given up for the memory that all take, as the largest that is at work."""
        grown = {one: one.grown_bytes() for one in self._busy if not one.given_up}
        over = sum(grown.values()) + self._idle_bytes() - MOST_BYTES
        if over <= 0:
            return False
        self._end_idle(over)
        return sum(grown.values()) > MOST_BYTES and grown.get(worker, 0) == max(grown.values())

    def _idle_bytes(self) -> int:
        """What those that are at no work have grown by."""
        return sum(one.grown_bytes() for one in self._at_no_work())

    def _at_no_work(self) -> list[Worker]:
        return [*self._idle, *(kept for kept, _ in self._kept.values())]

    def _end_idle(self, over: float = math.inf) -> None:
        """Ends those at no work, those that have grown most first, until they no longer take so many bytes too much."""
        for worker in sorted(self._at_no_work(), key=Worker.grown_bytes, reverse=True):
            if over <= 0:
                return
            over -= worker.grown_bytes()
            kept = next((ask for ask, (one, _) in self._kept.items() if one is worker), None)
            if kept is not None:
                self._end_kept(kept)
            else:
                self._idle.remove(worker)
                worker.end()

    def _crowded(self) -> bool:
        """Whether others wait, and no further worker may be made for them."""
        waiting = self._waiting if self._full(slow=False) else self._slow_waiting if self._full(slow=True) else ()
        return any(not waits.done() for waits in waiting)

    def _full(self, *, slow: bool) -> bool:
        """Whether no further worker may be made; slow: for what is slow from its beginning."""
        left = [worker for worker in self._busy if not worker.given_up]
        if slow:
            return sum(worker.slow for worker in left) >= MOST - AT_ONCE
        return len(left) + self._coming >= MOST

    async def _free(self, ask: str, *, slow: bool) -> Worker | None:
        """One that has read the same text, if it is idle; another if not. None where none can be made."""
        while True:
            self._drop_dead()
            if ask in self._kept and not self._full(slow=True):
                worker = self._no_longer_kept(ask)
                self._busy.add(worker)
                return worker
            full = self._full(slow=slow)
            if len(self._idle) > slow and not (slow and full):  # The last one is left to the next quick text.
                return self._taken(ask)
            quick = sum(not worker.slow for worker in self._busy) + self._coming
            if quick < AT_ONCE and not full:
                if asyncio.get_running_loop().time() >= self._rests_until and (made := await self._hired()):
                    return made
                self._wake()
                return self._taken(ask) if self._idle else None
            waits = asyncio.get_running_loop().create_future()
            (self._slow_waiting if slow else self._waiting).append(waits)
            try:
                await waits
            except asyncio.CancelledError:
                self._wake()
                raise

    def _taken(self, ask: str) -> Worker:
        """One of the idle."""
        worker = next((one for one in self._idle if ask in one.asks), self._idle[-1])
        self._idle.remove(worker)
        self._busy.add(worker)
        return worker

    def _drop_dead(self) -> None:
        """Their process may have ended, or been ended, while they waited for work."""
        for worker in [one for one in self._idle if one.has_ended()]:
            self._idle.remove(worker)
            worker.end()
        for ask in [ask for ask, (worker, _) in self._kept.items() if worker.has_ended()]:
            self._end_kept(ask)

    async def _hired(self) -> Worker | None:
        """None where none can be made. One that is being made counts as coming, also when who wanted it is gone."""
        self._coming += 1
        making = asyncio.ensure_future(asyncio.to_thread(born, self.recipe))
        self._making.add(making)
        making.add_done_callback(self._came)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(self._keep_made)
            raise
        except OSError as error:
            if not self._rests_until:
                log.error("no process can be made that reads diffs (%s): they are read on threads, as long", error)
            self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
            return None

    def _came(self, making: asyncio.Future[Worker]) -> None:
        self._coming -= 1
        self._making.discard(making)
        if making.cancelled() or making.exception() is not None:
            self._wake()
        else:
            self._rests_until = 0.0
            self._busy.add(making.result())

    def _keep_made(self, making: asyncio.Future[Worker]) -> None:
        """For the next one: who wanted it is gone."""
        if not making.cancelled() and making.exception() is None:
            self._put_back(making.result())

    def _put_back(self, worker: Worker) -> None:
        self._busy.discard(worker)
        if worker.leaves or worker.ended or self._closed:
            worker.end()
        elif worker.slow:
            self._keep(worker)
        else:
            self._idle.append(worker)
        self._wake()

    def _keep(self, worker: Worker) -> None:
        """For the ask that it worked on last, where that has a name and its words are not forgotten."""
        if not (ask := worker.asks[-1] if worker.asks else ""):
            worker.end()
            return
        if ask in self._kept:
            self._end_kept(ask)
        elif len(self._kept) >= KEPT:
            self._end_kept(next(iter(self._kept)))
        self._kept[ask] = worker, asyncio.get_running_loop().call_later(KEPT_SECONDS, self._end_kept, ask)
        self._end_idle(self._idle_bytes() - MOST_BYTES)

    def _no_longer_kept(self, ask: str) -> Worker:
        worker, timer = self._kept.pop(ask)
        timer.cancel()
        return worker

    def _end_kept(self, ask: str) -> None:
        self._no_longer_kept(ask).end()

    def _wake(self) -> None:
        for waiting in (self._waiting, self._slow_waiting):
            while waiting:
                waits = waiting.popleft()
                if not waits.done():
                    waits.set_result(None)
                    break

    def forget(self) -> None:
        """Of callers' words nothing is kept: not by what is idle from now on, nor by what is busy once it is done."""
        for worker in (*self._idle, *self._busy):
            worker.forget(at_once=worker not in self._busy)
        for ask in tuple(self._kept):
            self._end_kept(ask)

    async def close(self) -> None:
        self._closed = True
        self._end_idle()
        for worker in self._busy:
            worker.kill()
        await asyncio.gather(*self._jobs, *self._making, return_exceptions=True)


def _parts(work: Callable[..., object], args: tuple[object, ...]) -> tuple[object, object, tuple[object, ...]]:
    """(The function's name or itself, whose method or first argument, the further arguments)"""
    if isinstance(work, MethodType):
        return work.__name__, work.__self__, args
    return work, args[0] if args else None, args[1:]


def _seen(done: asyncio.Future[Any]) -> None:
    """Whoever still waits for it gets its exception; without them it would be logged as one that nobody saw."""
    if not done.cancelled():
        done.exception()


def _ask_of(given: tuple[object, ...]) -> Ask | None:
    asks = (one.ask if isinstance(one, Exchange) else one for one in given)
    return next((one for one in asks if isinstance(one, Ask)), None)
