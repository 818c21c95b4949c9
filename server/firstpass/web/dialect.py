"""How one kind of caller is answered: what every dialect has to say. It knows none of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from firstpass.chat import Chunk
from firstpass.errors import Failure
from firstpass.exchange import Ask, Exchange, Step

KEEPALIVE = b": waiting\n\n"
"""A comment line is no event to any client. Source: the HTML standard, section 9.2.5."""


class Writer(Protocol):
    """One streamed answer. It is told what happens and gives the bytes that this makes, none where there are none."""

    def chunk(self, step: Step, chunk: Chunk) -> bytes:
        """A piece of a reply that binds, or that is shown early although nothing has checked it."""
        ...

    def end(self, exchange: Exchange) -> bytes:
        """The answer is complete: what is still to be said after its chunks, or all of it where there were none."""
        ...

    def failed(self, failure: Failure) -> bytes:
        """The last event of a stream that has begun and can not be ended."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """whole: the body of an answer. writer: of a stream. error: the envelope, with the exchange to look it up by."""

    whole: Callable[[Exchange], bytes]
    writer: Callable[[Ask], Writer]
    error: Callable[[Failure, str | None], dict[str, Any]]
