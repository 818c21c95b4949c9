"""Where exchanges, departures and keys are kept. It knows no HTTP and no model; it never judges what it stores."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, ParamSpec, Protocol, TypeVar

from firstpass.exchange import Exchange, Judgement, Label, Receipt
from firstpass.store.keys import KeyRecord
from firstpass.store.query import Query, Session, Used

P = ParamSpec("P")
T = TypeVar("T")

Unit = Literal["requests", "tokens"]
"""Of what a key may have so many a minute."""

Level = tuple[float, float]
"""How many of them were left, and when."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """In the place of an exchange or a key that is not as it was recorded, or can not be read."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Proof:
    """That the log has an entry. number: the entry's, from 0. line: its text, whose hash in the tree is `leaf`.

    size, root: of the log as it was. hashes: from the leaf up, those that are missing for the root (RFC 9162, 2.1.3).
    """

    number: int
    line: bytes
    leaf: bytes
    size: int
    root: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class HeldSettings:
    """What a server was told, as JSON without secrets, and when it first was. digest: of that text."""

    digest: str
    first_unix: float
    told: str


def settings_digest(told: str) -> str:
    """By which exchanges name the settings that they ran under: 64 bits, enough for those of one server."""
    return sha256(told.encode()).hexdigest()[:16]


def whole_keys(listed: Iterable[KeyRecord | Damaged]) -> list[KeyRecord]:
    return [key for key in listed if isinstance(key, KeyRecord)]


class Store(Protocol):
    """Every method is durable when it returns, and raises StoreFailed where it can not be.

    What is written and the entry of the log about it are there together. What is read is what the log vouches for, or
    StoreFailed says what is damaged.
    """

    def check(self) -> None:
        """Waits for nothing. Raises: StoreLost where the store's files are no longer those that were opened, as every
        method does; StoreUnavailable where the last commit failed, until one is made, which is tried again and again.
        """
        ...

    def soon(self, write: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """For an event loop: one of the writing methods, which blocks nobody; with others that wait in one commit.

        The future is done when it is durable. Where it is cancelled, the write is made all the same. It may be made
        twice, where others' writes in the same commit fail, but it is there once. Raises: as the method.
        """
        ...

    def append(self, exchange: Exchange) -> None: ...

    def record_departure(self, exchange_id: str, receipt: Receipt) -> Receipt:
        """Called before the bytes go, so that there is no egress without a prior record. Gives its place in the log."""
        ...

    def read(self, exchange_id: str) -> Exchange | None: ...

    def forget(self, exchange_id: str) -> bool:
        """Every word of the exchange and its labels goes for good; counts and times stay. False where there is none.

        So do its receipts, with the SHA-256 and the length of what left: who guesses all of that can tell.

        Of the request stay also its key, the contract, the limits, and which of our models was meant, not by what name.
        An exchange that went on with it keeps what it was asked with. While another process reads the same store, the
        bytes may stay on the disk, but not in the record, for as long as that takes.
        """
        ...

    def latest(self, limit: int) -> list[Exchange | Damaged]:
        """The newest exchanges, newest first."""
        ...

    def browse(self, query: Query) -> Iterator[Exchange | Damaged]:
        """By when they ended, newest first, or with `after` oldest first; one after the other is read.

        What was written before is found, unless the index is made anew just then. Raises: BadAsk for words of which
        none can be looked for, and an exchange to begin at that there is not.
        """
        ...

    def sessions(self, query: Query) -> Iterator[Session]:
        """Those that have exchanges of that kind, the most lately used first; with words, those where they were said.

        before: the `place` of one. Of the rest of the query only `limit`, `session`, `words` and `owners` count without
        words. Raises: BadAsk, as `browse`.
        """
        ...

    def session_ids(self, owner: str | None, name: str) -> list[str]:
        """Of its exchanges, oldest first."""
        ...

    def forget_session(self, owner: str | None, name: str) -> int:
        """`forget` of each of its exchanges; gives how many. What is added to it meanwhile stays."""
        ...

    def used(self, since: str, owners: Sequence[str | None] | None) -> list[Used]:
        """From that day on, who had most requests first; what was forgotten or purged meanwhile counts too."""
        ...

    def of_experiment(self, name: str, since_unix: float) -> Iterator[Exchange | Damaged]:
        """Every exchange of an experiment, in the order in which they ended; one after the other is read."""
        ...

    def experiments(self) -> list[str]:
        """The names of those that exchanges in the record are a part of."""
        ...

    def add_label(self, label: Label) -> None: ...

    def labels(self, exchange_id: str) -> list[Label]:
        """In the order in which they came."""
        ...

    def labelled(self, source: str) -> list[tuple[Exchange, Label]]:
        """Every label of a source with its exchange, in the order in which they came."""
        ...

    def audits(self, source: str) -> Iterator[tuple[Judgement, Label]]:
        """As `labelled`, of the answers that a gate accepted and drew to be looked at; one after the other is read."""
        ...

    def add_key(self, key: KeyRecord) -> None: ...

    def find_key(self, key_id: str, *, waits: bool = True) -> KeyRecord | None:
        """waits: for another thread that reads. Raises: reader.Taken where it does not, and there is one."""
        ...

    def list_keys(self) -> list[KeyRecord | Damaged]:
        """Those that were ever made, in that order."""
        ...

    def revoke_key(self, key_id: str, now_unix: float) -> bool:
        """False where there is no such key, or it has ended already."""
        ...

    def rotate_key(self, old_id: str, key: KeyRecord, ends_unix: float) -> None:
        """Both at once: the new key is there, and the old one expires then, if not earlier."""
        ...

    def add_spend(self, owner: str, day: str, usd: float, since: str, cap_usd: float | None) -> bool:
        """Add to what the owner spent that day, but not where it would be over the cap since that other day: False."""
        ...

    def spent(self, owner: str, since: str) -> float:
        """In US dollars, from that day on."""
        ...

    def rates(self) -> dict[tuple[str, Unit], Level]: ...

    def keep_rates(self, levels: Mapping[tuple[str, Unit], Level]) -> None: ...

    def hold_contract(self, pinned: str, sha256: str) -> str:
        """The digest that this version had when the store first heard of it, which is now at the latest."""
        ...

    def hold_settings(self, told: str, now_unix: float) -> str:
        """Keeps what a server was told, once. Returns: its digest, by which exchanges name it."""
        ...

    def settings(self, digest: str | None = None) -> list[HeldSettings]:
        """All that were in use, newest first, or those whose digest begins so."""
        ...

    def entries(self, exchange_id: str | None, limit: int) -> list[bytes]:
        """The newest lines of the log, newest first: all, or those about one exchange, or one key."""
        ...

    def size(self) -> int:
        """How many entries the log has."""
        ...

    def root(self, size: int) -> bytes:
        """Of the log as it was when it had `size` entries, going by the hashes that are kept with them."""
        ...

    def prove(self, number: int) -> Proof | None:
        """None where there is no such entry."""
        ...

    def consistency(self, old: int) -> tuple[int, tuple[bytes, ...]] | None:
        """The log's size, and the proof that it begins with the log of `old` entries; None where it never had so many.

        The log of no entries is the beginning of every other, without a proof. RFC 9162, 2.1.4.
        """
        ...

    def purge(self, keep_bytes: int, before_unix: float) -> int:
        """Some of the oldest exchanges go with their labels: where the store is larger without its log, or they are
        from before.

        Gives how many; whoever wants more gone calls again. An entry of the log says of each that it is gone.
        """
        ...

    def close(self) -> None: ...
