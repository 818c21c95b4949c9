"""Asks a model that speaks the OpenAI HTTP API, local or hosted. Knows no policy: the door decides what may go."""

import asyncio
import json
import re
import time
from collections.abc import Mapping

import httpx

from firstpass.errors import BadAsk, ContextTooLong, NotFound, TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import Ask, Kind, Reply, TierName
from firstpass.tier import Door, Listener
from firstpass.tier.openai_body import MaxTokensName, body_of, refuse_redacted
from firstpass.tier.openai_reply import DONE, Gathered, whole_reply
from firstpass.tier.sse import data_of, events
from firstpass.tier.values import NONSENSE, error_text

PATHS: Mapping[Kind, str] = {"chat": "chat/completions", "completion": "completions", "embedding": "embeddings"}
RETRY_AFTER = re.compile(r"[0-9]{1,5}")
DEFAULT_RETRY_SECONDS = 5

CONTEXT_WORDS = ("context length", "context_length", "maximum model length", "max_model_len", "maximum context")


class OpenAITier:
    """part: how this tier is called in errors and records. whole_seconds: for a reply that does not stream.

    max_tokens_name: how the endpoint calls the limit of an answer; OpenAI's newer models want the longer name.
    """

    def __init__(
        self,
        part: TierName,
        door: Door,
        whole_seconds: float | None = None,
        max_tokens_name: MaxTokensName = "max_tokens",
    ) -> None:
        self._part = part
        self._door = door
        self._whole_seconds = whole_seconds
        self._max_tokens_name = max_tokens_name

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        started = time.monotonic()
        model = await self._door.model()
        self._check(ask)
        streams, limit = listener.streaming, self._max_tokens_name
        body = body_of(ask, model, self._door.able, stream=streams, max_tokens_name=limit)
        try:
            async with (
                asyncio.timeout(None if streams else self._whole_seconds),
                self._door.post(ask, PATHS[ask.kind], body, listener.sent) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise self._refusal(ask, response, await response.aread())
                if streams:
                    return await self._streamed(ask, response, listener, started)
                return self._whole(ask, await response.aread(), started)
        except (TimeoutError, httpx.TimeoutException) as error:
            message = f"the {self._part} model did not answer in time"
            raise TierTimedOut(message, part=self._part, retry_after_seconds=10) from error
        except httpx.HTTPError as error:
            message = f"the connection to the {self._part} model broke ({type(error).__name__})"
            raise TierFailed(message, part=self._part, retry_after_seconds=1) from error

    def _check(self, ask: Ask) -> None:
        """Raises: BadAsk for what this endpoint can not take, and would not miss."""
        able = self._door.able
        if ask.logprobs_required and not able.logprobs:
            raise BadAsk(f"the {self._part} model gives no logprobs", part=self._part, param="logprobs")
        if ask.continues and not able.vllm:
            text = f"the {self._part} model can not go on with an assistant's begun message"
            raise BadAsk(text, part=self._part, param="messages")
        refuse_redacted(ask, self._part)

    def _refusal(self, ask: Ask, response: httpx.Response, body: bytes) -> Exception:
        """The tier's error in our tree: only a 400 or 422 is the caller's fault."""
        message, param = error_text(body)
        status = response.status_code
        if ask.kind == "embedding" and status in (404, 405, 501):
            text = f"the {self._part} model gives no embeddings"
            return NotFound(text, part=self._part, param="model", code="model_not_found")
        if status in (400, 413, 422):
            kind = ContextTooLong if any(words in message.lower() for words in CONTEXT_WORDS) else BadAsk
            return kind(message, part=self._part, param="messages" if kind is ContextTooLong else param)
        text = f"the {self._part} model answered {status}: {message}"
        if status in (429, 503):
            wait = response.headers.get("retry-after", "")
            seconds = int(wait) if RETRY_AFTER.fullmatch(wait) else DEFAULT_RETRY_SECONDS
            return TierUnavailable(text, part=self._part, retry_after_seconds=seconds)
        return TierFailed(text, part=self._part)

    def _whole(self, ask: Ask, raw: bytes, started: float) -> Reply:
        try:
            return whole_reply(ask, raw, time.monotonic() - started)
        except NONSENSE as error:
            what = "list of embeddings" if ask.kind == "embedding" else f"{ask.kind} completion"
            raise TierFailed(f"the {self._part} model's answer is no {what}", part=self._part) from error

    async def _streamed(self, ask: Ask, response: httpx.Response, listener: Listener, started: float) -> Reply:
        gathered = Gathered(wants_usage=ask.include_usage)
        async for event in events(response):
            data = data_of(event)
            try:
                if data != DONE and b'"error"' in data:
                    self._raise_error(data)
                chunk = gathered.read(event, data, time.monotonic() - started)
            except NONSENSE as error:
                raise TierFailed(f"the {self._part} model's stream is no event stream", part=self._part) from error
            await listener.chunk(chunk)
            if gathered.done:
                return gathered.reply(time.monotonic() - started)
        raise TierFailed(f"the {self._part} model's stream broke off", part=self._part)

    def _raise_error(self, data: bytes) -> None:
        """A 200 stream may carry an error event. Raises: TierFailed where this is one."""
        fields = json.loads(data)
        if "error" in fields:
            message, _ = error_text(data)
            raise TierFailed(f"the {self._part} model failed while it answered: {message}", part=self._part)
