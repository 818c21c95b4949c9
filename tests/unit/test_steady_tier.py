"""Retries within a budget, and a breaker, with a clock that is set by hand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from firstpass.allowance.seats import SeatedTier, Seats
from firstpass.allowance.turns import Bounds, Turns
from firstpass.chat import Message
from firstpass.errors import BadAsk, TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import Ask
from firstpass.tier import steady
from firstpass.tier.steady import SAVED_RETRIES, Retrying, SteadyTier
from tests.doubles import ScriptedTier
from tests.web.test_tiers import Heard

ASK = Ask("ex_1", 0.0, "chat", "strong", "strong", (Message("user", "hello"),))
PATIENCE = Retrying(retries=2, share=0.1, seconds=5.0, failures=4, rest_seconds=10.0)


def busy(asked: int | None = None) -> TierUnavailable:
    error = TierUnavailable("busy", part="verifier", retry_after_seconds=asked or 5)
    error.asked_to_wait_seconds = asked
    return error


def failed() -> TierFailed:
    return TierFailed("reset", part="verifier", retry_after_seconds=1)


class Timed:
    """A steady tier over a scripted one. slept: its waits, in seconds."""

    def __init__(self, *lines: Any, draw: Callable[[], float] = lambda: 1.0, **patience: Any) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.inner = ScriptedTier(list(lines))
        known = {name: getattr(PATIENCE, name) for name in Retrying.__slots__} | patience
        self.tier = SteadyTier(
            self.inner, "verifier", Retrying(**known), clock=lambda: self.now, sleep=self.sleep, draw=draw
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def ask(self, heard: Heard | None = None) -> str:
        return (await self.tier.reply(ASK, heard or Heard())).text


async def test_an_endpoint_that_fails_for_a_moment_is_asked_again_after_waits_that_grow() -> None:
    timed = Timed(busy(), failed(), "hi")
    assert await timed.ask() == "hi" and timed.slept == [0.2, 0.4]
    timed = Timed(busy(), failed(), "hi", draw=lambda: 0.0)
    assert await timed.ask() == "hi" and timed.slept == [0, 0], "jitter takes all of the wait, or none"


async def test_so_many_retries_and_no_more() -> None:
    timed = Timed(*(failed() for _ in range(9)))
    with pytest.raises(TierFailed, match="reset"):
        await timed.ask()
    assert len(timed.inner.asked) == 3


@pytest.mark.parametrize(
    "error",
    [
        BadAsk("yours", part="verifier"),
        TierFailed("wrong key", part="verifier"),
        TierTimedOut("slow", part="verifier", retry_after_seconds=10),
        busy(6),
    ],
)
async def test_what_a_retry_does_not_mend_or_not_in_time_is_not_retried(error: Exception) -> None:
    timed = Timed(error, "hi")
    with pytest.raises(type(error)):
        await timed.ask()
    assert timed.slept == []


async def test_the_endpoint_s_own_wait_is_kept_where_there_is_time_for_it() -> None:
    timed = Timed(busy(3), "hi")
    assert await timed.ask() == "hi" and timed.slept == [3.2]


@dataclass
class Breaks(ScriptedTier):
    """Says its line, and then breaks off."""

    error: TierFailed = field(default_factory=failed)

    async def reply(self, ask: Ask, listener: Any) -> Any:
        await super().reply(ask, listener)
        raise self.error


def too_long() -> TierTimedOut:
    """What still came when its time was over."""
    error = TierTimedOut("slow", part="verifier", retry_after_seconds=10)
    error.in_all = True
    return error


async def test_a_reply_that_has_begun_is_not_asked_for_again() -> None:
    timed, heard = Timed(), Heard(streaming=True)
    timed.tier._tier = Breaks(["hi", "again"])
    with pytest.raises(TierFailed):
        await timed.ask(heard)
    assert len(heard.chunks) == 1


async def test_what_nobody_saw_is_asked_for_again_and_counts_for_the_budget() -> None:
    timed, saved = Timed(failed(), "hi"), SAVED_RETRIES
    assert await timed.ask(Heard(streaming=False)) == "hi"
    assert timed.tier._saved == saved - 1 and len(timed.inner.asked) == 2


@pytest.mark.parametrize("times", [1, 2])
async def test_one_long_answer_leaves_nobody_alone_and_what_never_ends_does(times: int) -> None:
    timed = Timed(failures=1)
    timed.tier._tier = Breaks(["once"] * times, error=too_long())
    for _ in range(times):
        with pytest.raises(TierTimedOut):
            await timed.ask(Heard(streaming=True))
    assert timed.tier.left_alone == (times == 2)


@pytest.mark.parametrize("error", [failed(), TierTimedOut("silent", part="verifier", retry_after_seconds=10)])
async def test_a_reply_that_begins_and_falls_silent_or_breaks_is_a_failure(error: TierFailed) -> None:
    timed = Timed(failures=1)
    timed.tier._tier = Breaks(["hi"], error=error)
    with pytest.raises(TierFailed):
        await timed.ask(Heard(streaming=True))
    assert timed.tier.left_alone


async def test_a_long_answer_to_the_one_that_tries_locks_nobody_out_until_it_ends() -> None:
    timed, goes_on, begun = Timed(failed(), retries=0, failures=1), asyncio.Event(), asyncio.Event()
    with pytest.raises(TierFailed):
        await timed.ask()

    class Long(ScriptedTier):
        async def reply(self, ask: Ask, listener: Any) -> Any:
            reply = await super().reply(ask, listener)
            begun.set()
            await goes_on.wait()
            return reply

    timed.now += 10
    timed.tier._tier = Long(["word for word"])
    trial = asyncio.create_task(timed.ask(Heard(streaming=True)))
    await begun.wait()
    assert timed.tier.left_alone, "one tries it"
    timed.now += 10
    assert not timed.tier.left_alone, "its reply comes: after a rest another one may try"
    timed.tier._tier = timed.inner
    timed.inner.lines = [failed(), "hi"]
    with pytest.raises(TierFailed, match="reset"):
        await timed.ask()
    assert timed.tier.left_alone
    goes_on.set()
    await trial
    assert await timed.ask() == "hi"


async def test_retries_are_a_share_of_what_is_asked() -> None:
    timed = Timed(failures=10**6)
    for _ in range(1000):
        timed.inner.lines = [failed(), failed(), failed()]
        with pytest.raises(TierFailed):
            await timed.ask()
    assert len(timed.slept) <= SAVED_RETRIES + 0.1 * 1000 + 1


async def test_an_endpoint_that_fails_and_fails_is_left_alone_and_then_tried_by_one() -> None:
    timed = Timed(*(failed() for _ in range(4)), retries=0)
    for _ in range(4):
        with pytest.raises(TierFailed, match="reset"):
            await timed.ask()
    for _ in range(3):
        with pytest.raises(TierUnavailable, match="left alone") as caught:
            await timed.ask()
        assert caught.value.failure.retry_after_seconds == 10
    assert len(timed.inner.asked) == 4, "nothing was sent meanwhile"
    timed.now += 10
    timed.inner.lines = [failed(), "hi", "hi"]
    with pytest.raises(TierFailed, match="reset"):
        await timed.ask()
    with pytest.raises(TierUnavailable, match="left alone"):
        await timed.ask()
    timed.now += 10
    assert [await timed.ask(), await timed.ask()] == ["hi", "hi"]


async def test_a_call_from_before_the_rest_lets_no_second_one_try() -> None:
    timed = Timed(*(failed() for _ in range(4)), retries=0)
    breaker = timed.tier._breaker
    with pytest.raises(BadAsk), breaker.tried(steady.Heard(Heard(), lambda: 0.0)):
        for _ in range(4):
            with pytest.raises(TierFailed, match="reset"):
                await timed.ask()
        timed.now += 10
        trial = breaker.tried(steady.Heard(Heard(), lambda: 0.0))
        trial.__enter__()
        raise BadAsk("its own fault")
    with pytest.raises(TierUnavailable, match="left alone"):
        await timed.ask()
    trial.__exit__(None, None, None)
    timed.inner.lines = ["hi"]
    assert await timed.ask() == "hi"


async def test_nobody_waits_for_a_place_at_an_endpoint_that_is_left_alone() -> None:
    timed, room = Timed(*(failed() for _ in range(4)), retries=0), Turns("verifier", Bounds(1, 5, 3600.0))
    seats = Seats({"verifier": room})
    seated = SeatedTier("verifier", timed.tier, seats, timed.tier.check)
    for _ in range(4):
        with pytest.raises(TierFailed, match="reset"):
            await seated.reply(ASK, Heard())
    with pytest.raises(TierUnavailable, match="left alone"):
        await asyncio.wait_for(seated.reply(replace(ASK, id="ex_2"), Heard()), 60)


async def test_failures_that_are_the_request_s_own_leave_nobody_alone() -> None:
    timed = Timed(*(TierFailed("too long", part="verifier") for _ in range(9)), "hi", retries=0)
    for _ in range(9):
        with pytest.raises(TierFailed):
            await timed.ask()
    assert await timed.ask() == "hi"
