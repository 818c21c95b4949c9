"""Routing rules: which requests they fit, and where these go."""

from dataclasses import replace

import pytest

from firstpass.chat import Message
from firstpass.errors import TierUnavailable
from firstpass.exchange import Answer, Ask, Consult, Exchange, Refuse, Reply, Step
from firstpass.policy.escalation import EscalationPolicy
from firstpass.policy.rules import Rule, first_fit

DIFF = """diff --git a/src/auth/login.py b/src/auth/login.py
--- a/src/auth/login.py
+++ b/src/auth/login.py
@@ -1,2 +1,3 @@
 def login(user):
+    audit(user)
     return user
"""
ASK = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", DIFF),), contract="pr-summary@3", key="k1")
AUTH = Rule("authorisation", "strong", paths=("**/auth/**",))
DOWN = TierUnavailable("down", part="draft").failure
REPLY = Reply("good", "m", "stop", None, 0.1)


def said(text: str, **changes: object) -> Ask:
    return replace(ASK, messages=(Message("user", text),), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule("r", "strong"), True),
        (Rule("r", "strong", paths=("**/auth/**",)), True),
        (Rule("r", "strong", paths=("auth/",)), True),
        (Rule("r", "strong", paths=("*.go",)), False),
        (Rule("r", "strong", paths=("*.py", "!login.py")), False),
        (Rule("r", "strong", languages=("python", "go")), True),
        (Rule("r", "strong", languages=("go",)), False),
        (Rule("r", "strong", contracts=("pr-summary",)), True),
        (Rule("r", "strong", contracts=("none", "code-review")), False),
        (Rule("r", "strong", keys=("k1",)), True),
        (Rule("r", "strong", keys=("k2",)), False),
        (Rule("r", "strong", over_bytes=len(DIFF)), False),
        (Rule("r", "strong", over_bytes=len(DIFF) - 1), True),
        (Rule("r", "strong", over_changed_lines=1), False),
        (Rule("r", "strong", over_changed_lines=0), True),
        (Rule("r", "strong", over_openings=1), False),
        (Rule("r", "strong", over_openings=0), True),
        (Rule("r", "strong", text=r"audit\("), True),
        (Rule("r", "strong", text="(?i)licen[cs]e"), False),
        (Rule("r", "strong", paths=("**/auth/**",), languages=("go",)), False),
    ],
)
def test_a_rule_fits_where_all_that_it_names_is_so(rule: Rule, fits: bool) -> None:
    assert rule.fits(ASK) is fits


def test_a_file_that_moves_is_looked_at_under_both_its_names() -> None:
    moved = "diff --git a/auth/x.py b/lib/x.py\nsimilarity index 100%\nrename from auth/x.py\nrename to lib/x.py\n"
    assert AUTH.fits(said(moved)) and AUTH.fits(said(moved.replace("auth/", "other/").replace("lib/", "auth/")))


def test_a_diff_inside_a_free_question_is_looked_at_too() -> None:
    assert AUTH.fits(said(f"Is this right?\n{DIFF}", contract=None))
    assert not AUTH.fits(said("Is src/auth/login.py right?", contract=None))


ELSEWHERE = "diff --git a/src/cart.py b/src/cart.py\n--- a/src/cart.py\n+++ b/src/cart.py\n@@ -1 +1,9 @@\n a\n+b\n"


@pytest.mark.parametrize(
    "text",
    [
        "diff --cc src/auth/login.py\n@@@ -1,2 -1,2 +1,3 @@@\n++audit(user)\n",
        "".join(f"\x1b[1m{line}\x1b[m\n" for line in DIFF.splitlines()),
        "".join(f"| {line}\n" for line in DIFF.splitlines()),
        "".join(f"> {line}\n" for line in DIFF.splitlines()),
        DIFF.replace(" a/", " i/").replace(" b/", " w/"),
        DIFF.replace(" a/", " ").replace(" b/", " "),
        DIFF.replace(" a/", " a/").replace(" b/", " a/"),
        "--- old/src/auth/login.py\t2026-01-01\n+++ new/src/auth/login.py\t2026-01-01\n@@ -1 +1 @@\n-a\n+b\n",
    ],
)
def test_a_path_is_found_however_the_diff_is_written(text: str) -> None:
    assert Rule("anchored", "strong", paths=("src/auth/**",)).fits(said(text))
    assert not Rule("elsewhere", "strong", paths=("docs/**",)).fits(said(text)) or "@@@" in text


@pytest.mark.parametrize(
    "text",
    [
        ELSEWHERE,
        "@@ -1 +1 @@\n-a\n+b\n",
        "M\tsrc/auth/login.py\n",
        "2026-01-01 @@ -1,2 +1,3 @@ def login(user):\n",
        "Look at @@ -1,2 +1,3 @@ please",
    ],
)
def test_what_could_not_be_read_or_is_missing_is_taken_for_a_fit(text: str) -> None:
    assert AUTH.fits(said(text)) and Rule("r", "strong", languages=("go",)).fits(said(text))


def test_a_directory_that_may_be_a_prefix_is_looked_for_with_and_without_it() -> None:
    """`a/` on both sides: a directory of a diff without prefixes, or what a model writes for both."""
    both = "--- a/auth/x.py\n+++ a/auth/x.py\n@@ -1 +1 @@\n-a\n+b\n"
    for paths in (("/auth/**",), ("/a/auth/**",)):
        assert Rule("r", "strong", paths=paths).fits(said(both))
    assert not Rule("r", "strong", paths=("/a/**",)).fits(said(DIFF))


def test_a_text_is_found_in_the_middle_of_colours_and_behind_a_prefix() -> None:
    coloured = DIFF.replace("+    audit(user)", "\x1b[32m+\x1b[m\x1b[32m    au\x1b[7mdit\x1b[27m(user)\x1b[m")
    coloured = coloured.replace("diff --git", "\x1b[1mdiff --git")
    assert Rule("r", "strong", text=r"(?m)^\+.*audit\(").fits(said(coloured))
    assert Rule("r", "strong", text=r"(?m)^\+.*audit\(").fits(
        said("".join(f"> {line}\n" for line in DIFF.splitlines()))
    )
    assert Rule("r", "strong", text=r"\x1b\[7m").fits(said(coloured))


def test_the_first_rule_that_fits_decides() -> None:
    local = Rule("small", "local", over_bytes=1)
    assert first_fit((local, AUTH), ASK) == local and first_fit((AUTH, local), ASK) == AUTH
    assert first_fit((AUTH,), said("hello")) is None


def test_a_rule_s_strong_model_is_asked_before_any_draft_and_its_answer_checked() -> None:
    policy = EscalationPolicy("local", (AUTH,))
    consult = Consult("verifier", "answer", rule="authorisation")
    assert policy.next(Exchange(ASK)) == consult
    assert policy.next(Exchange(ASK, (Step(consult, REPLY),))) == Answer(0, "strong")
    free = replace(ASK, contract=None)
    assert policy.next(Exchange(free)) == replace(consult, binding=True)


def test_a_rule_that_can_not_be_met_refuses_and_names_itself() -> None:
    for verifier, ceiling in (("none", "any"), ("hosted", "local-only")):
        move = EscalationPolicy(verifier, (AUTH,)).next(Exchange(replace(ASK, ceiling=ceiling)))  # type: ignore[arg-type]
        assert isinstance(move, Refuse) and move.failure.message.startswith("the rule 'authorisation' sends this to")


def test_a_rule_may_keep_a_request_on_this_machine() -> None:
    policy = EscalationPolicy("local", (Rule("by night", "local"),))
    consult = Consult("draft", "answer", rule="by night")
    assert policy.next(Exchange(ASK)) == consult
    assert policy.next(Exchange(ASK, (Step(consult, REPLY),))) == Answer(0, "draft")
    assert policy.next(Exchange(ASK, (Step(consult, failure=DOWN),))) == Refuse(DOWN)


def test_a_rule_has_no_say_where_the_caller_names_the_model() -> None:
    policy = EscalationPolicy("local", (Rule("all", "strong"),))
    assert policy.next(Exchange(replace(ASK, target="local"))) == Consult("draft", "answer")
