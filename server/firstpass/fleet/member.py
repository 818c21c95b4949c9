"""What a model is to a fleet: what it takes, how it is kept, and how it is now. It decides nothing."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

from firstpass.errors import FirstpassError


class Loadable(Protocol):
    """An engine, as far as it matters here."""

    async def ensure_ready(self) -> object:
        """Raises: FirstpassError."""
        ...

    async def unload(self) -> None:
        """Returns when it has left the memory."""
        ...

    async def memory_bytes(self) -> int | None:
        """What its processes take now; None where that is not known."""
        ...

    async def close(self) -> None: ...


Memory = Literal["main", "gpu"]


@dataclass(frozen=True, slots=True)
class Berth:
    """A model that may be loaded, and how it is kept.

    bytes: what it is expected to take, until that has been seen. later_bytes: of these, what it takes only when it is
    used. memory: which one it takes; that of a GPU is not looked at. pinned: it is there from the beginning to the end,
    and never waited for here. priority: the lowest goes first. idle_seconds: it goes when nobody has used it for so
    long; None: only when another needs the room.
    """

    name: str
    engine: Loadable
    bytes: int = 0
    later_bytes: int = 0
    memory: Memory = "main"
    pinned: bool = False
    priority: int = 0
    idle_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """load_seconds: how long a caller waits for a model to be loaded.

    turn_seconds: how long a model that another one waits for still lets callers in, from when it was loaded.
    rest_seconds: for how long nobody may have asked it within that time for it to go sooner.
    """

    load_seconds: float = 120.0
    turn_seconds: float = 30.0
    rest_seconds: float = 1.0


Place = Literal["available", "loading", "loaded", "unloading"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A model as it is now. bytes: what it takes, or is expected to. users: requests that it works on."""

    name: str
    place: Place
    bytes: int
    users: int
    waiting: int
    pinned: bool
    idle_seconds: float | None


class Member:
    """place: what is counted for the memory. first_bytes: what it took when it had been loaded, or is expected to.

    closed: nobody more is let in, since another one waits for its room. since: when the one that waits longest came.
    came: when it was loaded. used: when it last had a user. fault: what its last start ended with; until faulty_until
    nobody leaves for it.
    """

    def __init__(self, berth: Berth, now: float) -> None:
        self.berth = berth
        self.bytes = self.first_bytes = berth.bytes
        self.place: Place = "available"
        self.users = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.closed = False
        self.since = self.came = self.used = now
        self.load_seconds = self.faulty_until = 0.0
        self.fault: FirstpassError | None = None
