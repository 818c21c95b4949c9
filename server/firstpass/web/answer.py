"""One request's answer on the wire: whole or streamed, kept alive while it is made, dropped when its caller leaves.

It knows ASGI and the event loop; what the bytes mean is render's.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from firstpass.chat import Chunk, Usage
from firstpass.dialect import render
from firstpass.dialect.base import Dialect
from firstpass.dialect.openai.write_reply import OPENAI
from firstpass.dialect.values import few
from firstpass.errors import STOPPED, Failure, FirstpassError, Stopping
from firstpass.exchange import OWN_NAMES, Answer, Ask, Exchange, Receipt, Refuse, Step
from firstpass.listening import Sink
from firstpass.tier.tokens import Counted
from firstpass.web.leaving import watched

log = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 10.0
"""Claude Code stalls after 20 s of silence."""

COUNT_SECONDS = 1.0
"""A caller waits for no count that takes longer: the end of its stream has the number too."""

Runner = Callable[[Ask, Sink | None], Awaitable[Exchange]]

Counter = Callable[[Ask], Awaitable[Counted]]
"""Counts an ask's tokens before any model has."""


class AnswerResponse(Response):
    """Runs the ask and sends what comes of it. A caller that disconnects cancels the run.

    count: for a dialect whose streams begin with the number of input tokens, which not every tier knows by then.
    """

    def __init__(self, ask: Ask, run: Runner, dialect: Dialect, count: Counter | None = None) -> None:
        super().__init__()
        self._ask = ask
        self._run = run
        self._dialect = dialect
        self._count = count
        self._left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None, "answers are made by the event loop"

        def leave() -> None:
            """Stops the work on an answer that nobody waits for."""
            self._left = True
            task.cancel()

        unwatch = watched(scope, receive, leave)
        try:
            await (self._streamed(send) if self._ask.stream else self._whole(scope, receive, send))
        except asyncio.CancelledError:
            if not self._left or task.uncancel():
                raise
            log.debug("nobody waits for %s any more: its caller left", self._ask.id)
        finally:
            unwatch()

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = await self._run(self._ask, None)
        if isinstance(exchange.ending, Refuse):
            await error_response(exchange.ending.failure, self._ask.id, self._dialect)(scope, receive, send)
            return
        await Response(self._dialect.whole(exchange), 200, _headers(exchange), "application/json")(scope, receive, send)

    async def _streamed(self, send: Send) -> None:
        stream = _Stream(self._ask, self._dialect, send, self._count)
        try:
            await stream.finish(await self._run(self._ask, stream.forward))
        except Exception as error:
            if not stream.started:
                raise
            log.error("a stream failed after its first byte", exc_info=error)
            await stream.fail(as_failure(error))
        except asyncio.CancelledError:
            if self._left or not stream.started:
                raise
            await stream.fail(Stopping(STOPPED).failure)
        finally:
            await stream.close()


class _Stream:
    """The response's side of a stream. Its status is open until the first byte, so early failures keep their own.

    What comes is written at once; a caller that reads slowly holds up whoever brings it. The event by which the caller
    knows that the answer is whole waits for `finish`, and so for the record.
    """

    def __init__(self, ask: Ask, dialect: Dialect, send: Send, count: Counter | None) -> None:
        self._ask = ask
        self._dialect = dialect
        self._count = count
        self._writer = dialect.writer(ask)
        self._send = send
        self._sent = time.monotonic()
        self._writing = False
        self._held: list[tuple[Step, Chunk]] = []
        self._loop = asyncio.get_running_loop()
        self._alarm = self._loop.call_later(KEEPALIVE_SECONDS, self._wake)
        self._waiting: asyncio.Task[None] | None = None
        self.started = False

    def _wake(self) -> None:
        """An event that makes no bytes in this dialect has broken no silence."""
        quiet_seconds = self._sent + KEEPALIVE_SECONDS - time.monotonic()
        if quiet_seconds > 0:
            self._alarm = self._loop.call_later(quiet_seconds, self._wake)
        else:
            self._waiting = asyncio.ensure_future(self._keep_alive())

    async def forward(self, step: Step, chunk: Chunk) -> None:
        how = {} if self.started else _how(step)
        if self._count is not None:
            chunk = await self._counted(step, chunk)
        self._held.append((step, chunk))
        if chunk.last:
            return
        if self._waiting is not None and not self._waiting.done():
            await asyncio.wait([self._waiting])
        await self._write(self._taken(), how)

    def _taken(self) -> bytes:
        """Made only when it is sent: events have numbers, and a keep-alive may come between."""
        held, self._held = self._held, []
        return b"".join(self._writer.chunk(*one) for one in held)

    async def _counted(self, step: Step, chunk: Chunk) -> Chunk:
        """The first chunk with its prompt's size, if anyone can tell; what a contract asks is not the ask itself."""
        count, self._count = self._count, None
        if count is None or chunk.usage is not None or not step.move.binding:
            return chunk
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                counted = await count(self._ask)
        except (FirstpassError, TimeoutError) as error:
            log.debug("an unknown number of input tokens: %s", error)
            return chunk
        return replace(chunk, usage=Usage(counted.tokens, 0))

    async def _keep_alive(self) -> None:
        if not self._writing:  # Else something is on its way to a caller who reads slowly.
            how = {"x-firstpass-stream": "optimistic"} if self._ask.optimistic else {}
            await self._write(self._writer.waiting(), how)
        self._alarm = self._loop.call_later(KEEPALIVE_SECONDS, self._wake)

    async def close(self) -> None:
        """Nothing is said any more."""
        self._alarm.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
            self._alarm.cancel()

    async def finish(self, exchange: Exchange) -> None:
        """The exchange is in the record."""
        if isinstance(exchange.ending, Refuse):
            await self.fail(exchange.ending.failure)
            return
        await self.close()
        await self._write(self._taken() + self._writer.end(exchange), _headers(exchange))
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, failure: Failure) -> None:
        """The error as a status where that is still open, else as the stream's last event."""
        await self.close()
        if self.started:
            data = self._writer.failed(failure)
            await self._send({"type": "http.response.body", "body": data, "more_body": False})
            return
        response = error_response(failure, self._ask.id, self._dialect)
        await self._send({"type": "http.response.start", "status": failure.status, "headers": response.raw_headers})
        await self._send({"type": "http.response.body", "body": response.body})

    async def _write(self, data: bytes, headers: dict[str, str]) -> None:
        if not data:
            return
        self._writing = True
        try:
            if not self.started:
                self.started = True
                await self._start(headers)
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        finally:
            self._writing = False
        self._sent = time.monotonic()

    async def _start(self, headers: dict[str, str]) -> None:
        first = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
        }
        headers = first | _ids(self._ask.id) | _otherwise(self._ask) | headers
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})


def error_response(failure: Failure, exchange_id: str | None = None, dialect: Dialect = OPENAI) -> JSONResponse:
    headers = render.error_headers(failure)
    if exchange_id is not None:
        headers |= _ids(exchange_id)
    return JSONResponse(dialect.error(failure, exchange_id), failure.status, headers)


def as_failure(error: Exception) -> Failure:
    return error.failure if isinstance(error, FirstpassError) else FirstpassError("internal error").failure


def _how(step: Step) -> dict[str, str]:
    """As far as it is known where a stream begins."""
    route = {"x-firstpass-route": "draft" if step.move.tier == "draft" else "strong"}
    how = route if step.move.binding else {"x-firstpass-stream": "optimistic"}
    return how | _receipt_header(step.receipts) | _instead(step)


def _headers(exchange: Exchange) -> dict[str, str]:
    """Every answer says how it was made, and what left the machine on the way."""
    assert isinstance(exchange.ending, Answer), "only an answer has a route"
    headers = _ids(exchange.ask.id) | {"x-firstpass-route": exchange.ending.route}
    return headers | _otherwise(exchange.ask) | _receipt_header(exchange.receipts) | _instead(exchange.answer)


def _otherwise(ask: Ask) -> dict[str, str]:
    """What was not done as the caller said: who answers for an unknown model, uncallable tools and hints left out; and
    in which arm of an experiment it was done.
    """
    skipped = ask.terms.skipped_tools if ask.terms else ()
    both = {"x-firstpass-skipped-tools": few(skipped), "x-firstpass-ignored": ask.ignored}
    answers = {"x-firstpass-model": OWN_NAMES[ask.target]} if ask.stands_in else {}
    arm = {"x-firstpass-experiment": f"{ask.experiment}/{ask.arm}"} if ask.experiment else {}
    return answers | arm | {name: ",".join(left) for name, left in both.items() if left}


def _ids(exchange_id: str) -> dict[str, str]:
    """The OpenAI API's header, and the Anthropic API's."""
    return {"x-request-id": exchange_id, "request-id": exchange_id}


def _receipt_header(receipts: tuple[Receipt, ...]) -> dict[str, str]:
    sent = ",".join(f"{one.host};{one.sha256};{one.number};{one.leaf}" for one in receipts)
    return {"x-firstpass-receipt": sent} if sent else {}


def _instead(step: Step | None) -> dict[str, str]:
    """What the answer's model was asked with in the place of what the caller said."""
    return {f"x-firstpass-{name.replace('_', '-')}": value for name, value in (step.instead if step else {}).items()}
