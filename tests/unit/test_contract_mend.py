"""What code mends in an answer, and what it leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.contract import mend
from firstpass.contract.mend import nearest, respelt
from firstpass.contract.sections import FORM, parse_answer, render_answer
from firstpass.evidence import Evidence, gather

DIFF = """diff --git a/src/login.py b/src/login.py
--- a/src/login.py
+++ b/src/login.py
@@ -1,3 +1,5 @@ class Login:
 def login(user):
-    check_password(user)
+    # TODO: expire old sessions
+    s = createSession(user)
+    audit(s)
     return user
"""
EVIDENCE = gather(DIFF)
NAMES = EVIDENCE.identifiers


def mended(text: str, evidence: Evidence = EVIDENCE, *, cut: bool = False) -> str:
    return FORM.render(mend.mended(FORM, FORM.read(text), evidence, cut=cut))


def test_calls_and_todos_become_what_the_evidence_has() -> None:
    drafted = render_answer("Open a session.", ["audit", "login", "launch"], ["expire it", "drop it"], ["Run it"])
    right = render_answer("Open a session.", ["createSession", "audit"], ["expire old sessions"], ["Run it"])
    assert mended(drafted) == right
    assert mended(right) == right


@pytest.mark.parametrize(
    ("path", "note", "kept"),
    [
        ("src/login.py", None, []),
        ("src/login.zig", None, ["login"]),
        ("src/login.py", "A hunk was not read.", ["login"]),
    ],
)
def test_a_call_that_is_not_required_stays_only_where_it_may_have_been_missed(
    path: str, note: str | None, kept: list[str]
) -> None:
    notes = (note,) if note else ()
    unread = frozenset({"login"}) if path.endswith(".zig") else frozenset()
    evidence = Evidence(identifiers=NAMES, unread_names=unread, languages=("python",), notes=notes)
    drafted = render_answer("x", ["login", "launch"], (), ())
    assert parse_answer(mended(drafted, evidence)).calls == tuple(kept)


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ("Call audit in open_shop.", "Call audit."),
        ("Call audit in `open_shop()`.", "Call audit."),
        ("Move audit from launch.rocket, to login.", "Move audit, to login."),
        ("Call audit in login.", "Call audit in login."),
        ("Call audit in open_shop handling.", "Call audit in open_shop handling."),
        ("Change in open_shop.", "Change in open_shop."),
        ("Look at Login.", "Look at Login."),
    ],
)
def test_a_sentence_loses_where_when_no_line_shows_it(sentence: str, kept: str) -> None:
    assert parse_answer(mended(render_answer(sentence, EVIDENCE.calls, EVIDENCE.todos, ()))).summary == kept


def test_a_name_of_a_heading_is_no_misspelling_of_a_line_s() -> None:
    evidence = gather(DIFF.replace("class Login", "class createSessions"))
    assert evidence.headings == {"class", "createSessions"}
    drafted = render_answer("Let createSessions audit.", evidence.calls, evidence.todos, ())
    assert parse_answer(mended(drafted, evidence)).summary == "Let createSessions audit."


def test_missing_sections_come_back() -> None:
    answer = parse_answer(mended("Summary: Open a session."))
    assert answer.missing == () and answer.summary == "Open a session." and answer.calls == EVIDENCE.calls


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Call createSesion() in login.", "Call createSession() in login."),
        ("Call `create_session`.", "Call `createSession`."),
        ("Drop check_pasword and createSesssion.", "Drop check_password and createSession."),
        ("Call launchRocket().", "Call launchRocket()."),
        ("Nothing to see here.", "Nothing to see here."),
    ],
)
def test_a_misspelt_name_is_put_right_and_an_invented_one_left(text: str, meant: str) -> None:
    assert respelt(text, NAMES) == meant


@pytest.mark.parametrize("cut", [False, True])
def test_nonsense_is_mended_without_a_word_of_its_own(cut: bool) -> None:
    """Bug: an answer without any section that was cut off at the token limit ended in an internal error."""
    answer = parse_answer(mended("zq zq zq", cut=cut))
    assert (answer.summary, answer.calls, answer.actions) == ("", EVIDENCE.calls, ())


@given(st.text(alphabet=st.sampled_from("Summary:Calls\nTODOsActions-`()*# aZ_.1"), max_size=200), st.booleans())
def test_mending_never_raises_and_mending_twice_changes_nothing(text: str, cut: bool) -> None:
    once = mended(text, cut=cut)
    assert mended(once) == once


def test_only_one_nearest_name_will_do() -> None:
    assert nearest("loadUser", ["loadUsers", "reloadUser", "other"]) == "loadUsers"
    assert nearest("loadUser", ["loadUsers", "loadUsed"]) is None
    assert nearest("get", ["gets"]) is None


def test_an_action_about_what_does_not_exist_goes() -> None:
    actions = ["Run the tests in tests/test_rocket.py", "Check what relied on check_pasword()", "Read it twice"]
    answer = parse_answer(mended(render_answer("x", (), (), actions)))
    assert answer.actions == ("Check what relied on check_password()", "Read it twice")


@pytest.mark.parametrize(
    ("drafted", "summary", "actions"),
    [
        ("Summary: Open a sess", "", ()),
        ("Summary: Open a session.\nCalls:\n- createSes", "Open a session.", ()),
        ("Summary: Open it.\nCalls:\n- none\nTODOs:\n- none\nActions:\n- Read it\n- Run the", "Open it.", ("Read it",)),
    ],
)
def test_what_an_answer_ended_in_at_the_token_limit_goes(drafted: str, summary: str, actions: tuple[str, ...]) -> None:
    answer = parse_answer(mended(drafted, cut=True))
    assert (answer.summary, answer.actions, answer.calls) == (summary, actions, EVIDENCE.calls)
