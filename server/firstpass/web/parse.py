"""From a body and its headers to an Ask. Every fault is an error that names its field; it knows no tier or store."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import ValidationError
from starlette.datastructures import Headers

from firstpass.errors import BadAsk, NotFound
from firstpass.exchange import Ask, Ceiling, Label, Message, Sampling, Target, strictest
from firstpass.web.wire import (
    UNSUPPORTED,
    ChatBody,
    ChatMessage,
    CompletionBody,
    FirstpassOptions,
    InferBody,
    LabelBody,
    SamplingBody,
    StreamOptions,
    TextPart,
    Wire,
)

HEADER = "x-firstpass-"
SHARED_FIELDS = ("temperature", "top_p", "n", "seed", "logit_bias", "presence_penalty", "frequency_penalty", "logprobs")
OPEN_FIELDS = ("logit_bias", "metadata")
"""Objects whose keys are the caller's own."""

FLAGS = ("optimistic", "store")
"""Options that are true or false, also in a header."""

FIELDS = {
    name
    for model in (
        ChatBody,
        CompletionBody,
        InferBody,
        ChatMessage,
        TextPart,
        StreamOptions,
        FirstpassOptions,
        LabelBody,
    )
    for name in model.model_fields
}
SCHEMA_DEPTH_LIMIT = 32
SCHEMA_CHARACTERS_LIMIT = 16_384
"""vLLM compiles a schema without a limit of its own; small ones can still be slow."""

Body = TypeVar("Body", bound=Wire)


@dataclass(frozen=True, slots=True)
class House:
    """What this server offers and allows: the names that parse may accept.

    models: the names a caller may give, and where each leads. contracts: likewise, and the version that each means.
    ceiling: the server's own, which a request can only make stricter. repositories: those that are indexed now.
    """

    models: Mapping[str, Target]
    contracts: Mapping[str, str]
    ceiling: Ceiling
    repositories: Callable[[], Sequence[str]] = tuple


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request brings beside its body. key: the id of its live API key."""

    headers: Headers
    key: str | None


def chat(raw: bytes, caller: Caller, house: House) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = _validated(ChatBody, raw)
    if body.max_tokens is not None and body.max_completion_tokens not in (None, body.max_tokens):
        raise BadAsk("max_tokens and max_completion_tokens differ; give one", param="max_completion_tokens")
    if body.top_logprobs is not None and not body.logprobs:
        raise BadAsk("top_logprobs needs logprobs: true", param="top_logprobs")
    for number, message in enumerate(body.messages):
        if message.name is not None:
            raise BadAsk("names of participants are not supported", param=f"messages.{number}.name")
    _bound(body.response_format)
    sampling = _sampling(
        body,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        top_logprobs=body.top_logprobs,
        response_format=body.response_format,
    )
    messages = tuple(Message(message.role, message.text) for message in body.messages)
    return _ask(body, "chat", messages, sampling, caller, house)


def completion(raw: bytes, caller: Caller, house: House) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = _validated(CompletionBody, raw)
    sampling = _sampling(body, max_tokens=body.max_tokens, echo=body.echo, suffix=body.suffix)
    return _ask(body, "completion", (Message("user", body.prompt),), sampling, caller, house)


def infer(raw: bytes, caller: Caller, house: House) -> Ask:
    """The prompt becomes a chat, as the origin meant it. Raises: BadAsk, NotFound (an unknown model)."""
    body = _validated(InferBody, raw)
    sampling = Sampling(max_tokens=body.max_tokens, temperature=body.temperature, logprobs=True)
    shared = SamplingBody(model=body.model, firstpass=body.firstpass)
    return _ask(shared, "chat", (Message("user", body.prompt),), sampling, caller, house)


def label(raw: bytes, exchange_id: str, key: str | None, now_unix: float) -> Label:
    """Raises: BadAsk."""
    body = _validated(LabelBody, raw)
    if (body.verdict == "edit") != (body.text is not None):
        raise BadAsk("text: belongs to the verdict edit, and only to that", param="text")
    return Label(exchange_id, body.verdict, body.source, now_unix, body.text, key)


def _validated(kind: type[Body], raw: bytes) -> Body:
    fields = {name: value for name, value in _object(raw).items() if value is not None}
    for name in fields:
        if name in UNSUPPORTED and name not in kind.model_fields:
            raise BadAsk(f"{name}: {UNSUPPORTED[name]}", param=name, code="unsupported_parameter")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _first_fault(error) from error


def _object(raw: bytes) -> dict[str, Any]:
    """Raises: BadAsk for what is no JSON object, says one thing twice, or holds half a UTF-16 pair."""
    try:
        fields = json.loads(raw, object_pairs_hook=_without_repeats)
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
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise BadAsk(f"{repeated} stands twice in one object", param=repeated, code="invalid_json")
    return fields


def _first_fault(error: ValidationError) -> BadAsk:
    """The first fault, by the path that the caller wrote: names of union branches are left out."""
    fault = error.errors(include_url=False)[0]
    if fault["type"] == "extra_forbidden":
        *outer, name = fault["loc"]
        path = ".".join([*_written(outer), str(name)])
        return BadAsk(f"unknown parameter: {path}", param=path, code="unknown_parameter")
    path = ".".join(_written(fault["loc"]))
    if fault["type"] == "missing":
        return BadAsk(f"missing parameter: {path}", param=path, code="missing_required_parameter")
    return BadAsk(f"{path}: {fault['msg']}", param=path, code="invalid_value")


def _written(location: Sequence[int | str]) -> list[str]:
    kept: list[str] = []
    for part in location:
        if isinstance(part, int) or part in FIELDS or (kept and kept[-1] in OPEN_FIELDS):
            kept.append(str(part))
    return kept


def _bound(schema: dict[str, Any] | None) -> None:
    """Raises: BadAsk for a response_format that is deeper or longer than any honest one."""
    level: list[Any] = [schema]
    depth = 0
    while level and depth <= SCHEMA_DEPTH_LIMIT:
        level = [inner for value in level for inner in _inside(value)]
        depth += 1
    if level or len(json.dumps(schema)) > SCHEMA_CHARACTERS_LIMIT:
        limits = f"{SCHEMA_DEPTH_LIMIT} levels and {SCHEMA_CHARACTERS_LIMIT} characters"
        raise BadAsk(f"response_format may have {limits}", param="response_format")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _sampling(body: SamplingBody, **own: Any) -> Sampling:
    shared = {name: getattr(body, name, None) for name in SHARED_FIELDS}
    return Sampling(**shared, **own, stop=tuple(body.stop) if body.stop else None)


def _ask(
    body: SamplingBody,
    kind: Literal["chat", "completion"],
    messages: tuple[Message, ...],
    sampling: Sampling,
    caller: Caller,
    house: House,
) -> Ask:
    options = _options(body.firstpass, caller.headers)
    if body.stream_options is not None and not body.stream:
        raise BadAsk("stream_options needs stream: true", param="stream_options")
    if options.optimistic and not body.stream:
        raise BadAsk("firstpass.optimistic needs stream: true", param="firstpass.optimistic")
    asked_logprobs = getattr(body, "logprobs", None)
    return Ask(
        id=f"ex_{secrets.token_hex(12)}",
        received_unix=time.time(),
        kind=kind,
        model=body.model,
        target=_target(body.model, house),
        messages=messages,
        sampling=sampling,
        contract=_contract(options.contract, kind, sampling, house),
        repository=_repository(options, house),
        ceiling=_ceiling(options.egress, house),
        stream=bool(body.stream),
        optimistic=bool(options.optimistic),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        logprobs_required=asked_logprobs is not None and asked_logprobs is not False,
        store=_store(options.store, getattr(body, "store", None)),
        session=options.session,
        key=caller.key,
        user=body.user,
        metadata=body.metadata,
    )


def _store(ours: bool | None, openai: bool | None) -> bool:
    """`firstpass.store` and the OpenAI field mean the same. Raises: BadAsk where they differ."""
    if None not in (ours, openai) and ours != openai:
        raise BadAsk("store and firstpass.store differ; give one", param="firstpass.store")
    return next((choice for choice in (ours, openai) if choice is not None), True)


def _options(options: FirstpassOptions, headers: Headers) -> FirstpassOptions:
    """The body's options with the headers' beside them. A typo in either must not lift a limit, so all is checked."""
    given: dict[str, Any] = {}
    for header, value in headers.items():
        if not header.startswith(HEADER):
            continue
        name = header.removeprefix(HEADER)
        if name not in FirstpassOptions.model_fields:
            raise BadAsk(f"unknown header {header}", param=header, code="unknown_parameter")
        if name in given:
            raise BadAsk(f"the header {header} stands twice", param=header)
        given[name] = _flag(header, value) if name in FLAGS else value
        if getattr(options, name) not in (None, given[name]):
            raise BadAsk(f"the header {header} and firstpass.{name} differ; give one", param=header)
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


def _target(model: str, house: House) -> Target:
    if model not in house.models:
        message = f"unknown model {model!r}; this server has {', '.join(house.models)}"
        raise NotFound(message, param="model", code="model_not_found")
    return house.models[model]


def _contract(name: str | None, kind: str, sampling: Sampling, house: House) -> str | None:
    if name is None:
        return None
    if name not in house.contracts:
        message = f"unknown contract {name!r}; this server has {', '.join(sorted(house.contracts))}"
        raise BadAsk(message, param="firstpass.contract", code="contract_not_found")
    if kind != "chat":
        raise BadAsk("contracts need /v1/chat/completions or /infer", param="firstpass.contract")
    if sampling.n not in (None, 1):
        raise BadAsk("a contract has one answer: n must be 1", param="n")
    if sampling.response_format is not None:
        raise BadAsk("a contract decides the form of its answer", param="response_format")
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


def _ceiling(asked: Ceiling | None, house: House) -> Ceiling:
    """A guarantee that can't be met is an error: there is no redaction yet."""
    if asked == "redacted":
        message = "redaction is not available in this version; ask for local-only or any"
        raise BadAsk(message, param="firstpass.egress", code="unsupported_value")
    return strictest(asked or house.ceiling, house.ceiling)
