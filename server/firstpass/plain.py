"""HTTP/1.1 to a server on this machine, over TCP or a Unix socket: as `client`, but without TLS and for less.

It knows no model, dialect or policy. httptools (llhttp) reads what comes; what it raises does not leave this module.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools

from firstpass.client import (
    BUFFER_BYTES,
    KEEP_SECONDS,
    Broken,
    NoConnection,
    NoConnectionInTime,
    Response,
    TimedOut,
    TooMuch,
)

HEAD_BYTES = 64 * 2**10
"""Of a reply's headers and trailers, and of what is between its chunks. The piece that goes over it is still read."""

WRAPPING = 16
"""So many bytes on the wire each byte of a body may take beside: a chunk of one byte has five."""

JOINED_BYTES = 64 * 2**10
"""A body that is no larger is written in one piece with its headers."""

FIXED = "accept: */*\r\naccept-encoding: identity\r\ncontent-type: application/json\r\nuser-agent: firstpass\r\n"


class Client:
    """Connections to one server, kept and used again. base_url: http and no user, with the path prefix of all requests.

    uds, silent_seconds, connect_seconds: see `client.Client`.
    """

    def __init__(
        self, base_url: str, *, silent_seconds: float, connect_seconds: float, uds: Path | None = None
    ) -> None:
        parts = urlsplit(base_url)
        self.path = parts.path.rstrip("/")
        self._where: Path | tuple[str, int] = uds or (parts.hostname or "", parts.port or 80)
        self._netloc = parts.netloc
        self._silent_seconds, self._connect_seconds = silent_seconds, connect_seconds
        self._heads: dict[str, bytes] = {}
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._tidying: asyncio.TimerHandle | None = None
        self._closed = False

    @asynccontextmanager
    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> AsyncIterator[Response]:
        """path: below the base, or from the server's root where it begins with `/`. body: JSON. Raises: Broken."""
        if self._closed:
            raise NoConnection("it was closed for a newer one")
        connection = self._kept() or await self._connected()
        try:
            await connection.ask(self._head(path, headers or {}) + b"content-length: %d\r\n\r\n" % len(body), body)
            yield Response(connection.status, connection.headers, connection.more)
        finally:
            if connection.leave():
                self._idle.append(connection)
                if self._tidying is None:
                    self._tidy()

    def _head(self, path: str, headers: Mapping[str, str]) -> bytes:
        if path not in self._heads:
            target = path if path.startswith("/") else f"{self.path}/{path}"
            self._heads[path] = f"POST {target} HTTP/1.1\r\nhost: {self._netloc}\r\n{FIXED}".encode("ascii")
        return self._heads[path] + b"".join(_line(*header) for header in headers.items())

    def _kept(self) -> "_Connection | None":
        """The one that was left last."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            connection.end()
        return None

    def _tidy(self) -> None:
        """Closes those that were not used for long, and looks again when the next one will be such."""
        self._tidying = None
        for connection in [each for each in self._idle if not each.is_fresh]:
            self._idle.remove(connection)
            connection.end()
        if self._idle:
            due = min(connection.fresh_until for connection in self._idle)
            self._tidying = asyncio.get_running_loop().call_at(due, self._tidy)

    async def _connected(self) -> "_Connection":
        """Raises: NoConnection."""
        loop = asyncio.get_running_loop()

        def made() -> _Connection:
            return _Connection(loop, self._silent_seconds, when_lost=self._forget)

        try:
            async with asyncio.timeout(self._connect_seconds):
                if isinstance(self._where, tuple):
                    _, connection = await loop.create_connection(made, *self._where)
                else:
                    _, connection = await loop.create_unix_connection(made, str(self._where))
        except TimeoutError as error:
            raise NoConnectionInTime("no connection in time") from error
        except OSError as error:
            raise NoConnection(type(error).__name__) from error
        if self._closed:
            connection.end()
            raise NoConnection("it was closed meanwhile")
        self._open.add(connection)
        return connection

    def _forget(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def aclose(self) -> None:
        """What is under way breaks off, also a connection that is being made."""
        self._closed = True
        if self._tidying is not None:
            self._tidying.cancel()
        for connection in tuple(self._open):
            connection.end()


def _line(name: str, value: str) -> bytes:
    if not name.isascii() or any(sign in name + value for sign in "\r\n\0"):
        raise ValueError(f"{name!r} can not be a header")
    return f"{name}: {value}\r\n".encode("latin-1")


class _Connection(asyncio.Protocol):
    """One reply after the other, each asked for when the one before has ended.

    when_lost: is called with the connection when it has ended.
    Who waits is woken by each piece that comes, and looks itself whether it is what it waits for.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, silent_seconds: float, when_lost: Callable[["_Connection"], None]
    ) -> None:
        self._loop, self._silent_seconds, self._when_lost = loop, silent_seconds, when_lost
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._waits_since = self._ended_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._busy = self._paused = False
        self._transport: Any = None
        self._begin()

    def _begin(self) -> None:
        self.status, self.headers = 0, dict[str, str]()
        self._parts, self._held = list[bytes](), 0
        self._wire = self._body = 0
        self._error: Broken | None = None
        self._ended = self._reusable = self._until_closed = False

    async def ask(self, head: bytes, body: bytes) -> None:
        """Returns once the reply's headers are here. Raises: Broken."""
        self._begin()
        self._busy = True
        self._alarm = self._loop.call_later(self._silent_seconds, self._look)
        if len(body) <= JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        while not self.status:
            await self._something()

    async def more(self) -> bytes:
        """What has come of the body, empty at its end. Raises: Broken."""
        while not self._parts:
            if self._ended:
                return b""
            await self._something()
        parts, self._parts, self._held = self._parts, [], 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def leave(self) -> bool:
        """Whether it can serve again; else it is closed, which stops the work on a reply that has not ended.

        A reply may end before all of its request is sent, as one that says that the request is too large.
        """
        self._busy = False
        if self._alarm is not None:
            self._alarm.cancel()
        can_serve = self._ended and self._reusable and not self._parts and not self._transport.is_closing()
        if not can_serve or self._transport.get_write_buffer_size():
            self._transport.abort()
            return False
        return True

    @property
    def fresh_until(self) -> float:
        """On the loop's clock: the server may count from the last byte that it sent."""
        return self._ended_at + KEEP_SECONDS

    @property
    def is_fresh(self) -> bool:
        return self._loop.time() < self.fresh_until and not self._transport.is_closing()

    def end(self) -> None:
        self._fail(Broken("it was closed"))

    async def _something(self) -> None:
        """Waits for whatever comes. Raises: Broken."""
        if self._error is not None:
            raise self._error
        self._waiter, self._waits_since = self._loop.create_future(), self._loop.time()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look(self) -> None:
        """Whether who waits has done so for too long."""
        now = self._loop.time()
        due = (now if self._waiter is None else self._waits_since) + self._silent_seconds
        if due <= now:
            self._fail(TimedOut("nothing came for too long"))
        else:
            self._alarm = self._loop.call_at(due, self._look)

    def _fail(self, error: Broken) -> None:
        self._reusable = False
        if not self._ended:
            self._error = self._error or error
        self._transport.abort()
        self._tell()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self._transport.abort()
            return
        self._wire += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Broken(type(error).__name__))
        if self._wire - self._body > HEAD_BYTES + WRAPPING * self._body:
            self._fail(TooMuch("its headers, or what is around its chunks, are over the limit"))
        elif self._held > BUFFER_BYTES and not self._paused and not self._ended:
            self._paused = True
            self._transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        """There will be no more of a reply, though the rest of the request could still be sent."""
        self._ended = self._ended or (self._until_closed and self._error is None)
        self._fail(Broken("it ended too early"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._when_lost(self)
        self._fail(Broken("it ended too early" if exc is None else type(exc).__name__))

    def on_message_begin(self) -> None:
        """Of a second reply to one request nothing is heard, and the connection serves no more."""
        self._reusable = not self._ended
        self.headers = self.headers if self._ended else {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:
            known, said = name.decode("latin-1").lower(), value.decode("latin-1")
            self.headers[known] = f"{self.headers[known]}, {said}" if known in self.headers else said

    def on_headers_complete(self) -> None:
        """RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final"."""
        if self._ended or (code := self._parser.get_status_code()) < 200:
            return
        self.status = code
        chunked = self.headers.get("transfer-encoding", "").rpartition(",")[2].strip().lower() == "chunked"
        self._until_closed = not chunked and "content-length" not in self.headers
        self._reusable = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self._ended:
            self._parts.append(body)
            self._held += len(body)
            self._body += len(body)

    def on_message_complete(self) -> None:
        self._ended = self._ended or bool(self.status)
        self._ended_at = self._loop.time()
