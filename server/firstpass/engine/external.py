"""An OpenAI-compatible server on this machine that somebody else runs. Starts and stops nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from firstpass.engine import probe
from firstpass.engine.spec import AtWork, Endpoint, EngineSpec, Kind, State
from firstpass.errors import BadSettings, FirstpassError, TierUnavailable

GLANCE_EVERY_SECONDS = 5.0
OLD_SECONDS = 30.0
"""No request waits for a look at what was there a moment ago: a busy server may be slow to say that it is there."""
"""Between two looks whether it is still there."""


class ExternalEngine:
    """Ready when it names its models and has answered one chat; looked at again every few seconds that it is used."""

    kind: Kind = "external"

    def __init__(self, spec: EngineSpec, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises: BadSettings for an address that is not on this machine."""
        self.name = spec.name
        self.state: State = "stopped"
        self.gives_logprobs = False
        self._spec = spec
        self._clock = clock
        self.served: str | None = spec.served_name
        self._base_url, self._uds = local_address(spec.url or "")
        self._endpoint: Endpoint | None = None
        self._seen = 0.0
        self._looking: asyncio.Task[Endpoint | FirstpassError] | None = None
        self._trouble = ""

    async def ensure_ready(self) -> Endpoint:
        """See `Engine.ensure_ready`; there is nothing to start, so it answers or it doesn't."""
        known, age = self._endpoint, self._clock() - self._seen
        if known and age < GLANCE_EVERY_SECONDS:
            return known
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._looked())
        if known and age < OLD_SECONDS:
            return known
        outcome = await asyncio.shield(self._looking)
        if isinstance(outcome, Endpoint):
            return outcome
        raise type(outcome)(str(outcome), part="draft", retry_after_seconds=outcome.failure.retry_after_seconds)

    async def _looked(self) -> Endpoint | FirstpassError:
        """One look for all who wait. An error is returned, not raised: there may be no caller left to hear it."""
        try:
            endpoint = await self._look()
        except FirstpassError as error:
            self.state, self._endpoint, self._trouble = "failed", None, str(error)
            return error
        self.state, self._endpoint, self._seen = "ready", endpoint, self._clock()
        return endpoint

    async def _look(self) -> Endpoint:
        """Raises: TierUnavailable, TierFailed."""
        model = await probe.first_model(Endpoint(self._base_url, self._uds, ""))
        endpoint = Endpoint(self._base_url, self._uds, self._spec.served_name or model)
        self.served = endpoint.model
        if endpoint != self._endpoint:
            self.gives_logprobs = await self._warm_up(endpoint)
        return endpoint

    async def _warm_up(self, endpoint: Endpoint) -> bool:
        self.state = "starting"
        try:
            return await probe.warm_up(endpoint, self._spec.start_deadline_seconds)
        except httpx.HTTPError as error:
            message = f"the external engine did not answer a chat ({type(error).__name__})"
            raise TierUnavailable(message, part="draft", retry_after_seconds=probe.RETRY_SECONDS) from error

    @property
    def trouble(self) -> str:
        return self._trouble if self.state == "failed" else ""

    @asynccontextmanager
    async def at_work(self, body: bytes, key: str | None) -> AsyncIterator[AtWork]:
        """Nothing is known of its deaths, and nobody here can end or start it."""
        yield AtWork(await self.ensure_ready(), lambda: None, lambda: None)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self.state, self._endpoint = "stopped", None


def local_address(url: str) -> tuple[str, Path | None]:
    """The base URL with its `/v1`, and the socket of a `unix:/path`. Raises: BadSettings."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return "http://engine/v1", Path(parts.path)
    if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
        raise BadSettings(f"engine.url: {url!r} is neither http(s) on loopback nor unix:/path")
    base = url.rstrip("/")
    return (base if parts.path.strip("/") else f"{base}/v1"), None


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
