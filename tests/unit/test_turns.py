"""Whose turn it is: fewest places first, a room that is shared as it fills, and who is told what."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median

import pytest

from firstpass.allowance.seats import Seats
from firstpass.allowance.turns import Bounds, Place, Share, Turns
from firstpass.chat import Message
from firstpass.errors import Busy, FirstpassError, Overloaded
from firstpass.exchange import Ask
from tests.jumping import passed

LONG = 20.0


def turns(places: int, waiting: int, seconds: float = LONG, kept: int = 0, now: list[float] | None = None) -> Turns:
    clock = now or [0.0]
    return Turns("draft", Bounds(places, waiting, seconds, kept), lambda: clock[0])


async def waiting(room: Turns, shares: Iterable[Share]) -> "list[asyncio.Task[Place]]":
    """Those that have a place and those that wait for one, in this order."""
    tasks = [asyncio.create_task(room.take(share)) for share in shares]
    await settled()
    return tasks


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def told(task: "asyncio.Task[Place]") -> FirstpassError | None:
    """What a task was refused with, None for one that has its place; only for those that are done."""
    error = task.exception()
    assert error is None or isinstance(error, FirstpassError)
    return error


async def test_a_share_with_one_request_is_next_although_another_has_a_thousand_waiting() -> None:
    room = turns(4, 2000)
    hog = await waiting(room, ["hog"] * 1004)
    (one,) = await waiting(room, ["one"])
    assert [task.done() for task in hog[:5]] == [True] * 4 + [False] and not one.done()
    room.leave(hog[0].result())
    await settled()
    assert one.done() and not hog[4].done()
    for task in hog:
        task.cancel()


async def test_places_are_shared_evenly_among_those_that_want_them_as_turns_end() -> None:
    room = turns(6, 100)
    order = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    tasks = await waiting(room, order)
    for _ in range(12):
        first = next(task for task in tasks if task.done() and task.get_name() != "left")
        first.set_name("left")
        room.leave(first.result())
        await settled()
    held = [share for task, share in zip(tasks, order, strict=True) if task.done() and task.get_name() != "left"]
    assert sorted(held) == ["a", "a", "b", "b", "c", "c"]
    for task in tasks:
        task.cancel()


async def test_a_share_may_fill_half_of_an_empty_room_and_others_halve_what_is_left() -> None:
    room = turns(1, 8)
    hog = await waiting(room, ["hog"] * 7)
    assert [task.done() for task in hog] == [True] + [False] * 4 + [True] * 2
    assert all(isinstance(told(task), Busy) for task in hog[5:])
    second = await waiting(room, ["second"] * 4)
    assert [task.done() for task in second] == [False, False, True, True] and isinstance(told(second[2]), Overloaded)
    third, fourth, late = await waiting(room, ["third", "fourth", "late"])
    assert not third.done() and not fourth.done() and isinstance(told(late), Overloaded)
    assert not any(task.done() for task in hog[1:5]), "who waits gives way to nobody"
    for task in (*hog, *second, third, fourth):
        task.cancel()


async def test_what_would_be_refused_is_known_beforehand_and_nothing_else_is_said_to_be() -> None:
    room = turns(1, 2)
    assert room.why_not("a", None) is None
    tasks = await waiting(room, ["a", "a"])
    assert isinstance(room.why_not("a", None), Busy) and room.why_not("b", None) is None
    (other,) = await waiting(room, ["b"])
    assert isinstance(room.why_not("c", None), Overloaded)
    for task in (*tasks, other):
        task.cancel()


async def test_an_ask_is_refused_before_it_is_read_only_where_no_tier_has_room() -> None:
    seats = Seats({"draft": turns(1, 0), "verifier": turns(1, 0)})
    first, second = (Ask(f"ex_{number}", 0.0, "chat", "m", "cascade", (Message("user", "hi"),)) for number in range(2))
    await seats.sit(first, "draft")
    seats.check(None, None)
    await seats.sit(second, "verifier")
    with pytest.raises(Busy) as caught:
        seats.check(None, None)
    assert caught.value.failure.part == "draft"


async def test_where_all_have_as_much_the_server_is_full_and_nobody_s_own_share_is_the_reason() -> None:
    room = turns(1, 2)
    tasks = await waiting(room, ["a", "b", "c", "d"])
    error = told(tasks[3])
    assert isinstance(error, Overloaded) and error.failure.retry_after_seconds == 1
    for task in tasks:
        task.cancel()


async def test_who_waits_too_long_is_refused_and_holds_nothing() -> None:
    room = turns(1, 5, seconds=0.05)
    (first,) = await waiting(room, ["a"])
    with pytest.raises(Busy, match="1 requests are being worked on"):
        await room.take("a")
    with pytest.raises(Overloaded):
        await room.take("b")
    room.leave(first.result())
    assert await asyncio.wait_for(room.take("b"), LONG)


async def test_a_wait_that_can_be_foreseen_to_be_too_long_is_refused_at_once() -> None:
    now = [0.0]
    room = turns(1, 50, seconds=600.0, now=now)
    place = await room.take("a")
    now[0] = 30.0
    room.leave(place)
    (held, *queued) = await waiting(room, ["a"] * 4)
    for seconds in (1.0, 100.0):
        with pytest.raises(Busy) as caught:
            await asyncio.wait_for(room.take("a", patience_seconds=seconds), LONG)
        assert caught.value.failure.retry_after_seconds == 60
    (newcomer,) = await waiting(room, ["b"])
    assert not newcomer.done(), "it would be next: 30 s"
    for task in (held, *queued, newcomer):
        task.cancel()


async def test_one_that_stops_waiting_in_the_moment_of_its_turn_gives_it_on() -> None:
    room = turns(1, 5)
    first, second, third = await waiting(room, ["a", "b", "c"])
    room.leave(first.result())
    second.cancel()
    await settled()
    assert second.cancelled() and third.done()
    third.result()
    room.leave(third.result())
    assert await asyncio.wait_for(room.take("d"), LONG)


async def test_the_last_places_are_kept_for_those_that_have_none() -> None:
    room = turns(8, 0, kept=2)
    hog = await waiting(room, ["hog"] * 7)
    assert [told(task) is None for task in hog] == [True] * 6 + [False]
    one, two, three = await waiting(room, ["one", "two", "three"])
    assert (told(one), told(two)) == (None, None) and isinstance(told(three), Overloaded)
    room.leave(one.result())
    with pytest.raises(Busy):
        await room.take("hog")


@pytest.mark.parametrize("places", [1, 3, 8])
async def test_no_more_than_the_places_are_held_and_none_is_lost(places: int) -> None:
    """Many come, leave and give up, in every order that the loop makes of it."""
    room, now, most, ended = turns(places, 40, seconds=LONG), 0, 0, 0

    async def one(number: int) -> None:
        nonlocal now, most, ended
        place = await room.take(f"key{number % 5}")
        now += 1
        most = max(most, now)
        try:
            for _ in range(number % 8):
                await asyncio.sleep(0)
        finally:
            now -= 1
            room.leave(place)
        ended += 1

    tasks = []
    for number in range(400):
        tasks.append(asyncio.create_task(one(number)))
        if number % 3 == 0:
            await asyncio.sleep(0)
        if number % 7 == 0:
            tasks[number // 2].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert most == places and now == 0 and ended > places
    assert all(result is None or isinstance(result, Busy | Overloaded | asyncio.CancelledError) for result in results)
    again = [await asyncio.wait_for(room.take("late"), LONG) for _ in range(places)]
    assert len(again) == places


async def test_an_ask_that_goes_to_the_verifier_has_left_the_draft_model_before_it_waits() -> None:
    draft, verifier = turns(1, 5), turns(1, 5)
    seats = Seats({"draft": draft, "verifier": verifier})
    first, second, third = (
        Ask(f"ex_{number}", 0.0, "chat", "m", "cascade", (Message("user", "hi"),)) for number in range(3)
    )
    await seats.sit(first, "draft")
    await seats.sit(first, "draft")
    await seats.sit(second, "verifier")
    going = asyncio.create_task(seats.sit(first, "verifier"))
    await settled()
    assert not going.done()
    await asyncio.wait_for(seats.sit(third, "draft"), LONG)
    seats.leave(second)
    await asyncio.wait_for(going, LONG)
    seats.leave(first)
    seats.leave(first)
    assert await asyncio.wait_for(verifier.take(None), LONG)


async def worked(room: Turns, callers: int) -> tuple[list[int], list[int]]:
    """So many callers that ask again and again: rounds of the loop until each place, and until each refusal.

    A round is no time, so that a busy machine does as many of them as an idle one.
    """
    waited, refused, now = list[int](), list[int](), 0

    async def rest() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def caller(share: Share) -> None:
        while (begun := now) < 400:
            try:
                place = await room.take(share)
            except (Busy, Overloaded):
                refused.append(now - begun)
                await rest()
                continue
            waited.append(now - begun)
            await rest()
            room.leave(place)

    asking = asyncio.gather(*(caller(f"key{number % 3}") for number in range(callers)))
    while not asking.done():
        now += 1
        await asyncio.sleep(0)
    await asking
    return waited, refused


async def test_ten_times_the_load_gets_as_much_done_and_refusals_do_not_wait() -> None:
    """`benchmarks/suites/overload` measures it at a whole front."""
    room = Turns("draft", Bounds(4, 4, LONG))
    fits, none = await worked(room, 4)
    floods, refused = await worked(room, 40)
    assert not none and len(floods) > 0.7 * len(fits)
    assert median(refused) < median(floods)


TURNS: dict[str, Callable[[random.Random], float]] = {
    "alike": lambda chance: 2.0,
    "as they come": lambda chance: chance.expovariate(0.5),
    "a tenth of them 40 times as long": lambda chance: 0.4 if chance.random() < 0.9 else 16.0,
}


@pytest.mark.parametrize("kind", TURNS)
def test_of_those_that_are_let_in_hardly_any_waits_in_vain(kind: str) -> None:
    """Of every hundred 7, 13 and 34 did, where any wait might be half of the longest that was expected."""
    ends, chance = Counter[str](), random.Random(3)

    async def flood(clock: Callable[[], float]) -> None:
        room, asked = Turns("draft", Bounds(8, 256, 5.0), clock), list[asyncio.Task[None]]()
        while clock() < 150:
            await asyncio.sleep(chance.expovariate(12.0))
            asked.append(asyncio.create_task(one(room, f"key{chance.randrange(8)}", clock)))
        await asyncio.gather(*asked)

    async def one(room: Turns, share: Share, clock: Callable[[], float]) -> None:
        begun = clock()
        try:
            place = await room.take(share)
        except (Busy, Overloaded):
            ends["in vain" if clock() > begun else "at once"] += 1
            return
        await asyncio.sleep(TURNS[kind](chance))
        room.leave(place)
        ends["served"] += 1

    passed(flood)
    assert ends["at once"] > ends["served"] > 400
    assert ends["in vain"] < 0.1 * ends["served"], ends


def test_a_caller_that_waits_hardly_at_all_keeps_nobody_else_from_waiting() -> None:
    async def hurry(clock: Callable[[], float]) -> None:
        room = Turns("draft", Bounds(1, 10, 5.0), clock)
        place = await room.take("a")
        await asyncio.sleep(1.0)
        room.leave(place)
        await room.take("a")
        for _ in range(30):
            with pytest.raises((Busy, Overloaded)):
                await room.take("b", patience_seconds=2.0)
        assert room.why_not("c", None) is None

    passed(hurry)


def test_what_one_stall_taught_is_unlearned_where_turns_are_as_before() -> None:
    """At light load nobody was let in to wait any more, and only who waits could have said that it is not in vain."""

    async def stall(clock: Callable[[], float]) -> None:
        room = Turns("draft", Bounds(4, 256, 5.0), clock)
        stalled = [await room.take("a") for _ in range(4)]
        vain = await asyncio.gather(*(room.take("a") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(error, Busy) for error in vain)
        for place in stalled:
            room.leave(place)
        assert await together(room, 5) == [True] * 5, "the first that waits is let in"
        assert await together(room, 6) == [True] * 5 + [False], "a second is not yet"
        for _ in range(2000):
            await together(room, 5)
        assert await together(room, 8) == [True] * 8

    async def together(room: Turns, asked: int) -> list[bool]:
        """Which of those that come at once are served, in turns of 2 s."""

        async def one() -> bool:
            try:
                place = await room.take("a")
            except Busy:
                return False
            await asyncio.sleep(2.0)
            room.leave(place)
            return True

        return await asyncio.gather(*(one() for _ in range(asked)))

    passed(stall)
