"""Small diffs with what must be told of each, from tests/cases/suspects/, and how the tests ask for it."""

import re
from pathlib import Path
from typing import NamedTuple

from firstpass.evidence import gather, parse_diff
from firstpass.evidence.suspects.suspect import Suspect, suspects

_CASES = Path(__file__).parent / "cases" / "suspects"
_CASE = re.compile(r"^== (?P<kind>[\w-]+): (?P<name>.+) \((?P<path>[^()\s]+)\)$", re.M)


class Case(NamedTuple):
    """kind: what must be among the suspects, or `silent`. lines: of one hunk, each with its sign."""

    kind: str
    name: str
    path: str
    lines: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def cases(file: str) -> list[Case]:
    text = (_CASES / file).read_text(encoding="utf-8")
    heads = list(_CASE.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        Case(head["kind"], head["name"], head["path"], text[head.end() : end].strip("\n"))
        for head, end in zip(heads, ends, strict=True)
    ]


def diff(path: str, lines: str) -> str:
    """One file with one hunk; an empty line is one of context."""
    body = "\n".join(line or " " for line in lines.split("\n"))
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -10,9 +10,9 @@\n{body}\n"


def found(text: str) -> list[Suspect]:
    """All suspects; each is on a line that the diff shows, and says so in one short sentence."""
    evidence, told = gather(text), suspects(parse_diff(text))
    assert all(one.line is None or evidence.shows(one.path, one.line) for one in told)
    assert all(len(one.text) <= 160 and one.text.endswith(".") for one in told)
    return list(told)
