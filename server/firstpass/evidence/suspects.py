"""STUB until the branch suspects is merged."""

from dataclasses import dataclass

from firstpass.evidence.diff import Diff


@dataclass(frozen=True, slots=True)
class Suspect:
    kind: str
    path: str
    line: int | None
    old_line: int | None
    text: str
    weight: int


def suspects(parsed: Diff) -> tuple[Suspect, ...]:
    return ()
