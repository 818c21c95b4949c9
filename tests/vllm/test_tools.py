"""Tools on a real vLLM. The bundled model has learned no tools: what holds it to a call is the engine's grammar."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.vllm.conftest import Live

pytestmark = pytest.mark.vllm

SCHEMA = {
    "type": "object",
    "properties": {"metric": {"type": "boolean"}},
    "required": ["metric"],
    "additionalProperties": False,
}
"""Of few words: the model would never close a string."""

TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA, "strict": True}}]
"""vLLM 0.32 holds a model to a tool's schema only where the tool is strict."""

ASKED: list[Any] = [{"role": "user", "content": "Weather in Oslo?"}]


@pytest.fixture
def sdk(live: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        yield client


@pytest.mark.parametrize("model", ["local", "firstpass"])
def test_a_call_that_is_asked_for_comes_whole_and_streamed(sdk: openai.OpenAI, model: str) -> None:
    """One by name: asked for any, the model would call again and again, which the grammar allows."""
    asked: dict[str, Any] = {"model": model, "messages": ASKED, "tools": TOOLS, "max_tokens": 200, "temperature": 0}
    asked["tool_choice"] = {"type": "function", "function": {"name": "weather"}}
    whole = sdk.chat.completions.create(**asked).choices[0]
    with sdk.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    for answer in (whole, streamed):
        assert answer.message.tool_calls, answer
        for call in answer.message.tool_calls:
            assert call.function.name == "weather" and call.id
            assert isinstance(json.loads(call.function.arguments)["metric"], bool)


def test_tools_that_may_be_called_do_not_keep_a_model_from_answering(sdk: openai.OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"metric": true}'}}
    turns = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    short = sdk.chat.completions.create(model="local", messages=ASKED, tools=TOOLS, max_tokens=5)
    longer = sdk.chat.completions.create(model="local", messages=turns, tools=TOOLS, max_tokens=5)
    assert short.choices[0].message.content and longer.usage and short.usage
    assert longer.usage.prompt_tokens > short.usage.prompt_tokens + 10, "calls and results are in the prompt"


def test_embeddings_of_a_model_that_writes_are_a_404(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="gives no embeddings"):
        sdk.embeddings.create(model="local", input="hello")
