"""The document as bytes, made once for all that see the same names in it: making one takes a quarter of a second."""

import asyncio
import json
from collections import OrderedDict

from firstpass.house import House
from firstpass.web.document import document

KEPT = 32
"""Copies; a server has few kinds of keys."""


class Copies:
    """Each is made on a thread, one at a time. Who reads one slowly holds the same bytes as all others."""

    def __init__(self) -> None:
        self._made: OrderedDict[object, bytes] = OrderedDict()
        self._making = asyncio.Lock()

    async def of(self, house: House) -> bytes:
        """JSON."""
        seen = _seen(house)
        if seen not in self._made:
            async with self._making:
                if seen not in self._made:
                    self._made[seen] = await asyncio.to_thread(_written, house)
        copy = self._made[seen]
        self._made.move_to_end(seen)
        if len(self._made) > KEPT:
            self._made.popitem(last=False)
        return copy


def _seen(house: House) -> object:
    """All of a house that is in its document."""
    return house.names, tuple(sorted(house.contracts)), tuple(house.aliases), house.unknown


def _written(house: House) -> bytes:
    return json.dumps(document(house), ensure_ascii=False, separators=(",", ":")).encode()
