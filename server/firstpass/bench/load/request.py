"""One streamed request and its times. Bytes are noted as they come and read when all are there: reading takes time.

Tokens are those of the server's own usage, never the number of chunks: a chunk may have several, or none.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import aiohttp

Api = Literal["openai", "anthropic"]
PATHS: Mapping[Api, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
ERROR_CHARACTERS = 200
OK = 200


@dataclass(frozen=True, slots=True)
class Target:
    """A server and a model to ask it for. key: an API key, if it wants one."""

    name: str
    url: str
    model: str
    api: Api = "openai"
    key: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        if self.api == "anthropic":
            return {"anthropic-version": "2023-06-01"} | ({"x-api-key": self.key} if self.key else {})
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def body(self, prompt: str, tokens: int) -> Mapping[str, Any]:
        """tokens: the answer's length; an engine that may is told not to end sooner."""
        said = {"model": self.model, "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens}
        if self.api == "anthropic":
            return said | {"stream": True}
        return said | {"stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True, slots=True)
class Timed:
    """One request. Times are in seconds of one clock. intended: when it was to be sent; sent: when it was.

    heard: when each piece of text came. error: what came in the place of an answer.
    """

    intended: float
    sent: float
    ended: float
    heard: tuple[float, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None

    @property
    def queue_seconds(self) -> float:
        """For which this client itself held it up."""
        return self.sent - self.intended

    @property
    def first_seconds(self) -> float | None:
        """To the first token, from the intended moment."""
        return self.heard[0] - self.intended if self.heard else None

    @property
    def whole_seconds(self) -> float:
        return self.ended - self.intended

    @property
    def tokens_a_piece(self) -> float:
        return self.tokens_out / len(self.heard) if self.heard else 0.0

    @property
    def token_seconds(self) -> float | None:
        """Between two tokens on the mean (TPOT). The first piece may have several tokens, of which no time is known."""
        if len(self.heard) < 2 or not self.tokens_out:
            return None
        return (self.heard[-1] - self.heard[0]) / (self.tokens_out - self.tokens_a_piece)

    def gaps(self) -> Iterator[float]:
        """Between two tokens (ITL): the time between two pieces, shared among the tokens of one."""
        if self.tokens_out:
            for before, after in pairwise(self.heard):
                yield (after - before) / self.tokens_a_piece


async def ask(session: aiohttp.ClientSession, target: Target, prompt: str, tokens: int, intended: float) -> Timed:
    """What became of it; a failure is an outcome too. intended: by time.perf_counter()."""
    body, pieces = json.dumps(target.body(prompt, tokens)).encode(), list[tuple[float, bytes]]()
    headers = {**target.headers, "content-type": "application/json"}
    sent = time.perf_counter()
    try:
        async with session.post(target.url + PATHS[target.api], data=body, headers=headers) as response:
            async for piece in response.content.iter_any():
                pieces.append((time.perf_counter(), piece))
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Timed(intended, sent, time.perf_counter(), error=f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS])
    ended = time.perf_counter()
    if status != OK:
        said = b"".join(piece for _, piece in pieces).decode(errors="replace")
        return Timed(intended, sent, ended, error=f"{status} {said}"[:ERROR_CHARACTERS])
    return read(target.api, pieces, Timed(intended, sent, ended))


def read(api: Api, pieces: list[tuple[float, bytes]], timed: Timed) -> Timed:
    """pieces: as they came, and when. An event counts from the piece that ends it."""
    heard, tokens_in, tokens_out, error = list[float](), 0, 0, None
    for at, event in _events(pieces):
        match api:
            case "openai":
                text, usage, error = _openai(event)
            case "anthropic":
                text, usage, error = _anthropic(event)
        if error is not None:
            break
        if text:
            heard.append(at)
        tokens_in, tokens_out = usage.get("in", tokens_in), usage.get("out", tokens_out)
    if error is None and heard and not tokens_out:
        error = "the server says no usage, so that no tokens can be counted"
    if error is None and not heard:
        error = "no text came"
    return Timed(timed.intended, timed.sent, timed.ended, tuple(heard), tokens_in, tokens_out, error)


def _events(pieces: list[tuple[float, bytes]]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    left = b""
    for at, piece in pieces:
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
                continue
            try:
                event = json.loads(line[5:])
            except ValueError:
                event = {"error": {"message": "an event that is no JSON"}}
            if isinstance(event, dict):
                yield at, event


def _openai(event: Mapping[str, Any]) -> tuple[bool, Mapping[str, int], str | None]:
    """(Whether it has something that the model said, tokens, an error)"""
    if "error" in event:
        return False, {}, _message(event["error"])
    usage = event.get("usage") or {}
    said = any(
        value
        for choice in event.get("choices") or ()
        for name, value in (choice.get("delta") or {}).items()
        if name in ("content", "reasoning", "reasoning_content", "tool_calls")
    )
    found = {"in": usage["prompt_tokens"], "out": usage["completion_tokens"]} if usage else {}
    return said, found, None


def _anthropic(event: Mapping[str, Any]) -> tuple[bool, Mapping[str, int], str | None]:
    if event.get("type") == "error":
        return False, {}, _message(event.get("error"))
    usage = (event.get("message") or {}).get("usage") or event.get("usage") or {}
    names = {"in": "input_tokens", "out": "output_tokens"}
    found = {name: usage[theirs] for name, theirs in names.items() if usage.get(theirs) is not None}
    delta = event.get("delta") or {}
    said = any(delta.get(name) for name in ("text", "thinking", "partial_json"))
    return bool(said), found, None


def _message(error: object) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return str(said)[:ERROR_CHARACTERS]


def session(seconds: float) -> aiohttp.ClientSession:
    """For any number of connections. seconds: for one whole answer."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout, read_bufsize=2**20)


async def lags(found: list[float], every_seconds: float = 0.01) -> None:
    """For ever: by how much this event loop is late, in seconds. Where it is, the figures are the client's own."""
    while True:
        due = time.perf_counter() + every_seconds
        await asyncio.sleep(every_seconds)
        found.append(time.perf_counter() - due)
