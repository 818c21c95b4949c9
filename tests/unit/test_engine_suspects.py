"""Who is suspected of an engine's death, how often it may start again, and when it owes a word: a clock by hand."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from firstpass.engine.pulse import Pulse
from firstpass.engine.restarts import RestartLimit
from firstpass.engine.suspects import FORGET_SECONDS, Suspects
from firstpass.errors import BadAsk, KillsEngine, TierFailed, TierUnavailable


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@contextlib.contextmanager
def at_work(suspects: Suspects, *bodies: bytes, key: str | None = None) -> Iterator[None]:
    """The engine works on them and gets no further."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(TierFailed))
        for body in bodies:
            stack.enter_context(suspects.running(asyncio.run(admitted(suspects, body, key))))
        yield
        raise TierFailed("the connection broke")


async def admitted(suspects: Suspects, body: bytes, key: str | None = None):  # type: ignore[no-untyped-def]
    work = suspects.asked(body, key)
    async with suspects.in_turn(work):
        return work


def answered(suspects: Suspects, body: bytes, key: str | None = None) -> None:
    with suspects.running(asyncio.run(admitted(suspects, body, key))):
        pass


def kill(suspects: Suspects, *bodies: bytes, key: str | None = None) -> bool:
    explained = []
    with at_work(suspects, *bodies, key=key):
        explained.append(suspects.died(since=0.0))
    return explained[0]


def test_what_the_engine_died_over_twice_is_refused_and_nothing_else_is() -> None:
    suspects = Suspects(Clock())
    assert not kill(suspects, b"poison")
    assert kill(suspects, b"poison"), "the second death explains itself: what caused it does not come again"
    with pytest.raises(KillsEngine, match="died 2 times"):
        answered(suspects, b"poison")
    answered(suspects, b"other")


def test_an_innocent_one_is_cleared_by_its_answer_or_by_the_engine_s_refusal() -> None:
    suspects = Suspects(Clock())
    kill(suspects, b"poison", b"innocent", b"refused")
    answered(suspects, b"innocent")
    with pytest.raises(BadAsk), suspects.running(asyncio.run(admitted(suspects, b"refused"))):
        raise BadAsk("too hot")
    kill(suspects, b"poison", b"innocent", b"refused")
    answered(suspects, b"innocent")
    answered(suspects, b"refused")
    with pytest.raises(KillsEngine):
        answered(suspects, b"poison")


def test_who_left_before_the_death_is_suspected_and_who_left_long_before_is_not() -> None:
    clock = Clock()
    suspects = Suspects(clock)
    for _ in range(2):
        with at_work(suspects, b"early"):
            pass
        clock.seconds += 10
        with at_work(suspects, b"late"):
            pass
        suspects.died(since=clock.seconds - 5)
    answered(suspects, b"early")
    with pytest.raises(KillsEngine):
        answered(suspects, b"late")


async def test_suspects_run_one_at_a_time_and_others_beside_them() -> None:
    suspects = Suspects(Clock(), turn_seconds=0.01)
    for body in (b"a", b"b"):
        with contextlib.suppress(TierFailed):
            async with suspects.in_turn(work := suspects.asked(body, None)):
                with suspects.running(work):
                    suspects.died(since=0.0)
                    raise TierFailed("broke")
    async with suspects.in_turn(a := suspects.asked(b"a", None)):
        await admitted(suspects, b"c")
        with pytest.raises(TierUnavailable) as caught:
            await admitted(suspects, b"b")
        assert caught.value.failure.retry_after_seconds
        suspects.begun(a)
        async with suspects.in_turn(suspects.asked(b"b", None)):
            pass
    await admitted(suspects, b"b")


def test_a_key_whose_every_body_is_new_kills_four_engines_at_most_and_no_other_key_is_refused() -> None:
    suspects = Suspects(Clock())
    explained = [kill(suspects, b"nonce %d" % number, key="hostile") for number in range(4)]
    assert explained == [False, False, False, True]
    with pytest.raises(KillsEngine, match="API key"):
        answered(suspects, b"nonce 4", key="hostile")
    answered(suspects, b"nonce 4", key="other")
    answered(suspects, b"nonce 4")


def test_a_key_under_which_all_is_asked_is_accused_of_no_death_that_may_be_another_s() -> None:
    suspects = Suspects(Clock())
    for number in range(8):
        kill(suspects, b"one %d" % number, b"other %d" % number, key="all")
    answered(suspects, b"new", key="all")


def test_answers_take_a_key_s_deaths_back() -> None:
    suspects = Suspects(Clock())
    for number in range(8):
        kill(suspects, b"nonce %d" % number, key="all")
        answered(suspects, b"good %d" % number, key="all")
    for number in range(3):
        kill(suspects, b"more %d" % number, key="all")
    answered(suspects, b"good", key="all")
    kill(suspects, b"last", key="all")
    kill(suspects, b"very last", key="all")
    answered(suspects, b"good", key="all")


def test_each_death_is_forgotten_by_itself() -> None:
    clock = Clock()
    suspects = Suspects(clock)
    for number in range(8):
        kill(suspects, b"nonce %d" % number, key="all")
        clock.seconds += FORGET_SECONDS / 3
    answered(suspects, b"new", key="all")


def test_deaths_are_forgotten_after_a_while_and_so_are_the_oldest_of_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.engine.suspects.MOST_SUBJECTS", 8)
    clock = Clock()
    suspects = Suspects(clock)
    for _ in range(2):
        kill(suspects, b"poison")
    clock.seconds += FORGET_SECONDS
    answered(suspects, b"poison")
    for _ in range(2):
        kill(suspects, b"poison")
    for number in range(8):
        kill(suspects, b"%d" % number)
    assert len(suspects._deaths) == 8
    answered(suspects, b"poison")


def test_nothing_that_was_asked_is_kept_but_salted_hashes() -> None:
    suspects, others = Suspects(Clock()), Suspects(Clock())
    for one in (suspects, others):
        kill(one, b"a very private prompt", key="a-key")
    assert b"private" not in repr(suspects._deaths).encode() and b"a-key" not in repr(suspects._deaths).encode()
    assert not set(suspects._deaths) & set(others._deaths), "a hash tells nothing to who knows the words"


def test_the_first_start_again_comes_at_once_and_each_further_one_waits_twice_as_long() -> None:
    clock = Clock()
    limit = RestartLimit(clock, chance=lambda: 0.5)
    waits = []
    for _ in range(4):
        limit.started()
        clock.seconds += 20
        limit.ended()
        waits.append(limit.wait_seconds())
        clock.seconds += waits[-1]
    assert waits == [0.0, 1.0, 2.0, 4.0]


def test_waits_differ_by_chance() -> None:
    def wait(chance: float) -> float:
        limit = RestartLimit(Clock(), chance=lambda: chance)
        limit.started()
        limit.started()
        limit.ended()
        return limit.wait_seconds()

    assert (wait(0.0), wait(0.999)) == (0.5, pytest.approx(1.5, abs=0.01))


def test_after_five_starts_in_ten_minutes_it_is_given_up_and_an_excused_one_does_not_count() -> None:
    clock = Clock()
    limit = RestartLimit(clock, rest_seconds=0.0)
    for _ in range(7):
        limit.started()
        limit.ended(excused=True)
    for _ in range(5):
        assert not limit.given_up and limit.wait_seconds() == 0
        limit.started()
        limit.ended()
    assert limit.given_up and limit.wait_seconds() == 600
    clock.seconds += 600
    assert not limit.given_up and limit.wait_seconds() == 0


def test_an_engine_that_was_asked_owes_a_word_until_it_says_one_whoever_hears_it() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    clock.seconds += 50
    assert pulse.silent_seconds == 0 and pulse.quiet_seconds == 50
    with pytest.raises(TimeoutError), pulse.asked():
        clock.seconds += 3
        with pulse.asked():
            clock.seconds += 1
            assert pulse.silent_seconds == 4
            pulse.heard()
            clock.seconds += 2
        assert pulse.silent_seconds == 2, "the other one still waits"
        raise TimeoutError
    assert pulse.silent_seconds == 2 and pulse.awaited_from is not None, "who left without a word is still owed one"
    with pulse.asked():
        pulse.heard()
        clock.seconds += 2
    assert pulse.silent_seconds == 0 and pulse.awaited_from is None, "all have got theirs"
    pulse.heard()
    clock.seconds += 2
    assert pulse.silent_seconds == 0
