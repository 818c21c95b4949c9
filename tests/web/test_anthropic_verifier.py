"""A whole front whose verifier speaks the Anthropic API, over real HTTP and with the official OpenAI client."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import Front, serving
from tests.doubles import (
    DIFF,
    NAMES,
    STRAYS,
    anthropic_app,
    claude_event,
    claude_judges,
    claude_says,
    judges,
    openai_app,
    says,
)
from tests.web.test_anthropic_tier import CALLS, KEY, START, TAGGED, THOUGHT, spoken
from tests.web.test_tiers import answering

HIDDEN = {"type": "redacted_thinking", "data": "c2VhbGVk"}
CHAT: dict[str, Any] = {"model": "strong", "messages": [{"role": "user", "content": "Weather in Oslo and Rome?"}]}
SUMMARY: dict[str, Any] = {
    "model": "firstpass",
    "messages": [{"role": "user", "content": DIFF}],
    "firstpass": {"contract": "pr-summary@3"},
}


@contextmanager
def before(front: Front, server: Any, draft: str = "-", **verifier: Any) -> Iterator[httpx.Client]:
    """A whole front whose verifier is the given Anthropic server."""
    with serving(server) as url:
        told = {"url": f"{url}/v1", "model": "claude", "dialect": "anthropic", "api_key": KEY} | verifier
        with front(says(draft), verifier=told, policy={"egress": "any"}) as client:
            yield client


@contextmanager
def speaking(client: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as sdk:
        yield sdk


@pytest.mark.parametrize("stream", [False, True])
def test_a_verdict_of_an_anthropic_verifier_makes_a_straying_draft_right(front: Front, stream: bool) -> None:
    """What the caller wants of the draft, a seed among it, does not reach the verdict, which has its own form."""
    server = anthropic_app(claude_judges(NAMES))
    asking = SUMMARY | {"stream": stream, "seed": 7, "temperature": 1.5, "stop": "zzz", "logprobs": False}
    with before(front, server, STRAYS) as client:
        response = client.post("/v1/chat/completions", json=asking)
    assert response.headers["x-firstpass-route"] == "verified" and json.dumps(NAMES)[1:-1] in response.text
    (body,), (sent_bytes,), (headers,) = server.state.seen, server.state.sent, server.state.headers
    assert headers["x-api-key"] == KEY and headers["anthropic-version"] == "2023-06-01"
    assert body.keys() == {"model", "max_tokens", "system", "messages", "output_config"}
    receipt = response.headers["x-firstpass-receipt"]
    assert receipt.startswith(f"127.0.0.1;{hashlib.sha256(sent_bytes).hexdigest()};"), "of the very bytes that left"


def test_a_contract_s_own_decoding_does_not_make_an_anthropic_verifier_refuse(front: Front) -> None:
    server = anthropic_app(claude_says(NAMES))
    with before(front, server) as client:
        answer = client.post("/v1/chat/completions", json=SUMMARY | {"model": "strong"})
        wanted = client.post("/v1/chat/completions", json=SUMMARY | {"model": "strong", "logprobs": True})
        client.post("/v1/chat/completions", json=SUMMARY | {"model": "strong", "temperature": 0, "max_tokens": 99})
    assert answer.headers["x-firstpass-route"] == "strong", answer.text
    assert server.state.seen[0].keys() == {"model", "max_tokens", "messages"}
    assert (server.state.seen[1]["temperature"], server.state.seen[1]["max_tokens"]) == (0, 99), (
        "the caller's own go on"
    )
    assert wanted.status_code == 400 and wanted.json()["error"]["param"] == "logprobs"


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def test_an_openai_client_streams_text_thoughts_and_counts_of_an_anthropic_verifier(front: Front) -> None:
    server = anthropic_app(lambda body: [THOUGHT, {"type": "text", "text": "Rain in both."}])
    with before(front, server) as client, speaking(client) as sdk:
        counted = {"include_usage": True}
        chunks = list(sdk.chat.completions.create(**CHAT, stream=True, stream_options=counted))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Rain in both."
    thoughts = [(delta.model_extra or {}).get("reasoning", "") for delta in deltas]
    assert "".join(thoughts) == THOUGHT["thinking"] and sum(map(bool, thoughts)) > 1, "in pieces, as they came"
    assert [delta.role for delta in deltas].count("assistant") == 1 and deltas[0].role == "assistant"
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    usage = chunks[-1].usage
    assert chunks[-1].choices == [] and usage is not None and usage.prompt_tokens_details is not None
    counts = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.prompt_tokens_details.cached_tokens
    assert counts == (11, 13, 24, 3)
    assert {chunk.model for chunk in chunks} == {"claude-20260101"} and len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_include_usage_ends_with_its_finish_reason(front: Front) -> None:
    with before(front, anthropic_app(claude_says("Rain."), "max_tokens")) as client:
        response = client.post("/v1/chat/completions", json=CHAT | {"stream": True})
    assert response.headers["x-firstpass-route"] == "strong" and response.headers["x-firstpass-receipt"]
    *_, last, done = response.text.strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert done == "data: [DONE]" and '"usage"' not in response.text


@pytest.mark.parametrize("stream", [False, True])
def test_an_openai_client_gets_the_calls_of_an_anthropic_verifier(front: Front, stream: bool) -> None:
    server = anthropic_app(lambda body: [THOUGHT, *CALLS], "tool_use")
    asking = CHAT | {"tools": [TOOL], "tool_choice": "required"}
    with before(front, server) as client, speaking(client) as sdk:
        if stream:
            with sdk.chat.completions.stream(**asking) as events:
                seen = [event.type for event in events]
                answer: Any = events.get_final_completion()
            assert seen.count("tool_calls.function.arguments.done") == 2
        else:
            answer = sdk.chat.completions.create(**asking)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls" and not choice.message.content
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert calls == [("toolu_Oslo", "weather", {"city": "Oslo"}), ("toolu_Rome", "weather", {"city": "Rome"})]
    assert choice.message.model_extra["reasoning"] == THOUGHT["thinking"]
    assert server.state.seen[0]["tool_choice"] == {"type": "any"}


def test_a_streamed_call_without_words_has_no_content_as_a_whole_one_has_none(front: Front) -> None:
    with before(front, anthropic_app(lambda body: CALLS, "tool_use")) as client, speaking(client) as sdk:
        with sdk.chat.completions.stream(**CHAT, tools=[TOOL]) as events:
            streamed = events.get_final_completion().choices[0].message
        whole = sdk.chat.completions.create(**CHAT, tools=[TOOL]).choices[0].message  # type: ignore[list-item]
    assert (streamed.content, whole.content) == (None, None)


def test_the_conversation_goes_on_with_what_the_openai_client_got(front: Front) -> None:
    def blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
        return CALLS if len(body["messages"]) == 1 else [{"type": "text", "text": "Rain in both."}]

    server = anthropic_app(blocks)
    with before(front, server) as client, speaking(client) as sdk:
        first = sdk.chat.completions.create(**CHAT, tools=[TOOL]).choices[0].message  # type: ignore[list-item]
        results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in first.tool_calls or ()]
        turns = [*CHAT["messages"], first.model_dump(exclude_unset=True), *results]
        second = sdk.chat.completions.create(model="strong", messages=turns, tools=[TOOL])  # type: ignore[list-item]
    assert second.choices[0].message.content == "Rain in both."
    assert server.state.seen[1]["messages"][1] == {"role": "assistant", "content": CALLS}


def test_a_refusal_is_a_content_filter_s(front: Front) -> None:
    with before(front, anthropic_app(lambda body: [], "refusal")) as client, speaking(client) as sdk:
        (choice,) = sdk.chat.completions.create(**CHAT).choices
        streamed = [chunk.choices[0] for chunk in sdk.chat.completions.create(**CHAT, stream=True)]
    assert (choice.finish_reason, choice.message.content) == ("content_filter", "")
    assert [one.finish_reason for one in streamed] == [None, "content_filter"]


@pytest.mark.parametrize("early", [True, False])
def test_a_verifier_that_fails_in_its_stream_says_so(front: Front, early: bool) -> None:
    events = [claude_event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})]
    if not early:
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Rain"}}
        events = [START, claude_event(block), *events]
    with answering("".join(events).encode()) as (url, _):
        verifier = {"url": f"{url}/v1", "model": "claude", "dialect": "anthropic", "hosted": False}
        with front(says("-"), verifier=verifier) as client:
            response = client.post("/v1/chat/completions", json=CHAT | {"stream": True})
    error = json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    assert response.status_code == (503 if early else 200)
    assert (error["part"], error["code"]) == ("verifier", "tier_unavailable") and "Overloaded" in error["message"]


@pytest.mark.parametrize(
    ("path", "changed", "status", "param"),
    [
        ("/v1/chat/completions", {"seed": 3}, 400, "seed"),
        ("/v1/chat/completions", {"temperature": 2}, 400, "temperature"),
        ("/v1/completions", {"prompt": "a", "messages": None}, 400, "prompt"),
        ("/v1/embeddings", {"input": "a", "messages": None}, 404, "model"),
    ],
)
def test_what_the_verifier_can_not_do_is_an_error_that_names_the_field(
    front: Front, path: str, changed: dict[str, Any], status: int, param: str
) -> None:
    body = {name: value for name, value in (CHAT | changed).items() if value is not None}
    with before(front, anthropic_app(claude_says("hi"))) as client:
        response = client.post(path, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["part"]) == (status, param, "verifier"), error


def test_infer_reaches_an_anthropic_verifier_without_the_log_probabilities_that_it_has_not(front: Front) -> None:
    with before(front, anthropic_app(claude_says("hi"))) as client:
        body = client.post("/infer", json={"model": "strong", "prompt": "hello"}).json()
    assert (body["output"], body["logprobs"]) == ("hi", None)


def test_a_model_without_system_turns_or_thoughts_is_asked_as_the_settings_say(front: Front) -> None:
    server = anthropic_app(claude_says("hi"))
    turns = [*CHAT["messages"], {"role": "developer", "content": "Be brief."}]
    with before(front, server, STRAYS, system_turns=False, thinks=False) as client:
        client.post("/v1/chat/completions", json=CHAT | {"messages": turns})
        client.post("/v1/chat/completions", json=SUMMARY)
    chat, verdict = server.state.seen
    assert chat["messages"] == [spoken("user", CHAT["messages"][0]["content"], TAGGED)]
    assert (chat["max_tokens"], verdict["max_tokens"], verdict["temperature"]) == (8192, 512, 0.0)


def test_newer_openai_models_get_the_limit_by_its_longer_name_and_none_of_a_contract_s_wishes(
    front: Front, tmp_path: Path
) -> None:
    stronger = openai_app(judges(NAMES))
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "gpt", "hosted": False, "max_tokens_name": "max_completion_tokens"}
        with front(says(STRAYS), verifier=verifier) as client:
            verified = client.post("/v1/chat/completions", json=SUMMARY)
            plain = CHAT | {"max_tokens": 9, "temperature": 1, "logprobs": True, "top_logprobs": 2}
            client.post("/v1/chat/completions", json=plain | {"model": "strong"})
        with front(says(STRAYS), verifier=verifier | {"thinks": False}, server={"data_dir": tmp_path}) as client:
            client.post("/v1/chat/completions", json=SUMMARY)
    verdict, chat, thoughtless = stronger.state.seen
    assert verified.headers["x-firstpass-route"] == "verified"
    assert verdict["max_completion_tokens"] == 512 + 8192 and verdict.keys() & {"max_tokens", "temperature"} == set()
    assert chat["max_completion_tokens"] == 9 and "max_tokens" not in chat
    assert (chat["temperature"], chat["logprobs"], chat["top_logprobs"]) == (1, True, 2), "the caller's own go on"
    assert (thoughtless["max_completion_tokens"], thoughtless["temperature"]) == (512, 0.0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("thoughts", "sealed"),
    [([HIDDEN], "redacted_thinking:c2VhbGVk"), ([THOUGHT], "sealed"), ([THOUGHT, HIDDEN], None), ([HIDDEN] * 2, None)],
)
def test_a_sealed_thought_is_in_a_response_as_in_its_record_and_goes_back(
    front: Front, thoughts: list[dict[str, Any]], sealed: str | None, stream: bool
) -> None:
    """A stream had no item for redacted thoughts and its record an empty one, and sent again they were lost."""
    server = anthropic_app(lambda body: [*thoughts, {"type": "text", "text": "Rain."}])
    asked: dict[str, Any] = {"model": "strong", "input": "Weather?", "include": ["reasoning.encrypted_content"]}
    with before(front, server) as client, speaking(client) as sdk:
        if stream:
            *_, last = sdk.responses.create(**asked, stream=True)
            assert last.type == "response.completed"
            answer = last.response.model_dump(exclude_unset=True)
        else:
            answer = sdk.responses.create(**asked).model_dump(exclude_unset=True)
        recorded = client.get(f"/v1/responses/{answer['id']}").json()
        turn = {"role": "user", "content": "And now?"}
        client.post("/v1/responses", json=asked | {"input": [*answer["output"], turn]}).raise_for_status()
        unasked = client.post("/v1/responses", json={"model": "strong", "input": "Weather?"}).json()["output"]
        references = [{"type": "item_reference", "id": item["id"]} for item in unasked]
        client.post("/v1/responses", json=asked | {"input": [*references, turn]}).raise_for_status()
    assert recorded["output"] == answer["output"]
    assert [item.get("encrypted_content") for item in answer["output"]] == [sealed, None]
    goes_back = [*(thoughts if sealed else []), {"type": "text", "text": "Rain."}]
    for body in (server.state.seen[1], server.state.seen[3]):
        (said,) = [turn["content"] for turn in body["messages"] if turn["role"] == "assistant"]
        assert said == goes_back
