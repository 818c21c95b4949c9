"""From a body's bytes to a checked wire model. Every fault is an error that names its field; it knows no Ask."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from firstpass.chat import strict_json
from firstpass.dialect.openai.wire import Wire
from firstpass.dialect.size import bound_values
from firstpass.errors import BadAsk

OPEN_FIELDS = ("logit_bias", "metadata", "client_metadata")
"""Objects whose keys are the caller's own."""

SCHEMA_DEPTH_LIMIT = 32
SCHEMA_CHARACTERS_LIMIT = 16_384
"""vLLM compiles a schema without a limit of its own; small ones can still be slow."""

READ_DEPTH_LIMIT = 200
"""Of a schema that is only shown to the model: templates and JSON writers go down it by recursion."""

GRAMMAR_CHARACTERS_LIMIT = 65_536
"""Of all schemas that are compiled together: xgrammar took 19 s for 363 kB of them."""

NAME_CHARACTERS = 200
FAULT_CHARACTERS = 1_000
"""Of what an error repeats of a body."""

Body = TypeVar("Body", bound=Wire)


def validated(kind: type[Body], raw: bytes, sees: Callable[[object], bool] = lambda model: False) -> Body:
    """Raises: BadAsk. A field of the body that is null is an absent one. sees: whether a model takes images."""
    fields = members(raw)
    for name in fields:
        if name in kind.unsupported:
            raise BadAsk(f"{name}: {kind.unsupported[name]}", param=name, code="unsupported_parameter")
    ignored = [*_without_hints(fields, kind.hints), *kind.without_unseen(fields, sees=sees(fields.get("model")))]
    try:
        return kind.model_validate(fields).ignoring(ignored)
    except ValidationError as error:
        raise first_fault(error) from error


def _without_hints(fields: dict[str, Any], hints: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """Takes the hints out of a body, and says which of them wish for more than is done anyway."""
    ignored = []
    for path, met in hints.items():
        first, _, second = path.partition(".")
        inner: Any = fields.get(first) if second else fields
        if isinstance(inner, dict) and (second or first) in inner:
            wish = inner.pop(second or first)
            if wish is not None and not any(type(wish) is type(value) and wish == value for value in met):
                ignored.append(path)
    return ignored


def members(raw: bytes) -> dict[str, Any]:
    """Those of the body that are not null. Raises: BadAsk."""
    return {name: value for name, value in _object(raw).items() if value is not None}


def _object(raw: bytes) -> dict[str, Any]:
    """Raises: BadAsk for what is no JSON object, says one thing twice, or holds half a UTF-16 pair."""
    bound_values(raw)
    try:
        # json.loads would take bytes too, and with them UTF-16 and encoded surrogates.
        fields = strict_json(raw.decode(), _without_repeats)
    except (ValueError, RecursionError) as error:
        raise BadAsk(f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(fields, dict):
        raise BadAsk("the body must be a JSON object", code="invalid_json")
    try:
        if b"\\u" in raw:
            json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadAsk("the body holds a lone surrogate, which is no character", code="invalid_json") from error
    return fields


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259, 4: names should be unique; where they are not, readers differ in which one they take."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        repeated = Counter(name for name, _ in pairs).most_common(1)[0][0][:NAME_CHARACTERS]
        raise BadAsk(f"{repeated} stands twice in one object", param=repeated, code="invalid_json")
    return fields


def first_fault(error: ValidationError) -> BadAsk:
    """The first fault, by the path that the caller wrote: names of union branches are left out.

    Of the branches of a union, which all are at fault, the one that goes deepest is the one that was meant.
    """
    first, *others = error.errors(include_url=False)
    where = written(first["loc"])
    beneath = [fault for fault in others if written(fault["loc"])[: len(where)] == where]
    fault = max([first, *beneath], key=lambda one: len(written(one["loc"])))
    if fault["type"] == "extra_forbidden":
        *outer, name = fault["loc"]
        path = ".".join([*written(outer), str(name)[:NAME_CHARACTERS]])
        return BadAsk(f"unknown parameter: {path}", param=path, code="unknown_parameter")
    path, kind = ".".join(written(fault["loc"])), fault["type"]
    if kind == "no_type" and isinstance(given := fault["input"], dict):
        path, kind = f"{path}.type", kind if "type" in given else "missing"
        fault["msg"] = f"{str(given.get('type'))[:80]!r} is none of{fault['msg'].partition('one of')[2]}"
    if kind == "missing":
        return BadAsk(f"missing parameter: {path}", param=path, code="missing_required_parameter")
    return BadAsk(f"{path}: {fault['msg'][:FAULT_CHARACTERS]}", param=path, code="invalid_value")


def written(location: Sequence[int | str]) -> list[str]:
    kept: list[str] = []
    for part in location:
        if isinstance(part, int) or part in field_names() or (kept and kept[-1] in OPEN_FIELDS):
            kept.append(str(part)[:NAME_CHARACTERS])
    return kept


@cache
def field_names() -> frozenset[str]:
    """Of all bodies and what is in them; what else pydantic puts into a path is the name of a union's branch."""
    models, names = [Wire], set[str]()
    while models:
        model = models.pop()
        models += model.__subclasses__()
        names |= {field.alias or name for name, field in model.model_fields.items()}
    return frozenset(names)


def bound(schema: dict[str, Any] | None, param: str) -> None:
    """Raises: BadAsk for a schema that is deeper or longer than any honest one that an engine has to compile."""
    if schema and (_is_deeper(schema, SCHEMA_DEPTH_LIMIT) or len(json.dumps(schema)) > SCHEMA_CHARACTERS_LIMIT):
        limits = f"{SCHEMA_DEPTH_LIMIT} levels and {SCHEMA_CHARACTERS_LIMIT} characters"
        raise BadAsk(f"{param} may have {limits}", param=param)


def bound_tool(schema: dict[str, Any] | None, param: str, *, compiled: bool) -> None:
    """compiled: whether the model is held to it; a schema that it only reads may be as long as a body.

    Raises: BadAsk.
    """
    if compiled:
        bound(schema, param)
    elif _is_deeper(schema, READ_DEPTH_LIMIT):
        raise BadAsk(f"{param} may have {READ_DEPTH_LIMIT} levels", param=param)


def _is_deeper(schema: dict[str, Any] | None, levels: int) -> bool:
    level: list[Any] = [schema]
    for _ in range(levels + 1):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return False
    return True


def bound_together(schemas: Iterable[dict[str, Any] | None], param: str) -> None:
    """Raises: BadAsk."""
    if sum(len(json.dumps(schema)) for schema in schemas) > GRAMMAR_CHARACTERS_LIMIT:
        text = f"{param} that must be called, or are strict, may have {GRAMMAR_CHARACTERS_LIMIT} characters of schemas"
        raise BadAsk(text, param=param)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
