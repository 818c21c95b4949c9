"""What an answer is worth by its case: what counts as a mention, and what fails one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.cases import Case, Input, Place
from firstpass.cases.judging import Answered, Fault, Outcome, Refused, Run, Unanswered, judge
from firstpass.cases.mentions import is_code, lines_with, mentions
from firstpass.cases.proposed import proposed
from firstpass.exchange import Answer, Ask, Consult, Exchange, Finding, Label, Reply, Step

CASE = Case("a case", Input("prompt", "Say it."), Place("cases.toml", 3))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("calls createSession()", "createSession"),
        ("calls `createSession`.", "createSession()"),
        ("api.createSession(user)", "createSession"),
        ("session.close() is new", "session"),
        ("the Rate\n  limit is gone", "rate limit"),
        ("REDIS is the cache", "Redis"),
        ("moves src/auth.py away", "auth.py"),
        ("adds --no-verify", "--no-verify"),
        ("TODO: fix", "TODO"),
        ("$scope is set", "$scope"),
        ("Caf\u00e9", "cafe\u0301"),
        ("a rate-limiter and a rate-limit.", "rate-limit"),
        ("if x == null:", "=="),
    ],
)
def test_a_word_or_a_name_is_mentioned(text: str, wanted: str) -> None:
    assert mentions(text, wanted) and lines_with(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("calls createSession()", "session"),
        ("calls createSessions()", "createSession"),
        ("calls createsession()", "createSession"),
        ("calls create_session_now()", "create_session"),
        ("all sessions", "session"),
        ("todo: fix", "TODO"),
        ("a rate-limiter", "rate-limit"),
        ("adds --no-verify-ssl", "--no-verify"),
        ("auth.pyi", "auth.py"),
        ("oauth.py", "auth.py"),
        ("scope is set", "$scope"),
        ("rate. limit", "rate limit"),
        ("", "a"),
    ],
)
def test_a_part_of_another_name_is_no_mention(text: str, wanted: str) -> None:
    assert not mentions(text, wanted) and lines_with(text, wanted) == []


def test_capitals_count_in_what_is_written_as_code() -> None:
    words = ("login", "Login", "rate limit", "it's", "x1")
    code = ("logIn", "SQL", "a_b", "a.b", "f()", "--x")
    assert not any(map(is_code, words)) and all(map(is_code, code))


@given(st.text(min_size=1).filter(str.strip))
def test_every_text_mentions_itself(wanted: str) -> None:
    assert mentions(f"( {wanted} )", wanted)


def test_an_answer_that_meets_its_case_has_no_fault() -> None:
    case = Case("a", CASE.asked, contract="pr-summary", must_mention=("Say",), must_not_mention=("never",),
                expect_route=("draft",), expect_checks="passed", max_seconds=1)  # fmt: skip
    assert judge(case, Answered("I say it.", 1.0, "draft", ())).faults == ()


@pytest.mark.parametrize(
    ("expected", "said", "faults"),
    [
        ({"must_mention": ("a", "x_y")}, Answered("A", 0), ["must_mention: the answer does not mention 'x_y'"]),
        (
            {"must_not_mention": ("rollback",)},
            Answered("First.\n  It has a rollback.\nRollback!\n", 0),
            ["must_not_mention: the answer mentions 'rollback': \"It has a rollback.\" and 1 more"],
        ),
        (
            {"expect_route": ("draft", "repaired")},
            Answered("a", 0, "unverified"),
            ["expect_route: the answer came as unverified, and draft or repaired is allowed"],
        ),
        (
            {"expect_route": ("draft",)},
            Answered("a", 0),
            ["expect_route: the answer does not say by which route it came, and draft is allowed"],
        ),
        ({"expect_checks": "passed"}, Answered("a", 0, "draft", ("omitted: f()",)), ["expect_checks: omitted: f()"]),
        (
            {"expect_checks": "passed"},
            Answered("a", 0, "draft", None),
            ["expect_checks: the answer does not say what its checks found"],
        ),
        (
            {"max_seconds": 1.5},
            Answered("a", 1.51),
            ["max_seconds: the answer took 1.51 s, and 1.5 s are allowed"],
        ),
        ({}, Answered(" \n", 0), ["the answer is empty"]),
        ({}, Refused("unknown contract 'x'", 0), ["the server refuses it: unknown contract 'x'"]),
        ({"must_mention": ("a",)}, Unanswered("no server", 0), []),
    ],
)  # fmt: skip
def test_what_is_not_met_is_a_fault(expected: dict[str, object], said: Answered, faults: list[str]) -> None:
    case = Case("a", CASE.asked, CASE.place, **expected)  # type: ignore[arg-type]
    assert list(map(str, judge(case, said).faults)) == faults


def runs(*said: Answered | Refused | Unanswered) -> Outcome:
    case = Case("a", CASE.asked, CASE.place, must_mention=("yes",))
    return Outcome(case, tuple(judge(case, one) for one in said))


def test_one_failed_run_fails_the_case_and_a_missing_answer_leaves_it_open() -> None:
    yes, no, lost = Answered("yes", 1), Answered("no", 1), Unanswered("no server", 1)
    assert [runs(*said).verdict for said in ((yes, yes), (yes, no), (lost, no), (yes, lost))] == [
        "passed", "failed", "failed", "unanswered",
    ]  # fmt: skip
    assert runs(lost, no).told.said == no and runs(yes, lost).told.said == lost and runs(yes, yes).seconds == 2


def test_a_case_is_unstable_where_its_answers_or_their_routes_differ() -> None:
    assert not runs(Answered("yes", 1, "draft"), Answered("yes", 2, "draft"), Unanswered("lost", 1)).unstable
    assert runs(Answered("yes", 1), Answered("yes!", 1)).unstable
    assert runs(Answered("yes", 1, "draft"), Answered("yes", 1, "repaired")).unstable
    assert runs(Answered("yes", 1), Refused("yes", 1)).unstable


def exchange(text: str, *findings: Finding) -> Exchange:
    reply = Reply(text, "a-model", "stop", None, 0.1)
    step = Step(Consult("draft", "draft"), reply, findings=findings)
    return Exchange(Ask("ex_1", 0.0, "chat", "firstpass", "cascade", ()), (step,), Answer(0, "unverified"), 0.2)


def test_what_checks_found_is_proposed_to_be_mentioned_or_not() -> None:
    bad = exchange(
        "Uses launchRocket().",
        Finding("omitted", "fail", "-", "Calls", "createSession"),
        Finding("todo-omitted", "fail", "-", "TODOs", "remove this"),
        Finding("hallucinated", "fail", "-", "Summary", "launchRocket"),
        Finding("not-new", "note", "-", "Calls", "check"),
        Finding("words", "fail", "-", "Summary"),
        Finding("todo-omitted", "fail", "-", "TODOs", "x" * 201),
    )
    assert proposed(bad, []) == (("createSession", "remove this"), ("launchRocket",))


def test_the_names_of_the_newest_edit_are_proposed() -> None:
    bad = exchange("Calls openDoor() and checkUser().", Finding("hallucinated", "fail", "-", None, "checkUser"))
    edits = [
        Label("ex_1", "edit", "user", 1.0, "Calls nothing."),
        Label("ex_1", "edit", "user", 2.0, "Calls createSession() and checkUser()."),
        Label("ex_1", "reject", "user", 3.0),
    ]
    assert proposed(bad, edits) == (("createSession",), ("openDoor",))


def test_nothing_is_proposed_of_an_exchange_without_an_answer() -> None:
    assert proposed(Exchange(Ask("ex_1", 0.0, "chat", "firstpass", "cascade", ())), []) == ((), ())


def test_a_fault_says_its_field() -> None:
    assert str(Fault("max_seconds", "too slow")) == "max_seconds: too slow" and Run(Answered("", 0), ()).faults == ()
