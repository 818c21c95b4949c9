"""What is asked about: changes with labels, from files of them. Knows no server, no model and no contract."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from firstpass.bench.identify import rivals_of
from firstpass.errors import BadLabels
from firstpass.evidence import normalised, parse_diff
from firstpass.evidence.diffs.identifiers import identifiers, names_in_paths


@dataclass(frozen=True, slots=True)
class Case:
    """A change and what is true of it.

    required: bare names of the calls that it newly introduces. todos: the texts of those that it adds, `normalised`.
    names: all that an answer may use. subject: what its author called it. rivals: subjects of other changes of the
    repository; none where there are too few.
    """

    repository: str
    commit: str
    diff: str
    required: frozenset[str]
    todos: frozenset[str]
    names: frozenset[str]
    subject: str = ""
    rivals: tuple[str, ...] = ()


class Line(BaseModel):
    """A line of a labelled file. Without `identifiers`, every name in the diff may be used."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    diff: str
    required: list[str]
    repo: str = ""
    sha: str = ""
    subject: str = ""
    removed: list[str] = []
    todos: list[str] = []
    touched: list[str] = []
    identifiers: list[str] | None = None


def with_rivals(cases: Sequence[Case], seed: int) -> list[Case]:
    """Each case with the other subjects that its own is told from."""
    drawn = rivals_of([(case.repository, case.subject) for case in cases], seed)
    return [replace(case, rivals=rivals) for case, rivals in zip(cases, drawn, strict=True)]


def case_of(
    repository: str, commit: str, diff: str, required: Iterable[str], todos: Iterable[str], subject: str = ""
) -> Case:
    """A case in which every name of the diff may be used."""
    names = identifiers(parse_diff(diff).files)
    return Case(repository, commit, diff, frozenset(required), frozenset(map(normalised, todos)), names, subject)


def read_labelled(path: Path, name: str) -> Iterator[Case]:
    """The cases of a `.jsonl` or `.jsonl.zst` file. name: the repository of a line that names none.

    Raises: BadLabels with the line and the field that are wrong.
    """
    with path.open("rb") as raw, io.TextIOWrapper(_plain(raw, path), encoding="utf-8") as lines:
        for number, text in _numbered(lines, path):
            if text.strip():
                yield _case(_line(text, f"{path}, line {number}"), name, number)


def _numbered(lines: Iterable[str], path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        for number, text in enumerate(lines, start=1):
            yield number, text
    except UnicodeDecodeError as error:
        raise BadLabels(f"{path}, after line {number}: no UTF-8 text: {error.reason}") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise BadLabels(f"{path}, after line {number}: {error}") from error


def _plain(raw: IO[bytes], path: Path) -> IO[bytes]:
    if path.suffix != ".zst":
        return raw
    try:
        import zstandard
    except ImportError as error:
        raise BadLabels(f"{path}: reading .zst needs the package zstandard; unpack the file or install it") from error
    return zstandard.ZstdDecompressor().stream_reader(raw)


def _line(text: str, place: str) -> Line:
    try:
        return Line.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = ".".join(map(str, fault["loc"])) or "the line"
        raise BadLabels(f"{place}: {field}: {fault['msg']}") from error


def _case(line: Line, name: str, number: int) -> Case:
    case = case_of(line.repo or name, line.sha or str(number), line.diff, line.required, line.todos, line.subject)
    if line.identifiers is None:
        return case
    return replace(case, names=frozenset(line.identifiers) | names_in_paths(parse_diff(line.diff).files))
