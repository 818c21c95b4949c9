"""The form of a contract as a pattern: good answers match it, and who was not taught the contract is held to it."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstpass import drafting
from firstpass.chat import Message, Sampling, Tool
from firstpass.contract import Contract, Learned, Shelf
from firstpass.contract.form import Free, Headed, Section
from firstpass.contract.pattern import MOST_ITEMS, MOST_LINE_WORDS, form_pattern
from firstpass.dialect.openai.gbnf import gbnf
from firstpass.errors import BadSettings
from firstpass.exchange import Ask, Consult, Exchange, Purpose, TierName
from firstpass.settings import Settings
from tests.doubles import DIFF, NAMES, OMITS, STRAYS

FORMS = {pinned: files.form for pinned, files in Shelf.of(None).files.items() if files.name != "free"}
PATTERNS = {pinned: form_pattern(form) or "" for pinned, form in FORMS.items()}
ASK = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", DIFF),))
REVIEW = "Verdict: comment: look at it.\nFindings:\n- shop/my_cart.py:12: It is never closed.\nQuestions:\n- none"
NEWEST = "Summary: Log in.\nChanges:\n- auth.py: adds it\nCalls:\n- createSession()\nTODOs:\n- none\nReview:\n- None"

GOOD = [
    *(("pr-summary@3", text) for text in (NAMES, OMITS, STRAYS)),
    ("pr-summary@4", NEWEST),
    ("code-review@1", REVIEW),
    ("code-review@2", REVIEW.replace("- shop/my_cart.py:12: It is never closed.", "- none")),
    ("commit-message@1", "Send cookies"),
    ("commit-message@2", "Send cookies\n\nThey were lost:\n- one by one\n- all at once\n\nSo `send_cookies` does."),
    ("touched-functions@1", "Functions:\n- check()\n- Foo::bar()\n- #open()\nUnseen: no"),
]
BAD = [
    ("pr-summary@3", ""),
    ("pr-summary@3", "This adds a session."),
    ("pr-summary@3", NAMES.partition("\nActions")[0]),
    ("pr-summary@3", f"Here it is:\n{NAMES}"),
    ("pr-summary@3", f"{NAMES}\n\nLet me know!"),
    ("pr-summary@3", NAMES.replace("Create a session at login.", "")),
    ("pr-summary@3", NAMES.replace("createSession()", "createSession")),
    ("pr-summary@3", NAMES.replace("Calls:\n- createSession()", "Calls:")),
    ("pr-summary@3", NAMES.replace("- createSession()", "- f()\n" * MOST_ITEMS + "- f()")),
    ("pr-summary@3", NAMES.replace("Create", "**Create**")),
    ("pr-summary@4", NAMES),
    ("code-review@2", REVIEW.replace(":12:", ":")),
    ("commit-message@2", "Send cookies\nThey were lost."),
    ("commit-message@2", "**Send cookies**"),
    ("commit-message@2", "Send" + " cookies" * MOST_LINE_WORDS),
    ("touched-functions@1", "Functions:\n- none"),
]


@pytest.mark.parametrize(("pinned", "text"), GOOD)
def test_a_good_answer_is_what_the_pattern_asks_for(pinned: str, text: str) -> None:
    assert re.fullmatch(PATTERNS[pinned], text)


@pytest.mark.parametrize(("pinned", "text"), BAD)
def test_an_answer_in_another_form_is_not(pinned: str, text: str) -> None:
    assert not re.fullmatch(PATTERNS[pinned], text)


LINES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200).map(
    lambda line: " ".join(f"x{line}".split()[: MOST_LINE_WORDS - 1])
)
WRITTEN: dict[str, st.SearchStrategy[list[str]]] = {
    "sentence": LINES.map(lambda line: [line]),
    "calls": st.lists(st.text("aZ_$9", max_size=50).map(lambda name: f"f{name}"), max_size=MOST_ITEMS),
    "places": st.lists(st.builds("a/b_{0}.py:{0}: {1}".format, st.integers(0, 10**6 - 1), LINES), max_size=3),
}


@settings(deadline=None)
@given(st.data())
def test_what_the_form_writes_matches_and_is_read_again(data: st.DataObject) -> None:
    pinned = data.draw(st.sampled_from([name for name in FORMS if not name.startswith("commit")]))
    form = FORMS[pinned]
    listed = st.lists(LINES, max_size=MOST_ITEMS)
    parts = {section.name: data.draw(WRITTEN.get(section.holds, listed)) for section in form.sections}
    assert re.fullmatch(PATTERNS[pinned], form.render(parts))


PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126) | st.just("\n")


@pytest.mark.parametrize("pinned", PATTERNS)
@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_matches_is_read_in_its_form(pinned: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(PATTERNS[pinned], fullmatch=True, alphabet=PRINTABLE))
    form = FORMS[pinned]
    answer = form.read(text)
    assert answer.missing == () and not answer.unread
    for section in form.sections:
        assert section.holds != "sentence" or answer[section.name]
        assert len(answer[section.name]) <= MOST_ITEMS or section.holds in ("calls", "text")


def test_a_line_that_is_cut_off_ends_in_dots() -> None:
    pattern = form_pattern(Headed([Section("Note", "sentence")])) or ""
    whole = "Note:" + " x" * (MOST_LINE_WORDS - 1)
    assert re.fullmatch(pattern, whole) and not re.fullmatch(pattern, f"{whole} x")
    assert re.fullmatch(pattern, f"{whole} x ...") and not re.fullmatch(pattern, f"{whole} x x ...")


def test_any_text_has_the_free_form() -> None:
    assert form_pattern(Free()) is None


@pytest.mark.parametrize("pinned", PATTERNS)
def test_it_is_small_and_a_grammar_of_llama_cpp_s_too(pinned: str) -> None:
    assert len(PATTERNS[pinned]) < 700 and gbnf(PATTERNS[pinned]).startswith("root ::= ")


def contracts(*taught: str, holds_form: bool = True) -> dict[str, Contract]:
    """Before a draft model that was trained on these."""
    learned = {None: Learned(taught, holds_form=holds_form)}
    return Shelf.of(None).contracts(lambda name: (_ for _ in ()).throw(AssertionError(name)), learned)


def asked(contract: Contract, tier: TierName, purpose: Purpose, ask: Ask = ASK, *, measured: bool = False) -> Ask:
    return contract.prepare(Exchange(ask), Consult(tier, purpose, measured=measured))


@pytest.mark.parametrize("purpose", ["draft", "answer"])
def test_a_draft_of_a_contract_that_the_model_was_not_trained_on_is_held_to_its_form(purpose: Purpose) -> None:
    for pinned, contract in contracts().items():
        assert asked(contract, "draft", purpose).pattern == PATTERNS.get(pinned)
        assert asked(contract, "verifier", purpose).pattern is None


def test_a_model_that_was_trained_on_any_version_of_a_contract_is_asked_as_ever() -> None:
    held, free = contracts("pr-summary@3"), contracts("pr-summary@3", holds_form=False)
    for pinned in ("pr-summary@3", "pr-summary@4"):
        assert asked(held[pinned], "draft", "draft") == asked(free[pinned], "draft", "draft")
        assert asked(held[pinned], "draft", "draft").pattern is None
    assert asked(held["commit-message@2"], "draft", "draft").pattern == PATTERNS["commit-message@2"]


def test_a_draft_whose_signals_are_wanted_is_free() -> None:
    assert asked(contracts()["pr-summary@4"], "draft", "draft", measured=True).pattern is None


@pytest.mark.parametrize(
    "sampling", [Sampling(response_format={"type": "json_object"}), Sampling(tools=(Tool("look", None, {}),))]
)
def test_a_caller_who_says_what_the_reply_looks_like_is_given_that(sampling: Sampling) -> None:
    assert asked(contracts()["pr-summary@4"], "draft", "answer", replace(ASK, sampling=sampling)).pattern is None


@pytest.mark.parametrize("kind", [{"kind": "transformers"}, {"kind": "external", "url": "http://127.0.0.1:9/v1"}])
def test_an_engine_that_takes_no_pattern_can_not_be_held(kind: dict[str, object]) -> None:
    wanted = Settings.model_validate({"engines": {"small": {"holds_form": True} | kind}})
    with pytest.raises(BadSettings, match=r"engines\.small: holds_form"):
        drafting.engine_specs(wanted)
