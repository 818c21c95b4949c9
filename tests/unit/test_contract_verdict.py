"""What is a verdict, what is none, and what its edits do to a draft."""

import json

import pytest

from firstpass.contract.verdict import MOST_CHARACTERS, MOST_EDITS, Edit, edited, read_verdict, render_verdict
from firstpass.errors import BadVerdict
from tests.machine import LINEAR, growth

NONCE = "4f2a"
EDIT = {"span": "old", "text": "new"}


def verdict(**changes: object) -> str:
    return json.dumps({"nonce": NONCE, "ok": False, "edits": [EDIT]} | changes)


def test_a_verdict_is_read_as_it_was_written() -> None:
    edits = (Edit("Calls:\n- none", "Calls:\n- créer()"), Edit("x", ""))
    assert read_verdict(render_verdict(NONCE, edits), NONCE) == edits
    assert read_verdict(render_verdict(NONCE, []), NONCE) == ()


@pytest.mark.parametrize(
    "around",
    [
        "```json\n{}\n```\n",
        "```\n{}\n```",
        "<think>The call is new, so {{it}} stays.\n</think>{}",
        '<think>\n```json\n{{"nonce": "0000", "ok": true, "edits": []}}\n```\n</think>\n\n```json\n{}\n```',
        "The name is wrong, see {{old}}.\n\n{}\n",
        "Here is my verdict:\n\n```json\n{}\n```\n\nTell me if you need more.",
        "  \r\n{}\r\n",
        "\u00a0{}",
        "This is what I would change:\n```diff\n- old\n+ new\n```\nSo:\n```json\n{}\n```",
        "{{old}} is wrong.</think>{}",
    ],
)
def test_thoughts_prose_and_a_code_fence_may_stand_around_a_verdict(around: str) -> None:
    assert read_verdict(around.format(verdict()), NONCE) == (Edit("old", "new"),)


@pytest.mark.parametrize(
    "around", ["{}", "```json\n{}\n```", "So:\n{}", "<think>Hm.</think>\n{}", "Hm.</think>```\n{}\n```"]
)
@pytest.mark.parametrize("text", ["after </think> comes the answer", "<think>", "```", "a\n```json\n{"])
def test_what_stands_for_thoughts_or_a_fence_in_an_edit_s_text_ends_nothing(around: str, text: str) -> None:
    said = verdict(edits=[EDIT | {"text": text}])
    assert read_verdict(around.format(said), NONCE) == (Edit("old", text),)


ACCEPT = verdict(ok=True, edits=[])


@pytest.mark.parametrize(
    "text",
    [
        f"I would say {verdict()}\n```json\n{ACCEPT}\n```",
        f"```json\n{ACCEPT}\n```\n{verdict()}",
        f"```python\n{verdict()}\n```\n```json\n{ACCEPT}\n```",
        f"```json\n{ACCEPT}\n```\n```json\n{verdict()}",
        f"Either {verdict()}\n{ACCEPT}",
        f"<think>Perhaps:\n```json\n{ACCEPT}\n```\nBut no,",
        f"Well <think>\n{ACCEPT}",
        f"<think>Perhaps:\n```json\n{ACCEPT}\n```</think>The name is wrong.",
        f"Perhaps:\n{ACCEPT}\n</think>The name is wrong.",
    ],
)
def test_a_verdict_beside_another_or_in_a_thought_alone_is_none(text: str) -> None:
    with pytest.raises(BadVerdict):
        read_verdict(text, NONCE)


def test_a_verdict_with_spaces_in_it_and_many_lines_is_read() -> None:
    laid_out = json.dumps(json.loads(verdict()), indent=2)
    assert read_verdict(f"So:\n{laid_out}", NONCE) == (Edit("old", "new"),)


def test_a_hostile_text_without_a_verdict_is_read_in_linear_time() -> None:
    for line in ("```json\n", "{\n", "</think>\n", "```\n", '{"nonce":'):
        assert growth(lambda size, line=line: _refused(line * size), 2_000) < LINEAR  # type: ignore[misc]


def _refused(text: str) -> None:
    with pytest.raises(BadVerdict):
        read_verdict(text, NONCE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not JSON"),
        ("The draft is fine.", "is not JSON"),
        (f"Sure! {verdict()}", "is not JSON"),
        (verdict()[:-1], "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "object with nonce"),
        ("true", "object with nonce"),
        (json.dumps({"ok": True}), "object with nonce"),
        (verdict(reason="because"), "object with nonce"),
        (verdict(nonce="0000"), "nonce of this question"),
        (verdict(nonce=None), "nonce of this question"),
        (verdict(ok="true", edits=[]), "boolean ok"),
        (verdict(ok=1), "boolean ok"),
        (verdict(edits={"span": "old"}), "list of edits"),
        (verdict(edits=["old"]), "span and a text"),
        (verdict(edits=[{"span": "old"}]), "span and a text"),
        (verdict(edits=[EDIT | {"why": "x"}]), "span and a text"),
        (verdict(edits=[{"span": 1, "text": "x"}]), "span that is not empty"),
        (verdict(edits=[{"span": "", "text": "x"}]), "span that is not empty"),
        (verdict(edits=[{"span": "old", "text": "x" * (MOST_CHARACTERS + 1)}]), "at most"),
        (verdict(edits=[EDIT] * (MOST_EDITS + 1)), "more than"),
        (f"{verdict(ok=True, edits=[])} {verdict(ok=True, edits=[])}", "is not JSON"),
        (f"```json\n{verdict()}\n```\n```json\n{verdict()}\n```", "does not stand there alone"),
        (f"Either this:\n{verdict()}\nor that:\n{verdict(ok=True, edits=[])}", "is not JSON"),
        (f"<think>{verdict()}", "is not JSON"),
        (f"{verdict()}</think>", "is not JSON"),
        (f"I think:\n{verdict(nonce='0000')}", "nonce of this question"),
        (f"```python\n{verdict()}\n```", "is not JSON"),
        (f"\ufeff{verdict()}", "is not JSON"),
        (verdict(ok=float("nan"), edits=[]), "is not JSON"),
        (verdict(ok=None, edits=[]), "boolean ok"),
        (verdict(ok="\uff54\uff52\uff55\uff45", edits=[]), "boolean ok"),
        (verdict(nonce="\uff14f2a"), "nonce of this question"),
        (verdict(nonce=f"{NONCE} "), "nonce of this question"),
        (f'{{"nonce": "{NONCE}", "ok": false, "ok": true, "edits": []}}', "a field twice"),
        (f'{{"nonce": "0000", "\\u006eonce": "{NONCE}", "ok": true, "edits": []}}', "a field twice"),
        (f'{{"nonce": "{NONCE}", "\u043ek": true, "edits": []}}', "object with nonce"),
        (
            f'{{"nonce": "{NONCE}", "ok": true, "edits": [{{"span": "old", "text": "new"}}], "edits": []}}',
            "a field twice",
        ),
        (verdict(edits=[{"span": "old", "text": "half \ud83d"}]), "no character"),
        (verdict(ok=True), "if and only if"),
        (verdict(edits=[]), "if and only if"),
    ],
)
def test_what_is_not_exactly_a_verdict_is_refused(text: str, fault: str) -> None:
    with pytest.raises(BadVerdict, match=fault) as caught:
        read_verdict(text, NONCE)
    assert caught.value.failure.part == "verifier"


def test_edits_are_made_all_at_once() -> None:
    assert edited("a b c", [Edit("c", "a"), Edit("a", "b"), Edit(" b", "")]) == "b a"
    assert edited("same", []) == "same"
    assert edited("", []) == ""


@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        ([Edit("z", "x")], "exactly once: 'z'"),
        ([Edit("o", "x")], "exactly once: 'o'"),
        ([Edit("oo", "x")], "exactly once: 'oo'"),
        ([Edit("foo", "x"), Edit("ood", "y")], "overlap"),
        ([Edit("foo", "x"), Edit("foo", "y")], "overlap"),
        ([Edit("fo", "fo")], "change nothing"),
        ([Edit("f", "fo"), Edit("ooo", "oo")], "change nothing"),
        ([Edit("foood", "")], "leave nothing"),
        ([Edit("foood", " \n")], "leave nothing"),
    ],
)
def test_edits_that_have_no_one_place_or_make_no_other_answer_are_refused(edits: list[Edit], fault: str) -> None:
    with pytest.raises(BadVerdict, match=fault):
        edited("foood", edits)
