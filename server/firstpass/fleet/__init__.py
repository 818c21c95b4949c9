"""Several models and one memory: each is loaded when it is asked for, and leaves it when another needs the room.

It knows what can be loaded and unloaded, and no request, HTTP or settings. Two models that do not fit together and are
asked in turn are served in turns: who waits closes the other's door once that had its time, and is waited for then.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from firstpass.errors import BadAsk, FirstpassError, InUse, TierUnavailable
from firstpass.fleet.member import Berth, Bounds, Loadable, Member, Memory, Shown
from firstpass.fleet.room import Loaded, leaving

__all__ = ["Berth", "Bounds", "Fleet", "Loadable", "Memory", "Shown", "mb"]

log = logging.getLogger(__name__)

GLANCE_SECONDS = 5.0
"""Between two looks at what models take and how long they have been idle."""

RETRY_SECONDS = 5

FORMER = -(2**31)
"""The priority of what is no longer wanted."""


class Fleet:
    """Empty until it is arranged. `Loadable`s are told apart by what they are, and named for people."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._budgets: Mapping[Memory, int] = {}
        self._bounds = Bounds()
        self._members: dict[Loadable, Member] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._going: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarmed = math.inf
        self._closed = False

    def arrange(self, berths: Sequence[Berth], budgets: Mapping[Memory, int], bounds: Bounds) -> None:
        """These are there from now on. Others are not any more for those who come, and leave before all else, but stay
        for whom they are needed until they are dismissed. What is pinned from the first is taken to be loaded.

        budgets: bytes that all that is loaded may take together, of each memory.
        """
        self._budgets, self._bounds = {**self._budgets, **budgets}, bounds
        kept, begins = {berth.engine for berth in berths}, not self._members
        for engine, member in self._members.items():
            if engine not in kept:
                member.berth = replace(member.berth, pinned=False, priority=FORMER)
        for berth in berths:
            member = self._members.setdefault(berth.engine, Member(berth, self._clock()))
            member.berth = berth
            if berth.pinned and (begins or not berth.bytes):
                member.place = "loaded"
        if not begins:
            self._look()

    async def dismiss(self, engine: Loadable) -> None:
        """It ends for good. Nobody may use it, or ask for it any more; who still waits for it is told so.

        Until it has ended it is one that `close` would end. May be called twice.
        """
        if (member := self._members.get(engine)) is None:
            return
        self._refuse(
            member, TierUnavailable(f"{member.berth.name} is not among this server's models any more", part="draft")
        )
        await engine.close()
        self._members.pop(engine, None)
        self._look()

    def shown(self, engine: Loadable) -> Shown:
        member, berth = self._members[engine], self._members[engine].berth
        idle = None if member.users or member.place != "loaded" else self._clock() - member.used
        waiting = len(member.waiting)
        return Shown(berth.name, member.place, member.bytes, member.users, waiting, berth.pinned, idle, member.kept)

    async def enter(self, engine: Loadable, patience_seconds: float | None = None) -> None:
        """Returns when the model is loaded, which it stays until `leave`.

        patience_seconds: how long the caller itself would wait.
        Raises: BadAsk for one that can not be loaded at all; TierUnavailable, or what its engine raises.
        """
        if not self.enter_loaded(engine):
            member = self._members[engine]
            if (error := self._too_large(member)) is not None:
                raise error
            await self._wait(member, patience_seconds)

    def enter_loaded(self, engine: Loadable) -> bool:
        """Likewise, where that waits for nothing and loads nothing; else nothing is done."""
        member = self._members[engine]
        if member.place != "loaded" or member.closed:
            return False
        member.users += 1
        return True

    def leave(self, engine: Loadable) -> None:
        member = self._members[engine]
        member.users -= 1
        member.used = self._clock()
        if not member.users:
            self._look()

    async def load(self, engine: Loadable) -> None:
        """Raises: as `enter` does."""
        await self.enter(engine)
        self.leave(engine)

    async def unload(self, engine: Loadable) -> None:
        """Returns when it has left the memory, or sleeps; what slept before has left it then. Raises: InUse."""
        member, name = self._members[engine], self._members[engine].berth.name
        if member.berth.pinned:
            raise InUse(f"{name} is pinned: it stays loaded", param="model")
        if member.users or member.waiting or member.place == "loading":
            raise InUse(f"{name} is in use", param="model", retry_after_seconds=RETRY_SECONDS)
        if member.place in ("loaded", "sleeping"):
            self._go(member)
        await self._gone()

    async def keep(self) -> None:
        """For ever: sees what each takes, and unloads what has been idle for too long."""
        while True:
            await asyncio.sleep(GLANCE_SECONDS)
            for member in tuple(self._members.values()):
                if member.place == "loaded":
                    await self._measure(member)
                if member.place == "sleeping" and member.berth.engine.asleep is None:
                    member.place = "available"
            for member in tuple(self._members.values()):
                if self._idle_too_long(member):
                    self._go(member)
            self._look()

    async def close(self) -> None:
        """Every engine ends for good."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        work = tuple(self._work)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await asyncio.gather(*(member.berth.engine.close() for member in self._members.values()))

    def _need(self, member: Member) -> int:
        """Bytes. What is pinned is there whether there is room for it or not, and takes what there is.

        One that has grown beyond all that there is may be loaded again, as large as it was at first, with no other.
        """
        left = self._left(member)
        return min(member.bytes, left if member.berth.pinned else max(left, member.first_bytes))

    def _left(self, member: Member) -> int:
        """What it may take beside those that stay loaded."""
        pinned = (one.bytes for one in self._beside(member) if one.berth.pinned)
        return max(0, self._budgets[member.berth.memory] - sum(pinned))

    def _beside(self, member: Member) -> Iterator[Member]:
        there = (one for one in self._members.values() if one.berth.priority != FORMER)
        return (one for one in there if one.berth.memory == member.berth.memory and one is not member)

    def _too_large(self, member: Member) -> BadAsk | None:
        """For one that can not be loaded at all, as far as is known now."""
        left, budget = self._left(member), self._budgets[member.berth.memory]
        if (missing := self._need(member) - left) <= 0:
            return None
        fit = [one.berth.name for one in self._beside(member) if one.berth.pinned or one.bytes <= left]
        besides = f" beside those that stay loaded ({mb(budget - left)})" if left < budget else ""
        text = f"{member.berth.name} needs {mb(left + missing)}, {mb(missing)} more than there is of {mb(budget)}"
        others = f"; {', '.join(fit)} would fit" if fit else ""
        return BadAsk(f"{text}{besides}{others}", part="draft", param="model", code="model_too_large")

    async def _wait(self, member: Member, patience_seconds: float | None) -> None:
        seconds = min(self._bounds.load_seconds, patience_seconds or math.inf)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not member.waiting:
            member.since = self._clock()
        member.waiting.append(turn)
        self._look()
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as stop:
            self._withdraw(member, turn)
            if isinstance(stop, TimeoutError):
                raise self._late(member, seconds) from stop
            raise

    def _withdraw(self, member: Member, turn: "asyncio.Future[None]") -> None:
        """It may have been let in in the moment in which it stopped waiting."""
        if turn in member.waiting:
            member.waiting.remove(turn)
        elif not turn.cancelled() and turn.exception() is None:
            member.users -= 1
        self._look()

    def _late(self, member: Member, seconds: float) -> TierUnavailable:
        text = f"{member.berth.name} was not loaded within {seconds:g} s"
        after = max(RETRY_SECONDS, math.ceil(member.load_seconds))
        return TierUnavailable(text, part="draft", retry_after_seconds=after)

    def _look(self) -> None:
        """What is to be loaded, what goes for it, whose door is closed, who is let in. After every change."""
        if self._closed:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarmed = math.inf
        closed = self._make_room()
        for member in self._members.values():
            member.closed = member in closed
            if member.place == "loaded" and not member.closed:
                _let_in(member)

    def _make_room(self) -> frozenset[Member]:
        """Who waits longest for one memory is loaded first, so that nobody waits for ever; no other memory's wait.

        Returns: those that have to end for it.
        """
        return frozenset().union(*map(self._make_room_in, self._budgets))

    def _make_room_in(self, memory: Memory) -> frozenset[Member]:
        """What has grown beyond the memory waits for room as one of nobody's does."""
        over = leaving(0, self._budgets[memory], self._loaded(memory))
        if over is None and (ending := self._asked_to_end(0, memory)):
            return ending
        for member in over or ():
            self._go(member)
        wanted = (one for one in self._members.values() if one.waiting and one.place in ("available", "sleeping"))
        for member in sorted((one for one in wanted if one.berth.memory == memory), key=lambda one: one.since):
            if (error := self._too_large(member)) is not None:
                self._refuse(member, error)
                continue
            going = leaving(self._need(member), self._budgets[memory], self._loaded(memory, beside=member))
            if going != () and member.fault is not None and self._clock() < member.faulty_until:
                self._refuse(member, member.fault)
                continue
            if going is None:
                return self._asked_to_end(self._need(member), memory, member)
            for other in going:
                self._go(other)
            self._come(member)
        return frozenset()

    def _loaded(
        self, memory: Memory, *, beside: Member | None = None, busy_too: bool = False
    ) -> Iterator[Loaded[Member]]:
        """With what those keep of it that sleep. beside: without this one, which needs what it keeps.

        busy_too: as if nobody used any, and of one priority those first whose doors are closed already.

        Without that, those in use would be closed and opened again in turn as each is left, and none would ever end.
        """
        for one in self._members.values():
            if one is not beside and (kept := one.kept.get(memory)):
                yield Loaded(one, kept, one.berth.priority, one.used, stays=False)
            elif one.berth.memory == memory and one.place in ("loaded", "loading"):
                stays = one.berth.pinned or one.place == "loading" or not (busy_too or self._may_go(one))
                used = -math.inf if busy_too and one.closed else one.used
                yield Loaded(one, one.bytes, one.berth.priority, used, stays)

    def _may_go(self, member: Member) -> bool:
        return not member.users and self._clock() >= self._goes_from(member)

    def _goes_from(self, member: Member) -> float:
        """When it goes if nobody uses it: at the end of its turn, or sooner where it rests."""
        turn = member.came + self._bounds.turn_seconds
        return turn if member.users else min(turn, member.used + self._bounds.rest_seconds)

    def _asked_to_end(self, need: int, memory: Memory, beside: Member | None = None) -> frozenset[Member]:
        """Whose room it is that is waited for, and whose turn is over; for the others a look is taken at its end."""
        holders = leaving(need, self._budgets[memory], self._loaded(memory, beside=beside, busy_too=True)) or ()
        now = self._clock()
        self._look_at(min((one for one in map(self._goes_from, holders) if one > now), default=math.inf))
        return frozenset(one for one in holders if one.came + self._bounds.turn_seconds <= now)

    def _look_at(self, when: float) -> None:
        """Or sooner, where it is to be done sooner already. when: by the clock."""
        if when < self._alarmed:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarmed = when
            self._alarm = asyncio.get_running_loop().call_later(when - self._clock(), self._look)

    def _idle_too_long(self, member: Member) -> bool:
        idle = member.berth.idle_seconds
        free = member.place == "loaded" and not (member.berth.pinned or member.users or member.waiting)
        return free and idle is not None and self._clock() - member.used >= idle

    def _go(self, member: Member) -> None:
        """What is loaded from now on waits for it."""
        member.place = "unloading"
        task = self._begin(self._unloaded(member))
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def _unloaded(self, member: Member) -> None:
        log.info("engine %s is unloaded", member.berth.name)
        await self._ended(member)
        self._look()

    async def _ended(self, member: Member) -> None:
        try:
            await member.berth.engine.unload()
        except Exception:
            log.exception("engine %s: its end broke off", member.berth.name)
        member.place = "available" if member.berth.engine.asleep is None else "sleeping"

    def _come(self, member: Member) -> None:
        member.place = "loading"
        self._begin(self._brought(member))

    async def _brought(self, member: Member) -> None:
        """Once all that is about to go is gone: no two are there for one room."""
        await self._gone()
        began = self._clock()
        try:
            await member.berth.engine.ensure_ready()
        except Exception as error:
            if not isinstance(error, FirstpassError):
                log.exception("engine %s: its start broke off", member.berth.name)
            await self._ended(member)
            member.fault, member.faulty_until = _own(error), self._clock() + _retry_seconds(error)
            self._refuse(member, error)
        else:
            member.fault = None
            member.load_seconds = self._clock() - began
            await self._measure(member)
            member.place, member.came = "loaded", self._clock()
            member.used = member.came
        self._look()

    async def _gone(self) -> None:
        """Also what goes on from its sleep, because there is no room for what it keeps there."""
        while self._going:
            await asyncio.wait(tuple(self._going))

    async def _measure(self, member: Member) -> None:
        """What was seen at its start takes the place of what was expected; the most that was seen since counts."""
        if member.berth.memory != "main":
            return
        try:
            seen = await member.berth.engine.memory_bytes()
        except Exception:
            log.exception("engine %s: what it takes could not be seen", member.berth.name)
            return
        if seen is None:
            return
        if member.place == "loading":
            member.bytes = member.first_bytes = seen + member.berth.later_bytes
        else:
            member.bytes = max(member.bytes, seen)

    def _refuse(self, member: Member, error: Exception) -> None:
        """All that wait for it, each with an error of its own."""
        while member.waiting:
            turn = member.waiting.popleft()
            if not turn.done():
                turn.set_exception(_own(error))

    def _begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task


def _own(error: Exception) -> FirstpassError:
    """The same for one more who waits."""
    if not isinstance(error, FirstpassError):
        return TierUnavailable(str(error), part="draft", retry_after_seconds=RETRY_SECONDS)
    told = error.failure
    return type(error)(
        str(error), part="draft", param=told.param, code=told.code, retry_after_seconds=told.retry_after_seconds
    )


def _retry_seconds(error: Exception) -> int:
    told = error.failure.retry_after_seconds if isinstance(error, FirstpassError) else None
    return told or RETRY_SECONDS


def _let_in(member: Member) -> None:
    while member.waiting:
        turn = member.waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            member.users += 1


def mb(size: int) -> str:
    """For people."""
    return f"{size / 1e6:,.0f} MB"
