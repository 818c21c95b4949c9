"""A TCP proxy that breaks connections, by a seed: what happens to connection number N is always the same.

It knows no HTTP: it drops, resets, half-closes, stalls, delays, and splits what passes at any byte.
"""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from firstpass.mock.server import reset

End = Literal["whole", "refused", "dropped", "reset", "half-closed", "stalled"]
FAULTS: tuple[End, ...] = ("refused", "dropped", "reset", "half-closed", "stalled")
READ_BYTES = 64 * 2**10
MOST_PAUSES = 20
"""Of one connection: a thousand pieces are split without a pause for each."""


@dataclass(frozen=True, slots=True)
class Fate:
    """after_bytes: of the answers on this connection, before it ends so. splits: whether pieces are cut at random."""

    end: End
    after_bytes: int
    splits: bool
    pause_seconds: float


WHOLE = Fate("whole", 0, splits=False, pause_seconds=0.0)


def fate(seed: int, number: int) -> Fate:
    """Every connection breaks in the end: those that did not would be all that a client keeps."""
    rng = random.Random(f"{seed}:{number}")
    end = rng.choice(FAULTS)
    after = rng.choice([0, rng.randrange(200), rng.randrange(2000), rng.randrange(20_000)])
    return Fate(end, after, rng.random() < 0.5, rng.choice([0.0, 0.0, 0.001, 0.01]))


class Proxy:
    """happened: how many connections broke in which way. open: those that there are now.

    first_whole: so many connections never break: a front asks on them whether anyone is there.
    """

    def __init__(self, port: int, seed: int, first_whole: int = 0) -> None:
        self._port = port
        self._seed = seed
        self._first_whole = first_whole
        self._number = 0
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.happened: Counter[End] = Counter()

    @property
    def open(self) -> int:
        return len(self._tasks)

    async def start(self) -> int:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._number = self._number, self._number + 1
        meant = fate(self._seed, number) if number >= self._first_whole else WHOLE
        task = asyncio.current_task()
        assert task is not None, "asyncio serves each connection in a task"
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):  # Python 3.11 logs a connection's task that is cancelled
                await self._carry(reader, writer, meant)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: Fate) -> None:
        """One side's leaving ends both, but where the answers alone have ended."""
        if fate.end == "refused":
            self.happened[fate.end] += 1
            reset(writer)
            return
        answers, asking = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.ensure_future(_copied(reader, asking))
        down = asyncio.ensure_future(self._down(answers, writer, fate))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if fate.end == "half-closed" and down.done():
                await up
        finally:
            for one in (up, down):
                one.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            asking.close()

    async def _down(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: Fate) -> None:
        """What the server says, until the fault comes or there is no more."""
        left, rng, pauses = fate.after_bytes, random.Random(fate.after_bytes), MOST_PAUSES
        while data := await answers.read(READ_BYTES):
            if fate.end != "whole" and len(data) > left:
                writer.write(data[:left])
                await self._break(writer, fate.end)
                return
            left -= len(data)
            for piece in _pieces(data, rng) if fate.splits else (data,):
                writer.write(piece)
                await writer.drain()
                if fate.pause_seconds and pauses:
                    pauses -= 1
                    await asyncio.sleep(fate.pause_seconds)

    async def _break(self, writer: asyncio.StreamWriter, end: End) -> None:
        self.happened[end] += 1
        if end == "reset":
            reset(writer)
        elif end == "half-closed":
            writer.write_eof()
        elif end == "stalled":
            await asyncio.Event().wait()


def _pieces(data: bytes, rng: random.Random) -> Iterator[bytes]:
    while data:
        size = rng.choice([1, 2, 3, rng.randint(1, 300), len(data)])
        yield data[:size]
        data = data[size:]


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until its sender ends it."""
    with suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()


@contextmanager
def in_a_thread(server: Any) -> Iterator[int]:
    """Something with `start` and `close`, such as a Proxy or a MockServer, on a loop of its own; gives its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
