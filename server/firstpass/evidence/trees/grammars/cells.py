"""A notebook's lines as code: it is JSON, and each line of a cell one of its strings. Knows no diff and no tree."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_KEY = re.compile(r"^\s*\"(?P<key>[\w/.+-]+)\":\s*(?P<value>.*)$")
_STRING = re.compile(r"^(?P<indent>\s*)(?P<string>\"(?:[^\"\\]|\\.)*\")\s*(?:,\s*)?$")
_LANGUAGE = re.compile(r"\"language\":\s*\"(?P<name>[\w+#.-]{1,40})\"")
_SOURCE_INDENT = 4
"""Spaces before a line of a cell: Jupyter writes notebooks with an indent of one for each level."""
_TRANSPARENT = ("%%time", "%%timeit", "%%capture", "%%prun", "%%memit")
"""Cell magics whose cell is Python nevertheless."""
_NOT_PYTHON = ("%", "!", "?")
_PYTHON = re.compile(
    r"\s*(?:import |from [\w.]+ import |(?:async )?def \w|class \w|(?:for|if|while|with|try)\b.*:\s*$|@\w|return\b"
    r"|[\w.\[\]\"', ]+ [-+*/|&]?= \S)"
)


def other_kernel(lines: Sequence[str]) -> str | None:
    """The kernel's language where the lines show it and it is not Python."""
    names = (found["name"] for line in lines if (found := _LANGUAGE.search(line)))
    return next((name for name in names if name.lower() not in ("python", "ipython")), None)


def notebook_code(lines: Sequence[str]) -> list[str] | None:
    """The lines of code cells; outputs, text cells, magics and shell commands are left empty.

    None where a cell that may call does not show what kind of cell it is, neither by its type nor by its lines.
    """
    cells = [*_cells(lines)]
    texts: dict[int, list[str]] = {}
    for line in cells:
        texts.setdefault(line.cell, []).append(line.text)
    typed = {line.cell: line.kind for line in cells}
    if any(typed[cell] == "unknown" and _unclear(text) for cell, text in texts.items()):
        return None
    return [
        "" if line.text.lstrip().startswith(_NOT_PYTHON) or line.text.endswith("?") else line.text for line in cells
    ]


def cell_texts(lines: Sequence[str]) -> list[str]:
    """The lines of all cells that may be code, as text; others are empty."""
    return [line.text for line in _cells(lines)]


class _Line(NamedTuple):
    """A line of the file. text: of a cell that may be code. kind: what is known of the cell. cell: its number."""

    text: str
    kind: str
    cell: int


def _cells(lines: Sequence[str]) -> Iterator[_Line]:
    """A hunk that begins inside a list: a line of a cell has the indentation that Jupyter gives it."""
    listed, kind, cell, foreign = "unknown", "unknown", 0, False
    for line in lines:
        text = ""
        if key := _KEY.match(line):
            listed = key["key"] if key["value"].startswith("[") and "]" not in key["value"] else ""
            kind = _kind(key["key"], key["value"], kind)
            cell, foreign = cell + 1, False
        elif string := _STRING.match(line):
            in_source = listed == "source" or (listed == "unknown" and len(string["indent"]) == _SOURCE_INDENT)
            text = _decoded(string["string"]) if in_source and kind in ("code", "unknown") else ""
            foreign = foreign or (text.startswith("%%") and not text.startswith(_TRANSPARENT))
            text = "" if foreign else text
        elif line.strip().startswith(("]", "}", "{")):
            listed, cell, foreign = "", cell + 1, False
            kind = "unknown" if line.strip().startswith("{") else kind
        yield _Line(text, kind, cell)


def _kind(key: str, value: str, before: str) -> str:
    """What a cell is known to be after one of its keys; only code has outputs and is counted."""
    if key == "cell_type":
        return value.strip(' ",')
    return "code" if key in ("execution_count", "outputs") and before == "unknown" else before


def _unclear(texts: Sequence[str]) -> bool:
    """Whether lines may call, and may as well be prose."""
    return any("(" in text for text in texts) and not any(_PYTHON.match(text) for text in texts)


def _decoded(string: str) -> str:
    """One line; empty where it is no JSON."""
    try:
        return " ".join(str(json.loads(string)).removesuffix("\n").splitlines())
    except ValueError:
        return ""
