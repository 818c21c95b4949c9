"""Which models leave the memory so that another one fits. Knows no engine, no request and no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """A loaded model, and what it takes of the memory. used: when it was last used, in seconds of any clock.

    stays: it can not go now: somebody uses it, or it never goes.
    """

    what: T
    bytes: int
    priority: int
    used: float
    stays: bool


def leaving(need: int, budget: int, loaded: Iterable[Loaded[T]]) -> tuple[T, ...] | None:
    """Those that go so that `need` bytes fit; None where that can't be without those that stay.

    The least recently used of the lowest priority goes first, and none goes for nothing: where a later one alone makes
    the room, the earlier ones are kept.
    """
    every = tuple(loaded)
    missing = need + sum(one.bytes for one in every) - budget
    going: list[Loaded[T]] = []
    for one in sorted((one for one in every if not one.stays), key=lambda one: (one.priority, one.used)):
        if missing <= 0:
            break
        going.append(one)
        missing -= one.bytes
    return None if missing > 0 else tuple(one.what for one in _needed(going, -missing))


def _needed(going: Sequence[Loaded[T]], spare: int) -> Iterable[Loaded[T]]:
    """Without those that would make more room than is wanted, the latest to go first. spare: bytes."""
    for one in reversed(going):
        if one.bytes <= spare:
            spare -= one.bytes
        else:
            yield one
