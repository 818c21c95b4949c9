"""What an answer is worth, by a case's labels. Knows no server and no parser: which names exist, the case says.

All or nothing: an answer passes if it has every required call and TODO and nothing that is not there.
"""

from dataclasses import dataclass

from firstpass.bench.cases import Case
from firstpass.bench.identify import identified
from firstpass.contract.form import Form, Holds, prose_of
from firstpass.contract.references import references, unknown
from firstpass.contract.written import told
from firstpass.evidence import normalised
from firstpass.evidence.account import account_of


@dataclass(frozen=True, slots=True)
class Score:
    """Counts for one answer; a kind of section that its form does not have counts nothing.

    invented_calls: listed, neither required nor a name of the change. mentions: references in prose; invented_mentions:
    those with a part that is no name of the change. invented_todos: listed, and nowhere in the change's text.
    ranked: 1 where the change has a subject and rivals; then identified is whether the answer's sentence finds it, and
    identified_whole whether its sentence and items do. sentences: how many there are; words: in them. told: the share
    of the change's most telling terms that the sentence says, by their weight.
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
    ranked: int = 0
    identified: float = 0.0
    identified_whole: float = 0.0
    sentences: int = 0
    words: int = 0
    told: float = 0.0

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
    sentence, items = (" ".join(held.get(kind, ())) for kind in ("sentence", "items"))
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
        ranked=int(bool(case.rivals)),
        identified=identified(sentence, case.subject, case.rivals) if case.rivals else 0.0,
        identified_whole=identified(f"{sentence} {items}", case.subject, case.rivals) if case.rivals else 0.0,
        sentences=int("sentence" in held),
        words=len(sentence.split()),
        told=told(sentence, account_of(case.diff)) if sentence else 0.0,
    )
