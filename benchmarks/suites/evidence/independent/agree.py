"""How far three readers of the same changes agree: front ends, syntax trees of whole files, `gather` of the diff alone.

    python agree.py CACHE [--differences LANGUAGE]

Reads what label.py wrote. Precision and recall count names; *exact* is the share of changes where the two sets are
equal; an interval holds 95% of 1,000 draws of whole repositories. `--differences` shows each name that front ends and
`gather` do not agree about, with the lines of the diff that hold it; never for a held-out repository.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstpass.bench.history import Unlabelled, _Labels
from firstpass.evidence import gather, parse_diff

LANGUAGES = ("python", "javascript", "typescript", "go", "java", "rust", "kotlin")
DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """trees: what the syntax trees of the whole files say; None where a changed line does not parse."""

    repository: str
    language: str
    diff: str
    held_out: bool
    front_ends: frozenset[str]
    trees: frozenset[str] | None
    diff_alone: frozenset[str]


@dataclass(slots=True)
class Score:
    """right, said and true count names; exact counts changes."""

    right: int = 0
    said: int = 0
    true: int = 0
    exact: int = 0
    changes: int = 0

    def add(self, said: frozenset[str], true: frozenset[str]) -> None:
        self.right += len(said & true)
        self.said += len(said)
        self.true += len(true)
        self.exact += said == true
        self.changes += 1

    def __str__(self) -> str:
        precision, recall = self.right / max(1, self.said), self.right / max(1, self.true)
        return f"{self.changes:,} | {precision:.1%} | {recall:.1%} | {self.exact / max(1, self.changes):.1%}"


def read(cache: Path) -> Iterator[Change]:
    for name, held_out in (("held-out", True), ("others", False)):
        for line in (cache / f"{name}.places.jsonl").read_text().split("\n"):
            if line:
                yield _change(json.loads(line), held_out)


def _change(row: dict[str, Any], held_out: bool) -> Change:
    trees = _by_trees(row["diff"], row["places"])
    said = frozenset(gather(row["diff"]).calls)
    return Change(row["repo"], row["language"], row["diff"], held_out, frozenset(row["required"]), trees, said)


def _by_trees(diff: str, places: Sequence[tuple[str | None, str | None]]) -> frozenset[str] | None:
    """As bench/history.py labels a commit, whose rules these are."""
    labels = _Labels()
    try:
        for file, (before, after) in zip(parse_diff(diff).files, places, strict=True):
            labels.add(file, before=_content(before), after=_content(after))
    except Unlabelled:
        return None
    return frozenset(labels.calls)


def _content(place: str | None) -> bytes:
    return Path(place).read_bytes().replace(b"\r\n", b"\n") if place else b""


def score(changes: Sequence[Change], reader: str, judge: str) -> Score:
    total = Score()
    for change in changes:
        said, true = getattr(change, reader), getattr(change, judge)
        if said is not None and true is not None:
            total.add(said, true)
    return total


def interval(changes: Sequence[Change]) -> str:
    """Of `gather`'s exact share under the front ends' labels, by draws of whole repositories."""
    tallies: dict[str, Score] = defaultdict(Score)
    for change in changes:
        tallies[change.repository].add(change.diff_alone, change.front_ends)
    each = list(tallies.values())
    if len(each) == 1:
        return "one repository"
    chance = random.Random(0)
    shares = []
    for _ in range(DRAWS):
        drawn = chance.choices(each, k=len(each))
        shares.append(sum(one.exact for one in drawn) / sum(one.changes for one in drawn))
    shares.sort()
    return f"{shares[DRAWS // 40]:.1%} to {shares[-1 - DRAWS // 40]:.1%}, {len(each)} repositories"


def table(title: str, changes: Sequence[Change], reader: str, judge: str, groups: dict[str, list[Change]]) -> None:
    print(f"\n### {title}\n\n| | changes | precision | recall | exact | interval of exact |\n|---|---|---|---|---|---|")
    for name, some in groups.items():
        shown = interval(some) if (reader, judge) == ("diff_alone", "front_ends") else ""
        print(f"| {name} | {score(some, reader, judge)} | {shown} |")


def grouped(changes: Sequence[Change]) -> dict[str, list[Change]]:
    groups: dict[str, list[Change]] = {}
    for language in LANGUAGES:
        groups[language] = [change for change in changes if change.language == language]
        groups[f"{language}, with new calls"] = [change for change in groups[language] if change.front_ends]
    for repository in sorted({change.repository for change in changes if change.held_out}):
        groups[f"held out: {repository}"] = [change for change in changes if change.repository == repository]
    return {name: some for name, some in groups.items() if some}


def differences(changes: Sequence[Change], language: str) -> Iterator[str]:
    """A paragraph for each name: what `gather` did, what the trees of whole files did, the first lines that hold it."""
    for change in changes:
        if change.language == language and not change.held_out:
            for name in sorted(change.front_ends ^ change.diff_alone):
                fault = "missed" if name in change.front_ends else "not new, or no call"
                holds = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
                lines = [line[:160] for line in change.diff.split("\n") if holds.search(line)]
                head = f"{change.repository}: {name}: {fault}; {_trees_on(name, change)}"
                yield "\n    ".join((head, *lines[:4]))


def _trees_on(name: str, change: Change) -> str:
    if change.trees is None:
        return "trees have an error there"
    return "trees are right" if (name in change.trees) == (name in change.front_ends) else "trees are wrong too"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--differences", choices=LANGUAGES)
    asked = parser.parse_args()
    changes = list(read(asked.cache))
    if asked.differences:
        print("\n\n".join(differences(changes, asked.differences)))
        return
    groups = grouped(changes)
    table("gather, judged by the front ends", changes, "diff_alone", "front_ends", groups)
    table("Trees of whole files, judged by the front ends", changes, "trees", "front_ends", groups)
    table("gather, judged by trees of whole files", changes, "diff_alone", "trees", groups)


if __name__ == "__main__":
    main()
