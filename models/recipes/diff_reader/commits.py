"""Command `commits`: labelled commits from the history of git repositories on this disk. Knows no row and no model.

The labels come from syntax trees of the whole files before and after, as those of `firstpass eval` do.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from firstpass.bench.history import History
from firstpass.evidence import gather

MOST_BYTES = 8_000
MOST_CALLS = 12


def labelled(repository: Path, name: str) -> Iterator[dict[str, Any]]:
    """The commits that introduce one to MOST_CALLS calls in at most MOST_BYTES of diff.

    Raises: BadLabels where the directory is no repository.
    """
    for commit in History(repository, MOST_BYTES, name).commits():
        if 0 < len(commit.calls) <= MOST_CALLS:
            yield {
                "repo": name,
                "sha": commit.sha,
                "subject": commit.subject,
                "diff": commit.diff,
                "required": list(commit.calls),
                "removed": [call for call in commit.removed if call not in commit.calls],
                "todos": list(commit.todos),
                "touched": [],
                "identifiers": sorted(gather(commit.diff).identifiers),
            }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("repositories", type=Path, nargs="+", help="git repositories; a folder's name is the label")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, .jsonl")


def run(options: argparse.Namespace) -> None:
    with options.out.open("w", encoding="utf-8") as out:
        for repository in options.repositories:
            name = repository.resolve().name
            for commit in tqdm(labelled(repository, name), desc=name, unit=" commits"):
                out.write(json.dumps(commit, ensure_ascii=False) + "\n")
