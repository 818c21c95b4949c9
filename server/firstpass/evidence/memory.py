"""What was made of a text is kept for others that look at the same one, and forgotten all at once. Knows no text."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Made = TypeVar("Made", bound=Callable[..., object])

_FORGET: list[Callable[[], None]] = []


def remembered(most: int) -> Callable[[Made], Made]:
    """As `lru_cache`, for what is made of a caller's words."""

    def wrapped(make: Made) -> Made:
        kept = lru_cache(maxsize=most)(make)
        _FORGET.append(kept.cache_clear)
        return kept  # type: ignore[return-value]

    return wrapped


def forget() -> None:
    """No text and nothing that was made of one is kept any more; what is being made now may still come."""
    for clear in _FORGET:
        clear()
