"""Several engines behind one front: each is asked by its name, seen in the list of models, and moved by its routes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from firstpass import app
from firstpass.errors import BadSettings
from firstpass.settings import Settings
from tests.conftest import serving, wait_until_ready
from tests.doubles import DIFF, openai_app, says
from tests.keyed import bearer, new_key
from tests.replayed import Replayed
from tests.scenes import Scene, Stage
from tests.web.test_cli import firstpass

TURN = {"messages": [{"role": "user", "content": "hi"}]}


@contextmanager
def fleet(data_dir: Path, **sections: Any) -> Iterator[httpx.Client]:
    """Two servers that somebody else runs, `small` first and `large`; each says its own name."""
    with (
        serving(openai_app(says("I am small."))) as small,
        serving(openai_app(says("I am large."))) as large,
        fronted_by({"small": small, "large": large}, data_dir, **sections) as client,
    ):
        yield client


@contextmanager
def fronted_by(urls: dict[str, str], data_dir: Path, **sections: Any) -> Iterator[httpx.Client]:
    engines = {name: {"kind": "external", "url": f"{url}/v1"} for name, url in urls.items()}
    server = {"data_dir": data_dir} | sections.pop("server", {})
    settings = Settings.model_validate({"engines": engines, "server": server} | sections)
    with serving(app.build(settings)) as url, httpx.Client(base_url=url, timeout=30) as client:
        wait_until_ready(client)
        yield client


def said(client: httpx.Client, model: str, text: str = "hi") -> str:
    messages = [{"role": "user", "content": text}]
    answer = client.post("/v1/chat/completions", json={"model": model, "messages": messages})
    assert answer.is_success, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_each_is_asked_by_its_name_and_the_first_where_none_is_named(tmp_path: Path) -> None:
    with fleet(tmp_path, aliases={"fast": "small", "big-*": "large"}) as client:
        names = ("small", "large", "firstpass", "local", "fast", "big-one", "x")
        said_by = {name: said(client, name) for name in names}
        message = client.post("/v1/messages", json=TURN | {"model": "large", "max_tokens": 9}).json()
        response = client.post("/v1/responses", json={"input": "hi", "model": "large"}).json()
        counted = [client.post("/v1/messages/count_tokens", json=TURN | {"model": name}) for name in ("small", "large")]
    assert {name for name, text in said_by.items() if text == "I am large."} == {"large", "big-one"}
    assert set(said_by.values()) == {"I am large.", "I am small."}
    assert message["content"][0]["text"] == response["output"][0]["content"][0]["text"] == "I am large."
    assert {one.status_code for one in counted} <= {200, 404}, "it was asked, whether or not it can count"


def test_each_is_held_to_a_contract_s_form_or_not(tmp_path: Path) -> None:
    held = list[str]()

    def answer(body: dict[str, Any]) -> str:
        if "structured_outputs" in body:
            held.append(body["model"])
        return "Summary: Nothing.\nCalls:\n- none\nTODOs:\n- none\nActions:\n- none"

    with serving(openai_app(answer)) as url:
        engine = {"kind": "external", "url": f"{url}/v1", "structured_outputs": True}
        engines = {name: engine | {"model": name, "holds_form": name == "large"} for name in ("small", "large")}
        settings = Settings.model_validate({"engines": engines, "server": {"data_dir": tmp_path}})
        with serving(app.build(settings)) as front, httpx.Client(base_url=front, timeout=30) as client:
            wait_until_ready(client)
            for name in engines:
                body = {"messages": [{"role": "user", "content": DIFF}], "firstpass": {"contract": "pr-summary@3"}}
                assert client.post("/v1/chat/completions", json=body | {"model": name}).is_success
    assert held == ["large"]


def test_a_name_that_no_engine_has_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with fleet(tmp_path, server={"unknown_models": "refuse"}) as client:
        refused = client.post("/v1/chat/completions", json=TURN | {"model": "medium"})
    assert refused.status_code == httpx.codes.NOT_FOUND
    assert all(name in refused.json()["error"]["message"] for name in ("small", "large", "firstpass"))


def test_the_list_says_how_each_is_and_metrics_do(tmp_path: Path) -> None:
    with fleet(tmp_path) as client:
        said(client, "large")
        cards = {card["id"]: card.get("firstpass") for card in client.get("/v1/models").json()["data"]}
        plain = client.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()["data"]
        metrics = client.get("/metrics").text
    assert cards["firstpass"] is None and cards["local"]["engine"] == "small"
    assert cards["large"]["state"] == "loaded" and cards["large"]["pinned"] and cards["large"]["in_flight"] == 0
    assert all("firstpass" not in card for card in plain)
    assert 'firstpass_engine_ready{engine="large"} 1.0' in metrics


def test_what_somebody_else_runs_is_loaded_already_and_never_unloaded(tmp_path: Path) -> None:
    with fleet(tmp_path) as client:
        loaded, unloaded = (
            client.post("/v1/models/large/load", json={}),
            client.post("/v1/models/large/unload", json={}),
        )
        wrong = [client.post(f"/v1/models/{name}/load", json={}) for name in ("firstpass", "medium")]
    assert loaded.json()["firstpass"]["state"] == "loaded"
    assert unloaded.status_code == httpx.codes.CONFLICT and unloaded.json()["error"]["code"] == "in_use"
    assert [one.status_code for one in wrong] == [400, 404]


def test_a_key_for_the_list_of_models_moves_none(tmp_path: Path) -> None:
    with fleet(tmp_path, server={"keys": "required"}) as client:
        scopes = {"sees": {"routes": ("models",)}, "moves": {"routes": ("loading",)}, "one": {"models": ("small",)}}
        headers = {name: bearer(new_key(tmp_path, **scope)[0]) for name, scope in scopes.items()}
        listed = client.get("/v1/models", headers=headers["sees"])
        moved = {
            name: client.post("/v1/models/large/load", json={}, headers=headers[name]).status_code for name in headers
        }
    assert listed.is_success and moved == {"sees": 403, "moves": 200, "one": 403}


def test_requests_that_wait_for_one_engine_take_no_place_of_another(tmp_path: Path) -> None:
    stuck = Stage(lambda body: Scene(holds="silent"))
    with serving(openai_app(says("I am small."))) as small, serving(stuck.app) as large:
        bounds = {"in_flight_limit": 2, "waiting_limit": 2}
        with fronted_by({"small": small}, tmp_path / "a") as client:
            assert said(client, "small") == "I am small."
        urls = {"small": small, "large": large}
        with fronted_by(urls, tmp_path / "b", server=bounds) as client:

            def ask() -> None:
                with httpx.Client(base_url=client.base_url, timeout=2) as other, pytest.raises(httpx.ReadTimeout):
                    other.post("/v1/chat/completions", json=TURN | {"model": "large"})

            stuck_callers = [threading.Thread(target=ask) for _ in range(2)]
            for caller in stuck_callers:
                caller.start()
            answered = [said(client, "small") for _ in range(5)]
            for caller in stuck_callers:
                caller.join()
    assert answered == ["I am small."] * 5


def test_another_model_at_an_address_is_known_by_its_own_name(tmp_path: Path) -> None:
    with (
        serving(Replayed().app) as large,
        serving(openai_app(says("I am small."))) as small,
        fronted_by({"small": small, "large": large}, tmp_path) as client,
    ):
        client.post("/v1/chat/completions", json=TURN | {"model": "large"})
        cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
    assert cards["replayed"]["firstpass"]["engine"] == "large"


def test_a_server_whose_first_model_was_never_loaded_is_not_ready_and_says_why(tmp_path: Path) -> None:
    """It said that it was, as of one that had left for another."""
    engines = {"small": {"kind": "transformers"}, "large": {"kind": "external", "url": "http://127.0.0.1:9/v1"}}
    sections = {"engines": engines, "server": {"data_dir": tmp_path}, "fleet": {"memory_bytes": 1_000}}
    with serving(app.build(Settings.model_validate(sections))) as url, httpx.Client(base_url=url, timeout=30) as client:
        told = client.get("/readyz")
    assert told.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "the draft engine is failed: small needs" in told.json()["error"]["message"]


def test_the_commands_list_and_move_them(tmp_path: Path) -> None:
    with fleet(tmp_path) as client:
        url = ("--url", str(client.base_url))
        listed, machine = firstpass("ps", *url), firstpass("ps", "--json", *url)
        loaded, unloaded = firstpass("load", "large", *url), firstpass("unload", "large", *url)
    assert b"large" in listed.stdout and b"loaded, pinned" in listed.stdout
    assert [one["engine"] for one in json.loads(machine.stdout)] == ["small", "large"]
    assert loaded.returncode == 0 and b"large: loaded" in loaded.stderr
    assert unloaded.returncode == 1 and b"pinned" in unloaded.stderr


def test_an_alias_or_a_rule_sends_the_cascade_to_another_engine(tmp_path: Path) -> None:
    rules = [
        {"name": "long", "then": "cascade", "engine": "large", "over_bytes": 99},
        {"name": "shouts", "then": "local", "engine": "large", "text": "HEY"},
        {"name": "usual", "then": "local", "engine": "small", "text": "hey"},
    ]
    aliases = {"careful": {"model": "firstpass", "engine": "large"}, "quick": {"model": "local", "engine": "small"}}
    with fleet(tmp_path, policy={"rules": rules}, aliases=aliases) as client:
        by_alias = [said(client, name) for name in ("careful", "quick")]
        asked = [said(client, "firstpass", text) for text in ("hi", "hey", "HEY", "long " * 20)]
        body = {"model": "firstpass", "messages": [{"role": "user", "content": "HEY"}]}
        course = client.post("/v1/explain", json=body).json()
    assert by_alias == ["I am large.", "I am small."]
    assert asked == ["I am small.", "I am small.", "I am large.", "I am large."]
    assert course["steps"] == ["the draft model large answers alone"] and course["rule"]["engine"] == "large"


def test_a_contract_is_drafted_checked_and_mended_with_another_engine_too(tmp_path: Path) -> None:
    aliases = {"careful": {"model": "firstpass", "engine": "large"}}
    with fleet(tmp_path, aliases=aliases) as client:
        body = {"messages": [{"role": "user", "content": DIFF}], "firstpass": {"contract": "pr-summary"}}
        answers = [client.post("/v1/chat/completions", json=body | {"model": name}) for name in ("careful", "large")]
    for answer in answers:
        assert answer.is_success and answer.json()["firstpass"]["contract"].startswith("pr-summary@")


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        (
            {"aliases": {"a": {"model": "firstpass", "engine": "huge"}}},
            "there is no engine 'huge'; there are small, large",
        ),
        ({"aliases": {"a": {"model": "large", "engine": "small"}}}, "large is drafted by no other engine"),
        ({"policy": {"rules": [{"name": "r", "then": "local", "engine": "huge"}]}}, r"policy\.rules\.0\.engine"),
        ({"policy": {"rules": [{"name": "r", "then": "strong", "engine": "large"}]}}, "nobody drafts"),
        ({"engines": {"a": {"kind": "vllm", "model": "zzz"}}}, r"engines\.a: engine\.model: no model 'zzz'"),
        ({"engine": {"kind": "vllm"}}, "engine and engines exclude each other"),
        ({"engines": {"local": {"kind": "vllm"}}}, r"engines\.local"),
        ({"engines": {"a b": {"kind": "vllm"}}}, "should match pattern"),
        ({"engines": {"a": {"kind": "vllm", "pinned": True, "idle_seconds": 9}}}, "a pinned engine never leaves"),
    ],
)
def test_a_setting_that_names_what_is_not_there_says_so(tmp_path: Path, sections: dict[str, Any], told: str) -> None:
    engines = {name: {"kind": "external", "url": "http://127.0.0.1:9/v1"} for name in ("small", "large")}
    with pytest.raises((BadSettings, ValidationError), match=told):
        app.build(Settings.model_validate({"engines": engines, "server": {"data_dir": tmp_path}} | sections))
