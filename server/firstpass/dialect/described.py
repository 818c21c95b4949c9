"""One route, described. It knows no route, and not how a description is written."""

from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

Where = tuple[str, str]
"""Method and path."""

Schema = dict[str, Any]

Shape = type[BaseModel] | UnionType
"""One kind of body, or any of several."""

TEXT: Schema = {"type": "string"}

EVERYWHERE = (401, 403, 429, 500, 503)
READS_A_BODY = (400, 413, 415)
ASKS = (404, 502, 503, 504)
"""What can go wrong on the way to a model, beside the body."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Of a request, beside its body."""

    name: str
    place: Literal["path", "header", "query"]
    about: str
    schema: Schema


def in_query(model: type[BaseModel]) -> tuple[Parameter, ...]:
    """What a model takes from an address. A parameter that may be left out is never null."""
    fields = model.model_json_schema()["properties"].items()
    return tuple(Parameter(name, "query", field["description"], _given(field)) for name, field in fields)


def _given(field: Schema) -> Schema:
    kept = field.get("anyOf", [field])[0]
    return {key: value for key, value in kept.items() if key not in ("default", "description", "title")}


@dataclass(frozen=True, slots=True)
class Link:
    """What an answer gives to another route. value: a runtime expression of the specification."""

    where: Where
    parameter: str
    value: str


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of a route.

    answer: the body of a 200; a media type where it is no JSON. envelope: of an error. body: of the request.
    rules: in words, what is refused although the body's schema allows it. asks: whether it leads to a model.
    events: what a stream consists of, None where it never streams. fails: statuses beside the usual ones.
    open: whether it is answered without a key. headers: that a 200 always has beside the usual ones.
    """

    summary: str
    answer: Shape | str
    envelope: Shape
    body: Shape | None = None
    rules: str = ""
    asks: bool = False
    events: str | None = None
    fails: tuple[int, ...] = ()
    open: bool = False
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def statuses(self) -> list[int]:
        everywhere = set(EVERYWHERE) - ({401, 429} if self.open else set())
        return sorted({*everywhere, *self.fails, *(READS_A_BODY if self.body else ()), *(ASKS if self.asks else ())})

    @property
    def models(self) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
        answers = () if isinstance(self.answer, str) else each(self.answer)
        written = (*answers, *each(self.envelope))
        return [*((body, "validation") for body in self.bodies), *((model, "serialization") for model in written)]

    @property
    def bodies(self) -> tuple[type[BaseModel], ...]:
        return each(self.body) if self.body else ()


def each(shape: Shape) -> tuple[type[BaseModel], ...]:
    return get_args(shape) or (shape,)
