"""What real clients make of the front: its answers, its errors in their own exceptions, and how they leave it."""

from typing import Any

import pytest

from tests.clients.conftest import FORECAST, Told
from tests.scenes import USAGE, last_said

COUNTED = [USAGE["prompt_tokens"], USAGE["completion_tokens"]]
CALLS = [["weather", {"city": "Oslo"}]]
ERRORS = {
    "bad": (400, "BadRequestError", "temperature: Input should be less than or equal to 2"),
    "unknown_key": (401, "AuthenticationError", "the API key is not a live one"),
    "unknown_model": (404, "NotFoundError", "unknown model 'gpt-9'"),
    "crowded": (429, "RateLimitError", "2 requests are being worked on"),
    "broken": (502, "InternalServerError", "the draft model answered 500: planned"),
}
OWN_NAMES = {("litellm", "broken"): "BadGatewayError"}
OWN_WORDS = {("llm", "bad"): "max_tokens: Input should be greater than or equal to 1"}
"""llm checks a temperature itself."""


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
    formats = [body["response_format"] for body in told.stage.seen if body.get("response_format")]
    assert formats and all(form["type"] == "json_schema" for form in formats)


def test_embeddings_and_models_are_read_by_the_clients_that_have_them(told: Told) -> None:
    assert told.scenes.get("embedding", [1]) == [1]
    assert told.scenes.get("models", ["local"])[-1] in ("local", "external")


@pytest.mark.parametrize("scene", ERRORS)
def test_an_error_is_the_client_s_own_exception(told: Told, scene: str) -> None:
    error: dict[str, Any] = told.scenes[scene]
    status, name, words = ERRORS[scene]
    name = "AI_APICallError" if told.client == "node ai" else OWN_NAMES.get((told.client, scene), name)
    assert (error["error"], error["status"]) == (name, status)
    assert OWN_WORDS.get((told.client, scene), words) in error["message"]


def test_the_client_s_own_retry_succeeds_after_a_503(told: Told) -> None:
    assert told.scenes["retried"]["text"] == FORECAST
    assert [last_said(body) for body in told.stage.seen if "messages" in body].count("busy") == 2


def test_a_client_that_leaves_in_the_middle_ends_the_engine_s_work(told: Told) -> None:
    told.stage.assert_dropped("hold", told.scenes["left_in_the_middle"]["left"])


def test_a_client_that_leaves_before_the_first_token_ends_the_engine_s_work(told: Told) -> None:
    if told.client == "llm":
        pytest.skip("llm has no way to leave before it has got something")
    told.stage.assert_dropped("silent", told.scenes["left_before_the_first_token"]["left"])
