"""What engines and hosts really answer, in each dialect: the cases of tests/cases about replies, and more like them."""

import json
from typing import Any

import pytest

from tests.dialects import DONE, USER, ask, both, case, dialects, events, read, response_of
from tests.doubles import DIFF, NAMES
from tests.replayed import Replayed, call, delta, message, sse
from tests.web.conftest import Play

# tool-index-0


def _as_stream(*lists: list[dict[str, Any]]) -> bytes:
    return sse(*(delta(tool_calls=one) for one in lists), delta(finish_reason="tool_calls"), DONE)


PARALLEL = {
    "the case": sse(*case("tool-index-0")["upstream"], delta(finish_reason="tool_calls"), DONE),
    "the case, without an end of its choice": sse(*case("tool-index-0")["upstream"], DONE),
    "in pieces": _as_stream(
        [call(index=0, id="call_a", name="w", arguments="")],
        [call(index=0, arguments='{"c"')],
        [call(index=0, arguments=":1}")],
        [call(index=0, id="call_b", name="w", arguments="")],
        [call(index=0, arguments='{"c":2}')],
    ),
    "without numbers": _as_stream(
        [call(id="call_a", name="w", arguments='{"c":1}'), call(id="call_b", name="w", arguments='{"c":2}')]
    ),
    "interleaved": _as_stream(
        [call(index=0, id="call_a", name="w"), call(index=1, id="call_b", name="w")],
        [call(index=1, arguments='{"c":'), call(index=0, arguments='{"c"')],
        [call(index=0, arguments=":1}"), call(index=1, arguments="2}")],
    ),
    "with ids and names that are said again": _as_stream(
        [call(index=0, id="call_a", name="w", arguments='{"c"')],
        [call(index=0, id="call_a", name="w", arguments=":1}")],
        [call(index=0, id="call_b", name="w", arguments='{"c":2}')],
    ),
}


@dialects
@pytest.mark.parametrize("kind", list(PARALLEL))
def test_calls_that_all_have_the_number_0_are_two_calls(play: Play, kind: str, dialect: str) -> None:
    with play(Replayed(PARALLEL[kind])) as client:
        response = ask(client, dialect, stream=True)
    found = read(response, dialect, stream=True)
    assert [(name, json.loads(arguments)) for name, arguments in found["calls"]] == [("w", {"c": 1}), ("w", {"c": 2})]
    if dialect == "responses":
        done = [one for one in events(response) if one["type"] == "response.function_call_arguments.done"]
        assert len({one["output_index"] for one in done}) == 2 == len({one["item_id"] for one in done})


def _claude(*sent: dict[str, Any], reason: str = "tool_use", stops: bool = True) -> bytes:
    usage = {"input_tokens": 1, "output_tokens": 1}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": usage}
    end = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
    told = [{"type": "message_start", "message": whole}, *sent, end, *([{"type": "message_stop"}] if stops else [])]
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in told).encode()


def _use(number: int | None, call_id: str, written: str | None, **more: Any) -> list[dict[str, Any]]:
    at = {} if number is None else {"index": number}
    block = {"type": "tool_use", "id": call_id, "name": "w"} | more
    piece = {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": written}} | at
    start = {"type": "content_block_start", "content_block": block} | at
    return [start, *([piece] if written is not None else []), {"type": "content_block_stop"} | at]


@dialects
@pytest.mark.parametrize("numbers", [(0, 0), (None, None), (0, 1), (5, 3)])
def test_an_anthropic_tier_s_blocks_are_told_apart_too(play: Play, numbers: Any, dialect: str) -> None:
    first, second = numbers
    stream = _claude(*_use(first, "a", '{"c":1}', input={}), *_use(second, "b", '{"c":2}', input={}))
    with play(Replayed(stream)) as client:
        found = read(ask(client, dialect, stream=True, model="strong"), dialect, stream=True)
    assert [(name, json.loads(arguments)) for name, arguments in found["calls"]] == [("w", {"c": 1}), ("w", {"c": 2})]


# no-done

SAID = delta(role="assistant", content="hi")
COUNT = {"model": "replayed", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@dialects
@pytest.mark.parametrize(
    "stream",
    [
        sse(SAID, delta(finish_reason="stop")),
        sse(SAID, delta(finish_reason="stop"), COUNT),
        sse(SAID, COUNT, delta(finish_reason="stop")),
        sse(SAID, delta(finish_reason="stop")).rstrip(),
        sse(delta(content="hi", finish_reason="stop")),
        sse(SAID, delta(finish_reason="stop")) + b'data: {"mod',
        sse(SAID, delta(finish_reason="stop")) + b": bye\n\n",
    ],
)
def test_a_stream_that_ends_after_its_reason_is_whole(play: Play, stream: bytes, dialect: str) -> None:
    assert case("no-done")["upstream"][-1] == "end of stream, no [DONE]"
    with play(Replayed(stream)) as client:
        response = ask(client, dialect, stream=True)
    found = read(response, dialect, stream=True)
    assert (found["text"], found["reason"]) == (
        "hi",
        {"chat": "stop", "messages": "end_turn"}.get(dialect, "completed"),
    )
    assert dialect != "chat" or (response.text.endswith("data: [DONE]\n\n") and response.text.count(DONE) == 1)


@dialects
@pytest.mark.parametrize("stream", [sse(SAID), sse(SAID, COUNT), sse(SAID, delta(content="!")), sse(SAID)[:-3]])
def test_a_stream_that_ends_without_one_is_broken_off(play: Play, stream: bytes, dialect: str) -> None:
    with play(Replayed(stream)) as client:
        text = ask(client, dialect, stream=True).text
    assert "stream broke off" in text and DONE not in text and "message_stop" not in text


@dialects
@pytest.mark.parametrize("ends", [True, False])
def test_a_connection_that_breaks_after_the_reason_has_lost_nothing(play: Play, ends: bool, dialect: str) -> None:
    stream = sse(SAID, *([delta(finish_reason="stop")] if ends else []))
    with play(Replayed(stream, breaks=True)) as client:
        response = ask(client, dialect, stream=True)
    if ends:
        assert read(response, dialect, stream=True)["text"] == "hi"
    else:
        assert "broke" in response.text


def test_of_several_choices_each_has_to_end(play: Play) -> None:
    said = [delta(number, content="hi") for number in (0, 1)]
    for ends, whole in ([0], False), ([1, 0], True):
        stream = sse(*said, *(delta(number, finish_reason="stop") for number in ends))
        with play(Replayed(stream)) as client:
            text = ask(client, "chat", stream=True, n=2).text
        assert ("stream broke off" not in text) == whole


@dialects
@pytest.mark.parametrize(("reason", "whole"), [("end_turn", True), (None, False)])
def test_an_anthropic_stream_without_its_last_event_too(play: Play, reason: Any, whole: bool, dialect: str) -> None:
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "hi"}}
    stream = _claude(block, {"type": "content_block_stop", "index": 0}, reason=reason, stops=False)
    with play(Replayed(stream)) as client:
        response = ask(client, dialect, stream=True, model="strong")
    if whole:
        assert read(response, dialect, stream=True)["text"] == "hi"
    else:
        assert "stream broke off" in response.text


# data-comment


@dialects
@pytest.mark.parametrize(
    "odd", [*case("data-comment")["upstream"], ": ping", "data:", "event: ping", "id: 3", "retry: 1"]
)
def test_what_says_nothing_in_a_stream_is_ignored(play: Play, odd: str, dialect: str) -> None:
    noise = f"{odd}\n\n".encode()
    stream = noise + sse(SAID) + noise + sse(delta(finish_reason="stop")) + noise + sse(DONE) + noise
    with play(Replayed(stream)) as client:
        response = ask(client, dialect, stream=True)
    assert read(response, dialect, stream=True)["text"] == "hi" and f"{odd}\n\n" not in response.text


# refusal-lost

CANT = case("refusal-lost")["upstream"][0]
REFUSED = {
    "chat": ("", "I can't", "stop"),
    "messages": ("I can't", "", "refusal"),
    "responses": ("", "I can't", "completed"),
}


@both
@dialects
@pytest.mark.parametrize("begun", [{"content": None}, {"content": ""}, {}])
def test_a_refusal_is_said_in_the_words_of_each_dialect(play: Play, stream: bool, dialect: str, begun: Any) -> None:
    assert json.loads(CANT)["message"]["refusal"] == "I can't"
    pieces = [
        delta(role="assistant", **begun),
        delta(refusal="I "),
        delta(refusal="can't"),
        delta(finish_reason="stop"),
    ]
    engine = Replayed(sse(*pieces, DONE), message(**begun, refusal="I can't"))
    with play(engine) as client:
        response = ask(client, dialect, stream=stream)
        found = read(response, dialect, stream=stream)
        if dialect == "responses":
            again = client.get(
                f"/v1/responses/{(events(response)[-1]['response'] if stream else response.json())['id']}"
            )
            assert response_of(again.json()) == found, "from the record"
    assert (found["text"], found["refusal"], found["reason"]) == REFUSED[dialect]
    if stream and dialect == "responses":
        kinds = [event["type"] for event in events(response)]
        deltas = [event["delta"] for event in events(response) if event["type"] == "response.refusal.delta"]
        assert (
            deltas == ["I ", "can't"] and "response.refusal.done" in kinds and "response.output_text.done" not in kinds
        )


@both
def test_a_refusal_after_some_text_is_a_message_of_its_own(play: Play, stream: bool) -> None:
    pieces = [delta(content="Well. "), delta(refusal="No."), delta(finish_reason="stop")]
    with play(Replayed(sse(*pieces, DONE), message(content="Well. ", refusal="No."))) as client:
        response = ask(client, "responses", stream=stream)
        told = read(ask(client, "messages", stream=stream), "messages", stream=stream)
    body = events(response)[-1]["response"] if stream else response.json()
    assert [item["content"][0]["type"] for item in body["output"]] == ["output_text", "refusal"]
    assert len({item["id"] for item in body["output"]}) == 2 and (told["text"], told["reason"]) == (
        "Well. No.",
        "refusal",
    )


@both
@dialects
def test_a_filter_s_end_is_told_too(play: Play, stream: bool, dialect: str) -> None:
    engine = Replayed(sse(SAID, delta(finish_reason="content_filter"), DONE), message("content_filter", content="hi"))
    with play(engine) as client:
        found = read(ask(client, dialect, stream=stream), dialect, stream=stream)
    reasons = {"chat": "content_filter", "messages": "refusal", "responses": "incomplete"}
    assert (found["text"], found["reason"]) == ("hi", reasons[dialect])


@both
@dialects
def test_claude_s_refusal_keeps_its_text_and_why(play: Play, stream: bool, dialect: str) -> None:
    why = {"type": "refusal", "category": "cyber", "explanation": "It may do harm."}
    block = {"type": "text", "text": "Well."}
    whole = {"type": "message", "id": "m", "role": "assistant", "model": "claude", "content": [block]}
    whole |= {"stop_reason": "refusal", "stop_details": why, "usage": {"input_tokens": 1, "output_tokens": 1}}
    raw = _claude({"type": "content_block_start", "index": 0, "content_block": block}, reason="refusal")
    raw = raw.replace(b'"stop_sequence": null', b'"stop_sequence": null, "stop_details": ' + json.dumps(why).encode())
    with play(Replayed(raw, whole)) as client:
        found = read(ask(client, dialect, stream=stream, model="strong"), dialect, stream=stream)
    reasons = {"chat": "content_filter", "messages": "refusal", "responses": "incomplete"}
    assert (found["text"], found["reason"]) == ("Well.", reasons[dialect])
    assert found["refusal"] == ("" if dialect == "messages" else "It may do harm.")


# empty-arguments


@both
@dialects
@pytest.mark.parametrize(
    "arguments", [{"arguments": ""}, {"arguments": None}, {}, {"arguments": "  "}, {"arguments": {}}]
)
def test_a_call_without_arguments_is_made_with_none(play: Play, stream: bool, dialect: str, arguments: Any) -> None:
    assert case("empty-arguments")["upstream"] == ['tool call with arguments ""']
    one = call(id="call_a", name="w", **arguments)
    engine = Replayed(_as_stream([one | {"index": 0}]), message("tool_calls", content=None, tool_calls=[one]))
    with play(engine) as client:
        response = ask(client, dialect, stream=stream)
    assert read(response, dialect, stream=stream)["calls"] == [("w", "{}")]
    if stream and dialect == "responses":
        pieces = [event["delta"] for event in events(response) if event["type"].endswith("arguments.delta")]
        (added,) = (event["item"] for event in events(response) if event["type"] == "response.output_item.added")
        assert "".join(pieces) == "{}" and added["arguments"] == "", "clients add the pieces to what began"


@both
@dialects
@pytest.mark.parametrize("given", [{"input": None}, {}, {"input": ""}, {"input": {}}])
def test_so_is_one_of_an_anthropic_tier(play: Play, stream: bool, dialect: str, given: Any) -> None:
    whole = {"type": "message", "id": "m", "role": "assistant", "model": "claude", "stop_reason": "tool_use"}
    whole |= {"content": [{"type": "tool_use", "id": "a", "name": "w"} | given]}
    whole |= {"usage": {"input_tokens": 1, "output_tokens": 1}}
    with play(Replayed(_claude(*_use(0, "a", None, **given)), whole)) as client:
        found = read(ask(client, dialect, stream=stream, model="strong"), dialect, stream=stream)
    assert found["calls"] == [("w", "{}")]


@pytest.mark.parametrize("arguments", [{"arguments": ""}, {"arguments": None}, {}])
def test_a_call_that_is_sent_back_without_arguments_reaches_the_engine_with_none(play: Play, arguments: Any) -> None:
    engine = Replayed()
    function = {"type": "function", "id": "a", "function": {"name": "w"} | arguments}
    use = {"type": "tool_use", "id": "a", "name": "w"} | ({"input": arguments["arguments"]} if arguments else {})
    item = {"type": "function_call", "call_id": "a", "name": "w"} | arguments
    output = {"type": "function_call_output", "call_id": "a", "output": "1"}
    result = [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]
    turns = [*USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": result}]
    chat = [
        *USER,
        {"role": "assistant", "tool_calls": [function]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]
    with play(engine) as client:
        for sent in (
            ask(client, "chat", stream=False, messages=chat),
            ask(client, "messages", stream=False, messages=turns),
            ask(client, "responses", stream=False, input=[*USER, item, output]),
        ):
            assert sent.status_code == 200, sent.text
    for body in engine.seen:
        (made,) = (one for turn in body["messages"] for one in turn.get("tool_calls", ()))
        assert made["function"] == {"name": "w", "arguments": "{}"}


# logprob-bytes

HALF = {"token": "\ufffd", "logprob": -0.5, "bytes": [195]}
TOKENS = {
    "content": [HALF | {"top_logprobs": [HALF, {"token": "a", "logprob": -1.0}]}, {"token": "b", "logprob": -0.1}]
}


def _sure(text: str) -> Replayed:
    whole, chunk = message(content=text), delta(content=text)
    for said in (whole, chunk):
        said["choices"][0]["logprobs"] = TOKENS
    return Replayed(sse(chunk, delta(finish_reason="stop"), DONE), whole)


def _assert_spelt(tokens: Any, unknown: Any) -> None:
    first, second = tokens
    assert first["bytes"] == [195] and [one["bytes"] for one in first["top_logprobs"]] == [[195], unknown]
    assert (second["token"], second["bytes"], second["top_logprobs"]) == ("b", unknown, [])


@both
def test_half_a_character_keeps_its_bytes_and_none_are_made_up(play: Play, stream: bool) -> None:
    assert case("logprob-bytes")["upstream"] == ["token \\ufffd bytes [195]"]
    asked = {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    with play(_sure("\ufffdb")) as client:
        response = ask(client, "responses", stream=stream, **asked)
        assert response.status_code == 200, response.text
        body = events(response)[-1]["response"] if stream else response.json()
        again = client.get(f"/v1/responses/{body['id']}").json()
    _assert_spelt(body["output"][0]["content"][0]["logprobs"], [])
    assert [one["bytes"] for one in again["output"][0]["content"][0]["logprobs"]] == [[195], []], "in the record"


@both
def test_so_does_one_of_a_checked_answer(play: Play, stream: bool) -> None:
    """A chat that a contract has checked is written anew from the reply."""
    asked = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}], "stream": stream}
    asked |= {"firstpass": {"contract": "pr-summary@3"}, "logprobs": True, "top_logprobs": 2}
    with play(_sure(NAMES)) as client:
        response = client.post("/v1/chat/completions", json=asked)
    choices = (
        [choice for event in events(response) for choice in event["choices"]] if stream else response.json()["choices"]
    )
    _assert_spelt(next(choice["logprobs"] for choice in choices if choice.get("logprobs"))["content"], None)


@pytest.mark.parametrize("odd", [[256], [-1], [True], ["a"], "YQ==", 3])
def test_bytes_that_are_none_are_a_failure(play: Play, odd: Any) -> None:
    engine = _sure("hi")
    engine.whole["choices"][0]["logprobs"] = {"content": [HALF | {"bytes": odd}]}
    with play(engine) as client:
        assert ask(client, "chat", stream=False, logprobs=True).status_code == 502
