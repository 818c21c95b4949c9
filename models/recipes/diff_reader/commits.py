"""Command `commits`: labelled commits from the history of git repositories on this disk. Knows no row and no model.

The labels are what `firstpass.evidence` reads in the hunks. On the 12,164 commits whose labels come from syntax trees
of the whole files it reads the same for 96%.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from firstpass.evidence import gather

MOST_CHARACTERS = 8_000
MOST_CALLS = 12
_FIELDS = "%x00%H%x00%s%x00"


def history(repository: Path) -> Iterator[tuple[str, str, str]]:
    """(sha, subject, diff) of every commit with one parent, the newest first.

    Raises: SystemExit with git's own words where the directory is no repository.
    """
    command = ["git", "-C", str(repository), "log", "--no-merges", "--patch", "--no-color", "--no-ext-diff"]
    command += ["--find-renames", f"--format={_FIELDS}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace") as git:
        assert git.stdout is not None
        sha = subject = ""
        lines: list[str] = []
        for line in git.stdout:
            if line.startswith("\0") and line.count("\0") == 3:
                if sha:
                    yield sha, subject, "".join(lines).strip("\n")
                _, sha, subject, _ = line.split("\0")
                lines = []
            else:
                lines.append(line)
        if sha:
            yield sha, subject, "".join(lines).strip("\n")
    if git.returncode:
        raise SystemExit(f"git log ended with status {git.returncode} in {repository}")


def labelled(repository: Path, name: str) -> Iterator[dict[str, Any]]:
    """The commits that introduce one to MOST_CALLS calls in at most MOST_CHARACTERS of diff."""
    for sha, subject, diff in history(repository):
        if not 0 < len(diff) <= MOST_CHARACTERS:
            continue
        evidence = gather(diff)
        if 0 < len(evidence.calls) <= MOST_CALLS:
            yield {
                "repo": name,
                "sha": sha,
                "subject": subject,
                "diff": diff,
                "required": list(evidence.calls),
                "removed": [call for call in evidence.removed_calls if call not in evidence.calls],
                "todos": list(evidence.todos),
                "touched": [],
                "identifiers": sorted(evidence.identifiers),
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
