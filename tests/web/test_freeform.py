"""Custom tools, called with a text: a model is offered functions in their place, and the caller sees none of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Front, fronted, serving
from tests.doubles import messages_app
from tests.web.test_namespaces import events

GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
PATCH = {"type": "custom", "name": "patch", "description": "Edits.", "format": GRAMMAR}
RUN = {"type": "custom", "name": "run"}
SHELL: dict[str, Any] = {"type": "namespace", "name": "functions", "description": "All.", "tools": [RUN]}
ASKED: dict[str, Any] = {"model": "local", "input": "Edit.", "tools": [PATCH, SHELL]}
TEXT = '*** "a"\n'


def calls(at: int, arguments: str, seen: list[dict[str, Any]]) -> Any:
    """An engine that calls the tool of that place once, and then says so. seen: gets what it was asked."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        if "tools" not in body or body["messages"][-1]["role"] == "tool":
            seen.append(body)
            return {"role": "assistant", "content": "It is done."}
        seen.append(body)
        called = {"name": body["tools"][at]["function"]["name"], "arguments": arguments}
        return {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": called}]}

    return messages_app(answer, "tool_calls")


@pytest.mark.parametrize("arguments", [json.dumps({"input": TEXT}), TEXT, json.dumps(TEXT)])
@pytest.mark.parametrize(("at", "whose"), [(0, {"name": "patch"}), (1, {"namespace": "functions", "name": "run"})])
def test_a_text_comes_back_as_the_call_and_goes_on(
    tmp_path: Path, at: int, whose: dict[str, str], arguments: str
) -> None:
    seen: list[dict[str, Any]] = []
    with serving(calls(at, arguments, seen)) as url, fronted(url, tmp_path / "data") as client:
        answer = client.post("/v1/responses", json=ASKED)
        streamed = events(client.post("/v1/responses", json=ASKED | {"stream": True}).text)
        (item,) = answer.json()["output"]
        result = {"type": "custom_tool_call_output", "call_id": item["call_id"], "output": "So.", "name": "patch"}
        again = client.post(
            "/v1/responses", json=ASKED | {"input": [{"role": "user", "content": "Edit."}, item, result]}
        )
        referred = {"input": [{"role": "user", "content": "Edit."}, {"id": item["id"]}, result]}
        by_reference = client.post("/v1/responses", json=ASKED | referred)
        unoffered = {"model": "local", "input": [{"role": "user", "content": "Edit."}, item, result]}
        later = client.post("/v1/responses", json=unoffered)
        last = {"model": "local", "input": "Thanks.", "previous_response_id": later.json()["id"]}
        answers = (again, later, client.post("/v1/responses", json=last))
        kept = [client.get(f"/v1/responses/{one.json()['id']}/input_items").json()["data"] for one in answers]
    assert item | whose == item and (item["type"], item["input"]) == ("custom_tool_call", TEXT), answer.text
    by_type = {event["type"]: event for event in streamed}
    added, delta = by_type["response.output_item.added"]["item"], by_type["response.custom_tool_call_input.delta"]
    assert added | whose == added and (added["input"], delta["delta"]) == ("", TEXT)
    assert by_type["response.custom_tool_call_input.done"]["input"] == TEXT
    assert by_type["response.completed"]["response"]["output"][0]["input"] == TEXT
    offered = seen[1]["tools"][at]["function"]
    assert offered["parameters"]["required"] == ["input"]
    for response in (again, by_reference):
        assert response.json()["output"][0]["content"][0]["text"] == "It is done.", response.text
    (call,) = seen[-3]["messages"][-2]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"input": TEXT}
    for listed in kept:
        assert {one["type"] for one in listed} == {"message", "custom_tool_call", "custom_tool_call_output"}
        (called,) = [one for one in listed if one["type"] == "custom_tool_call"]
        assert called | whose == called, "of a tool that is offered no more, too"


def test_a_model_is_told_of_a_grammar_and_the_caller_that_nothing_holds_it_to_it(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    choice = {"type": "custom", "name": "patch"}
    with serving(calls(0, "{}", seen)) as url, fronted(url, tmp_path / "data") as client:
        answer = client.post("/v1/responses", json=ASKED | {"tool_choice": choice})
    described = seen[-1]["tools"][0]["function"]["description"]
    assert described == "Edits.\n\ninput is a text of this lark grammar:\nstart: /.+/"
    assert answer.headers["x-firstpass-ignored"] == "tools.0.format"
    assert answer.json()["tool_choice"] == choice
    assert [tool["type"] for tool in answer.json()["tools"]] == ["custom", "namespace"]
    assert answer.json()["output"][0]["input"] == "{}", "a model that gives no input has still said something"


def test_a_conversation_changes_how_it_is_answered(front: Front) -> None:
    """The last change of each holds."""
    said = {"role": "user", "content": "Think."}
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    changes = [
        {"type": "configuration_update", "reasoning": {"effort": "low"}, "text": {"format": {"type": "json_object"}}},
        {"type": "configuration_update", "reasoning": {"effort": "high"}},
        {"type": "configuration_update", "reasoning": {"effort": None}, "text": {"format": form}},
    ]
    seen: list[dict[str, Any]] = []
    with front(lambda body: seen.append(body) or "{}") as client:  # type: ignore[func-returns-value]
        asked = {"model": "local", "input": [said, *changes], "reasoning": {"effort": "medium", "summary": "auto"}}
        answer = client.post("/v1/responses", json=asked)
    assert answer.is_success, answer.text
    assert (seen[-1]["reasoning_effort"], answer.json()["reasoning"]) == ("high", {"effort": "high", "summary": "auto"})
    assert seen[-1]["response_format"]["json_schema"]["name"] == "n"
    assert [message["role"] for message in seen[-1]["messages"]] == ["user"]


def test_a_fault_in_a_change_is_told_with_its_place(front: Front) -> None:
    change = {"type": "configuration_update", "text": {"format": {"type": "json_schema", "name": "n"}}}
    with front(lambda body: "{}") as client:
        answer = client.post(
            "/v1/responses", json={"model": "local", "input": [{"role": "user", "content": "a"}, change]}
        )
    assert answer.json()["error"]["param"] == "input.1.text.format.schema"


def test_a_model_s_nonsense_is_the_text_that_it_wrote(tmp_path: Path) -> None:
    deep = "[" * 100_000
    with serving(calls(0, deep, [])) as url, fronted(url, tmp_path / "data") as client:
        (item,) = client.post("/v1/responses", json=ASKED).json()["output"]
        streamed = events(client.post("/v1/responses", json=ASKED | {"stream": True}).text)
    assert item["input"] == deep and streamed[-1]["response"]["output"][0]["input"] == deep


@pytest.mark.parametrize("kinds", [("custom", "function"), ("function", "custom")])
def test_one_name_is_no_two_kinds_of_tool(front: Front, kinds: tuple[str, str]) -> None:
    tools = [{"type": kind, "name": "patch"} for kind in kinds]
    with front(lambda body: "hi") as client:
        error = client.post("/v1/responses", json=ASKED | {"tools": tools}).json()["error"]
    assert error["param"] == "tools.1.name" and "patch" in error["message"]


def test_a_conversation_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    update = {
        "type": "configuration_update",
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low"},
    }
    said = [{"role": "user", "content": "hi"}, update]
    body = {"model": "local", "input": said, "text": {"format": {"type": "json_object"}}}
    seen: list[dict[str, Any]] = []

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        seen.append(asked)
        return {"role": "assistant", "content": "{}"}

    with serving(messages_app(answer)) as url, fronted(url, tmp_path / "data") as client:
        answered = client.post("/v1/responses", json=body)
        nothing = client.post("/v1/responses", json={"model": "local", "input": [update]})
    assert answered.headers["x-firstpass-ignored"] == "input.1.text.verbosity"
    assert seen[-1]["reasoning_effort"] == "low" and seen[-1]["response_format"] == {"type": "json_object"}
    assert (nothing.status_code, nothing.json()["error"]["param"]) == (400, "input")
