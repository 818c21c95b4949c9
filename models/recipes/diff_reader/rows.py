"""A training row and the rules that make one from a labelled commit. Knows no tokenizer and no model."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from firstpass.contract.pr_summary import prompt, render_answer

HELD_OUT = frozenset({"psf/requests", "fastify/fastify", "gin-gonic/gin", "BurntSushi/ripgrep", "axios/axios"})
"""Repositories that neither the tokenizer nor the model ever sees: the measurement is made on them."""

SOURCE_SUFFIXES = frozenset(
    [
        "py",
        "pyi",
        "js",
        "jsx",
        "mjs",
        "cjs",
        "ts",
        "tsx",
        "mts",
        "cts",
        "vue",
        "go",
        "rs",
        "java",
        "kt",
        "kts",
        "c",
        "h",
        "cc",
        "cpp",
        "hpp",
        "cs",
        "rb",
        "php",
        "swift",
        "scala",
    ]
)

_TEST_PATH = re.compile(
    r"(^|/)(tests?|__tests__|spec|specs|playground|jvmTest|e2e)/|(^|/)test_|[_.-](tests?|spec)\.|Test\.(java|kt)$"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One diff and its right answer. `origin` is the repository, or `synthetic`."""

    origin: str
    diff: str
    summary: str
    calls: tuple[str, ...]
    todos: tuple[str, ...]
    actions: tuple[str, ...]

    @property
    def prompt(self) -> str:
        return prompt(self.diff)

    @property
    def answer(self) -> str:
        return render_answer(self.summary, self.calls, self.todos, self.actions)


def read_commits(path: Path) -> Iterator[dict[str, Any]]:
    """The labelled commits of a `.jsonl` or `.jsonl.zst` file, in its order."""
    with path.open("rb") as raw:
        stream = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        with io.TextIOWrapper(stream, encoding="utf-8") as text:
            for line in text:
                yield json.loads(line)


def changed_paths(diff: str) -> list[str]:
    """The paths after the change, or before it for a file that goes; in the diff's order."""
    return [new for _, new in re.findall(r"^diff --git a/(\S+) b/(\S+)$", diff, re.M)]


def is_test(path: str) -> bool:
    return bool(_TEST_PATH.search(path))


def actions_of(diff: str, removed: Sequence[str], todos: Sequence[str]) -> tuple[str, ...]:
    """What a reviewer should do next: a rule, not an opinion, so that it can be learned and checked."""
    paths = changed_paths(diff)
    tests = [path for path in paths if is_test(path)]
    sources = [path for path in paths if not is_test(path) and path.rpartition(".")[2] in SOURCE_SUFFIXES]
    actions = [f"Resolve the TODO: {todo}" for todo in todos]
    if tests:
        actions.append(f"Run the tests in {tests[0]}")
    elif sources:
        actions.append(f"Add tests for {sources[0]}")
    if removed:
        actions.append(f"Check what relied on {removed[0]}()")
    return tuple(actions)


def sentence_of(calls: Sequence[str], removed: Sequence[str], todos: Sequence[str], place: str) -> str:
    """One true sentence, by rule. place: the changed function, or the path.

    A commit's subject says more, but a model of this size can't read it off a diff: trained on subjects, it looped or
    invented.
    """
    if calls and removed:
        return f"Call {calls[0]}, no longer {removed[0]}."
    if calls:
        return f"Call {calls[0]} in {place}."
    if removed:
        return f"Remove {removed[0]} from {place}."
    if todos:
        return f"Note what is left to do in {place}."
    return f"Change {place}."


def in_order_of_appearance(names: Sequence[str], diff: str, marker: str) -> tuple[str, ...]:
    """The names that lines with the marker show, by where they first show: a reader copies left to right."""
    lines = (line[1:] for line in diff.splitlines() if line.startswith(marker) and not line.startswith(marker * 3))
    text = "\n".join(lines)
    places = {}
    for name in names:
        word = rf"(?<![\w$]){re.escape(name)}(?![\w$])"
        if found := re.search(rf"{word}\W{{0,3}}\(", text) or re.search(word, text):
            places[name] = found.start()
    return tuple(sorted(places, key=places.__getitem__))


def row_of_commit(commit: dict[str, Any]) -> Row:
    """A row whose every part is decided by the labels and the diff."""
    diff = commit["diff"].rstrip("\n")
    calls = in_order_of_appearance(commit["required"], diff, "+")
    removed = in_order_of_appearance(commit["removed"], diff, "-")
    todos = tuple(commit["todos"])
    shown = [name for name in commit["touched"] if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", diff)]
    place = (shown or changed_paths(diff) or ["the code"])[0]
    return Row(
        origin=commit["repo"],
        diff=diff,
        summary=sentence_of(calls, removed, todos, place),
        calls=calls,
        todos=todos,
        actions=actions_of(diff, removed, todos),
    )
