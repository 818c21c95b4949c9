"""Bodies that would cost more than they say: each is refused by name, in its dialect, and nobody is asked."""

import json
from typing import Any

import pytest

from firstpass.chat import Abilities, Message, Sampling
from firstpass.dialect.anthropic.blocks import as_object
from firstpass.dialect.openai.write_request import body_of
from firstpass.dialect.thinking import with_effort
from firstpass.exchange import Ask
from tests.conftest import Front, serving
from tests.doubles import openai_app, says

SAID = [{"role": "user", "content": "hi"}]
CHAT = {"model": "local", "messages": SAID}
MESSAGES = CHAT | {"max_tokens": 9}
JSON = {"content-type": "application/json"}
SCHEMA = {"type": "object", "properties": {"x": {"description": "y" * 15_000}}}


def tools(dialect: str) -> list[dict[str, Any]]:
    """Together more than may be compiled, none too large by itself."""
    if dialect == "anthropic":
        return [{"name": f"t{at}", "input_schema": SCHEMA} for at in range(5)]
    function = [{"name": f"t{at}", "parameters": SCHEMA} for at in range(5)]
    if dialect == "responses":
        return [{"type": "function"} | one for one in function]
    return [{"type": "function", "function": one} for one in function]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(MESSAGES).encode().replace(b"hi", b"\xed\xa0\x80"),
        json.dumps(MESSAGES).replace("hi", "\\ud800").encode(),
        json.dumps(MESSAGES).replace("hi", "\\ud800").encode("utf-16"),
        json.dumps(MESSAGES).replace("9", "NaN").encode(),
    ],
)
def test_what_is_no_text_or_no_number_reaches_nobody(front: Front, path: str, raw: bytes) -> None:
    """It was asked, and then the record failed: half a UTF-16 pair is no UTF-8."""
    engine = openai_app(says("hi"))
    with serving(engine) as url, front(says("-"), engine={"kind": "external", "url": f"{url}/v1"}) as client:
        before = len(engine.state.seen)
        response = client.post(path, content=raw, headers=JSON)
    assert response.status_code == 400 and len(engine.state.seen) == before, response.text


@pytest.mark.parametrize(
    ("path", "asked", "forced"),
    [
        ("/v1/chat/completions", CHAT | {"tools": tools("openai")}, "required"),
        ("/v1/messages", MESSAGES | {"tools": tools("anthropic")}, {"type": "any"}),
        ("/v1/responses", {"model": "local", "input": "hi", "tools": tools("responses")}, "required"),
    ],
)
def test_schemas_that_are_compiled_together_are_bounded_together(
    front: Front, path: str, asked: dict[str, Any], forced: Any
) -> None:
    with front(says("hi")) as client:
        free = client.post(path, json=asked)
        bound = client.post(path, json=asked | {"tool_choice": forced})
    assert free.status_code == 200, free.text
    assert bound.status_code == 400 and "65536 characters of schemas" in bound.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "changed", "param"),
    [
        ("/v1/messages", {"stop_sequences": ["x"] * 17}, "stop_sequences"),
        ("/v1/messages", {"stop_sequences": ["x" * 1001]}, "stop_sequences.0"),
        ("/v1/chat/completions", {"stop": ["x" * 1001]}, "stop.0"),
        ("/v1/messages", {"tools": [{"name": "t", "input_schema": {}}] * 513}, "tools"),
        ("/v1/messages", {"messages": SAID * 10_001}, "messages"),
        ("/v1/chat/completions", {"messages": SAID * 10_001}, "messages"),
        ("/v1/chat/completions", {"messages": [0] * 9_000}, "messages.0"),
        ("/v1/messages", {"messages": [{"role": "user", "content": [0] * 9_000}]}, "messages.0.content.0"),
    ],
)
def test_lists_have_an_end(front: Front, path: str, changed: dict[str, Any], param: str) -> None:
    with front(says("hi")) as client:
        error = client.post(path, json=MESSAGES | changed).json()["error"]
    assert error["param"] == param, error


def test_a_call_s_arguments_that_only_python_takes_for_json_are_none() -> None:
    assert as_object('{"x": NaN}') is None and as_object('{"x": 1}') == {"x": 1}


@pytest.mark.parametrize(
    ("tokens", "effort"), [(None, None), (0, "none"), (1024, "low"), (4096, "medium"), (32_000, "high")]
)
def test_a_limit_on_thoughts_becomes_an_effort_where_there_are_only_efforts(
    tokens: int | None, effort: str | None
) -> None:
    ask = Ask("ex_1", 0.0, "chat", "m", "strong", (Message("user", "hi"),), Sampling(thinking_tokens=tokens))
    body = body_of(
        with_effort(ask), "m", Abilities(), stream=False, watched=False, max_tokens_name="max_completion_tokens"
    )
    assert json.loads(body).get("reasoning_effort") == effort
