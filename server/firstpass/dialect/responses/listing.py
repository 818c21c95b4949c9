"""What may be asked of a recorded response by its address, and its items page by page. It knows no record."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import Field, StrictStr, ValidationError
from starlette.datastructures import QueryParams

from firstpass.dialect.body import first_fault
from firstpass.dialect.openai.wire import Wire
from firstpass.dialect.responses.wire import Included
from firstpass.errors import BadAsk

Query = TypeVar("Query", bound=Wire)


class Retrieval(Wire):
    include: tuple[Included, ...] = Field((), description="Nothing is added: a response is given as it was asked for.")
    stream: Literal["false"] = Field("false", description="It can only be read whole.")


class Page(Wire):
    limit: int = Field(20, ge=1, le=100, description="How many at once; 20.")
    after: StrictStr | None = Field(None, description="Those after this one.")
    order: Literal["desc", "asc"] = Field("desc", description="The newest come first.")

    def of(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Raises: BadAsk for a page after an item that is none of these."""
        ordered = list(items) if self.order == "asc" else list(reversed(items))
        ids = [item["id"] for item in ordered]
        if self.after is not None and self.after not in ids:
            raise BadAsk(f"after: there is no item {self.after[:80]!r}", param="after")
        start = ids.index(self.after) + 1 if self.after is not None else 0
        data = ordered[start : start + self.limit]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return {"object": "list", "data": data} | ends | {"has_more": start + self.limit < len(ordered)}


def query(kind: type[Query], params: QueryParams) -> Query:
    """Raises: BadAsk. A list is given as `include`, or as `include[]` by the official client, once for each value."""
    given: dict[str, Any] = {}
    for name, value in params.multi_items():
        if name in ("include", "include[]"):
            given.setdefault("include", []).append(value)
        else:
            given[name] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise first_fault(error) from error
