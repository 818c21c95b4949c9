"""From a body and its headers to an Ask. Every fault is an error that names its field; it knows no tier or store."""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError
from starlette.datastructures import Headers

from firstpass.chat import NO_ARGUMENTS, Message, Reasoning, Sampling, Tool, ToolCall, ToolChoice
from firstpass.dialect.body import bound, bound_together, bound_tool, validated
from firstpass.dialect.openai.wire import (
    AskBody,
    ChatBody,
    ChatMessage,
    CompletionBody,
    EmbeddingsBody,
    EvidenceBody,
    FirstpassOptions,
    InferBody,
    LabelBody,
    NamedTool,
    SamplingBody,
    Wire,
)
from firstpass.dialect.patience import patience
from firstpass.dialect.values import few
from firstpass.errors import BadAsk
from firstpass.exchange import OWN_NAMES, Ask, CallerDialect, Kind, Label, strictest
from firstpass.experiments import placed
from firstpass.house import House

HEADER = "x-firstpass-"
RAW_HEADER = HEADER.encode()
FLAGS = ("optimistic", "store")
"""Options that are true or false, also in a header."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request brings beside its body. key: the id of its live API key."""

    headers: Headers
    key: str | None


def chat(raw: bytes, caller: Caller, house: House) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = validated(ChatBody, raw, house.sees)
    if body.max_tokens is not None and body.max_completion_tokens not in (None, body.max_tokens):
        raise BadAsk("max_tokens and max_completion_tokens differ; give one", param="max_completion_tokens")
    if body.top_logprobs is not None and not body.logprobs:
        raise BadAsk("top_logprobs needs logprobs: true", param="top_logprobs")
    bound(body.response_format, "response_format")
    tools = _tools(body)
    limit, choice = body.max_completion_tokens or body.max_tokens, body.tool_choice
    chosen = known_choice(ToolChoice("named", choice.function.name) if isinstance(choice, NamedTool) else choice, tools)
    sampling = sampling_of(body, max_tokens=limit, tools=tools, tool_choice=chosen, stop=_stop(body))
    messages = tuple(_message(number, message) for number, message in enumerate(body.messages))
    ask = ask_of(body, "chat", messages, sampling, caller, house)
    return ask if body.max_completion_tokens is None else replace(ask, limit_name="max_completion_tokens")


def _message(number: int, message: ChatMessage) -> Message:
    """Raises: BadAsk for a part that does not belong to the role."""
    where, thought = f"messages.{number}", message.thought
    says = message.tool_calls or message.refusal or thought or message.reasoning_details
    if message.content in (None, []) and not (message.role == "assistant" and says):
        raise BadAsk(f"missing parameter: {where}.content", param=f"{where}.content", code="missing_required_parameter")
    if (message.role == "tool") != (message.tool_call_id is not None):
        text = "belongs to the role tool, and only to that"
        raise BadAsk(f"{where}.tool_call_id {text}", param=f"{where}.tool_call_id")
    if message.tool_calls and message.role != "assistant":
        raise BadAsk(f"{where}.tool_calls belong to the role assistant", param=f"{where}.tool_calls")
    calls = (
        ToolCall(call.id, call.function.name, call.function.arguments or NO_ARGUMENTS)
        for call in message.tool_calls or ()
    )
    text, images = message.said
    return Message(
        message.role,
        text,
        name=message.name,
        tool_calls=tuple(calls),
        tool_call_id=message.tool_call_id,
        reasoning=Reasoning(thought) if thought else None,
        images=images,
    )


def _tools(body: ChatBody) -> tuple[Tool, ...] | None:
    if not body.tools:
        return None
    forced = is_forced(body.tool_choice)
    for number, tool in enumerate(body.tools):
        compiled = forced or bool(tool.function.strict)
        bound_tool(tool.function.parameters, f"tools.{number}.function.parameters", compiled=compiled)
    return tuple(Tool(**tool.function.model_dump()) for tool in body.tools)


def is_forced(choice: object) -> bool:
    """Whether a `tool_choice` of OpenAI's APIs leaves the model no way around a call: `required`, or a tool by name."""
    return choice not in (None, "auto", "none")


def known_choice(
    choice: ToolChoice | Literal["auto", "none", "required"] | None, tools: tuple[Tool, ...] | None
) -> ToolChoice | None:
    """Raises: BadAsk for a choice that no tool of the request can meet."""
    choice = ToolChoice(choice) if isinstance(choice, str) else choice
    if choice is None or (tools is None and choice.mode in ("auto", "none")):
        return None
    if tools is None:
        raise BadAsk("tool_choice needs tools", param="tool_choice")
    if choice.mode == "named" and choice.name not in {tool.name for tool in tools}:
        raise BadAsk(f"tool_choice: there is no tool {choice.name!r}", param="tool_choice")
    return choice


def completion(raw: bytes, caller: Caller, house: House) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = validated(CompletionBody, raw)
    sampling = sampling_of(body, stop=_stop(body))
    return ask_of(body, "completion", (Message("user", body.prompt),), sampling, caller, house)


def embeddings(raw: bytes, caller: Caller, house: House) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = validated(EmbeddingsBody, raw)
    sampling = sampling_of(body)
    texts = tuple(Message("user", text) for text in body.input)
    shared = SamplingBody(model=body.model, user=body.user, firstpass=body.firstpass)
    return ask_of(shared, "embedding", texts, sampling, caller, house)


def infer(raw: bytes, caller: Caller, house: House) -> Ask:
    """The prompt becomes a chat, as the origin meant it. Raises: BadAsk, NotFound (an unknown model)."""
    body = validated(InferBody, raw)
    sampling = sampling_of(body, logprobs=True)
    shared = SamplingBody(model=body.model, firstpass=body.firstpass)
    return ask_of(shared, "chat", (Message("user", body.prompt),), sampling, caller, house, "infer")


def evidence(raw: bytes, caller: Caller, house: House) -> Ask:
    """A diff that nobody is asked about. Raises: BadAsk."""
    diff = Message("user", validated(EvidenceBody, raw).diff)
    settings, model = house.settings, OWN_NAMES["cascade"]
    return Ask(new_id(), time.time(), "chat", model, "cascade", (diff,), settings=settings, store=False, key=caller.key)


def label(raw: bytes, exchange_id: str, key: str | None, now_unix: float) -> Label:
    """Raises: BadAsk."""
    body = validated(LabelBody, raw)
    if (body.verdict == "edit") != (body.text is not None):
        raise BadAsk("text: belongs to the verdict edit, and only to that", param="text")
    return Label(exchange_id, body.verdict, body.source, now_unix, body.text, key)


def _stop(body: SamplingBody) -> tuple[str, ...] | None:
    return tuple(body.stop) if body.stop else None


def sampling_of(body: Wire, **own: Any) -> Sampling:
    """What a body says in fields that are called as ours, and what it says otherwise."""
    return Sampling(**{name: getattr(body, name) for name in _alike(type(body))} | own)


@cache
def _alike(kind: type[Wire]) -> frozenset[str]:
    return frozenset(kind.model_fields.keys() & {field.name for field in fields(Sampling)})


def ask_of(
    body: AskBody,
    kind: Kind,
    messages: tuple[Message, ...],
    sampling: Sampling,
    caller: Caller,
    house: House,
    dialect: CallerDialect = "openai",
    before: Ask | None = None,
) -> Ask:
    """What all dialects have in common, from the fields that they share and the `firstpass` options. Raises: BadAsk.

    before: the request that this one goes on with.
    """
    options = _options(body.firstpass, caller.headers)
    bound_together(_compiled(sampling), "tools")
    if body.stream_options is not None and not body.stream:
        raise BadAsk("stream_options needs stream: true", param="stream_options")
    if options.optimistic and not body.stream:
        raise BadAsk("firstpass.optimistic needs stream: true", param="firstpass.optimistic")
    asked_logprobs = getattr(body, "logprobs", None)
    ask = Ask(
        id=new_id(),
        received_unix=time.time(),
        kind=kind,
        model=body.model,
        target=house.target(body.model),
        engine=house.engine(body.model),
        verifier=house.verifier(body.model),
        settings=house.settings,
        stands_in=house.known(body.model) is None,
        messages=messages,
        sampling=sampling,
        contract=_contract(options.contract, kind, messages, sampling, house),
        repository=_repository(options, house),
        ceiling=strictest(options.egress or house.ceiling, house.ceiling),
        stream=bool(body.stream),
        optimistic=bool(options.optimistic),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        logprobs_required=asked_logprobs is not None and asked_logprobs is not False,
        store=_store(options.store, getattr(body, "store", None)),
        session=options.session,
        key=caller.key,
        user=body.user or getattr(body, "safety_identifier", None),
        metadata=body.metadata,
        dialect=dialect,
        ignored=few(body.ignored),
        patience_seconds=patience(caller.headers),
    )
    pinned = options.contract is not None and "@" in options.contract
    return placed(house.experiments, ask, caller.headers, pinned=pinned, before=before)


def new_id() -> str:
    """Of an exchange; nobody can guess it."""
    return f"ex_{secrets.token_hex(12)}"


def _compiled(sampling: Sampling) -> Iterator[dict[str, Any] | None]:
    """The schemas to which an engine holds the model: of tools that it has to choose from, and of strict ones."""
    forced = sampling.tool_choice is not None and sampling.tool_choice.mode in ("required", "named")
    return (tool.parameters for tool in sampling.tools or () if forced or tool.strict)


def _store(ours: bool | None, openai: bool | None) -> bool:
    """`firstpass.store` and the OpenAI field mean the same. Raises: BadAsk where they differ."""
    if None not in (ours, openai) and ours != openai:
        raise BadAsk("store and firstpass.store differ; give one", param="firstpass.store")
    return next((choice for choice in (ours, openai) if choice is not None), True)


def _options(options: FirstpassOptions, headers: Headers) -> FirstpassOptions:
    """The body's options with the headers' beside them. A typo in either must not lift a limit, so all is checked."""
    given: dict[str, Any] = {}
    for raw, said in headers.raw:
        if not raw.startswith(RAW_HEADER):
            continue
        header, value = raw.decode("latin-1"), said.decode("latin-1")
        name = header.removeprefix(HEADER)
        if name not in FirstpassOptions.model_fields:
            raise BadAsk(f"unknown header {header}", param=header, code="unknown_parameter")
        if name in given:
            raise BadAsk(f"the header {header} stands twice", param=header)
        given[name] = _flag(header, value) if name in FLAGS else value
        if getattr(options, name) not in (None, given[name]):
            raise BadAsk(f"the header {header} and firstpass.{name} differ; give one", param=header)
    if not given:
        return options
    try:
        return FirstpassOptions.model_validate(options.model_dump() | given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        header = f"{HEADER}{fault['loc'][0]}"
        raise BadAsk(f"{header}: {fault['msg']}", param=header) from error


def _flag(header: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadAsk(f"{header} must be true or false", param=header)
    return value.lower() == "true"


def _contract(name: str | None, kind: str, messages: Sequence[Message], sampling: Sampling, house: House) -> str | None:
    if name is None:
        return None
    if name not in house.contracts:
        message = f"unknown contract {name!r}; this server has {', '.join(sorted(house.contracts))}"
        raise BadAsk(message, param="firstpass.contract", code="contract_not_found")
    if kind != "chat":
        where = "/v1/chat/completions, /v1/messages, /v1/responses or /infer"
        raise BadAsk(f"contracts need {where}", param="firstpass.contract")
    if any(message.images for message in messages):
        raise BadAsk("a contract reads text alone, and there is an image", param="messages")
    if sampling.n not in (None, 1):
        raise BadAsk("a contract has one answer: n must be 1", param="n")
    for own in ("response_format", "tools"):
        if getattr(sampling, own) is not None:
            raise BadAsk("a contract decides the form of its answer", param=own)
    return house.contracts[name]


def _repository(options: FirstpassOptions, house: House) -> str | None:
    name = options.repository
    if name is None:
        return None
    if options.contract is None:
        raise BadAsk("firstpass.repository needs a contract, whose checks look names up", param="firstpass.repository")
    if name not in (there := house.repositories()):
        message = f"there is no index of a repository {name!r}; there are {', '.join(there) or 'none'}"
        raise BadAsk(message, param="firstpass.repository", code="repository_not_found")
    return name
