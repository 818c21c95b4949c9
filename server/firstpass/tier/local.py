"""The door to a model on this machine: a Unix socket or a loopback port. Nothing leaves by it: it asks no policy."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from firstpass import client, plain
from firstpass.chat import Abilities
from firstpass.client import Response
from firstpass.engine import Endpoint, Engine
from firstpass.exchange import Ask, Receipt
from firstpass.redaction import Placeholders

CONNECT_SECONDS = 5.0

Client = client.Client | plain.Client

ALONE = {"connection": "close"}
"""llama.cpp's server closes a connection after a stream without a word: none is used twice."""

ASIDE_BYTES = 16 * 2**20
"""Of the answer to a question aside: a tokenizer names every token."""


class LocalDoor:
    """Opens when the engine is ready, and again on the engine's new endpoint after a restart.

    reply_seconds: how long a reply may stay silent, the wait for its first byte included. vllm, thinks, leaves_out,
    llama: see Abilities. onward: further headers of each request, which no other door sends.
    """

    def __init__(
        self,
        engine: Engine,
        reply_seconds: float,
        *,
        vllm: bool = False,
        thinks: bool = False,
        leaves_out: frozenset[str] = frozenset(),
        llama: bool = False,
        onward: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._engine = engine
        self._vllm = vllm
        self._thinks = thinks
        self._leaves_out = leaves_out
        self._llama = llama
        self._alone = ALONE if llama else {}
        self._onward = onward
        self._reply_seconds = reply_seconds
        self._endpoint: Endpoint | None = None
        self._client: Client | None = None

    async def model(self) -> str:
        return (await self._engine.ensure_ready()).model

    @property
    def able(self) -> Abilities:
        warmed = self._engine.warmed
        return Abilities(warmed.logprobs, self._vllm, self._thinks, self._leaves_out, warmed.chats, self._llama)

    @asynccontextmanager
    async def post(
        self,
        ask: Ask,
        path: str,
        body: bytes,
        sent: Callable[[Receipt, Placeholders], None],
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Response]:
        if further := dict(self._onward()) | self._alone:
            headers = {**(headers or {}), **further}
        async with self._engine.at_work(body, ask.key) as work:
            wire = await self._client_for(work.endpoint)
            async with wire.post(path, body, headers) as response:
                if response.status < 500:
                    work.alive()
                    response.heard = work.heard
                yield response

    async def aside(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and body of what the server offers outside of its API's prefix. Raises: client.Broken."""
        wire = await self._client_for(await self._engine.ensure_ready())
        async with wire.post(f"{wire.path.removesuffix('/v1')}/{path}", body, self._alone) as response:
            return response.status, await response.read(ASIDE_BYTES)

    async def _client_for(self, endpoint: Endpoint) -> Client:
        if self._client is not None and endpoint == self._endpoint:
            return self._client
        made = _kind(endpoint.base_url)(
            endpoint.base_url, uds=endpoint.uds, silent_seconds=self._reply_seconds, connect_seconds=CONNECT_SECONDS
        )
        # Both at once, before any await: two callers after a restart must not build two.
        old, self._client, self._endpoint = self._client, made, endpoint
        if old is not None:
            await old.aclose()
        return made

    async def aclose(self) -> None:
        if self._client is not None:
            last, self._client = self._client, None
            await last.aclose()


def _kind(base_url: str) -> type[Client]:
    """What is cheaper, where there is no TLS and no password."""
    return plain.Client if base_url.startswith("http:") and "@" not in base_url else client.Client
