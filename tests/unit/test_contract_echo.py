"""Loops and parrots: what counts as one, what real text never does, and what becomes of answers that have one."""

from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firstpass.chat import Message
from firstpass.contract import PromptedContract, Shelf, shipped
from firstpass.contract.echo import LEAST_CHARACTERS, LEAST_WORDS, TIMES, Instructions, parrots, repeats
from firstpass.exchange import Ask, Exchange, Finding, Reply
from tests.doubles import DIFF
from tests.machine import LINEAR, growth

SUMMARY, MESSAGE, REVIEW = (shipped(name) for name in ("pr-summary@4", "commit-message@2", "code-review@2"))
OLD = shipped("pr-summary@3")
TOLD = Instructions.of(text for one in Shelf.of(None).files.values() for text in (one.prompt, one.draft) if text)
TITLE = "Let login create a session of the user"

REAL = [
    "stuff and things and stuff",
    "Cleanly shutdown the pool by catching TERM and calling close(), uncleanly by catching INT and calling terminate()",
    "refactor session cookie domain logic cache result of session cookie domain add warnings for session cookie domain",
    "Making sure filepath is a file. Fixes a bug when filepath is a directory.",
    "caddyhttp: Return error if error handling error",
    "'=' char is now safe in urls; wss:// protocol is now safe",
    "AppGroups produce more AppGroups",
    "Log 4xx as info. Log 5xx as error",
    "Renames Validate() to validate()",
    "Use deepMerge in deepMerge",
    "add test add description",
    "Add overloads for { parseAs: \"string\" } or { parseAs: \"buffer\" } (#1162)",
    "feat: warn when `esbuild: false` is set but `oxc: false` is not set",
    "Type-hint stream_request_body so that the type of stream_request_body(cls) is the same as the type of cls.",
    "merge in place the apps beat schedule in the default Schedule class. (#5908)",
    "very, very, very, very slow",
    "ha ha ha ha",
    "Bump actions/checkout from 4.1.1 to 4.1.1.1.1",
    "Revert \"Revert \"Revert \"Revert \"Add the cache\"\"\"\"",
    "--------------------------------------------------------------",
    "= = = = = = = = = = = = = = = = =",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    "| yes | no | yes | no | yes | no | yes | no |\n| yes | no | yes | no | yes | no | yes | no |",
    "| a | x |\n| a | x |\n| a | x |\n| a | x |\n| a | x |",
    "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0",
    "0" * 40,
    "f" * 128,
    "00000000-0000-0000-0000-000000000000",
    "deadbeefdeadbeefdeadbeef",
    "255.255.255.255",
    "3.1212121212121212",
    "- a.py:1: an exception is swallowed\n- a.py:9: an exception is swallowed\n- b.py:1: an exception is swallowed"
    "\n- b.py:7: an exception is swallowed\n- c.py:1: an exception is swallowed",
    "1. Read the file\n2. Read the other file\n3. Write the file\n4. Write the other file",
    "approve", "none", "yes", "request changes", "Comment.",
    "in the handler", "Name the diff", "docs: say what changed",
]  # fmt: skip
"""Of 12,164 subjects those that repeat themselves most, and what looks like a loop or a parrot."""

LOOPS = [
    "looks good looks good looks good looks good",
    "Looks good, looks good. LOOKS GOOD - looks good",
    "Create a session: the file the file the file the file the file",
    "- the file\n- the file\n- the file\n- the file\n",
    "1. Fix the login\n2. Fix the login\n3. Fix the login\n4. Fix the login",
    "step 1 step 1 step 1 step 1",
    "again " * LEAST_WORDS,
    "1." * 17,
    "createSession" * TIMES,
    "\u4f60\u597d" * 16,
]
PARROTS = [
    "one sentence.",
    "One *sentence*",
    "approve: one sentence.",
    "request changes: one sentence that begins with",
    "auth.py:3: fault of an added line",
    "path: text",
    "Name only what occurs in the diff. Write the message and nothing else.",
    "What a reviewer should look at.",
    "imperative, at most 72 characters, no full stop",
]


@pytest.mark.parametrize("text", LOOPS)
def test_what_follows_on_itself_four_times_is_a_loop_wherever_it_stands(text: str) -> None:
    assert repeats(text) and repeats(f"A session is created here.\n{text}\nThen the user is returned.")
    assert repeats(text, at_end=True) and not repeats(f"{text}\nThen the user is returned.", at_end=True)


@pytest.mark.parametrize("text", PARROTS)
def test_the_instructions_own_words_are_no_answer(text: str) -> None:
    assert parrots(text, TOLD)
    assert not parrots(f"{text} And createSession is called.", TOLD)


@pytest.mark.parametrize("text", REAL)
def test_real_text_is_neither(text: str) -> None:
    assert repeats(text) == "" and not parrots(text, TOLD)


def test_what_a_prompt_has_in_quotes_is_an_answer_and_fields_end_a_run() -> None:
    told = Instructions.of(['Say "low risk" or "needs a look" of the change {diff} or of another part.'])
    assert not parrots("Low risk.", told) and not parrots("the change or of another part", told)
    assert parrots("of the change", told) and parrots("Another part", told)


WORD = st.text(st.characters(categories=("L", "N"), max_codepoint=0x24F), min_size=1, max_size=12)


@given(st.lists(WORD, unique_by=str.casefold, max_size=60))
def test_words_of_which_none_comes_twice_are_no_loop(words: list[str]) -> None:
    text = " ".join(word for word in words if len(word) < LEAST_CHARACTERS)
    assert repeats(text) == "" and repeats(text, at_end=True) == ""


@given(st.lists(st.sampled_from(REAL), min_size=1, max_size=3, unique=True), st.sampled_from([" ", ". ", "\n"]))
def test_real_texts_beside_each_other_are_no_loop(texts: list[str], between: str) -> None:
    assert repeats(between.join(texts)) == ""


@given(st.text())
@example("|" * 50)
@example("- " * 50)
def test_any_text_can_be_asked(text: str) -> None:
    assert isinstance(repeats(text), str) and isinstance(parrots(text, TOLD), bool)


@given(st.lists(st.sampled_from(["fix", "the", "login", "page"]), min_size=1, max_size=8), st.integers(TIMES, 9))
def test_whatever_is_said_often_enough_is_a_loop(unit: list[str], times: int) -> None:
    enough = len(unit) * times >= LEAST_WORDS
    assert bool(repeats(" ".join(unit * times))) or not enough


@pytest.mark.parametrize("piece", ["a", "a ", "a b ", "ab.", "- ", "|", "0 ", "one sentence. ", "x: ", '"', "\n", " "])
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    def read(size: int) -> None:
        repeats(piece * size)
        parrots(piece * size, TOLD)
        Instructions.of([piece * size])

    assert growth(read, 5_000) < LINEAR


def ask(contract: PromptedContract, diff: str = DIFF) -> Ask:
    return Ask("x", 0.0, "chat", "", "cascade", (Message("user", diff),), contract=contract.pinned)


def reply(text: str) -> Reply:
    return Reply(text, "", "stop", None, 0.0)


def failed(contract: PromptedContract, text: str, diff: str = DIFF) -> list[Finding]:
    return [one for one in contract.check(ask(contract, diff), reply(text)) if one.severity == "fail"]


def mended(contract: PromptedContract, text: str, diff: str = DIFF) -> str:
    found = contract.mend(Exchange(ask(contract, diff)), reply(text))
    assert found is not None
    return found.text


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("approve: one sentence.", "Verdict only repeats words of the instructions: approve: one sentence."),
        (f"approve: {'looks good ' * 4}", "Verdict repeats itself: looks good"),
    ],
)
def test_a_verdict_that_says_nothing_fails_and_code_writes_one(said: str, message: str) -> None:
    text = f"Verdict: {said}\nFindings:\n- none\nQuestions:\n- none"
    assert [(one.check, one.section, one.message) for one in failed(REVIEW, text)] == [("format", "Verdict", message)]
    assert mended(REVIEW, text).startswith("Verdict: comment: code found no fault")
    assert failed(REVIEW, mended(REVIEW, text)) == []


def test_a_sentence_that_loops_fails_although_it_says_the_right_terms() -> None:
    sentence = "Let login create a session: createSession user createSession user createSession user createSession user"
    text = mended(SUMMARY, "").splitlines()
    looped = "\n".join([f"Summary: {sentence}.", *text[1:]])
    assert [one.message for one in failed(SUMMARY, looped)] == ["Summary repeats itself: createsession user"]
    assert mended(SUMMARY, looped).splitlines() == text


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("Send it to the shop. " * 4, ""),
        ("- sessions were never kept\n- send it send it send it send it", "- sessions were never kept"),
        ("Sessions were never kept.\n\nName only what occurs\nin the diff.", "Sessions were never kept."),
        ("- send it\n- send it\n- send it\n- send it", ""),
        ("A session is kept.\n\n\nIt ends at midnight.", "A session is kept.\n\n\nIt ends at midnight."),
    ],
)
def test_what_says_nothing_leaves_a_body_that_code_may_write(body: str, left: str) -> None:
    text = f"{TITLE}\n\n{body}"
    assert bool(failed(MESSAGE, text)) == (body.strip() != left)
    assert mended(MESSAGE, text) == (f"{TITLE}\n\n{left}" if left else TITLE)
    assert failed(MESSAGE, mended(MESSAGE, text)) == []


def test_a_body_that_code_may_not_write_stays_as_it_is_and_fails() -> None:
    contract, text = shipped("commit-message@1"), f"{TITLE}\n\n{'Send it to the shop. ' * 3}Send it to the shop."
    assert mended(contract, text) == text
    assert [one.message for one in failed(contract, text)] == ["Body repeats itself: send it to the shop"]


def test_items_that_say_nothing_go_and_those_that_are_a_loop_together_stay_once() -> None:
    questions = [*["Why is the user returned?"] * 5, "what only the author can say", "is it it is " * 4]
    listed = "".join(f"\n- {question}" for question in questions)
    text = f"Verdict: comment: a session is created\nFindings:\n- none\nQuestions:{listed}"
    assert {one.check for one in failed(REVIEW, text)} == {"format"}
    assert mended(REVIEW, text).endswith("Questions:\n- Why is the user returned?")


def test_a_todo_may_repeat_itself_as_its_diff_does_and_code_may_quote_it() -> None:
    todo = "# TODO: ha ha ha ha ha ha ha ha ha ha"
    diff = DIFF.replace("+1,4", "+1,5").replace("+    s = ", f"+    {todo}\n+    s = ")
    text = mended(SUMMARY, "Summary: Create a session with createSession at login.", diff)
    assert "TODOs:\n- ha ha ha ha ha ha ha ha ha ha" in text
    assert failed(SUMMARY, text, diff) == []


QUESTION = "- why is it so slow\n"
HEAD = "Verdict: comment: a session is created\nFindings:\n- none\nQuestions:\n"


def test_a_draft_is_cut_off_as_soon_as_whole_lines_of_what_nobody_else_writes_are_a_loop() -> None:
    cut = partial(REVIEW.doomed, ask(REVIEW), watch="rewritten")
    assert cut(HEAD + QUESTION * 3) is None
    fault = cut(HEAD + QUESTION * 4)
    assert fault is not None and fault.message == "Questions repeats itself: why is it so slow"
    assert cut(f"{HEAD}{QUESTION * 4}- Who has asked for it?\n") is None, "the model has found its way out"


def test_a_loop_in_what_code_writes_costs_no_verifier() -> None:
    """The mended answer is whole, as that of a draft which was cut off at its limit is."""
    looped = "- auth.py: the file\n" * 9
    text = f"Summary: Create a session with createSession at login.\nChanges:\n{looped}"
    assert SUMMARY.doomed(ask(SUMMARY), text, "mended") is None
    assert failed(SUMMARY, mended(SUMMARY, text)) == []


@pytest.mark.parametrize(("todo", "ends"), [("- write it again soon\n", True), ("- cache it for now\n", False)])
def test_only_a_todo_of_the_diff_may_be_listed_again_and_again(todo: str, ends: bool) -> None:
    diff = DIFF.replace("+1,4", "+1,5").replace("+    s = ", "+    # TODO: cache it for now\n+    s = ")
    text = f"Summary: Create a session.\nCalls:\n- createSession()\nTODOs:\n{todo * 5}"
    fault = OLD.doomed(ask(OLD, diff), text, "mended")
    assert (fault is not None) == ends and (fault is None or fault.section == "TODOs")


@pytest.mark.parametrize("contract", [SUMMARY, MESSAGE, REVIEW, OLD])
@given(st.lists(st.sampled_from([*LOOPS, *PARROTS, "Why?", "Summary:", "Questions:", ""]), max_size=6))
def test_an_answer_once_mended_stays_as_it_is(contract: PromptedContract, lines: list[str]) -> None:
    once = mended(contract, "\n".join(lines))
    assert mended(contract, once) == once
