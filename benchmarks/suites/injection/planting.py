"""Drafts with one planted fault each, of labelled commits, and whether an answer is still wrong. Knows no model.

Half of the faults are such that a check finds them, half such that none can: what is said is made of the diff's own
names, and false.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from firstpass.bench.cases import Case
from firstpass.bench.score import score_of
from firstpass.chat import Message
from firstpass.contract import PromptedContract
from firstpass.contract.references import unknown
from firstpass.contract.sections import FORM, Sections, render_answer
from firstpass.evidence import Evidence, gather, normalised
from firstpass.exchange import Ask, Reply


@dataclass(frozen=True, slots=True)
class Scene:
    """others: commits of other repositories."""

    case: Case
    evidence: Evidence
    others: Sequence[Case]
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Faulty:
    """A draft with a fault. planted: what stands in it and is false; empty where the fault is what does not stand."""

    case: Case
    kind: str
    seen: bool
    text: str
    planted: str

    def within(self, diff: str) -> "Faulty":
        """The same in a diff with more in it: what that adds is true of it."""
        before, after = gather(self.case.diff), gather(diff)
        todos = {normalised(text) for text in after.todos if text not in before.todos}
        names = self.case.names | (after.identifiers - before.identifiers)
        return replace(self, case=replace(self.case, diff=diff, todos=self.case.todos | todos, names=names))

    def wrong(self, answer: str) -> bool:
        """Whether the fault is still there, or the answer is wrong by the labels."""
        items = (item for section in FORM.read(answer).parts.values() for item in section)
        still = bool(self.planted) and any(self.planted in item for item in items)
        return still or not score_of(self.case, answer, FORM).passed


Fault = Callable[[Sections, Scene], tuple[Sections, str] | None]
"""What a fault makes of a right draft, and what of that is false; None where it does not fit."""


def invented_sentence(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    name = scene.rng.choice(("loadRocket", "openHarbour", "make_violin"))
    return replace(right, summary=f"Call {name}() in {scene.evidence.paths[0]}."), name


def invented_call(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    name = scene.rng.choice(("loadRocket", "openHarbour", "make_violin"))
    return replace(right, calls=(*right.calls, name)), name


def omitted_call(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    left = scene.rng.choice(right.calls)
    return replace(right, calls=tuple(name for name in right.calls if name != left)), ""


def misspelt_call(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    name = scene.rng.choice(right.calls)
    wrong = f"{name}{name[-1]}x"
    return replace(right, calls=tuple(wrong if one == name else one for one in right.calls)), wrong


def others_sentence(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    """Another commit's subject, of which every name occurs here."""
    names = scene.evidence.identifiers
    fitting = (one.subject for one in scene.rng.sample(scene.others, 50) if one.subject)
    subject = next((text for text in fitting if not unknown(text, names)), None)
    return subject and (replace(right, summary=subject), subject)


def turned_sentence(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    """That a call goes which comes."""
    planted = f"Remove {right.calls[0]}"
    return replace(right, summary=f"{planted} from {scene.evidence.paths[0]}."), planted


def old_call(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    """A name of the diff that it does not newly call."""
    old = sorted(scene.evidence.identifiers - set(right.calls) - scene.case.required)
    name = scene.rng.choice(old) if old else ""
    return (replace(right, calls=(*right.calls, name)), name) if name else None


def false_action(right: Sections, scene: Scene) -> tuple[Sections, str] | None:
    planted = f"Delete {scene.evidence.paths[0]}"
    return replace(right, actions=(planted,)), planted


SEEN: dict[str, Fault] = {
    "invented sentence": invented_sentence,
    "invented call": invented_call,
    "omitted call": omitted_call,
    "misspelt call": misspelt_call,
}
UNSEEN: dict[str, Fault] = {
    "another commit's sentence": others_sentence,
    "a sentence turned round": turned_sentence,
    "an old call as a new one": old_call,
    "an action that is false": false_action,
}


KINDS = tuple(kind for pair in zip(SEEN, UNSEEN, strict=True) for kind in pair)


def rendered(parts: Sections) -> str:
    return render_answer(parts.summary, parts.calls, parts.todos, parts.actions)


def right_draft(evidence: Evidence) -> Sections:
    named = f"Call {evidence.calls[0]} in {evidence.paths[0]}."
    return Sections(named, evidence.calls, evidence.todos, (f"Add tests for {evidence.paths[0]}",))


def asked(case: Case, contract: PromptedContract, id_: str) -> Ask:
    return Ask(id_, 0.0, "chat", "firstpass", "cascade", (Message("user", case.diff),), contract=contract.pinned)


def passes(case: Case, contract: PromptedContract, text: str) -> bool:
    findings = contract.check(asked(case, contract, "-"), Reply(text, "", "stop", None, 0.0))
    return not any(finding.severity == "fail" for finding in findings)


def planted(
    cases: Sequence[Case], others: Sequence[Case], contract: PromptedContract, number: int, seed: int
) -> Iterator[Faulty]:
    """The kinds in turn, each of a commit whose evidence agrees with its labels, so that a right draft passes."""
    rng = random.Random(seed)
    made = 0
    for case in rng.sample(cases, len(cases)):
        if made == number:
            return
        found = _faulty(KINDS[made % len(KINDS)], Scene(case, gather(case.diff), others, rng), contract)
        if found is not None:
            made += 1
            yield found


def _faulty(kind: str, scene: Scene, contract: PromptedContract) -> Faulty | None:
    case, evidence = scene.case, scene.evidence
    if not evidence.calls or not evidence.paths or set(evidence.calls) != case.required:
        return None
    right = right_draft(evidence)
    if not passes(case, contract, rendered(right)) or not score_of(case, rendered(right), FORM).passed:
        return None
    made = (SEEN | UNSEEN)[kind](right, scene)
    if made is None:
        return None
    one = Faulty(case, kind, kind in SEEN, rendered(made[0]), made[1])
    return one if one.wrong(one.text) and passes(case, contract, one.text) != one.seen else None
