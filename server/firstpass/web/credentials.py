"""Which key a request brings and who holds it, with an end to trying wrong ones. It knows no route and no body."""

import asyncio
import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from starlette.datastructures import Headers

from firstpass.allowance.bucket import Bucket
from firstpass.errors import RateLimited, Unauthorised
from firstpass.store.keys import KeyRecord, is_ours, key_id

REMEMBERED = 4096
"""Addresses that sent wrong keys, and keys that were right: of each the last ones."""

K = TypeVar("K")
V = TypeVar("V")

ADDRESS_CHARACTERS = 64
"""Of what a proxy calls an address and is none."""

Find = Callable[[str], Awaitable[KeyRecord | None]]
"""The record of a live key, None for anything else."""


class Tries:
    """Bounds the wrong keys of each address. A key that was right before is never held up by other keys' tries."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._wrong: OrderedDict[str, Bucket] = OrderedDict()
        self._right: OrderedDict[bytes, None] = OrderedDict()

    def is_right(self, key: str) -> bool:
        """Whether it was, when it was looked at last."""
        return _digest(key) in self._right

    def begin(self, address: str) -> None:
        """A key is looked at that may be wrong: it is counted before, so that no number of them at once is more.

        Raises: RateLimited where that address has to wait; then the key is not even looked at.
        """
        network, now = network_of(address), self._clock()
        bucket = self._wrong.get(network) or Bucket.a_minute(self._a_minute, now)
        if wait := bucket.wait(1, now):
            message = "too many wrong API keys came from this address"
            raise RateLimited(message, code="too_many_wrong_keys", retry_after_seconds=math.ceil(wait))
        bucket.use(1, now)
        _remember(self._wrong, network, bucket)

    def was_right(self, key: str, address: str) -> None:
        """What began is not counted."""
        _remember(self._right, _digest(key), None)
        if bucket := self._wrong.get(network_of(address)):
            bucket.use(-1, self._clock())

    def was_wrong(self, key: str) -> None:
        self._right.pop(_digest(key), None)


def _remember(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("latin-1")).digest()


def network_of(address: str) -> str:
    """What one caller has: an IPv4 address, or the 64 bits that a network's host may choose no others for."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:ADDRESS_CHARACTERS]
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((int(ip), 64), strict=False))
    return str(ip)


class Credentials:
    """required: a request without a live key is refused. wrong_a_minute: of keys, from one address."""

    def __init__(self, find: Find, *, required: bool, wrong_a_minute: int) -> None:
        self._find = find
        self._required = required
        self._tries = Tries(wrong_a_minute)
        self._looking: dict[str, asyncio.Future[KeyRecord | None]] = {}

    async def holder(self, headers: Headers, address: str) -> KeyRecord | None:
        """None where a request without a key is answered, and for a key that is plainly meant for nobody here.

        Raises: Unauthorised, RateLimited, StoreFailed.
        """
        key = _given(headers)
        if key is None or not (self._required or is_ours(key)):
            if self._required:
                raise Unauthorised("no API key was given")
            return None
        found = await (self._find(key) if self._tries.is_right(key) else self._looked_at(key, address))
        if found is None:
            self._tries.was_wrong(key)
            raise Unauthorised(_fault(key))
        return found

    async def _looked_at(self, key: str, address: str) -> KeyRecord | None:
        """Once for all that bring it at once: they are one try."""
        if key not in self._looking:
            self._tries.begin(address)
            self._looking[key] = asyncio.ensure_future(self._look_at(key, address))
        return await asyncio.shield(self._looking[key])

    async def _look_at(self, key: str, address: str) -> KeyRecord | None:
        try:
            found = await self._find(key)
        finally:
            del self._looking[key]
        if found is not None:
            self._tries.was_right(key, address)
        return found


def _given(headers: Headers) -> str | None:
    """Of several keys the one of ours: clients send dummies beside it. Raises: Unauthorised for two of ours."""
    bearers = (value.partition(" ") for value in headers.getlist("authorization"))
    keys = {token.strip() for scheme, _, token in bearers if scheme.lower() == "bearer"}
    keys = (keys | {value.strip() for value in headers.getlist("x-api-key")}) - {""}
    ours = {key for key in keys if is_ours(key)}
    if len(ours) > 1:
        raise Unauthorised("the request brings two different API keys; give one")
    return next(iter(ours or keys), None)


def _fault(key: str) -> str:
    if is_ours(key) and key_id(key) is None:
        return "the API key is mistyped or cut short: its checksum does not fit"
    return "the API key is not a live one"
