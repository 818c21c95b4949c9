"""The whole front over real HTTP, before a scripted engine: dialect, limits, errors, the cascade and its record."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from firstpass.errors import BadSettings
from firstpass.settings import Settings
from firstpass.store.keys import load_pepper, mint
from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, serving
from tests.doubles import DIFF, NAMES, OMITS, STRAYS, judges, openai_app, says

CHAT: dict[str, Any] = {"model": "firstpass", "messages": [{"role": "user", "content": "hello"}]}
SUMMARY: dict[str, Any] = {
    "model": "firstpass",
    "messages": [{"role": "user", "content": DIFF}],
    "firstpass": {"contract": "pr-summary@3"},
}

MISSING = "missing_required_parameter"


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels else {}


def test_a_draft_that_passes_is_the_answer_and_says_how_it_was_made(front: Front) -> None:
    with front(says(NAMES)) as client:
        response = client.post("/v1/chat/completions", json=SUMMARY)
    body = response.json()
    assert response.headers["x-firstpass-route"] == "draft"
    assert body["choices"][0]["message"]["content"] == NAMES
    assert body["firstpass"]["route"] == "draft" and body["firstpass"]["receipts"] == []
    assert [finding["check"] for finding in body["firstpass"]["findings"] if finding["severity"] == "fail"] == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_omission_is_mended_on_this_machine(front: Front, stream: bool) -> None:
    with front(says(OMITS)) as client:
        response = client.post("/v1/chat/completions", json=SUMMARY | {"stream": stream})
    assert response.headers["x-firstpass-route"] == "repaired"
    right = OMITS.replace("Calls:\n- none", "Calls:\n- createSession()")
    assert json.dumps(right)[1:-1] in response.text
    assert "Summary omitted required API call" not in response.text, "no fault is left"


def test_what_code_can_not_mend_is_answered_unverified_where_no_verifier_is_configured(front: Front) -> None:
    with front(says(STRAYS)) as client:
        body = client.post("/v1/chat/completions", json=SUMMARY).json()
    assert body["firstpass"]["route"] == "unverified"
    messages = [finding["message"] for finding in body["firstpass"]["findings"]]
    assert "Summary names launchRocket, which does not occur in the diff" in messages


def test_a_hosted_verifier_is_asked_only_where_the_ceiling_allows_and_leaves_a_receipt(front: Front) -> None:
    stronger = openai_app(judges(NAMES))
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "api_key": "hush"}
        with front(says(STRAYS), verifier=verifier, policy={"egress": "any"}) as client:
            kept = client.post("/v1/chat/completions", json=SUMMARY, headers={"x-firstpass-egress": "local-only"})
            assert kept.json()["firstpass"]["route"] == "unverified" and stronger.state.seen == []
            sent = client.post("/v1/chat/completions", json=SUMMARY)
    assert sent.headers["x-firstpass-route"] == "verified"
    assert sent.json()["choices"][0]["message"]["content"] == NAMES
    assert len(stronger.state.seen) == 1 and sent.json()["firstpass"]["receipts"][0]["host"] == "127.0.0.1"
    assert sent.headers["x-firstpass-receipt"].startswith("127.0.0.1;")


def test_a_verifier_that_can_not_be_reached_leaves_the_draft_unverified(front: Front) -> None:
    verifier = {"url": "http://127.0.0.1:9/v1", "model": "stronger", "hosted": False}
    with front(says(STRAYS), verifier=verifier) as client:
        how = client.post("/v1/chat/completions", json=SUMMARY).json()["firstpass"]
    assert how["route"] == "unverified" and "connection" in how["steps"][2]["failure"]


def test_a_verdict_that_comes_too_late_is_a_reject(front: Front) -> None:
    def late(body: dict[str, Any]) -> str:
        time.sleep(2.0)
        return judges(NAMES)(body)

    with serving(openai_app(late)) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False, "whole_seconds": 0.5}
        with front(says(STRAYS), verifier=verifier) as client:
            how = client.post("/v1/chat/completions", json=SUMMARY).json()["firstpass"]
    assert how["route"] == "unverified" and "did not answer in time" in how["steps"][2]["failure"]


def rewrites(body: dict[str, Any]) -> str:
    """A draft that strays; asked to go on with a sentence under a pattern, one that does not."""
    if "structured_outputs" not in body:
        return STRAYS
    assert body["messages"][-1]["role"] == "user" and "continue_final_message" not in body
    sentence = "Summary: Create a session at login."
    assert re.fullmatch(body["structured_outputs"]["regex"], sentence)
    return sentence


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_can_be_held_to_a_pattern_writes_a_straying_sentence_again(front: Front, stream: bool) -> None:
    with front(rewrites, engine={"structured_outputs": True}) as client:
        response = client.post("/v1/chat/completions", json=SUMMARY | {"stream": stream})
        told = client.post("/v1/explain", json=SUMMARY).json()["steps"]
    assert response.headers["x-firstpass-route"] == "repaired" and "Create a session at login." in response.text
    assert "launchRocket" not in response.text and "written again" in told[3]


def test_an_engine_that_can_not_be_held_to_a_pattern_leaves_the_draft_as_it_was(front: Front) -> None:
    def refuses(body: dict[str, Any]) -> str:
        if "structured_outputs" in body:
            raise ValueError("no structured outputs here")
        return STRAYS

    with front(refuses, engine={"structured_outputs": True}) as client:
        how = client.post("/v1/chat/completions", json=SUMMARY).json()["firstpass"]
    assert how["route"] == "unverified" and [step["purpose"] for step in how["steps"]] == ["draft", "mend", "redraft"]
    assert how["steps"][2]["failure"]


@pytest.mark.parametrize("holds_form", [None, False, True])
@pytest.mark.parametrize("model", ["firstpass", "local"])
def test_a_draft_is_held_to_its_contract_s_form_where_the_engine_s_settings_say_so(
    front: Front, holds_form: bool | None, model: str
) -> None:
    held = list[bool]()

    def answer(body: dict[str, Any]) -> str:
        held.append("structured_outputs" in body)
        return NAMES

    said = {} if holds_form is None else {"holds_form": holds_form}
    with front(answer, engine={"structured_outputs": True} | said) as client:
        held.clear()  # Of its first answer, which only shows that it works.
        client.post("/v1/chat/completions", json=SUMMARY | {"model": model})
        client.post("/v1/chat/completions", json=CHAT | {"model": model})
    assert held == [bool(holds_form), False], "a request without a contract has no form"


def test_the_strong_route_is_refused_under_local_only(front: Front) -> None:
    verifier = {"url": "https://models.example/v1", "model": "stronger"}
    with front(says(OMITS), verifier=verifier) as client:
        response = client.post("/v1/chat/completions", json=CHAT | {"model": "strong"})
    assert response.status_code == 403 and response.json()["error"]["code"] == "egress_forbidden"


def test_a_checked_answer_streams_whole_once_it_is_accepted(front: Front) -> None:
    with front(says(NAMES)) as client:
        asked = SUMMARY | {"stream": True, "stream_options": {"include_usage": True}}
        response = client.post("/v1/chat/completions", json=asked)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"]) == NAMES
    assert events[-1]["choices"] == [] and events[-1]["usage"]["completion_tokens"] == 13
    assert events[-2]["firstpass"]["route"] == "draft" and response.text.endswith("data: [DONE]\n\n")
    assert response.headers["x-firstpass-route"] == "draft"


def test_a_held_back_stream_is_kept_alive(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.web.answer.KEEPALIVE_SECONDS", 0.1)

    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.5)
        return NAMES

    with front(slow) as client:
        response = client.post("/v1/chat/completions", json=SUMMARY | {"stream": True})
    chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert deltas[:2] == [{}, {}] and [delta.get("role") for delta in deltas].count("assistant") == 1
    assert not any(line.startswith(":") for line in response.text.splitlines())
    assert response.text.endswith("data: [DONE]\n\n") and "createSession" in response.text


def test_a_failure_after_the_first_byte_is_the_stream_s_last_event(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstpass.web.answer.KEEPALIVE_SECONDS", 0.1)

    def fails(body: dict[str, Any]) -> str:
        if body["messages"][0]["content"] != "ready?":
            time.sleep(0.5)
            raise ValueError("planned")
        return "warm"

    with front(fails) as client:
        response = client.post("/v1/chat/completions", json=SUMMARY | {"stream": True})
    last = json.loads(response.text.splitlines()[-2].removeprefix("data: "))
    assert response.status_code == 200 and last["error"]["part"] == "draft"


def test_every_exchange_is_recorded_the_refused_ones_too(front: Front, tmp_path: Path) -> None:
    with front(says(NAMES)) as client:
        answered = client.post("/v1/chat/completions", json=SUMMARY)
        two = SUMMARY | {"messages": CHAT["messages"] * 2}
        refused = client.post("/v1/chat/completions", json=two)
    store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
    kept = store.read(answered.headers["x-request-id"])
    assert kept is not None and kept.steps[0].reply is not None and kept.steps[0].reply.text == NAMES
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "messages"
    assert store.read(refused.json()["error"]["exchange"]) is not None


def test_infer_has_the_origin_s_shape(front: Front) -> None:
    with front(says("hi")) as client:
        body = client.post("/infer", json={"model": "local", "prompt": "hello"}).json()
    assert body["output"] == "hi" and body["firstpass"]["route"] == "draft"


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (b"{", 400, None, "invalid_json"),
        (b"[1]", 400, None, "invalid_json"),
        (b'"\xff"', 400, None, "invalid_json"),
        ({"messages": CHAT["messages"]}, 400, "model", "missing_required_parameter"),
        ({"model": "firstpass"}, 400, "messages", "missing_required_parameter"),
        (CHAT | {"model": "strong"}, 404, "model", "model_not_found"),
        (CHAT | {"messages": []}, 400, "messages", "invalid_value"),
        (CHAT | {"messages": [{"role": "user"}]}, 400, "messages.0.content", MISSING),
        (CHAT | {"messages": [{"role": "king", "content": "x"}]}, 400, "messages.0.role", "invalid_value"),
        (CHAT | {"temprature": 1}, 400, "temprature", "unknown_parameter"),
        (CHAT | {"functions": []}, 400, "functions", "unsupported_parameter"),
        (CHAT | {"temperature": "hot"}, 400, "temperature", "invalid_value"),
        (CHAT | {"temperature": 3}, 400, "temperature", "invalid_value"),
        (CHAT | {"n": 16384}, 400, "n", "invalid_value"),
        (CHAT | {"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs", "invalid_value"),
        (CHAT | {"top_logprobs": 2}, 400, "top_logprobs", "invalid_value"),
        (CHAT | {"max_tokens": 0}, 400, "max_tokens", "invalid_value"),
        (CHAT | {"max_tokens": True}, 400, "max_tokens", "invalid_value"),
        (CHAT | {"stream_options": {}}, 400, "stream_options", "invalid_value"),
        (CHAT | {"firstpass": {"contract": "haiku"}}, 400, "firstpass.contract", "contract_not_found"),
        (CHAT | {"firstpass": {"egress": "masked"}}, 400, "firstpass.egress", "invalid_value"),
        (CHAT | {"firstpass": {"egres": "any"}}, 400, "firstpass.egres", "unknown_parameter"),
        (SUMMARY | {"n": 2}, 400, "n", "invalid_value"),
        (CHAT | {"maxTokens": 3}, 400, "maxTokens", "unknown_parameter"),
        (CHAT | {"messages": [{"role": "user", "content": None}]}, 400, "messages.0.content", MISSING),
        (CHAT | {"logit_bias": {"5": 101}}, 400, "logit_bias.5", "invalid_value"),
        (CHAT | {"user": "\ud800"}, 400, None, "invalid_json"),
        (b'{"model": "local", "model": "strong"}', 400, "model", "invalid_json"),
        (b'{"model": ' + b"[" * 100_000, 400, None, "invalid_json"),
        (CHAT | {"response_format": nested(40)}, 400, "response_format", "invalid_value"),
        (CHAT | {"response_format": {"x": "y" * 20_000}}, 400, "response_format", "invalid_value"),
    ],
)
def test_bad_input_gets_a_4xx_that_names_the_field(
    front: Front, body: Any, status: int, param: str | None, code: str
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with front(says("hi")) as client:
        response = client.post("/v1/chat/completions", content=raw, headers={"content-type": "application/json"})
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (status, param, code), error
    assert error["message"] and error["type"]


def test_a_null_field_is_an_absent_one(front: Front) -> None:
    with front(says("hi")) as client:
        assert client.post("/v1/chat/completions", json=CHAT | {"temperature": None, "tools": None}).status_code == 200


def test_what_the_caller_sets_reaches_the_engine(front: Front) -> None:
    engine = openai_app(says("hi"))
    with serving(engine) as url, front(says("-"), engine={"kind": "external", "url": f"{url}/v1"}) as client:
        asked = {"seed": 3, "stop": "x", "max_completion_tokens": 9, "logit_bias": {"5": -1}, "top_p": 0.5}
        client.post("/v1/chat/completions", json=CHAT | asked)
    seen = engine.state.seen[-1]
    assert {name: seen[name] for name in ("seed", "stop", "max_tokens", "logit_bias", "top_p")} == {
        "seed": 3,
        "stop": ["x"],
        "max_tokens": 9,
        "logit_bias": {"5": -1},
        "top_p": 0.5,
    }
    assert seen["model"] == "scripted"


def test_a_header_steers_as_the_body_does_and_may_not_contradict_it(front: Front) -> None:
    with front(says(NAMES)) as client:
        plain = {"model": "firstpass", "messages": SUMMARY["messages"]}
        steered = client.post("/v1/chat/completions", json=plain, headers={"x-firstpass-contract": "pr-summary@3"})
        assert steered.json()["firstpass"]["contract"] == "pr-summary@3", "the version is always said"
        torn = client.post("/v1/chat/completions", json=SUMMARY, headers={"x-firstpass-contract": "other"})
        assert torn.status_code == 400 and torn.json()["error"]["param"] == "x-firstpass-contract"


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ([("x-firstpass-egres", "local-only")], "x-firstpass-egres"),
        ([("x-firstpass-egress", "any"), ("x-firstpass-egress", "local-only")], "x-firstpass-egress"),
        ([("x-firstpass-egress", "nowhere")], "x-firstpass-egress"),
        ([("x-firstpass-session", "s" * 201)], "x-firstpass-session"),
        ([("x-firstpass-store", "maybe")], "x-firstpass-store"),
    ],
)
def test_a_steering_header_is_checked_like_a_field(front: Front, headers: list[tuple[str, str]], param: str) -> None:
    with front(says("hi")) as client:
        response = client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert response.status_code == 400 and response.json()["error"]["param"] == param


def test_one_model_alone_under_a_contract_is_marked_where_it_fails(front: Front) -> None:
    with front(says(OMITS)) as client:
        response = client.post("/v1/chat/completions", json=SUMMARY | {"model": "local"})
    assert response.headers["x-firstpass-route"] == "unverified" and response.json()["firstpass"]["findings"]


def test_a_streamed_answer_of_the_verifier_carries_its_receipt(front: Front) -> None:
    stronger = openai_app(says(NAMES))
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger"}
        with front(says(OMITS), verifier=verifier, policy={"egress": "any"}) as client:
            response = client.post("/v1/chat/completions", json=CHAT | {"model": "strong", "stream": True})
    assert response.headers["x-firstpass-receipt"].startswith("127.0.0.1;")
    assert response.headers["x-firstpass-route"] == "strong" and NAMES.split()[0] in response.text


def test_store_false_leaves_no_text_in_any_file(front: Front, tmp_path: Path) -> None:
    word = "xylophone"
    asked = CHAT | {"messages": [{"role": "user", "content": word}], "stop": word, "user": word, "store": False}
    asked |= {"response_format": {"type": word}}
    with front(says(word)) as client:
        assert client.post("/v1/chat/completions", json=asked).status_code == 200
        assert client.post("/v1/chat/completions", json=asked | {"messages": asked["messages"] * 2}).status_code == 200
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("firstpass.sqlite*"))
    assert b"x-request-id" not in kept and word.encode() not in kept


def test_store_false_leaves_no_text_of_a_verified_answer_in_any_file(front: Front, tmp_path: Path) -> None:
    word = "xylophone"
    with serving(openai_app(judges(NAMES.replace("Create a session", f"Create a session for {word}")))) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with front(says(STRAYS), verifier=verifier) as client:
            answer = client.post("/v1/chat/completions", json=SUMMARY | {"store": False})
    assert answer.json()["firstpass"]["route"] == "verified" and word in answer.text
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("firstpass.sqlite*"))
    assert word.encode() not in kept and b"createSession" not in kept


def test_what_still_runs_at_the_end_is_recorded(front: Front, tmp_path: Path) -> None:
    begun = threading.Event()

    def slow(body: dict[str, Any]) -> str:
        if body["messages"][0]["content"] == "hello":
            begun.set()
            time.sleep(1.0)
        return "late"

    with front(slow) as client:
        url = f"{client.base_url}/v1/chat/completions"
        caller = threading.Thread(target=lambda: httpx.post(url, json=CHAT, timeout=60))
        caller.start()
        assert begun.wait(60)
    caller.join()
    assert len(SqliteStore(tmp_path / "data" / "firstpass.sqlite").latest(10)) == 1


def test_an_engine_that_comes_up_late_makes_the_server_ready_by_itself(front: Front) -> None:
    attempts: list[int] = []

    def late(body: dict[str, Any]) -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("planned: the first warm-up fails")
        return "warm"

    with front(late) as client:
        assert client.get("/readyz").is_success and len(attempts) == 2


def test_a_body_over_the_limit_is_refused(front: Front) -> None:
    with front(says("hi"), server={"body_limit_bytes": 100}) as client:
        response = client.post("/v1/chat/completions", json=CHAT | {"user": "x" * 100})
    assert response.status_code == 413 and response.json()["error"]["code"] == "body_too_large"


def test_a_body_that_is_not_json_by_its_own_word_is_refused(front: Front) -> None:
    with front(says("hi")) as client:
        response = client.post("/v1/chat/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert response.status_code == 415


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/infer", 405)])
def test_routing_errors_have_the_envelope_too(front: Front, method: str, path: str, status: int) -> None:
    with front(says("hi")) as client:
        response = client.request(method, path)
    assert response.status_code == status and response.json()["error"]["message"]


def test_a_websocket_is_refused_in_a_way_that_codex_takes_for_final(front: Front) -> None:
    handshake = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    with front(says("hi")) as client:
        response = client.get("/v1/responses", headers=handshake)
    assert (response.status_code, response.headers["upgrade"]) == (426, "HTTP/1.1")
    assert "POST to /v1/responses" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, "bad_host"),
        ({"sec-fetch-site": "cross-site"}, "cross_site"),
        ({"origin": "https://evil.example"}, "cross_site"),
        ({"origin": "http://["}, "cross_site"),
    ],
)
def test_a_page_of_another_site_is_not_answered(front: Front, headers: dict[str, str], code: str) -> None:
    with front(says("hi")) as client:
        response = client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert response.status_code == 403 and response.json()["error"]["code"] == code


def test_keys_are_required_where_they_are_switched_on(front: Front, tmp_path: Path) -> None:
    with front(says("hi"), server={"keys": "required"}) as client:
        store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
        key, record = mint("ci", load_pepper(tmp_path / "data" / "pepper"), 1.0)
        store.add_key(record)
        none = client.post("/v1/chat/completions", json=CHAT)
        assert none.status_code == 401 and none.headers["www-authenticate"] == "Bearer"
        for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
            answered = client.post("/v1/chat/completions", json=CHAT, headers=headers)
            assert answered.status_code == 200
        kept = store.read(answered.headers["x-request-id"])
        assert kept is not None and kept.ask.key == record.id
        store.revoke_key(record.id, 2.0)
        assert client.post("/v1/chat/completions", json=CHAT, headers=headers).status_code == 401
        assert client.get("/healthz").status_code == 200 and client.get("/metrics").status_code == 401


def test_the_models_are_listed_and_described(front: Front) -> None:
    with front(says("hi")) as client:
        names = [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert names[:2] == ["firstpass", "local"]
        assert client.get("/v1/models/local").json()["id"] == "local"
        assert client.get("/v1/models/gpt-9").status_code == 404


def test_a_proxy_s_model_names_are_aliases(front: Front, tmp_path: Path) -> None:
    aliases = {"claude-*": "firstpass", "claude-sonnet-37": "local"}
    with front(says("hi"), aliases=aliases) as client:
        answers = {
            name: client.post("/v1/chat/completions", json=CHAT | {"model": name})
            for name in ("claude-sonnet-37", "claude-haiku-4-5", "strong")
        }
        listed = [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert client.get("/v1/models/claude-opus").json()["id"] == "claude-opus"
    assert [answer.status_code for answer in answers.values()] == [200, 200, 404]
    assert "claude-sonnet-37" in listed and "claude-*" not in listed
    store = SqliteStore(tmp_path / "data" / "firstpass.sqlite")
    asked = [(exchange.ask.model, exchange.ask.target) for exchange in reversed(store.latest(2))]
    assert asked == [("claude-sonnet-37", "local"), ("claude-haiku-4-5", "cascade")]


@pytest.mark.parametrize(
    ("aliases", "said"), [({"gpt-4o": "strong"}, "there is no model 'strong'"), ({"local": "firstpass"}, "is the name")]
)
def test_an_alias_that_can_not_be_meant_is_a_bad_setting(front: Front, aliases: dict[str, str], said: str) -> None:
    with pytest.raises(BadSettings, match=said), front(says("hi"), aliases=aliases):
        pass


def test_metrics_count_the_routes(front: Front) -> None:
    with front(says(NAMES)) as client:
        client.post("/v1/chat/completions", json=SUMMARY)
        text = client.get("/metrics").text
    assert 'firstpass_requests_total{dialect="openai",model="firstpass",route="draft",status="200"} 1.0' in text
    assert 'firstpass_engine_ready{engine="external"} 1.0' in text and "firstpass_departed_bytes_total 0.0" in text


def test_the_official_sdk_raises_its_own_exceptions(front: Front) -> None:
    with front(says("hi")) as client:
        sdk = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0)
        with sdk, pytest.raises(openai.NotFoundError, match="unknown model"):
            sdk.chat.completions.create(model="strong", messages=CHAT["messages"])


def test_an_engine_that_fails_gives_a_5xx_with_retry_after(front: Front) -> None:
    def broken(body: dict[str, Any]) -> str:
        if body["messages"][0]["content"] == "hello":
            raise ValueError("planned")
        return "warm"

    with front(broken) as client:
        response = client.post("/v1/chat/completions", json=CHAT)
    assert response.status_code == 502 and response.headers["retry-after"]
    assert response.json()["error"]["part"] == "draft"


def test_defaults_of_the_whole_tree_are_valid(tmp_path: Path) -> None:
    assert Settings().engine.model == "firstpass-draft-10m"


def test_no_request_waits_for_a_slow_body_for_ever(front: Front) -> None:
    def slow() -> Any:
        yield b"{"
        time.sleep(1.5)
        yield b"}"

    with front(says("hi"), server={"body_seconds": 0.3}) as client:
        try:
            headers = {"content-type": "application/json"}
            response = client.post("/v1/chat/completions", content=slow(), headers=headers)
        except httpx.WriteError:
            return
    assert response.status_code == 400 and response.json()["error"]["code"] == "body_timeout"
