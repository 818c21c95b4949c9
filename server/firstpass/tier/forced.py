"""Whether calls that a model was held to are ones: of a tool that had to be called, or that is strict.

What a model calls of its own free choice is passed on as it wrote it. Knows no wire and no dialect.
"""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import UnknownType

from firstpass.chat import Tool, ToolCall, ToolChoice
from firstpass.dialect.responses.items import is_freeform
from firstpass.dialect.values import NONSENSE, parsed
from firstpass.errors import TierFailed
from firstpass.exchange import Ask, Reply, TierName

UNBOUNDED = (
    "$dynamicRef", "$recursiveRef", "$ref", "pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties",
    "uniqueItems",
)  # fmt: skip
"""What can take more time than there are characters in a schema and its value, or leads out of this machine: arguments
of a schema that has one of these are held to the names that it requires, and to no more."""

MOST_CHARACTERS = 65_536
"""Of arguments that are held to more than that."""

SHOWN_CHARACTERS = 200

CUT = ("length", "content_filter")
"""How a reply ends that is not whole, as its caller is told."""


def hold(part: TierName, ask: Ask, reply: Reply, *, streamed: bool = False) -> None:
    """streamed: the caller has the calls already, so only what can not be read at all is an error.

    Raises: TierFailed.
    """
    if not reply.tool_calls or not ask.sampling.tools or reply.finish_reason in CUT:
        return
    for call, tool in _held(ask, reply):
        if (why := fault(call.arguments, None if streamed else tool.parameters)) is not None:
            raise TierFailed(f"the {part} model called {call.name!r} with arguments that {why}", part=part)


def fault(arguments: str, schema: dict[str, Any] | None) -> str | None:
    """What is wrong with a call's arguments; None where they are an object of the schema."""
    try:
        given = parsed(arguments.encode())
    except (ValueError, RecursionError):
        return f"are no JSON: {_short(arguments)}"
    if not isinstance(given, dict):
        return f"are no JSON object: {_short(arguments)}"
    return f"its schema does not allow: {why}" if schema and (why := _outside(given, schema, len(arguments))) else None


def _held(ask: Ask, reply: Reply) -> Iterator[tuple[ToolCall, Tool]]:
    """The calls that have to be right, with their tools. A tool that takes free text has no wrong arguments."""
    tools = {tool.name: tool for tool in ask.sampling.tools or ()}
    for call in reply.tool_calls:
        tool = tools.get(call.name, Tool(call.name))
        if (tool.strict or _must(ask.sampling.tool_choice, call.name)) and not is_freeform(ask, call.name):
            yield call, tool


def _must(choice: ToolChoice | None, name: str) -> bool:
    return choice is not None and (choice.mode == "required" or (choice.mode == "named" and choice.name == name))


def _outside(given: dict[str, Any], schema: dict[str, Any], size: int) -> str | None:
    """A schema that is none, which the endpoint took, holds nobody to anything."""
    try:
        written = json.dumps(schema)
        if size > MOST_CHARACTERS or any(f'"{keyword}"' in written for keyword in UNBOUNDED):
            lacks = [name for name in schema.get("required") or () if name not in given]
            return f"{lacks[0]!r} is a required property" if lacks else None
        first = next(Draft202012Validator(schema).iter_errors(given), None)
    except (UnknownType, *NONSENSE):
        return None
    return None if first is None else _short(f"{first.json_path}: {first.message}")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
