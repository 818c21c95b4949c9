"""Bodies made to cost more than they say: one for each list and each object of each route, by the OpenAPI document."""

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]
Wrap = Callable[[Any], Any]
"""Puts a value in its place in the least body that has the place."""


class Places:
    """Of a route's body, every place of a list or an object, those of fields that are added later included."""

    def __init__(self, document: Schema) -> None:
        self._models: dict[str, Schema] = document["components"]["schemas"]

    def lists(self, schema: Schema) -> Iterator[tuple[str, Wrap, Any]]:
        """(path, wrap, the least item) of each."""
        yield from (
            (path, wrap, self.least(items)) for path, wrap, items in self._walk(schema, "", ()) if items is not None
        )

    def objects(self, schema: Schema) -> Iterator[tuple[str, Wrap]]:
        yield from ((path, wrap) for path, wrap, items in self._walk(schema, "", ()) if items is None)

    def least(self, schema: Schema, depth: int = 0) -> Any:
        """A value that the schema takes, with no more in it than there must be."""
        schema = self._resolved(schema)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            if branch.get("type") != "null":
                return self.least(branch, depth)
        kind = schema.get("type")
        if kind == "object":
            properties = schema.get("properties", {})
            return {name: self.least(properties[name], depth + 1) for name in schema.get("required", ())}
        if kind == "array":
            return [self.least(schema["items"], depth + 1)] * schema.get("minItems", 0)
        return {"integer": max(1, schema.get("minimum", 1)), "number": 1, "boolean": False, "null": None}.get(kind, "x")

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._models[schema["$ref"].rpartition("/")[2]]
        return schema

    def _walk(self, schema: Schema, path: str, within: tuple[str, ...]) -> Iterator[tuple[str, Wrap, Schema | None]]:
        """A model is not gone into again within itself."""
        if "$ref" in schema:
            if schema["$ref"] in within:
                return
            within = (*within, schema["$ref"])
        schema = self._resolved(schema)
        for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            yield from self._walk(branch, path, within)
        if schema.get("type") == "array":
            yield path, lambda value: value, schema.get("items", {})
            for below, wrap, items in self._walk(schema.get("items", {}), f"{path}[]", within):
                yield below, lambda value, wrap=wrap: [wrap(value)], items
        if schema.get("type") == "object":
            least = self.least(schema)
            yield path, lambda value: least | value, None
            for name, inner in schema.get("properties", {}).items():
                for below, wrap, items in self._walk(inner, f"{path}.{name}", within):
                    yield below, lambda value, wrap=wrap, name=name: least | {name: wrap(value)}, items
