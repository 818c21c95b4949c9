"""What a reviewer should look at, as a type, and how its sentence quotes code. Knows no diff and no rule."""

import re
from dataclasses import dataclass
from typing import Literal

SuspectKind = Literal[
    "authorization", "secret", "conflict-marker", "injection", "validation", "error-handling", "assertion",
    "swallowed", "skipped-test", "deleted-assertion", "debugging", "leftover", "commented-out",
]  # fmt: skip

WEIGHTS: dict[SuspectKind, int] = {
    "authorization": 100, "secret": 90, "conflict-marker": 85, "injection": 80, "validation": 70, "error-handling": 60,
    "assertion": 50, "swallowed": 45, "skipped-test": 40, "deleted-assertion": 38, "debugging": 30, "leftover": 25,
    "commented-out": 20,
}  # fmt: skip
"""How grave each kind is. `injection` is text that becomes code, a command or markup; `leftover` is a note such as
"do not merge"."""

MOST_CHARACTERS = 160
"""Of a sentence."""

_QUOTED = 64
_SPACE = re.compile(r"\s+")
_BEGUN_NAME = re.compile(r"[\w$]++\Z")
_NAME_GOES_ON = re.compile(r"[\w$]")
"""Half a name is one that the diff does not have."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """One thing in a diff that a reviewer should look at.

    line: 1-based, of the new file, and the diff shows it; for what went away the nearest one there. None where the
        hunk shows no line of the new file, or names no file.
    old_line: 1-based, of the old file; None for what was added.
    text: one sentence, at most MOST_CHARACTERS.
    weight: of WEIGHTS; what only changed weighs a little less than what went away.
    """

    kind: SuspectKind
    path: str
    line: int | None
    old_line: int | None
    text: str
    weight: int


def quoted(code: str, most: int = _QUOTED) -> str:
    """Code on one line in backticks, cut at the right before a name; its own backticks become quotes."""
    flat = _SPACE.sub(" ", code[: 4 * most]).strip().replace("`", "'").rstrip("{;, ").strip()
    if len(flat) <= most:
        return f"`{flat}`"
    shown = flat[: most - 3]
    whole = _BEGUN_NAME.sub("", shown) if _NAME_GOES_ON.match(flat, most - 3) else shown
    return f"`{(whole or shown).rstrip('. ')}...`"
