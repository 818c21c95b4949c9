"""A reply as the gate's signals look at it. Knows no signal, and judges nothing."""

from firstpass.contract.form import Answer, Form, prose_of
from firstpass.contract.references import NAME, names_in, references
from firstpass.evidence import Diff, Evidence
from firstpass.exchange import Reply
from firstpass.gate.signals import Draft


def draft_of(form: Form, reply: Reply, evidence: Evidence, parsed: Diff, candidates: frozenset[str]) -> Draft:
    """candidates: the names that the prompt shows as possible ones.

    Places in the text are those of the tokens put together: an end token or half a character may have no other.
    """
    text = "".join(token.token for token in reply.logprobs)
    answer = form.read(text)
    names = named(form, answer)
    changed = [line for file in parsed.files for hunk in file.hunks for line in hunk.lines if line.kind != "context"]
    return Draft(
        tokens=reply.logprobs,
        names=[match.span() for match in NAME.finditer(text) if match[0] in names],
        lists=list(form.lists(text)),
        listed=listed(form, answer),
        candidates=candidates,
        valid=evidence.identifiers,
        lines=len(changed),
        files=len(parsed.files),
    )


def listed(form: Form, answer: Answer) -> frozenset[str]:
    return frozenset(name for section in form.sections if section.holds == "calls" for name in answer[section.name])


def named(form: Form, answer: Answer) -> frozenset[str]:
    """Every name that an answer uses as one, in its lists and in its prose."""
    return listed(form, answer).union(*(names_in(reference) for reference in references(prose_of(form, answer))))
