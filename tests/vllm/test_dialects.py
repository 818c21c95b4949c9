"""The other two APIs on a real vLLM, through the official clients."""

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.vllm.conftest import Live
from tests.vllm.test_tools import SCHEMA

pytestmark = pytest.mark.vllm

ASKED = "Weather in Oslo?"
RULES = "Say it in few words."


def test_the_messages_api_answers_streams_counts_and_calls(live: Live) -> None:
    turns: list[Any] = [{"role": "user", "content": [{"type": "text", "text": ASKED}]}]
    tool: Any = {"name": "weather", "input_schema": SCHEMA, "strict": True}
    asked: dict[str, Any] = {"model": "local", "messages": turns, "system": RULES}
    with anthropic.Anthropic(base_url=live.url, api_key="unused", max_retries=0, timeout=60) as sdk:
        whole = sdk.messages.create(**asked, max_tokens=12)
        with sdk.messages.stream(**asked, max_tokens=12) as events:
            begun = next(event.message.usage for event in events if event.type == "message_start")
            streamed = events.get_final_message()
        counted = sdk.messages.count_tokens(**asked).input_tokens
        with_tool = sdk.messages.count_tokens(**asked, tools=[tool]).input_tokens
        named: Any = {"type": "tool", "name": "weather"}
        call = sdk.messages.create(**asked, max_tokens=200, tools=[tool], tool_choice=named)
    assert whole.content[0].type == "text" and streamed.content[0].type == "text"
    assert whole.usage.output_tokens <= 12 and streamed.usage.output_tokens <= 12
    told = [usage.input_tokens + (usage.cache_read_input_tokens or 0) for usage in (whole.usage, streamed.usage, begun)]
    assert told == [counted] * 3, "what is counted is what is read"
    assert with_tool == call.usage.input_tokens + (call.usage.cache_read_input_tokens or 0)
    (block,) = call.content
    assert call.stop_reason == "tool_use" and block.type == "tool_use" and block.name == "weather"
    assert isinstance(block.input["metric"], bool)


def test_conversations_of_claude_code_share_the_cache_of_their_long_prompt(live: Live) -> None:
    """Each begins with a line of its own for the bill."""
    rules, shares = " ".join(f"Rule {number}: write plain code." for number in range(150)), []
    with anthropic.Anthropic(base_url=live.url, api_key="unused", max_retries=0, timeout=60) as sdk:
        for number in range(3):
            bill = f"x-anthropic-billing-header: cc_version=2.1.{number}; cc_entrypoint=cli; cch={number:05x};"
            system: Any = [{"type": "text", "text": bill}, {"type": "text", "text": rules}]
            turns: Any = [{"role": "user", "content": f"What is {number}?"}]
            usage = sdk.messages.create(model="local", max_tokens=4, system=system, messages=turns).usage
            cached = usage.cache_read_input_tokens or 0
            shares.append(cached / (cached + usage.input_tokens))
    assert shares[0] < 0.1 < 0.8 < min(shares[1:]), shares


def test_the_responses_api_answers_streams_goes_on_and_calls(live: Live) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
    asked: dict[str, Any] = {"model": "local", "max_output_tokens": 16}
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0, timeout=60) as sdk:
        whole = sdk.responses.create(**asked, input=ASKED, instructions=RULES)
        events = list(sdk.responses.create(**asked, input=ASKED, instructions=RULES, stream=True))
        second = sdk.responses.create(**asked, input="And in Rome?", previous_response_id=whole.id)
        read = sdk.responses.retrieve(second.id)
        named: Any = {"type": "function", "name": "weather"}
        called = sdk.responses.create(
            model="local", input=ASKED, max_output_tokens=200, tools=[tool], tool_choice=named
        )
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert whole.output_text and "".join(pieces) == events[-1].response.output_text != ""
    assert whole.usage and events[-1].response.usage
    assert whole.usage.input_tokens == events[-1].response.usage.input_tokens
    assert (read.output_text, read.previous_response_id) == (second.output_text, whole.id)
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert call.name == "weather" and isinstance(json.loads(call.arguments)["metric"], bool)
