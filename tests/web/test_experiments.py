"""Experiments at a whole server: each answer says its arm, the record has it, and shadows answer nobody."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from firstpass import app
from firstpass.chat import Message
from firstpass.errors import BadSettings
from firstpass.evidence import read_diff
from firstpass.exchange import Ask, Exchange
from firstpass.experiments import placed
from firstpass.settings import Settings
from firstpass.store.scopes import Spend
from firstpass.store.sqlite import SqliteStore
from tests.conftest import serving
from tests.doubles import DIFF, NAMES, anthropic_app, claude_says, counts_words, openai_app, says
from tests.keyed import bearer, new_key
from tests.web.test_cli import firstpass
from tests.web.test_engines import fronted_by
from tests.web.test_verifiers import PRICED, judged_by, two

PATIENCE_SECONDS = 20.0
SPLIT = {"arms": {"drafted": {"share": 0.5}, "strong": {"share": 0.5, "model": "strong"}}}
BY_HEADER = {"header": "X-Team", "arms": {"drafted": {"values": ["a"]}, "far": {"values": ["b"], "model": "far"}}}
SHADOWED = {"arms": {"drafted": {"share": 1.0}, "far": {"shadow": True, "model": "far"}}}


def asked(
    client: httpx.Client, content: str = "hi", headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    wanted = {"model": "firstpass", "messages": [{"role": "user", "content": content}], **body}
    return client.post("/v1/chat/completions", json=wanted, headers=headers)


def of_experiment(folder: Path, name: str = "e") -> list[Exchange]:
    store = SqliteStore(folder / "firstpass.sqlite")
    found = [one for one in store.of_experiment(name, 0.0) if isinstance(one, Exchange)]
    store.close()
    return found


def until(folder: Path, number: int) -> list[Exchange]:
    """What the record has of it, once it has so many."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found := of_experiment(folder)) < number and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_requests_are_split_and_each_says_its_arm(tmp_path: Path) -> None:
    with judged_by(tmp_path, two(), experiments={"e": SPLIT}) as client:
        answers = [asked(client) for _ in range(40)]
        streamed = [asked(client, stream=True) for _ in range(10)]
        direct = asked(client, model="local")
    said = {"drafted": "I am the draft.", "strong": "I am near."}
    for answer in answers:
        name, _, arm = answer.headers["x-firstpass-experiment"].partition("/")
        assert name == "e" and answer.json()["choices"][0]["message"]["content"] == said[arm]
    for answer in streamed:
        arm = answer.headers["x-firstpass-experiment"].partition("/")[2]
        assert said[arm].split()[-1] in answer.text
    assert "x-firstpass-experiment" not in direct.headers
    arms = Counter(one.ask.arm for one in of_experiment(tmp_path))
    assert arms.total() == 50 and min(arms.values()) >= 10


def test_a_session_stays_in_its_arm_in_every_dialect(tmp_path: Path) -> None:
    with judged_by(tmp_path, two(), experiments={"e": SPLIT}) as client:
        for session in ("s1", "s2", "s3"):
            found = {asked(client, headers={"x-firstpass-session": session}).headers["x-firstpass-experiment"]}
            message = {"model": "firstpass", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
            for path, body in (("/v1/messages", message), ("/v1/responses", {"model": "firstpass", "input": "hi"})):
                answer = client.post(path, json=body, headers={"x-firstpass-session": session})
                found.add(answer.headers["x-firstpass-experiment"])
            assert len(found) == 1
        first = client.post("/v1/responses", json={"model": "firstpass", "input": "hi"})
        for _ in range(8):
            body = {"model": "firstpass", "input": "on", "previous_response_id": first.json()["id"]}
            later = client.post("/v1/responses", json=body)
            assert later.headers["x-firstpass-experiment"] == first.headers["x-firstpass-experiment"]


def test_a_prompt_that_is_no_chat_is_in_no_experiment_with_a_verifier(tmp_path: Path) -> None:
    """Most hosted models take none: the arm would refuse what the draft model answers."""
    with judged_by(tmp_path, two(), experiments={"e": SPLIT}) as client:
        for _ in range(8):
            client.post("/v1/completions", json={"model": "firstpass", "prompt": "x"})
    assert not of_experiment(tmp_path)


@pytest.mark.parametrize("rule", [{"then": "strong"}, {"then": "local"}])
def test_what_a_rule_sends_to_one_model_is_in_no_experiment_over_models(tmp_path: Path, rule: dict[str, str]) -> None:
    """A rule that says strong alone went to the arm's verifier, and not to the first."""
    policy = {"egress": "any", "rules": [{"name": "careful", "text": "login", **rule}]}
    arms = {"drafted": {"share": 0.001}, "far": {"share": 0.999, "model": "far"}}
    with judged_by(tmp_path, two(), experiments={"e": {"arms": arms}}, policy=policy) as client:
        ruled, other = asked(client, "the login"), asked(client, "the rest")
    said = {"strong": "I am near.", "local": "I am the draft."}[rule["then"]]
    assert ruled.json()["choices"][0]["message"]["content"] == said
    assert "x-firstpass-experiment" not in ruled.headers and other.headers["x-firstpass-experiment"] == "e/far"


def test_what_rules_make_of_a_text_that_is_not_kept_is_forgotten_before_it_is_asked(tmp_path: Path) -> None:
    """Who is refused a place after that is never asked, and so was never forgotten."""
    policy = {"rules": [{"name": "docs", "then": "local", "paths": ["docs/"]}]}
    engine = {"kind": "external", "url": "http://127.0.0.1:9/v1"}
    verifier = {"url": "http://127.0.0.1:9/v1", "model": "m", "hosted": False}
    wanted = {"engine": engine, "server": {"data_dir": tmp_path}, "policy": policy, "verifier": verifier}
    house = app.Server(Settings.model_validate(wanted | {"experiments": {"e": SPLIT}})).house
    ask = Ask("ex_1", 0.0, "chat", "firstpass", "cascade", (Message("user", DIFF),), store=False)
    assert placed(house.experiments, ask, {}, pinned=False).experiment == "e"
    assert not read_diff.cache_info().currsize  # type: ignore[attr-defined]


def test_a_header_splits_and_explain_says_it(tmp_path: Path) -> None:
    with judged_by(tmp_path, two(), experiments={"e": BY_HEADER}) as client:
        said = [asked(client, headers={"x-team": team}).json()["choices"][0]["message"]["content"] for team in "abc"]
        body = {"model": "firstpass", "messages": [{"role": "user", "content": "hi"}]}
        told = client.post("/v1/explain", json=body, headers={"x-team": "b"}).json()
    assert said == ["I am the draft.", "I am far.", "I am the draft."]
    assert (told["experiment"], told["arm"], told["target"]) == ("e", "far", "strong")


def test_an_experiment_and_an_arm_may_be_about_aliases_with_any_text(tmp_path: Path) -> None:
    aliases = {"claude-*": "firstpass", "gpt-*": "far"}
    arms = {"far": {"share": 1.0, "model": "gpt-9"}, "drafted": {"shadow": True}}
    for models in (["claude-*"], ["claude-3"]):
        wanted = {"e": {"models": models, "arms": arms}}
        with judged_by(tmp_path, two(), aliases=aliases, experiments=wanted) as client:
            answers = [asked(client, model=model) for model in ("claude-3", "firstpass")]
        said = [one.json()["choices"][0]["message"]["content"] for one in answers]
        assert said == ["I am far.", "I am the draft."]


def test_a_count_needs_no_model_of_an_arm(tmp_path: Path) -> None:
    """The arm's may not be loaded, and the first can count as it does without an experiment."""
    arms = {"usual": {"share": 0.001}, "large": {"share": 0.999, "model": "large"}}
    body = {"model": "firstpass", "messages": [{"role": "user", "content": "one two"}]}
    with serving(counts_words(openai_app(says("I am small.")))) as small:
        urls = {"small": small, "large": "http://127.0.0.1:9"}
        with fronted_by(urls, tmp_path, experiments={"e": {"arms": arms}}) as client:
            assert client.post("/v1/messages/count_tokens", json=body).is_success


def test_a_key_splits_and_may_be_for_less_than_its_arm(tmp_path: Path) -> None:
    """What a key may ask for is a name; where that leads is for the operator to say."""
    made = [new_key(tmp_path, models=("firstpass",)) for _ in range(2)]
    keys, ids = [key for key, _ in made], [record.id for _, record in made]
    wanted = {"arms": {"drafted": {"keys": [ids[0]]}, "far": {"keys": [ids[1]], "model": "far"}}}
    with judged_by(tmp_path, two(), experiments={"e": wanted}) as client:
        said = [asked(client, headers=bearer(key)).json()["choices"][0]["message"]["content"] for key in keys]
    assert said == ["I am the draft.", "I am far."]


def test_a_shadow_is_recorded_and_answers_nobody(tmp_path: Path) -> None:
    with judged_by(tmp_path, two(), experiments={"e": SHADOWED}) as client:
        answers = [asked(client, f"question {number}") for number in range(3)]
        found = until(tmp_path, 6)
        metrics = client.get("/metrics").text
    assert {one.json()["choices"][0]["message"]["content"] for one in answers} == {"I am the draft."}
    assert Counter(one.ask.arm for one in found) == {"drafted": 3, "far": 3}
    main = {one.ask.id: one for one in found if one.ask.shadows is None}
    for shadow in (one for one in found if one.ask.shadows):
        its = main[shadow.ask.shadows or ""]
        assert shadow.ask.messages == its.ask.messages and shadow.ask.id != its.ask.id
        assert shadow.answer is not None and shadow.answer.text == "I am far."
    assert 'firstpass_shadows_total{outcome="asked"} 3.0' in metrics
    requests = [line for line in metrics.splitlines() if line.startswith("firstpass_requests_total{")]
    assert [line.split()[-1] for line in requests] == ["3.0"], "nobody requested a shadow"


@pytest.mark.parametrize("arms", [SPLIT, SHADOWED])
def test_what_may_not_leave_for_one_arm_is_in_no_experiment(tmp_path: Path, arms: dict[str, Any]) -> None:
    """Else the arm would refuse what is answered without it, and the arms would have different requests."""
    key, _ = new_key(tmp_path, ceiling="local-only")
    with judged_by(tmp_path, two(), experiments={"e": arms}) as client:
        for _ in range(8):
            for answer in (asked(client, firstpass={"egress": "local-only"}), asked(client, headers=bearer(key))):
                assert answer.is_success and "x-firstpass-experiment" not in answer.headers
    assert not of_experiment(tmp_path)


def test_what_a_verifier_s_api_has_no_word_for_is_in_no_experiment_with_it(tmp_path: Path) -> None:
    claude = {"near": (anthropic_app(claude_says("I am Claude.")), {"dialect": "anthropic", "api_key": "k"})}
    arms = {"drafted": {"share": 0.001}, "strong": {"share": 0.999, "model": "strong"}}
    with judged_by(tmp_path, claude, experiments={"e": {"arms": arms}}) as client:
        assert asked(client).headers["x-firstpass-experiment"] == "e/strong"
        for wanted in ({"seed": 7}, {"temperature": 1.5}, {"logit_bias": {"1": 1}}, {"min_p": 0.1}):
            answer = asked(client, **wanted)
            assert answer.is_success and "x-firstpass-experiment" not in answer.headers


def test_a_shadow_counts_against_the_cap_of_the_key_whose_request_it_repeats(tmp_path: Path) -> None:
    key, _ = new_key(tmp_path, spend=Spend(1e-9, "day"))
    with judged_by(tmp_path, two(**PRICED), experiments={"e": SHADOWED}) as client:
        assert asked(client, headers=bearer(key)).is_success
        found = until(tmp_path, 2)
    [shadow] = [one for one in found if one.ask.shadows]
    assert not shadow.receipts and "quota" in str(shadow.ending).lower()


def test_a_shadow_without_a_record_leaves_no_words(tmp_path: Path) -> None:
    with judged_by(tmp_path, two(), experiments={"e": SHADOWED}) as client:
        asked(client, "hush", firstpass={"store": False})
        found = until(tmp_path, 2)
    assert len(found) == 2 and "hush" not in str(found) and "I am far" not in str(found)


def test_a_deleted_response_is_deleted_in_its_shadows_too(tmp_path: Path) -> None:
    with judged_by(tmp_path, two(), experiments={"e": SHADOWED}) as client:
        first = client.post("/v1/responses", json={"model": "firstpass", "input": "hush"}).json()
        until(tmp_path, 2)
        assert client.delete(f"/v1/responses/{first['id']}").is_success
        found = of_experiment(tmp_path)
    assert len(found) == 2 and "hush" not in str(found) and "I am far" not in str(found)
    done = firstpass("audit", "verify", FIRSTPASS_SERVER__DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_shadow_that_ends_after_its_response_was_deleted_leaves_no_words(tmp_path: Path) -> None:
    slow = {"near": two()["near"], "far": (openai_app(_slowly), {})}
    with judged_by(tmp_path, slow, experiments={"e": SHADOWED}) as client:
        first = client.post("/v1/responses", json={"model": "firstpass", "input": "hush"}).json()
        assert client.delete(f"/v1/responses/{first['id']}").is_success
        found = until(tmp_path, 2)
    assert len(found) == 2 and "hush" not in str(found) and "I am far" not in str(found)


def test_shadows_hold_up_nobody_and_are_left_out_where_there_are_many(tmp_path: Path) -> None:
    slow = {"near": two()["near"], "far": (openai_app(_slowly), {})}
    with judged_by(tmp_path, slow, experiments={"e": SHADOWED}) as client:
        began = time.monotonic()
        for number in range(12):
            assert asked(client, str(number)).is_success
        took = time.monotonic() - began
        left_out = [line for line in client.get("/metrics").text.splitlines() if 'outcome="left out"' in line]
    assert took < 12 * SLOW_SECONDS and left_out and float(left_out[0].split()[-1]) >= 1


def test_a_shadow_is_left_out_where_its_verifier_has_no_place(tmp_path: Path) -> None:
    """It was recorded as one that had no answer, which was then the arm's fault."""
    slow = {"near": two()["near"], "far": (openai_app(_slowly), {"in_flight_limit": 1})}
    with judged_by(tmp_path, slow, experiments={"e": SHADOWED}) as client:
        for number in range(3):
            assert asked(client, str(number)).is_success
        time.sleep(1.5 * SLOW_SECONDS)
        found = until(tmp_path, 4)
    [shadow] = [one for one in found if one.ask.shadows]
    assert shadow.answer is not None and len(found) == 4


SLOW_SECONDS = 2.0


def _slowly(_: dict[str, Any]) -> str:
    time.sleep(SLOW_SECONDS)
    return "I am far."


def test_two_versions_of_a_contract_are_compared_from_the_record(tmp_path: Path) -> None:
    arms = {"old": {"share": 0.5, "contract": "pr-summary@3"}, "new": {"share": 0.5}}
    wanted = {"e": {"contracts": ["pr-summary"], "arms": arms}}
    with judged_by(tmp_path, two(), openai_app(says(NAMES)), experiments=wanted) as client:
        for _ in range(20):
            answer = asked(client, DIFF, firstpass={"contract": "pr-summary"})
            how = answer.json()["firstpass"]
            client.post(f"/v1/exchanges/{how['exchange']}/label", json={"verdict": "accept"})
        pinned = asked(client, DIFF, firstpass={"contract": "pr-summary@3"}).json()["firstpass"]
    assert (pinned["experiment"], pinned["contract"]) == (None, "pr-summary@3")
    versions = {(one.ask.arm, one.ask.contract) for one in of_experiment(tmp_path)}
    assert ("old", "pr-summary@3") in versions and len(versions) == 2
    home = {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path)}
    printed = firstpass("experiment", "e", **home).stdout.decode()
    assert "right, by labels" in printed and "100.0%" in printed and "too few to tell" in printed
    told = json.loads(firstpass("experiment", "e", "--json", **home).stdout)
    assert sum(arm["requests"] for arm in told["arms"].values()) == 20
    assert {arm["right"]["value"] for arm in told["arms"].values()} == {1.0}


def test_an_experiment_that_the_record_does_not_have_is_an_error_that_says_which_it_has(tmp_path: Path) -> None:
    with judged_by(tmp_path, two(), experiments={"e": SPLIT}) as client:
        asked(client)
    done = firstpass("experiment", "f", FIRSTPASS_SERVER__DATA_DIR=str(tmp_path))
    assert done.returncode == 1 and b"those that it has are: e" in done.stderr


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"arms": {"a": {"share": 1}, "b": {"shadow": True, "model": "nobody"}}}, "arms.b.model: there is no model"),
        ({"models": ["nobody"], "arms": SPLIT["arms"]}, "experiments.e.models: there is no model"),
        ({"contracts": ["nothing"], "arms": SPLIT["arms"]}, "experiments.e.contracts: there is no contract"),
        (
            {"contracts": ["free"], "arms": {"a": {"share": 1}, "b": {"shadow": True, "contract": "free@99"}}},
            "arms.b.contract: there is no free@99",
        ),
        (
            {"contracts": ["none"], "arms": {"a": {"share": 1}, "b": {"shadow": True, "contract": "none@1"}}},
            "arms.b.contract: there is no none@1",
        ),
        ({"arms": {"a": {"share": 1}, "b": {"shadow": True, "gates": ["nowhere.json"]}}}, "gate nowhere.json: No such"),
    ],
)
def test_an_experiment_about_what_there_is_not_is_an_error(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    engine = {"kind": "external", "url": "http://127.0.0.1:9/v1"}
    wanted = {"engine": engine, "server": {"data_dir": tmp_path}, "experiments": {"e": changes}}
    wanted["verifier"] = {"url": "http://127.0.0.1:9/v1", "model": "m", "hosted": False}
    with pytest.raises((BadSettings, ValidationError), match=named):
        app.build(Settings.model_validate(wanted))


def test_a_gate_that_is_not_there_is_an_error_in_the_settings(tmp_path: Path) -> None:
    """The files of gates were read for the digest of the settings before anyone looked whether they are gates."""
    engine = {"kind": "external", "url": "http://127.0.0.1:9/v1"}
    wanted = {"engine": engine, "server": {"data_dir": tmp_path}, "policy": {"gates": ["nowhere.json"]}}
    with pytest.raises(BadSettings, match=r"gate nowhere.json: No such"):
        app.build(Settings.model_validate(wanted))
