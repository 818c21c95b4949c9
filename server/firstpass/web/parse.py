"""From a body and its headers to an Ask. Every fault is an error that names its field; it knows no tier or store."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from firstpass.errors import BadAsk, NotFound
from firstpass.exchange import CEILINGS, Ask, Ceiling, Message, Sampling, Target, strictest
from firstpass.web.wire import (
    UNSUPPORTED,
    ChatBody,
    CompletionBody,
    FirstpassOptions,
    InferBody,
    SamplingBody,
    Wire,
)

OPTION_HEADERS = ("contract", "egress", "session", "store")
SHARED_FIELDS = ("temperature", "top_p", "n", "seed", "logit_bias", "presence_penalty", "frequency_penalty", "logprobs")

Body = TypeVar("Body", bound=Wire)


@dataclass(frozen=True, slots=True)
class House:
    """What this server offers and allows: the names that parse may accept.

    models: the names a caller may give, and where each leads.
    ceiling: the server's own, which a request can only make stricter.
    """

    models: Mapping[str, Target]
    contracts: frozenset[str]
    ceiling: Ceiling


def chat(raw: bytes, headers: Mapping[str, str], house: House, key: str | None) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = _validated(ChatBody, raw)
    if body.max_tokens is not None and body.max_completion_tokens not in (None, body.max_tokens):
        raise BadAsk("max_tokens and max_completion_tokens differ; give one", param="max_completion_tokens")
    if body.top_logprobs is not None and not body.logprobs:
        raise BadAsk("top_logprobs needs logprobs: true", param="top_logprobs")
    for number, message in enumerate(body.messages):
        if message.name is not None:
            raise BadAsk("names of participants are not supported", param=f"messages.{number}.name")
    sampling = _sampling(
        body,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        top_logprobs=body.top_logprobs,
        response_format=body.response_format,
    )
    messages = tuple(Message(message.role, message.text) for message in body.messages)
    return _ask(body, "chat", messages, sampling, headers, house, key, store=body.store)


def completion(raw: bytes, headers: Mapping[str, str], house: House, key: str | None) -> Ask:
    """Raises: BadAsk, NotFound (an unknown model)."""
    body = _validated(CompletionBody, raw)
    sampling = _sampling(body, max_tokens=body.max_tokens, echo=body.echo, suffix=body.suffix)
    return _ask(body, "completion", (Message("user", body.prompt),), sampling, headers, house, key)


def infer(raw: bytes, headers: Mapping[str, str], house: House, key: str | None) -> Ask:
    """The prompt becomes a chat, as the origin meant it. Raises: BadAsk, NotFound (an unknown model)."""
    body = _validated(InferBody, raw)
    sampling = Sampling(max_tokens=body.max_tokens, temperature=body.temperature, logprobs=True)
    messages = (Message("user", body.prompt),)
    shared = SamplingBody(model=body.model, firstpass=body.firstpass)
    return _ask(shared, "chat", messages, sampling, headers, house, key, infer=True)


def _validated(kind: type[Body], raw: bytes) -> Body:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadAsk(f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(fields, dict):
        raise BadAsk("the body must be a JSON object", code="invalid_json")
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in fields:
        if name in UNSUPPORTED and name not in kind.model_fields:
            raise BadAsk(f"{name}: {UNSUPPORTED[name]}", param=name, code="unsupported_parameter")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _first_fault(error) from error


def _first_fault(error: ValidationError) -> BadAsk:
    """The first fault in the caller's terms; pydantic's names of union branches are left out of the path."""
    fault = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or part.replace("_", "").islower())
    if fault["type"] == "extra_forbidden":
        return BadAsk(f"unknown parameter: {path}", param=path, code="unknown_parameter")
    if fault["type"] == "missing":
        return BadAsk(f"missing parameter: {path}", param=path, code="missing_required_parameter")
    return BadAsk(f"{path}: {fault['msg']}", param=path, code="invalid_value")


def _sampling(body: SamplingBody, **own: Any) -> Sampling:
    shared = {name: getattr(body, name, None) for name in SHARED_FIELDS}
    return Sampling(**shared, **own, stop=tuple(body.stop) if body.stop else None)


def _ask(
    body: SamplingBody,
    kind: Any,
    messages: tuple[Message, ...],
    sampling: Sampling,
    headers: Mapping[str, str],
    house: House,
    key: str | None,
    store: bool | None = None,
    infer: bool = False,
) -> Ask:
    options = _options(body.firstpass, headers)
    if body.stream_options is not None and not body.stream:
        raise BadAsk("stream_options needs stream: true", param="stream_options")
    if options.store is not None and store not in (None, options.store):
        raise BadAsk("store and firstpass.store differ; give one", param="firstpass.store")
    return Ask(
        id=f"ex_{secrets.token_hex(12)}",
        received_unix=time.time(),
        kind=kind,
        model=body.model,
        target=_target(body.model, house),
        messages=messages,
        sampling=sampling,
        contract=_contract(options.contract, kind, sampling, house),
        ceiling=_ceiling(options.egress, house),
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        store=next((choice for choice in (options.store, store) if choice is not None), True),
        logprobs_required=sampling.logprobs is not None and sampling.logprobs is not False and not infer,
        session=options.session,
        key=key,
        user=body.user,
        metadata=body.metadata,
    )


def _options(options: FirstpassOptions, headers: Mapping[str, str]) -> FirstpassOptions:
    """The body's options with the headers' beside them; two different values for one of them are a fault."""
    given: dict[str, Any] = {}
    for name in OPTION_HEADERS:
        header, value = f"x-firstpass-{name}", headers.get(f"x-firstpass-{name}")
        if value is None:
            continue
        if name == "store":
            given[name] = _flag(header, value)
        else:
            given[name] = value
        if getattr(options, name) not in (None, given[name]):
            raise BadAsk(f"the header {header} and firstpass.{name} differ; give one", param=header)
    if given.get("egress", "any") not in CEILINGS:
        raise BadAsk(f"x-firstpass-egress must be one of {', '.join(CEILINGS)}", param="x-firstpass-egress")
    return options.model_copy(update=given)


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
    return name


def _ceiling(asked: Ceiling | None, house: House) -> Ceiling:
    """A guarantee that can't be met is an error: there is no redaction yet."""
    if asked == "redacted":
        message = "redaction is not available in this version; ask for local-only or any"
        raise BadAsk(message, param="firstpass.egress", code="unsupported_value")
    return strictest(asked or house.ceiling, house.ceiling)
