"""A tier whose model only gets what its engine can compile: the rest is a 400, and hangs nobody. Knows no compiler."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from firstpass.engine.grammars import Constraint, Grammars, NotCompiled
from firstpass.errors import BadAsk
from firstpass.exchange import Ask, CallerDialect, Reply, TierName
from firstpass.tier import Listener, Tier

FORMAT_FIELDS: Mapping[CallerDialect, str] = {
    "anthropic": "output_config.format.schema",
    "responses": "text.format.schema",
}
TOOL_FIELDS: Mapping[CallerDialect, str] = {"anthropic": "input_schema", "responses": "parameters"}
TOO_EXPENSIVE = "takes too much time or memory to compile: it has too many or too deeply nested repetitions or choices"


class Held(NamedTuple):
    """A constraint, and the field of the request that it is from."""

    field: str
    constraint: Constraint


@dataclass(frozen=True, slots=True)
class CompiledTier:
    """part: how the tier is called in errors."""

    tier: Tier
    grammars: Grammars
    part: TierName = "draft"

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        """Raises: BadAsk for a schema or a pattern that can't be compiled, or not with what there is for it."""
        held = list(constraints(ask))
        try:
            if held:
                await self.grammars.check([one.constraint for one in held], ask.key)
        except NotCompiled as error:
            field = held[error.part].field
            raise BadAsk(f"{field} {_reason(error)}", part=self.part, param=field) from error
        return await self.tier.reply(ask, listener)


def _reason(error: NotCompiled) -> str:
    return TOO_EXPENSIVE if error.why is None else f"can not be compiled: {error.why}"


def constraints(ask: Ask) -> Iterator[Held]:
    """All that an engine would compile for the ask, each with the caller's own name of its field."""
    if ask.pattern is not None:
        yield Held("firstpass.contract", Constraint("regex", ask.pattern))
    if ask.sampling.response_format is not None:
        yield from _format(ask.sampling.response_format, ask.dialect)
    yield from _tools(ask)


def _format(wanted: dict[str, Any], dialect: CallerDialect) -> Iterator[Held]:
    """What has another shape the engine refuses by itself. Source: vLLM 0.32, entrypoints/generate/base/protocol.py."""
    kind, nested = wanted.get("type"), wanted.get("json_schema")
    if kind == "json_object":
        yield Held(FORMAT_FIELDS.get(dialect, "response_format"), Constraint("json_object", ""))
    elif kind == "json_schema" and isinstance(nested, dict) and isinstance(nested.get("schema"), dict):
        field = FORMAT_FIELDS.get(dialect, "response_format.json_schema.schema")
        yield Held(field, Constraint("json", json.dumps(nested["schema"])))
    elif kind == "structural_tag":
        yield Held("response_format", Constraint("tag", json.dumps(wanted)))


def _tools(ask: Ask) -> Iterator[Held]:
    choice = ask.sampling.tool_choice
    for number, tool in enumerate(ask.sampling.tools or ()):
        named = choice is not None and choice.mode == "named"
        forced = choice is not None and (tool.name == choice.name if named else choice.mode == "required")
        if tool.parameters and (forced or (tool.strict and not named)):
            yield Held(_tool_field(ask.dialect, number), Constraint("json", json.dumps(tool.parameters)))


def _tool_field(dialect: CallerDialect, number: int) -> str:
    """Where a Responses request has namespaces, the number is among all their tools."""
    return f"tools.{number}.{TOOL_FIELDS.get(dialect, 'function.parameters')}"
