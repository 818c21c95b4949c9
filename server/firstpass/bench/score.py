"""What an answer is worth, by a case's labels. Knows no server and no parser: which names exist, the case says.

All or nothing: an answer passes if it has every required call and TODO and nothing that is not there.
"""

from dataclasses import dataclass

from firstpass.bench.cases import Case
from firstpass.contract.form import Form, Holds, prose_of
from firstpass.contract.references import references, unknown
from firstpass.evidence import normalised


@dataclass(frozen=True, slots=True)
class Score:
    """Counts for one answer; a kind of section that its form does not have counts nothing.

    invented_calls: listed, neither required nor a name of the change. mentions: references in prose; invented_mentions:
    those with a part that is no name of the change. invented_todos: listed, and nowhere in the change's text.
    """

    required: int = 0
    omitted: int = 0
    calls: int = 0
    invented_calls: int = 0
    todos: int = 0
    omitted_todos: int = 0
    invented_todos: int = 0
    mentions: int = 0
    invented_mentions: int = 0
    missing_sections: int = 0

    @property
    def structured(self) -> bool:
        """Whether the sections that are lists of facts are right."""
        faults = self.omitted + self.invented_calls + self.omitted_todos + self.invented_todos
        return not faults and not self.missing_sections

    @property
    def prose(self) -> bool:
        return not self.invented_mentions

    @property
    def passed(self) -> bool:
        return self.structured and self.prose


def score_of(case: Case, text: str, form: Form) -> Score:
    answer = form.read(text)
    held: dict[Holds, list[str]] = {}
    for section in form.sections:
        held.setdefault(section.holds, []).extend(answer[section.name])
    calls, todos = set(held.get("calls", ())), set(map(normalised, held.get("todos", ())))
    prose = prose_of(form, answer)
    required = case.required if "calls" in held else frozenset()
    expected = case.todos if "todos" in held else frozenset()
    shown = normalised(case.diff)
    return Score(
        required=len(required),
        omitted=len(required - calls),
        calls=len(calls),
        invented_calls=len(calls - case.names - case.required),
        todos=len(expected),
        omitted_todos=len(expected - todos),
        invented_todos=sum(todo not in shown for todo in todos),
        mentions=len(references(prose)),
        invented_mentions=len(unknown(prose, case.names)),
        missing_sections=sum(not answer[section.name] for section in form.sections if section.holds == "sentence")
        + len(answer.missing),
    )
