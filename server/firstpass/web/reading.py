"""Where a body is read: a small one at once, a large one off the event loop, which others need. Knows no dialect."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from firstpass.errors import Busy, Overloaded

INLINE_BYTES = 64 * 2**10
"""What is not longer takes a few milliseconds at most, whatever is in it."""

WAITING_LIMIT = 32
"""Large bodies that are read or wait for it; each is held in memory."""

KEY_LIMIT = WAITING_LIMIT // 2
"""Of those, as many as one key may have."""

RETRY_SECONDS = 2

SWITCH_SECONDS = 0.0005
"""How long a thread that reads keeps the interpreter while the event loop wants it; Python's own is ten times that.
An event waited 0.8 ms beside such a thread, and 13 to 26 ms with Python's (p50, two busy cores)."""

T = TypeVar("T")


class Reading:
    """One large body at a time: more threads would only take the interpreter from the event loop."""

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._pool = ThreadPoolExecutor(1, "bodies")
        self._there = Counter[str | None]()

    async def read(self, raw: bytes, key: str | None, work: Callable[..., T], /, *args: Any) -> T:
        """What work(*args) gives, which reads the body or goes on with what was read.

        key: the id of the caller's API key, if it has one. Raises: Busy, Overloaded, and as `work`.
        """
        if len(raw) <= INLINE_BYTES:
            return work(*args)
        if self._there[key] >= (WAITING_LIMIT if key is None else KEY_LIMIT):
            text = f"{self._there[key]} of your large bodies are being read, which is the limit"
            raise Busy(text, retry_after_seconds=RETRY_SECONDS)
        if self._there.total() >= WAITING_LIMIT:
            text = f"{self._there.total()} large bodies are being read, which is the limit"
            raise Overloaded(text, retry_after_seconds=RETRY_SECONDS)
        self._there[key] += 1
        begun = self._pool.submit(work, *args)
        loop = asyncio.get_running_loop()
        # It also ends where its caller left; then it no longer holds a place.
        begun.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave, key))
        return await asyncio.wrap_future(begun)

    def _leave(self, key: str | None) -> None:
        self._there[key] -= 1
        if not self._there[key]:
            del self._there[key]
