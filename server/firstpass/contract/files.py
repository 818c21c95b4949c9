"""Contracts as folders of files, `<name>/<version>/`, read and held to their form. Knows no tier and no request.

In each: contract.toml (what is read, the answer's form, the checks), prompt.txt (the message that asks, with fields in
braces; none for a contract that passes messages on as they are), draft.txt (the same for a model that was trained on
this contract: it needs no instructions, and may be asked for less where code writes the rest), verify.txt (how to ask
for a verdict; by default `verify.txt` beside the shipped contracts) and answer.schema.json (of the answer as an object
of its sections).
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from firstpass.contract.form import Form, FormName, Holds, Section, form_of
from firstpass.contract.written import Writer
from firstpass.errors import BadSettings

FIELDS = ("diff", "numbered", "openings", "definitions", "todo_lines", "changes", "review", "faults", "terms")
"""What a prompt may ask for in braces: the diff in short form, the same with new line numbers, the candidates, what
code says happened in each file and should be looked at, and the most telling terms."""

CheckName = Literal[
    "calls", "facts", "format", "length", "logprobs", "names", "places", "references", "salient", "schema", "subject",
    "todos", "verdict", "words",
]  # fmt: skip
SHIPPED = Path(__file__).with_name("shipped")

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_VERSION = re.compile(r"[1-9][0-9]{0,3}")
_FIELD = re.compile(r"\{(\w+)\}")
_FILES = ("contract.toml", "prompt.txt", "draft.txt", "verify.txt", "answer.schema.json")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Decoding(Strict):
    """Where the caller sets nothing."""

    max_tokens: int | None = Field(None, gt=0)
    temperature: float | None = Field(None, ge=0, le=2)


class SectionSpec(Strict):
    name: str = Field(pattern=r"^[A-Z][A-Za-z]{0,30}$")
    holds: Holds


class Spec(Strict):
    """contract.toml. code: by section, what code writes there where the model's own fails, by `written.Writer`."""

    summary: str = Field(min_length=1)
    reads: Literal["diff", "anything"]
    form: FormName
    sections: tuple[SectionSpec, ...] = ()
    checks: tuple[CheckName, ...]
    mend: bool = False
    code: dict[str, Writer] = {}
    says_unread: bool = False
    decoding: Decoding = Decoding()
    logprob_floor: float | None = Field(None, le=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.form == "headed") != bool(self.sections):
            raise ValueError("sections belong to the form `headed`, and it needs some")
        if len({section.name.lower() for section in self.sections}) < len(self.sections):
            raise ValueError("two sections have the same name")
        if self.says_unread and not (self.mend and any(section.holds == "calls" for section in self.sections)):
            raise ValueError("says_unread belongs to a contract that is mended and has a section that holds calls")
        if self.reads == "anything" and (
            {*self.checks} - {"format", "length", "logprobs", "schema", "subject"} or self.mend
        ):
            raise ValueError("only a contract that reads a diff can be checked against one, or mended")
        names = {section.name for section in _form(self).sections}
        if strange := sorted({*self.code} - names):
            raise ValueError(f"code: there is no section {strange[0]}")
        if self.code and not self.mend:
            raise ValueError("code writes sections only where `mend` is on")
        return self


@dataclass(frozen=True, slots=True)
class Files:
    """One version of a contract, as it stands on the disk. sha256: over its files' names and bytes, a default's too."""

    name: str
    version: int
    spec: Spec
    form: Form
    prompt: str | None
    draft: str | None
    verify: str
    schema: dict[str, Any] | None
    sha256: str

    @property
    def pinned(self) -> str:
        return f"{self.name}@{self.version}"


def load_folder(folder: Path) -> list[Files]:
    """Every version of every contract in a folder of contracts. Raises: BadSettings, with the file that is wrong."""
    if not folder.is_dir():
        raise BadSettings(f"contracts: {folder} is no directory")
    return [load(version) for name in _directories(folder) for version in _directories(name)]


def _directories(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith((".", "__")))


def load(folder: Path) -> Files:
    """Raises: BadSettings, with the file and the key that are wrong."""
    name, version = folder.parent.name, folder.name
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise BadSettings(f"contracts: {folder}: must be NAME/VERSION, such as release-note/1")
    unknown = sorted({path.name for path in folder.iterdir()} - {*_FILES})
    if unknown:
        raise BadSettings(f"contracts: {folder}: unknown file {unknown[0]}; a contract has {', '.join(_FILES)}")
    raw = {"verify.txt": (SHIPPED / "verify.txt").read_bytes()}
    raw |= {file: (folder / file).read_bytes() for file in _FILES if (folder / file).is_file()}
    spec = _spec(folder / "contract.toml", raw)
    prompt = _text(folder / "prompt.txt", raw)
    _check_fields(folder / "prompt.txt", prompt, spec)
    if (draft := _text(folder / "draft.txt", raw)) is not None:
        _check_fields(folder / "draft.txt", draft, spec)
    return Files(
        name=name,
        version=int(version),
        spec=spec,
        form=_form(spec),
        prompt=prompt,
        draft=draft,
        verify=_text(folder / "verify.txt", raw) or "",
        schema=_schema(folder / "answer.schema.json", raw),
        sha256=sha256(
            b"".join(part for file in sorted(raw) for part in (file.encode(), b"\0", raw[file], b"\0"))
        ).hexdigest(),
    )


def _form(spec: Spec) -> Form:
    says = spec.says_unread
    return form_of(spec.form, [Section(one.name, one.holds, says and one.holds == "calls") for one in spec.sections])


def _spec(path: Path, raw: dict[str, bytes]) -> Spec:
    if path.name not in raw:
        raise BadSettings(f"contracts: {path} is missing")
    try:
        return Spec.model_validate(tomllib.loads(raw[path.name].decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"contracts: {path}: {error}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"])) or "the file"
        raise BadSettings(f"contracts: {path}: {key}: {fault['msg']}") from error


def _text(path: Path, raw: dict[str, bytes]) -> str | None:
    """Without the file's last line end: it is the file's, not the message's."""
    try:
        return raw[path.name].decode("utf-8").removesuffix("\n") if path.name in raw else None
    except UnicodeDecodeError as error:
        raise BadSettings(f"contracts: {path}: {error}") from error


def _check_fields(path: Path, prompt: str | None, spec: Spec) -> None:
    if (prompt is None) == (spec.reads == "diff"):
        raise BadSettings(f"contracts: {path}: a prompt belongs to a contract that reads a diff, and only to one")
    asked = asked_fields(prompt or "")
    if wrong := [field for field in asked if field not in FIELDS]:
        raise BadSettings(f"contracts: {path}: unknown field {{{wrong[0]}}}; there are {', '.join(FIELDS)}")
    if prompt is not None and not {"diff", "numbered"} & set(asked):
        raise BadSettings(f"contracts: {path}: shows the model no diff: {{diff}} or {{numbered}} is missing")


def _schema(path: Path, raw: dict[str, bytes]) -> dict[str, Any] | None:
    if path.name not in raw:
        return None
    try:
        schema = json.loads(raw[path.name])
        Draft202012Validator.check_schema(schema)
    except (ValueError, SchemaError) as error:
        raise BadSettings(f"contracts: {path}: {error}".splitlines()[0]) from error
    if not isinstance(schema, dict):
        raise BadSettings(f"contracts: {path}: must be an object")
    return schema


def asked_fields(template: str) -> list[str]:
    return _FIELD.findall(template)


def filled(template: str, fields: dict[str, str]) -> str:
    """The template with its fields; what stands in a field is text, braces and all."""
    return _FIELD.sub(lambda found: fields[found[1]], template)
