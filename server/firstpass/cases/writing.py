"""Writes cases, so that what is read is what was written, to the byte. Knows no server.

Two writers of TOML were looked at (tomlkit 0.15, tomli-w 1.2): both lose the carriage returns of a text in several
lines, which is what a diff of a file with Windows line ends is made of.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from firstpass.cases import Case
from firstpass.cases.inputs import text_of
from firstpass.cases.reading import MOST_FILE_BYTES, Entry, cases_of
from firstpass.errors import BadCases

_SHORT = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\f": "\\f", "\r": "\\r", "\n": "\\n"}
_QUOTE = re.compile(r'"(?="|\Z)')
_LAST_BLANK = re.compile(r"[ ](?=\n|\Z)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_of(case: Case) -> str:
    """A table `[[case]]`. Raises: BadCases for a text that no file of UTF-8 can have."""
    fields = fields_of(case)
    tables = {name: fields.pop(name) for name in ("messages", "body") if name in fields}
    written = ["[[case]]", *(f"{name} = {_value(value)}" for name, value in fields.items())]
    for name, value in tables.items():
        many = isinstance(value, list)
        for table in value if many else [value]:
            written.append(f"\n{'[[' if many else '['}case.{name}{']]' if many else ']'}")
            written += (f"{_key(inner)} = {_value(one)}" for inner, one in _told(table))
    return "".join(f"{line}\n" for line in written)


def line_of(case: Case) -> str:
    """A line of JSONL, without its end."""
    return json.dumps(fields_of(case), ensure_ascii=True)


def fields_of(case: Case) -> dict[str, Any]:
    """As the case is written: what its defaults say is left out."""
    asked = case.asked
    value = list(asked.messages) if asked.kind == "messages" else asked.named or asked.text
    written: dict[str, Any] = {"name": case.name, asked.kind: value}
    checks = "passed" if case.contract else "any"
    own = {"expect_checks": checks}
    for name, field in Entry.model_fields.items():
        said = getattr(case, name, None)
        said = list(said) if isinstance(said, tuple) else said
        if name in written or said in (own.get(name, field.default), None, [], {}):
            continue
        written[name] = said
    off = {name: False for name in ("temperature", "seed") if getattr(case, name) is None}
    return written | off


def append(case: Case, path: Path) -> None:
    """Puts the case behind those of the file, which is made where there is none; nothing that is there is touched.

    Raises: BadCases where the file with it would not be read as its cases and this one; then nothing is written.
    """
    before = text_of(path, MOST_FILE_BYTES) if path.exists() else ""
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    added = f"{line_of(case)}\n" if path.suffix == ".jsonl" else toml_of(case)
    if path.suffix == ".jsonl":
        gap = gap[1:]
    last = cases_of(before + gap + added, path)[-1]
    if fields_of(last) != fields_of(case):
        raise BadCases(f"{path}: the case {case.name!r} would not be read back as it is")
    with path.open("ab") as file:
        file.write((gap + added).encode())
        file.flush()
        os.fsync(file.fileno())


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case Mapping():
            return "{ " + ", ".join(f"{_key(name)} = {_value(one)}" for name, one in _told(value)) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            raise BadCases(f"TOML has no way to write {type(value).__name__}")


def _told(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """TOML has no null; in a request it means the same as no field."""
    return ((name, value) for name, value in table.items() if value is not None)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _line(name)


def _text(text: str) -> str:
    return f'"""\n{_block(text)}"""' if "\n" in text else _line(text)


def _line(text: str) -> str:
    return '"' + "".join(map(_character, text)).replace('"', '\\"') + '"'


def _block(text: str) -> str:
    """Of several lines: no two quotes stand side by side, and no editor takes blanks from the end of a line."""
    escaped = "\n".join("".join(map(_character, line)) for line in text.split("\n"))
    return _LAST_BLANK.sub(r"\\u0020", _QUOTE.sub(r'\\"', escaped))


def _character(one: str) -> str:
    """TOML 1.0: "Any Unicode character may be used except those that must be escaped"; more are, to be seen."""
    if one in _SHORT:
        return _SHORT[one]
    if "\ud800" <= one <= "\udfff":
        raise BadCases("half of a UTF-16 pair is no character")
    if one.isprintable():
        return one
    return f"\\u{ord(one):04X}" if ord(one) < 0x10000 else f"\\U{ord(one):08X}"
