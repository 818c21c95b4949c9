"""The models on this machine as callers see them: loaded, unloaded, listed. It knows no route and no request."""

from dataclasses import dataclass
from typing import Any

from firstpass.fleet import Fleet, Shown


@dataclass(frozen=True, slots=True)
class Engines:
    """The models on this machine. first: the one that is meant where none is named."""

    fleet: Fleet
    first: str

    def standing(self, engine: str | None) -> dict[str, Any]:
        """How one is: in the memory or not, what it takes or would take there, and who uses it."""
        name = engine or self.first
        shown = next(one for one in self.fleet if one.name == name)
        return _standing(shown)

    async def load(self, engine: str | None) -> dict[str, Any]:
        """Raises: as `Fleet.enter` does."""
        await self.fleet.load(engine or self.first)
        return self.standing(engine)

    async def unload(self, engine: str | None) -> dict[str, Any]:
        """Raises: InUse."""
        await self.fleet.unload(engine or self.first)
        return self.standing(engine)


def _standing(shown: Shown) -> dict[str, Any]:
    return {
        "engine": shown.name,
        "state": shown.place,
        "memory_bytes": shown.bytes,
        "in_flight": shown.users,
        "waiting": shown.waiting,
        "pinned": shown.pinned,
        "idle_seconds": None if shown.idle_seconds is None else round(shown.idle_seconds, 1),
    }
