"""Which key a request brings and who holds it, with an end to trying wrong ones. It knows no route and no body."""

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

    def check(self, key: str, address: str) -> None:
        """Raises: RateLimited where that address has to wait; then the key is not even looked at."""
        bucket = self._wrong.get(network_of(address))
        if bucket is None or _digest(key) in self._right:
            return
        if wait := bucket.wait(1, self._clock()):
            message = "too many wrong API keys came from this address"
            raise RateLimited(message, code="too_many_wrong_keys", retry_after_seconds=math.ceil(wait))

    def was_right(self, key: str) -> None:
        _remember(self._right, _digest(key), None)

    def was_wrong(self, key: str, address: str) -> None:
        self._right.pop(_digest(key), None)
        network, now = network_of(address), self._clock()
        bucket = self._wrong.get(network) or Bucket.a_minute(self._a_minute, now)
        bucket.use(1, now)
        _remember(self._wrong, network, bucket)


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

    async def holder(self, headers: Headers, address: str) -> KeyRecord | None:
        """None where a request without a key is answered, and for a key that is plainly meant for nobody here.

        Raises: Unauthorised, RateLimited, StoreFailed.
        """
        key = _given(headers)
        if key is None or not (self._required or is_ours(key)):
            if self._required:
                raise Unauthorised("no API key was given")
            return None
        self._tries.check(key, address)
        found = await self._find(key)
        if found is None:
            self._tries.was_wrong(key, address)
            raise Unauthorised(_fault(key))
        self._tries.was_right(key)
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
