"""Escalation: accept a draft that passes its checks, else mend it, else verify it, else answer it unverified.

It knows whether a verifier exists and whether it is off this machine; it does not know how to reach it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from firstpass.errors import BadAsk, Failure, Forbidden, NotFound
from firstpass.evidence import languages_in
from firstpass.exchange import (
    Answer,
    Ask,
    Consult,
    Exchange,
    Judgement,
    Mend,
    Move,
    Refuse,
    Route,
    Step,
    Target,
    TierName,
    Watch,
)
from firstpass.gate import Gate
from firstpass.gate.drift import drawn
from firstpass.policy.rules import Rule, first_fit

InArm = tuple[str | None, str | None]
"""An experiment and an arm of it, as an ask names them."""

Verifier = Literal["none", "local", "hosted"]
"""Where the verifier tier is. What the operator calls hosted stays hosted, even behind a loopback address."""


_ROUTES: dict[str, Route] = {
    "draft": "draft",
    "mend": "repaired",
    "redraft": "repaired",
    "score": "verified",
    "verify": "verified",
    "answer": "strong",
}


@dataclass(frozen=True, slots=True)
class Course:
    """Where a request goes, the rule that says so if one does, and what happens then, in words."""

    target: Target
    rule: Rule | None
    steps: tuple[str, ...]


class EscalationPolicy:
    """rules: which requests go to one model alone, where the caller leaves the choice to the cascade.

    redrafts: whether the draft engine can be held to a pattern, so that it may write a faulty sentence again.
    redrafting: the further engines that can. verifiers: where each is, of several that have names.
    may_be_asked: whether any verifier takes a request, by the ceiling, the images and the place of each.
    gates: what the score of the narrowest that fits is too low for is verified although it passes the checks.
    broken: whether audits have shown that the promise of the gate of that name is broken.
    audit_share: of the answers that a gate accepts, how many are drawn to be labelled.
    measures: every draft's signals are recorded, so that a gate can be calibrated on them.
    escalates_early: a draft is cut off as soon as it has a fault that ends at the verifier whatever follows.
    score_floor: in nats; where it is set, the verifier first scores what passes the checks but not the gate, and gives
    its verdict only where it doubts a name. score_floors: of those that have names, where one is asked alone.
    arms: of experiments, where the requests of each go that go elsewhere. gates_of_arms: in the place of everybody's.
    """

    def __init__(
        self,
        verifier: Verifier,
        rules: Sequence[Rule] = (),
        *,
        redrafts: bool = False,
        redrafting: frozenset[str] = frozenset(),
        verifiers: Mapping[str, Verifier] | None = None,
        may_be_asked: Callable[[Ask], bool] = lambda _: True,
        gates: Iterable[Gate] = (),
        broken: Callable[[str], bool] = lambda _: False,
        audit_share: float = 0.0,
        measures: bool = False,
        escalates_early: bool = False,
        score_floor: float | None = None,
        score_floors: Mapping[str, float | None] | None = None,
        arms: Mapping[InArm, Target] = MappingProxyType({}),
        gates_of_arms: Mapping[InArm, Iterable[Gate]] = MappingProxyType({}),
    ) -> None:
        self._verifier = verifier
        self._verifiers = verifiers or {}
        self._may_be_asked = may_be_asked
        self._redrafts = redrafts
        self._redrafting = redrafting
        self._gates = _narrowest_first(gates)
        self._arms = arms
        self._gates_of_arms = {arm: _narrowest_first(own) for arm, own in gates_of_arms.items()}
        self._broken = broken
        self._audit_share = audit_share
        self._measures = measures
        self._escalates_early = escalates_early
        self._score_floor, self._score_floors = score_floor, score_floors or {}
        self.rules = tuple(rules)

    def next(self, exchange: Exchange) -> Move:
        target, rule = self._target(exchange)
        if rule is None or exchange.steps:
            return self._next(exchange, target, rule.name if rule else None)
        ask = exchange.ask.directed(rule.engine, rule.verifier)
        move = self._next(replace(exchange, ask=ask), target, rule.name)
        return replace(move, engine=rule.engine, verifier=rule.verifier) if isinstance(move, Consult) else move

    def _next(self, exchange: Exchange, target: Target, rule: str | None) -> Move:
        match target:
            case "local":
                return _alone(exchange, "draft", "draft", rule)
            case "strong":
                return self._strong(exchange, rule)
            case "cascade" if exchange.ask.contract is None:
                return self._unchecked(exchange)
            case "cascade":
                return self._checked(exchange, self._barrier(exchange.ask))

    def explain(self, ask: Ask) -> Course:
        """What would become of a request, without asking anyone."""
        target, rule = self._target(Exchange(ask))
        ask = ask.directed(rule.engine, rule.verifier) if rule else ask
        barrier = self._barrier(ask)
        held = f"the answer is checked against {ask.contract}, and marked where it fails" if ask.contract else ""
        drafter = f"the draft model{f' {ask.engine}' if ask.engine else ''}"
        first = self.next(Exchange(ask))
        if isinstance(first, Refuse):
            return Course(target, rule, (f"it is refused: {first.failure.message}",))
        if target != "cascade":
            verifier = f"the verifier{f' {ask.verifier}' if ask.verifier else ''}"
            who = verifier if target == "strong" else drafter
            return Course(target, rule, (f"{who} answers alone", *filter(None, [held])))
        if ask.contract is None:
            last = (
                "nobody else is asked" if barrier else "only if it fails, before its first word, the verifier is asked"
            )
            return Course(target, rule, (f"{drafter} answers, streaming if asked to", last))
        left = f"answered unverified: {barrier.message}" if barrier else "sent to the verifier for its verdict"
        rewritten = ("a sentence that still names what is not there is written again, in the diff's names alone",)
        scored = "" if barrier or self._floor(ask) is None else "scored by it; where it doubts a name, "
        gated = (f"what passes but is not accepted by the gate is {scored}{left}",)
        cut = ("as soon as a line of it has a fault that would end at the verifier, it answers in the draft's place",)
        steps = (
            f"{drafter} drafts{', streaming what nothing has checked yet' if ask.optimistic else ''}",
            *(cut if self._watch(ask, barrier) else ()),
            f"the draft is checked against {ask.contract}; one that passes is the answer",
            "one that does not is mended by code and checked again",
            *(gated if self._gate(ask) else ()),
            *(rewritten if self._may_redraft(ask) else ()),
            f"what still fails is {left}",
        )
        return Course(target, rule, steps)

    def _target(self, exchange: Exchange) -> tuple[Target, Rule | None]:
        """Where the request goes, and the rule that says so. After the first step, that step tells.

        What a rule sends to one model goes there in every arm of an experiment.
        """
        ask = exchange.ask
        meant = self._arms.get((ask.experiment, ask.arm)) or ask.target
        if ask.target != "cascade":
            return meant, None
        if not exchange.steps:
            rule = self.rule(ask)
            return (rule.then, rule) if rule else (meant, None)
        first = exchange.steps[0].move
        if first.rule is None:
            return meant, None
        target: Target = "strong" if first.tier == "verifier" else "local"
        return target, next((rule for rule in self.rules if rule.name == first.rule), None)

    def rule(self, ask: Ask) -> Rule | None:
        """The one that says where it goes, if one does."""
        return first_fit(self.rules, ask) if ask.target == "cascade" else None

    def may_be_verified(self, ask: Ask) -> bool:
        """Whether a verifier may be asked it."""
        return self._barrier(ask) is None

    def _barrier(self, ask: Ask) -> Failure | None:
        """Why the verifier may not be asked, if it may not."""
        where = self._verifier if ask.verifier is None else self._verifiers[ask.verifier]
        if where == "none":
            return NotFound("no verifier is configured on this server", part="policy", param="model").failure
        if where == "hosted" and (why := _withheld(ask)):
            message = f"the verifier is off this machine and {why}"
            return Forbidden(message, part="policy", param="firstpass.egress", code="egress_forbidden").failure
        if not self._may_be_asked(ask):
            message = "no verifier may be asked this: by the ceiling of the request, or by its own, or for its images"
            return Forbidden(message, part="policy", param="firstpass.egress", code="egress_forbidden").failure
        return None

    def _strong(self, exchange: Exchange, rule: str | None) -> Move:
        barrier = self._barrier(exchange.ask)
        if barrier is not None and rule is not None:
            message = f"the rule {rule!r} sends this to the strong model, and {barrier.message}"
            return Refuse(replace(barrier, message=message))
        if barrier is not None:
            return Refuse(barrier)
        return _alone(exchange, "verifier", "strong", rule)

    def _unchecked(self, exchange: Exchange) -> Move:
        """No contract, so there is nothing to hold the draft back for: it binds, and only its failure escalates.

        Embeddings never do: another model's can not be compared with the first one's.
        """
        steps, escalates = exchange.steps, exchange.ask.kind != "embedding"
        if escalates and len(steps) == 1 and _may_escalate(steps[0], self._barrier(exchange.ask)):
            return Consult("verifier", "answer", binding=True)
        return _alone(exchange, "draft", "draft" if len(steps) < 2 else "strong")

    def _may_redraft(self, ask: Ask) -> bool:
        return self._redrafts if ask.engine is None else ask.engine in self._redrafting

    def _watch(self, ask: Ask, barrier: Failure | None) -> Watch | None:
        """A draft is never cut short where nobody could answer in its place."""
        if not self._escalates_early or barrier is not None:
            return None
        return "rewritten" if self._may_redraft(ask) else "mended"

    def _checked(self, exchange: Exchange, barrier: Failure | None) -> Move:
        """barrier: why the verifier may not be asked, if it may not."""
        judged = self._judged(exchange)
        match exchange.steps:
            case ():
                measured = self._measures or self._gate(exchange.ask) is not None
                watched = self._watch(exchange.ask, barrier)
                return Consult("draft", "draft", early=exchange.ask.optimistic, measured=measured, watched=watched)
            case (draft, *_) if draft.cut:
                return self._instead(exchange)
            case (draft,) if draft.passed:
                return self._gated(exchange.ask, Answer(0, "draft"), judged, barrier)
            case (draft,) if draft.text is not None:
                return Mend(0)
            case (_, Step(move=Mend()) as mended) if mended.passed:
                return self._gated(exchange.ask, Answer(1, "repaired"), judged, barrier)
            case (_, Step(move=Mend()) as mended) if self._may_redraft(exchange.ask) and _may_be_rewritten(mended):
                return Consult("draft", "redraft")
            case (_, _, Step(move=Consult(purpose="redraft")) as rewritten) if rewritten.passed:
                return self._gated(exchange.ask, Answer(2, "repaired"), judged, barrier)
            case (_, *_, Step(move=Mend() | Consult(purpose="redraft"))) if barrier is None:
                return Consult("verifier", "verify", judged=_by_checks(judged))
            case (*_, Step(move=Consult(purpose="score")) as scored):
                return _vouched(exchange, scored, judged)
            case (draft,) if _may_escalate(draft, barrier):
                return Consult("verifier", "answer")
            case _:
                return _best(exchange, judged)

    def _instead(self, exchange: Exchange) -> Move:
        """After a draft that was cut off: the verifier answers afresh.

        A verdict on it would have to write all that the draft had not yet, in edits around it, with the draft as a
        longer question: more tokens than the answer alone, and nobody has learned to judge half a draft. What fails
        the checks of the answer code may mend. A verifier that fails costs the cut, not the answer: the draft is
        written to its end, and the verifier's failure is then why it is not asked again.
        """
        match exchange.steps:
            case (_,):
                return Consult("verifier", "answer")
            case (_, Step(failure=Failure() as failure), *rest):
                return _later(self._checked(replace(exchange, steps=tuple(rest)), failure), 2)
            case (_, answered) if not answered.passed:
                return Mend(1)
            case _:
                return _best(exchange, None)

    def _gate(self, ask: Ask) -> Gate | None:
        """The narrowest that fits: key before language before neither. Of its arm's own, where that has its own."""
        gates = self._gates_of_arms.get((ask.experiment, ask.arm), self._gates)
        if not any(gate.contract == ask.contract for gate in gates):
            return None
        languages = languages_in("\n".join(message.content for message in ask.messages))
        return next((gate for gate in gates if gate.fits(ask, languages)), None)

    def _judged(self, exchange: Exchange) -> Judgement | None:
        """What the gate says of the first draft, whose tokens are its own: what was mended of it has no others."""
        gate = self._gate(exchange.ask)
        draft = exchange.steps[0] if exchange.steps else None
        if gate is None or draft is None or draft.reply is None or draft.cut:
            return None
        for_audit = drawn(exchange.ask.id, self._audit_share)
        return gate.judge(draft, exchange.ask, broken=self._broken(gate.name), drawn=for_audit)

    def _floor(self, ask: Ask) -> float | None:
        return self._score_floor if ask.verifier is None else self._score_floors.get(ask.verifier)

    def _gated(self, ask: Ask, answer: Answer, judged: Judgement | None, barrier: Failure | None) -> Move:
        """An answer of this machine that passes the checks: accepted, or verified, or said to be unverified."""
        if judged is None or judged.accepted:
            return replace(answer, judged=judged)
        if barrier is None and (floor := self._floor(ask)) is not None:
            return Consult("verifier", "score", judged=judged, floor=floor)
        if barrier is None:
            return Consult("verifier", "verify", judged=judged)
        return Answer(answer.step, "unverified", judged)


def _narrowest_first(gates: Iterable[Gate]) -> list[Gate]:
    return sorted(gates, key=lambda gate: gate.narrowness, reverse=True)


def _withheld(ask: Ask) -> str | None:
    """Why nothing of it may leave, if so. Where only secrets may not, they have to be found first."""
    if ask.ceiling == "local-only":
        return "the egress ceiling of this request is local-only"
    if ask.ceiling == "redacted" and any(message.images for message in ask.messages):
        return "the egress ceiling of this request is redacted, and images can't be"
    return None


def _vouched(exchange: Exchange, scored: Step, judged: Judgement | None) -> Move:
    """A draft of which the verifier doubts no name is verified; a score that failed, or a doubt, wants its verdict."""
    if scored.passed:
        return Answer(len(exchange.steps) - 2, "verified", judged)
    return Consult("verifier", "verify", judged=judged)


def _may_escalate(step: Step, barrier: Failure | None) -> bool:
    """A failed step may go to the verifier unless the ask itself was bad or its text already reached the caller."""
    if step.failure is None or step.streamed or barrier is not None:
        return False
    return step.failure.kind != BadAsk.__name__


def _later(move: Move, steps: int) -> Move:
    """A move for an exchange without its first steps, for the whole of it. What is drafted again streams to nobody."""
    match move:
        case Mend(step=step):
            return Mend(step + steps)
        case Answer(step=step):
            return replace(move, step=step + steps)
        case Consult():
            return replace(move, early=False)
        case Refuse():
            return move


def _may_be_rewritten(step: Step) -> bool:
    """Whether there is an answer, and all that is wrong with it is what a sentence names.

    An empty sentence is none: a model that found no words would be held to a pattern that any nonsense fits.
    """
    return step.text is not None and all(
        finding.check == "hallucinated" and finding.section is not None for finding in step.failed
    )


def _alone(exchange: Exchange, tier: TierName, route: Route, rule: str | None = None) -> Move:
    """One tier answers for itself. Under a contract its reply is checked too, and then it does not bind."""
    if not exchange.steps:
        unchecked = exchange.ask.contract is None
        return Consult(tier, "answer", unchecked, rule, early=exchange.ask.optimistic and not unchecked)
    last = exchange.steps[-1]
    if last.failure is not None:
        return Refuse(last.failure)
    return Answer(len(exchange.steps) - 1, route if last.passed else "unverified")


def _by_checks(judged: Judgement | None) -> Judgement | None:
    """Of a draft that fails the checks after its repair: a high score alone accepts nothing."""
    if judged is None or not judged.accepted:
        return judged
    return replace(judged, accepted=False, audit=False, by="failed checks")


def _best(exchange: Exchange, judged: Judgement | None) -> Move:
    """The passing reply, else the one with the fewest failed checks (the later of equals), else the first failure.

    A passing reply that the gate did not accept is not verified by having passed; half a draft is no answer.
    """
    replies = [(number, step) for number, step in enumerate(exchange.steps) if step.text is not None and not step.cut]
    if not replies:
        failure = exchange.steps[0].failure
        assert failure is not None, "a step has a reply or a failure"
        return Refuse(failure)
    number, step = min(replies, key=lambda pair: (len(pair[1].failed), -pair[0]))
    judged = _by_checks(judged)
    refused = judged is not None and not judged.accepted and step.move.tier != "verifier"
    if not step.passed or refused:
        return Answer(number, "unverified", judged)
    return Answer(number, _ROUTES[step.move.purpose], judged)
