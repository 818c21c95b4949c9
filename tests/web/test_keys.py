"""What a key may do, over a whole front: its routes, models, ceiling, rates and spend, and what its owner keeps."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from firstpass import app
from firstpass.errors import BadSettings
from firstpass.exchange import Exchange
from firstpass.settings import Settings
from firstpass.store.keys import load_pepper, mint_after
from firstpass.store.scopes import Spend, day_of
from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, fronted, serving
from tests.doubles import DIFF, STRAYS, judges, messages_app, openai_app, says
from tests.keyed import bearer, new_key
from tests.web.test_hostile_endpoints import hostile

CHAT: dict[str, Any] = {"model": "local", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = CHAT | {"max_tokens": 9}
SUMMARY = {
    "model": "firstpass",
    "messages": [{"role": "user", "content": DIFF}],
    "firstpass": {"contract": "pr-summary@3"},
}
ASKS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "local", "prompt": "hi"},
    "/v1/embeddings": {"model": "local", "input": "hi"},
    "/v1/responses": {"model": "local", "input": "hi"},
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": CHAT,
    "/infer": {"model": "local", "prompt": "hi"},
    "/v1/explain": CHAT,
}
PRICED = {"usd_per_million_input_tokens": 100.0, "usd_per_million_output_tokens": 100.0}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """A front that requires keys, before an engine that says hi, and where it keeps its data."""
    data_dir = tmp_path_factory.mktemp("keys")
    with serving(openai_app(says("hi"))) as url:
        engine = {"kind": "external", "url": f"{url}/v1"}
        server = {"keys": "required"}
        with fronted(url, data_dir, engine=engine, server=server, aliases={"gpt-*": "local"}) as client:
            yield client, data_dir


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


@pytest.mark.parametrize("path", ASKS)
def test_a_route_that_is_not_the_key_s_is_refused_by_its_name(guarded: tuple[httpx.Client, Path], path: str) -> None:
    client, data_dir = guarded
    key, _ = new_key(data_dir, routes=("labels", "metrics"))
    status, code, message = error_of(client.post(path, json=ASKS[path], headers=bearer(key)))
    assert (status, code) == (403, "route_forbidden") and path in message and "labels, metrics" in message


def test_a_key_s_own_routes_are_answered_and_none_beside_them(guarded: tuple[httpx.Client, Path]) -> None:
    client, data_dir = guarded
    headers = bearer(new_key(data_dir, routes=("chat", "models"))[0])
    for path in ("/v1/models", "/v1/models/local"):
        assert client.get(path, headers=headers).status_code == 200
    assert client.post("/v1/chat/completions", json=CHAT, headers=headers).status_code == 200
    for path in (
        "/metrics",
        "/openapi.json",
        "/v1/contracts",
        "/nowhere",
        "/v1/responses/%2e%2e/models",
        "//v1/models",
    ):
        assert client.get(path, headers=headers).status_code == 403, path
    assert client.get("/v1/%72esponses/1", headers=headers).status_code == 403
    assert client.get("/healthz", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ASKS)
def test_a_model_that_is_not_the_key_s_is_refused_on_every_route(guarded: tuple[httpx.Client, Path], path: str) -> None:
    client, data_dir = guarded
    key, _ = new_key(data_dir, models=("gpt-*",))
    status, code, message = error_of(client.post(path, json=ASKS[path], headers=bearer(key)))
    assert (status, code) == (403, "model_not_found") and "'local'" in message and "gpt-*" in message


def test_a_key_s_models_are_all_that_it_can_list_and_ask(guarded: tuple[httpx.Client, Path]) -> None:
    client, data_dir = guarded
    headers = bearer(new_key(data_dir, models=("local", "gpt-4*"))[0])
    assert [model["id"] for model in client.get("/v1/models", headers=headers).json()["data"]] == ["local"]
    assert client.get("/v1/models/gpt-4o", headers=headers).status_code == 200
    for name in ("gpt-5", "firstpass", "nobody"):
        assert client.get(f"/v1/models/{name}", headers=headers).status_code == 403
        assert client.post("/v1/chat/completions", json=CHAT | {"model": name}, headers=headers).status_code == 403
    assert client.post("/v1/chat/completions", json=CHAT | {"model": "gpt-4o"}, headers=headers).status_code == 200
    described = client.get("/openapi.json", headers=headers).json()["components"]["schemas"]["InferBody"]
    assert described["properties"]["model"]["anyOf"][0] == {"enum": ["local"]}


def test_the_official_clients_raise_their_own_exceptions(guarded: tuple[httpx.Client, Path]) -> None:
    client, data_dir = guarded
    key, _ = new_key(data_dir, models=("gpt-*",), requests=2)
    with (
        openai.OpenAI(base_url=f"{client.base_url}/v1", api_key=key, max_retries=0) as one,
        anthropic.Anthropic(base_url=str(client.base_url), api_key=key, max_retries=0) as other,
    ):
        with pytest.raises(openai.PermissionDeniedError, match="may not use the model"):
            one.chat.completions.create(model="local", messages=CHAT["messages"])
        with pytest.raises(anthropic.PermissionDeniedError, match="may not use the model"):
            other.messages.create(**MESSAGES)
        with pytest.raises(openai.RateLimitError, match="2 requests a minute"):
            one.models.list()
        with pytest.raises(anthropic.RateLimitError) as refused:
            other.messages.create(**MESSAGES)
    assert 0 < int(refused.value.response.headers["retry-after"]) <= 30


def test_rates_are_per_key_and_survive_a_restart(tmp_path: Path) -> None:
    key, _ = new_key(tmp_path, requests=3)
    other, _ = new_key(tmp_path, requests=3)
    with serving(openai_app(says("hi"))) as url:
        with fronted(url, tmp_path) as client:
            said = [client.get("/v1/models", headers=bearer(key)).status_code for _ in range(5)]
            assert said == [200, 200, 200, 429, 429]
            assert client.get("/v1/models", headers=bearer(other)).status_code == 200
        with fronted(url, tmp_path) as client:
            assert client.get("/v1/models", headers=bearer(key)).status_code == 429
            assert client.get("/v1/models", headers=bearer(other)).status_code == 200
            assert client.get("/v1/models").status_code == 200, "nobody's rate"


def test_tokens_a_minute_are_refused_in_the_caller_s_dialect(guarded: tuple[httpx.Client, Path]) -> None:
    client, data_dir = guarded
    headers = bearer(new_key(data_dir, tokens=30)[0])
    assert client.post("/v1/messages", json=MESSAGES, headers=headers).status_code == 200
    refused = client.post("/v1/messages", json=MESSAGES, headers=headers)
    assert refused.status_code == 429 and refused.json()["error"]["type"] == "rate_limit_error"
    assert "30 tokens a minute" in refused.text and int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("asked", ["any", "redacted", "local-only", None])
def test_nothing_of_a_request_lifts_its_key_s_ceiling(tmp_path: Path, asked: str | None) -> None:
    stronger = openai_app(says("far"))
    key, _ = new_key(tmp_path, ceiling="local-only")
    with serving(openai_app(says("hi"))) as url, serving(stronger) as far:
        verifier = {"url": f"{far}/v1", "model": "m"}
        with fronted(url, tmp_path, verifier=verifier, policy={"egress": "any"}) as client:
            for path, body in ASKS.items():
                if path in ("/v1/embeddings", "/v1/messages/count_tokens", "/v1/explain"):
                    continue
                strong = body | {"model": "strong"}
                steered = bearer(key) | ({"x-firstpass-egress": asked} if asked else {})
                assert client.post(path, json=strong, headers=steered).is_error
                told = strong | ({"firstpass": {"egress": asked}} if asked else {})
                assert client.post(path, json=told, headers=bearer(key)).is_error
            assert stronger.state.seen == []
            assert client.post("/v1/chat/completions", json=CHAT | {"model": "strong"}).json()["model"] == "m"


def test_a_key_s_ceiling_does_not_lift_the_server_s(tmp_path: Path) -> None:
    stronger = openai_app(says("far"))
    key, _ = new_key(tmp_path, ceiling="any")
    with (
        serving(openai_app(says("hi"))) as url,
        serving(stronger) as far,
        fronted(url, tmp_path, verifier={"url": f"{far}/v1", "model": "m"}) as client,
    ):
        refused = client.post("/v1/chat/completions", json=CHAT | {"model": "strong"}, headers=bearer(key))
    assert refused.status_code == 403 and stronger.state.seen == []


@pytest.mark.parametrize("keyed", [True, False])
def test_a_spent_cap_sends_nothing_and_the_cascade_goes_on_here(tmp_path: Path, keyed: bool) -> None:
    stronger = openai_app(judges(STRAYS))
    key, record = new_key(tmp_path, spend=Spend(1.0))
    headers, owner = (bearer(key), record.owner) if keyed else ({}, "")
    with serving(openai_app(says(STRAYS))) as url, serving(stronger) as far:
        verifier = {"url": f"{far}/v1", "model": "m"} | PRICED
        policy = {"egress": "any", "keyless_usd_a_day": 1.0}
        with fronted(url, tmp_path, verifier=verifier, policy=policy) as client:
            with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
                store.add_spend(owner, day_of(time.time()), 0.999, "", None)
            strong = CHAT | {"model": "strong", "max_tokens": 50}
            refused = client.post("/v1/chat/completions", json=strong, headers=headers)
            summary = client.post("/v1/chat/completions", json=SUMMARY, headers=headers).json()["firstpass"]
            messages = client.post("/v1/messages", json=MESSAGES | {"model": "strong"}, headers=headers)
    assert error_of(refused)[:2] == (429, "insufficient_quota") and int(refused.headers["retry-after"]) > 0
    assert messages.json()["error"]["code"] == "insufficient_quota" and messages.status_code == 429
    assert summary["route"] == "unverified" and "spend cap" in summary["steps"][-1]["failure"]
    assert stronger.state.seen == [] and summary["receipts"] == []


def test_what_the_verifier_counted_is_what_was_spent(tmp_path: Path) -> None:
    key, record = new_key(tmp_path, spend=Spend(1.0))
    counts = messages_app(lambda body: {"content": "far"})
    with serving(openai_app(says("hi"))) as url, serving(counts) as far:
        verifier = {"url": f"{far}/v1", "model": "m"} | PRICED
        with fronted(url, tmp_path, verifier=verifier, policy={"egress": "any"}) as client:
            for stream in (False, True):
                asked = CHAT | {"model": "strong", "max_tokens": 50, "stream": stream}
                assert client.post("/v1/chat/completions", json=asked, headers=bearer(key)).status_code == 200
            local = client.post("/v1/chat/completions", json=CHAT, headers=bearer(key))
        with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
            spent = store.spent(record.owner, "")
    assert local.status_code == 200 and spent == pytest.approx(2 * (11 + 13) * 100 / 1e6)


def test_a_whole_reply_that_broke_midway_is_asked_for_again_and_both_are_paid_and_said(tmp_path: Path) -> None:
    key, record = new_key(tmp_path, spend=Spend(1.0))
    whole = {"model": "m", "choices": [{"message": {"role": "assistant", "content": "far"}, "finish_reason": "stop"}]}
    said = json.dumps(whole | {"usage": {"prompt_tokens": 11, "completion_tokens": 13}}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
    halves = [said[:40], said]

    async def breaks_once(writer: asyncio.StreamWriter) -> None:
        writer.write(head + halves.pop(0))
        await writer.drain()

    with serving(openai_app(says("hi"))) as url, hostile(breaks_once) as far:
        verifier = {"url": f"{far}/v1", "model": "m"} | PRICED
        with fronted(url, tmp_path, verifier=verifier, policy={"egress": "any"}) as client:
            asked = CHAT | {"model": "strong", "max_tokens": 50}
            answer = client.post("/v1/chat/completions", json=asked, headers=bearer(key)).json()
    assert answer["choices"][0]["message"]["content"] == "far"
    with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
        exchange = store.latest(1)[0]
        assert isinstance(exchange, Exchange)
        broken, _ = exchange.receipts
        lost = (broken.bytes + 50) * 100 / 1e6
        assert store.spent(record.owner, "") == pytest.approx((11 + 13) * 100 / 1e6 + lost)


def test_a_server_without_prices_does_not_start_where_a_key_has_a_cap(tmp_path: Path) -> None:
    _, record = new_key(tmp_path, spend=Spend(1.0))
    sections = {
        "engine": {"kind": "external", "url": "http://127.0.0.1:9/v1"},
        "server": {"data_dir": tmp_path},
        "verifier": {"url": "https://models.example/v1", "model": "m"},
    }
    with pytest.raises(BadSettings, match=f"usd_per_million.*{record.id}"):
        app.build(Settings.model_validate(sections))
    app.build(Settings.model_validate({name: sections[name] for name in ("engine", "server")}))


@pytest.mark.parametrize("hosted", [True, False])
def test_what_the_verifier_refuses_or_nobody_is_there_to_take_costs_nothing(tmp_path: Path, hosted: bool) -> None:
    key, record = new_key(tmp_path, spend=Spend(1.0))
    strong = CHAT | {"model": "strong", "max_tokens": 50}
    with serving(openai_app(says("hi"))) as url:
        for far in (f"{url}/nowhere", "http://127.0.0.1:9/v1"):
            verifier = {"url": far, "model": "m", "hosted": hosted} | PRICED
            with fronted(url, tmp_path, verifier=verifier, policy={"egress": "any"}) as client:
                assert client.post("/v1/chat/completions", json=strong, headers=bearer(key)).status_code == 502
    with closing(SqliteStore(tmp_path / "firstpass.sqlite")) as store:
        assert store.spent(record.owner, "") == 0.0
        assert store._reader.rows("count", "SELECT count(*) FROM spends") == [(1,)], "it was reserved, and given back"


def test_a_rotated_key_s_successor_goes_on_with_what_was_said_and_no_other_key_does(
    guarded: tuple[httpx.Client, Path],
) -> None:
    client, data_dir = guarded
    (old, record), (stranger, _) = new_key(data_dir), new_key(data_dir)
    made = client.post("/v1/responses", json={"model": "local", "input": "hi"}, headers=bearer(old)).json()
    with closing(SqliteStore(data_dir / "firstpass.sqlite")) as store:
        new, successor = mint_after(record, load_pepper(data_dir / "pepper"), time.time())
        store.rotate_key(record.id, successor, time.time() + 60)
    onward = {"model": "local", "input": "and?", "previous_response_id": made["id"]}
    assert client.post("/v1/responses", json=onward, headers=bearer(new)).status_code == 200
    assert client.post("/v1/responses", json=onward, headers=bearer(old)).status_code == 200
    assert client.post("/v1/responses", json=onward, headers=bearer(stranger)).status_code == 404
    assert client.get(f"/v1/responses/{made['id']}", headers=bearer(stranger)).status_code == 404


def change(store: SqliteStore, sql: str, key_id: str) -> None:
    """A row as it might have been recorded, with the log's word for it."""
    store._connection.execute(sql)
    if store._log.row("keys", key_id):
        store._log.vouch("migrated", "keys", key_id)


@pytest.mark.parametrize("end", ["revoked", "expired", "unknown", "early"])
def test_a_key_that_is_not_live_is_refused_also_where_none_is_needed(front: Front, tmp_path: Path, end: str) -> None:
    with front(says("hi")) as client:
        key, record = new_key(tmp_path / "data")
        assert client.get("/v1/models", headers=bearer(key)).status_code == 200
        changes = {
            "revoked": "UPDATE keys SET revoked_unix = 1",
            "expired": "UPDATE keys SET expires_unix = 1",
            "unknown": "DELETE FROM keys",
            "early": "UPDATE keys SET not_before_unix = 9e9",
        }
        with closing(SqliteStore(tmp_path / "data" / "firstpass.sqlite")) as store:
            store._write("change a key", lambda: change(store, changes[end], record.id))
        status, code, message = error_of(client.get("/v1/models", headers=bearer(key)))
        assert (status, code) == (401, "invalid_api_key") and "not a live one" in message
        assert (
            client.get("/v1/models", headers=bearer(key[:-1]))
            .json()["error"]["message"]
            .startswith("the API key is mi")
        )
        for dummy in ("sk-none", "EMPTY", "unused"):
            assert client.get("/v1/models", headers=bearer(dummy)).status_code == 200
        assert client.get("/readyz", headers=bearer(key)).status_code == 200


def test_trying_keys_ends_in_429_and_a_key_that_was_right_goes_on(front: Front, tmp_path: Path) -> None:
    with front(says("hi"), server={"keys": "required", "wrong_keys_a_minute": 5}) as client:
        key, _ = new_key(tmp_path / "data")
        assert client.get("/v1/models", headers=bearer(key)).status_code == 200
        tries = [client.get("/v1/models", headers=bearer(f"{key[:-4]}{number:04}")) for number in range(20)]
        assert [response.status_code for response in tries] == [401] * 5 + [429] * 15
        assert error_of(tries[-1])[1] == "too_many_wrong_keys" and int(tries[-1].headers["retry-after"]) > 0
        assert client.get("/v1/models", headers=bearer(key)).status_code == 200
        late, _ = new_key(tmp_path / "data")
        assert client.get("/v1/models", headers=bearer(late)).status_code == 429, "not even looked at"


def test_no_key_is_shown_in_logs_errors_metrics_or_the_record(
    front: Front, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    with front(says("hi")) as client:
        key, _ = new_key(tmp_path / "data", routes=("chat", "metrics"), requests=30)
        given = (key, key[:-1] + "z", key.replace("-", "-0", 1), f"{key}\u00e9".encode().decode("latin-1"))
        for wrong in given:
            for headers in ({"x-api-key": wrong}, {"authorization": f"Bearer {wrong}"}):
                raw = {name: value.encode("latin-1") for name, value in headers.items()}
                for path in ("/metrics", "/v1/models", "/nowhere"):
                    seen.append(client.get(path, headers=raw).text)
                seen.append(client.post("/v1/chat/completions", json=CHAT | {"n": 99}, headers=raw).text)
                seen.append(client.post("/v1/chat/completions", json=CHAT, headers=raw).text)
    said = json.dumps(seen) + caplog.text
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file())
    secret = key.split("-")[2]
    assert secret not in said and secret.encode() not in kept and "fp-" not in said.replace("firstpass-", "")
