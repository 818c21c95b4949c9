"""The draft tier of several models: each request goes to the one that it names, which stays loaded meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from firstpass.exchange import Ask, Reply
from firstpass.fleet import Fleet, Loadable
from firstpass.tier import Listener, Tier


class Model(Loadable, Protocol):
    @property
    def tier(self) -> Tier: ...


@dataclass(frozen=True, slots=True)
class FleetTier:
    """models: by name; asks that name none are answered by the one of None."""

    fleet: Fleet
    models: Mapping[str | None, Model]

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        """Raises: as a tier does; BadAsk for a model that can not be loaded, TierUnavailable for one that was not."""
        model = self.models[ask.engine]
        await self.fleet.enter(model, ask.patience_seconds)
        try:
            return await model.tier.reply(ask, listener)
        finally:
            self.fleet.leave(model)
