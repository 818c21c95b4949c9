"""Changes between released versions, labelled by each language's own front end. Knows no grammar of Firstpass's.

    python label.py CACHE

Fetches what CACHE lacks, runs the labellers that labellers/prepare built into CACHE/tools, and writes
CACHE/held-out.jsonl and CACHE/others.jsonl, which `firstpass eval` reads, and for agree.py the same with the places of
the files (`*.places.jsonl`).

A call is newly introduced where its name stands on an added line and on no removed line of the change. What the
language itself provides is left out, as `calls.PROVIDED` has it: that is the definition, not a reading.
"""

import json
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from changes import LANGUAGES, Change, Piece, changes
from fetch import Package, packages, steps

from firstpass.evidence.calls.in_hunks import PROVIDED

MOST_CHANGES = {True: 200, False: 90}
"""Of one package in one language, held out or not, so that none outweighs the others."""

_PROVIDED: dict[str, frozenset[str]] = {**PROVIDED}
_MARKS = ("TODO", "FIXME", "XXX", "HACK")
_LABELLERS = Path(__file__).with_name("labellers")


@dataclass(frozen=True, slots=True)
class Labels:
    """(name, line) of the calls of a file; errors: what its front end did not understand."""

    calls: tuple[tuple[str, int], ...] = ()
    errors: int = 0

    def on(self, numbers: Iterable[int]) -> Iterator[str]:
        wanted = frozenset(numbers)
        return (name for name, line in self.calls if line in wanted)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A change with its labels. places: (older file or None, newer file or None) of each piece, in order."""

    repo: str
    sha: str
    diff: str
    required: list[str]
    removed: list[str]
    language: str
    places: list[tuple[str | None, str | None]]

    @property
    def line(self) -> dict[str, object]:
        """As `firstpass eval` reads it."""
        return {name: value for name, value in asdict(self).items() if name not in ("language", "places")}


def commands(tools: Path) -> dict[str, tuple[str, ...]]:
    jvm = f"{tools / 'jvm'}:{tools / 'kotlin-compiler' / 'lib'}/*"
    ecmascript = ("node", str(_LABELLERS / "ecmascript_calls.cjs"), str(tools / "typescript"))
    return {
        "python": (sys.executable, str(_LABELLERS / "python_calls.py")),
        "javascript": ecmascript,
        "typescript": ecmascript,
        "go": (str(tools / "go_calls"),),
        "rust": (str(tools / "rust" / "release" / "rust-calls"),),
        "java": ("java", "-cp", jvm, "JavaCalls"),
        "kotlin": ("java", "-cp", jvm, "KotlinCalls"),
    }


@dataclass(slots=True)
class FrontEnds:
    """The labels of files, each asked for once."""

    tools: Path
    _known: dict[Path, Labels] = field(default_factory=dict)

    def learn(self, files: Iterable[Path]) -> None:
        """Each file by its own suffix: a rename may go from one language to another."""
        new = sorted(set(files) - self._known.keys())
        for language in sorted({language_of(file) for file in new}):
            self._learn(language, [file for file in new if language_of(file) == language])

    def _learn(self, language: str, new: list[Path]) -> None:
        asked = "".join(json.dumps({"path": str(file), "text": text_of(file)}) + "\n" for file in new)
        command = commands(self.tools)[language]
        said = subprocess.run(command, input=asked.encode(), stdout=subprocess.PIPE, check=True).stdout
        answers = [json.loads(line) for line in said.decode().split("\n") if line]
        assert [answer["path"] for answer in answers] == list(map(str, new)), "a labeller answers in order"
        for file, answer in zip(new, answers, strict=True):
            self._known[file] = Labels(tuple((name, line) for name, line in answer["calls"]), answer["errors"])

    def of(self, file: Path | None) -> Labels:
        return self._known[file] if file else Labels()

    def called(self, file: Path | None, numbers: Iterable[int]) -> Iterator[str]:
        """What lines call and their language does not provide, in order, repeats included."""
        if file is not None:
            yield from (name for name in self.of(file).on(numbers) if name not in _PROVIDED[language_of(file)])


def language_of(file: Path) -> str:
    return LANGUAGES[file.suffix]


def text_of(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")


def candidates(package: Package, cache: Path) -> dict[str, list[tuple[str, Change, Path, Path]]]:
    """(name, change, folder of the older version, that of the newer) by language, in an order that says nothing."""
    found: dict[str, list[tuple[str, Change, Path, Path]]] = defaultdict(list)
    for step, older, newer in steps(package, cache):
        for number, change in enumerate(changes(older, newer, package.under, package.most_bytes)):
            found[change.pieces[0].language].append((f"{step}#{number}", change, older, newer))
    for some in found.values():
        random.Random(package.repository).shuffle(some)
    return found


def labelled(package: Package, cache: Path, front_ends: FrontEnds, left_out: Counter[str]) -> Iterator[Labelled]:
    for language, some in sorted(candidates(package, cache).items()):
        most = MOST_CHANGES[package.held_out]
        some = some[: 2 * most]
        places = {name: [_place(piece, older, newer) for piece in change.pieces] for name, change, older, newer in some}
        front_ends.learn([file for pairs in places.values() for pair in pairs for file in pair if file])
        kept = 0
        for name, change, _, _ in some:
            if kept == most:
                break
            if reason := _unfit(change, places[name], front_ends):
                left_out[f"{language}: {reason}"] += 1
                continue
            kept += 1
            yield _labelled(package.repository, name, change, places[name], front_ends)


def _place(piece: Piece, older: Path, newer: Path) -> tuple[Path | None, Path | None]:
    return older / piece.old if piece.old else None, newer / piece.new if piece.new else None


def _unfit(change: Change, places: list[tuple[Path | None, Path | None]], front_ends: FrontEnds) -> str | None:
    if any(front_ends.of(file).errors for pair in places for file in pair):
        return "a front end does not understand a file"
    changed = [line for line in change.diff.split("\n") if line[:1] in ("+", "-")]
    if any(mark in line for line in changed for mark in _MARKS):
        return "it changes a line with a word such as TODO, which these labels do not judge"
    return None


def _labelled(
    repository: str, name: str, change: Change, places: list[tuple[Path | None, Path | None]], front_ends: FrontEnds
) -> Labelled:
    added: dict[str, None] = {}
    removed: dict[str, None] = {}
    for piece, (old, new) in zip(change.pieces, places, strict=True):
        removed |= dict.fromkeys(front_ends.called(old, piece.removed))
        added |= dict.fromkeys(front_ends.called(new, piece.added))
    required = [call for call in added if call not in removed]
    shown = [(str(old) if old else None, str(new) if new else None) for old, new in places]
    return Labelled(repository, name, change.diff, required, list(removed), change.pieces[0].language, shown)


def main() -> None:
    cache = Path(sys.argv[1]).resolve()
    front_ends = FrontEnds(cache / "tools")
    left_out: Counter[str] = Counter()
    for held_out, name in ((True, "held-out"), (False, "others")):
        with (cache / f"{name}.jsonl").open("w") as lines, (cache / f"{name}.places.jsonl").open("w") as places:
            for package in packages():
                if package.held_out == held_out:
                    counts: Counter[str] = Counter()
                    for change in labelled(package, cache, front_ends, left_out):
                        lines.write(json.dumps(change.line) + "\n")
                        places.write(json.dumps(asdict(change)) + "\n")
                        counts[change.language] += 1
                    print(f"{package.repository}, {package.name}: {dict(counts)}", flush=True)
    for reason, count in sorted(left_out.items()):
        print(f"left out, {count} times: {reason}")


if __name__ == "__main__":
    main()
