"""How much of large bodies there is in memory at once, from first byte to the answer's last. It knows no route."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firstpass.errors import Overloaded

LIGHT_BYTES = 64 * 2**10
"""A body that is no larger is always read, so that large ones hold up no question of ordinary size."""

RETRY_SECONDS = 1


class Weighing:
    """limit_bytes: of all bodies together. What is over it, and not light itself, is refused while it is read."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit = limit_bytes
        self._total = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        weight = 0

        async def weighed() -> Message:
            nonlocal weight
            message = await receive()
            size = len(message.get("body", b""))
            weight += size
            self._total += size
            if size and weight > LIGHT_BYTES and self._total > self._limit:
                text = f"{self._total} bytes of bodies are being worked on, and this one finds no room"
                raise Overloaded(text, retry_after_seconds=RETRY_SECONDS)
            return message

        try:
            await self._app(scope, weighed, send)
        finally:
            self._total -= weight
