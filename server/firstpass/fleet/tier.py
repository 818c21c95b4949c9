"""The draft tier of several models: each request goes to the one that it names, which stays loaded meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass

from firstpass.exchange import Ask, Reply
from firstpass.fleet import Fleet
from firstpass.tier import Listener, Tier


@dataclass(frozen=True, slots=True)
class FleetTier:
    """first: who answers where an ask names none."""

    fleet: Fleet
    tiers: Mapping[str, Tier]
    first: str

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        """Raises: as a tier does; BadAsk for a model that can not be loaded, TierUnavailable for one that was not."""
        name = ask.engine or self.first
        await self.fleet.enter(name, ask.patience_seconds)
        try:
            return await self.tiers[name].reply(ask, listener)
        finally:
            self.fleet.leave(name)
