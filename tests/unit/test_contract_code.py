"""What code writes in an answer by itself: sentences, changes, review, findings, verdicts, and when it does."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstpass.chat import Message
from firstpass.contract import Contract, Learned, PromptedContract, Shelf, shipped
from firstpass.contract.changelines import MOST_LINES, change_lines
from firstpass.contract.reviewlines import review_lines
from firstpass.contract.wording import MOST_WORDS, summary
from firstpass.contract.written import SUBJECT_CHARACTERS, by_code, says_enough, verdict_fits
from firstpass.evidence.account import account_of
from firstpass.exchange import Ask, Consult, Exchange, Finding, Reply

SUMMARY, MESSAGE, REVIEW = (shipped(name) for name in ("pr-summary@4", "commit-message@2", "code-review@2"))


def changed(path: str, *lines: str, heading: str = "") -> str:
    old = sum(line[0] != "+" for line in lines)
    new = sum(line[0] != "-" for line in lines)
    body = "\n".join(lines)
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
    return f"{head}@@ -1,{old} +1,{new} @@ {heading}\n{body}\n"


DIFF = changed(
    "shop/cookies.py",
    " def send_cookies(jar, url):",
    "     for cookie in jar:",
    "-        yield cookie",
    "+        # Secure cookies never travel over a transport that others can read.",
    "+        if cookie.secure and not is_secure_origin(url):",
    '+            raise InsecureTransport("a secure cookie for an insecure origin")',
    "+        yield cookie",
)
UNGUARDED = changed(
    "shop/users.py",
    "-@login_required",
    " def delete_user(request, user):",
    "     user.delete()",
)
SIGNATURE = changed("shop/cart.py", "-def total(cart):", "+def total(cart, currency):", "     return sum(cart.prices)")
GOOD = "Refuse to send a secure cookie over an insecure transport."
SAYS_LITTLE = "Summary: Change things.\nChanges:\n- none\nCalls:\n- none\nTODOs:\n- none\nReview:\n- none"


def ask(diff: str, contract: PromptedContract = SUMMARY) -> Ask:
    return Ask("x", 0.0, "chat", "", "cascade", (Message("user", diff),), contract=contract.pinned)


def reply(text: str, finish: str = "stop") -> Reply:
    return Reply(text, "", finish, None, 0.0)


def mended(diff: str, text: str, contract: PromptedContract = SUMMARY) -> str:
    found = contract.mend(Exchange(ask(diff, contract)), reply(text))
    assert found is not None
    return found.text


def failed(diff: str, text: str, contract: PromptedContract = SUMMARY) -> list[Finding]:
    return [finding for finding in contract.check(ask(diff, contract), reply(text)) if finding.severity == "fail"]


def answer(sentence: str) -> str:
    account = account_of(DIFF)
    changes, review = (
        "\n".join(f"- {line}" for line in lines) for lines in (change_lines(account), review_lines(account))
    )
    calls = "- is_secure_origin()\n- InsecureTransport()"
    return f"Summary: {sentence}\nChanges:\n{changes}\nCalls:\n{calls}\nTODOs:\n- none\nReview:\n{review or '- none'}"


@pytest.mark.parametrize("sentence", ["Change the code.", "Fix a bug.", "Call pop.", "Update things for the better."])
def test_a_sentence_that_says_neither_where_nor_what_fails_and_code_writes_one(sentence: str) -> None:
    assert "salient" in [finding.check for finding in failed(DIFF, answer(sentence))]
    text = mended(DIFF, answer(sentence))
    assert "send_cookies" in text.splitlines()[0] and "shop/cookies.py" in text.splitlines()[0]
    assert failed(DIFF, text) == []


def test_a_model_s_own_sentence_that_says_what_the_change_is_about_stays() -> None:
    assert failed(DIFF, answer(GOOD)) == []
    assert mended(DIFF, answer(GOOD)) == answer(GOOD)


def test_a_sentence_by_code_is_marked_as_that() -> None:
    notes = [one for one in SUMMARY.check(ask(DIFF), reply(mended(DIFF, ""))) if one.check == "by-code"]
    assert [(note.severity, note.section) for note in notes] == [("note", "Summary")]


def test_a_sentence_of_more_than_thirty_words_fails_and_one_that_names_what_is_not_there_too() -> None:
    long = f"{GOOD.rstrip('.')} {' '.join(map(str, range(30)))}."
    assert [finding.check for finding in failed(DIFF, answer(long))] == ["words"]
    assert [finding.check for finding in failed(DIFF, answer(f"{GOOD[:-1]} by CookieGuard.check_all()."))] == [
        "hallucinated"
    ]
    for text in (long, f"{GOOD[:-1]} by CookieGuard.check_all()."):
        assert failed(DIFF, mended(DIFF, answer(text))) == []


def test_code_s_sentence_says_what_where_and_quotes_why() -> None:
    text = summary(account_of(DIFF))
    assert text.startswith("Change `send_cookies` in shop/cookies.py: \u201c") and text.endswith(".")
    assert "cookie" in text and len(text.split()) <= MOST_WORDS


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        (changed("requirements.txt", "-httpx==0.27", "+httpx==0.28"), ("httpx", "0.27", "0.28", "requirements.txt")),
        (SIGNATURE, ("signature", "total", "shop/cart.py")),
        ("diff --git a/old.py b/new.py\nrename from old.py\nrename to new.py\n", ("old.py", "new.py")),
        (changed("docs/guide.md", "+Cookies are refused over plain HTTP since then."), ("docs/guide.md", "refused")),
        ("", ()),
        ("no diff at all", ()),
    ],
)  # fmt: skip
def test_there_is_a_sentence_for_every_kind_of_change(diff: str, words: tuple[str, ...]) -> None:
    text = summary(account_of(diff))
    assert len(text) > 5 and len(text.split()) <= MOST_WORDS and all(word in text for word in words), text


def test_changes_have_a_line_a_file_and_an_end() -> None:
    many = "".join(changed(f"src/module_{number}.py", f"+def function_{number}(): pass") for number in range(40))
    lines = change_lines(account_of(many))
    assert len(lines) == MOST_LINES and lines[-1].startswith("29 more files: ")


def test_what_a_file_says_twice_is_told_once() -> None:
    raised = '+        raise Refused("the path is not allowed")'
    (line,) = change_lines(account_of(changed("src/paths.py", " def f(p):", raised, " def g(p):", raised)))
    assert line.count("the path is not allowed") == 1 and "new error" in line


def test_a_model_s_changes_stay_and_code_adds_the_files_that_they_leave_out() -> None:
    both = DIFF + SIGNATURE
    text = mended(
        both, f"Summary: {GOOD}\nChanges:\n- shop/cookies.py: secure cookies stay at home\n- a.py: invented_name()"
    )
    lines = text.split("Changes:\n")[1].split("\nCalls:")[0].splitlines()
    assert lines[0] == "- shop/cookies.py: secure cookies stay at home" and lines[1].startswith("- shop/cart.py: ")
    assert len(lines) == 2


def test_a_review_that_leaves_out_a_lost_guard_fails_and_code_adds_it() -> None:
    text = mended(UNGUARDED, "Summary: Let delete_user delete a user.\nReview:\n- none")
    assert "login_required" in text.split("Review:")[1]
    without = "\n".join(line for line in text.splitlines() if "login_required" not in line)
    assert "fact-omitted" in [finding.check for finding in failed(UNGUARDED, without)]


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        (UNGUARDED, ("login_required", "shop/users.py")),
        (SIGNATURE, ("total", "currency", "check its callers")),
        (DIFF, ("No test changed", "send_cookies")),
        (changed("go.mod", "-\tgithub.com/a/gin v1.9.1", "+\tgithub.com/a/gin v2.0.0"), ("v1.9.1", "v2.0.0", "major")),
    ],
)  # fmt: skip
def test_a_reviewer_is_pointed_to_what_facts_say(diff: str, words: tuple[str, ...]) -> None:
    said = "\n".join(review_lines(account_of(diff)))
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    "diff", ["", "hello", changed("README.md", "+A line more."), changed("tests/test_a.py", "+def test_a(): assert 1")]
)
def test_where_there_is_nothing_to_review_nothing_is_said(diff: str) -> None:
    assert review_lines(account_of(diff)) == ()


def test_an_untested_change_is_not_said_where_a_test_changed_too() -> None:
    both = DIFF + changed("tests/test_cookies.py", "+def test_no_secure_cookie(): assert not sent")
    assert not any("No test changed" in line for line in review_lines(account_of(both)))


def test_a_subject_by_code_has_a_commit_subject_s_form() -> None:
    for diff in (DIFF, SIGNATURE, UNGUARDED, changed("a" * 200 + ".py", "+x = 1"), ""):
        text = mended(diff, "```", MESSAGE)
        subject = text.splitlines()[0]
        assert len(subject) <= SUBJECT_CHARACTERS and not subject.endswith(".") and subject[0].isupper(), subject
        assert failed(diff, text, MESSAGE) == []


def test_a_body_by_code_comes_with_a_subject_by_code_alone() -> None:
    assert mended(DIFF, "Refuse secure cookies over an insecure transport", MESSAGE) == (
        "Refuse secure cookies over an insecure transport"
    )
    assert "\n\n- shop/cookies.py: " in mended(DIFF, "Fix it", MESSAGE)


def test_a_review_by_code_names_the_line_and_asks_for_changes() -> None:
    text = mended(UNGUARDED, "whatever", REVIEW)
    verdict, findings = text.splitlines()[0], text.split("Findings:\n")[1].splitlines()[0]
    assert verdict.startswith("Verdict: request changes: ") and findings.startswith("- shop/users.py:1: ")
    assert failed(UNGUARDED, text, REVIEW) == []


@pytest.mark.parametrize(
    ("verdict", "diff", "fits"),
    [
        ("approve: it is small.", DIFF, True),
        ("Request changes: no test.", DIFF, True),
        ("comment", DIFF, True),
        ("banana", DIFF, False),
        ("", DIFF, False),
        ("approve", UNGUARDED, False),
        ("request changes: the login is gone", UNGUARDED, True),
    ],
)
def test_a_verdict_is_one_of_three_and_never_approves_of_what_is_grave(verdict: str, diff: str, fits: bool) -> None:
    assert verdict_fits(verdict, account_of(diff)) == fits


def test_code_alone_never_approves() -> None:
    for diff in (DIFF, SIGNATURE, UNGUARDED, "", changed("README.md", "+x")):
        assert not by_code("verdict", account_of(diff))[0].startswith("approve")


def test_a_heading_that_only_a_hunk_s_heading_shows_is_not_told() -> None:
    """The lines need not be under it, and a name in it is none that an answer may use."""
    heading = "@@ -7,2 +7,3 @@ fastify.post('/the/url', handler)"
    diff = f"--- a/docs/use.md\n+++ b/docs/use.md\n{heading}\n one\n+more of it\n two\n"
    lines = "\n".join(by_code("changes", account_of(diff)))
    assert "fastify" not in lines and "docs/use.md" in lines
    shown = diff.replace(" one", " ## Sessions")
    assert "Sessions" in "\n".join(by_code("changes", account_of(shown)))


def test_code_is_not_failed_for_the_function_that_it_read_in_a_hunk_s_heading_and_a_model_is() -> None:
    """Bug: "The check ... in `delete_user` was removed", written by code, made the whole answer unverified."""
    lost = ["     user = find(name)", "-    if not request.user.is_admin:", "-        raise PermissionDenied()"]
    diff = changed("shop/users.py", *lost, "     user.delete()", heading="def delete_user(request, name):")
    text = mended(diff, SAYS_LITTLE)
    assert "in `delete_user`" in text.partition("Review:")[2] and failed(diff, text) == []
    summary, rest = text.split("\n", 1)
    (finding,) = failed(diff, f"{summary[:-1]} in delete_user.\n{rest}")
    assert (finding.check, finding.subject) == ("hallucinated", "delete_user")


def test_an_empty_diff_has_nothing_to_be_told_of() -> None:
    assert says_enough("There are no changes.", account_of(""))


def test_a_model_that_knows_another_version_is_asked_in_its_words_and_held_to_this_one() -> None:
    contracts = taught("pr-summary@3")
    newest, old = contracts["pr-summary@4"], contracts["pr-summary@3"]
    exchange = Exchange(ask(DIFF))
    drafted = newest.prepare(exchange, Consult("draft", "draft")).messages
    assert drafted == old.prepare(exchange, Consult("draft", "draft")).messages
    assert newest.prepare(exchange, Consult("verifier", "answer")).messages != drafted
    written = newest.mend(exchange, reply("Summary: Change it.\nCalls:\n- none\nTODOs:\n- none\nActions:\n- none"))
    assert written is not None and "Changes:\n- shop/cookies.py" in written.text and "Actions" not in written.text


def taught(*pinned: str) -> dict[str, Contract]:
    """The contracts before a draft model that was trained on these."""
    return Shelf.of(None).contracts(lambda name: (_ for _ in ()).throw(AssertionError(name)), {None: Learned(pinned)})


TAUGHT_ANSWERS = {
    "pr-summary@4": "Summary: Send cookies.\nCalls:\n- none\nTODOs:\n- none",
    "commit-message@2": "Send cookies",
    "code-review@2": "Verdict: comment: look at it.",
}


@pytest.mark.parametrize("pinned", TAUGHT_ANSWERS)
def test_a_model_that_was_taught_a_contract_is_asked_shortly_and_code_writes_the_rest(pinned: str) -> None:
    contract, exchange = taught("pr-summary@3", *TAUGHT_ANSWERS)[pinned], Exchange(ask(DIFF))
    (short,) = contract.prepare(exchange, Consult("draft", "draft")).messages
    (long,) = contract.prepare(exchange, Consult("verifier", "answer")).messages
    assert short.content.startswith(SHORT[pinned].partition("\n")[0]) and "InsecureTransport" in short.content
    assert len(short.content) < len(long.content)
    written = contract.mend(exchange, reply(TAUGHT_ANSWERS[pinned]))
    assert written is not None
    assert [one for one in contract.check(exchange.ask, written) if one.severity == "fail"] == []


SHORT = {pinned: Shelf.of(None).find(pinned).draft or "" for pinned in TAUGHT_ANSWERS}


def test_a_model_is_asked_in_the_newest_words_that_it_knows() -> None:
    exchange, move = Exchange(ask(DIFF)), Consult("draft", "draft")
    both, one = taught("pr-summary@3", "pr-summary@4"), taught("pr-summary@4")
    old = both["pr-summary@3"].prepare(exchange, move).messages
    assert "Actions: one" in old[0].content
    assert both["pr-summary@4"].prepare(exchange, move).messages != old
    assert one["pr-summary@3"].prepare(exchange, move).messages == one["pr-summary@4"].prepare(exchange, move).messages
    assert one["commit-message@2"].prepare(exchange, move).messages[0].content.startswith("Write the commit message")


def test_the_prompt_has_the_facts_and_the_terms() -> None:
    told = SUMMARY.prepare(Exchange(ask(DIFF)), Consult("draft", "draft")).messages[0].content
    assert "shop/cookies.py: changes `send_cookies`" in told and "Most telling terms: send_cookies" in told


@settings(deadline=None, max_examples=40)
@given(st.text(), st.text())
@example("", "0\n\x1e0")
@example("", "0\n\u2028\n0\r\n\x0c")
def test_any_answer_to_any_diff_is_mended_into_one_that_stays_as_it_is(diff: str, text: str) -> None:
    for contract in (SUMMARY, MESSAGE, REVIEW):
        for one in (diff, f"{DIFF}{diff}", DIFF.replace("secure", diff[:20].replace("\n", " ") or "x")):
            once = mended(one, text, contract)
            assert mended(one, once, contract) == once


def test_what_code_writes_is_written_before_the_answer_is_there() -> None:
    asked = ask(DIFF.replace("cookie", "a_cookie_like_no_other"))
    SUMMARY.foresee(asked)
    before = by_code.cache_info().misses
    text = mended(DIFF.replace("cookie", "a_cookie_like_no_other"), SAYS_LITTLE)
    assert SUMMARY.check(asked, reply(SAYS_LITTLE)) and "a_cookie_like_no_other" in text
    assert not [finding for finding in SUMMARY.check(asked, reply(text)) if finding.severity == "fail"]
    assert by_code.cache_info().misses == before
