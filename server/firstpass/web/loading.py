"""The models on this machine as callers see them: loaded, unloaded, listed. It knows no route and no request."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firstpass.fleet import Fleet, Loadable, Shown


@dataclass(frozen=True, slots=True)
class Engines:
    """models: by name. first: the one that is meant where none is named."""

    fleet: Fleet
    models: Mapping[str, Loadable]
    first: str

    def __iter__(self) -> Iterator[Shown]:
        return map(self.fleet.shown, self.models.values())

    def shown(self, engine: str | None) -> Shown:
        return self.fleet.shown(self._model(engine))

    def standing(self, engine: str | None) -> dict[str, Any]:
        """How one is: in the memory or not, what it takes or would take there, and who uses it."""
        shown = self.shown(engine)
        return {
            "engine": shown.name,
            "state": shown.place,
            "memory_bytes": shown.bytes,
            "kept_bytes": dict(shown.kept) or None,
            "in_flight": shown.users,
            "waiting": shown.waiting,
            "pinned": shown.pinned,
            "idle_seconds": None if shown.idle_seconds is None else round(shown.idle_seconds, 1),
        }

    async def load(self, engine: str | None) -> None:
        """Raises: as `Fleet.enter` does."""
        await self.fleet.load(self._model(engine))

    async def unload(self, engine: str | None) -> None:
        """Raises: InUse."""
        await self.fleet.unload(self._model(engine))

    def _model(self, engine: str | None) -> Loadable:
        return self.models[engine or self.first]
