"""A sentence that names what is not there is written again: what the tier is asked, and what its reply can be."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.chat import Message, Sampling
from firstpass.contract import PromptedContract, shipped
from firstpass.contract.form import Headed, Section
from firstpass.contract.redraft import sentence_pattern
from firstpass.contract.references import unknown
from firstpass.exchange import Ask, Consult, Exchange, Mend, Reply, Step
from tests.doubles import DIFF, NAMES, STRAYS

SUMMARY, COMMIT = shipped("pr-summary@3"), shipped("commit-message@1")
REDRAFT = Consult("draft", "redraft")
NAMED = ["createSession", "user_id", "the", "$el", "Login"]


def failed(text: str, contract: PromptedContract = SUMMARY) -> Exchange:
    """An exchange whose draft code could not mend."""
    ask = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", DIFF),), Sampling(stop=("x",)))
    reply = Reply(text, "m", "stop", None, 0.1)
    findings = contract.check(ask, reply)
    return Exchange(
        ask,
        (Step(Consult("draft", "draft"), reply, findings=findings), Step(Mend(0), None, None, findings, edited=text)),
    )


def test_the_answer_is_begun_and_goes_on_in_names_of_the_diff_alone() -> None:
    asked = SUMMARY.prepare(failed(STRAYS), REDRAFT)
    (question,) = asked.messages
    assert question.role == "user" and "createSession(user)" in question.content and not asked.continues
    assert asked.sampling.stop is None, "where the sentence ends the pattern says"
    assert asked.pattern is not None and re.fullmatch(asked.pattern, "Summary: Create a session with createSession().")
    assert not re.fullmatch(asked.pattern, "Summary: Create a session with launchRocket().")


def test_the_new_sentence_takes_the_old_one_s_place() -> None:
    reply = Reply("Summary: Create a session at login.", "m", "stop", None, 0.1)
    assert SUMMARY.read(failed(STRAYS), REDRAFT, reply) == NAMES


def test_a_commit_message_s_subject_and_body_are_written_again_each_in_its_place() -> None:
    reply = Reply("Open a session", "m", "stop", None, 0.1)
    subject = failed("Call launchRocket\n\nSo that check\nis called.", COMMIT)
    asked = COMMIT.prepare(subject, REDRAFT)
    assert asked.continues is False and asked.pattern is not None, "a message begins with its subject"
    assert re.fullmatch(asked.pattern, reply.text) and not re.fullmatch(asked.pattern, "Open a session.")
    again = COMMIT.read(subject, REDRAFT, reply)
    assert again == "Open a session\n\nSo that check\nis called."
    assert not [found for found in COMMIT.check(subject.ask, replace(reply, text=again)) if found.severity == "fail"]
    body = failed("Call check\n\nSo that launchRocket\nis called.", COMMIT)
    asked = COMMIT.prepare(body, REDRAFT)
    assert (asked.messages[-1].role, asked.messages[-1].content) == ("assistant", "Call check") and asked.continues
    assert asked.pattern is not None and re.fullmatch(asked.pattern, "\n\nOpen a session.")
    assert COMMIT.read(body, REDRAFT, replace(reply, text="\n\nOpen a session.")) == "Call check\n\nOpen a session."


def test_a_section_after_others_is_written_again_after_them() -> None:
    form = Headed([Section("Calls", "calls"), Section("Note", "sentence"), Section("Todo", "items")])
    slot = form.around({"Calls": ("f",), "Note": ("old",), "Todo": ()}, "Note")
    assert (slot.before, slot.lead, slot.after) == ("Calls:\n- f()", "\nNote: ", "\nTodo:\n- none")
    assert slot.filled("\nNote: New.") == "Calls:\n- f()\nNote: New.\nTodo:\n- none"


@pytest.mark.parametrize(
    ("sentence", "fits"),
    [
        ("Create a session, then createSession() it.", True),
        ("Set user_id and $el of Login.", True),
        ("Set 3 of the user_id.", True),
        ("Set the userId.", False),
        ("Set the user_ids.", False),
        ("Call launch() now.", False),
        ("Call the.createSession() now.", False),
        ("Call `createSession` now.", False),
        ("call createSession now.", False),
        ("Call createSession now", False),
        ("Call createSession.\nTODOs:", False),
    ],
)
def test_a_pattern_lets_plain_words_and_known_names_pass(sentence: str, fits: bool) -> None:
    assert bool(re.fullmatch(sentence_pattern(NAMED), sentence)) is fits


@given(st.from_regex(sentence_pattern(NAMED), fullmatch=True))
def test_what_fits_the_pattern_names_nothing_else(sentence: str) -> None:
    assert unknown(sentence, frozenset(NAMED)) == ()


def test_a_pattern_stays_small_however_many_names_there_are() -> None:
    many = [f"name_{number}" for number in range(100_000)] + ["x" * 100 + "_y"]
    assert len(sentence_pattern(many)) < 4_000 and "name_0" in sentence_pattern(many)
    assert re.fullmatch(sentence_pattern([]), "Say it.")


def test_a_question_for_a_verdict_is_about_the_newest_draft() -> None:
    exchange = failed(STRAYS)
    again = Step(REDRAFT, exchange.steps[0].reply, findings=exchange.steps[0].findings, edited="Summary: Newest.")
    asked = SUMMARY.prepare(replace(exchange, steps=(*exchange.steps, again)), Consult("verifier", "verify"))
    assert "Summary: Newest." in asked.messages[-1].content and not asked.continues and asked.pattern is None
