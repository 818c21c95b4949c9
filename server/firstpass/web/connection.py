"""A connection that has to say what it wants in time and in few words. It knows no request.

uvicorn closes what is idle after an answer; what has sent nothing yet, half of its headers, or headers without an end
it leaves open for ever.
"""

from asyncio import BaseTransport, TimerHandle
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_BYTES = 64 * 2**10
"""More has no request of a real client. The piece in which they begin is not counted: it may be another's end."""

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PromptProtocol(HttpToolsProtocol):
    """seconds: in which headers must have arrived whole."""

    def __init__(self, *arguments: Any, seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._seconds = seconds
        self._late: TimerHandle | None = None
        self._begun = False
        self._bytes = 0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._await_headers()
        begun = self._begun
        super().data_received(data)
        self._bytes = self._bytes + len(data) if begun and self._begun else 0
        if self._bytes > HEADERS_BYTES and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._begun = False
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._late = self.loop.call_later(self._seconds, self.transport.close)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def prompt(seconds: float) -> Any:
    """The protocol as uvicorn makes one for each connection."""
    return partial(PromptProtocol, seconds=seconds)
