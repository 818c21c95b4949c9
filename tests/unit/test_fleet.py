"""Several models in one memory: who is loaded, who leaves for whom, who waits how long; hours pass in no time."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.engine import Asleep
from firstpass.errors import BadAsk, FirstpassError, InUse, TierUnavailable
from firstpass.fleet import Berth, Bounds, Fleet
from firstpass.fleet.room import Loaded, leaving
from tests.jumping import passed

Clock = Callable[[], float]
BUDGET, START_SECONDS, END_SECONDS = 100, 20.0, 2.0


@dataclass
class Memory:
    """What is in it now. most: that ever was."""

    held: dict[str, int] = field(default_factory=dict)
    most: int = 0

    def take(self, name: str, size: int) -> None:
        self.held[name] = size
        self.most = max(self.most, sum(self.held.values()))


@dataclass(eq=False)
class Model:
    """Takes its size of the memory from the beginning of its start to the end of its end.

    fault: what its next starts end with. grown: by how much it is larger than was expected.
    """

    name: str
    size: int
    memory: Memory
    fault: FirstpassError | None = None
    grown: int = 0
    users: int = 0
    starts: int = 0
    asleep: Asleep | None = None

    async def ensure_ready(self) -> None:
        if self.name not in self.memory.held:
            self.starts += 1
            self.memory.take(self.name, self.size + self.grown)
            await asyncio.sleep(START_SECONDS)
        if self.fault is not None:
            raise self.fault

    async def unload(self) -> None:
        assert not self.users, f"{self.name} is in use"
        await asyncio.sleep(END_SECONDS)
        self.memory.held.pop(self.name, None)

    async def memory_bytes(self) -> int | None:
        return self.memory.held.get(self.name)

    async def close(self) -> None:
        self.memory.held.pop(self.name, None)


class Scene:
    """A fleet of models of these sizes, by the names a, b, c ..."""

    def __init__(self, clock: Clock, *sizes: int, bounds: Bounds | None = None, **berths: dict[str, object]) -> None:
        self.clock, self.memory = clock, Memory()
        self.models = {name: Model(name, size, self.memory) for name, size in zip("abcdefgh", sizes, strict=False)}
        every = [Berth(name, one, one.size, **berths.get(name, {})) for name, one in self.models.items()]  # type: ignore[arg-type]
        self.fleet = Fleet(clock)
        self.fleet.arrange(every, {"main": BUDGET, "gpu": BUDGET}, bounds or Bounds(600, 30, 1))
        self.asked: list[tuple[str, float]] = []

    async def ask(self, name: str, seconds: float = 1.0, patience: float | None = None) -> None:
        """One request that takes the model so long; it is noted how long it waited."""
        began, model = self.clock(), self.models[name]
        await self.fleet.enter(model, patience)
        assert name in self.memory.held, "it is there"
        model.users += 1
        self.asked.append((name, self.clock() - began))
        try:
            await asyncio.sleep(seconds)
        finally:
            model.users -= 1
            self.fleet.leave(model)

    def places(self) -> str:
        shown = map(self.fleet.shown, self.models.values())
        return "".join(one.name for one in shown if one.place == "loaded")

    @property
    def sizes(self) -> list[int]:
        return [self.fleet.shown(model).bytes for model in self.models.values()]

    @property
    def starts(self) -> list[int]:
        return [model.starts for model in self.models.values()]


def scene(*sizes: int, **options: object) -> Callable[[Callable[[Scene], Awaitable[None]]], None]:
    """Runs what is decorated with it."""

    def run(work: Callable[[Scene], Awaitable[None]]) -> None:
        async def inside(clock: Clock) -> None:
            there = Scene(clock, *sizes, **options)  # type: ignore[arg-type]
            await work(there)
            await there.fleet.close()

        passed(inside)

    return run


sized = st.builds(Loaded, st.uuids().map(str), st.integers(0, 50), st.integers(0, 2), st.floats(0, 9), st.booleans())


@given(st.integers(0, 120), st.lists(sized, max_size=6, unique_by=lambda one: one.what))
def test_who_leaves_makes_the_room_and_nobody_leaves_for_nothing(need: int, loaded: Sequence[Loaded[str]]) -> None:
    names = leaving(need, BUDGET, loaded)
    left = [one for one in loaded if one.what not in (names or ())]
    if names is None:
        assert need + sum(one.bytes for one in loaded if one.stays) > BUDGET
        return
    assert need + sum(one.bytes for one in left) <= BUDGET
    gone = [one for one in loaded if one.what in names]
    assert not any(one.stays for one in gone)
    for one in gone:
        assert need + sum(each.bytes for each in left) + one.bytes > BUDGET, "it had to"


def test_the_least_recently_used_of_the_lowest_priority_leaves_first() -> None:
    loaded = [Loaded("new", 40, 0, 9, False), Loaded("old", 40, 0, 1, False), Loaded("low", 10, -1, 99, False)]
    assert leaving(20, BUDGET, loaded) == ("low",)
    assert leaving(30, BUDGET, loaded) == ("old",), "the low one alone would not do, and with the old one need not go"
    assert set(leaving(60, BUDGET, loaded) or ()) == {"low", "old"}


def test_a_model_is_loaded_when_it_is_asked_and_stays_while_there_is_room() -> None:
    @scene(40, 40, 40)
    async def _(there: Scene) -> None:
        for name in "abab":
            await there.ask(name)
        assert there.places() == "ab" and there.starts == [1, 1, 0]
        await asyncio.sleep(40)
        await there.ask("b")
        await there.ask("c")
        assert there.places() == "bc" and there.starts == [1, 1, 1], "the least recently used left"


def test_one_in_use_never_leaves_and_others_answer_while_one_is_loaded() -> None:
    @scene(60, 60, 30)
    async def _(there: Scene) -> None:
        await there.ask("c")
        long = asyncio.create_task(there.ask("a", seconds=200))
        await asyncio.sleep(25)
        waits = asyncio.create_task(there.ask("b"))
        await asyncio.sleep(100)
        assert not waits.done() and "a" in there.memory.held
        for _ in range(3):
            await there.ask("c")
        assert [waited for name, waited in there.asked if name == "c"][1:] == [0, 0, 0]
        await asyncio.gather(long, waits)
        assert there.memory.most <= BUDGET


@pytest.mark.parametrize("seed", range(6))
def test_hundreds_of_requests_at_random_are_all_answered_within_the_memory(seed: int) -> None:
    @scene(50, 40, 30, 60)
    async def _(there: Scene) -> None:
        of = random.Random(seed)

        async def caller() -> None:
            for _ in range(30):
                await asyncio.sleep(of.expovariate(0.2))
                await there.ask(of.choice("abcd"), of.expovariate(0.5))

        await asyncio.gather(*(caller() for _ in range(10)))
        assert len(there.asked) == 300 and there.memory.most <= BUDGET
        assert max(waited for _, waited in there.asked) < 4 * (30 + START_SECONDS + END_SECONDS + 20)


def test_two_that_do_not_fit_together_take_turns_and_neither_waits_for_long() -> None:
    @scene(60, 60)
    async def _(there: Scene) -> None:
        async def caller(name: str) -> None:
            for _ in range(200):
                await there.ask(name)

        await asyncio.gather(*(caller(name) for name in "aabb"))
        assert len(there.asked) == 800 and max(there.starts) <= 12, "not one start for each request"
        turn = 30 + 1 + END_SECONDS + START_SECONDS
        assert max(waited for _, waited in there.asked) <= 2 * turn


def test_a_model_that_rests_leaves_before_its_turn_is_over() -> None:
    @scene(60, 60)
    async def _(there: Scene) -> None:
        await there.ask("a")
        await there.ask("b")
        assert there.asked[1][1] <= 1 + END_SECONDS + START_SECONDS


def test_one_that_is_not_loaded_in_time_is_a_503_and_comes_all_the_same() -> None:
    @scene(60)
    async def _(there: Scene) -> None:
        with pytest.raises(TierUnavailable, match="not loaded within 5 s") as told:
            await there.ask("a", patience=5)
        assert told.value.failure.retry_after_seconds
        await asyncio.sleep(START_SECONDS)
        await there.ask("a")
        assert there.asked == [("a", 0)] and there.starts == [1]


def test_one_that_can_not_be_loaded_at_all_is_told_what_is_missing_and_what_would_fit() -> None:
    @scene(150, 40, 80, b={"pinned": True})
    async def _(there: Scene) -> None:
        with pytest.raises(BadAsk, match=r"a needs .* beside those that stay loaded .*; b would fit") as told:
            await there.ask("a")
        assert told.value.failure.param == "model"
        with pytest.raises(BadAsk, match="c needs"):
            await there.ask("c")


def test_a_start_that_fails_is_told_to_all_who_wait_and_the_next_one_tries_again() -> None:
    @scene(60, 60)
    async def _(there: Scene) -> None:
        there.models["a"].fault = TierUnavailable(
            "the engine a exited with status 1", part="draft", retry_after_seconds=9
        )
        told = await asyncio.gather(*(there.ask("a") for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in told] == ["the engine a exited with status 1"] * 3
        assert len({id(one) for one in told}) == 3, "each has an error of its own"
        assert not there.memory.held
        there.models["a"].fault = None
        await there.ask("a")


def test_a_caller_that_goes_while_it_waits_leaves_no_trace() -> None:
    @scene(60, 60)
    async def _(there: Scene) -> None:
        waits = [asyncio.create_task(there.ask("a")) for _ in range(3)]
        await asyncio.sleep(1)
        waits[0].cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await there.ask("b")
        assert there.places() == "b"


def test_what_was_seen_at_its_start_takes_the_place_of_what_was_expected() -> None:
    @scene(40, 40, 40)
    async def _(there: Scene) -> None:
        there.models["a"].grown, there.models["b"].grown = -30, -30
        for name in "abc":
            await there.ask(name)
        assert there.places() == "abc" and there.sizes == [10, 10, 40]


def test_one_that_grows_beyond_the_memory_has_others_leave() -> None:
    @scene(40, 40)
    async def _(there: Scene) -> None:
        await there.ask("a")
        await there.ask("b")
        keeping = asyncio.create_task(there.fleet.keep())
        there.memory.take("b", 70)
        await asyncio.sleep(60)
        assert there.places() == "b"
        keeping.cancel()


def test_one_that_nobody_uses_leaves_after_its_idle_time_and_a_pinned_one_never() -> None:
    @scene(30, 30, a={"idle_seconds": 60.0}, b={"pinned": True})
    async def _(there: Scene) -> None:
        keeping = asyncio.create_task(there.fleet.keep())
        await there.ask("a")
        await asyncio.sleep(50)
        assert there.places() == "ab"
        await asyncio.sleep(20)
        assert there.places() == "b"
        keeping.cancel()


def test_it_is_loaded_and_unloaded_by_hand_but_not_while_it_is_used() -> None:
    @scene(30, 30, b={"pinned": True})
    async def _(there: Scene) -> None:
        await there.fleet.load(there.models["a"])
        asked = asyncio.create_task(there.ask("a", seconds=50))
        await asyncio.sleep(1)
        with pytest.raises(InUse, match="in use"):
            await there.fleet.unload(there.models["a"])
        with pytest.raises(InUse, match="pinned"):
            await there.fleet.unload(there.models["b"])
        await asked
        await there.fleet.unload(there.models["a"])
        assert there.places() == "b" and "a" not in there.memory.held


def test_a_model_takes_the_place_of_a_former_one_without_both_in_the_memory() -> None:
    @scene(60, a={"pinned": True})
    async def _(there: Scene) -> None:
        there.memory.take("a", 60)
        asked = asyncio.create_task(there.ask("a", seconds=50))
        await asyncio.sleep(1)
        there.models["b"] = Model("b", 60, there.memory)
        there.fleet.arrange([Berth("b", there.models["b"], 60, pinned=True)], {"main": BUDGET}, Bounds(600, 30, 1))
        await there.ask("b")
        assert asked.done() and there.memory.most <= BUDGET and there.places() == "b"
        await there.fleet.dismiss(there.models["a"])


def test_a_larger_one_that_waits_is_not_overtaken_for_ever_by_smaller_ones() -> None:
    @scene(90, 40, 40)
    async def _(there: Scene) -> None:
        async def caller(name: str) -> None:
            for _ in range(100):
                await there.ask(name, seconds=2)

        small = [asyncio.create_task(caller(name)) for name in "bbcc"]
        await asyncio.sleep(60)
        await there.ask("a")
        assert there.asked[-1][1] < 120
        await asyncio.gather(*small)


def test_of_two_busy_ones_the_same_is_asked_to_end_until_it_has_made_room() -> None:
    """Each was left and asked in turn, so that now this one and now that one was the least recently used."""

    @scene(40, 40, 50)
    async def _(there: Scene) -> None:
        async def caller(name: str, seconds: float) -> None:
            while there.clock() < 900:
                await there.ask(name, seconds)

        busy = [asyncio.create_task(caller(name, seconds)) for name in "ab" for seconds in (7.0, 5.3, 3.1, 9.7)]
        await asyncio.sleep(60)
        await there.ask("c")
        assert there.asked[-1][1] < 30 + 10 + END_SECONDS + START_SECONDS
        await asyncio.gather(*busy)


def test_who_waits_for_one_memory_holds_up_nobody_who_wants_another() -> None:
    @scene(60, 60, 40, 90, a={"memory": "gpu"}, b={"memory": "gpu"})
    async def _(there: Scene) -> None:
        used = [asyncio.create_task(there.ask(name, seconds=200)) for name in "ac"]
        await asyncio.sleep(25)
        waits = asyncio.create_task(there.ask("b"))
        await asyncio.sleep(5)
        there.models["e"] = Model("e", 30, there.memory)
        berths = [
            Berth(name, one, one.size, memory="gpu" if name in "ab" else "main") for name, one in there.models.items()
        ]
        there.fleet.arrange(berths, {}, Bounds(600, 30, 1))
        await there.ask("e")
        assert there.asked[-1] == ("e", START_SECONDS)
        await there.fleet.unload(there.models["e"])
        large = asyncio.create_task(there.ask("d"))
        await asyncio.gather(*used, waits, large)


def arranged(there: Scene, **berths: dict[str, object]) -> None:
    """Other models than before, of these sizes; those of before that are not among them are former ones."""
    for name, berth in berths.items():
        there.models.setdefault(name, Model(name, int(str(berth["bytes"])), there.memory))
    every = [Berth(name, there.models[name], **berth) for name, berth in berths.items()]  # type: ignore[arg-type]
    there.fleet.arrange(every, {"main": BUDGET}, Bounds(600, 30, 1))


def test_a_pinned_one_that_takes_more_than_there_is_may_be_exchanged_while_it_runs() -> None:
    """A single model is there whether there is room for it or not. After a reload each request was a 400."""

    @scene(150, a={"pinned": True})
    async def _(there: Scene) -> None:
        there.memory.take("a", 150)
        await there.ask("a")
        arranged(there, b={"bytes": 160, "pinned": True})
        await there.ask("b")
        assert "a" not in there.memory.held


def test_what_can_not_be_loaded_any_more_is_told_so_and_holds_up_nobody() -> None:
    """It waited until its time was over, and everybody else with it."""

    @scene(60, 60, 30)
    async def _(there: Scene) -> None:
        long = asyncio.create_task(there.ask("a", seconds=200))
        await asyncio.sleep(25)
        waits = asyncio.create_task(there.ask("b"))
        await asyncio.sleep(1)
        arranged(there, a={"bytes": 60, "pinned": True}, b={"bytes": 60}, c={"bytes": 30})
        with pytest.raises(BadAsk, match="b needs") as told:
            await waits
        assert (told.value.failure.code, told.value.failure.param) == ("model_too_large", "model")
        await there.ask("c")
        assert there.asked[-1] == ("c", START_SECONDS)
        await long


def test_a_former_model_is_none_that_would_fit() -> None:
    @scene(40, 40)
    async def _(there: Scene) -> None:
        arranged(there, a={"bytes": 40}, c={"bytes": 150})
        with pytest.raises(BadAsk, match=r"MB; a would fit$"):
            await there.ask("c")


def test_who_still_waits_for_a_model_that_ends_for_good_is_told_at_once() -> None:
    @scene(60, 60)
    async def _(there: Scene) -> None:
        long = asyncio.create_task(there.ask("a", seconds=200))
        await asyncio.sleep(25)
        waits = asyncio.create_task(there.fleet.load(there.models["b"]))
        await asyncio.sleep(1)
        arranged(there, a={"bytes": 60})
        await there.fleet.dismiss(there.models["b"])
        with pytest.raises(TierUnavailable, match="not among this server's models any more"):
            await waits
        assert there.clock() < 30
        await long


def test_a_model_whose_dismissal_is_broken_off_ends_with_the_others() -> None:
    """A server that was told to end meanwhile left the engine's processes behind."""

    @scene(60, 30)
    async def _(there: Scene) -> None:
        await there.ask("a")
        ended, model = asyncio.Event(), there.models["a"]

        async def close() -> None:
            await asyncio.sleep(END_SECONDS)
            ended.set()

        model.close = close  # type: ignore[method-assign]
        arranged(there, b={"bytes": 30})
        dismissing = asyncio.create_task(there.fleet.dismiss(model))
        await asyncio.sleep(END_SECONDS / 2)
        dismissing.cancel()
        await asyncio.wait([dismissing])
        await there.fleet.close()
        assert ended.is_set()


def test_of_two_that_have_grown_beyond_the_memory_and_are_always_in_use_one_leaves() -> None:
    """Only what nobody used left, so that both stayed for as long as they were asked."""

    @scene(40, 40)
    async def _(there: Scene) -> None:
        async def caller(name: str, seconds: float) -> None:
            while there.clock() < 400:
                await there.ask(name, seconds)

        keeping = asyncio.create_task(there.fleet.keep())
        busy = [asyncio.create_task(caller(name, seconds)) for name in "ab" for seconds in (7.0, 5.3)]
        await asyncio.sleep(60)
        there.memory.take("b", 70)
        await asyncio.sleep(30)
        assert sum(there.memory.held.values()) <= BUDGET
        await asyncio.gather(*busy)
        assert max(waited for _, waited in there.asked) < 120, "they take turns"
        keeping.cancel()


def test_one_that_grew_beyond_all_that_there_is_may_be_loaded_again() -> None:
    """What it had grown to counted for ever: each later request was a 400."""

    @scene(60, 30)
    async def _(there: Scene) -> None:
        keeping = asyncio.create_task(there.fleet.keep())
        await there.ask("a")
        there.memory.take("a", 120)
        await asyncio.sleep(30)
        assert not there.memory.held, "it has left"
        await there.ask("b")
        await there.ask("a")
        assert there.memory.held == {"a": 60}, "nobody is beside it, as it may grow again"
        keeping.cancel()


def test_who_loads_nothing_waits_at_no_closed_door() -> None:
    """A count of tokens waited there, and had the model loaded again that had just left for another."""

    @scene(60, 60)
    async def _(there: Scene) -> None:
        model = there.models["a"]
        assert not there.fleet.enter_loaded(model), "not loaded"
        busy = asyncio.create_task(there.ask("a", seconds=60))
        await asyncio.sleep(25)
        assert there.fleet.enter_loaded(model)
        there.fleet.leave(model)
        waits = asyncio.create_task(there.ask("b"))
        await asyncio.sleep(30)
        assert not there.fleet.enter_loaded(model), "its door is closed"
        await asyncio.gather(busy, waits)
        assert there.starts == [1, 1]


def test_a_fault_where_it_is_measured_or_ended_leaves_no_model_loading_for_ever() -> None:
    @scene(60, a={"idle_seconds": 60.0})
    async def _(there: Scene) -> None:
        async def broken() -> None:
            raise RuntimeError("can't start new thread")

        model = there.models["a"]
        keeping = asyncio.create_task(there.fleet.keep())
        model.memory_bytes = broken  # type: ignore[method-assign]
        await there.ask("a")
        await asyncio.sleep(80)
        assert there.places() == "" and not keeping.done(), "it is still seen who has been idle for too long"
        model.fault, model.unload = TierUnavailable("no"), broken  # type: ignore[method-assign]
        for _ in range(2):
            with pytest.raises(TierUnavailable, match="no"):
                await there.ask("a")
        keeping.cancel()


def test_nobody_leaves_again_and_again_for_one_that_does_not_start() -> None:
    """Each request for it had the other one unloaded, and loaded again afterwards."""

    @scene(60, 60)
    async def _(there: Scene) -> None:
        there.models["b"].fault = TierUnavailable("b is left alone for now", part="draft", retry_after_seconds=300)
        for _ in range(10):
            await there.ask("a")
            await asyncio.sleep(2)
            with pytest.raises(TierUnavailable, match="left alone"):
                await there.ask("b")
        assert there.starts[0] == 2
        there.models["b"].fault = None
        await asyncio.sleep(300)
        await there.ask("b")


def test_a_model_of_two_former_arrangements_that_end_together_is_dismissed_by_both() -> None:
    """The second one broke off, and the other models of its own stayed."""

    @scene(60, 30)
    async def _(there: Scene) -> None:
        model = there.models["a"]

        async def close() -> None:
            await asyncio.sleep(END_SECONDS)

        model.close = close  # type: ignore[method-assign]
        arranged(there, b={"bytes": 30})
        await asyncio.gather(there.fleet.dismiss(model), there.fleet.dismiss(model))
        await there.fleet.dismiss(model)
