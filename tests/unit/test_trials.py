"""Figures of an experiment: what a request came to, how sure its figures are, and when a difference is real."""

import math
import random
from dataclasses import replace

import pytest

from firstpass.bench.trials import (
    FALSE_ALARMS,
    LEAST_UNITS,
    Difference,
    Trial,
    boundary,
    differences,
    figures_of,
    trial_of,
)
from firstpass.chat import Message, Usage
from firstpass.errors import Abandoned, TierUnavailable
from firstpass.exchange import Answer, Ask, Consult, Exchange, Finding, Label, Refuse, Reply, Step

TRIAL = Trial("old", "u", None, None, refused=False, escalated=False, usd=0.0, milliseconds=1.0)
ASK = Ask(
    "ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", "hi"),), contract="c@1", experiment="e", arm="new"
)
DRAFT = Step(Consult("draft", "draft"), Reply("a", "m", "stop", Usage(5, 5), 0.1))
VERDICT = Step(Consult("verifier", "verify"), Reply("b", "v", "stop", Usage(100, 10), 0.1, verifier="far"))


def several(arm: str, number: int, good: int, per_unit: int = 1, **fields: object) -> list[Trial]:
    """good: of them, those that pass."""
    made = (replace(TRIAL, arm=arm, unit=f"{arm}{at // per_unit}", passed=at < good) for at in range(number))
    return [replace(one, **fields) for one in made]  # type: ignore[arg-type]


def told(trials: list[Trial], measure: str = "passed") -> Difference:
    return next(one for one in differences(figures_of(trials), "old") if one.measure == measure)


def cost(verifier: str | None, usage: Usage) -> float | None:
    return usage.prompt_tokens / 100 if verifier == "far" else None


def test_a_request_is_what_the_record_says_of_it() -> None:
    exchange = Exchange(ASK, (DRAFT, VERDICT), Answer(1, "verified"), 0.5)
    labels = [
        Label("ex_1", "accept", "user", 1.0),
        Label("ex_1", "reject", "user", 2.0),
        Label("ex_1", "accept", "eval", 3.0),
    ]
    assert trial_of(exchange, labels, cost) == Trial(
        "new", "ex_1", right=False, passed=True, refused=False, escalated=True, usd=1.0, milliseconds=500.0
    )
    failed = replace(DRAFT, findings=(Finding("calls", "fail", "m"),))
    alone = trial_of(Exchange(replace(ASK, session="s"), (failed,), Answer(0, "unverified"), 0.5), [], cost)
    assert (alone.right, alone.passed, alone.escalated, alone.usd, alone.unit) == (None, False, False, 0.0, "\0s")
    refused = trial_of(Exchange(ASK, (), Refuse(TierUnavailable("no").failure), 0.5), [], cost)
    assert (refused.refused, refused.passed, refused.milliseconds) == (True, None, None)
    free = trial_of(Exchange(replace(ASK, contract=None), (DRAFT,), Answer(0, "draft"), 0.5), labels[:1], cost)
    assert (free.passed, free.right) == (None, True), "nothing was checked"


def test_a_verifier_without_a_price_makes_the_cost_unknown_and_not_nothing() -> None:
    near = replace(VERDICT, reply=replace(VERDICT.reply, verifier="near"))  # type: ignore[type-var]
    assert trial_of(Exchange(ASK, (near,), Answer(0, "strong"), 0.5), [], cost).usd is None
    assert "usd" not in figures_of([replace(TRIAL, usd=None), TRIAL])["old"].measured


def test_what_a_verifier_did_not_count_makes_the_cost_unknown_and_not_nothing() -> None:
    uncounted = replace(VERDICT, reply=replace(VERDICT.reply, usage=None))  # type: ignore[type-var]
    assert trial_of(Exchange(ASK, (uncounted,), Answer(0, "strong"), 0.5), [], cost).usd is None


def test_what_goes_on_with_a_request_is_of_one_unit_with_it() -> None:
    def unit(before: str | None = None, **fields: object) -> str:
        asked = replace(ASK, id="ex_9", **fields)  # type: ignore[arg-type]
        return trial_of(Exchange(asked, (DRAFT,), Answer(0, "draft"), 0.5), [], cost, before).unit

    assert unit() == "ex_9" and unit(previous="ex_1") == "ex_1" and unit("ex_0", previous="ex_1") == "ex_0"
    assert unit(shadows="ex_1") == "ex_1", "as what goes on with that, which a shadow goes on with, too"
    assert unit("ex_0", previous="ex_1", session="s") == "\0s"


def test_a_shadow_that_was_cut_off_at_the_server_s_end_says_nothing_of_its_arm() -> None:
    """Nobody waits for one, so nobody can have gone away."""
    gone = Exchange(replace(ASK, shadows="ex_0"), (), Refuse(Abandoned("gone").failure), 0.5)
    assert trial_of(gone, [], cost).refused is None
    assert trial_of(replace(gone, ask=ASK), [], cost).refused is True
    late = replace(gone, ending=Refuse(TierUnavailable("no").failure))
    assert trial_of(late, [], cost).refused is True


def test_a_share_has_the_interval_of_wilson_also_where_all_are_alike() -> None:
    figure = figures_of(several("old", 100, 90))["old"].measured["passed"].figure
    assert (figure.value, figure.low, figure.high) == pytest.approx((0.9, 0.8256, 0.9448), abs=2e-3)
    figure = figures_of(several("old", 10, 10))["old"].measured["passed"].figure
    assert (figure.value, figure.low, figure.high) == pytest.approx((1.0, 0.7225, 1.0), abs=2e-3)


def test_requests_of_one_session_say_little_more_than_one() -> None:
    alone, together = (figures_of(several("old", 400, 200, per_unit))["old"] for per_unit in (1, 20))
    assert (alone.units, together.units) == (400, 20)
    widths = [one.measured["passed"].figure.high - one.measured["passed"].figure.low for one in (alone, together)]
    assert widths[1] > 3 * widths[0]


def test_a_percentile_has_the_interval_of_the_share_below_it() -> None:
    """For single requests that is the one between two order statistics."""
    trials = [replace(TRIAL, unit=str(at), milliseconds=float(at)) for at in range(1001)]
    figure = figures_of(trials)["old"].measured["p50_ms"].figure
    assert (figure.value, figure.low, figure.high) == pytest.approx((500, 469, 531), abs=1.5)
    assert not figures_of(trials[:LEAST_UNITS])["old"].measured["p99_ms"].told, "none is above it"
    assert (
        figures_of([replace(one, unit=f"{one.unit}x{at}") for one in trials for at in "ab"])["old"]
        .measured["p99_ms"]
        .told
    )


def test_a_difference_is_told_where_there_is_one_and_enough_of_it() -> None:
    assert told([*several("old", 500, 400), *several("new", 500, 480)]).real is True
    assert told([*several("old", 500, 400), *several("new", 500, 410)]).real is False
    few = LEAST_UNITS - 1
    assert told([*several("old", few, 0), *several("new", few, few)]).real is None
    difference = told([*several("old", 500, 400), *several("new", 500, 480)])
    assert (difference.arm, difference.other, difference.figure.value) == ("new", "old", pytest.approx(0.16))
    assert 0 < difference.figure.low < 0.16 < difference.figure.high


@pytest.mark.parametrize("per_unit", [1, 3])
def test_what_differs_by_rounding_alone_is_no_different(per_unit: int) -> None:
    """Requests that all cost the same have no spread, and the mean of one arm has another last bit than the other's."""
    for dollars in (0.1, 0.0007):
        sizes = {"old": 102, "new": 999}
        trials = [one for arm, size in sizes.items() for one in several(arm, size, 0, per_unit, usd=dollars)]
        assert told(trials, "usd").real is not True


def test_one_large_session_is_not_taken_for_as_many_as_there_are_small_ones_beside_it() -> None:
    """Its own mean is nearly the arm's, so that it seems to vary by nothing."""
    large = [
        replace(TRIAL, arm=arm, unit=f"{arm}x", passed=at < good)
        for arm, good in (("old", 4500), ("new", 3500))
        for at in range(5000)
    ]
    assert told([*large, *several("old", 60, 48), *several("new", 60, 48)]).real is None


def test_a_share_of_few_requests_is_as_sure_as_those_are_many() -> None:
    """Labels come later: what was asked without one says nothing of how often somebody may have looked."""
    labelled = [
        replace(one, right=one.passed) for arm, good in (("old", 60), ("new", 75)) for one in several(arm, 100, good)
    ]
    beside = [one for arm in ("old", "new") for one in several(f"{arm}", 5000, 0)]
    beside = [replace(one, unit=f"{one.unit}b") for one in beside]
    few, many = told(labelled, "right"), told([*labelled, *beside], "right")
    assert few.figure == many.figure


def test_what_is_compared_later_is_counted_from_the_first_look() -> None:
    without = told([*several("old", 300, 200), *several("new", 300, 250)])
    labelled = [
        replace(one, right=True) for arm, good in (("old", 200), ("new", 250)) for one in several(arm, 300, good)
    ]
    assert without.figure == told(labelled).figure


def test_two_arms_that_are_alike_to_the_last_are_no_different() -> None:
    alike = told([*several("old", 60, 60), *several("new", 60, 60)])
    assert alike.real is False and alike.figure.low < 0 < alike.figure.high


def test_a_slower_arm_is_told() -> None:
    rng = random.Random(1)
    trials = [
        replace(TRIAL, arm=arm, unit=f"{arm}{at}", milliseconds=rng.lognormvariate(slower, 0.3))
        for arm, slower in (("old", 5.0), ("new", 5.2))
        for at in range(800)
    ]
    assert told(trials, "p50_ms").real is True and told(trials, "p99_ms").real is None
    assert not [one for one in differences(figures_of(trials), "old") if one.real and one.measure != "p50_ms"][1:]


def test_the_latency_of_a_shadow_is_shown_and_not_compared() -> None:
    trials = [*several("old", 300, 200, milliseconds=9.0), *several("new", 300, 200, shadow=True)]
    compared = {one.measure for one in differences(figures_of(trials), "old")}
    assert "passed" in compared and "p50_ms" not in compared and "p50_ms" in figures_of(trials)["new"].measured


def test_the_more_is_compared_the_more_is_wanted_of_each() -> None:
    two = told([*several("old", 300, 200), *several("new", 300, 250)])
    arms = [each for at in range(6) for each in several(f"x{at}", 300, 200)]
    six = told([*several("old", 300, 200), *several("new", 300, 250), *arms])
    assert six.figure.high - six.figure.low > two.figure.high - two.figure.low


def test_who_looks_again_and_again_is_seldom_told_what_is_not_so() -> None:
    """Two arms alike, looked at after every tenth request. An interval for one look is wrong in every third of them."""
    rng, wrong, wrong_at_one_look = random.Random(7), 0, 0
    for _ in range(400):
        good, looked, ever, naive = [0, 0], 0, False, False
        for number in range(1, 1001):
            for arm in (0, 1):
                good[arm] += rng.random() < 0.8
            if number >= LEAST_UNITS and number % 10 == 0:
                looked += 1
                rates = [one / number for one in good]
                error = math.sqrt(sum(rate * (1 - rate) / number for rate in rates))
                off = abs(rates[0] - rates[1])
                ever |= off > error * boundary(2 * number, FALSE_ALARMS)
                naive |= off > error * 1.96
        wrong, wrong_at_one_look = wrong + ever, wrong_at_one_look + naive
    assert wrong / 400 <= FALSE_ALARMS < 0.2 < wrong_at_one_look / 400
