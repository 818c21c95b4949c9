"""The events of a streamed response are well formed, whatever a model does."""

import json
from collections import defaultdict
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from firstpass.chat import CallPiece, Chunk, Delta, Message, Reasoning
from firstpass.dialect.gathered import Gathered
from firstpass.dialect.responses import write_reply as response
from firstpass.dialect.responses.stream import RESPONSES, Stream
from firstpass.errors import Busy, ContextTooLong, TierFailed
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Step, Terms
from tests.open_responses import EVENT

ASK = Ask("ex_ab", 1.0, "chat", "local", "local", (Message("user", "hi"),), dialect="responses", terms=Terms())
BINDING = Step(Consult("draft", "answer", binding=True))

words = st.text(st.characters(codec="utf-8"), max_size=5)
names = st.none() | st.sampled_from(["f", "g"])
pieces = st.builds(CallPiece, st.integers(0, 2), st.none() | st.sampled_from(["c1", "c2"]), names, words)
deltas = st.builds(
    Delta,
    text=words,
    reasoning=words,
    signature=st.none() | st.just("seal"),
    redacted=st.none() | st.just("hidden"),
    calls=st.lists(pieces, max_size=2).map(tuple),
    finish_reason=st.sampled_from([None, None, "stop", "length", "tool_calls", "content_filter"]),
)


def streamed(ask: Ask, said: list[Delta]) -> tuple[list[dict[str, Any]], Reply]:
    stream, gathered, sent = Stream(ask), Gathered(), b""
    for delta in said:
        sent += stream.chunk(BINDING, Chunk(b"", "openai", "m", (gathered.add(delta, 0.1),)))
    reply = replace(gathered.reply(0.2), model="m")
    sent += stream.end(Exchange(ask, (replace(BINDING, reply=reply),), Answer(0, "draft"), 0.2))
    return events_of(sent), reply


def events_of(sent: bytes) -> list[dict[str, Any]]:
    events = []
    for block in sent.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
        EVENT.validate_python(events[-1])
    return events


@settings(max_examples=60, deadline=None)
@given(st.lists(deltas, max_size=8), st.sampled_from([None, "auto"]))
def test_any_stream_of_deltas_makes_well_formed_events(said: list[Delta], summary: str | None) -> None:
    events, reply = streamed(replace(ASK, terms=Terms(summary=summary)), said)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    output = events[-1]["response"]["output"]
    assert_items_begin_and_end(events[2:-1], output)
    assert_nothing_is_lost(events, output, reply)
    if events[-1]["type"] == "response.completed":
        state = ResponseStreamState(input_tools=omit, text_format=omit)
        for event in events:
            state.handle_event(construct_type(value=event, type_=ResponseStreamEvent))  # type: ignore[arg-type]
        assert state._completed_response is not None


def assert_items_begin_and_end(events: list[dict[str, Any]], output: list[dict[str, Any]]) -> None:
    added: dict[int, str] = {}
    done: dict[int, dict[str, Any]] = {}
    for event in events:
        index = event["output_index"]
        if event["type"] == "response.output_item.added":
            assert index == len(added) and event["item"]["status"] == "in_progress"
            added[index] = event["item"]["id"]
        elif event["type"] == "response.output_item.done":
            assert index not in done and event["item"]["id"] == added[index]
            done[index] = event["item"]
        else:
            assert event["item_id"] == added[index] and index not in done, "within its item's life"
    assert [done[index] for index in range(len(done))] == output and len(done) == len(added) > 0
    assert len(set(added.values())) == len(added)


def assert_nothing_is_lost(events: list[dict[str, Any]], output: list[dict[str, Any]], reply: Reply) -> None:
    shown: dict[str, str] = defaultdict(str)
    for event in events:
        if event["type"].endswith(".delta"):
            shown[event["item_id"]] += event["delta"]
        if event["type"].endswith("_text.done") or event["type"].endswith("arguments.done"):
            assert shown[event["item_id"]] == event.get("text", event.get("arguments"))
    texts = [part["text"] for item in output if item["type"] == "message" for part in item["content"]]
    thoughts = [item["content"] or item["summary"] for item in output if item["type"] == "reasoning"]
    calls = [item for item in output if item["type"] == "function_call"]
    assert "".join(texts) == reply.text
    assert "".join(part["text"] for parts in thoughts for part in parts) == (reply.reasoning or Reasoning("")).text
    assert sorted((call["name"], call["arguments"]) for call in calls) == sorted(
        (call.name, call.arguments) for call in reply.tool_calls
    )


def test_what_was_streamed_is_what_the_record_says() -> None:
    said = [Delta(reasoning="Hm"), Delta(text="One"), Delta(text=" two"), Delta(calls=(CallPiece(0, "c", "f", "{}"),))]
    events, reply = streamed(ASK, said)
    exchange = Exchange(ASK, (replace(BINDING, reply=reply),), Answer(0, "draft"), 0.2)
    assert events[-1]["response"] == response.of(exchange)
    official: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
    assert [official.validate_python(event).type for event in events] == [event["type"] for event in events]


def test_a_call_without_an_id_of_its_own_gets_one_by_which_its_result_can_come_back() -> None:
    calls = (CallPiece(0, None, "f", "{}"), CallPiece(1, "c", "f", "{}"), CallPiece(2, "c", "f", "{}"))
    events, reply = streamed(ASK, [Delta(calls=calls)])
    exchange = Exchange(ASK, (replace(BINDING, reply=reply),), Answer(0, "draft"), 0.2)
    output = events[-1]["response"]["output"]
    assert [item["call_id"] for item in output] == ["call_ex_ab_0", "c", "call_ex_ab_2"]
    assert response.of(exchange)["output"] == output


def test_a_held_back_answer_has_all_its_events_at_once() -> None:
    reply = Reply("All of it.", "m", "stop", None, 0.1, reasoning=Reasoning("Hm"))
    exchange = Exchange(ASK, (replace(BINDING, reply=reply),), Answer(0, "draft"), 0.2)
    events = events_of(Stream(ASK).end(exchange))
    assert events[-1]["response"] == response.of(exchange)
    assert [event["delta"] for event in events if event["type"].endswith(".delta")] == ["Hm", "All of it."]


def test_a_stream_that_fails_before_its_first_word_still_has_a_beginning() -> None:
    for error, code in (
        (TierFailed("x"), "server_error"),
        (Busy("x"), "rate_limit_exceeded"),
        (ContextTooLong("x", param="messages"), "context_length_exceeded"),
    ):
        created, _, failed = events_of(Stream(ASK).failed(error.failure))
        assert created["response"]["status"] == "in_progress" and failed["response"]["status"] == "failed"
        assert failed["response"]["error"]["code"] == code
    assert failed["response"]["error"]["param"] == "input"
    assert RESPONSES.error(error.failure, None)["error"]["param"] == "input"
