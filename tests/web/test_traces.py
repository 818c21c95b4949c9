"""Traces: a span for each step of an exchange, on this machine alone, without a word of anybody; off, nothing of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.conftest import fronted, serving
from tests.doubles import DIFF, NAMES, STRAYS, judges, openai_app, says
from tests.scenes import Scene, Stage

pytest.importorskip("opentelemetry.sdk")
from firstpass.tracing import to_file

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "theirs=1"}
SUMMARY = {
    "model": "firstpass",
    "messages": [{"role": "user", "content": f"{DIFF}+# canary"}],
    "firstpass": {"contract": "pr-summary@3"},
}
CHAT = {"model": "local", "messages": [{"role": "user", "content": "canary"}]}


@contextmanager
def traced(tmp_path: Path, draft: str = STRAYS, **telemetry: Any) -> Iterator[tuple[httpx.Client, Any]]:
    """A front with two tiers, and the headers that the engine heard, and the verifier."""
    heard: tuple[list[dict[bytes, bytes]], list[dict[bytes, bytes]]] = ([], [])

    def hearing(app: Any, headers: list[dict[bytes, bytes]]) -> Any:
        async def through(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                headers.append(dict(scope["headers"]))
            await app(scope, receive, send)

        return through

    with (
        serving(hearing(openai_app(says(draft)), heard[0])) as engine,
        serving(hearing(openai_app(judges(NAMES)), heard[1])) as url,
        fronted(
            engine,
            tmp_path / "data",
            verifier={"url": f"{url}/v1", "model": "big"},
            policy={"egress": "any"},
            telemetry=telemetry,
        ) as client,
    ):
        yield client, heard


def spans(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def of_asks(path: Path) -> list[dict[str, Any]]:
    """Without those of the questions whether it is ready."""
    return [span for span in spans(path) if "probe" not in span["name"]]


def test_an_exchange_is_a_trace_of_its_steps(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    with traced(tmp_path, traces_file=file) as (client, (heard, outside)):
        answer = client.post("/v1/chat/completions", json=SUMMARY, headers=CALLER)
        assert answer.headers["x-firstpass-route"] == "verified"
    found = of_asks(file)
    (drafted,) = [span["context"]["span_id"].removeprefix("0x") for span in found if span["name"] == "chat draft"]
    said = [headers.get(b"traceparent") for headers in heard]
    assert f"00-{TRACE}-{drafted}-01".encode() in said, "vLLM's spans are part of the step that asked for them"
    assert not any(b"tracestate" in headers for headers in heard), "it is the caller's own"
    names = [span["name"] for span in found]
    assert {"request chat", "evidence", "chat draft", "checks", "chat verifier", "record"} <= set(names)
    assert {span["context"]["trace_id"] for span in found} == {f"0x{TRACE}"}
    (request,) = [span for span in found if span["name"] == "request chat"]
    assert request["parent_id"] == f"0x{PARENT}" and request["attributes"]["http.response.status_code"] == 200
    assert request["attributes"]["firstpass.exchange"] == answer.headers["x-request-id"]
    assert request["attributes"]["firstpass.route"] == "verified"
    assert {span["parent_id"] for span in found if span is not request} == {request["context"]["span_id"]}
    (asked,) = [span["attributes"] for span in found if span["name"] == "chat verifier"]
    assert asked["gen_ai.operation.name"] == "chat" and asked["gen_ai.usage.output_tokens"] == 13
    assert len(outside) == 1 and not {b"traceparent", b"tracestate"} & outside[0].keys(), "what leaves tells nothing"


def test_a_file_of_traces_has_an_end_that_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text("x" * 999)
    monkeypatch.setattr("firstpass.tracing.FILE_BYTES", 1000)
    tracing = to_file(file)
    for _ in range(3):
        with tracing("work"):
            pass
        tracing._provider.force_flush()
    tracing.close()
    assert file.read_text().count("trace_id") == 1, "the one that came while there was room"
    assert sum("no more spans" in record.message for record in caplog.records) == 1


def test_a_stream_says_when_its_first_token_came(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    with traced(tmp_path, traces_file=file) as (client, _):
        client.post("/v1/chat/completions", json=CHAT | {"stream": True})
    (asked,) = [span["attributes"] for span in of_asks(file) if span["name"] == "chat draft"]
    assert asked["gen_ai.latency.time_to_first_token"] > 0


def test_no_word_of_anybody_is_in_a_trace_also_where_something_fails(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    with traced(tmp_path, "canary", traces_file=file) as (client, _):
        headers = {"user-agent": "canary", "traceparent": "canary", "tracestate": "canary=1", "baggage": "canary=1"}
        for path, body in (
            ("/v1/chat/completions", CHAT),
            ("/v1/chat/completions", SUMMARY),
            ("/v1/chat/completions", CHAT | {"canary": 1}),
            ("/v1/chat/completions", CHAT | {"model": "canary", "user": "canary"}),
            ("/canary", {}),
            ("/v1/messages", CHAT | {"max_tokens": 9}),
        ):
            client.post(path, json=body, headers=headers)
    text = file.read_text()
    assert "canary" not in text and len(of_asks(file)) > 10 and "traceback" not in text.lower()
    assert file.stat().st_mode & 0o077 == 0


def test_an_error_s_message_is_not_in_its_span(tmp_path: Path) -> None:
    stage = Stage(lambda body: Scene(status=500 if "canary" in json.dumps(body) else 200, fault="canary"))
    telemetry = {"traces_file": tmp_path / "traces.jsonl"}
    with serving(stage.app) as url, fronted(url, tmp_path / "data", telemetry=telemetry) as client:
        assert "canary" in client.post("/v1/chat/completions", json=CHAT).text
    (asked,) = [span for span in of_asks(telemetry["traces_file"]) if span["name"] == "chat draft"]
    assert asked["attributes"]["error.type"] == "TierFailed" and "canary" not in json.dumps(asked)


@pytest.mark.parametrize("moved", [False, True])
def test_a_collector_gets_them_directly_and_one_that_sends_elsewhere_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/elsewhere")
    got: list[tuple[str, bytes]] = []

    async def collect(request: Request) -> Response:
        got.append((request.url.path, await request.body()))
        return RedirectResponse("/elsewhere", 307) if moved else Response()

    routes = [Route(path, collect, methods=["GET", "POST"]) for path in ("/v1/traces", "/elsewhere")]
    with (
        serving(Starlette(routes=routes)) as collector,
        traced(tmp_path, traces_url=f"{collector}/v1/traces") as (client, _),
    ):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        client.post("/v1/chat/completions", json=SUMMARY)
    assert got and {path for path, _ in got} == {"/v1/traces"}
    assert b"chat verifier" in b"".join(body for _, body in got) and b"canary" not in b"".join(body for _, body in got)


def test_where_they_are_off_nothing_of_opentelemetry_is_imported() -> None:
    code = "import sys, firstpass.app; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
