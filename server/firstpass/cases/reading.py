"""Reads files of cases: TOML with a table `[[case]]` each, or JSONL with an object a line. Knows no server.

Every fault is an error that names the file, the line, the case and the field.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from firstpass.cases import DIFFS, INPUTS, Case, Input, InputKind, Place, body_of
from firstpass.cases.inputs import diff_of_commit, diff_of_file, text_of
from firstpass.cases.places import Lines, lines_of_cases
from firstpass.chat import strict_json
from firstpass.dialect.body import validated
from firstpass.dialect.openai.wire import ChatBody
from firstpass.errors import BadAsk, BadCases
from firstpass.exchange import Ceiling, Route

NAMES = ("firstpass.cases.toml", "firstpass.cases.jsonl")
"""What a file of cases is called where nobody says it, the likeliest first."""

MOST_FILE_BYTES = 32_000_000
MOST_CASES = 10_000

OWN_FIELDS = ("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed", "firstpass", "stream")
"""Of a chat completions request: a case has fields of its own for them, or needs none."""

_FAULT = re.compile(r"(?P<says>.*) \(at line (?P<line>\d+), column \d+\)", re.S)

Word = Annotated[StrictStr, Field(min_length=1, max_length=500)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=200)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Words = Annotated[list[Word], BeforeValidator(_listed), Field(max_length=1_000)]
Routes = Annotated[list[Route], BeforeValidator(_listed), Field(max_length=len(get_args(Route)))]


def _unless_false(value: Any) -> Any:
    """Python holds false for a 0."""
    return None if value is False else value


class Entry(BaseModel):
    """A case as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name
    diff: StrictStr | None = None
    diff_file: Name | None = None
    commit: Name | None = None
    prompt: StrictStr | None = None
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    model: Name = "firstpass"
    contract: Name | None = None
    must_mention: Words = []
    must_not_mention: Words = []
    expect_route: Routes = []
    expect_checks: Literal["passed", "any"] | None = None
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    egress: Ceiling | None = None
    repository: Name | None = None
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False), BeforeValidator(_unless_false)] = 0.0
    seed: Annotated[StrictInt | None, BeforeValidator(_unless_false)] = 1
    body: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class _Raw:
    """A case before it is checked. lines: of its fields, where they are known."""

    fields: Mapping[str, Any]
    line: int
    lines: Mapping[str, int]


def read_cases(path: Path) -> list[Case]:
    """At least one, in their order; names are unique. Raises: BadCases."""
    try:
        text = text_of(path, MOST_FILE_BYTES)
    except OSError as error:
        raise BadCases(f"{path} can not be read: {error.strerror or error}") from error
    return cases_of(text, path)


def cases_of(text: str, path: Path) -> list[Case]:
    """Of a file with that text. Raises: BadCases."""
    text = text.removeprefix("\ufeff")
    raws = list(_of_lines(text, path) if path.suffix == ".jsonl" else _of_toml(text, path))
    if not raws:
        raise BadCases(f"{path}: there is no case in it")
    if len(raws) > MOST_CASES:
        raise BadCases(f"{path}: {len(raws)} cases are more than {MOST_CASES}")
    cases = [_case(raw, path) for raw in raws]
    _refuse_twins(cases)
    return cases


def found(folder: Path) -> Path:
    """The file of cases in this folder or the nearest one above that has one. Raises: BadCases."""
    for one in (folder.resolve(), *folder.resolve().parents):
        for name in NAMES:
            if (one / name).is_file():
                return one / name
    raise BadCases(f"there is no {' or '.join(NAMES)} in {folder.resolve()}, nor above it")


def _of_toml(text: str, path: Path) -> Iterator[_Raw]:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadCases(_located(path, str(error))) from error
    if unknown := [name for name in document if name != "case"]:
        raise BadCases(f"{path}: {_shown(unknown[0])} is unknown; cases are tables [[case]]")
    tables, places = document.get("case", []), lines_of_cases(text)
    if not isinstance(tables, list) or len(tables) != len(places):
        raise BadCases(f"{path}: cases are tables, each under a line [[case]] of its own")
    yield from map(_of_table, tables, places)


def _of_table(table: Mapping[str, Any], place: Lines) -> _Raw:
    return _Raw(table, place.header, place.fields)


def _located(path: Path, says: str) -> str:
    fault = _FAULT.fullmatch(says)
    return f"{path}:{fault['line']}: {fault['says']}" if fault else f"{path}: {says}"


def _of_lines(text: str, path: Path) -> Iterator[_Raw]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = strict_json(line, _without_repeats)
        except (ValueError, RecursionError) as error:
            raise BadCases(f"{path}:{number}: no JSON: {error}") from error
        if not isinstance(fields, dict):
            raise BadCases(f"{path}:{number}: a case is an object")
        yield _Raw(fields, number, {})


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{_shown(twice[0])} stands twice in one object")
    return dict(pairs)


def _case(raw: _Raw, path: Path) -> Case:
    def fault(field: str | None, words: str) -> BadCases:
        where = Place(str(path), raw.lines.get(field or "", raw.line))
        name = raw.fields.get("name")
        case = f" case {_shown(name)}:" if isinstance(name, str) and name else ""
        said = f" {field if field in Entry.model_fields else _shown(field)}:" if field else ""
        return BadCases(f"{where}:{case}{said} {words}")

    try:
        entry = Entry.model_validate(raw.fields)
    except ValidationError as error:
        raise fault(*_first(error)) from error
    _refuse_senseless(entry, fault)
    case = _made(entry, _asked(entry, path, fault), Place(str(path), raw.line))
    _refuse_unaskable(case, fault)
    return case


Fault = Callable[[str | None, str], BadCases]


def _first(error: ValidationError) -> tuple[str | None, str]:
    """(the field, what is wrong with it)"""
    first = error.errors(include_url=False)[0]
    field, *within = map(str, first["loc"])
    if first["type"] == "extra_forbidden":
        near = get_close_matches(field, Entry.model_fields, 1)
        return field, "there is no such field" + (f"; is {near[0]} meant?" if near else "")
    if first["type"] == "missing":
        return field, "is missing"
    inner = f"{'.'.join(within)}: " if within else ""
    return field, f"{inner}{first['msg']}"


def _refuse_senseless(entry: Entry, fault: Fault) -> None:
    """What each field allows and all together do not."""
    if not entry.name.isprintable() or entry.name != entry.name.strip():
        raise fault("name", "must be printable, without space at its ends")
    for field, words in (("must_mention", entry.must_mention), ("must_not_mention", entry.must_not_mention)):
        if empty := [word for word in words if not word.strip()]:
            raise fault(field, f"{empty[0]!r} is no word")
    if both := set(entry.must_mention) & set(entry.must_not_mention):
        raise fault("must_not_mention", f"{_shown(min(both))} stands in must_mention, too")
    if entry.contract is None and entry.expect_checks == "passed":
        raise fault("expect_checks", "without a contract nothing checks the answer")
    if entry.body.get("n", 1) != 1:
        raise fault("body", "n: a case is judged by one answer; --repeat asks it again")
    if own := [name for name in OWN_FIELDS if name in entry.body]:
        raise fault("body", f"{own[0]} does not belong there")


def _asked(entry: Entry, path: Path, fault: Fault) -> Input:
    given: list[InputKind] = [kind for kind in INPUTS if getattr(entry, kind) is not None]
    if len(given) != 1:
        one = f"has {' and '.join(given)}" if given else "asks nothing"
        raise fault(given[1] if given else None, f"{one}; a case has one of {', '.join(INPUTS)}")
    kind = given[0]
    if kind in DIFFS and entry.contract is None:
        raise fault(kind, "a diff needs a contract, such as pr-summary")
    try:
        return _read(kind, getattr(entry, kind), path)
    except BadCases as error:
        raise fault(kind, str(error)) from error


def _read(kind: InputKind, value: Any, path: Path) -> Input:
    if kind == "messages":
        return Input(kind, messages=tuple(value))
    if kind == "diff_file":
        return Input(kind, diff_of_file(path, value), named=value)
    if kind == "commit":
        return Input(kind, diff_of_commit(path, value), named=value)
    if not value.strip():
        raise BadCases("is empty")
    return Input(kind, value)


def _made(entry: Entry, asked: Input, place: Place) -> Case:
    same = entry.model_dump(exclude={*INPUTS, "expect_checks", "must_mention", "must_not_mention", "expect_route"})
    return Case(
        asked=asked,
        place=place,
        must_mention=tuple(entry.must_mention),
        must_not_mention=tuple(entry.must_not_mention),
        expect_route=tuple(entry.expect_route),
        expect_checks=entry.expect_checks or ("passed" if entry.contract else "any"),
        **same,
    )


def _refuse_unaskable(case: Case, fault: Fault) -> None:
    """Whether the chat API takes the request at all, by the model of it that the server has."""
    try:
        validated(ChatBody, json.dumps(body_of(case)).encode(), lambda model: True)
    except BadAsk as error:
        first = (error.failure.param or "").partition(".")[0]
        raise fault(first if first == "messages" else "body" if first in case.body else None, str(error)) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise fault(None, str(error)) from error


def _refuse_twins(cases: list[Case]) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        if (first := seen.setdefault(case.name, case)) is not case:
            raise BadCases(f"{case.place}: case {_shown(case.name)}: name: the case at {first.place} has it already")


def _shown(text: str) -> str:
    """A word of the file, in an error."""
    return repr(text[:200])
