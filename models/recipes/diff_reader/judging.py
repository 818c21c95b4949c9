"""What a verifier's verdicts are worth: on drafts with faults, and on right ones. Knows no model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diff_reader.measures import interval
from diff_reader.rows import CONTRACT, Row
from firstpass.errors import BadVerdict
from firstpass.exchange import Consult

_VERIFY = Consult("verifier", "verify")


@dataclass(frozen=True, slots=True)
class Judged:
    """One draft and the reply about it.

    faulty: the draft failed a check. valid: the reply is a verdict that can be carried out. passes: its outcome does.
    """

    faulty: bool
    valid: bool
    passes: bool


def judged(row: Row, said: str) -> Judged:
    """said: the verifier's reply to the row's draft."""
    exchange, contract = row.exchange(), CONTRACT
    (step,) = exchange.steps
    assert step.reply is not None, "a row's draft is a reply"
    faulty = bool(step.failed)
    reply = replace(step.reply, text=said)
    try:
        text = contract.read(exchange, _VERIFY, reply)
    except BadVerdict:
        return Judged(faulty, valid=False, passes=False)
    findings = contract.check(exchange.ask, replace(reply, text=text))
    return Judged(faulty, valid=True, passes=not any(finding.severity == "fail" for finding in findings))


def verdict_figures(every: Sequence[Judged]) -> dict[str, Any]:
    """mended: of the drafts with faults, those that pass afterwards. kept: of the others, those that still do."""
    faulty, right = [one for one in every if one.faulty], [one for one in every if not one.faulty]
    return {
        "drafts": len(every),
        "faulty": len(faulty),
        "valid": interval(every, _share(lambda one: one.valid)),
        "mended": interval(faulty, _share(lambda one: one.passes)),
        "kept": interval(right, _share(lambda one: one.passes)),
    }


def _share(what: Callable[[Judged], bool]) -> Callable[[Sequence[Judged]], float]:
    return lambda every: sum(map(what, every)) / len(every)
