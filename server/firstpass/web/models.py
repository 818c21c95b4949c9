"""The list of models, as either API shapes it. It knows the house's names and the time of the start."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from firstpass.dialect.anthropic.wire import ModelsPage
from firstpass.dialect.responses.listing import query
from firstpass.errors import BadAsk
from firstpass.house import House

PAGE = 20


@dataclass(frozen=True, slots=True)
class Listing:
    house: House
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
        self.house.check(name)
        if self.house.known(name) is None:
            raise self.house.no_model(name)
        return self._card(name)

    def _card(self, name: str) -> dict[str, Any]:
        if not self.anthropic:
            return {"id": name, "object": "model", "created": int(self.started_unix), "owned_by": "firstpass"}
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
