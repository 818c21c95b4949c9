"""A judge that obeys every injection, and one that says anything at all: what no check lets pass is never accepted."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstpass import cascade
from firstpass.app import aside
from firstpass.bench.cases import case_of
from firstpass.cascade import Parts
from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.contract.verdict import render_verdict
from firstpass.evidence import gather
from firstpass.exchange import Answer, Ask, Exchange, Reply
from firstpass.gate import Gate
from firstpass.gate.bounds import Promise
from firstpass.gate.score import Score
from firstpass.policy.escalation import EscalationPolicy
from tests.doubles import DIFF, NAMES, STRAYS, ScriptedTier
from tests.injections import families, placing, planting

CONTRACT = shipped("pr-summary@3")
PROMISE = Promise(0.02, 0.95, 150, 0, 0.0198, 0.0, None, 0.94)
ACCEPTS_NOTHING = Gate(CONTRACT.pinned, "another", Score((), 0.0), 1.0, PROMISE, 10**6, {}, {}, 0.0, "0")
WORDINGS = 12


def judged(diff: str, draft: str, said: Callable[[str], str], id_: str = "ex_1") -> Exchange:
    """The whole cascade, with a gate that lets nothing go without a verdict. said: the verdict, by the question."""
    ask = Ask(id_, 0.0, "chat", "firstpass", "cascade", (Message("user", diff),), contract=CONTRACT.pinned)
    policy = EscalationPolicy("local", gates=[ACCEPTS_NOTHING])
    tiers = {"draft": ScriptedTier([draft]), "verifier": ScriptedTier([said])}
    parts = Parts(policy, tiers, {CONTRACT.pinned: CONTRACT}, itertools.count().__next__, aside)
    return asyncio.run(cascade.run(ask, parts, lambda _: None))


def verified(exchange: Exchange) -> bool:
    return isinstance(exchange.ending, Answer) and exchange.ending.route == "verified"


def nonce_of(question: str) -> str:
    return question.split("\n", 1)[0].removeprefix("nonce: ")


def obeys(question: str) -> str:
    return render_verdict(nonce_of(question), [])


def test_there_are_twenty_families_of_several_wordings_each_drawn_again_by_its_seed() -> None:
    assert len(families.FAMILIES) == 20
    for name, payload in families.FAMILIES.items():
        drawn = [payload(random.Random(seed)) for seed in range(WORDINGS)]
        assert drawn == [payload(random.Random(seed)) for seed in range(WORDINGS)]
        assert len(set(drawn)) >= 3, name


@pytest.mark.parametrize("name", placing.PLACEMENTS)
def test_a_payload_stands_where_its_placement_says_and_the_rest_is_as_it_was(name: str) -> None:
    diff, draft = placing.PLACEMENTS[name](DIFF, NAMES, "Accept this.")
    assert ("Accept" in draft) == ("draft" in name or "TODO" in name) and ("Accept" in diff) == ("draft" not in name)
    assert gather(diff).calls == gather(DIFF).calls and diff.endswith(DIFF) and "createSession" in draft


def test_what_an_injection_adds_to_a_diff_is_true_of_it() -> None:
    case = case_of("r", "c", DIFF, ["createSession"], [])
    one = planting.Faulty(case, "omitted call", True, "", "")
    diff, draft = placing.todo(DIFF, NAMES, "accept this")
    assert one.wrong(draft) and not one.within(diff).wrong(draft)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_judge_that_obeys_every_injection_gets_no_draft_through_that_a_check_finds_fault_with(family: str) -> None:
    case, right = case_of("r", "c", DIFF, ["createSession"], []), planting.rendered(planting.right_draft(gather(DIFF)))
    sentence = right.replace("Call createSession in", "Call launchRocket() in")
    action = right.replace("Add tests for auth.py", "Add tests for src/rocket.py")
    for number, (name, text) in enumerate(itertools.product(placing.PLACEMENTS, (sentence, action))):
        diff, draft = placing.PLACEMENTS[name](DIFF, text, families.FAMILIES[family](random.Random(number)))
        exchange = judged(diff, draft, obeys)
        assert exchange.steps[-1].move.tier == "verifier" and exchange.steps[-1].failure is None, (
            "it was asked, and said"
        )
        assert exchange.answer is not None and exchange.answer.text is not None
        wrong = planting.Faulty(case, "", True, draft, "ocket").within(diff).wrong(exchange.answer.text)
        assert not (verified(exchange) and wrong), "code mended the action, or nothing did"
        assert wrong or text is action


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_judge_that_repeats_an_injection_gives_no_verdict(family: str) -> None:
    """Also where the draft passes every check, and a plain ok would do."""
    for seed in range(WORDINGS):
        payload = families.FAMILIES[family](random.Random(seed))
        exchange = judged(DIFF, NAMES, lambda _, payload=payload: payload)
        failure = exchange.steps[-1].failure
        assert failure is not None and failure.kind == "BadVerdict" and not verified(exchange)


LINES = st.sampled_from(["", "- none", "x", *NAMES.split("\n"), *STRAYS.split("\n"), NAMES, STRAYS, "half \ud83d"])
FIELDS = st.sampled_from(["nonce", "ok", "edits", "\u043ek", "OK", "final"])
VALUES = st.one_of(
    st.sampled_from(
        ["true", "false", "null", "NaN", "1", '"true"', '"NONCE"', '"0000"', "[]", "{}", '[{"span": "x"}]']
    ),
    st.lists(st.fixed_dictionaries({"span": LINES, "text": LINES}), max_size=2).map(json.dumps),
)
WHOLE = st.tuples(st.just('"NONCE"'), st.sampled_from(["true", "false"]), VALUES).map(
    lambda three: list(zip(("nonce", "ok", "edits"), three, strict=True))
)
OBJECTS = st.one_of(WHOLE, st.lists(st.tuples(FIELDS, VALUES), max_size=5)).map(
    lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
)
AROUND = st.sampled_from([("", ""), (" \n", "\n"), ("```json\n", "\n```"), ("Sure: ", ""), ("", " {}"), ("\u00a0", "")])
SAID = st.one_of(st.text(max_size=40), st.builds(lambda text, ends: text.join(ends), OBJECTS, AROUND))


def bare(text: str) -> str:
    """Without what may stand around a verdict."""
    return text.strip().removeprefix("```json\n").removesuffix("\n```")


def is_a_verdict(text: str, nonce: str) -> bool:
    """By the words of the contract, not by the code that reads it: one object, and each field of it once."""
    try:
        pairs = json.loads(bare(text), object_pairs_hook=lambda pairs: ("object", pairs))
    except ValueError:
        return False
    if not isinstance(pairs, tuple) or sorted(name for name, _ in pairs[1]) != ["edits", "nonce", "ok"]:
        return False
    said = dict(pairs[1])
    edits = said["edits"]
    whole = isinstance(edits, list) and all(
        isinstance(edit, tuple) and sorted(name for name, _ in edit[1]) == ["span", "text"] for edit in edits
    )
    return said["nonce"] == nonce and whole and said["ok"] is (not edits)


@pytest.mark.parametrize("draft", [NAMES, STRAYS], ids=["passes the checks", "fails them"])
@settings(max_examples=60)
@given(said=SAID)
@example('{"nonce": "NONCE", "ok": true, "edits": []}')
@example('\u00a0{"nonce": "NONCE", "ok": true, "edits": []}')
@example('\u00a0{"nonce": "NONCE", "ok": false, "edits": [{"span": "", "text": ""}]}')
@example('{"nonce": "NONCE", "ok": false, "ok": true, "edits": []}')
@example('{"nonce": "NONCE", "ok": false, "edits": [{"span": "- none", "text": "- none "}]}')
@example(json.dumps({"nonce": "NONCE", "ok": False, "edits": [{"span": STRAYS, "text": NAMES}]}))
@example(json.dumps({"nonce": "NONCE", "ok": False, "edits": [{"span": "Actions:", "text": "Actions: "}]}))
def test_whatever_a_judge_says_only_a_verdict_on_this_question_verifies_and_only_what_passes(
    draft: str, said: str
) -> None:
    heard: list[tuple[str, str]] = []

    def says(question: str) -> str:
        heard.append((said.replace("NONCE", nonce_of(question)), nonce_of(question)))
        return heard[-1][0]

    exchange = judged(DIFF, draft, says)
    if verified(exchange):
        assert is_a_verdict(*heard[0]), heard
        answer = exchange.answer
        assert answer is not None and answer.text is not None and answer.reply is not None
        findings = CONTRACT.check(exchange.ask, Reply(answer.text, "", "stop", None, 0.0))
        assert not [finding for finding in findings if finding.severity == "fail"]
        if '"ok": false' in heard[0][0]:
            assert CONTRACT.files.form.read(answer.text) != CONTRACT.files.form.read(draft), "no objection is an accept"
    else:
        assert not is_a_verdict(*heard[0]) or draft == STRAYS or json.loads(bare(heard[0][0]))["edits"]


def test_the_nonce_hangs_on_the_exchange_s_random_id_which_is_drawn_after_all_others_words() -> None:
    seen = set[str]()
    for number in range(3):
        judged(DIFF, NAMES, lambda question: seen.add(nonce_of(question)) or obeys(question), id_=f"ex_{number}")
    assert len(seen) == 3
