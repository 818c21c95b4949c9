"""Cases from a git repository's history, labelled by syntax trees of the whole files before and after each commit.

The checks read a hunk, without the file around it. What judges them has the whole files: it shares with them the
grammars and what counts as a call, and no step in which a hunk can mislead. Knows no server and no contract.
"""

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import tree_sitter

from firstpass.bench.cases import Case, case_of
from firstpass.changes import git_environment
from firstpass.errors import BadLabels
from firstpass.evidence import FileDiff, LanguageName, language_of, normalised, parse_diff
from firstpass.evidence.calls.in_hunks import PROVIDED, called
from firstpass.evidence.comments.todos import MARKERS, todo_of
from firstpass.evidence.trees.languages import grammar
from firstpass.evidence.trees.reading import Allowance, captured

MOST_FILE_BYTES = 500_000
PARSE_SECONDS = 5.0

_TODO = re.compile(rf"(?:{MARKERS})".encode())
_END = re.compile(r"\*/\s*$")

_LOG = (
    "log", "--no-merges", "--patch", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames",
    "--no-show-signature", "--no-relative", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/",
    "--format=%x00%H%x00%s%x00",
)  # fmt: skip


class Unlabelled(Exception):
    """A commit that gets no labels; its text says why, the same for every commit with that reason."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit and what its whole files say.

    calls: newly introduced; removed: called on a removed line, those that only moved included. todos: that it adds, as
    written. Each in order, without repeats.
    """

    sha: str
    subject: str
    diff: str
    calls: tuple[str, ...]
    removed: tuple[str, ...]
    todos: tuple[str, ...]


@dataclass(slots=True)
class History:
    """The commits of a repository, the newest first.

    name: what the cases call it. left_out: how many commits were passed over so far, by reason.
    """

    repository: Path
    most_bytes: int
    name: str
    left_out: Counter[str] = field(default_factory=Counter)

    def cases(self) -> Iterator[Case]:
        """Raises: BadLabels as `commits` does."""
        return (case_of(self.name, one.sha, one.diff, one.calls, one.todos, one.subject) for one in self.commits())

    def commits(self) -> Iterator[Commit]:
        """Those with code in a language that can be read.

        Raises: BadLabels with git's own words where there is no history to read.
        """
        with _blobs(self.repository) as blobs:
            for sha, subject, diff in self._log():
                try:
                    labels = self._labels(sha, diff, blobs)
                except Unlabelled as reason:
                    self.left_out[str(reason)] += 1
                else:
                    yield Commit(sha, subject, diff, labels.calls, labels.removed, labels.todos)

    def _log(self) -> Iterator[tuple[str, str, str]]:
        """(sha, subject, diff)"""
        with _git(self.repository, *_LOG) as git:
            assert git.stdout is not None
            head: list[str] = []
            lines: list[bytes] = []
            for line in git.stdout:
                if line.startswith(b"\0") and line.count(b"\0") == 3:
                    if head:
                        yield head[0], head[1], _diff(lines)
                    head, lines = line.decode(errors="replace").split("\0")[1:3], []
                else:
                    lines.append(line)
            if head:
                yield head[0], head[1], _diff(lines)

    def _labels(self, sha: str, diff: str, blobs: "_Blobs") -> "_Labels":
        if len(diff.encode()) > self.most_bytes:
            raise Unlabelled(f"its diff has more than {self.most_bytes} bytes")
        files = [file for file in parse_diff(diff).files if file.hunks and language_of(file.path)]
        if not files:
            raise Unlabelled("it changes no code in a language that can be read")
        labels = _Labels()
        for file in files:
            labels.add(file, before=blobs.read(f"{sha}^", file.old_path), after=blobs.read(sha, file.new_path))
        return labels


def _diff(lines: list[bytes]) -> str:
    return b"".join(lines).decode(errors="replace").strip("\n")


@dataclass(slots=True)
class _Labels:
    """What the files read so far say. A call or TODO that also stands on a removed line only moved."""

    _added: dict[str, None] = field(default_factory=dict)
    _removed: dict[str, None] = field(default_factory=dict)
    _todos: dict[str, str] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)

    @property
    def calls(self) -> tuple[str, ...]:
        return tuple(name for name in self._added if name not in self._removed)

    @property
    def removed(self) -> tuple[str, ...]:
        return tuple(self._removed)

    @property
    def todos(self) -> tuple[str, ...]:
        return tuple(text for same, text in self._todos.items() if same not in self._gone)

    def add(self, file: FileDiff, before: bytes, after: bytes) -> None:
        """Raises: Unlabelled."""
        language = language_of(file.path)
        assert language is not None, "only files that a grammar reads are labelled"
        lines = [line for hunk in file.hunks for line in hunk.lines]
        old = _Side.of(language, before, [line.old for line in lines if line.old and line.kind == "removed"])
        new = _Side.of(language, after, [line.new for line in lines if line.new and line.kind == "added"])
        self._removed |= dict.fromkeys(old.calls())
        self._added |= dict.fromkeys(new.calls())
        self._gone.update(map(normalised, old.todos()))
        self._todos |= {normalised(text): text for text in new.todos()}


@dataclass(frozen=True, slots=True)
class _Side:
    """A file before or after the commit; `numbers` are the changed lines', from 1."""

    language: LanguageName
    tree: tree_sitter.Tree
    lines: Sequence[bytes]
    numbers: Sequence[int]

    @classmethod
    def of(cls, language: LanguageName, text: bytes, numbers: Sequence[int]) -> "_Side":
        """Raises: Unlabelled where a changed line is not understood."""
        tree = Allowance(PARSE_SECONDS).parse(language, text + b"\n")
        if tree is None:
            raise Unlabelled("a file takes too long to parse")
        if any(True for _ in captured(grammar(language).errors, "error", tree, numbers)):
            raise Unlabelled("a changed line does not parse")
        return cls(language, tree, text.split(b"\n"), numbers)

    def calls(self) -> Iterator[str]:
        for node in captured(grammar(self.language).calls, "call", self.tree, self.numbers):
            name = called(node)
            if name not in PROVIDED[self.language]:
                yield name

    def todos(self) -> Iterator[str]:
        """What follows a marker in a comment, up to where the tree says that the comment ends."""
        for number in self.numbers:
            line = self.lines[number - 1] if number <= len(self.lines) else b""
            if (marker := _TODO.search(line)) is None:
                continue
            point = number - 1, marker.start()
            node = self.tree.root_node.descendant_for_point_range(point, point)
            if node is None or "comment" not in node.type:
                continue
            begins, ends = node.start_point, node.end_point
            begin = begins.column if begins.row == number - 1 else 0
            written = line[begin : ends.column if ends.row == number - 1 else None].decode("utf-8", "replace")
            if (text := todo_of(_END.sub("", written))) and normalised(text):
                yield text


class _Blobs:
    """Files of any commit, read by one `git cat-file --batch`."""

    def __init__(self, asked: IO[bytes], said: IO[bytes]) -> None:
        self._asked, self._said = asked, said

    def read(self, commit: str, path: str | None) -> bytes:
        """Empty where the file does not exist on that side.

        Raises: Unlabelled for a file that is too large, or that git can not be asked for.
        """
        if path is None:
            return b""
        if "\n" in path:
            raise Unlabelled("a path has a line end")
        self._asked.write(f"{commit}:{path}\n".encode())
        self._asked.flush()
        head = self._said.readline().split()
        content = self._said.read(int(head[2]) + 1)[:-1] if len(head) == 3 else b""
        if len(head) != 3 or head[1] != b"blob":
            raise Unlabelled("git does not have a file that the diff names")
        if len(content) > MOST_FILE_BYTES:
            raise Unlabelled(f"a file has more than {MOST_FILE_BYTES} bytes")
        return content


@contextmanager
def _blobs(repository: Path) -> Iterator[_Blobs]:
    with _git(repository, "cat-file", "--batch") as git:
        assert git.stdin is not None and git.stdout is not None
        yield _Blobs(git.stdin, git.stdout)


@contextmanager
def _git(repository: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Ended when it is left, done or not. Raises: BadLabels where it failed by itself."""
    command = ["git", "-C", str(repository), "-c", "core.quotePath=true", "-c", "log.showRoot=true", *arguments]
    with tempfile.TemporaryFile() as said:
        try:
            git = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=git_environment(repository)
            )
        except OSError as error:
            raise BadLabels(f"git can not be run: {error}") from error
        with git:
            try:
                yield git
            except BaseException:
                git.kill()
                raise
            assert git.stdin is not None
            git.stdin.close()
            if git.wait():
                said.seek(0)
                words = said.read().decode(errors="replace").strip()
                raise BadLabels(f"{repository}: {words or f'git ended with status {git.returncode}'}")
