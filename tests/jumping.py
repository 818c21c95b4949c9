"""A loop whose clock jumps to what it waits for: hours pass in no time, and in the same way on every machine."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class Jumping(selectors.DefaultSelector):
    """Where nothing is there to be read or written, it says that it has waited as long as it should."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> "list[tuple[selectors.SelectorKey, int]]":
        ready = super().select(0)
        if not ready:
            self.now += timeout or 0.0
        return ready


def passed(work: Callable[[Callable[[], float]], Coroutine[Any, Any, None]]) -> None:
    """Runs work(clock) on a loop whose time is the clock's.

    Its sockets must be to itself, and it must use no threads: their time passes unseen.
    """
    jumping = Jumping()
    loop = asyncio.SelectorEventLoop(jumping)
    loop.time = lambda: jumping.now  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work(loop.time))
