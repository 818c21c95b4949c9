"""What /metrics counts is what was done, and no word of a caller is in it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.web.metrics import Metrics
from tests.conftest import Front, fronted, serving
from tests.doubles import DIFF, NAMES, STRAYS, judges, openai_app, says
from tests.keyed import bearer, new_key

CHAT = {"model": "local", "messages": [{"role": "user", "content": "hello"}]}
SUMMARY = {"messages": [{"role": "user", "content": DIFF}], "firstpass": {"contract": "pr-summary@3"}}
ALLOWED = {
    *("model", "dialect", "route", "status", "code", "part", "group", "tier", "purpose", "outcome", "kind", "check"),
    *("severity", "state", "version", "gate", "engine", "le"),
}


def counted(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of the samples with these labels."""
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if (
            found
            and found[1] == name
            and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', found[2] or "")).items()
        ):
            total += float(found[3])
    return total


@contextmanager
def two_tiers(tmp_path: Path, draft: str) -> Iterator[httpx.Client]:
    with serving(openai_app(says(draft))) as engine, serving(openai_app(judges(NAMES))) as url:
        verifier = {"url": f"{url}/v1", "model": "big"}
        with fronted(engine, tmp_path / "data", verifier=verifier, policy={"egress": "any"}) as client:
            yield client


def test_an_escalated_draft_is_counted_at_each_of_its_steps(tmp_path: Path) -> None:
    with two_tiers(tmp_path, STRAYS) as client:
        answer = client.post("/v1/chat/completions", json=SUMMARY | {"model": "firstpass"})
        assert answer.headers["x-firstpass-route"] == "verified"
        assert counted(client, "firstpass_requests_total", model="firstpass", route="verified", status="200") == 1
        assert counted(client, "firstpass_consults_total", tier="draft", outcome="faulty") == 1
        assert counted(client, "firstpass_consults_total", tier="verifier", purpose="verify", outcome="passed") == 1
        assert counted(client, "firstpass_escalations_total") == 1
        assert counted(client, "firstpass_departures_total") == 1
        assert counted(client, "firstpass_departed_bytes_total") > 100
        assert counted(client, "firstpass_findings_total", severity="fail") > 0
        assert counted(client, "firstpass_tokens_total", tier="verifier", kind="completion") == 13
        assert counted(client, "firstpass_record_seconds_count") == 1
        assert counted(client, "firstpass_request_seconds_count", route="verified") == 1


def test_streams_say_when_their_first_token_came(front: Front) -> None:
    with front(says("a\nb\nc\n")) as client:
        for _ in range(3):
            client.post("/v1/chat/completions", json=CHAT | {"stream": True})
        client.post("/v1/chat/completions", json=CHAT)
        assert counted(client, "firstpass_time_to_first_token_seconds_count", tier="draft") == 3
        assert counted(client, "firstpass_consult_seconds_count", tier="draft", purpose="answer") == 4
        assert counted(client, "firstpass_in_flight") == 0


@pytest.mark.parametrize(
    ("asked", "status", "code", "group"),
    [
        ({"path": "/v1/nowhere", "json": {}}, 404, "route_not_found", "none"),
        ({"path": "/v1/chat/completions", "json": CHAT | {"n": 99}}, 400, "invalid_value", "chat"),
        ({"path": "/v1/messages", "json": {"model": "local"}}, 400, "missing_required_parameter", "messages"),
        ({"path": "/v1/chat/completions", "headers": {"host": "evil.example"}}, 403, "bad_host", "chat"),
        ({"path": "/v1/chat/completions", "json": CHAT | {"model": "strong"}}, 404, "model_not_found", "chat"),
    ],
)
def test_what_is_refused_before_there_is_an_exchange_is_counted_once(
    front: Front, asked: dict[str, Any], status: int, code: str, group: str
) -> None:
    with front(says("hi")) as client:
        assert client.post(asked.pop("path"), **asked).status_code == status
        assert counted(client, "firstpass_refusals_total", code=code) == 1
        assert counted(client, "firstpass_refusals_total") == 1
        assert counted(client, "firstpass_http_responses_total", group=group, status=str(status)) == 1
        assert counted(client, "firstpass_requests_total") == 0


def test_an_exchange_that_failed_is_one_refusal(front: Front) -> None:
    def broken(body: dict[str, Any]) -> str:
        if body["messages"][0]["content"] == "hello":
            raise ValueError("planned")
        return "warm"

    with front(broken) as client:
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 502
        assert counted(client, "firstpass_refusals_total", code="tier_failed", part="draft") == 1
        assert counted(client, "firstpass_refusals_total") == 1
        assert counted(client, "firstpass_consults_total", outcome="failed") == 1
        assert counted(client, "firstpass_requests_total", route="refused", status="502") == 1


def test_the_engine_and_the_process_are_shown(front: Front) -> None:
    with front(says("hi")) as client:
        assert counted(client, "firstpass_engine_state", state="ready") == 1
        assert counted(client, "firstpass_engine_state") == 1 == counted(client, "firstpass_engine_ready")
        assert counted(client, "process_resident_memory_bytes") > 10**7
        assert counted(client, "process_open_fds") > 3 and counted(client, "firstpass_build_info") == 1


def test_no_label_has_a_caller_s_words(front: Front) -> None:
    mark = "canary0123"
    with front(says(mark), server={"unknown_models": "cascade"}) as client:
        for path, body in (
            ("/v1/chat/completions", CHAT | {"model": mark, "user": mark, "metadata": {mark: mark}}),
            ("/v1/chat/completions", CHAT | {mark: 1}),
            ("/v1/chat/completions", CHAT | {"firstpass": {"contract": mark}}),
            (f"/{mark}", {}),
        ):
            client.post(path, json=body, headers={"user-agent": mark, "x-api-key": mark})
        text = client.get("/metrics").text
    assert mark not in text
    assert set(re.findall(r'(\w+)="', text)) <= ALLOWED


def test_only_a_key_that_may_sees_them(front: Front, tmp_path: Path) -> None:
    with front(says("hi"), server={"keys": "required"}) as client:
        chats, _ = new_key(tmp_path / "data", routes=("chat",))
        looks, _ = new_key(tmp_path / "data", routes=("metrics",))
        statuses = [
            client.get("/metrics", headers=headers).status_code for headers in ({}, bearer(chats), bearer(looks))
        ]
        assert statuses == [401, 403, 200]


def test_a_start_of_an_engine_is_counted_by_what_it_says() -> None:
    metrics = Metrics()
    for stage, seconds in (("importing", 0.0), ("loading weights", 2.0), ("importing", 0.0), ("ready", 7.0)):
        metrics.engine_progress("small", stage, seconds)
    text = metrics.text().decode()
    assert 'firstpass_engine_starts_total{engine="small"} 2.0' in text
    assert 'firstpass_engine_start_seconds_sum{engine="small"} 7.0' in text
