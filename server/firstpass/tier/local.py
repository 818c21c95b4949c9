"""The door to a model on this machine: a Unix socket or a loopback port. Nothing leaves by it: it asks no policy."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from firstpass.engine import Endpoint, Engine
from firstpass.exchange import Ask, Receipt

CONNECT_SECONDS = 5.0


class LocalDoor:
    """Opens when the engine is ready, and again on the engine's new endpoint after a restart.

    reply_seconds: how long a reply may stay silent, the wait for its first byte included.
    """

    def __init__(self, engine: Engine, reply_seconds: float) -> None:
        self._engine = engine
        self._timeout = httpx.Timeout(reply_seconds, connect=CONNECT_SECONDS)
        self._endpoint: Endpoint | None = None
        self._client: httpx.AsyncClient | None = None

    async def model(self) -> str:
        return (await self._engine.ensure_ready()).model

    @property
    def gives_logprobs(self) -> bool:
        return self._engine.gives_logprobs

    @asynccontextmanager
    async def post(
        self, ask: Ask, path: str, body: bytes, sent: Callable[[Receipt], None]
    ) -> AsyncIterator[httpx.Response]:
        client = await self._current_client()
        headers = {"content-type": "application/json"}
        async with client.stream("POST", path, content=body, headers=headers) as response:
            yield response

    async def _current_client(self) -> httpx.AsyncClient:
        endpoint = await self._engine.ensure_ready()
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
