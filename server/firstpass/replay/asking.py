"""A recorded request as one that is sent again. Sends nothing.

What is written is read as the server will read it, and held against the record: a request that would be another one is
not sent, and the field that differs is named.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from starlette.datastructures import Headers

from firstpass.chat import Abilities, Image, Message, Sampling, strict_json
from firstpass.dialect.anthropic import read_request as anthropic_in
from firstpass.dialect.anthropic import write_request as anthropic_out
from firstpass.dialect.anthropic.wire import NO_SEAL
from firstpass.dialect.openai import read_request as openai_in
from firstpass.dialect.openai import write_request as openai_out
from firstpass.dialect.openai.read_request import Caller
from firstpass.errors import BadAsk, FirstpassError
from firstpass.exchange import Ask, Exchange
from firstpass.house import House

CHAT, COMPLETIONS, MESSAGES, INFER = "/v1/chat/completions", "/v1/completions", "/v1/messages", "/infer"
TERSE = (MESSAGES, INFER)
"""Where a body has no seed, and no metadata of one's own."""

METADATA_LIMIT = 16
"""The OpenAI API's own."""

ORIGIN = "replay_of"
"""In the metadata of an exchange that is kept: which one it repeats."""

NOT_ASKED = (
    *("id", "received_unix", "settings", "key", "store", "session", "previous", "patience_seconds", "why", "shadows"),
    *("model", "target", "engine", "verifier", "stands_in", "experiment", "arm"),
    *("dialect", "stream", "optimistic", "include_usage", "terms", "ignored"),
)
"""Of an ask: who asked when, whom, in which form the answer was wanted. All else is the same when it is repeated."""

ENOUGH = Abilities(vllm=True)
"""Thoughts of earlier turns are written; nothing is left out that a server reads."""


@dataclass(frozen=True, slots=True)
class Again:
    """A request: its path, its headers, and its body but for whom it asks. lost: what could not be said again."""

    path: str
    fields: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unfit:
    """What can not be asked again, and why."""

    why: str


def again(exchange: Exchange) -> Again | Unfit:
    """The request as it came, whoever is to answer it; its contract in the version that it had."""
    ask = exchange.ask
    if why := _unfit(ask):
        return Unfit(why)
    if ask.kind == "completion":
        return _written(ask, _completion, openai_in.completion)
    if ask.dialect == "infer":
        return _written(ask, _infer, openai_in.infer)
    if ask.dialect == "anthropic" and isinstance(made := _written(ask, _message, anthropic_in.messages), Again):
        return made
    return _written(ask, _chat, openai_in.chat)


def _unfit(ask: Ask) -> str | None:
    if not ask.store:
        return "its words are not in the record"
    if ask.shadows is not None:
        return "it is a shadow, which repeats another exchange itself"
    if ask.kind == "embedding":
        return "it asked for embeddings, and the record has no vectors to hold new ones against"
    return None


def _written(ask: Ask, write: Callable[[Ask], Again], read: Callable[[bytes, Caller, House], Ask]) -> Again | Unfit:
    """Raises nothing."""
    house = House(
        models={ask.model: ask.target},
        contracts={} if ask.contract is None else {ask.contract: ask.contract},
        ceiling="any",
        repositories=lambda: [ask.repository] if ask.repository else [],
        seeing=frozenset({"cascade", "local", "strong"}),
    )
    try:
        made = write(ask)
        raw = json.dumps({"model": ask.model} | dict(made.fields)).encode()
        heard = read(raw, Caller(Headers(made.headers), None), house)
    except (FirstpassError, UnicodeError) as error:
        return Unfit(f"it can not be written again: {error}")
    if other := list(_unlike(ask, heard)):
        return Unfit(f"it can not be written again as it was: {', '.join(other)} would differ")
    return replace(made, lost=tuple(_lost(ask, made)))


def _unlike(ask: Ask, heard: Ask) -> Iterator[str]:
    """The names of what is another than it was. A seal of a thought is told by `_lost`."""
    for one in fields(Ask):
        was, now = getattr(ask, one.name), getattr(heard, one.name)
        if one.name in NOT_ASKED or was == now:
            continue
        if one.name == "sampling":
            yield from (name for name in _names(Sampling) if getattr(was, name) != getattr(now, name))
        elif one.name == "messages" and list(map(_unsealed, was)) == list(map(_unsealed, now)):
            continue
        elif one.name != "forwarded":
            yield one.name


def _names(kind: type[Any]) -> list[str]:
    return [one.name for one in fields(kind)]


def _unsealed(message: Message) -> Message:
    thought = message.reasoning
    return message if thought is None else replace(message, reasoning=replace(thought, signature=None))


def _lost(ask: Ask, made: Again) -> Iterator[str]:
    """What only a verifier of the Anthropic API would have had."""
    if made.path != MESSAGES:
        if any(message.reasoning and message.reasoning.signature for message in ask.messages):
            yield "the seals of earlier thoughts"
        if ask.forwarded:
            yield f"the headers {', '.join(ask.forwarded)}"


def _chat(ask: Ask) -> Again:
    """The images of a tool's result stay in it, which an engine's own API would not take.

    Raises: BadAsk.
    """
    if ask.continues:
        raise BadAsk("a reply that goes on with the last message has no word in chat completions")
    said = _openai(ask)
    if any(message.role == "tool" and message.images for message in ask.messages):
        said["messages"] = [openai_out.message_fields(message, thoughts=True) for message in ask.messages]
    return Again(CHAT, said | _shared(ask))


def _completion(ask: Ask) -> Again:
    return Again(COMPLETIONS, _openai(ask) | _shared(ask))


def _infer(ask: Ask) -> Again:
    """Its answers come with log-probabilities where there are some, and without where there are none."""
    said = {"max_tokens": ask.sampling.max_tokens, "temperature": ask.sampling.temperature}
    known = {name: value for name, value in said.items() if value is not None}
    return Again(INFER, {"prompt": ask.messages[0].content} | known | {"firstpass": _options(ask)})


def _openai(ask: Ask) -> dict[str, Any]:
    keyless = replace(ask, key=None)
    body = openai_out.body_of(keyless, "", ENOUGH, stream=False, watched=False, max_tokens_name=ask.limit_name)
    said: dict[str, Any] = json.loads(body)
    del said["model"]
    return said


def _message(ask: Ask) -> Again:
    """Each message is a turn of its own, as our server reads turns. Raises: BadAsk."""
    plain = replace(ask, messages=(Message("user", "-"),))
    said: dict[str, Any] = json.loads(anthropic_out.body_of(plain, "", stream=False, system_turns=True, thinks=False))
    del said["model"]
    said["messages"] = [{"role": _ROLES[message.role], "content": _content(message)} for message in ask.messages]
    shared = _shared(ask)
    shared.pop("metadata", None)
    user = shared.pop("user", None)
    return Again(MESSAGES, said | shared | ({"metadata": {"user_id": user}} if user else {}), ask.forwarded)


_ROLES = {"system": "system", "developer": "system", "user": "user", "tool": "user", "assistant": "assistant"}


def _content(message: Message) -> str | list[dict[str, Any]]:
    if message.role == "tool":
        shown: str | list[dict[str, Any]] = list(map(_part, message.parts)) if message.images else message.content
        failed = {"is_error": True} if message.tool_failed else {}
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": shown} | failed]
    if not (message.images or message.tool_calls or message.reasoning):
        return message.content
    return [*_thought(message), *map(_part, message.parts), *_uses(message)]


def _part(part: str | Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}


def _thought(message: Message) -> Iterator[dict[str, Any]]:
    thought = message.reasoning
    if thought is not None and thought.redacted is not None:
        yield {"type": "redacted_thinking", "data": thought.redacted}
    elif thought is not None:
        yield {"type": "thinking", "thinking": thought.text, "signature": thought.signature or NO_SEAL}


def _uses(message: Message) -> Iterator[dict[str, Any]]:
    """Raises: BadAsk for arguments that are no JSON, which that API has no word for."""
    for call in message.tool_calls:
        try:
            given = strict_json(call.given)
        except (ValueError, RecursionError) as error:
            raise BadAsk("the arguments of a call in it are no JSON", param="messages") from error
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _shared(ask: Ask) -> dict[str, Any]:
    said = {"user": ask.user, "metadata": ask.metadata}
    return {name: value for name, value in said.items() if value is not None} | {"firstpass": _options(ask)}


def _options(ask: Ask) -> dict[str, Any]:
    """With its own ceiling, which no server makes higher."""
    options = {"contract": ask.contract, "repository": ask.repository, "egress": ask.ceiling}
    return {name: value for name, value in options.items() if value is not None}


def directed(asked: Again, model: str, contract: str | None, *, kept_of: str | None) -> Mapping[str, Any] | Unfit:
    """The whole body. contract: in the place of its own, of a request that has one. kept_of: the exchange that it
    repeats, where the record is to keep the words of the new one too.
    """
    body = {"model": model} | dict(asked.fields)
    options = dict(body["firstpass"]) | {"store": kept_of is not None}
    if contract is not None:
        options["contract"] = contract
    if kept_of is not None and asked.path not in TERSE:
        metadata = dict(body.get("metadata") or {}) | {ORIGIN: kept_of}
        if len(metadata) > METADATA_LIMIT:
            return Unfit(f"its metadata has no room for {ORIGIN}, which --keep writes there")
        body["metadata"] = metadata
    return body | {"firstpass": options}
