"""The door to a model on this machine: a Unix socket or a loopback port. Nothing leaves by it: it asks no policy."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache

import httpx

from firstpass.chat import Abilities
from firstpass.engine import Endpoint, Engine
from firstpass.exchange import Ask, Receipt
from firstpass.redaction import Placeholders

CONNECT_SECONDS = 5.0


@lru_cache
def _below(base: httpx.URL, path: str) -> httpx.URL:
    """Made once of a client's own base: it would parse the two again for every request."""
    return httpx.URL(f"{base}{path}")


class Heard(httpx.AsyncByteStream):
    """A reply's bytes as they come; the engine hears of each piece that it said something."""

    def __init__(self, stream: httpx.AsyncByteStream | httpx.SyncByteStream, heard: Callable[[], None]) -> None:
        assert isinstance(stream, httpx.AsyncByteStream), "an asynchronous client gives no other"
        self._stream = stream
        self._heard = heard

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._heard()
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class LocalDoor:
    """Opens when the engine is ready, and again on the engine's new endpoint after a restart.

    reply_seconds: how long a reply may stay silent, the wait for its first byte included. vllm, thinks, leaves_out: see
    Abilities.
    """

    def __init__(
        self,
        engine: Engine,
        reply_seconds: float,
        *,
        vllm: bool = False,
        thinks: bool = False,
        leaves_out: frozenset[str] = frozenset(),
    ) -> None:
        self._engine = engine
        self._vllm = vllm
        self._thinks = thinks
        self._leaves_out = leaves_out
        self._timeout = httpx.Timeout(reply_seconds, connect=CONNECT_SECONDS)
        self._endpoint: Endpoint | None = None
        self._client: httpx.AsyncClient | None = None

    async def model(self) -> str:
        return (await self._engine.ensure_ready()).model

    @property
    def able(self) -> Abilities:
        return Abilities(self._engine.gives_logprobs, self._vllm, self._thinks, self._leaves_out)

    @asynccontextmanager
    async def post(
        self,
        ask: Ask,
        path: str,
        body: bytes,
        sent: Callable[[Receipt, Placeholders], None],
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        headers = {"content-type": "application/json", **(headers or {})}
        async with self._engine.at_work(body, ask.key) as work:
            client = await self._client_for(work.endpoint)
            async with client.stream("POST", _below(client.base_url, path), content=body, headers=headers) as response:
                if not response.is_server_error:
                    work.heard()
                    response.stream = Heard(response.stream, work.heard)
                yield response

    async def aside(self, path: str, body: bytes) -> httpx.Response:
        """What the server offers outside of its API's prefix. Raises: httpx.HTTPError on the wire."""
        client = await self._client_for(await self._engine.ensure_ready())
        root = str(client.base_url).rstrip("/").removesuffix("/v1")
        return await client.post(f"{root}/{path}", content=body, headers={"content-type": "application/json"})

    async def _client_for(self, endpoint: Endpoint) -> httpx.AsyncClient:
        if self._client is not None and endpoint == self._endpoint:
            return self._client
        uds = str(endpoint.uds) if endpoint.uds else None
        transport = httpx.AsyncHTTPTransport(uds=uds, limits=httpx.Limits(max_connections=None))
        client = httpx.AsyncClient(
            transport=transport, base_url=endpoint.base_url, timeout=self._timeout, trust_env=False
        )
        # Both at once, before any await: two callers after a restart must not build two.
        old, self._client, self._endpoint = self._client, client, endpoint
        if old is not None:
            await old.aclose()
        return client

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()
