"""A request that an endpoint refused, asked again as it may take it. Knows no wire format and no connection."""

from collections.abc import Awaitable, Callable

from firstpass.dialect.faults import with_room
from firstpass.errors import ContextTooLong, FirstpassError
from firstpass.exchange import UNSET, Ask, Reply
from firstpass.tier import Listener

TRIES = 4
"""As it was asked, with one system turn, with an answer as long as the model's can be, and as the window has room."""

Milder = Callable[[Ask, str], Ask | None]
"""What to ask in the place of an ask that was refused in these words; None where nothing would help."""


class Refused(Exception):
    """The endpoint answered with an error and nothing else, so it can be asked again."""

    def __init__(self, error: FirstpassError) -> None:
        super().__init__(error.failure.message)
        self.error = error


async def until_taken(ask: Ask, once: Callable[[Ask], Awaitable[Reply]], milder: Milder) -> tuple[Ask, Reply]:
    """The reply, and the ask that was taken.

    Raises: what the first refusal says, or the last where that is of a prompt that is too long in any case.
    """
    refusals: list[FirstpassError] = []
    while True:
        try:
            return ask, await once(ask)
        except Refused as refused:
            refusals.append(refused.error)
            other = milder(ask, refused.error.failure.message) if len(refusals) < TRIES else None
            if other is None:
                raise (refused.error if isinstance(refused.error, ContextTooLong) else refusals[0]) from None
            ask = other


def lowered(ask: Ask, message: str, listener: Listener) -> Ask | None:
    """With a limit of the answer that the endpoint has room for; the listener hears which."""
    other = with_room(ask, message)
    if other is not None:
        listener.clamped(UNSET if other.sampling.max_tokens is None else other.sampling.max_tokens)
    return other
