"""Models that sleep in a fleet: what they keep is counted, and they end for good where it is needed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from firstpass.engine import Asleep
from firstpass.errors import InUse
from firstpass.fleet import Berth, Bounds, Fleet
from firstpass.fleet.member import Memory
from tests.jumping import passed
from tests.unit.test_fleet import BUDGET, Clock, Model
from tests.unit.test_fleet import Memory as Held

WAKE_SECONDS, SLEEP_SECONDS = 3.0, 1.0


@dataclass(eq=False)
class SleepyModel(Model):
    """keeps: of the GPU's memory while it sleeps; None for one that ends instead. weights: of the main memory."""

    keeps: int | None = None
    weights: int = 0
    wakes: int = 0

    async def ensure_ready(self) -> None:
        if self.asleep is None:
            await super().ensure_ready()
            return
        self.wakes += 1
        self.memory.take(self.name, self.size)
        await asyncio.sleep(WAKE_SECONDS)
        self.asleep = None

    async def unload(self) -> None:
        if self.keeps is None or self.asleep is not None or self.name not in self.memory.held:
            await super().unload()
            self.asleep = None
            return
        await asyncio.sleep(SLEEP_SECONDS)
        self.memory.held[self.name] = self.keeps
        self.asleep = Asleep(1, self.size - self.keeps, self.weights)


class Scene:
    """Models a, b, c ... on one GPU of 100 bytes, beside a main memory of 100. keeps: of each."""

    def __init__(self, clock: Clock, sizes: dict[str, int], keeps: dict[str, int], main: frozenset[str]) -> None:
        self.clock, self.gpu, self.main = clock, Held(), Held()
        self.models = {
            name: SleepyModel(name, size, self.main if name in main else self.gpu, keeps=keeps.get(name), weights=30)
            for name, size in sizes.items()
        }
        berths = [self.berth(name, "main" if name in main else "gpu") for name in self.models]
        self.fleet = Fleet(clock)
        self.fleet.arrange(berths, {"main": BUDGET, "gpu": BUDGET}, Bounds(600, 30, 1))

    def berth(self, name: str, memory: Memory) -> Berth:
        return Berth(name, self.models[name], self.models[name].size, memory=memory)

    async def ask(self, *names: str) -> None:
        for name in names:
            await self.fleet.enter(self.models[name])
            self.fleet.leave(self.models[name])
            await asyncio.sleep(5)

    @property
    def places(self) -> dict[str, str]:
        return {name: self.fleet.shown(model).place for name, model in self.models.items()}


def scene(
    sizes: dict[str, int], keeps: dict[str, int], main: frozenset[str] = frozenset()
) -> Callable[[Callable[[Scene], Awaitable[None]]], None]:
    """Runs what is decorated with it; the GPU never holds more than there is."""

    def run(work: Callable[[Scene], Awaitable[None]]) -> None:
        async def inside(clock: Clock) -> None:
            there = Scene(clock, sizes, keeps, main)
            await work(there)
            assert there.gpu.most <= BUDGET
            await there.fleet.close()

        passed(inside)

    return run


def test_one_that_leaves_for_another_sleeps_and_is_woken_for_the_next_who_asks() -> None:
    @scene({"a": 90, "b": 90}, {"a": 4, "b": 4})
    async def _(there: Scene) -> None:
        await there.ask("a", "b", "a", "b")
        assert there.places == {"a": "sleeping", "b": "loaded"}
        shown = there.fleet.shown(there.models["a"])
        assert (shown.bytes, shown.kept, shown.idle_seconds) == (90, {"gpu": 4, "main": 30}, None)
        assert there.fleet.shown(there.models["b"]).kept == {}
        assert [(model.starts, model.wakes) for model in there.models.values()] == [(1, 1), (1, 1)]


def test_what_one_keeps_in_its_sleep_gives_way_where_the_room_is_needed() -> None:
    @scene({"a": 90, "b": 99}, {"a": 4, "b": 4})
    async def _(there: Scene) -> None:
        await there.ask("a", "b")
        assert there.places == {"a": "available", "b": "loaded"} and "a" not in there.gpu.held
        await there.ask("a")
        assert there.places == {"a": "loaded", "b": "sleeping"} and there.models["a"].starts == 2


def test_two_that_sleep_and_are_both_asked_do_not_wait_for_each_other() -> None:
    """Once there is less memory than before, as after other settings, neither fits beside what the other one keeps."""

    @scene({"a": 85, "b": 85, "c": 10}, {"a": 14, "b": 14})
    async def _(there: Scene) -> None:
        await there.ask("a", "b")
        await there.fleet.unload(there.models["b"])
        await there.fleet.enter(there.models["c"])
        assert there.places == {"a": "sleeping", "b": "sleeping", "c": "loaded"}
        there.fleet.arrange([there.berth(name, "gpu") for name in "abc"], {"gpu": 90}, Bounds(600, 30, 1))
        began, both = there.clock(), asyncio.gather(there.ask("a"), there.ask("b"))
        await asyncio.sleep(40)
        assert there.models["a"].wakes == there.models["b"].wakes == 0, "they wait for the room of the third"
        there.fleet.leave(there.models["c"])
        await both
        assert there.models["a"].wakes == 1 and there.models["b"].starts == 2
        assert there.clock() - began < 120


def test_weights_that_wait_in_the_main_memory_are_counted_there() -> None:
    @scene({"a": 90, "b": 90, "m": 80}, {"a": 4, "b": 4}, frozenset("m"))
    async def _(there: Scene) -> None:
        await there.ask("a", "b")
        assert there.places == {"a": "sleeping", "b": "loaded", "m": "available"}
        await there.ask("m")
        assert there.places == {"a": "available", "b": "loaded", "m": "loaded"}


def test_one_that_is_unloaded_sleeps_and_when_it_is_unloaded_again_has_left() -> None:
    @scene({"a": 90}, {"a": 4})
    async def _(there: Scene) -> None:
        a = there.models["a"]
        await there.fleet.enter(a)
        with pytest.raises(InUse):
            await there.fleet.unload(a)
        there.fleet.leave(a)
        await there.fleet.unload(a)
        assert there.places == {"a": "sleeping"} and there.gpu.held == {"a": 4}
        assert not there.fleet.enter_loaded(a), "it is not there for who would not wait"
        await there.fleet.unload(a)
        assert there.places == {"a": "available"} and there.gpu.held == {}


def test_one_that_died_in_its_sleep_is_seen_to_be_gone() -> None:
    @scene({"a": 90}, {"a": 4})
    async def _(there: Scene) -> None:
        await there.ask("a")
        await there.fleet.unload(there.models["a"])
        there.models["a"].asleep = None
        there.gpu.held.clear()
        assert there.fleet.shown(there.models["a"]).kept == {}
        keeping = asyncio.create_task(there.fleet.keep())
        await asyncio.sleep(6)
        keeping.cancel()
        assert there.places == {"a": "available"}
        await there.ask("a")
        assert there.models["a"].starts == 2


def test_one_that_sleeps_ends_when_it_is_dismissed() -> None:
    @scene({"a": 90, "b": 90}, {"a": 4})
    async def _(there: Scene) -> None:
        await there.ask("a", "b")
        there.fleet.arrange([there.berth("b", "gpu")], {}, Bounds(600, 30, 1))
        await there.fleet.dismiss(there.models["a"])
        assert there.gpu.held == {"b": 90}
