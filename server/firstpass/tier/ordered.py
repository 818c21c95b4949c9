"""Several verifiers in an order: the first that may be asked is, and the next where it fails before a word was heard.

What may leave is a question of each: a ceiling, or a secret that can't be hidden, may keep a request from one and not
from another. It knows no wire format and no connection.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from firstpass.chat import Chunk
from firstpass.errors import Busy, ContextTooLong, FirstpassError, Forbidden, Overloaded, QuotaSpent, TierFailed
from firstpass.exchange import Ask, Ceiling, Reply, strictest
from firstpass.tier import Listener, Tier
from firstpass.tier.steady import Heard

NEXT = (TierFailed, Busy, Overloaded, Forbidden, ContextTooLong, QuotaSpent)
"""After which the next one is asked: it may be there, have a place, a longer context, or a price that a cap has room
for. What is wrong with the request itself is wrong with it everywhere."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """hosted: it is off this machine. ceiling: the most that may go there. sees: it takes images."""

    name: str
    tier: Tier
    hosted: bool = True
    ceiling: Ceiling = "any"
    sees: bool = True


@dataclass(frozen=True, slots=True)
class OrderedTier:
    verifiers: Sequence[Verifier]
    clock: Callable[[], float] = time.monotonic

    def may_be_asked(self, ask: Ask) -> bool:
        """Whether there is one that takes it."""
        return bool(self._those(ask))

    def first(self, ask: Ask) -> Verifier | None:
        """The one that is asked before the others."""
        return next(iter(self._those(ask)), None)

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        """See `Tier.reply`.

        Raises: of what those raised that were asked, that which may pass the soonest; Forbidden where none may be.
        """
        those, failures = self._those(ask), list[FirstpassError]()
        for one in those:
            limited, heard = replace(ask, ceiling=strictest(ask.ceiling, one.ceiling)), HeardOfOne(listener, self.clock)
            try:
                return replace(await one.tier.reply(limited, heard), verifier=one.name)
            except NEXT as error:
                if heard.begun_at is not None:
                    raise
                failures.append(error)
                if one is not those[-1]:
                    heard.forget()
            finally:
                heard.tell()
        if failures:
            raise min(reversed(failures), key=_seconds_until_it_may_work)
        text = "no verifier may be asked this: by the ceiling of the request, or by its own, or for its images"
        raise Forbidden(text, part="policy", param="firstpass.egress", code="egress_forbidden")

    def _those(self, ask: Ask) -> Sequence[Verifier]:
        """That may be asked, in their order. One model's numbers can not stand for another's: the first gives those."""
        those = [one for one in self.verifiers if ask.verifier in (None, one.name)]
        of_one_model = ask.kind == "embedding" or ask.scored
        return [one for one in (those[:1] if of_one_model else those) if _may_be_asked(one, ask)]


class HeardOfOne(Heard):
    """What one of them was asked with instead is told when it speaks, or ends: it says nothing of the next."""

    def __init__(self, listener: Listener, clock: Callable[[], float]) -> None:
        super().__init__(listener, clock)
        self._instead: dict[str, str] = {}

    def instead(self, field: str, value: str) -> None:
        self._instead[field] = value

    async def chunk(self, chunk: Chunk) -> None:
        self.tell()
        await super().chunk(chunk)

    def forget(self) -> None:
        self._instead.clear()

    def tell(self) -> None:
        while self._instead:
            super().instead(*self._instead.popitem())


def _seconds_until_it_may_work(error: FirstpassError) -> float:
    seconds = error.failure.retry_after_seconds
    return math.inf if seconds is None else seconds


def _may_be_asked(one: Verifier, ask: Ask) -> bool:
    """In images no secret can be found: under the ceiling `redacted` none leaves."""
    ceiling, images = strictest(ask.ceiling, one.ceiling), any(message.images for message in ask.messages)
    may_leave = ceiling == "any" or (ceiling == "redacted" and not images)
    return (may_leave or not one.hosted) and (one.sees or not images)
