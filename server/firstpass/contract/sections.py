"""The four sections of a pull request summary. Knows no diff and no model; judges nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from firstpass.contract import shipped

FORM = shipped("pr-summary@3").files.form
SECTIONS = tuple(section.name for section in FORM.sections)


@dataclass(frozen=True, slots=True)
class Sections:
    """An answer, read. `calls` are bare names; `missing` are the sections that the text has no heading for."""

    summary: str
    calls: tuple[str, ...]
    todos: tuple[str, ...]
    actions: tuple[str, ...]
    missing: tuple[str, ...] = ()


def render_answer(summary: str, calls: Iterable[str], todos: Iterable[str], actions: Iterable[str]) -> str:
    """The answer in its one written form. calls: bare names, without parentheses."""
    return FORM.render(dict(zip(SECTIONS, ((summary,), tuple(calls), tuple(todos), tuple(actions)), strict=True)))


def parse_answer(text: str) -> Sections:
    answer = FORM.read(text)
    summary, calls, todos, actions = (answer[name] for name in SECTIONS)
    return Sections(" ".join(summary), calls, todos, actions, answer.missing)
