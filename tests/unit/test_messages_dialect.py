"""The Anthropic dialect without a server: turns to messages, and pieces of a reply to well-formed events."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from firstpass.chat import CallPiece, Chunk, Delta, Message, Reasoning, Sampling, ToolCall, Usage
from firstpass.dialect.anthropic.blocks import NO_OBJECT, Blocks, as_object
from firstpass.dialect.anthropic.read_request import messages, prompt
from firstpass.dialect.anthropic.write_reply import Stream, whole
from firstpass.dialect.openai.read_request import Caller
from firstpass.errors import BadAsk
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Step
from firstpass.house import House

HOUSE = House({"firstpass": "cascade", "local": "local"}, {}, "local-only")
BODY: dict[str, Any] = {"model": "local", "max_tokens": 2000, "messages": [{"role": "user", "content": "hi"}]}
ASK = Ask("ex_1", 0.0, "chat", "local", "local", (), stream=True, dialect="anthropic")
BINDING = Consult("draft", "answer", binding=True)


def parsed(headers: dict[str, str] | None = None, **changed: Any) -> Ask:
    return messages(json.dumps(BODY | changed).encode(), Caller(Headers(headers or {}), None), HOUSE)


def turns(*content: Any, role: str = "assistant") -> tuple[Message, ...]:
    return parsed(messages=[{"role": "user", "content": "hi"}, {"role": role, "content": list(content)}]).messages[1:]


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_the_system_and_its_turns_are_messages_in_their_places() -> None:
    """vllm-project/vllm#44000 and ollama/ollama#16372."""
    said = [
        {"role": "user", "content": "a"},
        {"role": "system", "content": [text("b")]},
        {"role": "user", "content": "c"},
    ]
    ask = parsed(system=[text("x"), text("y") | {"cache_control": {"type": "ephemeral"}}], messages=said)
    assert [(message.role, message.content) for message in ask.messages] == [
        ("system", "x\ny"),
        ("user", "a"),
        ("system", "b"),
        ("user", "c"),
    ]


BILLING = "x-anthropic-billing-header: cc_version=2.1.197.0a1; cc_entrypoint=cli; cch=0f3a1;"


@pytest.mark.parametrize(
    "system", [f"{BILLING}\nBe brief.", [text(BILLING), text("Be brief.")], f"{BILLING}\n\nBe brief."]
)
def test_the_line_that_is_for_anthropic_s_accounts_alone_goes(system: Any) -> None:
    assert parsed(system=system).messages[0] == Message("system", "Be brief.")
    assert [message.role for message in parsed(system=BILLING).messages] == ["user"]
    said = f"What is {BILLING}?"
    assert parsed(system=said).messages[0].content == said


def test_tool_results_are_messages_of_their_own() -> None:
    failed = {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}
    empty = {"type": "tool_result", "tool_use_id": "t2"}
    assert turns(failed, empty, text("and"), text("now?"), role="user") == (
        Message("tool", "no", tool_call_id="t1", tool_failed=True),
        Message("tool", "", tool_call_id="t2"),
        Message("user", "and\nnow?"),
    )


def test_every_thought_keeps_its_own_seal() -> None:
    first = {"type": "thinking", "thinking": "hm", "signature": "s1"}
    hidden = {"type": "redacted_thinking", "data": "xyz"}
    call = {"type": "tool_use", "id": "t1", "name": "go", "input": {"to": "Ås"}, "caller": {"type": "direct"}}
    assert turns(first, hidden, text("I "), text("go."), call) == (
        Message("assistant", "", reasoning=Reasoning("hm", "s1")),
        Message(
            "assistant",
            "I go.",
            tool_calls=(ToolCall("t1", "go", '{"to": "Ås"}'),),
            reasoning=Reasoning("", redacted="xyz"),
        ),
    )


def test_a_begun_answer_is_gone_on_with_and_a_call_is_not() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "go", "input": {}}
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "The best is ("}]
    assert parsed(messages=said).continues and not parsed().continues
    said[1]["content"] = [call]  # type: ignore[assignment]
    assert not parsed(messages=said).continues


@pytest.mark.parametrize(
    ("wish", "tokens", "adaptive", "shown"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, 1024, None, None),
        ({"type": "disabled"}, 0, None, None),
        ({"type": "adaptive", "display": "omitted"}, None, True, False),
        ({"type": "adaptive", "display": "summarized"}, None, True, True),
    ],
)
def test_thinking_is_a_limit_or_left_to_the_model(wish: Any, tokens: Any, adaptive: Any, shown: Any) -> None:
    sampling = parsed(thinking=wish).sampling
    assert (sampling.thinking_tokens, sampling.thinks_adaptively, sampling.thinking_shown) == (tokens, adaptive, shown)


def test_the_output_config_and_the_rest_find_their_fields() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    ask = parsed(
        output_config={"effort": "xhigh", "format": form},
        stop_sequences=["END"],
        top_k=5,
        tools=[{"name": "go", "input_schema": {"type": "object"}, "eager_input_streaming": True}],
        tool_choice={"type": "tool", "name": "go", "disable_parallel_tool_use": True},
        metadata={"user_id": "kim"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        headers={"anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "x-other": "c"},
    )
    wanted = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    sampling = ask.sampling
    assert sampling.response_format == {"type": "json_schema", "json_schema": wanted}
    assert (sampling.reasoning_effort, sampling.stop, sampling.top_k, sampling.max_tokens) == (
        "xhigh",
        ("END",),
        5,
        2000,
    )
    assert sampling.tool_choice is not None and sampling.tool_choice.name == "go"
    assert sampling.parallel_tool_calls is False and ask.user == "kim" and ask.dialect == "anthropic"
    assert ask.forwarded == {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b"}


def test_interleaved_thinking_may_take_more_than_one_answer() -> None:
    wish = {"type": "enabled", "budget_tokens": 4000}
    with pytest.raises(BadAsk, match="less than max_tokens"):
        parsed(thinking=wish)
    beta = {"anthropic-beta": "x,interleaved-thinking-2025-05-14"}
    assert parsed(beta, thinking=wish).sampling.thinking_tokens == 4000


def faulty(at: int = 0, **block: Any) -> dict[str, Any]:
    content = [text("a")] * at + [block]
    return {"messages": [{"role": "user", "content": content}]}


RESULT = {"type": "tool_result", "tool_use_id": "t"}
TOOL = {"name": "go", "input_schema": {}}


@pytest.mark.parametrize(
    ("changed", "param", "said"),
    [
        ({"max_tokens": None}, "max_tokens", "missing"),
        ({"temperature": 1.5}, "temperature", ""),
        ({"container": "c"}, "container", "container"),
        ({"mcp_servers": []}, "mcp_servers", "MCP"),
        ({"context_management": {"edits": [{"type": "x"}]}}, "context_management.edits.0.type", ""),
        ({"nonsense": 1}, "nonsense", "unknown parameter"),
        ({"system": [{"type": "image", "source": {}}]}, "system.0", "image blocks"),
        (faulty(1, type="image", source={}), "messages.0.content.1", "image is not supported"),
        (faulty(type="document", source={}), "messages.0.content.0", "document is not supported"),
        (faulty(text="a"), "messages.0.content.0", "untyped blocks"),
        (faulty(type="text"), "messages.0.content.0.text", "missing"),
        (faulty(type="text", text=1), "messages.0.content.0.text", ""),
        (faulty(type="text", text="a", extra=1), "messages.0.content.0.extra", "unknown"),
        (faulty(type="thinking", thinking="a"), "messages.0.content.0", "does not belong to the role user"),
        (faulty(**RESULT, content=[{"type": "audio"}]), "messages.0.content.0.content.0", "audio blocks"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content", "at least one"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role", ""),
        ({"messages": []}, "messages", ""),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0", "web_search_20250305"),
        ({"tools": [TOOL | {"name": "no spaces"}]}, "tools.0.name", ""),
        ({"tools": [{"name": "go"}]}, "tools.0.input_schema", "missing"),
        ({"tools": [TOOL | {"defer_loading": True}]}, "tools.0.defer_loading", ""),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "needs tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name", ""),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice", "no tool"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", ""),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking.budget_tokens", ""),
        ({"thinking": {"type": "adaptive", "budget_tokens": 1024}}, "thinking.budget_tokens", ""),
        ({"thinking": {"type": "between_tools"}}, "thinking.type", ""),
        ({"output_config": {"effort": "huge"}}, "output_config.effort", ""),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema", "missing"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id", ""),
        ({"stop_sequences": [""]}, "stop_sequences.0", ""),
        ({"model": "claude-9"}, "model", "unknown model"),
    ],
)
def test_a_fault_is_named_by_the_path_that_the_caller_wrote(changed: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(Exception, match=said or None) as caught:
        parsed(**changed)
    assert caught.value.failure.param == param, caught.value.failure  # type: ignore[attr-defined]


def test_what_is_counted_needs_no_limit_and_takes_no_sampling() -> None:
    caller = Caller(Headers({}), None)
    body = {name: value for name, value in BODY.items() if name != "max_tokens"} | {"system": "s"}
    assert [message.role for message in prompt(json.dumps(body).encode(), caller, HOUSE).messages] == ["system", "user"]
    with pytest.raises(BadAsk, match="unknown parameter: max_tokens"):
        prompt(json.dumps(BODY).encode(), caller, HOUSE)


Event = tuple[str, dict[str, Any]]


def read(data: bytes) -> list[Event]:
    found = []
    for part in data.decode().split("\n\n")[:-1]:
        name, fields = part.split("\ndata: ")
        event = json.loads(fields)
        assert name == f"event: {event['type']}"
        found.append((event["type"], event))
    return found


def blocks_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The blocks that a client puts together; fails where the events are not in the order that it relies on."""
    blocks: list[dict[str, Any]] = []
    is_open = False
    kinds = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
    for name, event in events:
        if name == "content_block_start":
            assert not is_open and event["index"] == len(blocks)
            blocks.append(event["content_block"] | ({"json": ""} if "input" in event["content_block"] else {}))
            is_open = True
        elif name == "content_block_delta":
            assert is_open and event["index"] == len(blocks) - 1
            delta = event["delta"]
            assert blocks[-1]["type"] == kinds.get(delta["type"], "tool_use")
            for key in delta.keys() - {"type"}:
                blocks[-1][{"partial_json": "json"}.get(key, key)] += delta[key]
        else:
            assert name == "content_block_stop" and is_open and event["index"] == len(blocks) - 1
            is_open = False
    assert not is_open
    return blocks


def written(*deltas: Delta, shown: bool = True) -> tuple[list[dict[str, Any]], Blocks]:
    blocks = Blocks("toolu_x", shown)
    data = b"".join(event for delta in deltas for event in blocks.add(delta)) + b"".join(blocks.close())
    return blocks_of(read(data)), blocks


def call(index: int, arguments: str = "", name: str | None = None, call_id: str | None = None) -> Delta:
    return Delta(calls=(CallPiece(index, call_id, name, arguments),))


def test_parallel_calls_and_what_surrounds_them_are_blocks_in_sequence() -> None:
    made, _ = written(
        Delta(reasoning="hm "),
        Delta(reasoning="ok", signature="s"),
        Delta(text="I call."),
        call(0, '{"a":', "one", "c0"),
        call(0, " 1}"),
        call(1, "{}", "two", "c1"),
        Delta(text="Done."),
    )
    assert [(block["type"], block.get("json")) for block in made] == [
        ("thinking", None),
        ("text", None),
        ("tool_use", '{"a": 1}'),
        ("tool_use", "{}"),
        ("text", None),
    ]
    assert made[0]["signature"] == "s" and made[2]["id"] == "c0" and made[3]["name"] == "two"


def test_interleaved_deltas_of_open_calls_come_out_whole() -> None:
    made, blocks = written(
        call(0, '{"a"', "one", "c0"),
        call(1, '{"b"', "two", "c1"),
        Delta(text="meanwhile"),
        call(0, ": 1}"),
        call(1, ": 2}"),
    )
    assert [block.get("json", block.get("text")) for block in made] == ['{"a": 1}', '{"b": 2}', "meanwhile"]
    assert blocks.broken is None


def test_arguments_that_are_no_object_are_wrapped_and_half_a_one_is_called_broken() -> None:
    made, blocks = written(call(0, "[1,", "one"), call(0, " 2]"), call(1, "", "two"))
    assert json.loads(made[0]["json"]) == {NO_OBJECT: "[1, 2]"} and made[1]["json"] == ""
    assert made[0]["id"] == "toolu_x_0" and blocks.broken is None
    made, blocks = written(call(0, '{"a": ', "one"))
    assert made[0]["json"] == '{"a": ' and blocks.broken == "one"


def test_a_call_waits_for_its_name() -> None:
    made, _ = written(call(0, '{"a"'), call(0, ": 1", "one", "c"), call(0, "}"))
    assert (made[0]["name"], made[0]["json"]) == ("one", '{"a": 1}')


def test_hidden_thoughts_leave_their_signature_alone() -> None:
    made, _ = written(Delta(reasoning="secret"), Delta(signature="s"), Delta(text="x"), shown=False)
    assert made == [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": "x"}]
    assert written(Delta(reasoning="secret"), shown=False)[0] == [{"type": "text", "text": ""}]


PIECES = st.builds(
    CallPiece,
    st.integers(0, 2),
    st.none() | st.just("id"),
    st.none() | st.just("name"),
    st.sampled_from(["", "{", "}", '{"a":', "1", "{}", "[", " "]),
)
DELTAS = st.builds(
    Delta,
    choice=st.just(0),
    text=st.sampled_from(["", "a", "b "]),
    reasoning=st.sampled_from(["", "c", "d "]),
    signature=st.none() | st.just("s"),
    calls=st.lists(PIECES, max_size=2).map(tuple),
)


@settings(deadline=None)
@given(st.lists(DELTAS, max_size=12))
def test_any_deltas_make_well_formed_blocks_and_nothing_is_lost(deltas: list[Delta]) -> None:
    made, blocks = written(*deltas)
    for kind, of in (("text", "text"), ("thinking", "reasoning")):
        assert "".join(block.get(kind, "") for block in made) == "".join(getattr(delta, of) for delta in deltas)
    given_to: dict[int, str] = {}
    for delta in deltas:
        for piece in delta.calls:
            given_to[piece.index] = given_to.get(piece.index, "") + piece.arguments
    calls = [block["json"] for block in made if block["type"] == "tool_use"]
    assert len(calls) == len(given_to)
    if blocks.broken is None:
        assert sorted(map(input_of, given_to.values())) == sorted(map(input_of, calls))


def input_of(arguments: str) -> str:
    given = as_object(arguments)
    return json.dumps({NO_OBJECT: arguments} if given is None else given)


def streamed(*deltas: Delta, reply: Reply, usage: Usage | None = None) -> list[Event]:
    stream, step = Stream(ASK), Step(BINDING)
    data = b"".join(stream.chunk(step, Chunk(b"", "openai", "m", (delta,), usage)) for delta in deltas)
    return read(data + stream.end(ended(reply)))


def ended(reply: Reply) -> Exchange:
    return Exchange(ASK).grown(Step(BINDING, reply)).ended(Answer(0, "draft"), 0.1)


def spoken(text: str = "", *, finish: str | None = "stop", **more: Any) -> Reply:
    return Reply(text, "m", finish, Usage(20, 3, cached_tokens=16), 0.1, **more)


@pytest.mark.parametrize(
    ("reply", "stop_reason", "stop_sequence"),
    [
        (spoken("x"), "end_turn", None),
        (spoken("x", finish=None), "end_turn", None),
        (spoken("x", finish="length"), "max_tokens", None),
        (spoken("x", finish="content_filter"), "refusal", None),
        (spoken("x", stop_sequence="END"), "stop_sequence", "END"),
        (spoken(finish="stop", tool_calls=(ToolCall("a", "go", "{}"),)), "tool_use", None),
        (spoken(finish="tool_calls", tool_calls=(ToolCall("a", "go", "{}"),), stop_sequence="END"), "tool_use", None),
        (spoken(finish="length", tool_calls=(ToolCall("a", "go", '{"b'),)), "max_tokens", None),
        (spoken(tool_calls=(ToolCall("a", "go", '{"b'),), stop_sequence="END"), "stop_sequence", "END"),
    ],
)
def test_why_it_stopped_is_said_alike_whole_and_streamed(reply: Reply, stop_reason: str, stop_sequence: Any) -> None:
    body = json.loads(whole(ended(reply)))
    assert (body["stop_reason"], body["stop_sequence"]) == (stop_reason, stop_sequence)
    assert body["usage"] == {"input_tokens": 4, "cache_read_input_tokens": 16, "output_tokens": 3}
    calls = tuple(CallPiece(at, one.id, one.name, one.arguments) for at, one in enumerate(reply.tool_calls))
    for events in (streamed(Delta(text=reply.text, calls=calls), reply=reply), streamed(reply=reply)):
        assert events[0][0] == "message_start" and events[-1][0] == "message_stop"
        assert events[-2][1]["delta"] == {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
        assert events[-2][1]["usage"] == body["usage"]


def test_a_call_that_is_no_object_is_wrapped_whole_and_an_error_where_half_of_it_is_out() -> None:
    reply = spoken(finish="tool_calls", tool_calls=(ToolCall("a", "go", '{"b'),))
    assert json.loads(whole(ended(reply)))["content"][0]["input"] == {NO_OBJECT: '{"b'}
    name, event = streamed(call(0, '{"b', "go", "a"), reply=reply)[-1]
    assert name == "error" and event["error"]["type"] == "api_error" and "go" in event["error"]["message"]


def test_a_whole_answer_has_its_thoughts_first_and_a_redacted_one_unchanged() -> None:
    reply = spoken("x", reasoning=Reasoning("hm", "s"))
    assert json.loads(whole(ended(reply)))["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "x"},
    ]
    hidden = spoken("x", reasoning=Reasoning("", redacted="xyz"))
    blocks = blocks_of([event for event in streamed(reply=hidden) if event[0].startswith("content")])
    assert blocks == [{"type": "redacted_thinking", "data": "xyz"}, text("x")]
    assert json.loads(whole(ended(hidden)))["content"] == blocks


def test_an_answer_of_nothing_is_an_empty_text() -> None:
    assert json.loads(whole(ended(spoken())))["content"] == [{"type": "text", "text": ""}]


def test_what_a_tier_of_the_same_dialect_says_passes_byte_for_byte() -> None:
    raw = b'{"type": "message",   "future": 1}'
    reply = replace(spoken("x"), raw=raw, dialect="anthropic")
    assert whole(ended(reply)) == raw
    stream, step = Stream(ASK), Step(BINDING)
    event = b"event: message_start\ndata: {  }\n\n"
    assert stream.chunk(step, Chunk(event, "anthropic", "m", (Delta(text="x"),))) == event
    assert stream.end(ended(reply)) == b""


def test_the_choices_past_the_first_have_no_place_here() -> None:
    events = streamed(Delta(text="x"), Delta(choice=1, text="y"), reply=spoken("x"))
    assert blocks_of([event for event in events if event[0].startswith("content")]) == [text("x")]


def test_thoughts_are_left_out_where_the_caller_wants_none() -> None:
    ask = replace(ASK, sampling=Sampling(thinking_shown=False))
    reply = spoken("x", reasoning=Reasoning("hm"))
    exchange = replace(ended(reply), ask=ask)
    assert json.loads(whole(exchange))["content"] == [text("x")]
