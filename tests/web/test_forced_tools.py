"""Calls that a model was held to: those that are none of their tool's are an error that says so, in every dialect."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from firstpass.tier.forced import MOST_CHARACTERS, fault
from tests.conftest import Front, serving
from tests.doubles import messages_app, says
from tests.machine import LINEAR, growth

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NAMED = {
    "openai": {"type": "function", "function": {"name": "weather"}},
    "messages": {"type": "tool", "name": "weather"},
}
ANY = {"openai": "required", "responses": "required", "messages": {"type": "any"}}
PATHS = {"openai": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
ODD = ['"Oslo"', '["Oslo"]', "Oslo", "null", '{"city": "Oslo"']


def asked(dialect: str, choice: Any = None, *, strict: bool = False, stream: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "local", "stream": stream}
    turns = [{"role": "user", "content": "Weather in Oslo?"}]
    strictly = {"strict": True} if strict else {}
    match dialect:
        case "openai":
            function = {"name": "weather", "parameters": CITY} | strictly
            body |= {"messages": turns, "tools": [{"type": "function", "function": function}]}
        case "responses":
            body |= {"input": turns, "tools": [{"type": "function", "name": "weather", "parameters": CITY} | strictly]}
        case "messages":
            body |= {
                "messages": turns,
                "max_tokens": 50,
                "tools": [{"name": "weather", "input_schema": CITY} | strictly],
            }
    return body | ({"tool_choice": choice} if choice else {})


@contextmanager
def calls(front: Front, arguments: str, finish_reason: str = "tool_calls") -> Iterator[httpx.Client]:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    engine = messages_app(lambda body: {"tool_calls": [call]}, finish_reason)
    with serving(engine) as url, front(says("-"), engine={"kind": "external", "url": f"{url}/v1"}) as client:
        yield client


@pytest.mark.parametrize("arguments", [*ODD, "{}", '{"city": 7}'])
def test_a_call_that_had_to_be_made_and_is_none_of_its_tool_s_is_an_error_of_the_tier(
    front: Front, arguments: str
) -> None:
    with calls(front, arguments) as client:
        answers = {one: client.post(PATHS[one], json=asked(one, ANY[one])) for one in PATHS}
        named = client.post(PATHS["openai"], json=asked("openai", NAMED["openai"]))
        strict = client.post(PATHS["openai"], json=asked("openai", strict=True))
    for response in (*answers.values(), named, strict):
        error = response.json()["error"]
        assert (
            response.status_code == 502 and "the draft model called 'weather' with arguments that" in error["message"]
        )
    assert answers["openai"].json()["error"]["code"] == "tier_failed"
    assert answers["messages"].json()["type"] == "error"


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("arguments", ODD)
def test_a_stream_of_such_a_call_ends_with_an_error(front: Front, dialect: str, arguments: str) -> None:
    with calls(front, arguments) as client:
        response = client.post(PATHS[dialect], json=asked(dialect, ANY[dialect], stream=True))
    assert response.status_code == 200
    last = response.text.rstrip().splitlines()[-1]
    assert "with arguments that are no JSON" in last and "[DONE]" not in response.text, response.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", PATHS)
def test_a_call_as_its_tool_wants_it_comes_through(front: Front, dialect: str, stream: bool) -> None:
    with calls(front, '{"city": "Oslo"}') as client:
        response = client.post(PATHS[dialect], json=asked(dialect, ANY[dialect], stream=stream))
    assert response.status_code == 200 and "error" not in response.text.replace('"error":null', ""), response.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("arguments", [*ODD, "{}"])
def test_what_a_model_calls_of_its_own_choice_comes_as_it_wrote_it(front: Front, arguments: str, stream: bool) -> None:
    with calls(front, arguments) as client:
        response = client.post(PATHS["openai"], json=asked("openai", "auto", stream=stream))
    assert response.status_code == 200 and ("[DONE]" in response.text) == stream
    if not stream:
        (call,) = response.json()["choices"][0]["message"]["tool_calls"]
        assert call["function"]["arguments"] == arguments


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_was_cut_off_at_the_limit_says_so_itself(front: Front, stream: bool) -> None:
    with calls(front, '{"city": "Os', "length") as client:
        response = client.post(PATHS["openai"], json=asked("openai", "required", stream=stream))
    assert response.status_code == 200 and '"length"' in response.text and '"error"' not in response.text


@pytest.mark.parametrize(("required", "status"), [([], 200), (["city"], 502)])
def test_no_arguments_are_an_empty_object_which_some_tools_take(front: Front, required: list[str], status: int) -> None:
    """openai/openai-agents-js#664."""
    body = asked("responses", "required")
    body["tools"][0]["parameters"] = CITY | {"required": required}
    with calls(front, "") as client:
        response = client.post(PATHS["responses"], json=body)
    assert response.status_code == status, response.text
    if status == 200:
        assert response.json()["output"][0]["arguments"] == "{}"


REQUIRED = {"type": "object", "required": ["a"]}


@pytest.mark.parametrize(
    ("given", "schema", "why"),
    [
        ({"a": 1}, REQUIRED, None),
        ({}, REQUIRED, "'a' is a required property"),
        ({"a": 1}, REQUIRED | {"additionalProperties": False}, "not allowed"),
        ({"a": [{"b": "x"}]}, {"properties": {"a": {"items": {"properties": {"b": {"type": "integer"}}}}}}, "$.a[0].b"),
        ({"a": None}, {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, None),
        ({"a": "z"}, {"properties": {"a": {"enum": ["x", "y"]}}}, "is not one of"),
        ({}, REQUIRED | {"$defs": {"A": {}}, "properties": {"a": {"$ref": "#/$defs/A"}}}, "'a' is a required property"),
        ({"a": 7}, REQUIRED | {"properties": {"a": {"$ref": "https://elsewhere.invalid/schema"}}}, None),
        ({"a": "x"}, {"type": "nothing"}, None),
        ({"a": "x"}, {"properties": 7, "required": 7}, None),
        ({"a": "x" * MOST_CHARACTERS}, {"properties": {"a": {"type": "integer"}}}, None),
    ],
)
def test_arguments_are_held_to_what_can_be_told_of_their_schema(
    given: dict[str, Any], schema: dict[str, Any], why: str | None
) -> None:
    found = fault(json.dumps(given), schema)
    assert found is None if why is None else found is not None and why in found and len(found) < 300


def test_a_schema_that_takes_for_ever_takes_no_time() -> None:
    halves = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(60)}
    doubling = {"$defs": halves | {"d60": {}}, "$ref": "#/$defs/d0"}
    for schema in (doubling, {"properties": {"a": {"pattern": "^(a+)+$"}}}):
        assert fault(json.dumps({"a": "a" * 64 + "!"}), schema) is None
    assert growth(lambda size: fault(json.dumps({"a": [{}] * size}), CITY | {"uniqueItems": True}), 1_000) < LINEAR


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000, "\ud800", "", "1e999999", "9" * 5_000])
def test_whatever_a_model_writes_has_an_answer(deep: str) -> None:
    assert fault(deep, CITY) is not None
