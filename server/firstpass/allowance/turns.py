"""Who has a tier's next free place, who waits for one, and who is sent away. It knows no HTTP, no tier and no key.

A place that comes free goes to the share that has the fewest, so that a thousand requests of one caller hold up no
other's one. Of the waiting room a share may fill as much as it leaves free, so that nobody has to give way.
"""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from firstpass.errors import Busy, FirstpassError, Overloaded, Part

Share = str | None
"""The owner of a key; None for all callers without one together."""

ROUNDS = 2
"""The usual time of a turn is that of about so many turns at every place: of those that ended last, most were short."""

LEAST_MARGIN, MOST_MARGIN = 2.0, 16.0
"""So many times what is expected a wait may take: who is let in to be refused later was held up for nothing.

Who would be the only one to wait is tried at the least: without any to learn from, the margin of one stall would stay.
"""

WIDENED, NARROWED = 1.2, 0.998
"""What becomes of the margin by each that waited in vain, and by each that did not: of a hundred, about one does."""

LONGEST_RETRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Bounds:
    """kept: of the places, those that only a share without any may have. waiting_seconds: for one that waits."""

    places: int
    waiting: int
    waiting_seconds: float
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    share: Share
    since: float


class Turns:
    """part: whose places they are, in errors."""

    def __init__(self, part: Part, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._part = part
        self._bounds = bounds
        self._clock = clock
        self._held: Counter[Share] = Counter()
        self._queues: dict[Share, deque[asyncio.Future[None]]] = {}
        self._usual_seconds = 0.0
        self._ended = 0
        self._margin = LEAST_MARGIN

    def why_not(self, share: Share, patience_seconds: float | None) -> FirstpassError | None:
        """What one more would be told at once; None where it would get a place, or would be let in to wait."""
        if self._is_free_for(share):
            return None
        fits = self._waiting_of(share) < self._bounds.waiting - self.waiting()
        margin = self._margin if self._queues else LEAST_MARGIN
        if fits and self._expected_seconds(share) * margin <= self._patience(patience_seconds):
            return None
        return self._busy_or_overloaded(share)

    async def take(self, share: Share, patience_seconds: float | None = None) -> Place:
        """A place, to be left when it is no longer needed.

        patience_seconds: how long the caller itself would wait.
        Raises: Busy where there is none because of the share's own requests, Overloaded where it is the others'.
        """
        if (error := self.why_not(share, patience_seconds)) is not None:
            raise error
        if not self._is_free_for(share):
            await self._wait(share, self._patience(patience_seconds))
        else:
            self._held[share] += 1
        return Place(share, self._clock())

    def leave(self, place: Place) -> None:
        seconds = self._clock() - place.since
        self._ended = min(self._ended + 1, ROUNDS * self._bounds.places)
        before = self._usual_seconds
        self._usual_seconds = before + (seconds - before) / self._ended
        self._give_back(place.share)

    def _give_back(self, share: Share) -> None:
        self._held[share] -= 1
        if not self._held[share]:
            del self._held[share]
        self._give_out()

    def _patience(self, callers_seconds: float | None) -> float:
        own = self._bounds.waiting_seconds
        return own if callers_seconds is None else min(own, callers_seconds)

    def _is_free_for(self, share: Share) -> bool:
        left = self._bounds.places - self._held.total()
        return left > (self._bounds.kept if self._held[share] else 0)

    async def _wait(self, share: Share, seconds: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(share, deque()).append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as stop:
            self._withdraw(share, turn)
            if isinstance(stop, TimeoutError):
                self._learn(seconds, WIDENED)
                raise self._busy_or_overloaded(share) from stop
            raise
        self._learn(seconds, NARROWED)

    def _learn(self, seconds: float, factor: float) -> None:
        """Only from those who waited as long as they may: a caller in a hurry says nothing of the others' waits."""
        if seconds == self._bounds.waiting_seconds:
            self._margin = min(MOST_MARGIN, max(LEAST_MARGIN, self._margin * factor))

    def _withdraw(self, share: Share, turn: "asyncio.Future[None]") -> None:
        """A place may have been given to it in the moment in which it stopped waiting."""
        if turn.done() and not turn.cancelled():
            self._give_back(share)
            return
        queue = self._queues.get(share, deque())
        if turn in queue:
            queue.remove(turn)
        if not queue:
            self._queues.pop(share, None)

    def _give_out(self) -> None:
        """To the share with the fewest places; of several, to the one that was served longest ago.

        Whose caller has just gone may still stand in its queue.
        """
        while free_for := [share for share in self._queues if self._is_free_for(share)]:
            share = min(free_for, key=self._held.__getitem__)
            queue = self._queues.pop(share)
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                self._held[share] += 1
            if queue:
                self._queues[share] = queue

    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    def _waiting_of(self, share: Share) -> int:
        return len(self._queues.get(share, ()))

    def _expected_seconds(self, share: Share) -> float:
        """Until it would be the turn of one more. 0 as long as nobody has left."""
        place = self._held[share] + self._waiting_of(share) + 1
        before = (min(len(queue), max(0, place - self._held[each])) for each, queue in self._queues.items())
        return (sum(before) + 1) * self._usual_seconds / self._bounds.places

    def _busy_or_overloaded(self, share: Share) -> FirstpassError:
        """A share that has more than the others have on average, or all, is the reason itself."""
        held, waiting = self._held[share], self._waiting_of(share)
        every = self._held.total() + self.waiting()
        shares = self._held.keys() | self._queues.keys() | {share}
        seconds = min(LONGEST_RETRY_SECONDS, max(1, math.ceil(self._expected_seconds(share))))
        if len(shares) == 1 or held + waiting > every / len(shares):
            message = f"{held} requests are being worked on and {waiting} wait, which is this caller's share"
            return Busy(message, part=self._part, retry_after_seconds=seconds)
        message = f"{every} requests of {len(shares)} callers are being worked on or wait, which is all that there may"
        return Overloaded(message, part=self._part, retry_after_seconds=seconds)
