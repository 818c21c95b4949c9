"""How much of large bodies there is in memory at once, from first byte to the answer's last. It knows no route."""

from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firstpass.errors import Busy, Overloaded

LIGHT_BYTES = 64 * 2**10
"""A body that is no larger is always read, so that large ones hold up no question of ordinary size."""

KEY_SHARE = 1 / 2
"""Of the limit, as much as one key may have."""

RETRY_SECONDS = 1


class Weighing:
    """limit_bytes: of all bodies together. What is over it, or over its key's share, is refused while it is read.

    But for light ones. Stands behind what finds out whose the request is.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit = limit_bytes
        self._there = Counter[str | None]()
        self._total = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        weight = 0
        key: str | None = scope.get("state", {}).get("key")

        async def weighed() -> Message:
            nonlocal weight
            message = await receive()
            if size := len(message.get("body", b"")):
                weight += size
                self._add(key, size)
                if weight > LIGHT_BYTES:
                    self._check(key)
            return message

        try:
            await self._app(scope, weighed, send)
        finally:
            self._add(key, -weight)

    def _add(self, key: str | None, size: int) -> None:
        self._total += size
        self._there[key] += size
        if not self._there[key]:
            del self._there[key]

    def _check(self, key: str | None) -> None:
        """Raises: Busy, Overloaded."""
        own = self._there[key]
        if own > (self._limit if key is None else self._limit * KEY_SHARE):
            text = f"{own} bytes of your bodies are being worked on, and this one finds no room"
            raise Busy(text, retry_after_seconds=RETRY_SECONDS)
        if self._total > self._limit:
            text = f"{self._total} bytes of bodies are being worked on, and this one finds no room"
            raise Overloaded(text, retry_after_seconds=RETRY_SECONDS)
