"""What an answer is held to, check by check. Each is a small pure function; none knows a tier, a prompt or a policy."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from jsonschema import Draft202012Validator

from firstpass.contract.draft import named
from firstpass.contract.echo import UNTOLD, Instructions, blocks, parrots, repeats, words_said
from firstpass.contract.form import PROSE, Answer, Form, Holds, lines_of, place_of, written_paths
from firstpass.contract.logprobs import least_sure
from firstpass.contract.mend import unread_files
from firstpass.contract.references import names_in, unknown
from firstpass.contract.wording import MOST_WORDS
from firstpass.contract.wrapping import unwrapped
from firstpass.contract.written import (
    LEAST_TOLD,
    SUBJECT_CHARACTERS,
    VERDICTS,
    Writer,
    by_code,
    missing,
    says_enough,
    told,
    verdict_fits,
)
from firstpass.evidence import Evidence, normalised
from firstpass.evidence.account import Account
from firstpass.evidence.comments.todos import unmarked
from firstpass.exchange import TRUNCATED, Finding, Reply

SHOWN_CHARACTERS = 80
"""Of a name in a message: a model that repeats itself makes names without end."""

NO_ACCOUNT = Account()


@dataclass(frozen=True, slots=True)
class Case:
    """What a check may look at. evidence: of nothing, where the contract reads no diff. logprob_floor: in nats.

    account: of nothing, where code writes no section. code: by section, what code writes there. least_told: the share
    of the telling terms that a sentence must say. instructions: what the model was told.
    """

    form: Form
    answer: Answer
    reply: Reply
    evidence: Evidence
    schema: Draft202012Validator | None
    logprob_floor: float | None = None
    account: Account = NO_ACCOUNT
    code: Mapping[str, Writer] = field(default_factory=dict)
    least_told: float = LEAST_TOLD
    instructions: Instructions = UNTOLD

    def written(self, *writers: Writer) -> Iterator[tuple[str, Writer, tuple[str, ...]]]:
        """(name, writer, items) of the sections that one of these writes."""
        return ((name, writer, self.answer[name]) for name, writer in self.code.items() if writer in writers)

    def by_code(self, section: str) -> frozenset[str]:
        """The items that code writes there."""
        writer = self.code.get(section)
        return frozenset(by_code(writer, self.account)) if writer else frozenset()

    def holding(self, *holds: Holds) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(name, items) of the sections that hold one of these."""
        return ((section.name, self.answer[section.name]) for section in self.form.sections if section.holds in holds)


def format_(case: Case) -> Iterator[Finding]:
    """Every section is there, no sentence is empty, and what is written freely says something."""
    for name in case.answer.missing:
        yield Finding("format", "fail", f"Answer has no {name} section", name, name)
    for name, items in case.holding("sentence"):
        if not items and name not in case.answer.missing:
            yield Finding("format", "fail", f"{name} is empty", name, name)
    for section in case.form.sections:
        if section.holds in PROSE:
            yield from _echoes(case, section.name, section.holds)


def _echoes(case: Case, section: str, holds: Holds) -> Iterator[Finding]:
    """What code wrote may quote a diff that repeats itself."""
    by_it = case.by_code(section)
    own = [item for item in case.answer[section] if item not in by_it]
    if said := repeats("\n".join(own)):
        yield Finding("format", "fail", f"{section} repeats itself: {_short(said)}", section, said)
    for item in ("\n".join(block) for block in blocks(own)) if holds == "text" else own:
        if parrots(item, case.instructions):
            message = f"{section} only repeats words of the instructions: {_short(item)}"
            yield Finding("format", "fail", message, section, item)


def schema(case: Case) -> Iterator[Finding]:
    """The answer as an object: a sentence is a string, other sections are lists of strings."""
    if case.schema is None or case.answer.missing:
        return
    fields = {
        section.name: " ".join(case.answer[section.name])
        if section.holds == "sentence"
        else list(case.answer[section.name])
        for section in case.form.sections
    }
    for error in sorted(case.schema.iter_errors(fields), key=lambda error: error.json_path):
        section = str(error.path[0]) if error.path else None
        yield Finding("schema", "fail", f"{error.json_path}: {_short(error.message)}", section, error.json_path)


def calls(case: Case) -> Iterator[Finding]:
    """Required calls are all there, and only names of the diff are.

    A name of the diff that is not newly called is a note, not a failure: the contract promises that names are real and
    that none is left out, and a hunk alone can not prove that a call is old. Of a name that stands in a file which was
    not read there is nothing to say but that.
    """
    evidence = case.evidence
    for section, items in case.holding("calls"):
        for name in evidence.calls:
            if name not in items:
                yield Finding("omitted", "fail", f"Summary omitted required API call: {name}()", section, name)
        for name in items:
            if name not in evidence.identifiers:
                yield _hallucinated(evidence, section, f"{name}()", name)
            elif evidence.languages and name not in evidence.calls and name not in evidence.unread_names:
                message = f"{section} names {name}(), which the diff does not newly call"
                yield Finding("not-new", "note", message, section, name)
        yield from _unread(case, section)


def _unread(case: Case, section: str) -> Iterator[Finding]:
    """What was not read is said, by the answer too where its contract asks for that."""
    for file in case.evidence.unread:
        yield Finding("unread", "note", str(file), section, file.path)
    says = any(one.name == section and one.says_unread for one in case.form.sections)
    if says and case.answer.unread != (said := unread_files(case.evidence)):
        message = (
            f"{section} says that this was not read: {_short(case.answer.unread) or 'nothing'}; it was: {said or 'all'}"
        )
        yield Finding("unread-omitted", "fail", message, section, said or case.answer.unread)


def names(case: Case) -> Iterator[Finding]:
    """A listed name occurs in the diff or a hunk's heading; whether it belongs there this check can not say."""
    for section, items in case.holding("calls"):
        for name in items:
            if name not in case.evidence.identifiers and name not in case.evidence.headings:
                yield _hallucinated(case.evidence, section, f"{name}()", name)


def prose(case: Case) -> Iterator[Finding]:
    """References in the free text occur in the diff's lines, or in its repository where there is an index of one.

    What code wrote may name the function that a hunk's heading has; a model can not tell that from the one before it.
    """
    evidence = case.evidence
    for section, items in case.holding(*PROSE):
        by_it = case.by_code(section)
        own = "\n".join(item for item in items if item not in by_it)
        code_s = "\n".join(item for item in items if item in by_it)
        for reference in (
            *unknown(own, evidence.identifiers),
            *unknown(code_s, evidence.identifiers | evidence.headings),
        ):
            if evidence.names.issuperset(names_in(reference)) and evidence.headings.isdisjoint(names_in(reference)):
                message = f"{section} names {_short(reference)}, which is in the repository but not in the diff"
                yield Finding("elsewhere", "note", message, section, reference)
            else:
                yield _hallucinated(evidence, section, reference, reference)


def todos(case: Case) -> Iterator[Finding]:
    """All that the diff adds, and no others."""
    evidence = case.evidence
    for section, items in case.holding("todos"):
        answered = [normalised(unmarked(text)) for text in items]
        for text in evidence.todos:
            if not any(_same_todo(answer, normalised(text), evidence) for answer in answered):
                yield Finding("todo-omitted", "fail", f"TODOs omitted: {text}", section, text)
        for text, answer in zip(items, answered, strict=True):
            if not any(_same_todo(answer, normalised(real), evidence) for real in evidence.todos):
                message = f"{section} names one that the diff does not add: {text}"
                yield Finding("todo-hallucinated", "fail", message, section, text)


def places(case: Case) -> Iterator[Finding]:
    """Each begins with `path:line`, of a line that the diff shows in the new file."""
    paths = written_paths(case.evidence.paths)
    for section, items in case.holding("places"):
        for item in items:
            place = place_of(item, paths)
            if place is None:
                yield Finding(
                    "place", "fail", f"{section}: {_short(item)} does not begin with path:line", section, item
                )
            elif not case.evidence.shows(*place):
                written = f"{place[0]}:{place[1]}"
                yield Finding("place", "fail", f"{section}: {written} is no line that the diff shows", section, written)


def subject(case: Case) -> Iterator[Finding]:
    """A commit message's first line."""
    for section, items in case.holding("sentence"):
        text = " ".join(items)
        if len(text) > SUBJECT_CHARACTERS:
            message = f"{section} has {len(text)} characters; {SUBJECT_CHARACTERS} are the limit"
            yield Finding("subject", "fail", message, section, text)
        if text.endswith("."):
            yield Finding("subject", "fail", f"{section} ends with a full stop", section, text)
    alone, written = unwrapped(case.reply.text), case.reply.text.strip()
    if alone != written:
        message = "More than the message was written: a fence, a label, or words before or after it"
        yield Finding("subject", "fail", message, "Subject", written.partition("\n")[0])
    lines = lines_of(alone)
    if len(lines) > 1 and lines[1].strip():
        yield Finding("subject", "fail", "The line after the subject is not blank", "Subject", lines[1])


def salient(case: Case) -> Iterator[Finding]:
    """A sentence says what the diff is about; one that code wrote is marked as that."""
    for section, writer, items in case.written("summary", "subject"):
        if note := _by_code(section, writer, items, case.account):
            yield note
        elif items and not says_enough(" ".join(items), case.account, case.least_told):
            terms = ", ".join(term.text for term in case.account.terms[:4])
            message = f"{section} does not say what the change is about: {_short(terms)}"
            yield Finding("salient", "fail", message, section, value=told(" ".join(items), case.account))


def _by_code(section: str, writer: Writer, items: tuple[str, ...], account: Account) -> Finding | None:
    """The mark of what code wrote; None for a model's own words."""
    if not items or items != by_code(writer, account):
        return None
    return Finding("by-code", "note", f"{section} was written by code, from the facts of the diff", section)


def words(case: Case) -> Iterator[Finding]:
    """A summary has MOST_WORDS at most."""
    for section, _, items in case.written("summary"):
        number = len(" ".join(items).split())
        if number > MOST_WORDS:
            message = f"{section} has {number} words; {MOST_WORDS} are the limit"
            yield Finding("words", "fail", message, section, value=number)


def facts(case: Case) -> Iterator[Finding]:
    """Lists of facts leave out nothing that code knows they must say."""
    for section, writer, items in case.written("changes", "review", "faults"):
        for line in missing(writer, items, case.account):
            yield Finding("fact-omitted", "fail", f"{section} leaves out: {_short(line)}", section, line)


def verdict(case: Case) -> Iterator[Finding]:
    """A review's verdict is one of the three, and no approval of what is grave."""
    for section, writer, items in case.written("verdict"):
        if note := _by_code(section, writer, items, case.account):
            yield note
        elif items and not verdict_fits(" ".join(items), case.account):
            message = f"{section} begins with none of {', '.join(VERDICTS)}, or approves of what is grave"
            yield Finding("verdict", "fail", message, section)


def length(case: Case) -> Iterator[Finding]:
    if case.reply.finish_reason == "length":
        yield Finding(TRUNCATED, "fail", "The answer was cut off at the token limit")


def logprobs(case: Case) -> Iterator[Finding]:
    """How sure the model was of the name that it was least sure of, of those that the answer has.

    Only a contract with a floor fails an answer by it.
    """
    if not case.reply.logprobs:
        yield Finding("logprobs", "note", "no logprobs came with this answer")
        return
    if (least := least_sure(case.reply.logprobs, named(case.form, case.answer))) is None:
        return
    name, nats = least
    fails = case.logprob_floor is not None and nats < case.logprob_floor
    message = f"the least sure name is {_short(name)}: {nats:.2f} nats"
    yield Finding("logprobs", "fail" if fails else "note", message, subject=name, value=nats)


CHECKS: Mapping[str, Callable[[Case], Iterator[Finding]]] = {
    "calls": calls,
    "facts": facts,
    "format": format_,
    "length": length,
    "logprobs": logprobs,
    "names": names,
    "places": places,
    "references": prose,
    "salient": salient,
    "schema": schema,
    "subject": subject,
    "todos": todos,
    "verdict": verdict,
    "words": words,
}


def scored_name(name: str, nats: float, floor: float) -> Finding:
    """What a verifier's score of a name means: a doubt, or a note of how sure it is."""
    if nats < floor:
        message = f"The verifier doubts {_short(name)}: {nats:.2f} nats, below {floor:.2f}"
        return Finding("doubted", "fail", message, subject=name, value=nats)
    return Finding("scored", "note", f"The verifier gives {_short(name)} {nats:.2f} nats", subject=name, value=nats)


OF_AN_ITEM = frozenset({"hallucinated", "place", "todo-hallucinated"})
"""Checks that find fault with one item of a list, which no later item undoes."""


def stands(fault: Finding, form: Form, answer: Answer, last: str | None) -> bool:
    """Whether no text that may still come undoes a fault of an answer so far, which ends in the section `last`.

    A section is over where another has begun: only a second heading of its own, which no form has, could go on with it.
    """
    begun = [section for section in form.sections if section.name not in answer.missing]
    holds = next((section.holds for section in begun if section.name == fault.section), None)
    if holds is None or fault.section != last:
        return holds is not None
    return fault.check in OF_AN_ITEM and holds != "sentence"


def endless(form: Form, text: str, evidence: Evidence) -> Finding | None:
    """The loop that an answer so far ends in, if it does; a TODO may stand in the diff as often."""
    said, last = repeats(text, at_end=True), form.last(text)
    holds = next((section.holds for section in form.sections if section.name == last), None)
    quoted = {word for todo in evidence.todos for word in words_said(todo)} if holds == "todos" else set[str]()
    if not said or quoted.issuperset(said.split()):
        return None
    return Finding("format", "fail", f"{last or 'The answer'} repeats itself: {_short(said)}", last, said)


def _hallucinated(evidence: Evidence, section: str, written: str, subject: str) -> Finding:
    known = evidence.identifiers | evidence.headings
    why = (
        "which only a hunk's heading has" if known.issuperset(names_in(subject)) else "which does not occur in the diff"
    )
    return Finding("hallucinated", "fail", f"{section} names {_short(written)}, {why}", section, subject)


def _same_todo(answer: str, real: str, evidence: Evidence) -> bool:
    """Evidence holds a TODO's first line; an answer may go on with the comment's next line, in words of the diff."""
    if answer == real or not answer.startswith(f"{real} "):
        return answer == real
    known = {name.casefold() for name in evidence.identifiers}
    return known.issuperset(names_in(answer.removeprefix(real)))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
