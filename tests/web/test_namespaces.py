"""Tools in namespaces, as Codex has them for each MCP server: offered to the model, and called back with theirs."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Front, fronted, serving
from tests.doubles import messages_app

PLAIN = {"type": "function", "name": "shell", "parameters": {"type": "object"}}
QUERY = {"type": "function", "name": "query", "description": "Ask.", "parameters": {"type": "object"}, "strict": False}
DOCS: dict[str, Any] = {"type": "namespace", "name": "mcp__docs__", "description": "The manual.", "tools": [QUERY]}
LONG: dict[str, Any] = {"type": "namespace", "name": "mcp__" + "n" * 40, "tools": [QUERY | {"name": "q" * 40}]}
ASKED = {"model": "local", "input": "How?", "tools": [PLAIN, DOCS, LONG, {"type": "web_search"}]}
HUNDRED = [QUERY | {"name": f"q{at}"} for at in range(100)]
MANY = [DOCS | {"name": f"n{number}", "tools": HUNDRED} for number in range(6)]
STRICT = QUERY | {"strict": True, "parameters": {"x": "y" * 20_000}}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]


def calls(at: int, seen: list[dict[str, Any]]) -> Any:
    """An engine that calls the tool of that place, by the name that it was shown. seen: gets what it was asked."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        if "tools" not in body:
            return {"role": "assistant", "content": "warm"}
        seen.append(body)
        called = {"name": body["tools"][at]["function"]["name"], "arguments": '{"a":1}'}
        return {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": called}]}

    return messages_app(answer, "tool_calls")


@pytest.mark.parametrize(
    ("at", "namespace", "name"), [(0, None, "shell"), (1, "mcp__docs__", "query"), (2, LONG["name"], "q" * 40)]
)
def test_a_call_comes_back_with_its_namespace_and_goes_on_with_it(
    tmp_path: Path, at: int, namespace: str | None, name: str
) -> None:
    seen: list[dict[str, Any]] = []
    with serving(calls(at, seen)) as url, fronted(url, tmp_path / "data") as client:
        answer = client.post("/v1/responses", json=ASKED)
        streamed = events(client.post("/v1/responses", json=ASKED | {"stream": True}).text)
        (item,) = answer.json()["output"]
        result = {"type": "function_call_output", "call_id": item["call_id"], "output": "So."}
        said = {"role": "user", "content": "How?"}
        again = client.post("/v1/responses", json=ASKED | {"input": [said, item, result]})
        kept = client.get(f"/v1/responses/{answer.json()['id']}").json()
    assert (item.get("namespace"), item["name"], item["arguments"]) == (namespace, name, '{"a":1}')
    by_type = {one["type"]: one for one in streamed}
    added, done = by_type["response.output_item.added"], by_type["response.function_call_arguments.done"]
    assert (added["item"].get("namespace"), added["item"]["name"], done["name"]) == (namespace, name, name)
    names = [tool["function"]["name"] for tool in seen[0]["tools"]]
    assert names[:2] == ["shell", "mcp__docs__query"] and len(names) == 3 and max(map(len, names)) <= 64
    assert seen[0]["tools"][1]["function"]["description"] == "Ask.\n\nmcp__docs__: The manual."
    assert again.is_success and seen[-1]["messages"][1]["tool_calls"][0]["function"]["name"] == names[at]
    assert answer.headers["x-firstpass-skipped-tools"] == "web_search"
    assert [tool["type"] for tool in answer.json()["tools"]] == ["function", "namespace", "namespace"]
    assert kept["output"] == [item] and kept["tools"] == answer.json()["tools"]


def test_tools_that_come_with_an_item_are_offered_too(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    more = {"type": "additional_tools", "role": "developer", "tools": [DOCS]}
    items = [{"role": "user", "content": "How?"}, more]
    with serving(calls(-1, seen)) as url, fronted(url, tmp_path / "data") as client:
        answer = client.post("/v1/responses", json={"model": "local", "input": items, "tools": [PLAIN]})
    assert [tool["function"]["name"] for tool in seen[0]["tools"]] == ["shell", "mcp__docs__query"]
    assert answer.json()["output"][0]["namespace"] == "mcp__docs__" and len(seen[0]["messages"]) == 1


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([DOCS, DOCS], "tools.1.tools.0.name"),
        ([DOCS | {"name": "a b"}], "tools.0.name"),
        ([DOCS | {"tools": [QUERY | {"name": "a b"}]}], "tools.0.tools.0.name"),
        ([DOCS | {"tools": [STRICT]}], "tools.0.tools.0.parameters"),
        (MANY, "tools"),
    ],
)
def test_what_can_not_be_offered_is_named(front: Front, tools: list[Any], param: str) -> None:
    with front(lambda body: "hi") as client:
        answer = client.post("/v1/responses", json=ASKED | {"tools": tools})
    assert answer.status_code == httpx.codes.BAD_REQUEST and answer.json()["error"]["param"] == param, answer.text


def test_one_of_a_namespace_can_be_chosen(front: Front) -> None:
    choice = {"type": "function", "namespace": "mcp__docs__", "name": "query"}
    with front(lambda body: "hi") as client:
        answer = client.post("/v1/responses", json=ASKED | {"tool_choice": choice})
        wrong = client.post("/v1/responses", json=ASKED | {"tool_choice": choice | {"namespace": "other"}})
    assert answer.is_success and answer.json()["tool_choice"] == choice, answer.text
    assert wrong.json()["error"]["param"] == "tool_choice"


def test_a_name_that_was_a_namespace_s_is_a_tool_s_own_once_it_is_offered_so(tmp_path: Path) -> None:
    own = PLAIN | {"name": "mcp__docs__query"}
    with serving(calls(0, [])) as url, fronted(url, tmp_path / "data") as client:
        first = client.post("/v1/responses", json=ASKED | {"tools": [DOCS]}).json()
        answer = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "So."}
        asked = {"model": "local", "input": [answer], "previous_response_id": first["id"], "tools": [own]}
        (item,) = client.post("/v1/responses", json=asked).json()["output"]
    assert first["output"][0]["namespace"] == "mcp__docs__"
    assert "namespace" not in item and item["name"] == "mcp__docs__query"
