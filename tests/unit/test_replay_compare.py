"""What changed between two answers: word by word, section by section, call by call, and by the checks."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstpass.bench.figures import Price
from firstpass.chat import Message, Usage
from firstpass.contract.form import Form, Section, form_of
from firstpass.errors import Forbidden
from firstpass.exchange import Answer, Ask, Consult, Exchange, Finding, Refuse, Reply, Step
from firstpass.replay.answer import Answered, fresh, recorded, refused
from firstpass.replay.chosen import Chosen, in_order
from firstpass.replay.compare import Change, Edit, change
from firstpass.replay.totals import Outcome, fails, sign_test, totals
from firstpass.replay.wording import Piece, bracketed, trimmed, worded

SECTIONS = [Section("Summary", "sentence"), Section("Calls", "calls", says_unread=True), Section("Actions", "items")]
FORM = form_of("headed", SECTIONS)
OMITS = Finding("calls", "fail", "omits createSession", "Calls", "createSession")
ACTIONS = "Actions:\n- Look at who may log in now.\n- Test it."
ONE = f"Summary: Create a session at login.\nCalls:\n- createSession()\n{ACTIONS}"


def forms(pinned: str) -> Form | None:
    return FORM if pinned.startswith("pr-summary@") else None


def given_(text: str = "", **fields: Any) -> Answered:
    return Answered(text=text, finish_reason="stop", **fields)


def checked(text: str = ONE, *findings: Finding, **fields: Any) -> Answered:
    return given_(text, findings=findings, contract="pr-summary@4", checked=True, **fields)


def edits(before: Answered, after: Answered) -> list[tuple[str, str, str, str]]:
    found = change(before, after, forms).edits
    return [(one.where, one.kind, one.before, one.after) for one in found]


def test_the_same_answer_is_the_same() -> None:
    assert change(checked(), checked(), forms) == Change(True, "equal")


def test_sections_are_compared_one_by_one_and_items_by_what_became_of_them() -> None:
    after = "Summary: Create a token at login.\nCalls:\n- createToken()\n- not read: a.zig\n"
    after += "Actions:\n- Ship it.\n- Look at who might log in now."
    assert edits(checked(), checked(after)) == [
        ("Summary", "reworded", "Create a session at login.", "Create a token at login."),
        ("Calls", "removed", "createSession", ""),
        ("Calls", "added", "", "createToken"),
        ("Actions", "reworded", "Look at who may log in now.", "Look at who might log in now."),
        ("Actions", "removed", "Test it.", ""),
        ("Actions", "added", "", "Ship it."),
        ("not read", "added", "", "a.zig"),
    ]


def test_items_in_another_order_are_moved() -> None:
    after = ONE.replace("- Look at who may log in now.\n- Test it.", "- Test it.\n- Look at who may log in now.")
    assert [one[:2] for one in edits(checked(), checked(after))] == [("Actions", "moved")]


def test_where_no_section_differs_the_text_itself_is_shown() -> None:
    assert [one[:2] for one in edits(checked(), checked(ONE.replace("- ", "* ")))] == [("text", "reworded")]


def test_of_a_contract_that_nobody_knows_the_text_is_compared() -> None:
    both = (given_("a b", contract="own@1"), given_("a c", contract="own@1"))
    assert edits(*both) == [("text", "reworded", "a b", "a c")]


def test_calls_are_compared_as_the_json_that_they_are() -> None:
    before = given_(calls=(("weather", '{"city": "Oslo", "days": 2}'),))
    assert change(before, given_(calls=(("weather", '{"days":2,"city":"Oslo"}'),)), forms).same
    other = given_(calls=(("weather", '{"city": "Rome", "days": 2}'),))
    assert edits(before, other)[0][:2] == ("tool call", "reworded")
    none = given_("Rain.")
    assert [one[:2] for one in edits(before, none)] == [("text", "added"), ("tool call", "removed")]
    twice = given_(calls=(("a", "{}"), ("b", "{}")))
    assert edits(twice, given_(calls=twice.calls[::-1]))[0][1] == "moved"
    assert not change(given_(calls=(("a", "no json"),)), given_(calls=(("a", "other"),)), forms).same
    doubled = given_(calls=(("weather", '{"city": "Rome", "days": 2, "city": "Oslo"}'),))
    assert not change(before, doubled, forms).same, "which city it is, readers say differently"


def test_findings_come_and_go_and_fewer_failures_are_better() -> None:
    found = change(checked(ONE, OMITS, route="unverified"), checked(ONE, route="draft"), forms)
    assert (found.same, found.verdict, found.came, found.went) == (False, "better", (), (OMITS,))
    back = change(checked(ONE), checked(ONE, OMITS, OMITS), forms)
    assert (back.verdict, back.came) == ("worse", (OMITS, OMITS))
    note = replace(OMITS, severity="note")
    assert change(checked(ONE), checked(ONE, note), forms).verdict == "equal"


def test_how_sure_a_model_was_is_no_change() -> None:
    sure = Finding("logprobs", "note", "the least sure name is soon: -0.20 nats", subject="soon", value=-0.2)
    less = replace(sure, message="the least sure name is found: -1.73 nats", subject="found", value=-1.73)
    assert change(checked(ONE, sure), checked(ONE, less), forms) == Change(True, "equal")
    unsure = replace(less, severity="fail")
    assert change(checked(ONE, sure), checked(ONE, unsure), forms).came == (unsure,)


def test_another_text_is_shown_whole_and_not_in_single_words() -> None:
    before, after = "Change `exchange` in tests/web, about owner and several.", "Call replace() in server/cli."
    found = change(given_(before), given_(after), forms).edits[0]
    assert found.pieces == (Piece("gone", before), Piece("new", after))
    some = bracketed(worded("Log the user in, quickly.", "Log a guest out, quickly."))
    assert some == "Log [-the user in-]{+a guest out+}, quickly."


def test_an_error_is_worse_than_any_answer_and_the_same_as_itself() -> None:
    error = Answered(error="403 egress_forbidden", said="no")
    assert change(given_("a"), error, forms).verdict == "worse"
    assert change(error, given_("a"), forms).verdict == "better"
    assert change(error, replace(error, said="no!"), forms) == Change(True, None)
    assert change(given_("a"), given_("b"), forms).verdict is None


def test_another_end_of_the_same_text_is_a_change() -> None:
    assert not change(given_("a"), replace(given_("a"), finish_reason="length"), forms).same
    assert edits(given_("a", others=("x",)), given_("a", others=("x", "y"))) == [("choice 3", "added", "", "y")]


texts = st.text(st.sampled_from("ab .\n"), max_size=40)


@settings(max_examples=200, derandomize=True)
@given(texts, texts)
def test_what_stayed_and_what_came_is_the_later_text_and_with_what_went_the_earlier_one(old: str, new: str) -> None:
    pieces = worded(old, new)
    assert "".join(one.text for one in pieces if one.kind != "new") == old
    assert "".join(one.text for one in pieces if one.kind != "gone") == new
    assert all(one.text for one in pieces)


def test_words_are_shown_with_a_little_of_what_stands_around_them() -> None:
    before = f"{'x' * 90} Create a session here, {'y' * 90}."
    told = bracketed(trimmed(worded(before, before.replace("a session", "two tokens"))))
    assert "Create [-a session-]{+two tokens+} here" in told and len(told) < 140 and told.startswith("…")


@pytest.mark.parametrize("size", [1_000, 200_000])
def test_long_texts_take_no_time(size: int) -> None:
    old, new = (" ".join(str((number * step) % 97) for number in range(size)) for step in (1, 3))
    began = time.monotonic()
    assert worded(old, new)
    assert worded(old.replace(" ", "\n"), new.replace(" ", "\n"))[0].kind in ("same", "gone")
    assert time.monotonic() - began < 10


def exchange(**fields: Any) -> Exchange:
    ask = Ask("ex_1", 5.0, "chat", "firstpass", "cascade", (Message("user", "Hello World"),), contract="pr-summary@4")
    steps = (
        Step(Consult("draft", "draft"), Reply("bad", "small", "stop", Usage(10, 2), 0.1), findings=(OMITS,)),
        Step(Consult("verifier", "verify"), Reply("{}", "big", "stop", Usage(20, 3), 0.2), edited="good",
             findings=(Finding("ignored", "note", "verbosity was left out"),)),
    )  # fmt: skip
    return replace(Exchange(ask, steps, Answer(1, "verified"), 0.5), **fields)


def test_what_a_caller_got_is_read_of_the_record() -> None:
    assert recorded(exchange()) == Answered(
        exchange="ex_1", route="verified", model="big", contract="pr-summary@4", text="good", finish_reason="stop",
        tokens=(30, 5), verifier_tokens=(20, 3), seconds=0.5, checked=True,
    )  # fmt: skip
    refusal = Refuse(Forbidden("no", code="egress_forbidden").failure)
    failed = recorded(exchange(ending=refusal))
    assert (failed.error, failed.said, failed.text) == ("403 egress_forbidden", "no", "")


def test_an_answer_without_a_firstpass_object_is_one_and_nonsense_is_an_error() -> None:
    choice = {"message": {"content": "hi"}, "finish_reason": "stop"}
    body = {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
    headers = {"x-firstpass-route": "strong", "x-request-id": "ex_2", "x-firstpass-receipt": "h;a;1;b,h;c;2;d"}
    answer = fresh(exchange().ask, "/v1/chat/completions", json.dumps(body).encode(), headers, 0.25)
    assert (answer.text, answer.tokens, answer.verifier_tokens, answer.receipts) == ("hi", (4, 2), (4, 2), 2)
    for nonsense in (b"[]", b"{}", b"no", json.dumps(body | {"choices": []}).encode()):
        assert fresh(exchange().ask, "/v1/chat/completions", nonsense, headers, 0.1).error == "no answer"
    assert fresh(exchange().ask, "/v1/chat/completions", json.dumps(body).encode(), {}, 0.1).error == "no answer"
    assert refused(502, b"<html>", 0.1).error == "502 error"


def test_exchanges_are_chosen_by_what_is_said_of_them() -> None:
    one = exchange()
    fitting = [
        Chosen(search='hello "GOO*'), Chosen(route="verified"), Chosen(model="firstpass"),
        Chosen(contract="pr-summary"), Chosen(contract="pr-summary@4"), Chosen(since_unix=5.0, until_unix=5.1),
    ]  # fmt: skip
    assert all(chosen.fits(one) for chosen in fitting)
    others = [Chosen(search="hello bad"), Chosen(route="draft"), Chosen(model="x"), Chosen(contract="pr"),
              Chosen(since_unix=5.1), Chosen(until_unix=5.0), Chosen(session="s")]  # fmt: skip
    assert not any(chosen.fits(one) for chosen in others)
    later = replace(one, ask=replace(one.ask, id="ex_2", received_unix=9.0))
    assert in_order([later, one, later]) == [one, later]


def outcome(before: Answered, after: Answered, **fields: Any) -> Outcome:
    return Outcome("ex_1", "again", "t", "local", before, after, change(before, after, forms), **fields)


def test_totals_count_pairs_and_sum_what_both_sides_used() -> None:
    old = checked(ONE, OMITS, tokens=(30, 5), verifier_tokens=(20, 3), seconds=0.5)
    new = checked(ONE, tokens=(31, 6), seconds=0.4)
    gone = Answered(error="503 engine")
    outcomes = [
        outcome(old, new),
        outcome(new, new),
        outcome(new, gone),
        outcome(given_("a"), given_("b"), repeats=3, alike=2),
    ]
    found = totals(outcomes, Price(1.0, 10.0))
    assert (found.pairs, found.same, found.changed, found.checked) == (4, 1, 3, 3)
    assert (found.better, found.worse, found.errors, found.steady, found.repeats) == (1, 1, 1, 3, 3)
    assert (found.tokens_before, found.tokens_after) == ((61, 11), (62, 12))
    assert found.usd_before == pytest.approx(50e-6) and found.usd_after == 0.0
    assert (found.p50_seconds_before, found.p50_seconds_after) == (0.45, 0.4)
    assert fails(outcomes, "worse") and fails(outcomes, "changed")
    assert not fails(outcomes[:2], "worse") and not fails(outcomes[1:2], "changed")
    assert totals([], None).usd_before is None


@pytest.mark.parametrize(
    ("better", "worse", "chance"), [(0, 0, 1.0), (1, 1, 1.0), (6, 0, 2 / 64), (0, 6, 2 / 64), (5, 1, 14 / 64)]
)
def test_the_sign_test_is_exact(better: int, worse: int, chance: float) -> None:
    assert sign_test(better, worse) == pytest.approx(chance)


def test_an_edit_of_a_text_that_only_one_side_has_is_added_or_removed() -> None:
    assert change(given_(""), given_("x"), forms).edits == (Edit("text", "added", "", "x"),)
    assert worded("", "") == [] and worded("a", "") == [Piece("gone", "a")]
