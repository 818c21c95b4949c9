"""The end of a server: what runs may end by itself for a while, and nothing new begins. It knows no signal."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firstpass.errors import STOPPED, Stopping
from firstpass.web.envelope import refusal

log = logging.getLogger(__name__)

STILL_ANSWERED = frozenset({"/healthz", "/metrics"})
"""It lives, and can be watched; it is not ready any more."""

RECORD_SECONDS = 15.0
"""For what was stopped to be recorded. SQLite waits 10 s for another process."""

LOOK_SECONDS = 0.1
RETRY_SECONDS = 5


class Draining:
    """An ASGI application around another, which knows what runs in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: set[asyncio.Task[Any]] = set()
        self._ending = self._stopped = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._ending and scope["path"] not in STILL_ANSWERED:
            await _refuse(scope, receive, send)
        else:
            await self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        task, begun = asyncio.current_task(), False
        assert task is not None, "requests are run by the event loop"

        def sending(message: Message) -> Awaitable[None]:
            nonlocal begun
            begun = True
            return send(message)

        self._running.add(task)
        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if begun or not self._stopped:
                raise
            await _refuse(scope, receive, send)
        finally:
            self._running.discard(task)

    async def end(self, seconds: float, hurried: Callable[[], bool]) -> None:
        """From now on nothing new is answered. Returns once all that runs has ended, or was stopped and recorded.

        seconds: for what runs. hurried: whether it shall be stopped at once, which is asked again and again.
        """
        self._ending = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        if self._running:
            log.info("%d requests have %g s to end, and new ones are refused", len(self._running), seconds)
        while self._running and loop.time() < deadline and not hurried():
            await asyncio.wait(self._running, timeout=LOOK_SECONDS)
        if self._running:
            await self._stop()

    async def _stop(self) -> None:
        self._stopped = True
        log.warning("%d requests are stopped in the middle", len(self._running))
        for task in self._running:
            task.cancel(STOPPED)
        await asyncio.wait(self._running, timeout=RECORD_SECONDS)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    response = refusal(scope, Stopping(STOPPED, retry_after_seconds=RETRY_SECONDS).failure)
    response.headers["connection"] = "close"
    await response(scope, receive, send)
