"""What a case made of a bad answer may expect of a better one. It knows no store and no file."""

from collections.abc import Iterable, Sequence

from firstpass.cases.mentions import mentions
from firstpass.contract.references import references
from firstpass.exchange import Exchange, Finding, Label

OMITTED = ("omitted", "todo-omitted")
INVENTED = ("hallucinated", "todo-hallucinated")
"""Findings whose subject is what an answer should have said, and what it should not."""

MOST = 20
LONGEST = 200


def proposed(exchange: Exchange, labels: Sequence[Label]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(what it must mention, what it must not): from what the checks found, and from how somebody edited it.

    Of an edit only names count that are written as code: its other words may differ in the next good answer.
    """
    step = exchange.answer
    if step is None or step.text is None:
        return (), ()
    must = _subjects(step.failed, OMITTED)
    must_not = _subjects(step.failed, INVENTED)
    edits = [label.text for label in labels if label.verdict == "edit" and label.text]
    if edits:
        right = edits[-1]
        must += [name for name in references(right) if not mentions(step.text, name)]
        must_not = [name for name in must_not if not mentions(right, name)]
        must_not += [name for name in references(step.text) if not mentions(right, name)]
    wanted = _few(must)
    return wanted, tuple(name for name in _few(must_not) if name not in wanted)


def _subjects(findings: Iterable[Finding], checks: Sequence[str]) -> list[str]:
    return [finding.subject for finding in findings if finding.check in checks and finding.subject]


def _few(names: Iterable[str]) -> tuple[str, ...]:
    fitting = (name.strip() for name in names if name.strip() and len(name) <= LONGEST)
    return tuple(dict.fromkeys(fitting))[:MOST]
