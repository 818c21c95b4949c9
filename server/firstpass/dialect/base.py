"""How one kind of caller is answered: what every dialect has to say. It knows none of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from firstpass.chat import Chunk
from firstpass.errors import Failure
from firstpass.exchange import Ask, Exchange, Step


class Writer(Protocol):
    """One streamed answer. It is told what happens and gives the bytes that this makes, none where there are none."""

    def chunk(self, step: Step, chunk: Chunk) -> bytes:
        """A piece of a reply that binds, or that is shown early although nothing has checked it."""
        ...

    def waiting(self) -> bytes:
        """An event that says nothing, while there is nothing to say; it may come before all others.

        No comment: openai/openai-python#2722 takes its blank line for an event, jundot/omlx#839 is of clients that
        read none at all.
        """
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
