"""The first policy, move by move, without a network."""

from dataclasses import replace

import pytest

from firstpass.chat import Image, Message
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
    Move,
    Refuse,
    Reply,
    Step,
    strictest,
)
from firstpass.policy.escalation import EscalationPolicy, Verifier

ASK = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", "diff"),), contract="pr-summary@3")
GOOD = Reply("good", "m", "stop", None, 0.1)
BAD = (Finding("omitted", "fail", "Summary omitted required API call: createSession()"),)
DRAFT = Consult("draft", "draft")
VERIFY = Consult("verifier", "verify")
MENDED = Step(Mend(0), edited="mended")
FAILING = (Step(DRAFT, GOOD, findings=BAD), Step(Mend(0), edited="mended", findings=BAD))
DOWN = TierUnavailable("down", part="draft").failure


def next_move(verifier: Verifier, *steps: Step, **changes: object) -> object:
    return EscalationPolicy(verifier).next(Exchange(replace(ASK, **changes), steps))  # type: ignore[arg-type]


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


def test_a_failing_draft_that_may_not_leave_is_answered_unverified() -> None:
    assert next_move("hosted", *FAILING, ceiling="local-only") == Answer(1, "unverified")


def test_where_secrets_may_not_leave_what_holds_none_is_verified_and_an_image_is_not_sent() -> None:
    assert next_move("hosted", *FAILING, ceiling="redacted") == VERIFY
    seen = (replace(ASK.messages[0], images=(Image("image/png", "aGk="),)),)
    assert next_move("hosted", *FAILING, ceiling="redacted", messages=seen) == Answer(1, "unverified")
    assert next_move("local", *FAILING, ceiling="redacted", messages=seen) == VERIFY
    refused = EscalationPolicy("hosted").next(
        Exchange(replace(ASK, target="strong", ceiling="redacted", messages=seen))
    )
    assert isinstance(refused, Refuse) and "images can't be" in refused.failure.message


STRAY = (Finding("hallucinated", "fail", "Summary names launchRocket", "Summary", "launchRocket"),)
STRAYING = (Step(DRAFT, GOOD, findings=STRAY), Step(Mend(0), edited="mended", findings=STRAY))
REDRAFT = Consult("draft", "redraft")


@pytest.mark.parametrize("verifier", ["none", "local"])
def test_a_sentence_that_names_what_is_not_there_is_written_again_before_a_verifier_is_asked(
    verifier: Verifier,
) -> None:
    def after(*steps: Step) -> object:
        return EscalationPolicy(verifier, redrafts=True).next(Exchange(ASK, (*STRAYING, *steps)))

    assert after() == REDRAFT and after(Step(REDRAFT, GOOD, edited="new")) == Answer(2, "repaired")
    left = VERIFY if verifier == "local" else Answer(1, "unverified")
    assert after(Step(REDRAFT, failure=DOWN)) == left
    assert after(Step(REDRAFT, GOOD, findings=STRAY * 2)) == left


def test_what_is_wrong_beside_a_sentence_is_not_written_again() -> None:
    policy = EscalationPolicy("local", redrafts=True)
    assert policy.next(Exchange(ASK, FAILING)) == VERIFY
    empty = Finding("format", "fail", "Summary is empty", "Summary", "Summary")
    assert policy.next(Exchange(ASK, (STRAYING[0], replace(STRAYING[1], findings=(empty,))))) == VERIFY
    both = replace(STRAYING[1], findings=STRAY + BAD)
    assert policy.next(Exchange(ASK, (STRAYING[0], both))) == VERIFY
    assert policy.next(Exchange(ASK, (STRAYING[0], Step(Mend(0))))) == VERIFY, "code had nothing to say"
    assert EscalationPolicy("local").next(Exchange(ASK, STRAYING)) == VERIFY, "the engine can not be held to a pattern"


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
        policy = EscalationPolicy(verifier, redrafts=redrafts, escalates_early=True)
        return policy.next(Exchange(replace(ASK, ceiling=ceiling)))

    assert first("none") == first("hosted") == DRAFT
    assert first("local") == first("hosted", "any") == replace(DRAFT, watched="mended")
    assert first("local", redrafts=True) == replace(DRAFT, watched="rewritten")
    assert next_move("local") == DRAFT, "it is off by default"


CUT = Step(replace(DRAFT, watched="mended"), replace(GOOD, finish_reason=ESCALATED), findings=BAD)


def after_cut(*steps: Step) -> Move:
    return EscalationPolicy("local", escalates_early=True).next(Exchange(ASK, (CUT, *steps)))


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


def test_early_escalation_is_in_what_a_request_is_told_before_it_is_made() -> None:
    told = EscalationPolicy("local", escalates_early=True).explain(ASK).steps
    assert told[1].startswith("as soon as a line of it has a fault that would end at the verifier")
    assert (
        EscalationPolicy("none", escalates_early=True).explain(ASK).steps == EscalationPolicy("none").explain(ASK).steps
    )


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
@pytest.mark.parametrize("contract", [None, "pr-summary@3"])
@pytest.mark.parametrize("ceiling", ["local-only", "redacted", "any"])
@pytest.mark.parametrize("outcome", [GOOD, BAD, DOWN])
def test_every_exchange_ends_within_two_consultations_and_never_crosses_its_ceiling(
    verifier: Verifier, target: str, contract: str | None, ceiling: str, outcome: object
) -> None:
    ask = replace(ASK, target=target, contract=contract, ceiling=ceiling)  # type: ignore[arg-type]
    exchange, policy = Exchange(ask), EscalationPolicy(verifier)
    while isinstance(move := policy.next(exchange), Consult | Mend):
        if move.tier == "verifier":
            assert verifier == "local" or (verifier == "hosted" and ceiling != "local-only")
        failed = isinstance(outcome, Failure)
        findings = BAD if outcome is BAD else ()
        if isinstance(move, Mend):
            exchange = exchange.grown(Step(move, edited="mended", findings=findings))
        else:
            exchange = exchange.grown(Step(move, None if failed else GOOD, outcome if failed else None, findings))
    assert sum(isinstance(step.move, Consult) for step in exchange.steps) <= 2 and len(exchange.steps) <= 3
