"""The only door out of the machine: the ceiling is checked again, secrets are replaced, the record is written, then the
bytes go.

It knows no contract and no dialect: bytes in, a response out. `client` speaks HTTP for this door and for what looks
whether an engine is there; the door to an engine on this machine has `plain` beside it. Nobody else makes one. Inside
this package `hub` also opens a socket outward; it fetches models and carries no prompt.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Protocol

from firstpass.chat import Abilities
from firstpass.client import Client, NoConnection, Response
from firstpass.egress.hiding import Hiding
from firstpass.errors import Forbidden, StoreFailed
from firstpass.exchange import Ask, Receipt
from firstpass.redaction import Placeholders, Redactor

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0

REDACTING = ThreadPoolExecutor(1, "redacting")

Recorder = Callable[[str, Receipt], Awaitable[Receipt]]
"""Writes durably that the exchange with this id is about to send what the receipt says; gives its place in the log."""


class Purse(Protocol):
    """What callers may spend at this endpoint."""

    async def reserve(self, ask: Ask, size_bytes: int) -> None:
        """Raises: FirstpassError where it may not be spent, or that could not be written; then nothing is sent."""
        ...

    async def release(self, ask: Ask) -> None:
        """The last that was reserved for the ask cost nothing."""
        ...


class EgressDoor:
    """The way to one verifier endpoint.

    base_url: with its path prefix, such as https://host/v1. headers: sent with every request, its key among them.
    hosted: whether it is off this machine; a second local engine on loopback is not, and leaves no receipt.
    reply_seconds: how long a reply may stay silent, the wait for its first byte included.
    redactor: finds what does not leave under the ceiling `redacted`.
    purse: who pays; None where nobody counts.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        headers: Mapping[str, str],
        *,
        hosted: bool,
        reply_seconds: float,
        record: Recorder,
        redactor: Redactor,
        purse: Purse | None = None,
    ) -> None:
        self._model = model
        self.hosted = hosted
        self._record = record
        self.redactor = redactor
        self._purse = purse
        # It follows no redirect and no proxy of the environment, which could carry the text to a host nobody allowed.
        self._client = Client(base_url, headers=headers, silent_seconds=reply_seconds, connect_seconds=CONNECT_SECONDS)

    async def model(self) -> str:
        return self._model

    @property
    def able(self) -> Abilities:
        return Abilities()

    @asynccontextmanager
    async def post(
        self,
        ask: Ask,
        path: str,
        body: bytes,
        sent: Callable[[Receipt, Placeholders], None],
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Response]:
        headers = headers or {}
        if self._purse:
            await self._purse.reserve(ask, len(body))
        try:
            if self.hosted:
                body, hidden = await self._fit(ask, body, headers)
                sent(await self._clear(ask, path, body, hidden), hidden)
        except BaseException:  # a caller who leaves among them: nothing has gone yet
            await asyncio.shield(self._release(ask))
            raise
        try:
            async with self._client.post(path, body, headers) as response:
                if response.is_error:
                    await self._release(ask)
                yield response
        except NoConnection:
            await self._release(ask)
            raise

    async def _release(self, ask: Ask) -> None:
        """What could not be given back stays spent; why it is given back is what the caller must hear."""
        try:
            if self._purse:
                await self._purse.release(ask)
        except StoreFailed as error:
            log.error("a reservation was not given back: %s", error)

    async def _fit(self, ask: Ask, body: bytes, headers: Mapping[str, str]) -> tuple[bytes, Placeholders]:
        """The body as it may leave under the ask's ceiling, and what was hidden for that.

        Raises: Forbidden under local-only, and where something can't be hidden.
        """
        hidden = Placeholders()
        if ask.ceiling == "any":
            return body, hidden
        if ask.ceiling != "redacted":
            message = f"the egress ceiling of this request is {ask.ceiling}"
            raise Forbidden(message, part="egress", param="firstpass.egress", code="egress_forbidden")
        if any(message.images for message in ask.messages):
            message = "the egress ceiling of this request is redacted, and images can't be"
            raise Forbidden(message, part="egress", param="firstpass.egress", code="egress_forbidden")
        hiding = Hiding(self.redactor, hidden)
        return await asyncio.get_running_loop().run_in_executor(REDACTING, hiding.request, body, headers), hidden

    async def _clear(self, ask: Ask, path: str, body: bytes, hidden: Placeholders) -> Receipt:
        """The receipt under which `body` may leave, already on the disk. Raises: StoreFailed where that can't be."""
        base = self._client.base
        receipt = Receipt(
            base.raw_host or "",
            time.time(),
            len(body),
            hashlib.sha256(body).hexdigest(),
            redacted=dict(hidden.kinds),
            path=f"{base.raw_path}{path}",
            model=self._model,
            why=ask.why,
            ceiling=ask.ceiling,
            key=ask.key,
        )
        try:
            return await self._record(ask.id, receipt)
        except StoreFailed as error:
            text, wait = "nothing was sent: its record could not be written", error.failure.retry_after_seconds
            raise type(error)(text, part="egress", retry_after_seconds=wait) from error

    async def aclose(self) -> None:
        await self._client.aclose()
