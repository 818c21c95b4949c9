"""A union of wire models, told apart by their `type`. Knows none of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import tagged_union_schema


@dataclass(frozen=True)
class ByType:
    """Tells the models of a union apart by a value's own `type`; one without a set of them is for all other values.

    untyped: the type of a value that has none. The branches' names are no fields', since these would be taken for a
    part of the path to a fault: see body.written.
    """

    untyped: Callable[[Any], str] = lambda value: ""

    def __get_pydantic_core_schema__(self, union: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        types = {model: get_args(model.model_fields["type"].annotation) for model in get_args(union)}
        choices = {f"a {kind}": model for model, kinds in types.items() for kind in kinds or ("different one",)}

        def tell(value: Any) -> str:
            kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
            branch = f"a {self.untyped(value) if kind is None else kind}"
            return branch if branch in choices else "a different one"

        schemas = {branch: handler.generate_schema(model) for branch, model in choices.items()}
        known = ", ".join(kind for kinds in types.values() for kind in kinds)
        message = f"must be an object whose type is one of {known}"
        return tagged_union_schema(schemas, tell, custom_error_type="no_type", custom_error_message=message)
