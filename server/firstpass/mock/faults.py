"""Which request fails, and how: drawn from a seed by the request's number, so that a run can be had again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from firstpass.errors import BadSettings

FAULTS: Mapping[str, str] = {
    "refuse": "the connection is reset before a byte is answered",
    "reset": "the connection is reset in the middle of the answer",
    "hang": "nothing is answered until the caller leaves",
    "stall": "the answer begins, and no more of it comes",
    "drip": "the answer comes a byte at a time",
    "429": "too many requests, with Retry-After",
    "500": "an error",
    "503": "overloaded, with Retry-After",
    "type": "a page of HTML with status 200",
    "truncated": "the JSON, or the stream, ends in its middle",
    "garbage": "bytes that are neither JSON nor events",
    "redirect": "a 307 to another address",
}
"""By name, what becomes of the request."""


@dataclass(frozen=True, slots=True)
class Plan:
    """shares: of the requests that fail in this way, from 0 to 1; of all together at most 1."""

    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)

    def of(self, number: int) -> str | None:
        """The fault of a request, counted from 0. The first has none: it is a front's question whether we are there."""
        digest = blake2b(f"{self.seed}:{number}".encode(), digest_size=7).digest()
        at = int.from_bytes(digest, "big") / 2**56
        for fault, share in self.shares.items():
            if at < share and number > 0:
                return fault
            at -= share
        return None


def read_plan(seed: int, said: str) -> Plan:
    """`reset:0.01,hang:0.001` as a plan. Raises: BadSettings."""
    shares: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in said.split(","))):
        fault, _, share = part.partition(":")
        if fault not in FAULTS:
            raise BadSettings(f"--faults: there is no fault {fault[:40]!r}, only {', '.join(FAULTS)}")
        if fault in shares:
            raise BadSettings(f"--faults: {fault} is there twice")
        shares[fault] = _share(fault, share)
    if sum(shares.values()) > 1:
        raise BadSettings(f"--faults: all shares together are {sum(shares.values()):g}, which is over 1")
    return Plan(seed, shares)


def _share(fault: str, said: str) -> float:
    try:
        share = float(said)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise BadSettings(f"--faults: {fault} needs a share from 0 to 1, such as {fault}:0.01, not {said[:40]!r}")
    return share
