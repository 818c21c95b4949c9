"""Rates and spends: what is left, who is refused, and what a restart remembers."""

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from firstpass.allowance import rates as rates_module
from firstpass.allowance.bucket import Bucket
from firstpass.allowance.keyring import Keyring
from firstpass.allowance.purse import KEYLESS, UNLIMITED_ANSWER_TOKENS, Prices, Purse
from firstpass.allowance.rates import Rates
from firstpass.chat import Message, Sampling, Usage
from firstpass.errors import QuotaSpent, RateLimited
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Step
from firstpass.store.keys import mint
from firstpass.store.scopes import Scopes, Spend, day_of
from firstpass.store.sqlite import SqliteStore

PEPPER = b"pepper"
PRICES = Prices(1.0, 10.0)
NOW = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.unix = NOW

    def __call__(self) -> float:
        return self.unix


class Desk:
    """A store with one key in it, and what counts for it."""

    def __init__(self, path: Path, scopes: Scopes) -> None:
        self.path, self.clock = path, Clock()
        self.store = SqliteStore(path)
        self.key, self.holder = mint("ci", PEPPER, NOW, scopes)
        self.store.add_key(self.holder)
        self.keyring = Keyring(self.store, PEPPER)
        self.rates = Rates(self.store, self.keyring, self.clock)
        self.purse = Purse(self.store, self.keyring, {"strong": PRICES}, Spend(1.0), self.clock)

    async def known(self) -> "Desk":
        assert await self.keyring.holder(self.key) is not None
        return self

    def ask(self, number: int = 0, **sampling: int) -> Ask:
        said = (Message("user", "word"),)
        ask = Ask(f"ex_{number}", NOW, "chat", "m", "strong", said, Sampling(**sampling))
        return replace(ask, key=self.holder.owner)

    async def settled(self, exchange: Exchange) -> None:
        settling = self.purse.settle(exchange)
        assert settling is not None and await settling

    @property
    def spent(self) -> float:
        return self.store.spent(self.holder.owner, day_of(self.clock.unix))


def answered(ask: Ask, *usages: Usage | None) -> Exchange:
    move = Consult("verifier", "answer")
    steps = tuple(Step(move, Reply("", "m", "stop", usage, 0.0, verifier="strong")) for usage in usages)
    return Exchange(ask, steps, Answer(0, "strong"), 1.0)


def test_a_bucket_gives_what_it_holds_and_then_what_flows_in() -> None:
    bucket = Bucket.a_minute(6, 0.0)
    assert bucket.wait(6, 0.0) == 0
    bucket.use(6, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(10) and bucket.wait(1, 10.0) == 0
    assert bucket.wait(100, 0.0) == pytest.approx(50), "more than it holds needs a full one; the clock was set back"


def test_a_debt_is_paid_off_first() -> None:
    bucket = Bucket.a_minute(60, 0.0)
    bucket.use(90, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(31)
    bucket.use(-1000, 0.0)
    assert bucket.level == 60


async def test_requests_over_the_rate_wait_as_long_as_it_says(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "s", Scopes(requests=2))
    for _ in range(2):
        desk.rates.admit(desk.holder)
    with pytest.raises(RateLimited) as refused:
        desk.rates.admit(desk.holder)
    assert refused.value.failure.retry_after_seconds == 30
    desk.clock.unix += 30
    desk.rates.admit(desk.holder)
    desk.rates.close()


async def test_rates_survive_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "s", Scopes(requests=2))
    for _ in range(2):
        desk.rates.admit(desk.holder)
    desk.rates.close()
    again = Rates(desk.store, desk.keyring, desk.clock)
    with pytest.raises(RateLimited):
        again.admit(desk.holder)


async def test_rates_survive_a_crash_but_for_its_last_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, "KEEP_SECONDS", 0.01)
    desk = Desk(tmp_path / "s", Scopes(requests=5))
    for _ in range(3):
        desk.rates.admit(desk.holder)
    with closing(SqliteStore(desk.path)) as other:
        for _ in range(500):
            if other.rates():
                break
            await asyncio.sleep(0.01)
        assert other.rates() == {(desk.holder.owner, "requests"): (2.0, NOW)}


async def test_both_keys_of_a_rotation_share_one_rate(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "s", Scopes(requests=2))
    desk.rates.admit(desk.holder)
    desk.rates.admit(replace(desk.holder, id="ffffffff"))
    with pytest.raises(RateLimited):
        desk.rates.admit(desk.holder)
    desk.rates.close()


async def test_tokens_are_reserved_before_and_counted_after(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes(tokens=100)).known()
    first = desk.rates.reserve(desk.ask(max_tokens=60))
    assert first == 61, "four characters are taken for a token, and the answer may have sixty"
    with pytest.raises(RateLimited, match="100 tokens a minute"):
        desk.rates.reserve(desk.ask(max_tokens=60))
    desk.rates.settle(answered(desk.ask(), Usage(2, 8)), first)
    assert desk.rates.reserve(desk.ask(max_tokens=60)) == 61
    desk.rates.close()


async def test_without_a_limit_nothing_is_counted(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes()).known()
    for _ in range(1000):
        desk.rates.admit(desk.holder)
    desk.rates.settle(answered(desk.ask(), Usage(10**9, 0)), desk.rates.reserve(desk.ask()))
    desk.rates.close()
    assert desk.store.rates() == {}


async def test_requests_at_once_do_not_overshoot_a_cap(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes(spend=Spend(0.01))).known()
    asks = [desk.ask(number, max_tokens=100) for number in range(40)]
    said = await asyncio.gather(*(desk.purse.reserve(ask, 1000, "strong") for ask in asks), return_exceptions=True)
    assert said.count(None) == 5 and all(isinstance(error, QuotaSpent) for error in said if error)
    assert desk.spent == pytest.approx(0.01)


async def test_what_was_reserved_makes_room_for_what_it_cost(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes(spend=Spend(0.01))).known()
    for number in range(20):
        ask = desk.ask(number, max_tokens=100)
        await desk.purse.reserve(ask, 1000, "strong")
        await desk.settled(answered(ask, Usage(100, 10)))
    assert desk.spent == pytest.approx(20 * 0.0002)


async def test_what_was_refused_or_never_sent_costs_nothing(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes()).known()
    ask = desk.ask(max_tokens=100)
    await desk.purse.reserve(ask, 1000, "strong")
    await desk.purse.release(ask, "strong")
    assert desk.spent == 0.0
    await desk.purse.reserve(ask, 1000, "strong")
    await desk.settled(answered(ask, Usage(100, 10)))
    assert desk.spent == pytest.approx(0.0002)


async def test_a_caller_who_leaves_while_it_is_reserved_pays_nothing(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s.sqlite", Scopes(spend=Spend(1.0))).known()
    for _ in range(20):
        asking = asyncio.ensure_future(desk.purse.reserve(desk.ask(), 1000, "strong"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert desk.spent == 0


async def test_an_answer_that_nobody_counted_costs_all_that_was_reserved(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes()).known()
    ask = desk.ask()
    await desk.purse.reserve(ask, 0, "strong")
    await desk.settled(answered(ask, None))
    assert desk.spent == pytest.approx(UNLIMITED_ANSWER_TOKENS * 10 / 1e6)


async def test_a_crash_before_the_answer_leaves_what_was_reserved_spent(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes(spend=Spend(0.002))).known()
    await desk.purse.reserve(desk.ask(max_tokens=100), 1000, "strong")
    again = Purse(desk.store, desk.keyring, {"strong": PRICES}, clock=desk.clock)
    with pytest.raises(QuotaSpent) as refused:
        await again.reserve(desk.ask(1, max_tokens=100), 1000, "strong")
    assert refused.value.failure.code == "insufficient_quota"
    assert refused.value.failure.retry_after_seconds == Spend(1).seconds_left(NOW)
    desk.clock.unix += 86_400
    await again.reserve(desk.ask(1, max_tokens=100), 1000, "strong")


async def test_callers_without_a_key_share_a_cap(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "s", Scopes())
    ask = replace(desk.ask(max_tokens=90_000), key=None)
    await desk.purse.reserve(ask, 0, "strong")
    with pytest.raises(QuotaSpent, match="callers without an API key"):
        await desk.purse.reserve(replace(ask, id="ex_1"), 0, "strong")
    assert desk.store.spent(KEYLESS, "") == pytest.approx(0.9)


async def test_a_cap_that_nobody_can_count_for_refuses(tmp_path: Path) -> None:
    desk = await Desk(tmp_path / "s", Scopes(spend=Spend(1.0))).known()
    with pytest.raises(QuotaSpent, match="no prices"):
        await Purse(desk.store, desk.keyring, {}).reserve(desk.ask(), 10, "strong")


async def test_what_nobody_counted_costs_the_most_at_the_one_that_was_asked(tmp_path: Path) -> None:
    """A cheap verifier that broke off was charged what the dear one behind it had reserved."""
    desk = await Desk(tmp_path / "s", Scopes()).known()
    desk.purse = Purse(desk.store, desk.keyring, {"free": Prices(0, 0), "strong": PRICES}, clock=desk.clock)
    ask = desk.ask(max_tokens=100)
    await desk.purse.reserve(ask, 1000, "free")
    await desk.purse.reserve(ask, 1000, "strong")
    await desk.settled(answered(ask, Usage(100, 10)))
    assert desk.spent == pytest.approx(0.0002)


async def test_one_without_a_price_gives_nothing_of_another_s_back(tmp_path: Path) -> None:
    """It failed in a later step of the exchange, and what the first step had cost was forgotten."""
    desk = await Desk(tmp_path / "s", Scopes()).known()
    ask = desk.ask(max_tokens=100)
    await desk.purse.reserve(ask, 1000, "strong")
    await desk.purse.reserve(ask, 1000, "unpriced")
    await desk.purse.release(ask, "unpriced")
    await desk.settled(answered(ask, Usage(100, 10)))
    assert desk.spent == pytest.approx(0.0002)


async def test_a_price_counts_thoughts_and_every_choice() -> None:
    ask = Ask("ex_1", NOW, "chat", "m", "strong", (), Sampling(max_tokens=10, thinking_tokens=5, n=2))
    assert PRICES.at_most(ask, 100) == pytest.approx((100 + 300) / 1e6)
