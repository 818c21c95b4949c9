"""From a body of the Responses API to an Ask. Every fault is an error that names its field.

What a request goes on with, or refers to, comes from the record; where that is, it does not know.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from firstpass.chat import Message, Sampling, Tool, ToolChoice
from firstpass.dialect.body import bound, bound_tool, members, validated
from firstpass.dialect.openai import read_request as parse
from firstpass.dialect.openai.read_request import Caller, ask_of, is_forced, known_choice, sampling_of
from firstpass.dialect.responses import items
from firstpass.dialect.responses.items import PREFIX
from firstpass.dialect.responses.wire import (
    AdditionalTools,
    Call,
    ConfigurationUpdate,
    CursorBody,
    FlatTool,
    FreeformCall,
    FreeformTool,
    Item,
    NamedFunction,
    Namespace,
    OtherTool,
    Reference,
    ResponsesBody,
    TextFormat,
)
from firstpass.dialect.unseen import without_images
from firstpass.errors import BadAsk, Failure, NotFound
from firstpass.exchange import Ask, CallerDialect, Ceiling, Exchange, Terms, strictest
from firstpass.house import House

T = TypeVar("T")

Read = Callable[..., Awaitable[Any]]
"""read(work, *args) gives what work(*args) does, on a thread where that may take long."""

Recall = Callable[[str, str | None], Awaitable[Exchange]]
"""The exchange of that id, for the key of that id. Raises: NotFound where the record has none for it, or no words."""

OURS = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
}
"""What this API calls the fields that errors from further inside name."""

EXCHANGES_LIMIT = 256
"""Each is a read of the record. An agent that refers to its own answers refers to one a turn."""

ONE_TEXT = {
    "type": "object",
    "properties": {items.INPUT: {"type": "string"}},
    "required": [items.INPUT],
    "additionalProperties": False,
}
"""The arguments of a function that stands for a custom tool."""

FLAT_TOOLS_LIMIT = 512
"""Of functions, those of all namespaces together: as many as a request of the other API may have."""

AnyInner = FlatTool | FreeformTool | OtherTool

Offered = tuple[str, str | None, AnyInner]
"""A tool's path, its namespace and the tool."""

OVER = "is, with all that the request has from the record, over the limit of"

_ITEM: TypeAdapter[Item] = TypeAdapter(Item)


async def at_once(work: Callable[..., T], /, *args: Any) -> T:
    return work(*args)


async def responses(raw: bytes, caller: Caller, house: House, recall: Recall, limit: int, read: Read = at_once) -> Ask:
    """limit: how many characters it may have from the record; few bytes of references could make any number of them.

    Raises: BadAsk, NotFound (an unknown model, or nothing to go on with).
    """
    body: ResponsesBody = await read(validated, ResponsesBody, raw, house.sees)
    previous = await _previous(body.previous_response_id, caller, recall)
    given, ceilings = await _resolved(body.input, caller, recall, _room(previous, limit), limit)
    ask: Ask = await read(_ask, body, caller, house, given, previous, ceilings)
    return ask


def chat(raw: bytes, caller: Caller, house: House) -> Ask:
    """A body of /v1/chat/completions, where Cursor sends Responses bodies and expects answers that are chats.

    Sources: router-for-me/CLIProxyAPI#658; BerriAI/litellm#34029, whose /cursor/chat/completions does the same.
    """
    if b'"input"' not in raw or not _is_cursor_s(raw):
        return parse.chat(raw, caller, house)
    body = validated(CursorBody, raw, house.sees)
    for number, item in enumerate(body.input):
        if isinstance(item, Reference):
            raise BadAsk("items are referred to at /v1/responses only", param=f"input.{number}.id")
    if body.previous_response_id is not None:
        raise BadAsk("earlier responses go on at /v1/responses only", param="previous_response_id")
    return _ask(body, caller, house, body.input, dialect="openai")


def _is_cursor_s(raw: bytes) -> bool:
    return "input" in (fields := members(raw)) and not fields.get("messages")


async def recalled(response_id: str, key: str | None, recall: Recall) -> Exchange:
    """The exchange of a response of this API. Raises: NotFound."""
    missing = NotFound(f"there is no response {response_id[:80]!r}", param="response_id", code="response_not_found")
    if not response_id.startswith(PREFIX):
        raise missing
    try:
        exchange = await recall(response_id.removeprefix(PREFIX), key)
    except NotFound as error:
        raise missing from error
    if exchange.ask.dialect != "responses":
        raise missing
    return exchange


async def _previous(response_id: str | None, caller: Caller, recall: Recall) -> Exchange | None:
    if response_id is None:
        return None
    try:
        exchange = await recalled(response_id, caller.key, recall)
    except NotFound as error:
        text = f"there is no response {response_id[:80]!r} to go on with"
        raise NotFound(text, param="previous_response_id", code="previous_response_not_found") from error
    if exchange.answer is None:
        raise BadAsk(f"{response_id} failed: it has no answer to go on with", param="previous_response_id")
    return exchange


def _before(previous: Exchange | None) -> tuple[Message, ...]:
    """The turns before. The instructions of an earlier request do not hold for a later one."""
    if previous is None:
        return ()
    ask = previous.ask
    instructed = ask.terms is not None and ask.terms.instructed
    return (*ask.messages[instructed:], items.said(previous))


def _room(previous: Exchange | None, limit: int) -> int:
    """How many characters more a request may have from the record. Raises: BadAsk."""
    room = limit - sum(items.message_length(message) for message in _before(previous))
    if room < 0:
        raise BadAsk(f"what it goes on with {OVER} {limit} characters", param="previous_response_id")
    return room


async def _resolved(
    given: Sequence[Item], caller: Caller, recall: Recall, room: int, limit: int
) -> tuple[list[Item], list[Ceiling]]:
    """The items with what they refer to in the place of references, and the ceilings of where that is from.

    Each exchange is read once, and its items are made once however many of them are wanted. What a chat left in the
    record need not be an item that this API takes. Raises: BadAsk.
    """
    wanted = {item.id for item in given if isinstance(item, Reference)}
    exchange_ids = {items.exchange_of(item_id) for item_id in wanted} - {None}
    if len(exchange_ids) > EXCHANGES_LIMIT:
        text = f"items of {len(exchange_ids)} responses are referred to; {EXCHANGES_LIMIT} is the limit"
        raise BadAsk(text, param="input")
    recorded: dict[str, dict[str, Any]] = {}
    resolved, ceilings = list(given), []
    for exchange_id in filter(None, exchange_ids):
        with suppress(NotFound):
            exchange = await recall(exchange_id, caller.key)
            ceilings.append(exchange.ask.ceiling)
            recorded |= {item_id: item for item_id, item in items.by_id(exchange).items() if item_id in wanted}
    for number, item in enumerate(given):
        if isinstance(item, Reference):
            param = f"input.{number}.id"
            try:
                resolved[number] = _ITEM.validate_python(recorded[item.id])
            except (KeyError, ValidationError) as error:
                raise BadAsk(f"there is no item {item.id[:80]!r} in the record", param=param) from error
            room -= len(json.dumps(recorded[item.id], ensure_ascii=False))
            if room < 0:
                raise BadAsk(f"what is referred to {OVER} {limit} characters", param=param)
    return resolved, ceilings


def _ask(
    body: ResponsesBody,
    caller: Caller,
    house: House,
    given: Sequence[Item],
    previous: Exchange | None = None,
    ceilings: Sequence[Ceiling] = (),
    dialect: CallerDialect = "responses",
) -> Ask:
    """What was said under a ceiling stays under it, whoever goes on with it or quotes it."""
    offered = list(_offered(body))
    body = _configured(body.ignoring(tuple(_left_out(body, offered))), given)
    instructions = [Message("system", body.instructions)] if body.instructions else []
    messages = (*instructions, *(before := _before(previous)), *items.read(given, before))
    if not house.sees(body.model) and any(message.images for message in messages):
        body = body.ignoring(("previous_response_id" if previous else "input",))
        messages = tuple(map(without_images, messages))
    if not messages:
        raise BadAsk("input: nothing is said in it", param="input")
    try:
        ask = ask_of(
            body, "chat", messages, _sampling(body, offered), caller, house, dialect, previous.ask if previous else None
        )
    except BadAsk as error:
        error.failure = in_our_words(error.failure)
        raise
    return replace(
        ask,
        ceiling=strictest(ask.ceiling, *ceilings, *([previous.ask.ceiling] if previous else [])),
        logprobs_required=bool(ask.sampling.logprobs),
        previous=previous.ask.id if previous else None,
        thread=(previous.ask.conversation or previous.ask.id) if previous else None,
        terms=_terms(body, offered, given, (previous and previous.ask.terms) or Terms()),
    )


def _configured(body: ResponsesBody, given: Sequence[Item]) -> ResponsesBody:
    """The request as its conversation has changed it; what an earlier request was told so is not kept."""
    for number, item in enumerate(given):
        if isinstance(item, ConfigurationUpdate):
            said = item.reasoning.model_dump(exclude_none=True) if item.reasoning else {}
            text = item.text if item.text and item.text.format else body.text
            if item.text and item.text.format:
                _response_format(item.text.format, f"input.{number}.text.format")
            body = body.model_copy(update={"reasoning": body.reasoning.model_copy(update=said), "text": text})
    return body


def in_our_words(failure: Failure) -> Failure:
    return replace(failure, param=OURS.get(failure.param or "", failure.param))


def _terms(body: ResponsesBody, offered: Sequence[Offered], given: Sequence[Item], earlier: Terms) -> Terms:
    """What the caller calls a tool is known of one that is offered no more, too: the conversation has its calls."""
    called = [(item.namespace, item) for item in given if isinstance(item, Call | FreeformCall)]
    ours = [(space, tool) for _, space, tool in offered if not isinstance(tool, OtherTool)]
    namespaces, freeform = dict(earlier.namespaces), set(earlier.freeform)
    for space, one in (*called, *ours):
        name = items.flat(space, one.name)
        namespaces.pop(name, None)
        namespaces |= {name: (space, one.name)} if space else {}
        (freeform.add if isinstance(one, FreeformCall | FreeformTool) else freeform.discard)(name)
    return Terms(
        instructed=bool(body.instructions),
        skipped_tools=tuple(tool.type for _, _, tool in offered if isinstance(tool, OtherTool)),
        namespaces=namespaces,
        freeform=tuple(sorted(freeform)),
        summary=body.reasoning.summary or body.reasoning.generate_summary,
        include=body.include,
        prompt_cache_key=body.prompt_cache_key,
        safety_identifier=body.safety_identifier,
        client_metadata=body.client_metadata,
    )


def _sampling(body: ResponsesBody, offered: Sequence[Offered]) -> Sampling:
    wants_logprobs = "message.output_text.logprobs" in body.include
    if body.top_logprobs and not wants_logprobs:
        raise BadAsk("top_logprobs needs message.output_text.logprobs in include", param="top_logprobs")
    tools, wish = _tools(body, offered), body.tool_choice
    choice = ToolChoice("named", items.flat(wish.namespace, wish.name)) if isinstance(wish, NamedFunction) else wish
    return sampling_of(
        body,
        max_tokens=body.max_output_tokens,
        logprobs=wants_logprobs or None,
        top_logprobs=(body.top_logprobs or None) if wants_logprobs else None,
        response_format=_response_format(body.text.format),
        tools=tools,
        tool_choice=known_choice(choice, tools),
        parallel_tool_calls=body.parallel_tool_calls if tools else None,
        reasoning_effort=body.reasoning.effort,
    )


def _tools(body: ResponsesBody, offered: Sequence[Offered]) -> tuple[Tool, ...] | None:
    """Raises: BadAsk for a schema that is too much, and where one name would be two tools'."""
    made: dict[str, Tool] = {}
    forced = is_forced(body.tool_choice)
    for path, namespace, tool in offered:
        if isinstance(tool, OtherTool):
            continue
        name = items.flat(namespace, tool.name)
        is_text = isinstance(tool, FreeformTool)
        if name in made and (namespace is not None or is_text != (made[name].parameters is ONE_TEXT)):
            raise BadAsk(f"{path}: there is another tool {name!r}", param=f"{path}.name")
        if isinstance(tool, FreeformTool):
            made[name] = Tool(name, _formatted(tool), ONE_TEXT)
        else:
            bound_tool(tool.parameters, f"{path}.parameters", compiled=forced or bool(tool.strict))
            made[name] = Tool(name, tool.description, tool.parameters, tool.strict)
    if len(made) > FLAT_TOOLS_LIMIT:
        raise BadAsk(f"tools: {len(made)} with those of namespaces; {FLAT_TOOLS_LIMIT} are the limit", param="tools")
    return tuple(made.values()) or None


def _formatted(tool: FreeformTool) -> str | None:
    """Its description with the grammar, for a model that nothing holds to it."""
    if tool.format is None or tool.format.definition is None:
        return tool.description
    grammar = f"{items.INPUT} is a text of this {tool.format.syntax} grammar:\n{tool.format.definition}"
    return f"{tool.description}\n\n{grammar}" if tool.description else grammar


def _left_out(body: ResponsesBody, offered: Sequence[Offered]) -> Iterator[str]:
    """Paths of what is only told to a model, or wished for in vain."""
    for path, _, tool in offered:
        if isinstance(tool, FreeformTool) and tool.format is not None and tool.format.type == "grammar":
            yield f"{path}.format"
    for at, item in enumerate(body.input):
        if isinstance(item, ConfigurationUpdate) and item.text and item.text.verbosity:
            yield f"input.{at}.text.verbosity"


def _offered(body: ResponsesBody) -> Iterator[Offered]:
    lists = [("tools", body.tools or [])]
    lists += [
        (f"input.{at}.tools", item.tools) for at, item in enumerate(body.input) if isinstance(item, AdditionalTools)
    ]
    for path, tools in lists:
        for number, tool in enumerate(tools):
            if not isinstance(tool, Namespace):
                yield f"{path}.{number}", None, _answerable(tool, body)
                continue
            for at, inner in enumerate(tool.tools):
                inner = _answerable(inner, body)
                yield f"{path}.{number}.tools.{at}", tool.name, _introduced(inner, tool) if not at else inner


def _answerable(tool: AnyInner, body: ResponsesBody) -> AnyInner:
    """The chats that answer Cursor's bodies have no calls of custom tools."""
    is_chat = isinstance(body, CursorBody)
    return OtherTool(type=tool.type) if is_chat and isinstance(tool, FreeformTool) else tool


def _introduced(tool: AnyInner, namespace: Namespace) -> AnyInner:
    """The first tool of a namespace says what the namespace is for: a model is shown tools alone."""
    if isinstance(tool, OtherTool) or not namespace.description:
        return tool
    about = f"{namespace.name}: {namespace.description}"
    return tool.model_copy(update={"description": f"{tool.description}\n\n{about}" if tool.description else about})


def _response_format(given: TextFormat | None, path: str = "text.format") -> dict[str, Any] | None:
    """What is flat here is nested in a chat. Raises: BadAsk."""
    if given is None or given.type == "text":
        return None
    if given.type == "json_object":
        return {"type": "json_object"}
    if given.name is None or given.schema_ is None:
        missing = f"{path}.{'name' if given.name is None else 'schema'}"
        raise BadAsk(f"missing parameter: {missing}", param=missing, code="missing_required_parameter")
    bound(given.schema_, f"{path}.schema")
    fields = {"name": given.name, "description": given.description, "schema": given.schema_, "strict": given.strict}
    return {"type": "json_schema", "json_schema": {name: value for name, value in fields.items() if value is not None}}
