"""The gate's mathematics: bounds, audits, the score, and what a draft says of itself."""

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.chat import Message, TokenLogprob
from firstpass.errors import BadLabels, BadSettings
from firstpass.exchange import Answer, Ask, Consult, Exchange, Label, Reply, Step
from firstpass.gate import Gate, load_gate
from firstpass.gate.bounds import (
    Labelled,
    Promise,
    chance_of_at_most,
    least_labels,
    most_failures,
    promise,
    threshold,
    upper_bound,
)
from firstpass.gate.drift import Audits, Monitor, drawn
from firstpass.gate.score import Score, Term, auroc, fitted
from firstpass.gate.signals import Draft, agreement, feasible_bounds, signals
from firstpass.record import Record
from firstpass.store.sqlite import SqliteStore


def test_a_promise_of_two_percent_needs_149_labels() -> None:
    """METHODS, 'The gate, exactly': n >= ln d1 / ln(1 - b)."""
    assert least_labels(0.02, 0.95) == 149
    assert most_failures(149, 0.02, 0.95) == 0 and most_failures(148, 0.02, 0.95) is None


@pytest.mark.parametrize(("failures", "number"), [(0, 149), (3, 100), (28, 2000), (99, 100)])
def test_under_the_upper_bound_so_few_failures_are_as_unlikely_as_said(failures: int, number: int) -> None:
    """Clopper's and Pearson's definition, in whole binomial coefficients."""
    upper = upper_bound(failures, number, 0.95)
    ways = (math.comb(number, k) * upper**k * (1 - upper) ** (number - k) for k in range(failures + 1))
    assert math.fsum(ways) == pytest.approx(0.05, rel=1e-6)


def test_without_a_failure_the_upper_bound_has_a_closed_form() -> None:
    assert upper_bound(0, 149, 0.95) == pytest.approx(1 - 0.05 ** (1 / 149))


def test_all_failures_bound_nothing() -> None:
    assert upper_bound(5, 5, 0.95) == 1.0 and chance_of_at_most(5, 5, 0.5) == 1.0


@given(number=st.integers(1, 400), risk=st.floats(0.005, 0.5), confidence=st.floats(0.5, 0.99))
def test_the_most_failures_are_those_whose_bound_still_holds(number: int, risk: float, confidence: float) -> None:
    most = most_failures(number, risk, confidence)
    if most is None:
        assert upper_bound(0, number, confidence) > risk - 1e-9
    else:
        assert upper_bound(most, number, confidence) <= risk + 1e-9
        assert most == number or upper_bound(most + 1, number, confidence) > risk - 1e-9


def test_the_threshold_lies_just_above_the_first_failure_too_many() -> None:
    drafts = [Labelled(number / 1000, True, number < 100) for number in range(1000)]
    allowed = most_failures(1000, 0.02, 0.95)
    assert allowed is not None
    accept_from = threshold(drafts, 0.02, 0.95)
    assert sum(draft.bad and draft.score >= accept_from for draft in drafts) == allowed
    assert accept_from > drafts[99 - allowed].score


def test_equal_scores_stand_or_fall_together() -> None:
    drafts = [Labelled(0.5, True, number < 100) for number in range(1000)]
    assert threshold(drafts, 0.02, 0.95) > 0.5


def test_what_the_checks_reject_is_no_loss_of_the_gate_s() -> None:
    drafts = [Labelled(0.9, number >= 100, number < 100) for number in range(1000)]
    assert threshold(drafts, 0.02, 0.95) == -math.inf


def test_too_few_labels_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(BadLabels, match="needs 149 labelled drafts; there are 100"):
        threshold([Labelled(1.0, True, False)] * 100, 0.02, 0.95)


def test_a_promise_tells_accepted_answers_from_all_requests() -> None:
    drafts = [Labelled(number / 1000, True, number < 100) for number in range(1000)]
    accept_from = threshold(drafts, 0.02, 0.95)
    said = promise(drafts, accept_from, 0.02, 0.95)
    assert said.failures == most_failures(1000, 0.02, 0.95) and said.upper <= 0.02
    assert said.accepted_risk is not None and said.accepted_risk > 0.02 / said.coverage
    assert promise(drafts[:200], 2.0, 0.02, 0.95).accepted_risk is None


def test_the_gate_keeps_its_promise_where_the_truth_is_known() -> None:
    rng, broken, runs = random.Random(1), 0, 200
    for _ in range(runs):
        drafts = [Labelled(rng.random(), True, False) for _ in range(400)]
        drafts = [Labelled(draft.score, True, rng.random() > draft.score) for draft in drafts]
        accept_from = threshold(drafts, 0.05, 0.9)
        risk = (1 - max(0.0, accept_from)) ** 2 / 2
        broken += risk > 0.05
    assert broken / runs <= 0.15


def test_audits_of_a_kept_promise_seldom_alarm_and_of_a_broken_one_soon() -> None:
    rng = random.Random(1)

    def alarmed_at(true: float) -> int | None:
        audits = Audits(0.02)
        for number in range(1000):
            audits = audits.after(rng.random() < true)
            if audits.alarmed():
                return number
        return None

    assert sum(alarmed_at(0.02) is not None for _ in range(100)) <= 4
    assert all((at := alarmed_at(0.2)) is not None and at < 200 for _ in range(20))


def test_no_stake_can_ruin_the_bettor() -> None:
    assert Audits(0.2).stakes == (1.0, 2.0)
    good = Audits(0.2).after(False).after(False)
    assert good.evidence < 1 and good.heard == 2 and good.bad == 0


def test_a_fitted_score_ranks_as_the_signals_do() -> None:
    rng = random.Random(1)
    drafts = [{"a": rng.gauss(0, 1), "b": rng.gauss(0, 1), "same": 3.0} for _ in range(800)]
    right = [2 * draft["a"] - draft["b"] + rng.gauss(0, 1) > 0 for draft in drafts]
    score = fitted(drafts, right, ["a", "b", "same", "absent"], 1.0)
    weights = {term.signal: term.weight for term in score.terms}
    assert weights.keys() == {"a", "b"} and weights["a"] > 0 > weights["b"]
    assert weights["a"] / -weights["b"] == pytest.approx(2, rel=0.25)
    found = auroc([score.of(draft) for draft in drafts], right)
    assert found is not None and found > 0.9
    assert score.of({}) == pytest.approx(0.5, abs=0.1)


def test_one_odd_signal_does_not_decide() -> None:
    score = Score((Term("a", 0.0, 1.0, 1.0),), 0.0)
    assert score.of({"a": 1e9}) == score.of({"a": 4.0}) < 1


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, bool]]) -> None:
    scores, right = [score for score, _ in pairs], [good for _, good in pairs]
    high = [score for score, good in pairs if good]
    low = [score for score, good in pairs if not good]
    if not high or not low:
        assert auroc(scores, right) is None
        return
    won = sum((one > other) + 0.5 * (one == other) for one in high for other in low)
    assert auroc(scores, right) == pytest.approx(won / (len(high) * len(low)))


GATE = Gate(
    contract="pr-summary@3",
    model="m",
    score=Score((Term("least_logprob", -1.0, 1.0, 2.0),), 0.0),
    accept_from=0.5,
    promise=Promise(0.02, 0.95, 1000, 10, 0.017, 0.8, 0.027, 0.94),
    most_bytes=8_000,
    fitted_on={"a": 500},
    calibrated_on={"b": 1000},
    made_unix=1.5,
    version="0.1.0",
)


def audited(number: int, *, drawn: bool = True) -> Exchange:
    ask = Ask(f"ex_{number}", 0.0, "chat", "firstpass", "cascade", (Message("user", "d"),))
    step = Step(Consult("draft", "draft"), Reply("d", "m", "stop", None, 0.1), signals={"least_logprob": 0.0})
    judged = GATE.judge(step, ask, drawn=drawn)
    return Exchange(ask).ended(Answer(0, "draft", judged), 0.1)


def said(number: int, verdict: Literal["accept", "reject", "edit"], source: Literal["user", "eval"] = "user") -> Label:
    return Label(f"ex_{number}", verdict, source, 0.0)


def test_bad_audits_end_a_gate_for_good() -> None:
    monitor = Monitor([GATE])
    alarms = [monitor.hear(audited(number).judged, said(number, "reject")) for number in range(6)]
    assert alarms.count(True) == 1 and monitor.broken(GATE.name)
    for number in range(100, 400):
        assert not monitor.hear(audited(number).judged, said(number, "accept"))
    assert monitor.broken(GATE.name), "an alarm stays"


def test_only_a_person_s_first_label_of_a_drawn_answer_is_an_audit() -> None:
    monitor = Monitor([GATE])
    monitor.hear(audited(1, drawn=False).judged, said(1, "reject"))
    monitor.hear(audited(2).judged, said(2, "reject", "eval"))
    for verdict in ("edit", "accept", "reject"):
        monitor.hear(audited(3).judged, said(3, verdict))
    audits = monitor.audits[GATE.name]
    assert (audits.heard, audits.bad) == (1, 0)


def test_an_audit_is_drawn_by_the_exchange_s_id() -> None:
    ids = [f"ex_{number:024x}" for number in range(4000)]
    assert sum(drawn(one, 0.05) for one in ids) == pytest.approx(200, abs=50)
    assert not any(drawn(one, 0.0) for one in ids) and all(drawn(one, 1.0) for one in ids)


def test_a_gate_s_file_comes_back_as_it_was_and_names_it_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text(GATE.text())
    assert load_gate(tmp_path / "gate.json") == GATE
    assert GATE.name.startswith("pr-summary@3-") and replace(GATE, accept_from=0.6).name != GATE.name
    with pytest.raises(BadSettings, match="No such file"):
        load_gate(tmp_path / "none.json")


TOKENS = (
    TokenLogprob("Calls:", -0.01, (("Calls:", -0.01), ("None", -5.0))),
    TokenLogprob("\n- ", -0.1, (("\n- ", -0.1), ("\n\n", -2.5))),
    TokenLogprob("open", -0.5, (("open", -0.5), ("shut", -1.5))),
    TokenLogprob("Shop", -0.7, (("Shop", -0.7), ("Door", -1.2))),
    TokenLogprob("()", -0.02, (("()", -0.02),)),
    TokenLogprob("\nSummary:", -0.3, (("\nSummary:", -0.3),)),
    TokenLogprob(" x", -2.0, ((" x", -2.0),)),
)


def draft(valid: frozenset[str] = frozenset({"openShop"})) -> Draft:
    text = "".join(token.token for token in TOKENS)
    name, end = text.index("openShop"), text.index(" x")
    shown = frozenset({"openShop", "shutDown", "other", "more"})
    return Draft(TOKENS, [(name, name + 8)], [(0, end)], frozenset({"openShop"}), shown, valid, lines=9, files=2)


def test_signals_look_at_names_lists_and_the_rest_apart() -> None:
    found = signals(draft())
    assert found["least_logprob"] == -2.0 and found["least_name"] == -0.7
    assert found["lowest_names"] == pytest.approx(-0.6)
    assert found["list_logprob"] == pytest.approx(-1.63) and found["least_decision"] == -0.3
    assert found["free_logprob"] == -2.0 and found["margin"] == pytest.approx(0.5)
    assert (found["candidates"], found["unlisted"], found["lines"]) == (-4, -3, -9)
    assert found["least_listed"] == -0.7 and found["unlisted_share"] == -0.75
    assert found["omitted_mass"] == pytest.approx(-math.exp(-1.5)), "shutDown was the next likeliest"


def test_feasible_mass_counts_what_may_begin_a_name_of_the_input() -> None:
    ((low, high),) = feasible_bounds(draft())
    assert math.exp(low) == pytest.approx(math.exp(-0.5))
    assert math.exp(high) == pytest.approx(1 - math.exp(-1.5))
    ((low, _),) = feasible_bounds(draft(frozenset({"openShop", "shutDown"})))
    assert math.exp(low) == pytest.approx(math.exp(-0.5) + math.exp(-1.5))
    ((low, _),) = feasible_bounds(draft(frozenset({"else"})))
    assert math.exp(low) < 1e-9


def test_a_reply_without_logprobs_has_only_its_sizes() -> None:
    bare = Draft((), [(0, 3)], [(0, 5)], frozenset(), frozenset({"a"}), frozenset(), lines=9, files=2)
    sizes = {"tokens", "candidates", "listed", "unlisted", "unlisted_share", "lines", "files"}
    assert signals(bare).keys() == sizes


def test_samples_agree_where_they_list_the_same() -> None:
    assert agreement(frozenset("ab"), [frozenset("ba"), frozenset("a"), frozenset("ab")]) == pytest.approx(2 / 3)
    assert agreement(frozenset(), []) is None


async def test_what_another_record_heard_meanwhile_is_heard_once(tmp_path: Path) -> None:
    """While the settings of a server change there are two: a label that came then was unheard until the next start."""
    store = SqliteStore(tmp_path / "s.sqlite")
    before, after = (Record(store, Monitor([GATE]), (), lambda *_: None) for _ in range(2))
    store.append(audited(1))
    await before.label(said(1, "reject"))
    for _ in range(2):
        await after.catch_up()
    assert after._monitor.audits[GATE.name].heard == before._monitor.audits[GATE.name].heard == 1
    store.close()
