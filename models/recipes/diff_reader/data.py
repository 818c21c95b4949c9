"""Command `data`: rows to train on and rows to test with, from commits and made diffs. Knows no tokenizer, no model."""

import argparse
import dataclasses
import json
import random
from collections.abc import Iterable
from pathlib import Path

from diff_reader.rows import HELD_OUT, Row, read_commits, row_of_commit
from diff_reader.synthetic import synthetic_rows


def split(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """(train, test) by repository: no repository is in both."""
    train: list[Row] = []
    test: list[Row] = []
    for row in rows:
        (test if row.origin in HELD_OUT else train).append(row)
    return train, test


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n" for row in rows)


def read_rows(path: Path) -> list[Row]:
    def row(fields: dict[str, list[str]]) -> Row:
        return Row(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})

    with path.open(encoding="utf-8") as lines:
        return [row(json.loads(line)) for line in lines]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--commits", type=Path, required=True, help="labelled commits, .jsonl or .jsonl.zst")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--synthetic", type=int, default=40_000, help="number of made diffs")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    commits = [row_of_commit(commit) for commit in read_commits(options.commits)]
    train, test = split(commits)
    made = synthetic_rows(options.synthetic, options.seed)
    random.Random(options.seed).shuffle(train)
    write_rows(options.out / "commits.jsonl", train)
    write_rows(options.out / "synthetic.jsonl", made)
    write_rows(options.out / "test.jsonl", test)
    facts = {
        "commits": len(train),
        "synthetic": len(made),
        "synthetic_asked": options.synthetic,
        "test": len(test),
        "held_out": sorted(HELD_OUT),
        "seed": options.seed,
    }
    (options.out / "data.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts))
