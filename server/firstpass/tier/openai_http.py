"""Asks a model that speaks the OpenAI HTTP API, local or hosted alike. Knows no policy: the door decides what may go.

Sources: the OpenAI API reference (chat completions, completions), vLLM 0.32 `entrypoints/openai`.
"""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from firstpass.errors import BadAsk, ContextTooLong, TierFailed, TierTimedOut, TierUnavailable
from firstpass.exchange import Ask, Reply, TierName, TokenLogprob, Usage
from firstpass.tier import Door, Listener

PATHS: Mapping[str, str] = {"chat": "chat/completions", "completion": "completions"}
RETRY_AFTER = re.compile(r"[0-9]{1,5}")
DEFAULT_RETRY_SECONDS = 5
NONSENSE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What reading a wire body raises where it is not of the promised shape."""

LOGPROB_FLOOR = -9999.0
"""vLLM's own stand-in for minus infinity, which JSON can not say."""

LINE_END = re.compile(rb"\r\n|\n|\r")
BOM = b"\xef\xbb\xbf"

CONTEXT_WORDS = ("context length", "context_length", "maximum model length", "max_model_len", "maximum context")


class OpenAITier:
    """part: how this tier is called in errors and records. whole_seconds: for a reply that does not stream."""

    def __init__(self, part: TierName, door: Door, whole_seconds: float | None = None) -> None:
        self._part = part
        self._door = door
        self._whole_seconds = whole_seconds

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        started = time.monotonic()
        body = self._body(ask, await self._door.model(), stream=listener.streaming, watched=listener.watching)
        try:
            async with (
                asyncio.timeout(None if listener.streaming else self._whole_seconds),
                self._door.post(ask, PATHS[ask.kind], body, listener.sent) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise self._refusal(response, await response.aread())
                if listener.streaming:
                    return await self._streamed(ask, response, listener, started)
                return self._whole(ask, await response.aread(), started)
        except (TimeoutError, httpx.TimeoutException) as error:
            message = f"the {self._part} model did not answer in time"
            raise TierTimedOut(message, part=self._part, retry_after_seconds=10) from error
        except httpx.HTTPError as error:
            message = f"the connection to the {self._part} model broke ({type(error).__name__})"
            raise TierFailed(message, part=self._part, retry_after_seconds=1) from error

    def _body(self, ask: Ask, model: str, *, stream: bool, watched: bool) -> bytes:
        """The wire request. A streamed one always asks for usage, since the record needs it.

        The usage comes at a stream's end; vLLM also gives it with each piece, which one that may be cut off needs.
        How a reply continues or matches a pattern, and that a prompt is to be scored, only vLLM lets a caller say.
        """
        body = {name: value for name, value in asdict(ask.sampling).items() if value is not None}
        if not self._door.gives_logprobs:
            if ask.logprobs_required:
                raise BadAsk(f"the {self._part} model gives no logprobs", part=self._part, param="logprobs")
            body.pop("logprobs", None)
            body.pop("top_logprobs", None)
        body["model"] = model
        if ask.kind == "chat":
            body["messages"] = [asdict(message) for message in ask.messages]
        else:
            body["prompt"] = ask.messages[0].content
        if ask.continues:
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        if ask.scored:
            body["prompt_logprobs"] = 0  # Of each token of the prompt its own, and no others.
        if ask.pattern is not None:
            body["structured_outputs"] = {"regex": ask.pattern}
        if stream:
            counted = {"include_usage": True} | ({"continuous_usage_stats": True} if watched else {})
            body |= {"stream": True, "stream_options": counted}
        return json.dumps(body).encode()

    def _refusal(self, response: httpx.Response, body: bytes) -> Exception:
        """The tier's error in our tree: only a 400 or 422 is the caller's fault."""
        message, param = _error_text(body)
        status = response.status_code
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
            answer = json.loads(raw)
            texts = [_choice_text(choice) for choice in answer["choices"]]
            first = answer["choices"][0]
            if ask.scored and not answer.get("prompt_logprobs"):
                raise TierFailed(f"the {self._part} model gives no prompt_logprobs", part=self._part)
            scored = _scored(answer["prompt_logprobs"], ask.messages[-1].content) if ask.scored else None
            return Reply(
                text=texts[0] if scored is None else ask.messages[-1].content,
                model=_text(answer["model"]),
                finish_reason=_text(first.get("finish_reason")) or None,
                usage=_usage(answer.get("usage")),
                seconds=time.monotonic() - started,
                logprobs=_logprobs(first.get("logprobs")) if scored is None else scored,
                others=tuple(texts[1:]),
                raw=raw,
            )
        except NONSENSE as error:
            message = f"the {self._part} model's answer is no {ask.kind} completion"
            raise TierFailed(message, part=self._part) from error

    async def _streamed(self, ask: Ask, response: httpx.Response, listener: Listener, started: float) -> Reply:
        gathered = _Gathered(wants_usage=ask.include_usage)
        async for event in _events(response):
            data = _data(event)
            if data == b"[DONE]":
                await listener.chunk(event)
                break
            if self._keep(gathered, data, started):
                await listener.chunk(event)
            if listener.watching and not listener.goes_on(gathered.text):
                break  # Leaving the response unread closes its connection, which stops the work at the model.
        else:
            raise TierFailed(f"the {self._part} model's stream broke off", part=self._part)
        return gathered.reply(time.monotonic() - started)

    def _keep(self, gathered: "_Gathered", data: bytes, started: float) -> bool:
        """Account for one event; False where it is only ours (the usage that the caller did not ask for)."""
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                message, _ = _error_text(data)
                raise TierFailed(f"the {self._part} model failed while it answered: {message}", part=self._part)
            return gathered.add(chunk, time.monotonic() - started)
        except NONSENSE as error:
            raise TierFailed(f"the {self._part} model's stream is no event stream", part=self._part) from error


@dataclass(slots=True)
class _Gathered:
    """A reply put together from its chunks, choice by choice."""

    wants_usage: bool
    model: str = ""
    texts: dict[int, list[str]] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None
    first_token_seconds: float | None = None

    @property
    def text(self) -> str:
        """Of the first choice, so far."""
        return "".join(self.texts.get(0, ()))

    def add(self, chunk: dict[str, Any], seconds: float) -> bool:
        """Whether the chunk is for the caller too."""
        self.model = _text(chunk.get("model")) or self.model
        if chunk.get("usage"):
            self.usage = _usage(chunk["usage"])
        for choice in chunk["choices"]:
            self._add_choice(choice, seconds)
        return bool(chunk["choices"]) or self.wants_usage

    def _add_choice(self, choice: dict[str, Any], seconds: float) -> None:
        number = _count(choice.get("index", 0))
        text = _text(choice["delta"].get("content") if "delta" in choice else choice["text"])
        if text and self.first_token_seconds is None:
            self.first_token_seconds = seconds
        self.texts.setdefault(number, []).append(text)
        if number == 0:
            self.logprobs.extend(_logprobs(choice.get("logprobs")))
            self.finish_reason = _text(choice.get("finish_reason")) or self.finish_reason

    def reply(self, seconds: float) -> Reply:
        texts = ["".join(self.texts[number]) for number in sorted(self.texts)] or [""]
        return Reply(
            text=texts[0],
            model=self.model,
            finish_reason=self.finish_reason,
            usage=self.usage,
            seconds=seconds,
            first_token_seconds=self.first_token_seconds,
            logprobs=tuple(self.logprobs),
            others=tuple(texts[1:]),
        )


async def _events(response: httpx.Response) -> AsyncIterator[bytes]:
    """The stream's events as they stood on the wire, each with a blank line at its end; comments are dropped."""
    event: list[bytes] = []
    async for line in _lines(response):
        if line and not line.startswith(b":"):
            event.append(line)
        elif not line and event:
            yield b"\n".join(event) + b"\n\n"
            event = []
    if event:
        yield b"\n".join(event) + b"\n\n"


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """HTML standard, 9.2.5: a line ends with CRLF, LF or CR and with nothing else; one leading BOM is not text."""
    rest, first = b"", True
    async for part in response.aiter_bytes():
        rest += part
        if first and len(rest) >= len(BOM):
            rest, first = rest.removeprefix(BOM), False
        held = rest[-1:] if rest.endswith(b"\r") else b""  # A CR may be half of a CRLF.
        *lines, rest = LINE_END.split(rest[: len(rest) - len(held)])
        rest += held
        for line in lines:
            yield line
    for line in LINE_END.split(rest):
        yield line


def _data(event: bytes) -> bytes:
    """HTML standard, 9.2.6: data lines are joined with a newline; one space after the colon is not part of it."""
    lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def _choice_text(choice: dict[str, Any]) -> str:
    return _text(choice["message"].get("content") if "message" in choice else choice["text"])


def _text(value: object) -> str:
    """A wire string, None as an empty one; half a surrogate pair is no character. Raises: TypeError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"a string was expected, not {type(value).__name__}")
    return value.encode("utf-8", "replace").decode()


def _count(value: object) -> int:
    """Raises: TypeError for anything but a count that a database can hold."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise TypeError("a count was expected")
    return value


def _logprob(value: object) -> float:
    """Raises: TypeError for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise TypeError("a log-probability was expected")
    return min(0.0, max(float(value), LOGPROB_FLOOR))


def _usage(usage: dict[str, Any] | None) -> Usage | None:
    return Usage(_count(usage["prompt_tokens"]), _count(usage.get("completion_tokens") or 0)) if usage else None


def _logprobs(block: dict[str, Any] | None) -> tuple[TokenLogprob, ...]:
    """Both shapes: chat has a list of entries, completions two parallel lists (its first may be null, for echo)."""
    if not block:
        return ()
    if "content" in block:
        return tuple(
            TokenLogprob(*_pair(entry), tuple(map(_pair, entry.get("top_logprobs") or ())))
            for entry in block["content"] or ()
            if entry["logprob"] is not None
        )
    pairs = zip(block["tokens"], block["token_logprobs"], strict=True)
    return tuple(TokenLogprob(_text(token), _logprob(logprob)) for token, logprob in pairs if logprob is not None)


def _scored(prompt: list[dict[str, Any] | None], text: str) -> tuple[TokenLogprob, ...]:
    """The tokens that spell `text`, with which the prompt ends; the first of them may have begun before it.

    prompt: vLLM's: at each place tokens by id, the prompt's own first. Raises: ValueError where it ends otherwise.
    """
    tokens, left = [], text
    for place in reversed(prompt):
        if not left:
            break
        entry: dict[str, Any] = next(iter((place or {}).values()), {})
        token = TokenLogprob(_text(entry["decoded_token"]), _logprob(entry["logprob"]))
        if not left.endswith(token.token) and not token.token.endswith(left):
            raise ValueError("the prompt does not end with the text")
        tokens.append(token)
        left = left.removesuffix(token.token) if left.endswith(token.token) else ""
    if left:
        raise ValueError("the prompt is shorter than the text")
    return tuple(reversed(tokens))


def _pair(entry: dict[str, Any]) -> tuple[str, float]:
    return _text(entry["token"]), _logprob(entry["logprob"])


def _error_text(body: bytes) -> tuple[str, str | None]:
    """The message and the field that an error body names, whichever of the usual shapes it has."""
    try:
        error = json.loads(body)
        error = error.get("error", error)
        if isinstance(error, str):
            return _text(error), None
        message = error.get("message") or error.get("detail") or error
        param = error.get("param")
        return _text(str(message)), _text(param) if isinstance(param, str) else None
    except NONSENSE:
        return body[:200].decode(errors="replace") or "no reason given", None
