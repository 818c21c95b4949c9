"""The first policy with a calibrated gate, and with a verifier that scores: move by move, without a network."""

from dataclasses import replace
from typing import Any

import pytest

from firstpass.chat import Message, Sampling
from firstpass.exchange import Answer, Consult, Exchange, Finding, Mend, Move, Step
from firstpass.gate import Gate
from firstpass.gate.bounds import Promise
from firstpass.gate.score import Score, Term
from firstpass.policy.escalation import EscalationPolicy, Verifier
from tests.doubles import DIFF
from tests.unit.test_policy import ASK, BAD, CUT, DOWN, DRAFT, GOOD, MENDED, VERIFY

GATE = Gate(
    contract="pr-summary@3",
    model="m",
    score=Score((Term("least_name", -1.0, 1.0, 2.0),), 0.0),
    accept_from=0.5,
    promise=Promise(0.02, 0.95, 1000, 10, 0.017, 0.8, 0.027, 0.94),
    most_bytes=100,
    fitted_on={"a": 500},
    calibrated_on={"b": 1000},
    made_unix=0.0,
    version="0.1.0",
)
SURE, UNSURE = (
    Step(DRAFT, GOOD, signals={"least_name": 0.0, "least_logprob": -0.1}),
    Step(DRAFT, GOOD, signals={"least_name": -2.0, "least_logprob": -3.0}),
)


def gated(verifier: Verifier, *steps: Step, broken: bool = False) -> Move:
    return EscalationPolicy(verifier, gates=[GATE], broken=lambda _: broken).next(Exchange(ASK, steps))


OF_ALL, OF_PYTHON, OF_KEY = GATE, replace(GATE, language="python"), replace(GATE, key="k1")
OF_BOTH = replace(OF_PYTHON, key="k1")
PYTHON, GO = DIFF, DIFF.replace("auth.py", "auth.go")


@pytest.mark.parametrize(
    ("gates", "diff", "key", "counts"),
    [
        ([OF_ALL, OF_PYTHON], PYTHON, None, OF_PYTHON),
        ([OF_PYTHON, OF_ALL], GO, None, OF_ALL),
        ([OF_PYTHON, OF_ALL], PYTHON + GO, None, OF_ALL),
        ([OF_PYTHON, OF_KEY, OF_ALL], PYTHON, "k1", OF_KEY),
        ([OF_KEY, OF_BOTH], PYTHON, "k1", OF_BOTH),
        ([OF_KEY, OF_BOTH], GO, "k1", OF_KEY),
        ([OF_KEY], PYTHON, "k2", None),
        ([OF_KEY], PYTHON, None, None),
        ([OF_PYTHON], "no diff at all", None, None),
    ],
)
def test_of_the_gates_that_fit_the_narrowest_counts(
    gates: list[Gate], diff: str, key: str | None, counts: Gate | None
) -> None:
    gates = [replace(gate, most_bytes=10_000) for gate in gates]
    ask = replace(ASK, messages=(Message("user", diff),), key=key)
    policy = EscalationPolicy("none", gates=gates)
    move = policy.next(Exchange(ask, (SURE,)))
    name = None if counts is None else replace(counts, most_bytes=10_000).name
    assert isinstance(move, Answer) and (move.judged.gate if move.judged else None) == name
    first = policy.next(Exchange(ask))
    assert isinstance(first, Consult) and first.measured == (counts is not None)


def test_a_gate_for_all_keeps_the_name_that_it_had_before_there_were_others() -> None:
    assert '"key"' not in GATE.text() and '"language"' not in GATE.text()
    assert len({gate.name for gate in (OF_ALL, OF_PYTHON, OF_KEY, OF_BOTH)}) == 4


def test_a_gate_wants_the_draft_s_signals() -> None:
    assert gated("none") == replace(DRAFT, measured=True)
    assert EscalationPolicy("none", measures=True).next(Exchange(ASK)) == replace(DRAFT, measured=True)


def test_a_sure_draft_is_never_sent_to_the_verifier() -> None:
    move = gated("local", SURE)
    assert isinstance(move, Answer) and (move.step, move.route) == (0, "draft")
    assert move.judged is not None and move.judged.accepted and move.judged.score > 0.8
    assert (move.judged.gate, move.judged.risk, move.judged.confidence) == (GATE.name, 0.02, 0.95)


def test_an_unsure_draft_is_verified_although_it_passes_the_checks() -> None:
    move = gated("local", UNSURE)
    assert isinstance(move, Consult) and move.purpose == "verify"
    assert move.judged is not None and not move.judged.accepted
    verified = Step(move, GOOD, edited="better")
    end = gated("local", UNSURE, verified)
    assert isinstance(end, Answer) and (end.step, end.route, end.judged) == (1, "verified", move.judged)


def scoring(*steps: Step, verifier: Verifier = "local") -> Move:
    return EscalationPolicy(verifier, gates=[GATE], score_floor=-4.0).next(Exchange(ASK, steps))


def test_who_is_asked_alone_scores_only_by_its_own_floor() -> None:
    """One that gives verdicts was asked for a score, since the first of several scores."""
    places: dict[str, Verifier] = {"near": "local", "far": "hosted", "third": "local"}
    floors = {"near": -4.0, "far": None, "third": -9.0}
    policy = EscalationPolicy("local", gates=[GATE], verifiers=places, score_floor=-4.0, score_floors=floors)
    moves = [policy.next(Exchange(replace(ASK, ceiling="any", verifier=name), (UNSURE,))) for name in (None, *places)]
    assert [(move.purpose, move.floor) for move in moves if isinstance(move, Consult)] == [
        *(("score", -4.0), ("score", -4.0), ("verify", None), ("score", -9.0))
    ]


def test_a_verifier_that_scores_gives_its_verdict_only_where_it_doubts_a_name() -> None:
    score = scoring(UNSURE)
    assert isinstance(score, Consult) and (score.tier, score.purpose, score.floor) == ("verifier", "score", -4.0)
    kept = scoring(UNSURE, Step(score, GOOD))
    assert isinstance(kept, Answer) and (kept.step, kept.route, kept.judged) == (0, "verified", score.judged)
    doubt = Finding("doubted", "fail", "The verifier doubts createSession", subject="createSession", value=-5.0)
    for scored in (Step(score, GOOD, findings=(doubt,)), Step(score, failure=DOWN)):
        verify = scoring(UNSURE, scored)
        assert verify == Consult("verifier", "verify", judged=score.judged)
        assert isinstance(verify, Consult)
        end = scoring(UNSURE, scored, Step(verify, GOOD))
        assert isinstance(end, Answer) and (end.step, end.route) == (2, "verified")
        down = scoring(UNSURE, scored, Step(verify, failure=DOWN))
        assert isinstance(down, Answer) and (down.step, down.route) == (0, "unverified")


def test_what_code_mended_is_scored_and_what_fails_the_checks_is_not() -> None:
    unsure = replace(UNSURE, findings=BAD)
    score = scoring(unsure, MENDED)
    assert isinstance(score, Consult) and score.purpose == "score"
    kept = scoring(unsure, MENDED, Step(score, GOOD))
    assert isinstance(kept, Answer) and (kept.step, kept.route) == (1, "verified")
    failing = scoring(unsure, replace(MENDED, findings=BAD))
    assert isinstance(failing, Consult) and failing.purpose == "verify"
    sure, nobody = scoring(SURE), scoring(UNSURE, verifier="none")
    assert isinstance(sure, Answer) and sure.route == "draft"
    assert isinstance(nobody, Answer) and nobody.route == "unverified"


def test_an_unsure_draft_that_nobody_can_verify_says_that_it_is_unverified() -> None:
    none = gated("none", UNSURE)
    assert isinstance(none, Answer) and (none.step, none.route) == (0, "unverified")
    down = gated("local", UNSURE, Step(VERIFY, failure=DOWN))
    assert isinstance(down, Answer) and (down.step, down.route) == (0, "unverified")


def test_the_gate_judges_what_code_mended_by_the_draft_s_own_tokens() -> None:
    failing = [replace(step, findings=BAD) for step in (SURE, UNSURE)]
    moves = [gated("local", step, MENDED) for step in failing]
    assert isinstance(moves[0], Answer) and moves[0].route == "repaired"
    assert isinstance(moves[1], Consult) and moves[1].purpose == "verify"


def test_a_gate_whose_promise_is_broken_accepts_nothing() -> None:
    move = gated("local", SURE, broken=True)
    assert isinstance(move, Consult) and move.judged is not None
    assert move.judged.by == "broken promise" and not move.judged.accepted


@pytest.mark.parametrize(
    ("step", "by"),
    [
        (Step(DRAFT, GOOD), "no log-probabilities"),
        (replace(SURE, reply=replace(GOOD, model="another")), "another model"),
    ],
)
def test_a_gate_accepts_only_drafts_of_its_model_with_log_probabilities(step: Step, by: str) -> None:
    move = gated("none", step)
    assert isinstance(move, Answer) and move.route == "unverified"
    assert move.judged is not None and move.judged.by == by


@pytest.mark.parametrize(
    ("changes", "by"),
    [
        ({"sampling": Sampling(temperature=0.0)}, "score"),
        ({"sampling": Sampling(temperature=0.7)}, "another decoding"),
        ({"sampling": Sampling(stop=("x",))}, "another decoding"),
        ({"sampling": Sampling(reasoning_effort="none")}, "another decoding"),
        ({"sampling": Sampling(thinking_tokens=0)}, "another decoding"),
        ({"sampling": Sampling(thinks_adaptively=True)}, "another decoding"),
        ({"messages": (Message("user", "d" * 101),)}, "a larger input"),
    ],
)
def test_a_gate_accepts_only_requests_like_those_that_it_was_calibrated_on(changes: dict[str, Any], by: str) -> None:
    move = EscalationPolicy("none", gates=[GATE]).next(Exchange(replace(ASK, **changes), (SURE,)))
    assert isinstance(move, Answer) and move.judged is not None
    assert (move.judged.by, move.judged.accepted) == (by, by == "score")


def test_a_high_score_accepts_nothing_that_fails_the_checks_and_audits_nothing_of_it() -> None:
    """Bug: a sure draft that nobody could mend was marked as accepted, and its label counted against the promise."""
    steps = (replace(SURE, findings=BAD), Step(Mend(0), edited="mended", findings=BAD))
    policies = [EscalationPolicy(verifier, gates=[GATE], audit_share=1.0) for verifier in ("none", "local")]
    for move in (policy.next(Exchange(ASK, steps)) for policy in policies):
        assert isinstance(move, Answer | Consult) and move.judged is not None
        assert (move.judged.accepted, move.judged.audit, move.judged.by) == (False, False, "failed checks")
    sure = policies[0].next(Exchange(ASK, (SURE,)))
    assert isinstance(sure, Answer) and sure.judged is not None and sure.judged.audit


def test_the_gate_is_in_what_a_request_is_told_before_it_is_made() -> None:
    told = EscalationPolicy("local", gates=[GATE]).explain(ASK).steps
    assert "what passes but is not accepted by the gate is sent to the verifier for its verdict" in told
    told = EscalationPolicy("local", gates=[GATE], score_floor=-4.0).explain(ASK).steps
    assert any("is scored by it; where it doubts a name, sent to the verifier for its verdict" in step for step in told)


def test_the_gate_has_nothing_to_say_of_half_a_draft() -> None:
    policy = EscalationPolicy("local", gates=[GATE], escalates_early=True)
    answered = Step(Consult("verifier", "answer"), GOOD)
    assert policy.next(Exchange(ASK, (CUT, answered))) == Answer(1, "strong")
