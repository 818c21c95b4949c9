"""What owners of keys may spend at the verifier: reserved on the disk before a byte leaves, settled when it is known.

It knows no HTTP. A crash in between leaves what was reserved spent.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from firstpass.allowance.keyring import Keyring
from firstpass.chat import Usage
from firstpass.errors import QuotaSpent, StoreFailed
from firstpass.exchange import Ask, Exchange
from firstpass.store import Store
from firstpass.store.scopes import Spend, day_of

UNLIMITED_ANSWER_TOKENS = 4096
"""Reserved for an answer that nobody set a limit to: a longer one goes over the cap by the rest of it."""

KEYLESS = ""
"""The owner of what callers without a key spend together."""


@dataclass(frozen=True, slots=True)
class Prices:
    """In US dollars for a million tokens."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        return (usage.prompt_tokens * self.input + usage.completion_tokens * self.output) / 1e6

    def at_most(self, ask: Ask, size_bytes: int) -> float:
        """No token of a body has less than a byte."""
        sampling = ask.sampling
        limit = UNLIMITED_ANSWER_TOKENS if sampling.max_tokens is None else sampling.max_tokens
        answer = (limit + (sampling.thinking_tokens or 0)) * (sampling.n or 1)
        return self.of(Usage(size_bytes, answer))


@dataclass(frozen=True, slots=True)
class Held:
    verifier: str
    day: str
    usd: float


class Purse:
    """prices: of each verifier by its name, where somebody said. keyless: the cap of all callers without a key."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        prices: Mapping[str, Prices],
        keyless: Spend | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._prices = prices
        self._keyless = keyless
        self._clock = clock
        self._held: dict[str, list[Held]] = {}

    async def reserve(self, ask: Ask, size_bytes: int, verifier: str) -> None:
        """Durable when it returns. Raises: QuotaSpent where the cap has no room for the most that it may cost."""
        cap = self._keyless if ask.key is None else self._keyring.scopes(ask.key).spend
        if (prices := self._prices.get(verifier)) is None:
            if cap is not None:
                raise QuotaSpent("this API key has a spend cap, and the verifier has no prices here", part="egress")
            return
        now = self._clock()
        held = Held(verifier, day_of(now), prices.at_most(ask, size_bytes))
        since, cap_usd = (cap.since(held.day), cap.usd) if cap else (held.day, None)
        owner = ask.key or KEYLESS
        adding = self._store.soon(self._store.add_spend, owner, held.day, held.usd, since, cap_usd)
        try:
            there = await asyncio.shield(adding)
        except asyncio.CancelledError:
            with suppress(StoreFailed):  # then nothing was reserved, or it stays so
                if await adding:
                    await self._add(ask.key, held.day, -held.usd)
            raise
        if not there:
            assert cap is not None, "only a cap refuses"
            raise QuotaSpent(_refusal(ask, cap), part="egress", retry_after_seconds=cap.seconds_left(now))
        self._held.setdefault(ask.id, []).append(held)

    async def release(self, ask: Ask, verifier: str) -> None:
        """The last that was reserved there cost nothing: it was refused, or never sent. One without prices has none."""
        held = self._held.get(ask.id, [])
        last = next((one for one in reversed(held) if one.verifier == verifier), None)
        if last is not None:
            held.remove(last)
            await self._add(ask.key, last.day, -last.usd)

    def settle(self, exchange: Exchange) -> "asyncio.Future[bool] | None":
        """What it cost in the place of what was reserved, which stays where nobody counted; None if nothing was.

        Done when it is durable. Raises: StoreFailed.
        """
        held = self._held.pop(exchange.ask.id, None)
        if not held:
            return None
        cost = sum(self._cost(exchange, verifier, those) for verifier, those in _by_verifier(held).items())
        return self._add(exchange.ask.key, held[0].day, cost - sum(one.usd for one in held))

    def _cost(self, exchange: Exchange, verifier: str, held: Sequence[Held]) -> float:
        """Of all that was asked of one verifier. What it was asked that nobody counted costs the most that any did."""
        prices = self._prices[verifier]
        replies = [step.reply for step in exchange.steps if step.reply and step.reply.verifier == verifier]
        costs = [prices.of(reply.usage) for reply in replies if reply.usage]
        return sum(costs) + max(0, len(held) - len(costs)) * max(one.usd for one in held)

    def _add(self, owner: str | None, day: str, usd: float) -> "asyncio.Future[bool]":
        return self._store.soon(self._store.add_spend, owner or KEYLESS, day, usd, day, None)


@dataclass(frozen=True, slots=True)
class PurseFor:
    """What callers may spend at one verifier, from a purse for all."""

    purse: Purse
    verifier: str

    async def reserve(self, ask: Ask, size_bytes: int) -> None:
        """See `Purse.reserve`."""
        await self.purse.reserve(ask, size_bytes, self.verifier)

    async def release(self, ask: Ask) -> None:
        """See `Purse.release`."""
        await self.purse.release(ask, self.verifier)


def _by_verifier(held: Sequence[Held]) -> Mapping[str, Sequence[Held]]:
    return {name: [one for one in held if one.verifier == name] for name in {one.verifier for one in held}}


def _refusal(ask: Ask, cap: Spend) -> str:
    whose = "callers without an API key" if ask.key is None else "this API key"
    return f"the spend cap of {whose}, {cap.usd:g} US dollars a {cap.per}, has no room for this request"
