"""Wire models that stop at the first fault: what is wrong with a body costs no more than what is right. Knows no field.

pydantic collects every fault of a list, and every unknown name of an object: seconds and gigabytes for a megabyte.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

GATHERING = frozenset(("list", "tuple", "set", "frozenset", "dict"))
"""Types of core schemas that would gather the faults of all their items."""

NO_SCHEMA = frozenset(("default", "metadata", "serialization"))
"""Keys of a core schema that hold none of its own kind."""


def quick(model: type[BaseModel], core: CoreSchema) -> CoreSchema:
    """The schema of a model whose lists and objects stop at their first fault, those that are added later included."""
    for part in _parts(core):
        if part["type"] in GATHERING:
            part["fail_fast"] = True
    if model.model_config.get("extra") != "forbid":
        return core
    known = frozenset(field.alias or name for name, field in model.__pydantic_fields__.items())
    return no_info_before_validator_function(_stripping(known), core)


def _parts(core: CoreSchema) -> Iterator[dict[str, Any]]:
    """All schemas within one, itself included; other models have done this for theirs."""
    waiting: list[Any] = [core]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            if isinstance(kind := value.get("type"), str):
                yield value
            inner = value.items() if isinstance(kind, str) else ((None, one) for one in value.values())
            waiting += (one for name, one in inner if name not in NO_SCHEMA and not _is_model(one))


def _is_model(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "model"


def _stripping(known: frozenset[str]) -> Callable[[Any], Any]:
    """Takes all names that are no field's but the first out of an object: it is one fault too many by itself."""
    most = len(known) + 1

    def strip(value: Any) -> Any:
        if not isinstance(value, dict) or len(value) <= most:
            return value
        unknown = next(name for name in value if name not in known)
        return {name: one for name, one in value.items() if name in known or name == unknown}

    return strip
