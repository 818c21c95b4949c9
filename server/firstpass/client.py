"""HTTP requests to one server: no redirects, no proxies or keys of the environment, no compression, bounded bytes.

It knows no model, no dialect and no policy. aiohttp does the protocol; what it raises does not leave this module.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path

import aiohttp
import certifi
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

KEEP_SECONDS = 4.0
"""How long an idle connection is kept: less than the 5 s after which uvicorn closes it, which a request could meet."""

BUFFER_BYTES = 64 * 2**10
"""Of a reply that nobody reads at the moment, half of what is buffered; then the server has to wait."""

OK = 200


class Broken(Exception):
    """There is no whole reply."""


class NoConnection(Broken):
    """Nothing was sent."""


class TimedOut(Broken):
    """Nothing came for too long."""


class NoConnectionInTime(NoConnection, TimedOut):
    pass


class TooMuch(Broken):
    """The reply has more bytes than anybody wants, or a form that could hide how many it has."""


class Response:
    """A reply whose headers are here. Leaving it before its end closes its connection.

    headers: found by their names in lower case. more: the next piece of the body, empty at its end.
    heard: is called for every piece of the body that comes.
    """

    def __init__(self, status: int, headers: Mapping[str, str], more: Callable[[], Awaitable[bytes]]) -> None:
        self._more = more
        self.status = status
        self.headers = headers
        self.heard: Callable[[], None] = lambda: None

    @property
    def is_error(self) -> bool:
        return self.status >= 400

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises: Broken."""
        parts = [part async for part in self.parts(limit_bytes)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def begin(self, limit_bytes: int, seconds: float) -> bytes:
        """As much of the body as fits and is here in time. Raises: Broken."""
        parts = list[bytes]()
        with suppress(TooMuch, TimeoutError):
            async with asyncio.timeout(seconds):
                async for part in self.parts(limit_bytes):
                    parts.append(part)
        return b"".join(parts)

    async def parts(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """The body as it comes. Raises: Broken, TooMuch past the limit or where it is compressed."""
        encoding = self.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in ("identity", ""):
            raise TooMuch(f"the reply is compressed ({encoding[:20]}), which was not asked for")
        size = 0
        while part := await self._more():
            self.heard()
            size += len(part)
            if size > limit_bytes:
                raise TooMuch(f"the reply is over the limit of {limit_bytes} bytes")
            yield part


class Client:
    """Connections to one server, kept and used again.

    base_url: with the path prefix of all requests. uds: a Unix socket in the place of the URL's host.
    silent_seconds: how long a reply may bring nothing, its first byte included.
    """

    def __init__(
        self,
        base_url: str,
        *,
        silent_seconds: float,
        connect_seconds: float,
        uds: Path | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.base = URL(f"{base_url.rstrip('/')}/")
        self.path = self.base.path.rstrip("/")
        self._uds = uds
        self._headers = {"accept-encoding": "identity", "user-agent": "firstpass"} | dict(headers or {})
        self._silent_seconds = silent_seconds
        self._timeout = aiohttp.ClientTimeout(connect=connect_seconds, sock_read=silent_seconds)
        self._tls = _certificates() if self.base.scheme == "https" else None
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def get(self, path: str) -> AbstractAsyncContextManager[Response]:
        """path: as in `post`. Raises: Broken."""
        return self.post(path, b"", method="GET")

    @asynccontextmanager
    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> AsyncIterator[Response]:
        """path: below the base, or from the server's root where it begins with `/`. body: JSON. Raises: Broken."""
        if self._closed:
            raise NoConnection("it was closed for a newer one")
        session, sent = self._session or self._open(), {"content-type": "application/json", **(headers or {})}
        with _told():
            # aiohttp warns of bytes that are larger, and sends a file in pieces.
            data = body if len(body) < 2**20 else io.BytesIO(body)
            raw = await session.request(method, self._url(path), data=data, headers=sent, allow_redirects=False)

        async def more() -> bytes:
            with _told():
                async with asyncio.timeout(self._silent_seconds):  # aiohttp's own is lost where a chunk is malformed
                    return await raw.content.readany()

        try:
            yield Response(raw.status, raw.headers, more)
        finally:
            raw.close() if not raw.content.at_eof() else raw.release()

    def _url(self, path: str) -> URL:
        if path not in self._urls:
            self._urls[path] = self.base.join(URL(path))
        return self._urls[path]

    def _open(self) -> aiohttp.ClientSession:
        """Made where it is used: a session belongs to the event loop that it was made in."""
        self._session = aiohttp.ClientSession(
            connector=self._connector(),
            headers=self._headers,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=BUFFER_BYTES,
        )
        return self._session

    def _connector(self) -> aiohttp.BaseConnector:
        if self._uds is not None:
            return aiohttp.UnixConnector(str(self._uds), limit=0, keepalive_timeout=KEEP_SECONDS)
        return aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS, ssl=self._tls or True)

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


@cache
def _certificates() -> ssl.SSLContext:
    """Those of certifi, whatever the environment says. Reading them takes 25 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError) as error:
        raise _ours(error) from error


def _ours(error: Exception) -> Broken:
    name = type(error).__name__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return NoConnectionInTime(name)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError):
        return NoConnection(name)
    return TimedOut(name) if isinstance(error, asyncio.TimeoutError) else Broken(name)
