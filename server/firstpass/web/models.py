"""The list of models, as either API shapes it. It knows the house's names, how engines are, and when it began."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from firstpass.dialect.anthropic.wire import ModelsPage
from firstpass.dialect.responses.listing import query
from firstpass.errors import BadAsk
from firstpass.exchange import Target
from firstpass.house import House
from firstpass.web.loading import Engines

PAGE = 20


@dataclass(frozen=True, slots=True)
class Listing:
    house: House
    engines: Engines
    started_unix: float
    anthropic: bool

    def all(self, params: QueryParams) -> dict[str, Any]:
        """Raises: BadAsk for a page that there is not. OpenAI's list has all where nobody asks for a page."""
        page, more = _page(list(self.house.names), query(ModelsPage, params), PAGE if self.anthropic else None)
        if not self.anthropic:
            return {"object": "list", "data": [self._card(name) for name in page]}
        ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
        return {"data": [self._card(name) for name in page], "has_more": more} | ends

    def one(self, name: str) -> dict[str, Any]:
        """Raises: NotFound, Forbidden."""
        self._target(name)
        return self._card(name)

    async def load(self, name: str) -> dict[str, Any]:
        """Returns when it is loaded. Raises: NotFound, Forbidden, BadAsk, TierUnavailable."""
        await self.engines.load(self._engine(name))
        return self._card(name)

    async def unload(self, name: str) -> dict[str, Any]:
        """Returns when it has left the memory, or sleeps. Raises: NotFound, Forbidden, BadAsk, InUse."""
        await self.engines.unload(self._engine(name))
        return self._card(name)

    def _target(self, name: str) -> Target:
        """Raises: NotFound, Forbidden."""
        self.house.check(name)
        if (target := self.house.known(name)) is None:
            raise self.house.no_model(name)
        return target

    def _engine(self, name: str) -> str | None:
        """Raises: NotFound, Forbidden, BadAsk."""
        if self._target(name) != "local":
            raise BadAsk(f"{name} is no model on this machine, which alone are loaded and unloaded", param="model")
        return self.house.engine(name)

    def _card(self, name: str) -> dict[str, Any]:
        if not self.anthropic:
            card = {"id": name, "object": "model", "created": int(self.started_unix), "owned_by": "firstpass"}
            is_here = self.house.known(name) == "local"
            return card | ({"firstpass": self.engines.standing(self.house.engine(name))} if is_here else {})
        created = datetime.fromtimestamp(int(self.started_unix), UTC).isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": name, "display_name": name, "created_at": created, "lifecycle": "active"}


def _page(names: list[str], page: ModelsPage, otherwise: int | None) -> tuple[list[str], bool]:
    """The names after or before a known one, and whether there are more in that direction. Raises: BadAsk."""
    limit = page.limit or otherwise or len(names)
    if page.before_id is not None:
        if page.after_id is not None:
            raise BadAsk("before_id and after_id exclude each other", param="before_id")
        rest = names[: _place(names, page.before_id, "before_id")]
        return rest[-limit:], len(rest) > limit
    rest = names[_place(names, page.after_id, "after_id") + 1 :] if page.after_id is not None else names
    return rest[:limit], len(rest) > limit


def _place(names: list[str], name: str, param: str) -> int:
    if name not in names:
        raise BadAsk(f"{param}: there is no model {name!r}", param=param)
    return names.index(name)
