"""Requests of coding tools, verbatim: each file in shapes/ says where its shape was seen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.clients.conftest import FORECAST, THOUGHT
from tests.conftest import fronted, serving
from tests.scenes import USAGE, Scene, Stage, last_said

SHAPES = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).with_name("shapes").glob("*.json"))}
CHATS = [name for name, shape in SHAPES.items() if "completions" in shape["path"]]
AGENTS = [name for name in SHAPES if name.startswith(("claude-code", "codex")) and name != "claude-code-count"]
MESSAGE_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
RESPONSE_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ALIASES = {"claude-*": "local", "gpt-*": "local"}
"""The tools name the models of their makers."""


@pytest.fixture(scope="module")
def stage() -> Stage:
    def play(body: dict[str, Any]) -> Scene:
        if last_said(body) in ("busy", "silent"):
            return Scene(status=503) if last_said(body) == "busy" else Scene(holds="silent")
        return Scene({"reasoning": THOUGHT, "content": FORECAST})

    return Stage(play)


@pytest.fixture(scope="module")
def client(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(stage.app) as url, fronted(url, tmp_path_factory.mktemp("shapes"), aliases=ALIASES) as front:
        yield front


def sent(client: httpx.Client, name: str, **changed: Any) -> httpx.Response:
    shape = SHAPES[name]
    return client.post(shape["path"], json=shape["body"] | changed, headers=shape["headers"])


@pytest.mark.parametrize("name", CHATS)
def test_a_tool_s_request_is_answered_or_refused_by_name(client: httpx.Client, stage: Stage, name: str) -> None:
    shape = SHAPES[name]
    response = sent(client, name)
    assert response.status_code == shape.get("status", 200), response.text
    if "param" in shape:
        assert response.json()["error"]["param"] == shape["param"]
        return
    assert said(response) == FORECAST
    asked, got = shape["body"], stage.seen[-1]
    assert last_said(got) == last_said(asked), "the engine was asked what the caller asked"
    for field in ("tools", "temperature", "stop", "max_tokens"):
        assert got.get(field) == asked.get(field), field


def said(response: httpx.Response) -> str:
    if not response.headers["content-type"].startswith("text/event-stream"):
        return text_of(response.json()["choices"][0])
    assert response.text.endswith("data: [DONE]\n\n")
    return "".join(text_of(choice) for event in events(response) for choice in event["choices"])


def text_of(choice: dict[str, Any]) -> str:
    return choice["text"] if "text" in choice else choice.get("delta", choice.get("message")).get("content") or ""


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_s_turn_is_answered_whole_and_streamed(
    client: httpx.Client, stage: Stage, name: str, stream: bool
) -> None:
    shape = SHAPES[name]
    response = sent(client, name, stream=stream)
    assert response.status_code == 200, response.text
    read = message if shape["path"].startswith("/v1/messages") else answer
    assert read(response, stream) == [THOUGHT, FORECAST]
    assert response.headers.get("x-firstpass-skipped-tools", "") == shape.get("skipped", "")
    got = stage.seen[-1]
    assert last_said(got) == shape["last"]
    assert [tool["function"]["name"] for tool in got.get("tools", ())] == shape["tools"]


def message(response: httpx.Response, stream: bool) -> list[str]:
    """The thought and the text, as the official client's own types have them."""
    if not stream:
        whole = Message.model_validate(response.json())
        return [block.thinking if block.type == "thinking" else block.text for block in whole.content]  # type: ignore[union-attr]
    read = [MESSAGE_EVENT.validate_python(event) for event in events(response)]
    assert [event.type for event in read if not event.type.startswith("content_block")] == [
        *("message_start", "message_delta", "message_stop")
    ]
    assert read[0].message.usage.input_tokens == USAGE["prompt_tokens"]
    deltas = [event.delta for event in read if event.type == "content_block_delta"]
    thoughts = [delta.thinking for delta in deltas if delta.type == "thinking_delta"]
    return ["".join(thoughts), "".join(delta.text for delta in deltas if delta.type == "text_delta")]


def answer(response: httpx.Response, stream: bool) -> list[str]:
    """The same of a response; who asks for summaries finds the thought in their place."""
    told = events(response) if stream else [{"response": response.json()}]
    told[-1]["response"]["usage"]["input_tokens_details"]["cache_write_tokens"] = 0  # Which no tier tells of.
    if stream:
        read = [RESPONSE_EVENT.validate_python(event) for event in told]
        assert [event.sequence_number for event in read] == list(range(len(read)))
        assert (read[0].type, read[-1].type) == ("response.created", "response.completed")
    thought, text = Response.model_validate(told[-1]["response"]).output
    assert thought.type == "reasoning" and text.type == "message" and text.content[0].type == "output_text"
    return [(thought.summary or thought.content or [])[0].text, text.content[0].text]


def test_claude_code_s_context_is_counted(client: httpx.Client) -> None:
    counted = MessageTokensCount.model_validate(sent(client, "claude-code-count").json())
    assert counted.input_tokens == USAGE["prompt_tokens"]


WORDS = {"claude-code-turn": "messages", "codex-turn": "input"}
"""Where each has its conversation."""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", WORDS)
def test_an_engine_that_is_busy_is_tried_again(client: httpx.Client, name: str, stream: bool) -> None:
    """What both tools retry on: a status of 5xx before the first byte, with the time to wait."""
    response = sent(client, name, stream=stream, **{WORDS[name]: [{"role": "user", "content": "busy"}]})
    assert response.status_code == 503 and int(response.headers["retry-after"]) > 0
    error = response.json()["error"]
    assert error["type"] == ("overloaded_error" if name == "claude-code-turn" else "server_error")


@pytest.mark.parametrize("name", WORDS)
def test_silence_is_broken_in_time(client: httpx.Client, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claude Code stalls after 20 s of silence, and Codex gives up: each hears an event that says nothing."""
    monkeypatch.setattr("firstpass.web.answer.KEEPALIVE_SECONDS", 0.1)
    shape = SHAPES[name]
    body = shape["body"] | {WORDS[name]: [{"role": "user", "content": "silent"}]}
    with client.stream("POST", shape["path"], json=body, headers=shape["headers"]) as response:
        named = (line for line in response.iter_lines() if line.startswith("event: "))
        heard = [next(named).removeprefix("event: ") for _ in range(4)]
    waits = "ping" if name == "claude-code-turn" else "response.in_progress"
    assert heard == ([waits] * 4 if waits == "ping" else ["response.created", *[waits] * 3])
