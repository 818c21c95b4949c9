"""The Anthropic tier and the egress door against real HTTP servers, as the API is or with exactly the given bytes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from firstpass.chat import CallPiece, Delta, Message, Reasoning, ToolCall, Usage
from firstpass.egress import EgressDoor
from firstpass.errors import BadAsk, ContextTooLong, FirstpassError, Forbidden, TierFailed, TierUnavailable
from firstpass.exchange import Ask, Reply
from firstpass.redaction import Redactor
from firstpass.tier.anthropic_http import AnthropicTier
from tests.conftest import serving
from tests.doubles import CLAUDE_USAGE, anthropic_app, claude_event, claude_says
from tests.web.test_tiers import Heard, Ledger, answering

ASK = Ask("ex_1", 0.0, "chat", "strong", "strong", (Message("user", "hello"),), ceiling="any")
KEY = "hush-hush"
TAGGED = "<system>\nBe brief.\n</system>"
THOUGHT = {"type": "thinking", "thinking": "Two cities, two calls.", "signature": "sealed"}
CALLS = [
    {"type": "tool_use", "id": f"toolu_{city}", "name": "weather", "input": {"city": city}} for city in ("Oslo", "Rome")
]
USAGE = Usage(11, 13, cached_tokens=3)


async def asked(url: str, ask: Ask = ASK, heard: Heard | None = None, *, system_turns: bool = True) -> Reply:
    headers = {"x-api-key": KEY}
    record, redactor = Ledger().record, Redactor()
    way = EgressDoor(f"{url}/v1", "claude", headers, hosted=True, reply_seconds=5.0, record=record, redactor=redactor)
    try:
        return await AnthropicTier(way, system_turns=system_turns).reply(ask, heard or Heard())
    finally:
        await way.aclose()


def spoken(role: Any, *texts: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text} for text in texts]}


@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
async def test_only_two_headers_of_an_anthropic_caller_go_on(dialect: Any) -> None:
    server = anthropic_app(claude_says("hi"))
    headers = {"anthropic-version": "2024-01-01", "anthropic-beta": "a,b", "x-api-key": "a caller's", "cookie": "c"}
    with serving(server) as url:
        await asked(url, replace(ASK, dialect=dialect, forwarded=headers))
    (got,) = server.state.headers
    version, beta = ("2024-01-01", "a,b") if dialect == "anthropic" else ("2023-06-01", None)
    assert (got["anthropic-version"], got.get("anthropic-beta")) == (version, beta)
    assert got["x-api-key"] == KEY and "cookie" not in got and "authorization" not in got


async def test_a_whole_reply_is_read_with_all_that_is_in_it() -> None:
    blocks = [THOUGHT, {"type": "text", "text": "Let "}, {"type": "text", "text": "me."}, *CALLS, {"type": "new_kind"}]
    with serving(anthropic_app(lambda body: blocks, "tool_use")) as url:
        reply = await asked(url)
    assert (reply.text, reply.model, reply.finish_reason, reply.usage) == (
        "Let me.",
        "claude-20260101",
        "tool_calls",
        USAGE,
    )
    assert reply.reasoning == Reasoning("Two cities, two calls.", "sealed")
    assert reply.tool_calls[1] == ToolCall("toolu_Rome", "weather", '{"city": "Rome"}')
    assert reply.dialect == "anthropic" and json.loads(reply.raw or b"")["content"] == blocks


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("a_new_one", "a_new_one"),
    ],
)
async def test_why_a_reply_ended_is_said_in_the_words_of_the_openai_api(reason: str, finish: str, stream: bool) -> None:
    with serving(anthropic_app(claude_says("hi"), reason)) as url:
        assert (await asked(url, heard=Heard(stream))).finish_reason == finish


@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_that_pauses_is_a_failure(stream: bool) -> None:
    with serving(anthropic_app(claude_says("hi"), "pause_turn")) as url, pytest.raises(TierFailed, match="paused"):
        await asked(url, heard=Heard(stream))


@pytest.mark.parametrize("stream", [False, True])
async def test_several_thoughts_are_one_text_without_a_seal(stream: bool) -> None:
    """A seal on a text that it was not made for would be refused as forged."""
    with serving(anthropic_app(lambda body: [THOUGHT, *CALLS[:1], THOUGHT])) as url:
        reply = await asked(url, heard=Heard(stream))
    assert reply.reasoning == Reasoning(THOUGHT["thinking"] * 2)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_thought_that_only_its_maker_can_read_is_kept_and_goes_back_to_it(stream: bool) -> None:
    sealed = {"type": "redacted_thinking", "data": "c2VhbGVk"}
    server = anthropic_app(lambda body: [sealed, {"type": "text", "text": "hi"}])
    with serving(server) as url:
        reply = await asked(url, heard=Heard(stream))
        assert reply.reasoning == Reasoning("", redacted="c2VhbGVk")
        said = Message("assistant", reply.text, reasoning=reply.reasoning)
        await asked(url, replace(ASK, messages=(*ASK.messages, said, Message("user", "And?"))))
    assert server.state.seen[-1]["messages"][1]["content"] == [sealed, {"type": "text", "text": "hi"}]


async def test_a_stream_passes_byte_for_byte_and_is_accounted_for() -> None:
    heard = Heard(streaming=True)
    events = [
        {"type": "message_start", "message": {"model": "c-1", "usage": CLAUDE_USAGE | {"output_tokens": 1}}},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sealed"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "a"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b\u2028c"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "a_new_delta", "what": 1}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "server_tool_use", "input": {}}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "content_block_stop", "index": 2},
        {"type": "a_new_event", "what": 2},
        {"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "x"}, "usage": {}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5, "input_tokens": None}},
        {"type": "message_stop"},
    ]
    wire = "".join(map(claude_event, events)).encode()
    with answering(b": comment\n\n" + wire) as (url, seen):
        reply = await asked(url, heard=heard)
    assert b"".join(heard.chunks) == wire and json.loads(seen[0])["stream"] is True
    assert (reply.text, reply.reasoning) == ("ab\u2028c", Reasoning("hm", "sealed"))
    assert (reply.model, reply.finish_reason, reply.stop_sequence) == ("c-1", "stop", "x")
    assert reply.usage == Usage(11, 5, cached_tokens=3) and reply.tool_calls == ()
    assert reply.dialect == "anthropic" and reply.first_token_seconds is not None
    assert heard.events[0].usage == Usage(11, 1, cached_tokens=3), "how long the prompt was is known from the beginning"
    assert [chunk.last for chunk in heard.events] == [False] * (len(events) - 1) + [True]


@pytest.mark.parametrize(
    ("given", "deltas", "written"),
    [
        ({"city": "Oslo"}, [], ['{"city": "Oslo"}']),
        ({}, [], ["{}"]),
        ({}, [""], ["{}"]),
        ({}, ["", '{"a"', ": 1}"], ['{"a"', ": 1}"]),
        ({"a": 1}, ['{"a": 1}'], ['{"a": 1}']),
    ],
)
async def test_what_a_call_is_given_is_kept_wherever_it_stands(
    given: dict[str, Any], deltas: list[str], written: list[str]
) -> None:
    """vllm-project/vllm pull request 34887: some servers have it in a block's first event, and there alone."""
    heard = Heard(streaming=True)
    block = {"type": "tool_use", "id": "t", "name": "f", "input": given}
    more = [{"type": "input_json_delta", "partial_json": piece} for piece in deltas]
    events = [
        {"type": "message_start", "message": {"model": "c", "usage": CLAUDE_USAGE}},
        {"type": "content_block_start", "index": 4, "content_block": block},
        *({"type": "content_block_delta", "index": 4, "delta": delta} for delta in more),
        {"type": "content_block_stop", "index": 4},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    with answering("".join(map(claude_event, events)).encode()) as (url, _):
        reply = await asked(url, heard=heard)
    assert reply.tool_calls == (ToolCall("t", "f", "".join(written)),)
    deltas_seen = [delta for chunk in heard.events for delta in chunk.deltas if delta.calls]
    assert deltas_seen == [
        Delta(calls=(CallPiece(0, "t", "f"),)),
        *(Delta(calls=(CallPiece(0, arguments=piece),)) for piece in written),
    ]


START = claude_event({"type": "message_start", "message": {"model": "c", "usage": CLAUDE_USAGE}})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, TierUnavailable),
        ({"type": "api_error", "message": "Internal"}, TierFailed),
        ("out of memory", TierFailed),
    ],
)
async def test_an_error_that_comes_with_a_200_is_one(error: Any, kind: type[FirstpassError], stream: bool) -> None:
    fields = {"type": "error", "error": error}
    body = START + claude_event(fields) if stream else json.dumps(fields)
    with answering(body.encode()) as (url, _), pytest.raises(TierFailed) as caught:
        await asked(url, heard=Heard(stream))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "body",
    [
        START,
        START + claude_event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 3}}),
        START + claude_event({"type": "message_delta", "delta": None}),
        "data: {\n\n",
        "data: 3\n\n",
        "event: message_start\ndata: {}\n\n",
    ],
)
async def test_a_stream_that_breaks_or_is_none_is_a_failure(body: str) -> None:
    with answering(body.encode()) as (url, _), pytest.raises(TierFailed):
        await asked(url, heard=Heard(streaming=True))


WHOLE = {"type": "message", "model": "c", "content": [{"type": "text", "text": "hi"}], "usage": CLAUDE_USAGE}


@pytest.mark.parametrize(
    "odd",
    [
        {"content": None},
        {"content": [{"type": "text", "text": None, "x": 1}, {"type": "text"}]},
        {"content": [{"type": "tool_use", "id": "a", "name": "f", "input": "[]"}]},
        {"usage": {"input_tokens": -1, "output_tokens": 1}},
        {"usage": None},
        {"model": 3},
        {"stop_reason": 7},
    ],
)
async def test_a_field_of_the_wrong_type_is_a_failure_not_a_broken_record(odd: dict[str, Any]) -> None:
    with answering(json.dumps(WHOLE | odd).encode()) as (url, _), pytest.raises(TierFailed, match="no message"):
        await asked(url)


@pytest.mark.parametrize(
    ("status", "message", "kind", "param"),
    [
        (400, "messages.0.content: Input should be a valid list", BadAsk, "messages"),
        (400, "`temperature` is deprecated for this model.", BadAsk, "temperature"),
        (400, "stop_sequences.0: each must contain non-whitespace", BadAsk, "stop"),
        (400, "Your credit balance is too low", BadAsk, None),
        (400, "prompt is too long: 208310 tokens > 200000 maximum", ContextTooLong, "messages"),
        (400, "This model's maximum context length is 4096 tokens.", ContextTooLong, "messages"),
        (400, "input length and `max_tokens` exceed context limit: 1 + 2 > 3", ContextTooLong, "messages"),
        (413, "Request exceeds the maximum size", BadAsk, None),
        (404, "model: claude", TierFailed, None),
        (429, "This request would exceed your rate limit", TierUnavailable, None),
        (500, "Internal server error", TierFailed, None),
        (503, "", TierUnavailable, None),
        (529, "Overloaded", TierUnavailable, None),
    ],
)
async def test_an_error_of_the_endpoint_is_one_of_ours(
    status: int, message: str, kind: type[FirstpassError], param: str | None
) -> None:
    raw = json.dumps({"type": "error", "error": {"type": "x", "message": message}}).encode()
    answer = answering(raw, status, headers=(("retry-after", "17"),))
    with answer as (url, _), pytest.raises(FirstpassError) as caught:
        await asked(url)
    failure = caught.value.failure
    assert type(caught.value) is kind and (failure.part, failure.param) == ("verifier", param)
    assert message in failure.message
    assert failure.retry_after_seconds == (17 if kind is TierUnavailable else 1 if status == 500 else None)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_is_named_and_not_repeated(status: int) -> None:
    raw = json.dumps({"type": "error", "error": {"message": f"no such key: {KEY}"}}).encode()
    with (
        answering(raw, status) as (url, _),
        pytest.raises(TierFailed, match="does not accept this server's API key") as caught,
    ):
        await asked(url)
    assert KEY not in caught.value.failure.message


async def test_the_door_checks_the_ceiling_for_this_dialect_too() -> None:
    server = anthropic_app(claude_says("hi"))
    with serving(server) as url, pytest.raises(Forbidden):
        await asked(url, replace(ASK, ceiling="local-only"))
    assert server.state.seen == []
