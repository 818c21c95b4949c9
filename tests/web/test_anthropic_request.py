"""What an Anthropic verifier is asked: each ask goes over real HTTP to a server that keeps the API's rules."""

import json
from dataclasses import replace
from typing import Any

import pytest

from firstpass.chat import Message, Reasoning, Sampling, Tool, ToolCall, ToolChoice
from firstpass.contract.verdict import RESPONSE_FORMAT
from firstpass.errors import BadAsk, NotFound
from firstpass.exchange import Ask
from tests.conftest import serving
from tests.doubles import anthropic_app, claude_says
from tests.web.test_anthropic_tier import ASK, TAGGED, asked, spoken
from tests.web.test_tiers import Heard, answering

WEATHER = Tool("weather", "Of a city.", {"properties": {"city": {"type": "string"}}}, strict=True)


async def sent(ask: Ask, *, system_turns: bool = True) -> dict[str, Any]:
    """The body that the tier makes of an ask, accepted by a server that knows the API's rules."""
    server = anthropic_app(claude_says("hi"))
    with serving(server) as url:
        await asked(url, ask, system_turns=system_turns)
    return dict(server.state.seen[0])


def saying(*messages: Message, **sampling: Any) -> Ask:
    return replace(ASK, messages=messages or ASK.messages, sampling=Sampling(**sampling))


def user(text: str) -> Message:
    return Message("user", text)


def system(text: str) -> Message:
    return Message("system", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


async def test_a_conversation_with_tools_and_thoughts_is_said_in_the_api_s_blocks() -> None:
    body = await sent(
        saying(
            system("Be brief."),
            Message("developer", "Be kind."),
            Message("user", "Weather?", name="kim"),
            user("In Oslo and Rome."),
            Message(
                "assistant",
                "Let me see.",
                tool_calls=(ToolCall("a", "weather", '{"city": "Oslo"}'), ToolCall("b", "weather", "")),
                reasoning=Reasoning("Two calls.", "sealed"),
            ),
            Message("tool", "rain", tool_call_id="a"),
            Message("tool", "no city", tool_call_id="b", tool_failed=True),
            Message("assistant", "Rain.", reasoning=Reasoning("It rains.")),
            user("Thanks."),
            max_tokens=9,
        )
    )
    assert body == {
        "model": "claude",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        "messages": [
            spoken("user", "kim: Weather?", "In Oslo and Rome."),
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Two calls.", "signature": "sealed"},
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "rain"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "no city", "is_error": True},
                ],
            },
            spoken("assistant", "Rain."),
            spoken("user", "Thanks."),
        ],
    }


LATE = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ((user("a"), system("Be brief.")), [spoken("user", "a"), LATE]),
        ((user("a"), system("Be brief."), user("b")), [spoken("user", "a", "b"), LATE]),
        (
            (user("a"), assistant("b"), system("Be brief."), user("c"), assistant("d"), user("e")),
            [*map(spoken, ("user", "assistant", "user"), "abc"), LATE, spoken("assistant", "d"), spoken("user", "e")],
        ),
        (
            (user("a"), assistant("b"), system("Be brief.")),
            [spoken("user", "a"), spoken("assistant", "b"), spoken("user", TAGGED)],
        ),
        ((user("a"), user(""), assistant(""), user("b"), system("")), [spoken("user", "a", "b")]),
        ((user("a"), assistant("b"), assistant("c")), [spoken("user", "a"), spoken("assistant", "b", "c")]),
    ],
)
async def test_later_system_messages_stay_in_order_where_the_api_lets_them_stand(
    messages: tuple[Message, ...], turns: list[dict[str, Any]]
) -> None:
    assert (await sent(saying(*messages)))["messages"] == turns


async def test_several_thoughts_of_one_turn_go_back_in_order_the_unreadable_ones_too() -> None:
    thoughts = Reasoning("a", "sealed"), Reasoning("", redacted="xyz"), Reasoning("nobody's")
    turns = [Message("assistant", "", reasoning=thought) for thought in thoughts]
    body = await sent(saying(user("a"), *turns, assistant("b"), user("c")))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "sealed"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "b"},
    ]


async def test_a_model_without_system_turns_reads_them_in_the_user_s_after_the_results_of_tools() -> None:
    call = Message("assistant", "", tool_calls=(ToolCall("a", "weather", "{}"),))
    messages = user("a"), call, system("Be brief."), Message("tool", "rain", tool_call_id="a")
    told = [{"type": "tool_result", "tool_use_id": "a", "content": "rain"}, {"type": "text", "text": TAGGED}]
    last = (await sent(saying(*messages), system_turns=False))["messages"][-1]
    assert last == {"role": "user", "content": told}


@pytest.mark.parametrize(
    ("sampling", "fields"),
    [
        ({}, {"max_tokens": 8192 + 8192}),
        ({"stop": ("x", "y"), "top_p": 0.9}, {"stop_sequences": ["x", "y"], "top_p": 0.9}),
        ({"top_k": 5, "temperature": 0.0}, {"top_k": 5, "temperature": 0.0}),
        ({"top_k": -1, "n": 1, "presence_penalty": 0.0, "logprobs": False}, {"max_tokens": 16384}),
        ({"reasoning_effort": "xhigh"}, {"output_config": {"effort": "xhigh"}}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"thinking_tokens": 0}, {"thinking": {"type": "disabled"}}),
        ({"thinks_adaptively": True}, {"thinking": {"type": "adaptive"}}),
        (
            {"thinks_adaptively": True, "thinking_shown": True},
            {"thinking": {"type": "adaptive", "display": "summarized"}},
        ),
        (
            {"thinking_tokens": 2000, "thinking_shown": False},
            {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
        ),
        ({"thinking_tokens": 2000}, {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 10192}),
        (
            {"response_format": RESPONSE_FORMAT},
            {"output_config": {"format": {"type": "json_schema", "schema": RESPONSE_FORMAT["json_schema"]["schema"]}}},
        ),
        ({"response_format": {"type": "text"}}, {"max_tokens": 16384}),
        (
            {"tools": (WEATHER, Tool("now"))},
            {
                "tools": [
                    {
                        "name": "weather",
                        "description": "Of a city.",
                        "strict": True,
                        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
                    },
                    {"name": "now", "input_schema": {"type": "object"}},
                ]
            },
        ),
        ({"tools": (WEATHER,), "tool_choice": ToolChoice("required")}, {"tool_choice": {"type": "any"}}),
        ({"tools": (WEATHER,), "tool_choice": ToolChoice("none")}, {"tool_choice": {"type": "none"}}),
        (
            {"tools": (WEATHER,), "tool_choice": ToolChoice("named", "weather"), "parallel_tool_calls": False},
            {"tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": (WEATHER,), "parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
    ],
)
async def test_what_the_api_has_a_word_for_is_said_in_it(sampling: dict[str, Any], fields: dict[str, Any]) -> None:
    body = await sent(saying(**sampling))
    always = {"model", "messages", "max_tokens"}
    assert {name: body[name] for name in fields} == fields and body.keys() <= always | fields.keys() | {"tools"}


async def test_a_contract_s_limit_gets_room_for_thoughts_and_its_other_wishes_are_left_out() -> None:
    wished = Sampling(max_tokens=512, temperature=0.0, seed=7, response_format=RESPONSE_FORMAT)
    body = await sent(replace(ASK, sampling=wished, wishes=("max_tokens", "temperature", "seed")))
    assert body["max_tokens"] == 512 + 8192 and body.keys() & {"temperature", "seed"} == set()


async def test_the_nearest_effort_of_the_api_is_asked_for_and_told() -> None:
    server, heard = anthropic_app(claude_says("hi")), Heard()
    with serving(server) as url:
        await asked(url, replace(ASK, sampling=Sampling(reasoning_effort="minimal")), heard)
    assert server.state.seen[-1]["output_config"] == {"effort": "low"}
    assert heard.changed == {"reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"sampling": Sampling(n=2)}, "n"),
        ({"sampling": Sampling(seed=0)}, "seed"),
        ({"sampling": Sampling(temperature=1.5)}, "temperature"),
        ({"sampling": Sampling(logit_bias={"5": 1.0})}, "logit_bias"),
        ({"sampling": Sampling(presence_penalty=0.1)}, "presence_penalty"),
        ({"sampling": Sampling(frequency_penalty=-0.1)}, "frequency_penalty"),
        ({"sampling": Sampling(logprobs=True), "logprobs_required": True}, "logprobs"),
        ({"sampling": Sampling(reasoning_effort="enormous")}, "reasoning_effort"),
        ({"sampling": Sampling(min_p=0.1)}, "min_p"),
        ({"sampling": Sampling(repetition_penalty=1.1)}, "repetition_penalty"),
        ({"sampling": Sampling(chat_template_kwargs={"a": 1})}, "chat_template_kwargs"),
        ({"sampling": Sampling(response_format={"type": "json_object"})}, "response_format"),
        ({"sampling": Sampling(response_format={"type": "json_schema"})}, "response_format"),
        ({"kind": "completion"}, "prompt"),
        (
            {"messages": (user("a"), Message("assistant", "", tool_calls=(ToolCall("a", "f", "[1]"),)))},
            "messages.1.tool_calls.0.function.arguments",
        ),
        (
            {"messages": (Message("assistant", "", tool_calls=(ToolCall("a", "f", '{"a": NaN}'),)),)},
            "messages.0.tool_calls.0.function.arguments",
        ),
    ],
)
async def test_what_the_api_has_no_word_for_is_refused_by_name_and_nothing_is_sent(
    changed: dict[str, Any], param: str
) -> None:
    server = anthropic_app(claude_says("hi"))
    with serving(server) as url, pytest.raises(BadAsk) as caught:
        await asked(url, replace(ASK, **changed))
    failure = caught.value.failure
    assert (failure.param, failure.part) == (param, "verifier") and failure.message.startswith(param)
    assert server.state.seen == []


async def test_embeddings_are_not_found() -> None:
    with pytest.raises(NotFound, match="gives no embeddings"):
        await asked("http://127.0.0.1:9", replace(ASK, kind="embedding"))


async def test_the_last_words_of_an_assistant_go_as_they_are_and_a_model_that_takes_none_says_so() -> None:
    refused = {"message": "This model does not support assistant message prefill.", "type": "invalid_request_error"}
    answer = answering(json.dumps({"type": "error", "error": refused}).encode(), 400)
    with answer as (url, seen), pytest.raises(BadAsk, match="does not support assistant message prefill"):
        await asked(url, saying(user("a"), assistant("The answer is (")))
    assert json.loads(seen[0])["messages"][-1] == spoken("assistant", "The answer is (")
