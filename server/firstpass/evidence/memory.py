"""What was made of a text is kept for others that look at the same one, and forgotten all at once. Knows no text."""

from collections.abc import Callable
from functools import lru_cache, wraps
from threading import Lock
from typing import TypeVar

Made = TypeVar("Made", bound=Callable[..., object])

_FORGET: list[Callable[[], None]] = []


def noted(most: int) -> Callable[[Made], Made]:
    """As `lru_cache`, for what is quickly made of a few words of a caller's: several threads may make the same."""

    def wrapped(make: Made) -> Made:
        kept = lru_cache(maxsize=most)(make)
        _FORGET.append(kept.cache_clear)
        return kept  # type: ignore[return-value]

    return wrapped


def remembered(most: int) -> Callable[[Made], Made]:
    """As `lru_cache`, for what is made of a caller's words. Of several threads that want the same, one makes it."""

    def wrapped(make: Made) -> Made:
        kept = lru_cache(maxsize=most)(make)
        making: dict[object, Lock] = {}

        @wraps(make)
        def once(*given: object, **named: object) -> object:
            key = (given, *named.items())
            with making.setdefault(key, Lock()):
                try:
                    return kept(*given, **named)
                finally:
                    making.pop(key, None)

        once.cache_info, once.cache_clear = kept.cache_info, kept.cache_clear  # type: ignore[attr-defined]
        _FORGET.append(kept.cache_clear)
        return once  # type: ignore[return-value]

    return wrapped


def forgotten(clear: Callable[[], None]) -> Callable[[], None]:
    """Is called when all is forgotten: for what is kept elsewhere than in the result of a function."""
    _FORGET.append(clear)
    return clear


def forget() -> None:
    """No text and nothing that was made of one is kept any more; what is being made now may still come."""
    for clear in _FORGET:
        clear()
