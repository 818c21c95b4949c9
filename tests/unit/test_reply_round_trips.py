"""A reply that a dialect writes, whole or streamed, is read as it was said, wherever its pieces and bytes are cut.

What a dialect has no words for, or only one form of, stands in `openai_s`, `anthropic_s` and `responses_s`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from starlette.datastructures import Headers

from firstpass.chat import (
    CallPiece,
    Chunk,
    Delta,
    Message,
    Reasoning,
    Sampling,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
    strict_json,
)
from firstpass.dialect.anthropic import read_reply as anthropic_in
from firstpass.dialect.anthropic.read_request import messages
from firstpass.dialect.anthropic.write_reply import ANTHROPIC
from firstpass.dialect.base import Dialect
from firstpass.dialect.openai import read_reply as openai_in
from firstpass.dialect.openai.read_request import Caller, chat
from firstpass.dialect.openai.write_reply import OPENAI
from firstpass.dialect.responses import items
from firstpass.dialect.responses.stream import RESPONSES
from firstpass.dialect.responses.wire import Item
from firstpass.errors import BadAsk
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Step, Terms
from firstpass.house import House
from firstpass.tier.sse import events
from tests.unit.spoken import arguments, objects, some_text, words

EXAMPLES = settings(max_examples=100, derandomize=True)
ENCRYPTED = "reasoning.encrypted_content"
TOOLS = tuple(Tool(name) for name in ("f", "go", "go_on"))
SAMPLING = Sampling(logprobs=True, top_logprobs=2, tools=TOOLS)
ASK = Ask("ex_ab", 1.0, "chat", "local", "local", (Message("user", "hi"),), SAMPLING, stream=True, include_usage=True)
ASK = replace(ASK, terms=Terms(include=(ENCRYPTED,)))
HOUSE, CALLER = House({"local": "local"}, {}, "local-only"), Caller(Headers({}), None)
BINDING = Step(Consult("verifier", "answer", binding=True))
EARLY = Step(Consult("draft", "draft", early=True), streamed=True)

octets = st.lists(st.integers(0, 255), max_size=3).map(tuple)
logprobs = st.floats(-9999, 0)


@st.composite
def tokens(draw: st.DrawFn) -> TokenLogprob:
    """Of the likeliest as many as were asked for; the bytes of none of them are known, or of some."""
    top = tuple(draw(st.lists(st.tuples(words, logprobs), max_size=2)))
    spelt = tuple(draw(st.none() | octets) for _ in top)
    known = spelt if any(one is not None for one in spelt) else ()
    return TokenLogprob(draw(words), draw(logprobs), top, draw(st.none() | octets), known)


thoughts = (
    st.builds(Reasoning, some_text)
    | st.builds(Reasoning, words, some_text)
    | st.builds(lambda data: Reasoning("", redacted=data), some_text)
)
inputs = objects.flatmap(lambda given: st.sampled_from([json.dumps(given), json.dumps(given, ensure_ascii=False)]))


@st.composite
def called(draw: st.DrawFn) -> tuple[ToolCall, ...]:
    ids = draw(st.lists(some_text, unique=True, max_size=3))
    named = st.sampled_from([tool.name for tool in TOOLS])
    return tuple(ToolCall(one, draw(named), draw(inputs)) for one in ids)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt, completion = draw(st.integers(0, 2**40)), draw(st.integers(0, 2**40))
    return Usage(prompt, completion, draw(st.integers(0, prompt)), draw(st.integers(0, completion)))


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """The log-probabilities are those of its text."""
    text = draw(words)
    return Reply(
        text,
        "m",
        draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"])),
        draw(usages()),
        0.0,
        logprobs=tuple(draw(st.lists(tokens(), max_size=3))) if text else (),
        tool_calls=draw(called()),
        reasoning=draw(st.none() | thoughts),
        stop_sequence=draw(st.none() | some_text),
        refusal=draw(st.none() | some_text),
    )


def said(reply: Reply) -> Reply:
    """Without when and how it came."""
    return replace(reply, seconds=0.0, first_token_seconds=None, raw=None, dialect="openai")


def openai_s(reply: Reply) -> Reply:
    """It knows no seals of thoughts, and not what text ended a reply."""
    thought = reply.reasoning and reply.reasoning.text
    return replace(reply, reasoning=Reasoning(thought) if thought else None, stop_sequence=None)


def anthropic_s(reply: Reply) -> Reply:
    """A refusal is text, and why the reply ended. It ended in a call where it has one. There are no logprobs."""
    cut = "content_filter" if reply.refusal else reply.finish_reason
    natural = "tool_calls" if reply.tool_calls else "stop"
    ends = cut if cut in ("length", "content_filter") else natural
    return replace(
        reply,
        text=reply.text + (reply.refusal or ""),
        refusal=None,
        logprobs=(),
        finish_reason=ends,
        stop_sequence=reply.stop_sequence if ends == "stop" else None,
    )


def responses_s(reply: Reply) -> Reply:
    """Of ends it tells those before the answer was complete. Bytes that nobody knows are none."""
    ends = reply.finish_reason if reply.finish_reason in ("length", "content_filter") else None
    return replace(reply, finish_reason=ends, stop_sequence=None, logprobs=tuple(map(spelt, reply.logprobs)))


def spelt(token: TokenLogprob) -> TokenLogprob:
    others = token.top_octets or (None,) * len(token.top)
    return replace(token, octets=token.octets or (), top_octets=tuple(one or () for one in others))


def rewritten(reply: Reply) -> Reply:
    """With its calls' arguments as they are written where they are no text but objects."""
    calls = (replace(one, arguments=json.dumps(json.loads(one.arguments), ensure_ascii=False))
             for one in reply.tool_calls)  # fmt: skip
    return replace(reply, tool_calls=tuple(calls))


def exchange(reply: Reply, step: Step = BINDING) -> Exchange:
    return Exchange(ASK, (replace(step, reply=reply),), Answer(0, "strong"), 0.2)


def whole(dialect: Dialect, reply: Reply) -> bytes:
    """As the dialect writes what another one said."""
    other = "openai" if dialect is ANTHROPIC else "anthropic"
    return dialect.whole(exchange(replace(reply, dialect=other)))  # type: ignore[arg-type]


def streamed_whole(dialect: Dialect, reply: Reply) -> bytes:
    """A stream of an answer that came whole."""
    return dialect.writer(ASK).end(exchange(replace(reply, dialect="openai" if dialect is ANTHROPIC else "anthropic")))


def response_read(body: dict[str, Any]) -> Reply:
    """A response as a reply."""
    text, refusal, calls, tokens, thought = "", "", [], [], None
    for item in body["output"]:
        if item["type"] == "reasoning":
            seal = item.get("encrypted_content", "")
            words = "".join(part["text"] for part in item["content"])
            hidden = seal.removeprefix(items.REDACTED) if seal.startswith(items.REDACTED) else None
            thought = Reasoning(words, (seal or None) if hidden is None else None, hidden)
        elif item["type"] == "function_call":
            calls.append(ToolCall(item["call_id"], item["name"], item["arguments"]))
        for part in item["content"] if item["type"] == "message" else ():
            text += part.get("text", "")
            refusal += part.get("refusal", "")
            tokens += part.get("logprobs", [])
    reason = body["incomplete_details"] and body["incomplete_details"]["reason"]
    usage = body["usage"]
    return Reply(
        text,
        body["model"],
        {"max_output_tokens": "length"}.get(reason, reason),
        Usage(
            usage["input_tokens"],
            usage["output_tokens"],
            usage["input_tokens_details"]["cached_tokens"],
            usage["output_tokens_details"]["reasoning_tokens"],
        ),
        0.0,
        logprobs=openai_in._logprobs({"content": tokens}),
        tool_calls=tuple(calls),
        reasoning=thought,
        refusal=refusal or None,
    )


@EXAMPLES
@given(replies())
def test_a_whole_reply_is_read_as_it_was_said(reply: Reply) -> None:
    assert said(openai_in.whole_reply(ASK, whole(OPENAI, reply), 0.0)) == openai_s(reply)
    assert said(anthropic_in.whole_reply(ASK, whole(ANTHROPIC, reply), 0.0)) == anthropic_s(rewritten(reply))
    assert response_read(json.loads(whole(RESPONSES, reply))) == responses_s(reply)


@EXAMPLES
@given(replies())
def test_an_answer_that_is_sent_back_is_the_turn_that_it_was(reply: Reply) -> None:
    """A refusal beside a text is an item, and so a message, of its own in the Responses API."""
    user = {"role": "user", "content": "hi"}
    (choice,) = json.loads(whole(OPENAI, reply))["choices"]
    body = {"model": "local", "messages": [user, choice["message"]]}
    assert chat(json.dumps(body).encode(), CALLER, HOUSE).messages[1:] == (turn(openai_s(reply)),)
    content = json.loads(whole(ANTHROPIC, reply))["content"]
    body = {"model": "local", "messages": [user, {"role": "assistant", "content": content}], "max_tokens": 9}
    assert messages(json.dumps(body).encode(), CALLER, HOUSE).messages[1:] == (turn(rewritten(reply)),)
    output = json.loads(whole(RESPONSES, reply))["output"]
    first, *more = items.read(TypeAdapter(list[Item]).validate_python(output))
    refused = more[0] if more else Message("assistant", "")
    joined = replace(first, content=first.content + refused.content, tool_calls=first.tool_calls + refused.tool_calls)
    assert joined == turn(reply) and len(more) == bool(reply.text and reply.refusal)


def turn(reply: Reply) -> Message:
    text = reply.text + (reply.refusal or "")
    return Message("assistant", text, tool_calls=reply.tool_calls, reasoning=reply.reasoning)


@EXAMPLES
@given(replies(), arguments)
def test_whatever_a_model_wrote_as_arguments_the_answer_is_json(reply: Reply, given: str) -> None:
    reply = replace(reply, tool_calls=(ToolCall("c1", "f", given),))
    for dialect, write in product((OPENAI, ANTHROPIC, RESPONSES), (whole, streamed_whole)):
        for data in re.findall(rb"^(?:data: )?({.*)$", write(dialect, reply), re.M):
            strict_json(data.decode())


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces, none of them empty."""
    places = draw(st.lists(st.integers(1, max(1, len(text) - 1)), unique=True, max_size=3))
    ends = sorted({0, len(text), *(at for at in places if at < len(text))})
    return [text[start:end] for start, end in pairwise(ends)]


@st.composite
def pieces(draw: st.DrawFn, reply: Reply) -> list[Delta]:
    """The reply as a stream says it: a thought, its seal, the words, calls whose pieces alternate, and why it ends."""
    made: list[Delta] = []
    if thought := reply.reasoning:
        made += [Delta(reasoning=piece) for piece in draw(cut(thought.text))]
        if thought.signature is not None or thought.redacted is not None:
            made.append(Delta(signature=thought.signature, redacted=thought.redacted))
    made += draw(told(reply))
    made += [Delta(refusal=piece) for piece in draw(cut(reply.refusal or ""))]
    made += draw(calling(reply.tool_calls))
    return [*made, Delta(finish_reason=reply.finish_reason, stop_sequence=reply.stop_sequence)]


@st.composite
def told(draw: st.DrawFn, reply: Reply) -> list[Delta]:
    """Its text. The log-probabilities of tokens come with a piece of it, or with one that has no words yet."""
    spelt = draw(cut(reply.text))
    places = sorted(
        draw(st.lists(st.integers(0, 2 * len(spelt)), min_size=len(reply.logprobs), max_size=len(reply.logprobs)))
    )
    made = []
    for place in range(2 * len(spelt) + 1):
        tokens = tuple(token for at, token in zip(places, reply.logprobs, strict=True) if at == place)
        if place % 2 or tokens:
            made.append(Delta(text=spelt[place // 2] if place % 2 else "", logprobs=tokens))
    return made


@st.composite
def calling(draw: st.DrawFn, calls: Sequence[ToolCall]) -> list[Delta]:
    """Each call is begun in its turn, with some of its arguments or none; then it may go on at any time."""
    rows = []
    for at, call in enumerate(calls):
        first, *more = ["", *draw(cut(call.arguments))] if draw(st.booleans()) else draw(cut(call.arguments))
        rows.append([CallPiece(at, call.id, call.name, first), *(CallPiece(at, arguments=piece) for piece in more)])
    said: list[CallPiece] = []
    begun = 0
    while any(rows):
        able = [at for at, row in enumerate(rows) if row and at <= begun]
        at = draw(st.sampled_from(able))
        begun = max(begun, at + 1)
        said.append(rows[at].pop(0))
    return [Delta(calls=(piece,)) for piece in said]


def streamed(dialect: Dialect, chunks: Sequence[Chunk], reply: Reply, step: Step, waits: int) -> bytes:
    """waits: before which chunk the writer has to say that it waits."""
    writer, sent = dialect.writer(ASK), b""
    for number, chunk in enumerate(chunks):
        sent += writer.waiting() if number == waits else b""
        sent += writer.chunk(step, chunk)
    return sent + writer.end(exchange(reply, step))


def heard(sent: bytes, places: Sequence[int], read: Callable[[bytes, bytes], Chunk]) -> list[Chunk]:
    """The chunks of a stream that comes in the parts into which it is cut at these places."""

    async def parts() -> AsyncIterator[bytes]:
        for start, end in pairwise([0, *sorted(place % (len(sent) + 1) for place in places), len(sent)]):
            yield sent[start:end]

    async def gather() -> list[Chunk]:
        return [read(event.raw, event.data) async for event in events(parts())]

    return asyncio.run(gather())


def read_by(dialect: Dialect, sent: bytes, places: Sequence[int]) -> tuple[list[Chunk], Reply]:
    if dialect is OPENAI:
        openai = openai_in.OpenAIStream(wants_usage=True, tools=[tool.name for tool in TOOLS])
        chunks = heard(sent, places, lambda event, data: openai.read(event, data, 0.1))
        return chunks, openai.reply(0.2)
    anthropic = anthropic_in.AnthropicStream(ask=ASK)
    return heard(sent, places, lambda event, data: anthropic.read(event, data, 0.1)), anthropic.reply(0.2)


def response_streamed(sent: bytes) -> dict[str, Any]:
    """The response of the last event, when OpenAI's own client has taken all of them; its words are the deltas'."""
    said = [json.loads(block.split("\ndata: ")[1]) for block in sent.decode().split("\n\n")[:-1]]
    state = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in said:
        state.handle_event(construct_type(value=event, type_=ResponseStreamEvent))  # type: ignore[arg-type]
    assert said[-1]["type"] in ("response.completed", "response.incomplete")
    response: dict[str, Any] = said[-1]["response"]
    written = "".join(event["delta"] for event in said if event["type"] == "response.output_text.delta")
    assert written == response_read(response).text
    return response


cuts = st.lists(st.integers(0, 2**16), max_size=8)
spoken = replies().flatmap(lambda reply: st.tuples(st.just(reply), pieces(reply)))
FORMS: dict[str, tuple[Dialect, Callable[[Reply], Reply]]] = {
    "openai": (OPENAI, openai_s),
    "anthropic": (ANTHROPIC, anthropic_s),
    "responses": (RESPONSES, responses_s),
}


@EXAMPLES
@given(spoken, st.sampled_from(list(FORMS)), st.sampled_from([BINDING, EARLY]), cuts, st.integers(0, 20))
def test_a_stream_is_read_as_it_was_said(
    spoken: tuple[Reply, list[Delta]], name: str, step: Step, places: list[int], waits: int
) -> None:
    (reply, deltas), (dialect, form) = spoken, FORMS[name]
    chunks = [Chunk(b"", "openai" if dialect is ANTHROPIC else "anthropic", "m", (delta,)) for delta in deltas]
    sent = streamed(dialect, chunks, reply, step, waits)
    if dialect is RESPONSES:
        assert response_read(response_streamed(sent)) == form(reply)
    else:
        assert said(read_by(dialect, sent, places)[1]) == form(reply)


@EXAMPLES
@given(spoken, st.sampled_from(["openai", "anthropic"]), st.sampled_from(list(FORMS)), cuts, cuts, st.integers(0, 20))
def test_a_stream_of_one_dialect_is_told_in_another(
    spoken: tuple[Reply, list[Delta]],
    theirs: str,
    ours: str,
    places: list[int],
    others: list[int],
    waits: int,
) -> None:
    """As a tier hears it of a model, and a caller hears it of us; what its first dialect can not say is lost there."""
    (reply, deltas), (upstream, first), (dialect, form) = spoken, FORMS[theirs], FORMS[ours]
    chunks = [Chunk(b"", "openai" if upstream is ANTHROPIC else "anthropic", "m", (delta,)) for delta in deltas]
    heard_chunks, read = read_by(upstream, streamed(upstream, chunks, reply, BINDING, -1), places)
    assert said(read) == first(reply)
    sent = streamed(dialect, heard_chunks, read, BINDING, waits)
    if dialect is RESPONSES:
        assert response_read(response_streamed(sent)) == form(first(reply))
    else:
        assert said(read_by(dialect, sent, others)[1]) == form(first(reply))


HALF = TokenLogprob("\ufffd", -0.5, octets=(0xF0, 0x9F))
REST = TokenLogprob("\ufffd", 0.0, octets=(0x99, 0x82))


def test_half_a_character_keeps_its_log_probability() -> None:
    """Its delta has no words yet, and so had none of either in a draft that is shown early, or in a response."""
    reply = Reply("\U0001f642", "m", "stop", Usage(1, 2), 0.0, logprobs=(HALF, REST))
    deltas = Delta(logprobs=(HALF,)), Delta(text=reply.text, logprobs=(REST,)), Delta(finish_reason="stop")
    chunks = [Chunk(b"", "openai", "m", (delta,)) for delta in deltas]
    assert read_by(OPENAI, streamed(OPENAI, chunks, reply, EARLY, -1), [])[1].logprobs == (HALF, REST)
    assert response_read(response_streamed(streamed(RESPONSES, chunks, reply, BINDING, -1))).logprobs == (HALF, REST)


def test_a_hidden_thought_that_is_streamed_early_is_a_block() -> None:
    reply = Reply("a", "m", "stop", Usage(1, 2), 0.0, dialect="anthropic", reasoning=Reasoning("", redacted="xyz"))
    deltas = Delta(redacted="xyz"), Delta(text="a"), Delta(finish_reason="stop")
    chunks = [Chunk(b"", "anthropic", "m", (delta,)) for delta in deltas]
    assert read_by(ANTHROPIC, streamed(ANTHROPIC, chunks, reply, EARLY, -1), [])[1].reasoning == reply.reasoning


def test_a_text_that_was_shown_early_is_not_said_again_after_what_came_behind_it() -> None:
    reply = Reply("a", "m", "stop", Usage(1, 2), 0.0, reasoning=Reasoning("hm"))
    chunks = [Chunk(b"", "openai", "m", (delta,)) for delta in (Delta(text="a"), Delta(reasoning="hm"))]
    assert response_read(response_streamed(streamed(RESPONSES, chunks, reply, EARLY, -1))).text == "a"


def test_thoughts_are_counted_in_anthropic_s_dialect_too() -> None:
    usage = json.loads(whole(ANTHROPIC, Reply("a", "m", "stop", Usage(9, 5, 4, 3), 0.0)))["usage"]
    assert usage == {
        "input_tokens": 5,
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 3},
    }


def test_a_refusal_beside_a_text_is_not_lost_where_the_answer_is_sent_back() -> None:
    said = {"role": "assistant", "content": "Well: ", "refusal": "no."}
    body = {"model": "local", "messages": [{"role": "user", "content": "hi"}, said]}
    assert chat(json.dumps(body).encode(), CALLER, HOUSE).messages[1].content == "Well: no."


def test_a_number_that_no_float_holds_is_not_written_as_infinity() -> None:
    """The answer was no JSON, and a body that was sent on to a model was none."""
    reply = Reply("", "m", "tool_calls", Usage(1, 1), 0.0, tool_calls=(ToolCall("c1", "f", '{"at": 1e999}'),))
    (block,) = strict_json(whole(ANTHROPIC, reply).decode())["content"]
    assert block["input"] == {"INVALID_JSON": '{"at": 1e999}'}
    with pytest.raises(BadAsk, match="1e999"):
        chat(b'{"model": "local", "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function", '
             b'"function": {"name": "f", "parameters": {"maximum": 1e999}}}]}', CALLER, HOUSE)  # fmt: skip


def test_a_call_to_which_a_model_gave_no_id_gets_one_by_which_its_result_can_come_back() -> None:
    """Some engines give none, and what they answered was a 400 as soon as a chat went on with it."""
    calls = [{"function": {"name": "f", "arguments": "{}"}}, {"id": "", "function": {"name": "go", "arguments": "{}"}}]
    ends = {"index": 0, "finish_reason": "tool_calls"}
    answer = {
        "model": "m",
        "choices": [ends | {"message": {"role": "assistant", "content": None, "tool_calls": calls}}],
    }
    given = ("call_ex_ab_0", "call_ex_ab_1")
    reply = openai_in.whole_reply(ASK, json.dumps(answer).encode(), 0.0)
    assert tuple(call.id for call in reply.tool_calls) == given and reply.raw is not None
    body = {"model": "local", "messages": [json.loads(reply.raw)["choices"][0]["message"]]}
    assert chat(json.dumps(body).encode(), CALLER, HOUSE).messages[0].tool_calls == reply.tool_calls
    pieces = [{"index": at} | call for at, call in enumerate(calls)]
    chunk = {"model": "m", "choices": [ends | {"delta": {"tool_calls": pieces}}]}
    stream = openai_in.OpenAIStream(prefix=openai_in.call_prefix(ASK))
    sent = stream.read(b"", json.dumps(chunk).encode(), 0.1)
    assert tuple(call.id for call in stream.reply(0.2).tool_calls) == given
    told = json.loads(sent.raw.removeprefix(b"data: "))["choices"][0]["delta"]["tool_calls"]
    assert tuple(call["id"] for call in told) == given


def test_half_a_character_in_arguments_is_none_where_they_are_an_object() -> None:
    """An answer with it could not be sent back: neither here nor at Anthropic is it JSON."""
    reply = Reply("", "m", "tool_calls", Usage(1, 1), 0.0, tool_calls=(ToolCall("c1", "f", '{"a": "\\ud83d"}'),))
    content = json.loads(whole(ANTHROPIC, reply))["content"]
    body = {"model": "local", "messages": [{"role": "assistant", "content": content}], "max_tokens": 9}
    (turn,) = messages(json.dumps(body).encode(), CALLER, HOUSE).messages
    assert turn.tool_calls == (ToolCall("c1", "f", '{"a": "?"}'),)


def test_calls_are_told_in_their_order_where_a_name_might_go_on() -> None:
    """`go` waited, since it might be `go_on`, for as long as the first call went on, and a third one overtook it."""
    said = [
        CallPiece(0, "a", "f", "{"),
        CallPiece(1, "b", "go"),
        CallPiece(0, arguments="}"),
        CallPiece(2, "c", "f", "{}"),
    ]
    reply = Reply("", "m", "tool_calls", Usage(1, 1), 0.0)
    chunks = [Chunk(b"", "anthropic", "m", (Delta(calls=(piece,)),)) for piece in said]
    chunks.append(Chunk(b"", "anthropic", "m", (Delta(finish_reason="tool_calls"),)))
    heard_chunks, read = read_by(OPENAI, streamed(OPENAI, chunks, reply, BINDING, -1), [])
    assert [call.id for call in read.tool_calls] == ["a", "b", "c"]
    told = response_streamed(streamed(RESPONSES, heard_chunks, read, BINDING, -1))
    assert [call.id for call in response_read(told).tool_calls] == ["a", "b", "c"]
