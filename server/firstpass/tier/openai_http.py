"""Asks a model that speaks the OpenAI HTTP API, local or hosted. Knows no policy: the door decides what may go."""

import asyncio
import json
import time
from collections.abc import Mapping

import httpx

from firstpass.errors import BadAsk, FirstpassError, TierFailed
from firstpass.exchange import Ask, Kind, Reply, TierName
from firstpass.tier import Door, Listener
from firstpass.tier.failures import broken_wire, no_embeddings, refusal
from firstpass.tier.openai_body import MaxTokensName, body_of, refuse_redacted
from firstpass.tier.openai_reply import DONE, OpenAIStream, whole_reply
from firstpass.tier.sse import data_of, events
from firstpass.tier.thinking import for_thinking, with_effort
from firstpass.tier.values import NONSENSE, error_text

PATHS: Mapping[Kind, str] = {"chat": "chat/completions", "completion": "completions", "embedding": "embeddings"}


class OpenAITier:
    """part: how this tier is called in errors and records. whole_seconds: for a reply that does not stream.

    max_tokens_name: how the endpoint calls the limit of an answer; OpenAI's newer models want the longer name.
    thinks: its model thinks before it answers, see `thinking`.
    """

    def __init__(
        self,
        part: TierName,
        door: Door,
        whole_seconds: float | None = None,
        max_tokens_name: MaxTokensName = "max_tokens",
        *,
        thinks: bool = False,
    ) -> None:
        self._part = part
        self._door = door
        self._whole_seconds = whole_seconds
        self._max_tokens_name = max_tokens_name
        self._thinks = thinks

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        started = time.monotonic()
        model = await self._door.model()
        self._check(ask)
        streams, able, limit = listener.streaming, self._door.able, self._max_tokens_name
        asked = with_effort(for_thinking(ask)) if self._thinks else ask
        body = body_of(asked, model, able, stream=streams, watched=listener.watching, max_tokens_name=limit)
        with broken_wire(self._part):
            async with (
                asyncio.timeout(None if streams else self._whole_seconds),
                self._door.post(ask, PATHS[ask.kind], body, listener.sent) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise self._refusal(ask, response, await response.aread())
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
        message, param = error_text(body)
        if ask.kind == "embedding" and response.status_code in (404, 405, 501):
            return no_embeddings(self._part)
        return refusal(self._part, response, message, param)

    def _whole(self, ask: Ask, raw: bytes, started: float) -> Reply:
        try:
            return whole_reply(ask, raw, time.monotonic() - started)
        except NONSENSE as error:
            raise TierFailed(f"the {self._part} model's answer is no {_awaited(ask)}", part=self._part) from error

    async def _streamed(self, ask: Ask, response: httpx.Response, listener: Listener, started: float) -> Reply:
        gathered = OpenAIStream(wants_usage=ask.include_usage)
        async for event in events(response):
            data = data_of(event)
            try:
                if data != DONE and b'"error"' in data:
                    self._raise_error(data)
                chunk = gathered.read(event, data, time.monotonic() - started)
            except NONSENSE as error:
                raise TierFailed(f"the {self._part} model's stream is no event stream", part=self._part) from error
            await listener.chunk(chunk)
            # Leaving a response that is not read to its end closes its connection, which stops the work at the model.
            if gathered.done or (listener.watching and not listener.goes_on(gathered.text)):
                return gathered.reply(time.monotonic() - started)
        raise TierFailed(f"the {self._part} model's stream broke off", part=self._part)

    def _raise_error(self, data: bytes) -> None:
        """A 200 stream may carry an error event. Raises: TierFailed where this is one."""
        fields = json.loads(data)
        if "error" in fields:
            message, _ = error_text(data)
            raise TierFailed(f"the {self._part} model failed while it answered: {message}", part=self._part)


def _awaited(ask: Ask) -> str:
    if ask.scored:
        return "chat completion with prompt_logprobs"
    return "list of embeddings" if ask.kind == "embedding" else f"{ask.kind} completion"
