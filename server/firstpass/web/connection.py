"""A connection has to say what it wants in time and in few words, and to take what it is told. It knows no request.

uvicorn closes what is idle after an answer. What has sent nothing yet, half of its headers or headers without an end it
leaves open for ever; so it does with one that takes no more of its answer, and it counts no connections at all.
"""

from asyncio import BaseTransport, TimerHandle
from dataclasses import dataclass
from functools import partial
from socket import IPPROTO_TCP, SO_LINGER, SOL_SOCKET, TCP_NOTSENT_LOWAT
from struct import pack
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from firstpass.web.doorkeeper import Doorkeeper
from firstpass.web.leaving import EXTENSION, Leave

HEADERS_BYTES = 64 * 2**10
"""More has no request of a real client. The piece in which they begin is not counted: it may be another's end."""

WRAPPING = 2
"""A body may have so many bytes on the wire for each of its own, and HEADERS_BYTES beside: chunks of a byte, their
extensions and trailers cost more than they bring."""

BODY_PACE = 64 * 2**10
"""Bytes a second: as slow as this may be who sends a large body."""

LINGERING_SECONDS, LINGERING_BYTES = 3.0, 8 * 2**20
"""So much of a body is taken that nobody reads any more, so that its sender, who may send all of it first, hears the
answer before the connection ends. RFC 9112, 9.6. It has so long, or as long from its beginning as one that is read."""

PIPELINED = 16
"""Requests that one connection may have waiting behind another; hardly any client sends a second one."""

LEAST_BYTES_A_SECOND = 4096
"""Who reads more slowly than this holds up a model that writes faster."""

UNSENT_BYTES = 64 * 2**10
"""The kernel keeps no more for a reader: of megabytes, nobody would see for long whether they are taken."""

AT_ONCE = pack("ii", 1, 0)
"""Lingers for 0 s."""

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """header_seconds: in which headers must have arrived whole.

    body_seconds: in which a body that nobody reads must have, and a second more for each BODY_PACE of it.
    send_seconds: in which so much as LEAST_BYTES_A_SECOND asks for must have been taken of what waits to be sent.
    """

    header_seconds: float
    body_seconds: float
    send_seconds: float


class TooManyPipelined(Exception):
    """Ends the reading of a piece, in which there may be thousands more."""


class PromptProtocol(HttpToolsProtocol):
    def __init__(self, *arguments: Any, patience: Patience, doorkeeper: Doorkeeper, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience = patience
        self._doorkeeper = doorkeeper
        self._late: TimerHandle | None = None
        self._stalled: TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None
        self._leave: Leave | None = None
        self._lost = False
        self._begun = False
        self._turned = False
        self._bytes = 0
        self._body_since = 0.0
        self._allowed = HEADERS_BYTES

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if self._doorkeeper.lets_in(self, self.client[0] if self.client else ""):
            self.transport.get_extra_info("socket").setsockopt(IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)
            self._await_headers()
        else:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._late is None and self._is_idle():
            self._await_headers()
        self._turned = False
        super().data_received(data)
        self._bytes = 0 if self._turned else self._bytes + len(data)
        if self._bytes > self._most():
            self._end(TOO_LARGE if self._begun and self._is_idle() else b"")

    def _most(self) -> int:
        """Bytes of what is arriving, but for the pieces in which it begins or ends."""
        if self._begun:
            return HEADERS_BYTES
        return LINGERING_BYTES if self._is_idle() else self._allowed

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            raise TooManyPipelined
        self._begun = self._turned = True
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"watch": self._when_left}}

    def _when_left(self, leave: Leave) -> Leave:
        """One that has left is noticed by a read, which a large body may have paused."""
        self._leave = leave
        if self._lost:
            self.loop.call_soon(leave)
        else:
            self.flow.resume_reading()
        return partial(self._unwatched, leave)

    def _unwatched(self, leave: Leave) -> None:
        """The answer to a request behind it may be watched by now."""
        if self._leave is leave:
            self._leave = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """RFC 9110, 6.5.1: trailers that nothing has defined a use for are not merged into the headers."""
        if self._begun:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """One that has left is noticed by a read, which uvicorn pauses while a request is waiting behind another."""
        self._begun, self._turned, self._allowed = False, True, HEADERS_BYTES
        self._body_since = self.loop.time()
        self._forget()
        self._doorkeeper.is_busy(self)
        super().on_headers_complete()
        if self.pipeline:
            self.flow.resume_reading()
        else:
            self._answering = self.cycle

    def on_body(self, body: bytes) -> None:
        self._allowed += WRAPPING * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._turned = True
        if self._is_idle():
            self._forget()
            self._await_headers()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answering = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch()
        elif self._answering is None:
            self._doorkeeper.is_idle(self)
            if self.cycle.more_body:
                self._late = self.loop.call_later(LINGERING_SECONDS, self._linger)

    def _linger(self) -> None:
        """Ends it, where no more of the body has come than that its time is over."""
        due = self._body_since + self._patience.body_seconds + self._bytes / BODY_PACE
        if due > self.loop.time():
            self._late = self.loop.call_at(due, self._linger)
        else:
            self._end()

    def shutdown(self) -> None:
        super().shutdown()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """What is said while another answer is under way would be read as a part of that."""
        if self._is_idle():
            super().send_400_response(msg)
        self._end()

    def timeout_keep_alive_handler(self) -> None:
        """Of a connection that waits for a request; one that has more to come of the last has its own time."""
        if self._late is None:
            self._end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._unwatch()
        super().resume_writing()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells it to the request that came last, which may be waiting behind the one that is answered."""
        self._forget()
        self._unwatch()
        self._doorkeeper.has_left(self)
        self._lost = True
        if self._leave is not None:
            self._leave()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def has_unsent(self) -> bool:
        return self.transport.get_write_buffer_size() > 0

    def end(self) -> None:
        """For want of room."""
        self.transport.abort()

    def _end(self, last: bytes = b"") -> None:
        if not self.transport.is_closing():
            if last:
                self.transport.write(last)
            self.transport.close()
        self._watch()

    def _await_headers(self) -> None:
        self._late = self.loop.call_later(self._patience.header_seconds, self._end)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _watch(self) -> None:
        """Drops a peer that does not take what holds up an answer, or the end of the connection."""
        left = self.transport.get_write_buffer_size()
        if self._stalled is None and left and (self.flow.write_paused or self.transport.is_closing()):
            seconds = self._patience.send_seconds
            most = max(0, left - int(LEAST_BYTES_A_SECOND * seconds))
            self._stalled = self.loop.call_later(seconds, self._look, most)

    def _look(self, most: int) -> None:
        """most: so much may still be left."""
        self._stalled = None
        if self.transport.get_write_buffer_size() > most:
            self._reset()
        else:
            self._watch()

    def _reset(self) -> None:
        """The kernel, too, forgets what has not been taken: it would keep megabytes of it for minutes."""
        self.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, AT_ONCE)
        self.transport.abort()

    def _unwatch(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


def prompt(patience: Patience, doorkeeper: Doorkeeper) -> Any:
    """The protocol as uvicorn makes one for each connection."""
    return partial(PromptProtocol, patience=patience, doorkeeper=doorkeeper)
