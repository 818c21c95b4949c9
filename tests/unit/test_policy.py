"""The first policy, move by move, without a network."""

from dataclasses import replace
from typing import Any

import pytest

from firstpass.errors import BadAsk, ContextTooLong, Failure, TierUnavailable
from firstpass.exchange import (
    ESCALATED,
    Answer,
    Ask,
    Ceiling,
    Consult,
    Exchange,
    Finding,
    Mend,
    Message,
    Move,
    Refuse,
    Reply,
    Sampling,
    Step,
    strictest,
)
from firstpass.gate import Gate
from firstpass.gate.bounds import Promise
from firstpass.gate.score import Score, Term
from firstpass.policy.first import FirstPolicy, Verifier
from tests.doubles import DIFF

ASK = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", "diff"),), contract="pr-summary")
GOOD = Reply("good", "m", "stop", None, 0.1)
BAD = (Finding("omitted", "fail", "Summary omitted required API call: createSession()"),)
DRAFT = Consult("draft", "draft")
VERIFY = Consult("verifier", "verify")
MENDED = Step(Mend(0), edited="mended")
FAILING = (Step(DRAFT, GOOD, findings=BAD), Step(Mend(0), edited="mended", findings=BAD))
DOWN = TierUnavailable("down", part="draft").failure


def next_move(verifier: Verifier, *steps: Step, **changes: object) -> object:
    return FirstPolicy(verifier).next(Exchange(replace(ASK, **changes), steps))  # type: ignore[arg-type]


def test_a_contract_is_drafted_before_anything_else() -> None:
    assert next_move("none") == DRAFT


def test_a_draft_that_passes_is_never_sent_to_the_verifier() -> None:
    assert next_move("hosted", Step(DRAFT, GOOD), ceiling="any") == Answer(0, "draft")


def test_a_note_does_not_fail_a_draft() -> None:
    note = Finding("logprobs", "note", "no logprobs")
    assert next_move("none", Step(DRAFT, GOOD, findings=(note,))) == Answer(0, "draft")


def test_a_failing_draft_is_mended_by_code_before_anyone_is_asked() -> None:
    assert next_move("hosted", FAILING[0], ceiling="any") == Mend(0)
    assert next_move("hosted", FAILING[0], MENDED, ceiling="any") == Answer(1, "repaired")


def test_what_code_can_not_mend_is_verified_where_the_ceiling_allows_it() -> None:
    assert next_move("hosted", *FAILING, ceiling="any") == VERIFY


@pytest.mark.parametrize("ceiling", ["local-only", "redacted"])
def test_a_failing_draft_under_a_stricter_ceiling_is_answered_unverified(ceiling: str) -> None:
    assert next_move("hosted", *FAILING, ceiling=ceiling) == Answer(1, "unverified")


STRAY = (Finding("hallucinated", "fail", "Summary names launchRocket", "Summary", "launchRocket"),)
STRAYING = (Step(DRAFT, GOOD, findings=STRAY), Step(Mend(0), edited="mended", findings=STRAY))
REDRAFT = Consult("draft", "redraft")


@pytest.mark.parametrize("verifier", ["none", "local"])
def test_a_sentence_that_names_what_is_not_there_is_written_again_before_a_verifier_is_asked(
    verifier: Verifier,
) -> None:
    def after(*steps: Step) -> object:
        return FirstPolicy(verifier, redrafts=True).next(Exchange(ASK, (*STRAYING, *steps)))

    assert after() == REDRAFT and after(Step(REDRAFT, GOOD, edited="new")) == Answer(2, "repaired")
    left = VERIFY if verifier == "local" else Answer(1, "unverified")
    assert after(Step(REDRAFT, failure=DOWN)) == left
    assert after(Step(REDRAFT, GOOD, findings=STRAY * 2)) == left


def test_what_is_wrong_beside_a_sentence_is_not_written_again() -> None:
    policy = FirstPolicy("local", redrafts=True)
    assert policy.next(Exchange(ASK, FAILING)) == VERIFY
    empty = Finding("format", "fail", "Summary is empty", "Summary", "Summary")
    assert policy.next(Exchange(ASK, (STRAYING[0], replace(STRAYING[1], findings=(empty,))))) == VERIFY
    both = replace(STRAYING[1], findings=STRAY + BAD)
    assert policy.next(Exchange(ASK, (STRAYING[0], both))) == VERIFY
    assert policy.next(Exchange(ASK, (STRAYING[0], Step(Mend(0))))) == VERIFY, "code had nothing to say"
    assert FirstPolicy("local").next(Exchange(ASK, STRAYING)) == VERIFY, "the engine can not be held to a pattern"


def test_a_second_engine_on_this_machine_verifies_under_local_only() -> None:
    assert next_move("local", *FAILING) == VERIFY


def test_without_a_verifier_a_failing_draft_is_answered_unverified() -> None:
    assert next_move("none", *FAILING, ceiling="any") == Answer(1, "unverified")


def test_a_verified_answer_is_the_one_that_passes() -> None:
    assert next_move("local", *FAILING, Step(VERIFY, GOOD)) == Answer(2, "verified")


def test_a_verifier_that_fails_leaves_the_draft_unverified() -> None:
    assert next_move("local", *FAILING, Step(VERIFY, failure=DOWN)) == Answer(1, "unverified")


def test_of_two_failing_replies_the_one_with_fewer_faults_is_answered() -> None:
    assert next_move("local", *FAILING, Step(VERIFY, GOOD, findings=BAD * 2)) == Answer(1, "unverified")


def test_a_draft_engine_that_is_down_sends_a_contract_to_the_verifier() -> None:
    consult = Consult("verifier", "answer")
    assert next_move("local", Step(DRAFT, failure=DOWN)) == consult
    assert next_move("local", Step(DRAFT, failure=DOWN), Step(consult, GOOD)) == Answer(1, "strong")


def test_a_draft_engine_that_is_down_is_refused_where_nothing_else_may_answer() -> None:
    assert next_move("hosted", Step(DRAFT, failure=DOWN)) == Refuse(DOWN)


def test_a_draft_is_watched_only_where_a_verifier_may_answer_in_its_place() -> None:
    def first(verifier: Verifier, ceiling: Ceiling = "local-only", *, redrafts: bool = False) -> Move:
        policy = FirstPolicy(verifier, redrafts=redrafts, escalates_early=True)
        return policy.next(Exchange(replace(ASK, ceiling=ceiling)))

    assert first("none") == first("hosted") == DRAFT
    assert first("local") == first("hosted", "any") == replace(DRAFT, watched="mended")
    assert first("local", redrafts=True) == replace(DRAFT, watched="rewritten")
    assert next_move("local") == DRAFT, "it is off by default"


CUT = Step(replace(DRAFT, watched="mended"), replace(GOOD, finish_reason=ESCALATED), findings=BAD)


def after_cut(*steps: Step, gates: tuple[Gate, ...] = ()) -> Move:
    return FirstPolicy("local", gates=gates, escalates_early=True).next(Exchange(ASK, (CUT, *steps)))


def test_after_a_cut_the_verifier_answers_and_where_it_fails_the_draft_is_written_to_its_end() -> None:
    answer = Consult("verifier", "answer")
    assert after_cut() == answer and after_cut(Step(answer, GOOD)) == Answer(1, "strong")
    failed = Step(answer, failure=DOWN)
    assert after_cut(failed) == DRAFT, "nothing is cut where the verifier has failed already"
    assert after_cut(failed, Step(DRAFT, GOOD)) == Answer(2, "draft")
    assert after_cut(failed, FAILING[0]) == Mend(2)
    assert after_cut(failed, FAILING[0], MENDED) == Answer(3, "repaired")
    assert after_cut(failed, FAILING[0], replace(FAILING[1], move=Mend(2))) == Answer(3, "unverified")
    assert after_cut(failed, Step(DRAFT, failure=DOWN)) == Refuse(DOWN)


def test_the_gate_has_nothing_to_say_of_half_a_draft() -> None:
    assert after_cut(Step(Consult("verifier", "answer"), GOOD), gates=(GATE,)) == Answer(1, "strong")


def test_early_escalation_is_in_what_a_request_is_told_before_it_is_made() -> None:
    told = FirstPolicy("local", escalates_early=True).explain(ASK).steps
    assert told[1].startswith("as soon as a line of it has a fault that would end at the verifier")
    assert FirstPolicy("none", escalates_early=True).explain(ASK).steps == FirstPolicy("none").explain(ASK).steps


def test_a_bad_ask_is_not_sent_on() -> None:
    failure = BadAsk("seed", part="draft").failure
    assert next_move("local", Step(DRAFT, failure=failure)) == Refuse(failure)


def test_a_diff_too_long_for_the_draft_may_fit_the_verifier() -> None:
    failure = ContextTooLong("too long", part="draft").failure
    assert next_move("local", Step(DRAFT, failure=failure)) == Consult("verifier", "answer")


def test_free_text_binds_the_draft() -> None:
    consult = Consult("draft", "answer", binding=True)
    assert next_move("local", contract=None) == consult
    assert next_move("local", Step(consult, GOOD), contract=None) == Answer(0, "draft")


def test_a_stream_that_broke_after_its_first_bytes_is_not_started_again_elsewhere() -> None:
    consult = Consult("draft", "answer", binding=True)
    assert next_move("local", Step(consult, failure=DOWN, streamed=True), contract=None) == Refuse(DOWN)
    assert next_move("local", Step(consult, failure=DOWN), contract=None) == Consult("verifier", "answer", binding=True)


def test_the_local_model_never_escalates() -> None:
    consult = Consult("draft", "answer", binding=True)
    assert next_move("local", target="local", contract=None) == consult
    assert next_move("local", Step(consult, failure=DOWN), target="local", contract=None) == Refuse(DOWN)


@pytest.mark.parametrize(("target", "tier", "route"), [("local", "draft", "draft"), ("strong", "verifier", "strong")])
def test_one_model_alone_is_checked_by_its_contract_too(target: str, tier: str, route: str) -> None:
    consult = Consult(tier, "answer")  # type: ignore[arg-type]
    assert next_move("local", target=target) == consult
    assert next_move("local", Step(consult, GOOD), target=target) == Answer(0, route)  # type: ignore[arg-type]
    assert next_move("local", Step(consult, GOOD, findings=BAD), target=target) == Answer(0, "unverified")


def test_the_strong_model_is_refused_where_the_ceiling_forbids_it() -> None:
    move = next_move("hosted", target="strong")
    assert isinstance(move, Refuse)
    assert (move.failure.status, move.failure.code, move.failure.part) == (403, "egress_forbidden", "policy")


def test_the_strictest_ceiling_wins() -> None:
    assert strictest("any", "local-only") == "local-only"
    assert strictest("any", "redacted") == "redacted"


@pytest.mark.parametrize("verifier", ["none", "local", "hosted"])
@pytest.mark.parametrize("target", ["cascade", "local", "strong"])
@pytest.mark.parametrize("contract", [None, "pr-summary"])
@pytest.mark.parametrize("ceiling", ["local-only", "redacted", "any"])
@pytest.mark.parametrize("outcome", [GOOD, BAD, DOWN])
def test_every_exchange_ends_within_two_consultations_and_never_crosses_its_ceiling(
    verifier: Verifier, target: str, contract: str | None, ceiling: str, outcome: object
) -> None:
    ask = replace(ASK, target=target, contract=contract, ceiling=ceiling)  # type: ignore[arg-type]
    exchange, policy = Exchange(ask), FirstPolicy(verifier)
    while isinstance(move := policy.next(exchange), Consult | Mend):
        if move.tier == "verifier":
            assert verifier == "local" or (verifier == "hosted" and ceiling == "any")
        failed = isinstance(outcome, Failure)
        findings = BAD if outcome is BAD else ()
        if isinstance(move, Mend):
            exchange = exchange.grown(Step(move, edited="mended", findings=findings))
        else:
            exchange = exchange.grown(Step(move, None if failed else GOOD, outcome if failed else None, findings))
    assert sum(isinstance(step.move, Consult) for step in exchange.steps) <= 2 and len(exchange.steps) <= 3


GATE = Gate(
    contract="pr-summary",
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
    return FirstPolicy(verifier, gates=[GATE], broken=lambda _: broken).next(Exchange(ASK, steps))


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
    policy = FirstPolicy("none", gates=gates)
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
    assert FirstPolicy("none", measures=True).next(Exchange(ASK)) == replace(DRAFT, measured=True)


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
    return FirstPolicy(verifier, gates=[GATE], score_floor=-4.0).next(Exchange(ASK, steps))


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
        ({"messages": (Message("user", "d" * 101),)}, "a larger input"),
    ],
)
def test_a_gate_accepts_only_requests_like_those_that_it_was_calibrated_on(changes: dict[str, Any], by: str) -> None:
    move = FirstPolicy("none", gates=[GATE]).next(Exchange(replace(ASK, **changes), (SURE,)))
    assert isinstance(move, Answer) and move.judged is not None
    assert (move.judged.by, move.judged.accepted) == (by, by == "score")


def test_a_high_score_accepts_nothing_that_fails_the_checks_and_audits_nothing_of_it() -> None:
    """Bug: a sure draft that nobody could mend was marked as accepted, and its label counted against the promise."""
    steps = (replace(SURE, findings=BAD), Step(Mend(0), edited="mended", findings=BAD))
    policies = [FirstPolicy(verifier, gates=[GATE], audit_share=1.0) for verifier in ("none", "local")]
    for move in (policy.next(Exchange(ASK, steps)) for policy in policies):
        assert isinstance(move, Answer | Consult) and move.judged is not None
        assert (move.judged.accepted, move.judged.audit, move.judged.by) == (False, False, "failed checks")
    sure = policies[0].next(Exchange(ASK, (SURE,)))
    assert isinstance(sure, Answer) and sure.judged is not None and sure.judged.audit


def test_the_gate_is_in_what_a_request_is_told_before_it_is_made() -> None:
    told = FirstPolicy("local", gates=[GATE]).explain(ASK).steps
    assert "what passes but is not accepted by the gate is sent to the verifier for its verdict" in told
    told = FirstPolicy("local", gates=[GATE], score_floor=-4.0).explain(ASK).steps
    assert any("is scored by it; where it doubts a name, sent to the verifier for its verdict" in step for step in told)
