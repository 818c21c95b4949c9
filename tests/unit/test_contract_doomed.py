"""A reply so far: which of its faults no more text undoes, and nobody but a verifier puts right."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.chat import Message
from firstpass.contract import PromptedContract, shipped
from firstpass.exchange import Ask, Exchange, Finding, Reply, Watch
from tests.doubles import DIFF, NAMES, STRAYS

MENDING = shipped("pr-summary@3")
UNMENDED = PromptedContract(replace(MENDING.files, spec=MENDING.files.spec.model_copy(update={"mend": False})))
MESSAGE = shipped("commit-message@1")
SUMMARY = "Summary: Log in.\n"


def doomed(contract: PromptedContract, text: str, watch: Watch = "mended") -> Finding | None:
    return contract.doomed(asked(contract), text, watch)


def asked(contract: PromptedContract) -> Ask:
    return Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", DIFF),), contract=contract.pinned)


def test_a_sentence_is_judged_when_its_section_is_over() -> None:
    head, rest = STRAYS.split("\n", 1)
    assert doomed(MENDING, f"{head}\n") is None
    fault = doomed(MENDING, f"{head}\n{rest[:7]}")
    assert fault is not None and (fault.check, fault.subject) == ("hallucinated", "launchRocket")


def test_where_the_draft_model_writes_a_sentence_again_a_stray_name_ends_nothing() -> None:
    assert doomed(MENDING, STRAYS, "rewritten") is None
    fault = doomed(MENDING, "Summary:\nCalls:\n", "rewritten")
    assert fault is not None and fault.message == "Summary is empty"


@pytest.mark.parametrize("listed", ["- launchRocket()\n", "- none\nTODOs:\n- write poems\nActions:\n"])
def test_only_where_code_mends_nothing_a_wrong_list_ends_at_the_verifier(listed: str) -> None:
    text = f"{SUMMARY}Calls:\n{listed}"
    assert doomed(MENDING, text) is None and doomed(UNMENDED, text) is not None


def test_a_call_is_left_out_only_once_the_next_section_has_begun() -> None:
    text = f"{SUMMARY}Calls:\n- check()\n"
    assert doomed(UNMENDED, text) is None
    fault = doomed(UNMENDED, f"{text}TODOs:\n")
    assert fault is not None and fault.message == "Summary omitted required API call: createSession()"


def test_a_right_draft_is_never_doomed() -> None:
    lines = NAMES.splitlines(keepends=True)
    assert [doomed(UNMENDED, "".join(lines[:end])) for end in range(1, len(lines) + 1)] == [None] * len(lines)


def test_a_subject_that_is_too_long_ends_at_the_verifier_even_where_sentences_are_written_again() -> None:
    fault = doomed(MESSAGE, f"Create a session {' '.join(map(str, range(40)))}\n", "rewritten")
    assert fault is not None and fault.check == "subject"
    assert doomed(MESSAGE, "Create a session\n", "rewritten") is None


NAMED = st.sampled_from(["check()", "createSession()", "launchRocket()", "login in launchRocket().", "user", "none"])
ITEMS = st.lists(NAMED.map(lambda name: f"- {name}\n"), max_size=3).map("".join)


@given(st.tuples(NAMED, ITEMS, ITEMS, ITEMS), st.sampled_from([MENDING, UNMENDED]))
def test_what_dooms_a_beginning_is_a_fault_of_every_end(parts: tuple[str, ...], contract: PromptedContract) -> None:
    """Also after code has mended what it can."""
    sentence, *lists = parts
    listed = (f"{name}:\n{items}" for name, items in zip(("Calls", "TODOs", "Actions"), lists, strict=True))
    lines = "".join([f"Summary: Do {sentence}\n", *listed]).splitlines(keepends=True)
    ask, whole = asked(contract), Reply("".join(lines), "m", "stop", None, 0.1)
    mended = contract.mend(Exchange(ask), whole) or whole
    for end in range(1, len(lines) + 1):
        fault = contract.doomed(ask, "".join(lines[:end]), "mended")
        assert fault is None or fault in contract.check(ask, mended)
