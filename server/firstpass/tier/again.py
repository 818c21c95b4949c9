"""A request that an endpoint refused, asked again as it may take it. Knows no wire format and no connection."""

from collections.abc import Awaitable, Callable, Sequence

from firstpass.dialect.faults import with_room
from firstpass.dialect.thinking import efforts_in, with_known_effort
from firstpass.errors import BadAsk, ContextTooLong, Failure, FirstpassError
from firstpass.exchange import Ask, Reply
from firstpass.tier import Listener

TRIES = 4
"""As it was asked, with one system turn, with an answer as long as the model's can be, and as the window has room."""

Milder = Callable[[Ask, Failure], Ask | None]
"""What to ask in the place of an ask that was refused for this; None where nothing would help."""


class Refused(Exception):
    """The endpoint answered with an error and nothing else, so it can be asked again."""

    def __init__(self, error: FirstpassError) -> None:
        super().__init__(error.failure.message)
        self.error = error


async def until_taken(ask: Ask, once: Callable[[Ask], Awaitable[Reply]], milder: Milder) -> tuple[Ask, Reply]:
    """The reply, and the ask that was taken.

    Raises: what the first refusal says, or the last where the request itself is not at fault, or too long in any case.
    """
    refusals: list[FirstpassError] = []
    while True:
        try:
            return ask, await once(ask)
        except Refused as refused:
            refusals.append(refused.error)
            other = milder(ask, refused.error.failure) if len(refusals) < TRIES else None
            if other is None:
                is_first_s = isinstance(refused.error, BadAsk) and not isinstance(refused.error, ContextTooLong)
                raise (refusals[0] if is_first_s else refused.error) from None
            ask = other


def nearest(ask: Ask, failure: Failure, listener: Listener) -> Ask | None:
    """With the limit of the answer, or the effort, that the endpoint takes; the listener hears which."""
    other = with_room(ask, failure.message)
    if other is None:
        return nearest_effort(ask, efforts_in(failure.message, failure.param), listener)
    limit = other.sampling.max_tokens
    listener.instead("max_tokens", "unset" if limit is None else str(limit))
    return other


def nearest_effort(ask: Ask, known: Sequence[str], listener: Listener) -> Ask | None:
    """Likewise, of the efforts that are known; None where there is nothing to change."""
    other = with_known_effort(ask, known)
    if other is not None:
        listener.instead("reasoning_effort", str(other.sampling.reasoning_effort))
    return other
