"""What a caller hears while a model is silent: an event of its own dialect that says nothing, and no comment."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.conftest import fronted, serving
from tests.dialects import DONE, USER, ask, case, dialects, events, read
from tests.replayed import READY, delta, sse

EVERY_SECONDS = 0.1
SILENT_SECONDS = 0.35
PIECES = [delta(role="assistant", content="hi"), delta(content=" there"), delta(finish_reason="stop"), DONE]


async def halting(request: Request) -> Response:
    """Silent before each of its pieces."""
    body = await request.json()
    if body.get("messages", [{}])[0].get("content") == "ready?":
        return JSONResponse(READY)
    texts = [{"text": "hi"}, {"text": " there"}, {"text": "", "finish_reason": "stop"}]
    plain = [{"id": "c1", "model": "m", "choices": [{"index": 0} | text]} for text in texts]
    pieces = PIECES if "messages" in body else [*plain, DONE]

    def slowly() -> Iterator[bytes]:
        for piece in pieces:
            time.sleep(SILENT_SECONDS)
            yield sse(piece)

    return StreamingResponse(slowly(), media_type="text/event-stream")


async def models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model"}]})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    paths = [Route(f"/v1/{path}", halting, methods=["POST"]) for path in ("chat/completions", "completions")]
    engine = Starlette(routes=[*paths, Route("/v1/models", models)])
    with serving(engine) as url, fronted(url, tmp_path_factory.mktemp("data")) as client:
        yield client


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.web.answer.KEEPALIVE_SECONDS", EVERY_SECONDS)


def _waits(event: dict[str, Any]) -> bool:
    if "choices" in event:
        (choice,) = event["choices"]
        return choice.get("finish_reason") is None and not choice.get("delta") and not choice.get("text")
    return event["type"] in ("ping", "response.in_progress")


@dialects
def test_silence_is_broken_by_events_that_say_nothing(client: httpx.Client, dialect: str) -> None:
    assert case("keepalive-comment")["upstream"] == ["engine silent for 10 s"]
    started = time.monotonic()
    response = ask(client, dialect, stream=True)
    took = time.monotonic() - started
    assert not any(line.startswith(":") for line in response.text.splitlines())
    assert all("data: " in event for event in response.text.split("\n\n") if event), "no event is without data"
    assert read(response, dialect, stream=True)["text"] == "hi there"
    waits = [event for event in events(response) if _waits(event)]
    assert 6 <= len(waits) <= took / EVERY_SECONDS + 1, "as long as nothing is sent, and not more often"


def test_the_role_is_said_once_and_the_id_is_the_reply_s(client: httpx.Client) -> None:
    chunks = events(ask(client, "chat", stream=True))
    first = next(at for at, chunk in enumerate(chunks) if not _waits(chunk))
    assert first > 1 and [chunk["choices"][0]["delta"].get("role") for chunk in chunks].count("assistant") == 1
    assert {chunk["id"] for chunk in chunks[first:]} == {"c1"} and {chunk["object"] for chunk in chunks} == {
        "chat.completion.chunk"
    }


def test_a_plain_completion_waits_in_its_own_shape(client: httpx.Client) -> None:
    response = client.post("/v1/completions", json={"model": "local", "prompt": "x", "stream": True})
    chunks = events(response)
    assert {chunk["object"] for chunk in chunks if _waits(chunk)} == {"text_completion"}
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "hi there"


def test_a_response_begins_once_and_counts_its_events(client: httpx.Client) -> None:
    sent = events(ask(client, "responses", stream=True))
    kinds = [event["type"] for event in sent]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.in_progress"]
    assert kinds.count("response.created") == 1 == kinds.count("response.completed")
    assert [event["sequence_number"] for event in sent] == list(range(len(sent)))


def test_the_official_clients_read_it_all(client: httpx.Client) -> None:
    base = str(client.base_url).rstrip("/")
    with openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0) as sdk:
        with sdk.chat.completions.stream(model="local", messages=USER) as chat:  # type: ignore[arg-type]
            answer = chat.get_final_completion().choices[0]
        with sdk.responses.stream(model="local", input="x") as response:
            for _ in response:
                pass
            said = response.get_final_response().output_text
    asked: Any = {"model": "local", "max_tokens": 9, "messages": USER}
    with (
        anthropic.Anthropic(base_url=base, api_key="none", max_retries=0) as claude,
        claude.messages.stream(**asked) as message,
    ):
        text = message.get_final_text()
    assert (answer.message.role, answer.message.content, answer.finish_reason) == ("assistant", "hi there", "stop")
    assert said == text == "hi there"


def test_a_failure_after_an_event_that_said_nothing_is_the_last(tmp_path: Path) -> None:
    async def failing(request: Request) -> Response:
        if (await request.json())["messages"][0]["content"] == "ready?":
            return JSONResponse(READY)
        await asyncio.sleep(SILENT_SECONDS)
        return JSONResponse({"error": {"message": "planned"}}, 500)

    routes = [Route("/v1/chat/completions", failing, methods=["POST"]), Route("/v1/models", models)]
    with serving(Starlette(routes=routes)) as url, fronted(url, tmp_path / "data") as front:
        for dialect, last in ("chat", "error"), ("messages", "error"), ("responses", "response.failed"):
            end = events(ask(front, dialect, stream=True))[-1]
            assert "planned" in json.dumps(end) and (end.get("type") or "error") == last
