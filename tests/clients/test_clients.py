"""What real clients make of the front: its answers, its errors in their own exceptions, and how they leave it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import FORECAST, THOUGHT, Told
from tests.scenes import USAGE, Stage, last_said

COUNTED = [USAGE["prompt_tokens"], USAGE["completion_tokens"]]
CALLS = [["weather", {"city": "Oslo"}]]
ERRORS = {
    "bad": (400, "BadRequestError", "temperature: Input should be less than or equal to 2"),
    "unknown_key": (401, "AuthenticationError", "the API key is not a live one"),
    "unknown_model": (404, "NotFoundError", "unknown model 'gpt-9'"),
    "crowded": (429, "RateLimitError", "2 requests are being worked on"),
    "broken": (502, "InternalServerError", "the draft model answered 500: planned"),
}
OWN_NAMES = {("litellm", "broken"): "BadGatewayError", ("litellm anthropic", "broken"): "BadGatewayError"}
NO_TOKENS = "max_tokens: Input should be greater than or equal to 1"
OWN_WORDS = {
    ("llm", "bad"): NO_TOKENS,
    ("anthropic", "bad"): NO_TOKENS,
    ("node anthropic", "bad"): NO_TOKENS,
    ("litellm anthropic", "bad"): "temperature: Input should be less than or equal to 1",
    ("node ai", "bad"): "top_p: Input should be less than or equal to 1",
    ("node ai responses", "bad"): "top_p: Input should be less than or equal to 1",
    ("node ai anthropic", "bad"): "top_p: Input should be less than or equal to 1",
}
"""Some check a temperature themselves, or have none."""


def test_a_chat_comes_back_with_its_usage(told: Told) -> None:
    assert told.scenes["chat"] == {"text": FORECAST, "usage": COUNTED}


def test_a_stream_comes_in_pieces_with_its_usage(told: Told) -> None:
    stream = told.scenes["stream"]
    assert stream == {"text": FORECAST, "pieces": len(FORECAST.split()), "usage": COUNTED}


def test_a_tool_is_called_and_its_result_understood(told: Told) -> None:
    assert told.scenes["tools"] == {"calls": CALLS, "after": FORECAST}


def test_a_streamed_tool_call_is_put_together(told: Told) -> None:
    assert told.scenes["streamed_tools"]["calls"] == CALLS


def test_a_schema_reaches_the_engine_and_its_answer_is_parsed(told: Told) -> None:
    assert told.scenes["structured"] == {"city": "Oslo", "degrees": 7}
    schemas = list(asked_schemas(told.stage))
    assert schemas and all(schema["properties"].keys() == {"city", "degrees"} for schema in schemas)


def asked_schemas(stage: Stage) -> Iterator[Any]:
    """Of a response format, or of the tool that some clients of the Anthropic API force a model to call instead."""
    for body in stage.seen:
        if body.get("response_format"):
            yield body["response_format"]["json_schema"]["schema"]
        choice = body.get("tool_choice")
        if choice == "required" or isinstance(choice, dict):
            yield body["tools"][0]["function"]["parameters"]


def test_thoughts_come_before_the_text_and_an_answer_with_them_is_taken_back(told: Told) -> None:
    if "thought" not in told.scenes:
        pytest.skip("OpenAI's chats have no field for thoughts")
    both, alone = ["thinking", "text"], ["text"]
    assert told.scenes["thought"] == {"blocks": [both, both, alone], "thoughts": [THOUGHT, THOUGHT]}
    (turns,) = [body["messages"] for body in told.stage.seen if last_said(body) == "so?"]
    assert [turn["content"] for turn in turns] == ["think", FORECAST, "so?"]


def test_a_conversation_is_kept_read_again_and_deleted(told: Told) -> None:
    if "recalled" not in told.scenes:
        pytest.skip("a part of the Responses API")
    said = ["hello", FORECAST, "and now?"]
    assert told.scenes["recalled"] == {"same": True, "previous": True, "said": said, "deleted": "NotFoundError"}
    asked = [body["messages"] for body in told.stage.seen if last_said(body) == "and now?"]
    assert [[turn["content"] for turn in turns] for turns in asked] == [said], "instructions hold for one request"


def test_embeddings_and_models_are_read_by_the_clients_that_have_them(told: Told) -> None:
    assert told.scenes.get("embedding", [1]) == [1]
    assert told.scenes.get("models", ["scripted"])[-1] == "scripted"


def test_tokens_are_counted_before_anyone_is_asked(told: Told) -> None:
    assert told.scenes.get("counted", COUNTED[0]) == COUNTED[0]


@pytest.mark.parametrize("scene", ERRORS)
def test_an_error_is_the_client_s_own_exception(told: Told, scene: str) -> None:
    error: dict[str, Any] = told.scenes[scene]
    status, name, words = ERRORS[scene]
    name = "AI_APICallError" if told.client.startswith("node ai") else OWN_NAMES.get((told.client, scene), name)
    assert (error["error"], error["status"]) == (name, status)
    assert OWN_WORDS.get((told.client, scene), words) in error["message"]


def test_the_client_s_own_retry_succeeds_after_a_503(told: Told) -> None:
    if "retried" not in told.scenes:
        pytest.skip("litellm's Anthropic provider does not retry by itself")
    assert told.scenes["retried"]["text"] == FORECAST
    assert [last_said(body) for body in told.stage.seen if "messages" in body].count("busy") == 2


def test_a_client_that_leaves_in_the_middle_ends_the_engine_s_work(told: Told) -> None:
    told.stage.assert_dropped("hold", told.scenes["left_in_the_middle"]["left"])


def test_a_client_that_leaves_before_the_first_token_ends_the_engine_s_work(told: Told) -> None:
    if told.client == "llm":
        pytest.skip("llm has no way to leave before it has got something")
    told.stage.assert_dropped("silent", told.scenes["left_before_the_first_token"]["left"])
