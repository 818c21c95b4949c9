"""How many connections there may be, in all and of one address. It knows no transport and no request.

One that gives way is the one that has said nothing for longest; what is being answered, or has not
been sent whole, is never ended for another.
"""

import logging
import resource
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from firstpass.web.credentials import network_of

log = logging.getLogger(__name__)

OTHER_FILES = 512
"""The record, the engine and the connections to models."""

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Connection(Protocol):
    def has_unsent(self) -> bool:
        """Whether a part of its last answer is still to be sent."""
        ...

    def end(self) -> None:
        """At once. `has_left` follows."""
        ...


class Doorkeeper:
    """limit: of connections. of_address: of those from one address (of IPv6, one /64); proxies and loopback have none.

    proxies: addresses or networks, behind each of which there are many callers.
    """

    def __init__(self, limit: int, of_address: int, proxies: Sequence[str] = ()) -> None:
        self._limit = limit
        self._of_address = of_address
        self._shared: list[IPv4Network | IPv6Network] = [ip_network(proxy) for proxy in (*LOOPBACK, *proxies)]
        self._networks: dict[Connection, str] = {}
        self._numbers: Counter[str] = Counter()
        self._idle: dict[Connection, None] = {}
        self._idle_of: dict[str, dict[Connection, None]] = {}

    def lets_in(self, connection: Connection, address: str) -> bool:
        """False where nothing can give way to it."""
        network = network_of(address)
        if self._numbers[network] >= self._of_address and not self._is_shared(address):
            room = self._end_first(self._idle_of.get(network, {}))
        else:
            room = len(self._networks) < self._limit or self._end_first(self._idle)
        if room:
            self._networks[connection] = network
            self._numbers[network] += 1
            self.is_idle(connection)
        return room

    def is_idle(self, connection: Connection) -> None:
        """Nothing of it is being answered."""
        if (network := self._networks.get(connection)) is not None:
            self._idle[connection] = None
            self._idle_of.setdefault(network, {})[connection] = None

    def is_busy(self, connection: Connection) -> None:
        if (network := self._networks.get(connection)) is not None and connection in self._idle:
            del self._idle[connection], self._idle_of[network][connection]
            if not self._idle_of[network]:
                del self._idle_of[network]

    def has_left(self, connection: Connection) -> None:
        self.is_busy(connection)
        if (network := self._networks.pop(connection, None)) is not None:
            self._numbers[network] -= 1
            if not self._numbers[network]:
                del self._numbers[network]

    def _end_first(self, idle: dict[Connection, None]) -> bool:
        first = next((one for one in idle if not one.has_unsent()), None)
        if first is None:
            return False
        self.has_left(first)
        first.end()
        return True

    def _is_shared(self, address: str) -> bool:
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(ip in network for network in self._shared)


def possible(wanted: int) -> int:
    """So many connections, as far as the system lets this process have files open: it has others, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    files = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    connections = min(wanted, max(files - OTHER_FILES, files // 2))
    if connections < wanted:
        log.warning("%d files may be open (ulimit -n): %d connections at most", files, connections)
    return connections
