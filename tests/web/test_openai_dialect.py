"""What the OpenAI API has beside plain chats: tools, reasoning, embeddings. A scripted engine, the official client."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import Front, serving
from tests.doubles import CALLS, calling, messages_app, openai_app, says

CHAT: dict[str, Any] = {"model": "local", "messages": [{"role": "user", "content": "Weather in Oslo and Rome?"}]}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}


@contextmanager
def before(front: Front, engine: Any) -> Iterator[httpx.Client]:
    with serving(engine) as url, front(says("-"), engine={"kind": "external", "url": f"{url}/v1"}) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["local", "firstpass"])
def test_tools_go_to_the_engine_and_its_calls_come_back(front: Front, stream: bool, model: str) -> None:
    engine = messages_app(calling, "tool_calls")
    asked = CHAT | {"model": model, "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": True}
    with before(front, engine) as client:
        sdk = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0)
        with sdk:
            if stream:
                with sdk.chat.completions.stream(**{k: v for k, v in asked.items() if k != "stream"}) as events:
                    answer = events.get_final_completion()
            else:
                answer = sdk.chat.completions.create(**asked)
    (choice,) = answer.choices
    calls = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and calls is not None
    assert [(call.id, json.loads(call.function.arguments)) for call in calls] == [
        ("call_Oslo", {"city": "Oslo"}),
        ("call_Rome", {"city": "Rome"}),
    ]
    seen = engine.state.seen[-1]
    assert (seen["tools"], seen["tool_choice"], seen["parallel_tool_calls"]) == ([TOOL], "required", True)


def test_a_conversation_with_tools_reaches_the_engine_as_it_was(front: Front) -> None:
    engine = messages_app(lambda body: {"content": "Rain."})
    turns = [
        {"role": "user", "content": "Weather?", "name": "kim"},
        {"role": "assistant", "content": None, "tool_calls": CALLS[:1], "refusal": None, "annotations": []},
        {"role": "tool", "tool_call_id": "call_Oslo", "content": [{"type": "text", "text": "rain"}]},
    ]
    with before(front, engine) as client:
        answer = client.post("/v1/chat/completions", json=CHAT | {"messages": turns, "tools": [TOOL]})
    assert answer.json()["choices"][0]["message"]["content"] == "Rain."
    assert engine.state.seen[-1]["messages"] == [
        {"role": "user", "content": "Weather?", "name": "kim"},
        {"role": "assistant", "content": None, "tool_calls": CALLS[:1]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_Oslo"},
    ]


def test_a_tier_s_deltas_without_an_index_or_with_an_empty_list_are_mended(front: Front) -> None:
    """BerriAI/litellm#29286 and openai/openai-python pull request 3246."""
    deltas = [
        {"role": "assistant", "content": "", "tool_calls": []},
        {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "weather", "arguments": ""}}]},
        {"tool_calls": [{"function": {"arguments": "{}"}}]},
        {"tool_calls": [{"id": "b", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
    ]
    lines = [json.dumps({"model": "m", "choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    text = "".join(f"data: {line}\n\n" for line in (*lines, "[DONE]"))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        streamed = scope["path"].endswith("completions") and json.loads(body).get("stream")
        whole = {"data": [{"id": "m"}], "model": "m", "choices": [{"message": {"content": "hi"}}]}
        answer = text if streamed else json.dumps(whole)
        kind = b"text/event-stream" if streamed else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": answer.encode()})

    with before(front, application) as client:
        response = client.post("/v1/chat/completions", json=CHAT | {"stream": True, "tools": [TOOL]})
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    calls = [event["choices"][0]["delta"].get("tool_calls") for event in events]
    assert calls[0] is None
    assert [call[0]["index"] for call in calls[1:]] == [0, 0, 1]


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "stocks"}}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools.0.function.name"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "tool_call_id": "a"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": CALLS}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0.type"),
        ({"tools": [TOOL], "firstpass": {"contract": "pr-summary@3"}}, "tools"),
    ],
)
def test_tools_that_can_not_be_meant_are_refused_by_name(front: Front, changed: dict[str, Any], param: str) -> None:
    with front(says("hi")) as client:
        response = client.post("/v1/chat/completions", json=CHAT | changed)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param), response.text


def nested(levels: int) -> dict[str, Any]:
    deep: dict[str, Any] = {}
    for _ in range(levels):
        deep = {"properties": deep}
    return deep


@pytest.mark.parametrize(
    ("schema", "further", "fits"),
    [
        (nested(40), {}, True),
        ({"enum": ["x" * 60_000]}, {}, True),
        (nested(40), {"tool_choice": "required"}, False),
        (nested(40), {"tool_choice": {"type": "function", "function": {"name": "weather"}}}, False),
        ({"enum": ["x" * 60_000]}, {"tool_choice": "required"}, False),
        (nested(230), {}, False),
    ],
)
def test_a_tool_s_schema_is_bounded_as_a_format_is_where_the_model_is_held_to_it(
    front: Front, schema: dict[str, Any], further: dict[str, Any], fits: bool
) -> None:
    tool = TOOL | {"function": TOOL["function"] | {"parameters": schema, "strict": None}}
    with front(says("hi")) as client:
        response = client.post("/v1/chat/completions", json=CHAT | {"tools": [tool]} | further)
        strict = tool | {"function": tool["function"] | {"strict": True}}
        held = client.post("/v1/chat/completions", json=CHAT | {"tools": [strict]} | further)
    assert held.json()["error"]["param"] == "tools.0.function.parameters"
    assert response.is_success if fits else response.json()["error"]["param"] == "tools.0.function.parameters"


def test_store_false_keeps_no_tool_and_no_call(front: Front, tmp_path: Any) -> None:
    with before(front, messages_app(calling, "tool_calls")) as client:
        asked = CHAT | {"tools": [TOOL], "store": False}
        asked["messages"] = [*CHAT["messages"], {"role": "assistant", "content": "", "tool_calls": CALLS}]
        assert client.post("/v1/chat/completions", json=asked).status_code == 200
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("firstpass.sqlite*"))
    assert not any(word in kept for word in (b"weather", b"Oslo", b"cities"))


def test_embeddings_are_the_engine_s_own(front: Front) -> None:
    engine = openai_app(says("hi"))
    vector = {"object": "list", "model": "scripted", "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    vector |= {"data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]}
    engine.post("/v1/embeddings")(lambda: vector)
    with before(front, engine) as client:
        sdk = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0)
        with sdk:
            answer = sdk.embeddings.create(model="local", input="hello", encoding_format="float")
    assert answer.data[0].embedding == [0.5, -0.25]


def test_a_model_without_embeddings_is_a_404_that_says_so(front: Front) -> None:
    stronger = openai_app(says("hi"))
    with serving(stronger) as url:
        verifier = {"url": f"{url}/v1", "model": "stronger", "hosted": False}
        with front(says("hi"), verifier=verifier) as client:
            response = client.post("/v1/embeddings", json={"model": "firstpass", "input": ["a", "b"]})
            numbers = client.post("/v1/embeddings", json={"model": "local", "input": [1, 2]})
    assert response.status_code == 404 and response.json()["error"]["param"] == "model"
    assert "gives no embeddings" in response.json()["error"]["message"]
    assert numbers.status_code == 400 and numbers.json()["error"]["param"] == "input.0"
