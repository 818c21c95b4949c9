"""Several verifiers in an order, without a network: who is asked what."""

from dataclasses import dataclass, field, replace
from itertools import product

import pytest

from firstpass.chat import Image, Message
from firstpass.errors import (
    BadAsk,
    Busy,
    ContextTooLong,
    FirstpassError,
    Forbidden,
    QuotaSpent,
    TierFailed,
    TierUnavailable,
)
from firstpass.exchange import CEILINGS, Ask, Consult, Reply, strictest
from firstpass.listening import StepListener
from firstpass.tier import Listener
from firstpass.tier.ordered import OrderedTier, Verifier
from tests.unit.test_policy import ASK

ASKED = replace(ASK, ceiling="any")


@dataclass
class Says:
    """error: in the place of a reply."""

    error: Exception | None = None
    instead: str | None = None
    seen: list[Ask] = field(default_factory=list)

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        self.seen.append(ask)
        if self.instead is not None:
            listener.instead("max_tokens", self.instead)
        if self.error is not None:
            raise self.error
        return Reply("yes", "m", "stop", None, 0.0)


async def asked(ask: Ask, *verifiers: Verifier) -> Reply:
    return await OrderedTier(verifiers).reply(ask, StepListener(Consult("verifier", "answer"), None, None))


async def test_a_score_is_never_taken_from_the_next() -> None:
    """Another model's numbers were held to the floor of the first."""
    near, far = Verifier("near", Says(TierFailed("down"))), Verifier("far", Says())
    with pytest.raises(TierFailed):
        await asked(replace(ASKED, scored=True), near, far)
    assert (await asked(ASKED, near, far)).verifier == "far"
    assert (await asked(replace(ASKED, scored=True, verifier="far"), near, far)).verifier == "far"


async def test_what_can_not_be_redacted_for_one_goes_to_the_next_that_may_have_it() -> None:
    far, near = Verifier("far", Says(Forbidden("a secret where it can't be replaced"))), Verifier("near", Says())
    assert (await asked(ASKED, far, near)).verifier == "near"
    with pytest.raises(Forbidden):
        await asked(ASKED, far)


@pytest.mark.parametrize("error", [ContextTooLong("8,000 tokens"), QuotaSpent("the cap has no room")])
async def test_what_is_too_long_or_too_dear_for_one_goes_to_the_next(error: FirstpassError) -> None:
    assert (await asked(ASKED, Verifier("near", Says(error)), Verifier("far", Says()))).verifier == "far"
    with pytest.raises(type(error)):
        await asked(ASKED, Verifier("near", Says(error)))


async def test_what_is_wrong_with_a_request_is_asked_of_nobody_else() -> None:
    far = Says()
    with pytest.raises(BadAsk):
        await asked(ASKED, Verifier("near", Says(BadAsk("no such field"))), Verifier("far", far))
    assert not far.seen


async def test_nothing_is_given_to_one_outside_above_the_ceilings() -> None:
    """Each of two in every place and under every ceiling, all failing, so that each is asked that may be."""
    picture = (Message("user", "What is this?", images=(Image("image/png", "AAAA"),)),)
    kinds = list(product((True, False), CEILINGS[1:], (True, False)))
    for ceiling, messages, *pair in product(CEILINGS, (ASK.messages, picture), kinds, kinds):
        those = [
            Verifier(str(number), Says(TierFailed("down")), hosted, own, sees)
            for number, (hosted, own, sees) in enumerate(pair)
        ]
        with pytest.raises((TierFailed, Forbidden)):
            await asked(replace(ASKED, ceiling=ceiling, messages=messages), *those)
        for one in those:
            assert isinstance(one.tier, Says)
            limit = strictest(ceiling, one.ceiling)
            allowed = not one.hosted or limit == "any" or (limit == "redacted" and messages is not picture)
            assert len(one.tier.seen) == (allowed and (one.sees or messages is not picture))
            assert all(ask.ceiling == limit for ask in one.tier.seen)


async def test_what_one_was_asked_with_instead_is_not_said_of_the_next() -> None:
    """The answer said that it was written without a limit, which only the one that failed had been asked for."""
    near, far = Verifier("near", Says(TierFailed("down"), instead="unset")), Verifier("far", Says())
    hears = StepListener(Consult("verifier", "answer"), None, None)
    await OrderedTier([near, far]).reply(ASKED, hears)
    assert hears.step().instead == {}
    await OrderedTier([Verifier("far", Says(instead="9"))]).reply(ASKED, hears)
    assert hears.step().instead == {"max_tokens": "9"}


async def test_who_asked_in_vain_hears_when_the_first_of_them_may_work() -> None:
    """A key that the last one refuses made an outage of a minute into a fault for good."""
    away, busy = TierUnavailable("away", retry_after_seconds=9), Busy("busy", retry_after_seconds=2)
    for errors, told in (
        ((away, TierFailed("a wrong key")), away),
        ((away, Forbidden("a secret")), away),
        ((busy, away), busy),
        ((TierFailed("a wrong key"), away), away),
    ):
        with pytest.raises(type(told)) as raised:
            await asked(ASKED, *(Verifier(str(number), Says(error)) for number, error in enumerate(errors)))
        assert raised.value is told
