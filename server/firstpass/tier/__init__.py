"""How a model is asked. A tier knows its dialect and its door; it knows no policy, contract or store."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from firstpass.chat import Abilities, Chunk
from firstpass.client import Response
from firstpass.exchange import Ask, Receipt, Reply
from firstpass.redaction import Placeholders


class Listener(Protocol):
    """Who wants to hear about a consultation while it runs."""

    @property
    def streaming(self) -> bool:
        """Whether the reply's bytes are wanted as they come, through `chunk`."""
        ...

    @property
    def watching(self) -> bool:
        """Whether a reply that streams may be cut off: then `goes_on` is asked after each of its pieces."""
        ...

    async def goes_on(self, text: str) -> bool:
        """Whether more is wanted of a reply that has come so far. Where not, what there is is the reply."""
        ...

    def sent(self, receipt: Receipt) -> None:
        """The request has just left the machine."""
        ...

    def instead(self, field: str, value: str) -> None:
        """The endpoint does not take what the caller said there, and is asked with the nearest that it takes."""
        ...

    async def chunk(self, chunk: Chunk) -> None:
        """One server-sent event of the reply, its blank line included."""
        ...


class Tier(Protocol):
    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        """Ask the model and wait for all it says.

        Raises: BadAsk where the model refuses the request itself, TierFailed and its children for everything else.
        Cancelling the call closes the connection, which stops the work at the model.
        """
        ...


class Door(Protocol):
    """The way to one endpoint: where the request's bytes go, and under which rule."""

    async def model(self) -> str:
        """The endpoint's own name of its model, once it can be asked. Raises: TierUnavailable, TierTimedOut."""
        ...

    @property
    def able(self) -> Abilities:
        """Known once `model` has returned."""
        ...

    def post(
        self,
        ask: Ask,
        path: str,
        body: bytes,
        sent: Callable[[Receipt, Placeholders], None],
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Response]:
        """Send `body` (JSON) to `path` below the endpoint's base; the response's body is not read yet.

        sent: hears the receipt before anything leaves, and what has a placeholder in the body that does.
        headers: those of the dialect, beside the door's own.

        Raises: Forbidden where the ask's ceiling does not allow this door; client.Broken on the wire.
        """
        ...
