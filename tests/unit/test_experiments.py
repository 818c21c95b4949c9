"""Experiments: which requests they take, which arm each is in, what an arm changes, and what no arm may."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from firstpass.chat import Image, Message, Sampling
from firstpass.errors import BadSettings
from firstpass.exchange import Ask, Consult, Exchange, Refuse, Target
from firstpass.experiments import Arm, Experiment, placed
from firstpass.gate import Gate
from firstpass.policy.escalation import EscalationPolicy
from firstpass.policy.rules import Rule
from firstpass.settings import load
from tests.unit.test_policy_gate import GATE

ASK = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", "hi"),))
HALVES = Experiment("e", (Arm("old", 0.5), Arm("new", 0.5)))
VERSIONS = Experiment(
    "e",
    (Arm("old", 0.5, contract="pr-summary@3"), Arm("new", 0.5, contract="pr-summary@4")),
    contracts=("pr-summary",),
)
WARM = Experiment("e", (Arm("cold", 0.5, decoding={"temperature": 0.0}), Arm("warm", 0.5)))
HARD = Experiment("e", (Arm("usual", 0.5), Arm("hard", 0.5, decoding={"reasoning_effort": "high"})))
SUMMARY = replace(ASK, contract="pr-summary@4")


def asks(number: int, **changes: object) -> list[Ask]:
    return [replace(ASK, id=f"ex_{at}", **changes) for at in range(number)]  # type: ignore[arg-type]


def arms(experiment: Experiment, several: list[Ask], **headers: str) -> Counter[str | None]:
    return Counter(placed([experiment], ask, headers, pinned=False).arm for ask in several)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3), (1 / 3, 1 / 3, 1 / 3)])
def test_each_arm_has_its_share(shares: tuple[float, ...]) -> None:
    split = Experiment("e", tuple(Arm(str(at), share) for at, share in enumerate(shares)))
    found = arms(split, asks(4000))
    for at, share in enumerate(shares):
        assert found[str(at)] / 4000 == pytest.approx(share, abs=0.03)
    assert found[None] / 4000 == pytest.approx(max(0.0, 1 - sum(shares)), abs=0.03)


@pytest.mark.parametrize("said", ["session", "user"])
def test_all_that_a_session_asks_is_in_one_arm(said: str) -> None:
    for name in ("a", "b", "c"):
        assert len(arms(HALVES, asks(50, **{said: name}))) == 1
    assert len(arms(HALVES, [replace(ASK, **{said: str(at)}) for at in range(50)])) == 2  # type: ignore[arg-type]


def test_sessions_of_two_keys_are_two_though_they_have_one_name() -> None:
    assert len(arms(HALVES, [replace(ASK, session="1", key=str(at)) for at in range(50)])) == 2


def test_two_experiments_draw_apart() -> None:
    other = replace(HALVES, name="f")
    both = Counter(
        (placed([HALVES], ask, {}, pinned=False).arm, placed([other], ask, {}, pinned=False).arm) for ask in asks(2000)
    )
    assert min(both.values()) > 400 and len(both) == 4


def test_what_goes_on_with_a_request_stays_in_its_arm() -> None:
    for before in (replace(ASK, experiment="e", arm=arm) for arm in ("old", "new")):
        found = {placed([HALVES], ask, {}, pinned=False, before=before).arm for ask in asks(50)}
        assert found == {before.arm}
    gone = replace(ASK, experiment="e", arm="gone")
    assert len({placed([HALVES], ask, {}, pinned=False, before=gone).arm for ask in asks(50)}) == 2


def test_keys_and_values_of_a_header_choose_the_arm() -> None:
    keys = Experiment("e", (Arm("old", keys=("k1",)), Arm("new", keys=("k2", "k3"))))
    assert [placed([keys], replace(ASK, key=key), {}, pinned=False).arm for key in ("k1", "k2", "k3", "k4", None)] == [
        *("old", "new", "new", None, None)
    ]
    values = Experiment("e", (Arm("old", values=("a",)), Arm("new", values=("b",))), header="x-team")
    assert [placed([values], ASK, {"x-team": value}, pinned=False).arm for value in "abc"] == ["old", "new", None]
    assert placed([values], ASK, {}, pinned=False) == ASK


@pytest.mark.parametrize(
    ("experiment", "ask", "taken"),
    [
        (HALVES, ASK, True),
        (HALVES, replace(ASK, target="local", model="local"), False),
        (HALVES, replace(ASK, engine="large"), False),
        (HALVES, replace(ASK, kind="embedding"), False),
        (HALVES, replace(ASK, kind="completion"), True),
        (replace(HALVES, models=("local",)), replace(ASK, target="local", model="local"), True),
        (replace(HALVES, models=("local",)), ASK, False),
        (replace(HALVES, models=("claude-*",)), replace(ASK, model="claude-3"), True),
        (replace(HALVES, models=("claude-*",)), ASK, False),
        (VERSIONS, SUMMARY, True),
        (VERSIONS, ASK, False),
        (VERSIONS, replace(ASK, contract="code-review@2"), False),
        (replace(HALVES, contracts=("none",)), ASK, True),
        (replace(HALVES, contracts=("none",)), SUMMARY, False),
        (WARM, ASK, True),
        (WARM, replace(ASK, sampling=Sampling(temperature=0.7)), False),
        (WARM, replace(ASK, sampling=Sampling(top_p=0.7)), True),
        (WARM, replace(ASK, sampling=Sampling(thinking_tokens=0)), True),
        (HARD, ASK, True),
        (HARD, replace(ASK, sampling=Sampling(reasoning_effort="low")), False),
        (HARD, replace(ASK, sampling=Sampling(thinking_tokens=0)), False),
        (HARD, replace(ASK, sampling=Sampling(thinks_adaptively=True)), False),
    ],
)
def test_it_takes_what_it_is_about(experiment: Experiment, ask: Ask, *, taken: bool) -> None:
    assert experiment.takes(ask, pinned=False) is taken


def test_a_version_that_the_request_names_is_no_arm_s_to_change() -> None:
    assert not VERSIONS.takes(SUMMARY, pinned=True) and HALVES.takes(SUMMARY, pinned=True)


def test_a_request_with_an_image_is_left_out_where_any_arm_could_not_answer_it() -> None:
    """Were it left out of that arm alone, the arms would have different requests."""
    seen = replace(ASK, messages=(Message("user", "", images=(Image("image/png", "aGk="),)),))
    blind = Experiment("e", (Arm("old", 0.5), Arm("new", 0.5, sees=False)))
    assert HALVES.takes(seen, pinned=False) and not blind.takes(seen, pinned=False) and blind.takes(ASK, pinned=False)


def test_the_first_that_takes_a_request_has_it() -> None:
    there = [replace(VERSIONS, name="summaries"), replace(HALVES, name="rest")]
    assert placed(there, SUMMARY, {}, pinned=False).experiment == "summaries"
    assert placed(there, ASK, {}, pinned=False).experiment == "rest"


def test_an_arm_changes_what_it_is_about_and_nothing_else() -> None:
    cold = WARM.in_arm(ASK, WARM.arms[0])
    assert cold == replace(ASK, experiment="e", arm="cold", sampling=Sampling(temperature=0.0))
    assert WARM.in_arm(cold, WARM.arms[1]) == replace(ASK, experiment="e", arm="warm")
    large = Experiment("e", (Arm("old", 0.5), Arm("new", 0.5, target="local", engine="large")))
    assert large.in_arm(ASK, large.arms[1]) == replace(ASK, experiment="e", arm="new", engine="large")
    assert VERSIONS.in_arm(SUMMARY, VERSIONS.arms[0]).contract == "pr-summary@3"


def test_a_shadow_answers_nobody_and_is_asked_the_same() -> None:
    watched = Experiment("e", (Arm("old", 1.0), Arm("new", 0.5, decoding={"temperature": 1.0}, shadow=True)))
    assert set(arms(watched, asks(200))) == {"old"}
    asked = [placed([watched], replace(one, stream=True), {}, pinned=False) for one in asks(2000)]
    repeated = [shadow for ask in asked for shadow in watched.repeated(ask)]
    assert len(repeated) / 2000 == pytest.approx(0.5, abs=0.04)
    for shadow in repeated:
        assert shadow.arm == "new" and shadow.shadows == shadow.id and not shadow.stream
        assert shadow.messages == ASK.messages and shadow.ceiling == ASK.ceiling and shadow.key == ASK.key
        assert shadow.sampling == Sampling(temperature=1.0)


def policy(rules: tuple[Rule, ...] = (), **arms: Target) -> EscalationPolicy:
    return EscalationPolicy("local", rules, arms={("e", name): target for name, target in arms.items()})


def in_arm(name: str, **changes: object) -> Exchange:
    return Exchange(replace(ASK, experiment="e", arm=name, **changes))  # type: ignore[arg-type]


def test_an_arm_s_requests_go_where_it_says() -> None:
    decides = policy(small="local", large="strong")
    for arm, tier in (("small", "draft"), ("large", "verifier"), ("other", "draft")):
        assert decides.next(in_arm(arm)) == Consult(tier, "answer", binding=True)  # type: ignore[arg-type]
    assert decides.explain(in_arm("large").ask).target == "strong"
    assert decides.next(in_arm("large", target="local", model="local")) == Consult("verifier", "answer", binding=True)


def test_what_a_rule_sends_to_one_model_goes_there_in_every_arm() -> None:
    """Else an experiment would let a review that has to be strong be drafted by anybody."""
    decides = policy((Rule("security", "strong", text="hi"),), small="local", large="strong")
    for arm in ("small", "large", "other"):
        move = decides.next(in_arm(arm))
        assert isinstance(move, Consult) and (move.tier, move.rule) == ("verifier", "security")


def test_the_strong_model_is_refused_in_an_arm_as_everywhere() -> None:
    hosted = EscalationPolicy("hosted", arms={("e", "large"): "strong"})
    move = hosted.next(in_arm("large"))
    assert isinstance(move, Refuse) and move.failure.code == "egress_forbidden"


def test_an_arm_s_own_gates_are_its_alone() -> None:
    gates: dict[tuple[str | None, str | None], tuple[Gate, ...]] = {("e", "open"): (), ("e", "own"): (GATE,)}
    decides = EscalationPolicy("none", gates=[GATE], gates_of_arms=gates)
    alone = EscalationPolicy("none", gates_of_arms=gates)
    ask = replace(ASK, contract=GATE.contract)
    measured = {
        (name, arm): move.measured
        for name, one in (("all", decides), ("alone", alone))
        for arm in ("open", "own", "other")
        if isinstance(move := one.next(Exchange(replace(ask, experiment="e", arm=arm))), Consult)
    }
    assert measured == {
        ("all", "open"): False,
        ("all", "own"): True,
        ("all", "other"): True,
        ("alone", "open"): False,
        ("alone", "own"): True,
        ("alone", "other"): False,
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[experiments.e.arms.a]\nshare = 1\n", "at least two"),
        ("[experiments.e.arms.a]\nshare = 0.5\n[experiments.e.arms.b]\n", "needs a share"),
        ('[experiments.e.arms.a]\nshare = 0.5\n[experiments.e.arms.b]\nkeys = ["k"]\n', "needs a share"),
        ("[experiments.e.arms.a]\nshare = 0.6\n[experiments.e.arms.b]\nshare = 0.5\n", "more than 1"),
        ("[experiments.e.arms.a]\nshadow = true\n[experiments.e.arms.b]\nshare = 0.5\n", "the first one has to answer"),
        (
            '[experiments.e.arms.a]\nshare = 1\n[experiments.e.arms.b]\nshadow = true\nkeys = ["k"]\n',
            "arms.b: a shadow",
        ),
        ('[experiments.e.arms.a]\nvalues = ["a"]\n[experiments.e.arms.b]\nvalues = ["b"]\n', "header"),
        (
            '[experiments.e]\nheader = "x-t"\n[experiments.e.arms.a]\nshare=1\n[experiments.e.arms.b]\nshadow=true',
            "header",
        ),
        ('[experiments.e.arms.a]\nkeys = ["k"]\n[experiments.e.arms.b]\nkeys = ["k"]\n', "'k' is said twice"),
        ('[experiments.e]\nheader = "X-Firstpass-Arm"\n', "options of requests"),
        (
            '[experiments.e.arms.a]\nshare=1\n[experiments.e.arms.b]\nshadow=true\ncontract="pr-summary@3"',
            "arms.b.contract",
        ),
        ("[experiments.e.arms.a]\nshare=1\n[experiments.e.arms.b]\nshadow=true\ntemperature=3", "arms.b.temperature"),
        ("[experiments.'a b'.arms.a]\nshare=1\n", "experiments.a b"),
    ],
)
def test_settings_that_split_nothing_are_errors(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(BadSettings, match=named):
        load(tmp_path / "f.toml", {})
