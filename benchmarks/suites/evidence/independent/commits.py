"""Commits with the front ends' labels in place of their own, as far as these can be made.

    python commits.py CACHE COMMITS.jsonl ...

COMMITS: files as `firstpass eval` reads them, with git's own diffs. The versions that CACHE has of their repositories
(`fetch.py CACHE histories.toml`) give the surroundings. Writes CACHE/commits.jsonl, the same with `required` and
`removed` made anew, which `firstpass eval` reads too; and for rescore.py CACHE/commits.made.jsonl, with the language
and how the labels were made:

- "proven", "together", "apart": placing.py, the least of its files' ways
- "framed": some hunk alone, in all the frames that its front end understands, which agree (framing.py)

A commit is left out where a front end understands a hunk in no place and no frame, where frames disagree, or where a
changed file is of a language that `gather` reads and no front end here does.
"""

import argparse
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from changes import LANGUAGES
from framing import frames
from label import commands
from placing import FileChange, Hunk, Placed, Versions, file_changes

from firstpass.evidence import language_of, parse_diff
from firstpass.evidence.calls.in_hunks import PROVIDED

HOW = ("proven", "together", "apart", "framed")


class LeftOut(Exception):
    """A commit whose labels can not be made; its text says why."""


@dataclass(slots=True)
class FrontEnds:
    """A process for each language, asked for one text after another."""

    tools: Path
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def called(self, path: str, text: str, numbers: Sequence[int]) -> list[str] | None:
        """What lines call and their language does not provide, in order; None where the text is not understood."""
        if not numbers:
            return []
        language = LANGUAGES[PurePosixPath(path).suffix]
        said = self._said(language, {"path": path, "text": _modern(language, text)})
        wanted = frozenset(numbers)
        if said["errors"]:
            return None
        return [name for name, line in said["calls"] if line in wanted and name not in PROVIDED[language]]

    def _said(self, language: str, asked: dict[str, str]) -> dict[str, Any]:
        if language not in self._running:
            self._running[language] = subprocess.Popen(
                commands(self.tools)[language], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )
        process = self._running[language]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        said: dict[str, Any] = json.loads(process.stdout.readline())
        return said

    def close(self) -> None:
        for process in self._running.values():
            process.communicate()


def _modern(language: str, text: str) -> str:
    """Without what a front end of today does not read any more, and in as many lines."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if language == "rust":
        return re.sub(r"\btry!", "r#try!", plain)
    return re.sub(r"(except [^:\n]+), *(\w+):", r"\1 as \2:", plain) if language == "python" else plain


@dataclass(slots=True)
class Labels:
    """added and removed: names called on such lines, in order. how: each way that was gone."""

    added: dict[str, None] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    how: set[str] = field(default_factory=set)

    @property
    def way(self) -> str:
        return max(self.how, key=HOW.index, default=HOW[0])

    @property
    def fields(self) -> dict[str, list[str]]:
        """As `firstpass eval` reads them."""
        return {"required": [name for name in self.added if name not in self.removed], "removed": list(self.removed)}

    def add(self, removed: Sequence[str], added: Sequence[str], how: str) -> None:
        self.removed |= dict.fromkeys(removed)
        self.added |= dict.fromkeys(added)
        self.how.add(how)


def labels_of(diff: str, versions: Versions, front_ends: FrontEnds) -> Labels:
    """Raises: LeftOut."""
    labels = Labels()
    for file in parse_diff(diff).files:
        if file.hunks and language_of(file.path) and PurePosixPath(file.path).suffix not in LANGUAGES:
            raise LeftOut(f"no front end reads {PurePosixPath(file.path).suffix or file.path}")
    for changed in file_changes(diff):
        if PurePosixPath(changed.path).suffix not in LANGUAGES or _one(
            changed, versions.whole(changed), front_ends, labels
        ):
            continue
        for hunk in changed.hunks:
            if not _one(changed, versions.apart(changed, hunk), front_ends, labels):
                _frame(changed, hunk, front_ends, labels)
    return labels


def _one(file: FileChange, places: Sequence[Placed], front_ends: FrontEnds, labels: Labels) -> bool:
    """Whether a front end understands one of the places; the first such counts."""
    for place in places:
        removed = front_ends.called(file.old or file.path, place.before, place.removed)
        added = front_ends.called(file.path, place.after, place.added)
        if removed is not None and added is not None:
            labels.add(removed, added, place.how)
            return True
    return False


def _frame(file: FileChange, hunk: Hunk, front_ends: FrontEnds, labels: Labels) -> None:
    """Raises: LeftOut."""
    sides = [_agreed(path or file.path, hunk, mark, front_ends) for path, mark in ((file.old, "-"), (file.new, "+"))]
    labels.add(*sides, "framed")


def _agreed(path: str, hunk: Hunk, mark: str, front_ends: FrontEnds) -> list[str]:
    """What one side of a hunk calls in every frame that is understood. Raises: LeftOut."""
    lines = hunk.side(mark)
    changed = [line[0] == mark for line in hunk.lines if line[0] in (" ", mark)]
    readings = set()
    text = "\n".join(lines)
    if any(changed):
        for before, after in frames(LANGUAGES[PurePosixPath(path).suffix], lines, hunk.heading):
            first = before.count("\n") + 1
            numbers = [first + at for at, is_changed in enumerate(changed) if is_changed]
            said = front_ends.called(path, f"{before}{text}{after}", numbers)
            if said is not None:
                readings.add(tuple(said))
        if not readings:
            raise LeftOut("a hunk with no place that is understood in no frame")
    if len({frozenset(reading) for reading in readings}) > 1:
        raise LeftOut("a hunk with no place whose frames disagree")
    return list(next(iter(readings), ()))


def versions_of(repository: str, cache: Path, commits: Sequence[dict[str, Any]]) -> Versions:
    changed = [file for commit in commits for file in file_changes(commit["diff"])]
    versions = Versions(len(changed[0].hashes[0]))
    for folder in sorted((cache / "versions").glob(f"{repository.replace('/', '_')} */*")):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.suffix in LANGUAGES and path.is_file() and not {"node_modules", "dist"} & set(inside.parts):
                versions.add(str(inside), path.read_bytes().decode("utf-8", "surrogateescape"))
    versions.chain(changed)
    return versions


def language_of_commit(diff: str) -> str:
    languages = {LANGUAGES.get(PurePosixPath(file.path).suffix) for file in file_changes(diff)} - {None}
    return languages.pop() or "" if len(languages) == 1 else "several languages" if languages else "none"


def read(files: Sequence[Path]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(repository, its commits)"""
    commits: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        for line in filter(None, file.read_text().split("\n")):
            commit = json.loads(line)
            commits.setdefault(commit["repo"], []).append(commit)
    yield from commits.items()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("commits", type=Path, nargs="+")
    parser.add_argument("--of", type=Path, help="only the commits in this outcomes.jsonl of `firstpass eval`")
    asked = parser.parse_args()
    front_ends = FrontEnds(asked.cache / "tools")
    answered = {json.loads(line)["commit"] for line in asked.of.open()} if asked.of else None
    with (asked.cache / "commits.jsonl").open("w") as lines, (asked.cache / "commits.made.jsonl").open("w") as made:
        for repository, commits in read(asked.commits):
            versions = versions_of(repository, asked.cache, commits)
            counts: Counter[str] = Counter()
            for commit in commits:
                if answered is None or commit["sha"] in answered:
                    try:
                        labels = labels_of(commit["diff"], versions, front_ends)
                    except LeftOut as reason:
                        counts[f"left out: {reason}"] += 1
                    else:
                        counts[labels.way] += 1
                        lines.write(json.dumps(commit | labels.fields) + "\n")
                        language = language_of_commit(commit["diff"])
                        made.write(json.dumps({"sha": commit["sha"], "language": language, "how": labels.way}) + "\n")
            print(f"{repository}: {dict(counts.most_common())}", flush=True)
    front_ends.close()


if __name__ == "__main__":
    main()
