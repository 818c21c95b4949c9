"""One streamed request and its times. Bytes are noted as they come and read when all are there: reading takes time.

Tokens are those of the server's own usage, never the number of chunks: a chunk may have several, or none.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import aiohttp

from firstpass.bench.load.made import Made, of_headers, of_object
from firstpass.client import TooMuch
from firstpass.tier.sse import Lines

Api = Literal["openai", "anthropic"]
PATHS: Mapping[Api, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
ERROR_CHARACTERS = 200
OK = 200
MOST_TOKENS = 2**53


@dataclass(frozen=True, slots=True)
class Target:
    """A server and a model to ask it for. key: an API key, if it wants one.

    uds: the Unix socket of an engine that this run started, whose URL's host means nothing.
    """

    name: str
    url: str
    model: str
    api: Api = "openai"
    key: str | None = None
    uds: Path | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        if self.api == "anthropic":
            return {"anthropic-version": "2023-06-01"} | ({"x-api-key": self.key} if self.key else {})
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def body(self, fields: Mapping[str, Any]) -> bytes:
        """fields: of the request, but those that an arm sets. An engine has none of Firstpass's own."""
        said = {"model": self.model, **fields, "stream": True}
        if self.uds is not None:
            said.pop("firstpass", None)
        if self.api == "openai":
            said["stream_options"] = {"include_usage": True}
        return json.dumps(said).encode()


@dataclass(frozen=True, slots=True)
class Timed:
    """One request. Times are in seconds of one clock. intended: when it was to be sent; sent: when it was.

    heard: when each piece of text came. error: what came in the place of an answer. made: how, where the server says.
    """

    intended: float
    sent: float
    ended: float
    heard: tuple[float, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None
    made: Made | None = None

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
            for gap in self.piece_gaps():
                yield gap / self.tokens_a_piece

    def piece_gaps(self) -> Iterator[float]:
        """Between two pieces, however many tokens they have: for so long a reader saw nothing new."""
        for before, after in pairwise(self.heard):
            yield after - before


async def ask(session: aiohttp.ClientSession, target: Target, body: bytes, intended: float) -> Timed:
    """What became of it; a failure is an outcome too, and so is a redirect. intended: by time.perf_counter().

    Where a kept connection turns out to be closed, it is sent again on another one: llama.cpp's server closes each
    after a stream and says nothing of it. The time that this takes counts.
    """
    sent = time.perf_counter()
    while (timed := await _asked(session, target, body, intended, sent)) is None:
        pass
    return timed


async def _asked(
    session: aiohttp.ClientSession, target: Target, body: bytes, intended: float, sent: float
) -> Timed | None:
    """None where nothing came over a connection that had been kept."""
    pieces, kept = list[tuple[float, bytes]](), SimpleNamespace(used=False, answered=False)
    headers = {**target.headers, "content-type": "application/json"}
    asking = session.post(
        target.url + PATHS[target.api], data=body, headers=headers, allow_redirects=False, trace_request_ctx=kept
    )
    try:
        async with asking as response:
            kept.answered = True
            async for piece in response.content.iter_any():
                pieces.append((time.perf_counter(), piece))
            status, made = response.status, of_headers(response.headers)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        if (
            kept.used
            and not kept.answered
            and isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        ):
            return None
        return Timed(intended, sent, time.perf_counter(), error=_line(f"{type(error).__name__}: {error}"))
    ended = time.perf_counter()
    if status != OK:
        said = b"".join(piece for _, piece in pieces).decode(errors="replace")
        return Timed(intended, sent, ended, error=_line(f"{status} {said}"))
    return read(target.api, pieces, Timed(intended, sent, ended, made=made))


@dataclass(frozen=True, slots=True)
class Said:
    """What one event says. text: whether it has something of the model's; tokens: all until now, None: it says none.

    made: how the answer was made.
    """

    text: bool = False
    tokens_in: int | None = None
    tokens_out: int | None = None
    ends: bool = False
    error: str | None = None
    made: Made | None = None


def read(api: Api, pieces: list[tuple[float, bytes]], timed: Timed) -> Timed:
    """pieces: as they came, and when. An event counts from the piece that ends it."""
    heard, tokens_in, tokens_out, ended, error, made = list[float](), 0, 0, False, None, timed.made
    for at, said in _said(api, pieces):
        if said.text:
            heard.append(at)
        tokens_in = tokens_in if said.tokens_in is None else said.tokens_in
        tokens_out = tokens_out if said.tokens_out is None else said.tokens_out
        ended, made = ended or said.ends, said.made or made
        if (error := said.error) is not None:
            break
    if error is None and not heard:
        error = "no text came"
    if error is None and not ended:
        error = "the answer was cut off: nothing says that it ended"
    if error is None and not tokens_out:
        error = "the server says no usage, so that no tokens can be counted"
    return Timed(timed.intended, timed.sent, timed.ended, tuple(heard), tokens_in, tokens_out, error, made)


def _said(api: Api, pieces: list[tuple[float, bytes]]) -> Iterator[tuple[float, Said]]:
    lines = Lines()
    try:
        for at, piece in pieces:
            yield from ((at, _event(api, event.data)) for event in lines.read(piece))
        if pieces and (last := lines.end()) is not None:
            yield pieces[-1][0], _event(api, last.data)
    except TooMuch as error:
        yield pieces[-1][0], Said(error=str(error))


def _event(api: Api, data: bytes) -> Said:
    if data == b"[DONE]":
        return Said(ends=True)
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return Said(error="an event that is no JSON")
    return _openai(_dict(event)) if api == "openai" else _anthropic(_dict(event))


def _openai(event: Mapping[str, Any]) -> Said:
    if event.get("error") is not None:
        return Said(error=_message(event["error"]))
    choices = [_dict(one) for one in found] if isinstance(found := event.get("choices"), list) else []
    deltas = [_dict(choice.get("delta")) for choice in choices]
    usage = _dict(event.get("usage"))
    return Said(
        any(
            delta.get(name) for delta in deltas for name in ("content", "reasoning", "reasoning_content", "tool_calls")
        ),
        _number(usage.get("prompt_tokens")),
        _number(usage.get("completion_tokens")),
        any(choice.get("finish_reason") is not None for choice in choices),
        made=of_object(event.get("firstpass")),
    )


def _anthropic(event: Mapping[str, Any]) -> Said:
    if event.get("type") == "error":
        return Said(error=_message(event.get("error")))
    usage = _dict(_dict(event.get("message")).get("usage")) or _dict(event.get("usage"))
    delta = _dict(event.get("delta"))
    return Said(
        any(delta.get(name) for name in ("text", "thinking", "partial_json")),
        _number(usage.get("input_tokens")),
        _number(usage.get("output_tokens")),
        event.get("type") == "message_stop" or delta.get("stop_reason") is not None,
        made=of_object(event.get("firstpass")),
    )


def _dict(value: object) -> Mapping[str, Any]:
    """A server may say anything; what is no object has nothing in it."""
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value < MOST_TOKENS else None


def _message(error: object) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return _line(str(said))


def _line(said: str) -> str:
    """One line without control characters: it goes to terminals, tables and pages."""
    return " ".join("".join(one if one.isprintable() else " " for one in said).split())[:ERROR_CHARACTERS]


def session(target: Target, seconds: float) -> aiohttp.ClientSession:
    """For any number of connections to it. seconds: for one whole answer."""
    if target.uds is None:
        connector: aiohttp.BaseConnector = aiohttp.TCPConnector(limit=0)
    else:
        connector = aiohttp.UnixConnector(str(target.uds), limit=0)
    noting = aiohttp.TraceConfig()
    noting.on_connection_reuseconn.append(_note_used)
    timeout = aiohttp.ClientTimeout(total=seconds)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**20, trace_configs=[noting])


async def _note_used(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.used = True


async def lags(found: list[float], every_seconds: float = 0.01) -> None:
    """For ever: by how much this event loop is late, in seconds. Where it is, the figures are the client's own.

    Looks are due at fixed times, so that one long wait counts for each that it held up.
    """
    due = time.perf_counter()
    while True:
        due += every_seconds
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        found.append(time.perf_counter() - due)
