"""How well `gather` reads a diff: its new calls and TODOs against labels from whole-file syntax trees. Knows no model.

    python measure.py commits.jsonl.zst

The rules were tuned on the other repositories and must not be tuned on the held-out ones.
"""

import argparse
import io
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from firstpass.evidence import Evidence, gather, normalised
from firstpass.evidence.calls.in_hunks import PROVIDED

HELD_OUT = frozenset(("psf/requests", "fastify/fastify", "gin-gonic/gin", "BurntSushi/ripgrep", "axios/axios"))
_CALL = re.compile(r"(?<!def )(?<!class )(?<!func )(?<!function )(?<!fn )(?<!fun )(?<![\w$])([A-Za-z_$][\w$]*)\(")
_KEYWORDS = frozenset(("catch", "for", "func", "function", "if", "return", "switch", "while"))
_PROVIDED_BY_ANY = _KEYWORDS.union(*PROVIDED.values())


@dataclass(frozen=True, slots=True)
class Commit:
    repository: str
    diff: str
    calls: frozenset[str]
    removed: frozenset[str]
    todos: frozenset[str]


@dataclass(slots=True)
class Score:
    """Counts of names, and of commits where the two sets are equal."""

    right: int = 0
    named: int = 0
    wanted: int = 0
    exact: int = 0
    commits: int = 0

    def add(self, named: frozenset[str], wanted: frozenset[str]) -> None:
        self.right += len(named & wanted)
        self.named += len(named)
        self.wanted += len(wanted)
        self.exact += named == wanted
        self.commits += 1

    def row(self, name: str) -> str:
        precision, recall = self.right / max(1, self.named), self.right / max(1, self.wanted)
        exact = self.exact / max(1, self.commits)
        return f"| {name} | {self.commits:,} | {precision:.1%} | {recall:.1%} | {exact:.1%} |"


def commits(path: Path) -> Iterator[Commit]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, "utf-8"):
            row = json.loads(line)
            todos = frozenset(map(normalised, row["todos"]))
            yield Commit(row["repo"], row["diff"], frozenset(row["required"]), frozenset(row["removed"]), todos)


def by_expression(diff: str) -> frozenset[str]:
    """The baseline: what stands before a parenthesis on an added line, less definitions, built-ins and what moved."""
    added, removed = (frozenset(_named(diff, sign)) for sign in "+-")
    return added - removed - _PROVIDED_BY_ANY


def _named(diff: str, sign: str) -> Iterator[str]:
    for line in diff.splitlines():
        if line.startswith(sign) and not line.startswith(sign * 3):
            yield from _CALL.findall(line)


def groups(commit: Commit, evidence: Evidence) -> Iterable[str]:
    yield "all"
    yield evidence.languages[0] if len(evidence.languages) == 1 else "several languages"


def table(title: str, scores: dict[str, Score]) -> None:
    print(f"\n{title}\n\n| | commits | precision | recall | exact |\n|---|---|---|---|---|")
    for name in sorted(scores):
        print(scores[name].row(name))


def measure(chosen: list[tuple[Commit, Evidence]], title: str) -> None:
    kinds: dict[str, Callable[[Commit, Evidence], tuple[frozenset[str], frozenset[str]]]] = {
        "new calls": lambda commit, evidence: (frozenset(evidence.calls), commit.calls),
        "new calls, by the expression name(": lambda commit, evidence: (by_expression(commit.diff), commit.calls),
        "removed calls": lambda commit, evidence: (frozenset(evidence.removed_calls), commit.removed),
        "added TODOs": lambda commit, evidence: (frozenset(map(normalised, evidence.todos)), commit.todos),
    }
    for kind, sets in kinds.items():
        scores: dict[str, Score] = defaultdict(Score)
        for commit, evidence in chosen:
            for group in groups(commit, evidence):
                scores[group].add(*sets(commit, evidence))
        table(f"### {title}: {kind}", scores)


def time_gather(all_commits: list[Commit], kilobytes: int, count: int) -> None:
    """Diffs of one size, made of whole commits put one after another and cut; one process, after a warm-up."""
    shuffled = random.Random(0).sample(all_commits, len(all_commits))
    texts = iter(commit.diff for commit in shuffled for _ in range(4))
    diffs = []
    for _ in range(count):
        text = ""
        while len(text) < kilobytes * 1024:
            text += next(texts)
        diffs.append(text[: kilobytes * 1024])
    for diff in diffs[:20]:
        gather(diff)
    wall, processor = sorted(_spent(diffs, time.perf_counter)), sorted(_spent(diffs, time.thread_time))
    for name, spent in (("wall", wall), ("processor", processor)):
        marks = ", ".join(f"p{mark} {1e3 * spent[min(count - 1, count * mark // 100)]:.1f}" for mark in (50, 90, 99))
        print(f"gather, {kilobytes} kB, {count} diffs, {name} ms: {marks}, most {1e3 * spent[-1]:.1f}")


def _spent(diffs: list[str], clock: Callable[[], float]) -> Iterator[float]:
    for diff in diffs:
        started = clock()
        gather(diff)
        yield clock() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    read = list(commits(parser.parse_args().commits))
    pairs = [(commit, gather(commit.diff)) for commit in read]
    measure([pair for pair in pairs if pair[0].repository in HELD_OUT], "Held out")
    measure([pair for pair in pairs if pair[0].repository not in HELD_OUT], "Tuned on")
    print()
    time_gather(read, kilobytes=8, count=400)
    time_gather(read, kilobytes=32, count=200)
    time_gather(read, kilobytes=256, count=30)


if __name__ == "__main__":
    main()
