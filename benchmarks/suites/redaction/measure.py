"""How much the redactor finds of a corpus of planted secrets, what it flags in real code, and how long it takes.

    python measure.py commits.jsonl.zst [--seed 1] [--seeds 1] [--per-type 24] [--missed] [--flagged]

The commits are the diffs that secrets are planted in, and, as they are, the code in which nothing should be found.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

from corpus import Planted, known_secrets, planted

from firstpass.bench.figures import percentile
from firstpass.redaction import Found, Redactor

COVERED = 0.9
"""The share of a secret's characters that has to be hidden."""
SIZE, TEXTS, TRIES = 32_768, 300, 3


def diffs_of(path: Path, number: int, seed: int) -> list[str]:
    """As many diffs, drawn from all repositories alike."""
    read = subprocess.run(("zstd", "-dc", path), capture_output=True, check=True).stdout
    commits = [json.loads(line) for line in read.splitlines()]
    by: dict[str, list[str]] = defaultdict(list)
    for commit in commits:
        by[commit["repo"]].append(commit["diff"])
    draw = Random(seed)
    return [diff for _, group in sorted(by.items()) for diff in draw.sample(group, min(len(group), number // len(by)))]


def is_found(one: Planted, found: Iterable[Found]) -> bool:
    hidden = sum(max(0, min(one.end, span.end) - max(one.start, span.start)) for span in found)
    return hidden >= COVERED * (one.end - one.start)


def shares(results: Sequence[tuple[Planted, bool]]) -> Iterator[str]:
    """Lines of a table: found of planted, by type, for contexts that were looked at and those that were held back."""
    by: dict[str, list[tuple[Planted, bool]]] = defaultdict(list)
    for one, ok in results:
        by[one.type].append((one, ok))
        by["all known formats" if one.is_format else "all others"].append((one, ok))
        by["all"].append((one, ok))
    yield "| type | planted | found | held back | found |"
    yield "|---|---|---|---|---|"
    for name, group in by.items():
        seen, held = [ok for one, ok in group if not one.held], [ok for one, ok in group if one.held]
        yield f"| {name} | {len(seen)} | {_share(seen)} | {len(held)} | {_share(held)} |"


def _share(found: Sequence[bool]) -> str:
    return f"{100 * sum(found) / len(found):.1f}%" if found else ""


def flagged_lines(redactor: Redactor, diffs: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each line of each diff, and the kinds of what was found on it."""
    for diff in diffs:
        kinds: dict[int, list[str]] = defaultdict(list)
        for one in redactor.find(diff):
            for line in range(diff.count("\n", 0, one.start), diff.count("\n", 0, one.end) + 1):
                kinds[line].append(f"{one.kind} {diff[one.start : one.end][:60]!r}")
        for number, line in enumerate(diff.split("\n")):
            yield line, kinds[number]


def times(redactor: Redactor, diffs: Sequence[str]) -> tuple[list[float], list[float]]:
    """Milliseconds of processor time that a text of 32 kB takes, and, in turns with it, what Python takes to make
    small letters of it and split it into words: a unit that machines have in common. Each is the best of three, as the
    machine has other work.
    """
    joined = "\n".join(diffs)
    texts = [joined[at : at + SIZE] for at in range(0, len(joined) - SIZE, SIZE)][:TEXTS]
    redactor.find(texts[0])
    ours, unit = [], []
    for text in texts:
        best = [float("inf")] * 2
        for _ in range(TRIES):
            for place, work in enumerate((redactor.find, lambda text: text.lower().split())):
                started = time.thread_time()
                work(text)
                best[place] = min(best[place], 1000 * (time.thread_time() - started))
        ours.append(best[0])
        unit.append(best[1])
    return sorted(ours), sorted(unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="corpora, one of each seed from --seed on")
    parser.add_argument("--per-type", type=int, default=24)
    parser.add_argument("--number", type=int, default=1400, help="diffs whose lines are looked at")
    parser.add_argument(
        "--missed", action="store_true", help="print what was missed in contexts that are not held back"
    )
    parser.add_argument("--flagged", action="store_true", help="print the lines of real code that are flagged")
    chosen = parser.parse_args()
    diffs = diffs_of(chosen.commits, chosen.number, chosen.seed)
    results = [
        (one, is_found(one, redactor.find(one.text)))
        for seed in range(chosen.seed, chosen.seed + chosen.seeds)
        for redactor in [Redactor(known=known_secrets(seed))]
        for one in planted(seed, chosen.per_type, diffs)
    ]
    redactor = Redactor()
    lines = list(flagged_lines(redactor, diffs))
    out = [*shares(results)]
    if chosen.missed:
        out += [f"MISSED {one.type}: {_near(one)!r}" for one, ok in results if not ok and not one.held]
    flagged = [(line, kinds) for line, kinds in lines if kinds]
    if chosen.flagged:
        out += [f"FLAGGED {', '.join(kinds)}: {line[:160]}" for line, kinds in flagged]
    out.append(f"flagged {len(flagged)} of {len(lines)} lines of real code: {100 * len(flagged) / len(lines):.3f}%")
    ours, unit = times(redactor, diffs)
    out.append(
        f"{len(ours)} texts of 32 kB: p50 {percentile(ours, 0.5):.1f} ms, p99 {percentile(ours, 0.99):.1f} ms; "
        f"{percentile(ours, 0.5) / percentile(unit, 0.5):.0f} times as long as making small letters and splitting"
    )
    sys.stdout.write("\n".join(out) + "\n")


def _near(one: Planted) -> str:
    return (
        one.text[max(0, one.start - 60) : one.start]
        + "<<"
        + one.text[one.start : one.end][:70]
        + ">>"
        + one.text[one.end :][:20]
    )


if __name__ == "__main__":
    main()
