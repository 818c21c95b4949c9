"""The event loop, with an end to handshakes: a connection is told of when it is ready for a request, and not before."""

from asyncio import AbstractServer
from ssl import SSLContext
from typing import Any

import uvloop

HANDSHAKE_SECONDS = 10.0
"""For the first one and for the last words. Without it, a minute and half of one."""


class PromptLoop(uvloop.Loop):
    async def create_server(  # type: ignore[override]
        self, *arguments: Any, ssl: SSLContext | None = None, **named: Any
    ) -> AbstractServer:
        if ssl is not None:
            named |= {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": HANDSHAKE_SECONDS}
        return await super().create_server(*arguments, ssl=ssl, **named)
