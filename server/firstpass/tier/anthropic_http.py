"""Asks a model that speaks the Anthropic Messages API. Knows no policy: the door decides what may go."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from firstpass.client import Response
from firstpass.dialect.anthropic.read_reply import AnthropicStream, whole_reply
from firstpass.dialect.anthropic.restore import AnthropicRestoring
from firstpass.dialect.anthropic.write_request import EFFORTS, PART, body_of
from firstpass.dialect.thinking import for_thinking
from firstpass.dialect.values import wire_error
from firstpass.errors import Failure, FirstpassError
from firstpass.exchange import Ask, Reply
from firstpass.tier import Door, Listener
from firstpass.tier.again import nearest, nearest_effort, until_taken
from firstpass.tier.failures import no_embeddings, refusal
from firstpass.tier.http import UNBOUND, Call, Format, ReplyBounds

MESSAGES = Format("messages", "message", whole_reply, lambda ask: AnthropicStream(ask=ask), AnthropicRestoring)

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


@dataclass(slots=True)
class AnthropicTier:
    """bounds: what a reply may take. system_turns: the model takes system turns between others.

    thinks: it thinks before it answers, see `thinking`.
    """

    door: Door
    bounds: ReplyBounds = UNBOUND
    system_turns: bool = True
    thinks: bool = True

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        if ask.kind == "embedding":
            raise no_embeddings(PART)
        model = await self.door.model()

        def milder(refused: Ask, failure: Failure) -> Ask | None:
            return nearest(refused, failure, listener)

        asked = for_thinking(ask) if self.thinks else ask
        if asked.sampling.reasoning_effort not in EFFORTS:
            asked = nearest_effort(asked, EFFORTS, listener) or asked
        _, reply = await until_taken(asked, lambda ask: self._call(ask, model, listener).reply(listener), milder)
        return reply

    def _call(self, ask: Ask, model: str, listener: Listener) -> Call:
        turns = self.system_turns
        body = body_of(ask, model, stream=listener.streaming, system_turns=turns, thinks=self.thinks)
        return Call(PART, self.door, self.bounds, ask, MESSAGES, body, _headers(ask), _refusal)


def _headers(ask: Ask) -> dict[str, str]:
    """An Anthropic caller's own two go on unchanged, and no others of its headers."""
    forwarded = ask.forwarded if ask.dialect == "anthropic" else {}
    return {"anthropic-version": VERSION} | {name: forwarded[name] for name in FORWARDED if name in forwarded}


def _refusal(ask: Ask, response: Response, body: bytes) -> FirstpassError:
    said = wire_error(body)
    named = NAMED.match(said.message)
    param = PARAMS.get(named["name"]) if named else None
    return refusal(PART, ask, response, said._replace(param=param))
