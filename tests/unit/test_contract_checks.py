"""The contracts beside pr-summary: what they find wrong, and what code mends of it."""

from dataclasses import replace

import pytest

from firstpass.chat import Message, TokenLogprob
from firstpass.contract import shipped
from firstpass.exchange import TRUNCATED, Ask, Consult, Exchange, Reply

DIFF = """diff --git a/src/login.py b/src/login.py
--- a/src/login.py
+++ b/src/login.py
@@ -7,3 +7,4 @@ class Login:
 def login(user):
-    check_password(user)
+    createSession(user)
+    audit(user)
     return user
"""
LOGPROBS = (TokenLogprob("x", -0.1),)
COMMIT, REVIEW, FREE = (shipped(name) for name in ("commit-message@1", "code-review@1", "free"))


def ask(*contents: str) -> Ask:
    messages = tuple(Message("user", content) for content in contents)
    return Ask("a", 0.0, "chat", "firstpass", "cascade", messages)


def reply(text: str) -> Reply:
    return Reply(text, "m", "stop", None, 0.1, logprobs=LOGPROBS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Open a session at login", []),
        ("Open a session at login\n\nSo that createSession is\ncalled once.", []),
        ("", ["format"]),
        ("Open a session at login.", ["subject"]),
        ("Open a session\nat login", ["subject"]),
        ("Open a session " + " ".join(map(str, range(40))), ["subject"]),
        ("Open a session with openSesame()", ["hallucinated"]),
        ("Open a session\n\nIt calls openSesame().", ["hallucinated"]),
    ],
)
def test_a_commit_message_has_a_form_and_names_what_is_there(text: str, found: list[str]) -> None:
    assert [finding.check for finding in COMMIT.check(ask(DIFF), reply(text)) if finding.severity == "fail"] == found


def test_a_commit_message_s_misspelling_is_mended_and_its_body_kept() -> None:
    drafted = reply("Call createSesion at login\n\nSo that chek_password\ngoes.")
    mended = COMMIT.mend(Exchange(ask(DIFF)), drafted)
    assert mended and mended.text == "Call createSession at login\n\nSo that check_password\ngoes."


@pytest.mark.parametrize(
    ("pinned", "text", "lacks"),
    [
        ("commit-message@1", "Call createSession at login\n\nSo that check_password\ngoes", True),
        ("commit-message@2", "Call createSession at", True),
        ("pr-summary@3", "Summary: Call createSession().\nCalls:\n- audit", True),
        ("pr-summary@4", "Summary: Call createSession() and", False),
        ("pr-summary@4", "Summary: Call createSession().\nCalls:\n- aud", False),
    ],
)
def test_what_was_cut_off_stays_so_when_it_is_mended_unless_code_writes_what_it_lacks(
    pinned: str, text: str, lacks: bool
) -> None:
    contract, cut = shipped(pinned), replace(reply(text), finish_reason="length")
    mended = contract.mend(Exchange(ask(DIFF)), cut)
    assert mended is not None and (mended.finish_reason == "length") is lacks
    assert (TRUNCATED in [finding.check for finding in contract.check(ask(DIFF), mended)]) is lacks


GOOD = "Verdict: comment.\nFindings:\n- src/login.py:8: createSession may fail.\nQuestions:\n- none"


@pytest.mark.parametrize(
    ("finding", "found"),
    [
        ("src/login.py:8: createSession may fail.", []),
        ("`src/login.py:10`: it returns before audit.", []),
        ("src/login.py:99: createSession may fail.", ["place"]),
        ("src/logout.py:8: createSession may fail.", ["place", "hallucinated"]),
        ("createSession may fail.", ["place"]),
        ("src/login.py:8: openSesame() may fail.", ["hallucinated"]),
    ],
)
def test_a_finding_stands_at_a_line_that_the_diff_shows(finding: str, found: list[str]) -> None:
    text = GOOD.replace("src/login.py:8: createSession may fail.", finding)
    assert [one.check for one in REVIEW.check(ask(DIFF), reply(text)) if one.severity == "fail"] == found


def test_a_finding_at_no_place_goes_when_a_review_is_mended() -> None:
    text = GOOD.replace("Questions:", "- src/login.py:99: x\n- everywhere: x\nQuestions:")
    assert REVIEW.mend(Exchange(ask(DIFF)), reply(text)) == reply(GOOD)


def test_a_reviewer_is_shown_the_new_file_s_line_numbers() -> None:
    (message,) = REVIEW.prepare(Exchange(ask(DIFF)), Consult("draft", "draft")).messages
    assert "    8 +    createSession(user)" in message.content and "      -    check_password(user)" in message.content


def test_free_passes_messages_and_sampling_on_and_finds_little() -> None:
    asked = ask("hello", "again")
    prepared = FREE.prepare(Exchange(asked), Consult("draft", "draft"))
    assert prepared.messages == asked.messages and prepared.sampling.logprobs and prepared.sampling.temperature is None
    assert FREE.check(asked, reply("Any words, openSesame() too.")) == ()
    assert FREE.mend(Exchange(asked), reply("as it is")) is None


def test_a_schema_is_held_to_section_by_section() -> None:
    long = " ".join(map(str, range(200)))
    text = f"Summary: x\nCalls:\n- createSession()\n- audit()\nTODOs:\n- none\nActions:\n- {long}"
    (finding,) = (one for one in shipped("pr-summary@3").check(ask(DIFF), reply(text)) if one.severity == "fail")
    assert (finding.check, finding.section, finding.subject) == ("schema", "Actions", "$.Actions[0]")
    assert len(finding.message) < 120
