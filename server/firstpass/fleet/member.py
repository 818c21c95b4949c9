"""What a model is to a fleet: what it takes, how it is kept, and how it is now. It decides nothing."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from firstpass.errors import FirstpassError


class Asleep(Protocol):
    """What one that sleeps has left."""

    @property
    def freed_bytes(self) -> int:
        """Of what it takes when it is loaded; the rest it keeps."""
        ...

    @property
    def main_bytes(self) -> int:
        """Of the main memory, for what waits there meanwhile."""
        ...


class Loadable(Protocol):
    """An engine, as far as it matters here."""

    async def ensure_ready(self) -> object:
        """Raises: FirstpassError."""
        ...

    @property
    def asleep(self) -> Asleep | None:
        """While it sleeps, as it may after `unload`."""
        ...

    async def unload(self) -> None:
        """Returns when it has left the memory, or sleeps. One that slept before has left it then."""
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


Place = Literal["available", "loading", "loaded", "sleeping", "unloading"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A model as it is now. bytes: what it takes when it is loaded, or is expected to. users: of requests that it works
    on, how many. kept: while it sleeps, what it keeps of each memory, in bytes.
    """

    name: str
    place: Place
    bytes: int
    users: int
    waiting: int
    pinned: bool
    idle_seconds: float | None
    kept: Mapping[Memory, int] = field(default_factory=dict)


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

    @property
    def kept(self) -> Mapping[Memory, int]:
        """See `Shown`."""
        if self.place != "sleeping" or (asleep := self.berth.engine.asleep) is None:
            return {}
        kept = max(0, self.bytes - asleep.freed_bytes)
        if self.berth.memory == "main":
            return {"main": kept + asleep.main_bytes}
        return {self.berth.memory: kept, "main": asleep.main_bytes}
