"""The four sections of a pull request summary, written and read back. Knows no diff and no model; judges nothing."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

SectionName = Literal["Summary", "Calls", "TODOs", "Actions"]
SECTIONS: tuple[SectionName, ...] = ("Summary", "Calls", "TODOs", "Actions")

_SINGULAR: dict[str, SectionName] = {"call": "Calls", "todo": "TODOs", "action": "Actions"}
_BY_KEY: dict[str, SectionName] = {name.lower(): name for name in SECTIONS} | _SINGULAR
_HEADING = re.compile(
    r"^\s{0,3}(?:#{1,6}\s+|[-*+]\s+(?=[*_]{2}))?(?P<mark>[*_]{0,3})(?P<name>Summary|Calls?|TODOs?|Actions?)"
    r"(?P<colon>\s*:)?[*_]{0,3}(?P<late>\s*:)?[ \t]*(?P<rest>.*)$",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:[-*+\u2022]|\d{1,3}[.)])(?:\s+(?:\[[ xX]\]\s+)?|$)")
_NONE = re.compile(r"^[`*_(]*(?:none|n/a|nothing)[`*_)]*\.?[`*_)]*$", re.IGNORECASE)
_NAME = re.compile(r"(?:[^\W\d]|[$#])[\w$]*!?")


@dataclass(frozen=True, slots=True)
class Sections:
    """An answer, read. `calls` are bare names; `missing` are the sections that the text has no heading for."""

    summary: str
    calls: tuple[str, ...]
    todos: tuple[str, ...]
    actions: tuple[str, ...]
    missing: tuple[SectionName, ...] = ()


def render_answer(summary: str, calls: Iterable[str], todos: Iterable[str], actions: Iterable[str]) -> str:
    """The answer in its one written form, without a final newline. Each item becomes one line, whitespace collapsed.

    calls: bare names, without parentheses.
    """
    lines = [f"Summary: {_one_line(summary)}", "Calls:", *_bullets(f"{name}()" for name in calls)]
    lines += ["TODOs:", *_bullets(todos), "Actions:", *_bullets(actions)]
    return "\n".join(lines)


def parse_answer(text: str) -> Sections:
    """Read an answer back tolerantly: markdown headings and bold, any bullet, backticks, blank lines, "None."."""
    found: dict[SectionName, list[str]] = {}
    for name, line in _by_section(text):
        lines = found.setdefault(name, [])
        if line.strip():
            lines.append(line)
    return Sections(
        summary=_one_line(" ".join(_unbulleted(line) for line in found.get("Summary", []))),
        calls=_distinct(name for item in _items(found.get("Calls", [])) for name in _call_names(item)),
        todos=tuple(_items(found.get("TODOs", []))),
        actions=tuple(_items(found.get("Actions", []))),
        missing=tuple(name for name in SECTIONS if name not in found),
    )


def _bullets(items: Iterable[str]) -> list[str]:
    return [f"- {_one_line(item)}" for item in items] or ["- none"]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _by_section(text: str) -> Iterator[tuple[SectionName, str]]:
    current: SectionName | None = None
    for line in text.splitlines():
        heading = _heading(line)
        if heading:
            current, line = heading
        if current:
            yield current, line


def _heading(line: str) -> tuple[SectionName, str] | None:
    """The section that a line opens, and what follows on it; "Actions:" and "## Actions" do, "Actions speak" not."""
    match = _HEADING.match(line)
    if not match:
        return None
    marked = bool(match["colon"] or match["late"])
    if not marked and match["rest"].strip():
        return None
    return _BY_KEY[match["name"].lower()], match["rest"]


def _unbulleted(line: str) -> str:
    return _BULLET.sub("", line, count=1).strip()


def _items(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        item = _one_line(_unbulleted(line))
        if item and not _NONE.match(item):
            yield item


def _call_names(item: str) -> Iterator[str]:
    """The bare names of one line: `a.b.create(x)` gives create; "create(), open()" gives both."""
    for part in re.split(r"[,;]\s+(?=[^()]*\()", item):
        head = part.replace("`", "").replace("*", "").strip().partition("(")[0]
        names = _NAME.findall(head.split(" ")[0] if "(" not in part else head)
        if names:
            yield names[-1].rstrip("!")


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
