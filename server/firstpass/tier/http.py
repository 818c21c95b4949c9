"""One request to a model over HTTP, and its reply read whole or event by event. Knows no policy and no field."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from firstpass.chat import Chunk, Delta
from firstpass.client import OK, Response, TooMuch
from firstpass.dialect.anthropic.read_reply import AnthropicStream
from firstpass.dialect.faults import failed_midway
from firstpass.dialect.openai.read_reply import OpenAIStream
from firstpass.dialect.values import NONSENSE, ErrorEvent
from firstpass.errors import BadAsk, FirstpassError, TierFailed
from firstpass.exchange import Ask, Receipt, Reply, TierName
from firstpass.redaction import Placeholders
from firstpass.tier import Door, Listener
from firstpass.tier.again import Refused
from firstpass.tier.failures import broken_wire
from firstpass.tier.forced import hold
from firstpass.tier.sse import Event, drained, events, until_broken

Reading = OpenAIStream | AnthropicStream


class Restoring(Protocol):
    """Puts what was hidden from a model back into its reply. Raises one of NONSENSE for what is none."""

    def whole(self, raw: bytes) -> bytes: ...

    def event(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The events in the place of one, each with its data."""
        ...


class MakesRestoring(Protocol):
    def __call__(self, places: Placeholders, *, escaped: bool) -> Restoring: ...


@dataclass(frozen=True, slots=True)
class Format:
    """How a dialect reads what comes back from a path. awaited: what a whole reply is called."""

    path: str
    awaited: str
    whole: Callable[[Ask, bytes, float], Reply]
    reading: Callable[[Ask], Reading]
    restoring: MakesRestoring


ERROR_BYTES = 256 * 2**10
"""Of the body of an error that are read: no more of it is said to anybody."""

ERROR_SECONDS = 10.0

STREAM_TIMES = 16
"""How many times larger than a whole reply a stream may be: every token has an event around it."""


@dataclass(frozen=True, slots=True)
class ReplyBounds:
    """What a reply may take in all, whoever sends it. bytes: of one that does not stream."""

    whole_seconds: float | None = None
    stream_seconds: float | None = None
    bytes: int = 64 * 2**20


UNBOUND = ReplyBounds()


@dataclass(slots=True)
class Call:
    """One request. refusal: what an error status says."""

    part: TierName
    door: Door
    bounds: ReplyBounds
    ask: Ask
    form: Format
    body: bytes
    headers: Mapping[str, str]
    refusal: Callable[[Ask, Response, bytes], FirstpassError]
    hidden: Placeholders = field(default_factory=Placeholders, init=False)

    async def reply(self, listener: Listener) -> Reply:
        """Raises: Refused for an error and nothing else."""
        started = time.monotonic()

        def sent(receipt: Receipt, hidden: Placeholders) -> None:
            self.hidden = hidden
            listener.sent(receipt)

        with broken_wire(self.part):
            async with (
                asyncio.timeout(self.bounds.stream_seconds if listener.streaming else self.bounds.whole_seconds),
                self.door.post(self.ask, self.form.path, self.body, sent, self.headers) as response,
            ):
                came = await self._came(response, listener, started)
        if isinstance(came, Refused):
            raise came
        if isinstance(came, Reply):
            return came
        try:
            raw = self._restoring().whole(came) if self.hidden else came
            reply = self.form.whole(self.ask, raw, time.monotonic() - started)
        except NONSENSE as error:
            raise TierFailed(f"the {self.part} model's answer is no {self.form.awaited}", part=self.part) from error
        hold(self.part, self.ask, reply)
        return reply

    async def _came(self, response: Response, listener: Listener, started: float) -> Reply | bytes | Refused:
        """What came; the bytes of a whole reply are not read yet. Raises: Refused, TierFailed.

        A refusal of the request is an answer like any other, and is raised when the door is closed; what the endpoint
        fails in by itself is raised inside, where the door looks what has become of the endpoint.
        """
        if response.status != OK:
            said = await response.begin(ERROR_BYTES, ERROR_SECONDS)
            refused = Refused(self.refusal(self.ask, response, said))
            if response.status < 500:
                return refused
            raise refused
        if not listener.streaming:
            return await response.read(self.bounds.bytes)
        try:
            return await self._streamed(response, listener, started)
        except Refused as refused:
            if isinstance(refused.error, BadAsk):
                return refused
            raise

    async def _streamed(self, response: Response, listener: Listener, started: float) -> Reply:
        reading, choices, begun, size = self.form.reading(self.ask), self.ask.sampling.n or 1, False, 0
        coming = until_broken(self._events(response), lambda: reading.ended(choices))
        async for event in coming:
            chunk = self._read(reading, event, time.monotonic() - started, begun=begun)
            if chunk is None:
                break
            begun, size = True, size + sum(map(_characters, chunk.deltas))
            if size > self.bounds.bytes:
                raise TooMuch(f"its words are over the limit of {self.bounds.bytes} characters")
            if reading.done:
                self._hold(reading)
            await listener.chunk(chunk)
            if reading.done:
                await drained(coming)
                return reading.reply(time.monotonic() - started)
            # Leaving a response that is not read to its end closes its connection, which stops the work at the model.
            if listener.watching and not await listener.goes_on(reading.text):
                return reading.reply(time.monotonic() - started)
        if not reading.ended(choices):
            raise TierFailed(f"the {self.part} model's stream broke off", part=self.part)
        # NousResearch/hermes-agent#100515: the model has said that it ends, and clients wait for the word.
        last = reading.close(time.monotonic() - started)
        self._hold(reading)
        await listener.chunk(last)
        return reading.reply(time.monotonic() - started)

    def _hold(self, reading: Reading) -> None:
        """Before the word that a stream has ended well. Raises: TierFailed."""
        if self.ask.sampling.tools:
            hold(self.part, self.ask, reading.reply(0.0), streamed=True)

    def _restoring(self) -> Restoring:
        wanted = self.ask.sampling.response_format or {}
        return self.form.restoring(self.hidden, escaped=wanted.get("type", "text") != "text")

    def _events(self, response: Response) -> AsyncIterator[Event]:
        """Those of the stream, with what was hidden."""
        coming = events(response.parts(STREAM_TIMES * self.bounds.bytes))
        return self._restored(coming) if self.hidden else coming

    async def _restored(self, coming: AsyncIterator[Event]) -> AsyncIterator[Event]:
        """One that nothing can be made of comes as it is."""
        restoring = self._restoring()
        async for event in coming:
            if not event.whole:
                yield event
                continue
            try:
                restored = [Event(raw, data) for raw, data in restoring.event(event.data)]
            except NONSENSE:
                restored = [event]
            for one in restored:
                yield one

    def _read(self, reading: Reading, event: Event, seconds: float, *, begun: bool) -> Chunk | None:
        """None for what the stream broke off in. Raises: TierFailed for what is no event, and what an error says."""
        try:
            return reading.read(event.raw, event.data, seconds)
        except ErrorEvent as error:
            failure = failed_midway(self.part, self.ask, error.said)
            raise (failure if begun else Refused(failure)) from error
        except NONSENSE as error:
            if not event.whole:
                return None
            raise TierFailed(f"the {self.part} model's stream is no event stream", part=self.part) from error


def _characters(delta: Delta) -> int:
    """Of what is gathered until the reply ends."""
    calls = sum(len(call.arguments) for call in delta.calls) if delta.calls else 0
    return len(delta.text) + len(delta.reasoning) + len(delta.refusal) + calls
