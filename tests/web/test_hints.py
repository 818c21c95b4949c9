"""Wishes that change no answer's meaning are no errors: they are left out, and the answer says which."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from firstpass.store.sqlite import SqliteStore
from tests.conftest import Front, fronted, serving
from tests.doubles import says
from tests.replayed import Replayed

CHAT = ("/v1/chat/completions", {"model": "local", "messages": [{"role": "user", "content": "hi"}]})
RESPONSES = ("/v1/responses", {"model": "local", "input": "hi"})
MESSAGES = ("/v1/messages", {"model": "local", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})


@pytest.mark.parametrize(
    ("where", "hints", "ignored"),
    [
        (CHAT, {"verbosity": "low"}, "verbosity"),
        (CHAT, {"verbosity": "medium"}, None),
        (CHAT, {"verbosity": None}, None),
        (CHAT, {"prediction": {"type": "content", "content": "hi"}}, "prediction"),
        (CHAT, {"prompt_cache_retention": "24h", "service_tier": "flex"}, "prompt_cache_retention,service_tier"),
        (CHAT, {"service_tier": "auto"}, None),
        (RESPONSES, {"text": {"verbosity": "high"}}, "text.verbosity"),
        (RESPONSES, {"reasoning": {"context": "current_turn"}}, "reasoning.context"),
        (RESPONSES, {"reasoning": {"context": "all_turns", "mode": "standard"}}, None),
        (RESPONSES, {"reasoning": {"effort": "low", "summary": "concise"}}, None),
        (RESPONSES, {"truncation": "auto"}, "truncation"),
        (RESPONSES, {"truncation": "disabled"}, None),
        (RESPONSES, {"max_tool_calls": 3, "prompt_cache_options": {}}, "prompt_cache_options,max_tool_calls"),
        (RESPONSES, {"include": ["web_search_call.action.sources", "reasoning.encrypted_content"]}, None),
        (MESSAGES, {"service_tier": "flex", "speed": "fast"}, "speed,service_tier"),
        (MESSAGES, {"service_tier": "standard_only"}, None),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_hint_is_left_out_and_named(
    front: Front, where: tuple[str, dict[str, Any]], hints: dict[str, Any], ignored: str | None, streamed: bool
) -> None:
    path, body = where
    with front(says("Hello.")) as client:
        answer = client.post(path, json=body | hints | {"stream": streamed})
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers.get("x-firstpass-ignored") == ignored and "Hello." in answer.text


@pytest.mark.parametrize("where", [CHAT, RESPONSES])
def test_obfuscation_may_be_wished_for_or_off(front: Front, where: tuple[str, dict[str, Any]]) -> None:
    path, body = where
    with front(says("Hello.")) as client:
        for wish, ignored in ((True, "stream_options.include_obfuscation"), (False, None)):
            options = {"stream": True, "stream_options": {"include_obfuscation": wish}}
            answer = client.post(path, json=body | options)
            assert answer.is_success and answer.headers.get("x-firstpass-ignored") == ignored, answer.text


def test_penalties_of_a_response_reach_the_model(front: Front) -> None:
    seen: list[dict[str, Any]] = []
    path, body = RESPONSES
    with front(lambda asked: seen.append(asked) or "Hello.") as client:  # type: ignore[func-returns-value]
        assert client.post(path, json=body | {"presence_penalty": 1.5, "frequency_penalty": -1}).is_success
    assert (seen[-1]["presence_penalty"], seen[-1]["frequency_penalty"]) == (1.5, -1)


@pytest.mark.parametrize("odd", [{}, [], 1, None, [{}], [[]]])
@pytest.mark.parametrize("field", ["include", "text", "reasoning", "stream_options", "input", "tools"])
def test_no_shape_of_a_field_is_a_fault_of_the_server(front: Front, field: str, odd: Any) -> None:
    with front(says("Hello.")) as client:
        answer = client.post("/v1/responses", json=RESPONSES[1] | {field: odd})
    assert answer.status_code in (httpx.codes.OK, httpx.codes.BAD_REQUEST), answer.text


@pytest.mark.parametrize(
    ("where", "field"), [(CHAT, "web_search_options"), (CHAT, "audio"), (RESPONSES, "moderation"), (MESSAGES, "x")]
)
def test_what_changes_the_meaning_of_an_answer_stays_an_error(
    front: Front, where: tuple[str, dict[str, Any]], field: str
) -> None:
    path, body = where
    with front(says("Hello.")) as client:
        answer = client.post(path, json=body | {field: {}})
    assert answer.status_code == httpx.codes.BAD_REQUEST and field in answer.text


@pytest.mark.parametrize("model", ["local", "firstpass"])
def test_what_was_left_out_is_a_finding_in_the_record(tmp_path: Path, model: str) -> None:
    turns = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Whose?"},
    ]
    with serving(Replayed().app) as url, fronted(url, tmp_path) as client:
        answer = client.post(CHAT[0], json={"model": model, "messages": turns, "verbosity": "low"})
    (kept,) = SqliteStore(tmp_path / "firstpass.sqlite").latest(1)
    named = answer.headers["x-firstpass-ignored"].split(",")
    assert named == ["verbosity", "messages.0.content.0"]
    assert [(one.check, one.severity, one.subject) for one in kept.steps[-1].findings] == [
        ("ignored", "note", path) for path in named
    ]


def test_however_much_is_left_out_little_is_kept_of_it(tmp_path: Path) -> None:
    turns = [{"role": "assistant", "content": None, "reasoning_details": [{}] * 2_500} for _ in range(40)]
    with serving(Replayed().app) as url, fronted(url, tmp_path) as client:
        answer = client.post(CHAT[0], json={"model": "local", "messages": [*turns, {"role": "user", "content": "?"}]})
    (kept,) = SqliteStore(tmp_path / "firstpass.sqlite").latest(1)
    named = answer.headers["x-firstpass-ignored"].split(",")
    assert named[0] == "messages.0.reasoning_details" and named[-1] == "and 20 more" and len(named) == 21
    assert len(kept.steps[0].findings) == len(kept.ask.ignored) == 21
