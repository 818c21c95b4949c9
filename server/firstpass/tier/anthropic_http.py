"""Asks a model that speaks the Anthropic Messages API. Knows no policy: the door decides what may go."""

import asyncio
import re
import time
from collections.abc import Mapping

import httpx

from firstpass.chat import Chunk
from firstpass.dialect.anthropic.read_reply import AnthropicStream, whole_reply
from firstpass.dialect.anthropic.write_request import EFFORTS, PART, body_of
from firstpass.dialect.thinking import for_thinking
from firstpass.dialect.values import NONSENSE, wire_error
from firstpass.errors import Failure, FirstpassError, TierFailed
from firstpass.exchange import Ask, Reply
from firstpass.tier import Door, Listener
from firstpass.tier.again import Refused, nearest, nearest_effort, until_taken
from firstpass.tier.failures import broken_wire, no_embeddings, refusal
from firstpass.tier.sse import Event, drained, events, until_broken

PATH = "messages"
VERSION = "2023-06-01"
"""Of the API, where the caller names none."""

FORWARDED = ("anthropic-version", "anthropic-beta")

NAMED = re.compile(r"`?(?P<name>[a-z_]+)\b")
"""An error's message begins with the field that it is about, such as "max_tokens: " or "`temperature` is"."""

PARAMS: Mapping[str, str] = {
    "messages": "messages",
    "system": "messages",
    "stop_sequences": "stop",
    "thinking": "reasoning_effort",
} | {name: name for name in ("max_tokens", "temperature", "top_p", "top_k", "tools", "tool_choice")}
"""The API's names of fields, and ours."""


class AnthropicTier:
    """whole_seconds: for a reply that does not stream. system_turns: the model takes system turns between others.

    thinks: it thinks before it answers, see `thinking`.
    """

    def __init__(
        self,
        door: Door,
        whole_seconds: float | None = None,
        *,
        system_turns: bool = True,
        thinks: bool = True,
    ) -> None:
        self._door = door
        self._whole_seconds = whole_seconds
        self._system_turns = system_turns
        self._thinks = thinks

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        if ask.kind == "embedding":
            raise no_embeddings(PART)
        model = await self._door.model()

        def milder(refused: Ask, failure: Failure) -> Ask | None:
            return nearest(refused, failure, listener)

        asked = for_thinking(ask) if self._thinks else ask
        if asked.sampling.reasoning_effort not in EFFORTS:
            asked = nearest_effort(asked, EFFORTS, listener) or asked
        _, reply = await until_taken(asked, lambda ask: self._asked(ask, model, listener), milder)
        return reply

    async def _asked(self, ask: Ask, model: str, listener: Listener) -> Reply:
        started = time.monotonic()
        streams, turns = listener.streaming, self._system_turns
        body = body_of(ask, model, stream=streams, system_turns=turns, thinks=self._thinks)
        with broken_wire(PART):
            async with (
                asyncio.timeout(None if streams else self._whole_seconds),
                self._door.post(ask, PATH, body, listener.sent, _headers(ask)) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise Refused(_refusal(ask, response, await response.aread()))
                if streams:
                    return await _streamed(ask, response, listener, started)
                return _whole(ask, await response.aread(), started)


def _headers(ask: Ask) -> dict[str, str]:
    """An Anthropic caller's own two go on unchanged, and no others of its headers."""
    forwarded = ask.forwarded if ask.dialect == "anthropic" else {}
    return {"anthropic-version": VERSION} | {name: forwarded[name] for name in FORWARDED if name in forwarded}


def _refusal(ask: Ask, response: httpx.Response, body: bytes) -> FirstpassError:
    said = wire_error(body)
    named = NAMED.match(said.message)
    param = PARAMS.get(named["name"]) if named else None
    return refusal(PART, ask, response, said._replace(param=param))


def _whole(ask: Ask, raw: bytes, started: float) -> Reply:
    try:
        return whole_reply(ask, raw, time.monotonic() - started)
    except NONSENSE as error:
        raise TierFailed(f"the {PART} model's answer is no message", part=PART) from error


async def _streamed(ask: Ask, response: httpx.Response, listener: Listener, started: float) -> Reply:
    stream = AnthropicStream(ask=ask)
    coming = until_broken(events(response), lambda: stream.ended(1))
    async for event in coming:
        chunk = _read(stream, event, time.monotonic() - started)
        if chunk is None:
            break
        await listener.chunk(chunk)
        if stream.done:
            await drained(coming)
            return stream.reply(time.monotonic() - started)
    if not stream.ended(1):
        raise TierFailed(f"the {PART} model's stream broke off", part=PART)
    # The model has said why it ends; clients wait for the event that says that it has.
    await listener.chunk(stream.close())
    return stream.reply(time.monotonic() - started)


def _read(stream: AnthropicStream, event: Event, seconds: float) -> Chunk | None:
    """None for what the stream broke off in. Raises: TierFailed for what is no event."""
    try:
        return stream.read(event.raw, event.data, seconds)
    except NONSENSE as error:
        if not event.whole:
            return None
        raise TierFailed(f"the {PART} model's stream is no event stream", part=PART) from error
