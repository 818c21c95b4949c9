"""The place of each running ask: one at a time, at the tier that it is at. It knows no HTTP, no model and no policy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firstpass.allowance.turns import Place, Share, Turns
from firstpass.exchange import Ask, Reply, TierName
from firstpass.tier import Listener, Tier


class Seats:
    """rooms: by tier; of each further model on this machine by its own name, so that none waits for another's."""

    def __init__(self, rooms: Mapping[str, Turns]) -> None:
        self._rooms = rooms
        self._places: dict[str, tuple[Turns, Place]] = {}

    def check(self, share: Share, patience_seconds: float | None) -> None:
        """For an ask of which it is not known yet where it begins.

        Raises: Busy, Overloaded as the first tier would tell it, where all of them would refuse it at once.
        """
        first = None
        for room in self._rooms.values():
            if (error := room.why_not(share, patience_seconds)) is None:
                return
            first = first or error
        if first is not None:
            raise first

    async def sit(self, ask: Ask, tier: TierName, room_name: str | None = None) -> None:
        """Leaves the place that the ask has elsewhere before it waits for one there. Raises: Busy, Overloaded."""
        room = self._rooms[room_name or (ask.engine or tier if tier == "draft" else tier)]
        if ask.id in self._places and self._places[ask.id][0] is room:
            return
        self.leave(ask)
        self._places[ask.id] = room, await room.take(ask.key, ask.patience_seconds)

    def leave(self, ask: Ask) -> None:
        if ask.id in self._places:
            room, place = self._places.pop(ask.id)
            room.leave(place)


@dataclass(frozen=True, slots=True)
class SeatedTier:
    """A tier that is asked by nobody who has no place at it. What finds none is a step that failed.

    check: raises what the tier would raise at once, so that nobody waits for that. room: of its places, where that has
    another name than the tier.
    """

    name: TierName
    tier: Tier
    seats: Seats
    check: Callable[[], None] = lambda: None
    room: str | None = None

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        self.check()
        await self.seats.sit(ask, self.name, self.room)
        return await self.tier.reply(ask, listener)
