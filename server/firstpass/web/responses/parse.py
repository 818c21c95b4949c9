"""From a body of the Responses API to an Ask. Every fault is an error that names its field.

What a request goes on with, or refers to, comes from the record; where that is, it does not know.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from firstpass.chat import Message, Sampling, Tool, ToolChoice
from firstpass.errors import BadAsk, NotFound
from firstpass.exchange import Ask, CallerDialect, Exchange, Terms, strictest
from firstpass.web import parse
from firstpass.web.body import bound, members, validated
from firstpass.web.parse import Caller, House, ask_of, known_choice
from firstpass.web.responses import items
from firstpass.web.responses.items import PREFIX
from firstpass.web.responses.wire import CursorBody, FlatTool, Item, OtherTool, Reference, ResponsesBody, TextFormat

Recall = Callable[[str, str | None], Awaitable[Exchange]]
"""The exchange of that id, for the key of that id. Raises: NotFound where the record has none for it, or no words."""

OURS = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
}
"""What this API calls the fields that errors from further inside name."""

_ITEM: TypeAdapter[Item] = TypeAdapter(Item)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a request has from the record. previous: what it goes on with. sources: all exchanges that it quotes."""

    previous: Exchange | None = None
    sources: tuple[Exchange, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """Of the turns before. The instructions of an earlier request do not hold for a later one."""
        if self.previous is None:
            return ()
        ask = self.previous.ask
        instructed = ask.terms is not None and ask.terms.instructed
        return (*ask.messages[instructed:], items.said(self.previous))


async def responses(raw: bytes, caller: Caller, house: House, recall: Recall) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model, or nothing to go on with)."""
    body = validated(ResponsesBody, raw)
    previous = await _previous(body.previous_response_id, caller, recall)
    given, sources = await _resolved(body.input, caller, recall)
    return _ask(body, caller, house, given, Earlier(previous, (*sources, *([previous] if previous else []))))


def chat(raw: bytes, caller: Caller, house: House) -> Ask:
    """A body of /v1/chat/completions, where Cursor sends Responses bodies and expects answers that are chats.

    Sources: router-for-me/CLIProxyAPI#658; BerriAI/litellm#34029, whose /cursor/chat/completions does the same.
    """
    if b'"input"' not in raw or not _is_cursor_s(raw):
        return parse.chat(raw, caller, house)
    body = validated(CursorBody, raw)
    for number, item in enumerate(body.input):
        if isinstance(item, Reference):
            raise BadAsk("items are referred to at /v1/responses only", param=f"input.{number}.id")
    if body.previous_response_id is not None:
        raise BadAsk("earlier responses go on at /v1/responses only", param="previous_response_id")
    return _ask(body, caller, house, body.input, Earlier(), "openai")


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


async def _resolved(given: Sequence[Item], caller: Caller, recall: Recall) -> tuple[list[Item], tuple[Exchange, ...]]:
    """The items with what they refer to in the place of references, and the exchanges that this came from."""
    known: dict[str, Exchange] = {}
    resolved = []
    for number, item in enumerate(given):
        resolved.append(await _referred(number, item, caller, recall, known) if isinstance(item, Reference) else item)
    return resolved, tuple(known.values())


async def _referred(
    number: int, reference: Reference, caller: Caller, recall: Recall, known: dict[str, Exchange]
) -> Item:
    exchange_id = items.exchange_of(reference.id)
    fault = BadAsk(f"there is no item {reference.id[:80]!r} in the record", param=f"input.{number}.id")
    if exchange_id is None:
        raise fault
    if exchange_id not in known:
        try:
            known[exchange_id] = await recall(exchange_id, caller.key)
        except NotFound as error:
            raise fault from error
    found = items.found(reference, known[exchange_id])
    if found is None:
        raise fault
    return _ITEM.validate_python(found)


def _ask(
    body: ResponsesBody,
    caller: Caller,
    house: House,
    given: Sequence[Item],
    earlier: Earlier,
    dialect: CallerDialect = "responses",
) -> Ask:
    """What was said under a ceiling stays under it, whoever goes on with it."""
    before = earlier.messages
    messages = (*_instructions(body), *before, *items.read(given, before))
    try:
        ask = ask_of(body, "chat", messages, _sampling(body), caller, house, dialect)
    except BadAsk as error:
        raise in_our_words(error) from error
    return replace(
        ask,
        ceiling=strictest(ask.ceiling, *(source.ask.ceiling for source in earlier.sources)),
        logprobs_required=bool(ask.sampling.logprobs),
        previous=earlier.previous.ask.id if earlier.previous else None,
        terms=_terms(body),
    )


def in_our_words(error: BadAsk) -> BadAsk:
    failure = error.failure
    param = OURS.get(failure.param or "", failure.param)
    return BadAsk(failure.message, part=failure.part, param=param, code=failure.code)


def _instructions(body: ResponsesBody) -> tuple[Message, ...]:
    return (Message("system", body.instructions),) if body.instructions else ()


def _terms(body: ResponsesBody) -> Terms:
    return Terms(
        instructed=bool(body.instructions),
        skipped_tools=tuple(tool.type for tool in body.tools or () if isinstance(tool, OtherTool)),
        summary=body.reasoning.summary or body.reasoning.generate_summary,
        include=body.include,
        prompt_cache_key=body.prompt_cache_key,
        safety_identifier=body.safety_identifier,
        client_metadata=body.client_metadata,
    )


def _sampling(body: ResponsesBody) -> Sampling:
    wants_logprobs = "message.output_text.logprobs" in body.include
    if body.top_logprobs and not wants_logprobs:
        raise BadAsk("top_logprobs needs message.output_text.logprobs in include", param="top_logprobs")
    tools = _tools(body)
    return Sampling(
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        logprobs=wants_logprobs or None,
        top_logprobs=(body.top_logprobs or None) if wants_logprobs else None,
        response_format=_response_format(body.text.format),
        tools=tools,
        tool_choice=_tool_choice(body, tools),
        parallel_tool_calls=body.parallel_tool_calls if tools else None,
        reasoning_effort=body.reasoning.effort,
    )


def _tools(body: ResponsesBody) -> tuple[Tool, ...] | None:
    made = []
    for number, tool in enumerate(body.tools or ()):
        if isinstance(tool, FlatTool):
            bound(tool.parameters, f"tools.{number}.parameters")
            made.append(Tool(tool.name, tool.description, tool.parameters, tool.strict))
    return tuple(made) or None


def _tool_choice(body: ResponsesBody, tools: tuple[Tool, ...] | None) -> ToolChoice | None:
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        return known_choice(ToolChoice(choice) if choice else None, tools)
    return known_choice(ToolChoice("named", choice.name), tools)


def _response_format(given: TextFormat | None) -> dict[str, Any] | None:
    """What is flat here is nested in a chat."""
    if given is None or given.type == "text":
        return None
    if given.type == "json_object":
        return {"type": "json_object"}
    if given.name is None or given.schema_ is None:
        missing = f"text.format.{'name' if given.name is None else 'schema'}"
        raise BadAsk(f"missing parameter: {missing}", param=missing, code="missing_required_parameter")
    bound(given.schema_, "text.format.schema")
    fields = {"name": given.name, "description": given.description, "schema": given.schema_, "strict": given.strict}
    return {"type": "json_schema", "json_schema": {name: value for name, value in fields.items() if value is not None}}
