"""What the kernel counts in a network namespace: packets on devices, and tries to send where nothing can be reached."""

from dataclasses import dataclass, fields
from pathlib import Path

TRIES = {
    "no_route": ("Ip.OutNoRoutes", "Ip6OutNoRoutes"),
    "no_resolver": ("Udp.NoPorts", "Udp6NoPorts"),
    "refused": ("Tcp.AttemptFails",),
}
"""Names in /proc/net/snmp (RFC 4293, RFC 4113, RFC 4022) and snmp6. TCP counts IPv4 and IPv6 together."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the namespace was made, or between two readings.

    packets: sent on devices other than the loopback.
    no_route: connections and datagrams, of IPv4 and IPv6, for an address beyond the loopback.
    no_resolver: datagrams to a loopback port where nobody is, as a question to a local name server is.
    refused: connections to such a port, as to a local proxy.
    """

    packets: int
    no_route: int
    no_resolver: int
    refused: int

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))

    def since(self, before: "Counts") -> "Counts":
        return Counts(*(getattr(self, field.name) - getattr(before, field.name) for field in fields(self)))


def read(directory: Path = Path("/proc/net")) -> Counts:
    """Those of this process's namespace, or of another's in /proc/PID/net. Raises: OSError."""
    counted = _snmp(directory / "snmp") | _snmp6(directory / "snmp6")
    return Counts(
        packets=sum(packets for device, packets in sent(directory).items() if device != "lo"),
        **{kind: sum(counted.get(name, 0) for name in names) for kind, names in TRIES.items()},
    )


def sent(directory: Path = Path("/proc/net")) -> dict[str, int]:
    """Packets that each device has sent: the tenth number of its line in /proc/net/dev (proc_pid_net(5))."""
    lines = (directory / "dev").read_text().splitlines()[2:]
    return {name.strip(): int(numbers.split()[9]) for name, _, numbers in (line.partition(":") for line in lines)}


def has_ipv6(directory: Path = Path("/proc/net")) -> bool:
    """Whether this kernel speaks it at all."""
    return (directory / "snmp6").exists()


def _snmp(path: Path) -> dict[str, int]:
    """Two lines a protocol: its names, its numbers."""
    lines = path.read_text().splitlines()
    named: dict[str, int] = {}
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        protocol = names.partition(":")[0]
        named |= {
            f"{protocol}.{name}": int(number)
            for name, number in zip(names.split()[1:], numbers.split()[1:], strict=True)
        }
    return named


def _snmp6(path: Path) -> dict[str, int]:
    """A name and a number a line; there is no such file where the kernel has no IPv6."""
    if not path.exists():
        return {}
    return {name: int(number) for name, number in (line.split() for line in path.read_text().splitlines())}
