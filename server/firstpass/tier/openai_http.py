"""Asks a model that speaks the OpenAI HTTP API, local or hosted. Knows no policy: the door decides what may go."""

import asyncio
import json
import time
from collections.abc import Mapping

import httpx

from firstpass.chat import Chunk
from firstpass.dialect.faults import failed_midway
from firstpass.dialect.openai.read_reply import DONE, OpenAIStream, call_prefix, whole_reply
from firstpass.dialect.openai.write_request import MaxTokensName, body_of, refuse_redacted
from firstpass.dialect.thinking import for_thinking, with_effort
from firstpass.dialect.values import NONSENSE, wire_error
from firstpass.errors import BadAsk, Failure, FirstpassError, TierFailed
from firstpass.exchange import Ask, Kind, Reply, TierName
from firstpass.tier import Door, Listener
from firstpass.tier.again import Refused, nearest, until_taken
from firstpass.tier.failures import broken_wire, no_embeddings, refusal
from firstpass.tier.one_system import is_strewn, refuses_place, with_one_system
from firstpass.tier.sse import Event, drained, events, until_broken
from firstpass.tier.template import Template

PATHS: Mapping[Kind, str] = {"chat": "chat/completions", "completion": "completions", "embedding": "embeddings"}


class OpenAITier:
    """part: how this tier is called in errors and records. whole_seconds: for a reply that does not stream.

    max_tokens_name: how the endpoint calls the limit of an answer; OpenAI's newer models want the longer name.
    thinks: its model thinks before it answers, see `thinking`. template: what is known of its chat template.
    """

    def __init__(
        self,
        part: TierName,
        door: Door,
        whole_seconds: float | None = None,
        max_tokens_name: MaxTokensName = "max_tokens",
        *,
        thinks: bool = False,
        template: Template | None = None,
    ) -> None:
        self._part = part
        self._door = door
        self._whole_seconds = whole_seconds
        self._max_tokens_name = max_tokens_name
        self._thinks = thinks
        self._template = template
        self._one_system: str | None = None  # The model that takes a system turn at the beginning only.

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        model = await self._door.model()
        self._check(ask)
        asked = with_effort(for_thinking(ask)) if self._thinks else ask
        if model == self._one_system:
            asked = with_one_system(asked)
        elif self._template is not None:
            asked = await self._template.fitted(asked, model)

        def milder(refused: Ask, failure: Failure) -> Ask | None:
            if is_strewn(refused) and refuses_place(failure.message):
                return with_one_system(refused)
            return nearest(refused, failure, listener)

        taken, reply = await until_taken(asked, lambda ask: self._asked(ask, model, listener), milder)
        if is_strewn(asked) and not is_strewn(taken):
            self._one_system = model
        return reply

    async def _asked(self, ask: Ask, model: str, listener: Listener) -> Reply:
        started = time.monotonic()
        streams, able, limit = listener.streaming, self._door.able, self._max_tokens_name
        body = body_of(ask, model, able, stream=streams, watched=listener.watching, max_tokens_name=limit)
        with broken_wire(self._part):
            async with (
                asyncio.timeout(None if streams else self._whole_seconds),
                self._door.post(ask, PATHS[ask.kind], body, listener.sent) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise Refused(self._refusal(ask, response, await response.aread()))
                if streams:
                    return await self._streamed(ask, response, listener, started)
                return self._whole(ask, await response.aread(), started)

    def _check(self, ask: Ask) -> None:
        """Raises: BadAsk for what this endpoint can not take, and would not miss.

        A score goes to any endpoint: one that is no vLLM shows it by its answer.
        """
        able = self._door.able
        if ask.logprobs_required and not able.logprobs:
            raise BadAsk(f"the {self._part} model gives no logprobs", part=self._part, param="logprobs")
        if ask.continues and not (able.vllm or ask.scored):
            text = f"the {self._part} model can not go on with an assistant's begun message"
            raise BadAsk(text, part=self._part, param="messages")
        refuse_redacted(ask, self._part)

    def _refusal(self, ask: Ask, response: httpx.Response, body: bytes) -> FirstpassError:
        if ask.kind == "embedding" and response.status_code in (404, 405, 501):
            return no_embeddings(self._part)
        return refusal(self._part, ask, response, wire_error(body))

    def _whole(self, ask: Ask, raw: bytes, started: float) -> Reply:
        try:
            return whole_reply(ask, raw, time.monotonic() - started)
        except NONSENSE as error:
            raise TierFailed(f"the {self._part} model's answer is no {_awaited(ask)}", part=self._part) from error

    async def _streamed(self, ask: Ask, response: httpx.Response, listener: Listener, started: float) -> Reply:
        tools = {tool.name for tool in ask.sampling.tools or ()}
        gathered = OpenAIStream(wants_usage=ask.include_usage, tools=tools, prefix=call_prefix(ask))
        stream = until_broken(events(response), lambda: gathered.ended(ask.sampling.n or 1))
        begun = False
        async for event in stream:
            chunk = self._read(ask, gathered, event, time.monotonic() - started, begun=begun)
            if chunk is None:
                break
            begun = True
            await listener.chunk(chunk)
            if gathered.done:
                await drained(stream)
                return gathered.reply(time.monotonic() - started)
            # Leaving a response that is not read to its end closes its connection, which stops the work at the model.
            if listener.watching and not listener.goes_on(gathered.text):
                return gathered.reply(time.monotonic() - started)
        if not gathered.ended(ask.sampling.n or 1):
            raise TierFailed(f"the {self._part} model's stream broke off", part=self._part)
        # NousResearch/hermes-agent#100515: the model has said that it ends, and clients wait for the word.
        await listener.chunk(gathered.close(time.monotonic() - started))
        return gathered.reply(time.monotonic() - started)

    def _read(self, ask: Ask, gathered: OpenAIStream, event: Event, seconds: float, *, begun: bool) -> Chunk | None:
        """None for what the stream broke off in. Raises: TierFailed for what is no event, Refused."""
        try:
            if event.data != DONE and b'"error"' in event.data:
                self._raise_error(ask, event.data, begun=begun)
            return gathered.read(event.raw, event.data, seconds)
        except NONSENSE as error:
            if not event.whole:
                return None
            raise TierFailed(f"the {self._part} model's stream is no event stream", part=self._part) from error

    def _raise_error(self, ask: Ask, data: bytes, *, begun: bool) -> None:
        """A 200 stream may carry an error event. Raises: TierFailed, BadAsk for one, in Refused at the beginning."""
        fields = json.loads(data)
        if fields.get("error") or fields.get("object") == "error":
            error = failed_midway(self._part, ask, wire_error(data))
            raise error if begun else Refused(error)


def _awaited(ask: Ask) -> str:
    if ask.scored:
        return "chat completion with prompt_logprobs"
    return "list of embeddings" if ask.kind == "embedding" else f"{ask.kind} completion"
