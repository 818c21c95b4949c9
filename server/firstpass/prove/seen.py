"""What a proof has seen, phase by phase, and what that proves. Reads and sends nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

from firstpass.prove.counters import Counts

PLANTED, END = "planted leaks", "end"
"""The first phase and the last."""


@dataclass
class Phase:
    """What was done, and what the kernel counted meanwhile; None where leaks were planted to see whether it counts.

    requests: that were sent. wrong: what went otherwise than it has to.
    """

    name: str
    requests: int = 0
    wrong: list[str] = field(default_factory=list)
    counts: Counts | None = None
    seconds: float = 0.0

    def line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, line: str) -> Self:
        said = json.loads(line)
        return cls(**said | {"counts": Counts(**said["counts"]) if said["counts"] else None})


def faults(seen: Sequence[Phase]) -> list[str]:
    """Why this is no proof; empty where it is one."""
    names = [phase.name for phase in seen]
    found = [f"{phase.name}: {wrong}" for phase in seen for wrong in phase.wrong]
    found += [f"{phase.name}: {tries(phase.counts)}" for phase in seen if phase.counts and phase.counts.total]
    if PLANTED not in names[:1]:
        found.append("no leak was planted, so it is not known whether one would be seen")
    return found if names[-1:] == [END] else [*found, "it did not come to its end"]


def tries(counts: Counts) -> str:
    said = {
        "packets left": counts.packets,
        "tries without a route": counts.no_route,
        "questions to a local name server": counts.no_resolver,
        "connections to a local port where nobody is": counts.refused,
    }
    return ", ".join(f"{number} {what}" for what, number in said.items() if number)
