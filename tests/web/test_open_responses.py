"""Open Responses: the requests of its compliance runner and their kind, each answer held to the specification.

Source: openresponses/openresponses at 18e5656, src/lib/compliance-tests.ts and sse-parser.ts. The runner is in no
registry; what it asks for is said anew here, and in tests/open_responses.py.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai.types.responses import Response as OfficialResponse

from tests.conftest import fronted, serving
from tests.open_responses import EVENT, Response
from tests.scenes import Scene, Stage

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a place, now.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"place": "Oslo"}'}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def said(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


CASES: dict[str, dict[str, Any]] = {
    "basic": {"input": [said("user", "Greet me in three words.")]},
    "system prompt": {"input": [said("system", "You are a sailor."), said("user", "Greet me.")]},
    "tool calling": {"input": [said("user", "How is the weather in Oslo?")], "tools": [WEATHER]},
    "multi-turn": {"input": [said("user", "I am Kim."), said("assistant", "Hello, Kim!"), said("user", "Who am I?")]},
    "all that can be set": {
        "input": "Who am I?",
        "instructions": "Be brief.",
        "tools": [WEATHER | {"strict": True}, {"type": "function", "name": "bare"}],
        "tool_choice": {"type": "function", "name": "bare"},
        "parallel_tool_calls": False,
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": -1,
        "frequency_penalty": 1.5,
        "max_output_tokens": 100,
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        "user": "kim",
        "safety_identifier": "kim",
        "prompt_cache_key": "k",
    },
    "a schema": {
        "input": "Hi.",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    },
    "an object": {"input": "Hi.", "text": {"format": {"type": "json_object"}}},
    "a thought": {"input": "think"},
    "a refusal": {"input": "refuse"},
    "log-probabilities": {"input": "Hi.", "include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "cut off": {"input": "cut"},
}


def play(body: dict[str, Any]) -> Scene:
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        return Scene({"content": None, "tool_calls": [CALL]}, "tool_calls")
    match body["messages"][-1]["content"]:
        case "think":
            return Scene({"content": "Rain.", "reasoning": "It is autumn."})
        case "refuse":
            return Scene({"content": None, "refusal": "I would rather not."})
        case "cut":
            return Scene({"content": None, "reasoning": "It is"}, "length")
    return Scene({"content": "Ahoy, dear Kim!"})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(Stage(play).app) as url, fronted(url, tmp_path_factory.mktemp("data")) as front:
        yield front


def answered(client: httpx.Client, streamed: bool, **body: Any) -> dict[str, Any]:
    """The final response, once it and every event before it have been held to the specification."""
    answer = client.post("/v1/responses", json={"model": "local", "stream": streamed} | body)
    assert answer.is_success, answer.text
    if not streamed:
        response: dict[str, Any] = answer.json()
    else:
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
        for event in events:
            EVENT.validate_python(event)
        response = events[-1]["response"]
    Response.model_validate(response)
    return response


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_response_has_what_the_specification_asks_for(client: httpx.Client, case: str, streamed: bool) -> None:
    response = answered(client, streamed, **CASES[case])
    kinds = {item["type"] for item in response["output"]}
    assert response["status"] == ("incomplete" if case == "cut off" else "completed")
    assert ("function_call" in kinds) == ("tools" in CASES[case]) and kinds
    kept = client.get(f"/v1/responses/{response['id']}").json()
    assert Response.model_validate(kept).output == Response.model_validate(response).output
    response["usage"]["input_tokens_details"]["cache_write_tokens"] = 0  # Which no tier tells of.
    OfficialResponse.model_validate(response, strict=True)


def test_a_call_is_answered_and_the_conversation_goes_on(client: httpx.Client) -> None:
    chosen = {"type": "function", "name": "get_weather"}
    first = answered(client, False, input="How is the weather?", tools=[WEATHER], tool_choice=chosen)
    result = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "rain"}
    second = answered(client, False, input=[result], previous_response_id=first["id"])
    third = answered(client, False, input="And who am I?", previous_response_id=second["id"])
    assert [second["status"], third["status"]] == ["completed"] * 2 and second["output"] and third["output"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": PIXEL},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
    ],
)
def test_what_a_model_of_texts_can_not_see_is_refused_by_name(client: httpx.Client, part: dict[str, Any]) -> None:
    """The runner's two other requests ask for eyes."""
    parts = [{"type": "input_text", "text": "What is this?"}, part]
    answer = client.post("/v1/responses", json={"model": "local", "input": [said("user", parts)]})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == "input.0.content.1" and part["type"] in error["message"]
