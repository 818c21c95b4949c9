"""Conversations as items of the Responses API, read into messages and written from them."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from firstpass.chat import Message, Reasoning, ToolCall
from firstpass.dialect.responses import items
from firstpass.dialect.responses.wire import Item
from firstpass.errors import BadAsk
from firstpass.exchange import Ask, Terms

ITEMS: TypeAdapter[list[Item]] = TypeAdapter(list[Item])


def read(*given: dict[str, Any], before: tuple[Message, ...] = ()) -> tuple[Message, ...]:
    return items.read(ITEMS.validate_python(list(given)), before)


def thought(text: str, seal: str | None = None) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}], "encrypted_content": seal}


def called(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}


def test_what_a_model_said_in_one_go_is_one_message() -> None:
    call = ToolCall("a", "f", "{}")
    assert read(thought("hm", "seal"), said("Wait."), called("a"), {"role": "user", "content": "ok"}) == (
        Message("assistant", "Wait.", tool_calls=(call,), reasoning=Reasoning("hm", "seal")),
        Message("user", "ok"),
    )


def test_a_new_thought_or_text_after_a_call_is_a_new_message() -> None:
    first, second, third = read(called("a"), thought("hm"), said("one"), said("two"))
    assert [call.id for call in first.tool_calls] == ["a"]
    assert (second.content, second.reasoning, third.content) == ("one", Reasoning("hm"), "two")


def test_two_thoughts_are_one_without_a_seal_and_an_empty_one_is_none() -> None:
    assert read(thought("a", "s1"), thought("b", "s2"), said("x"))[0].reasoning == Reasoning("a\n\nb")
    assert read({"type": "reasoning", "summary": []}, said("x")) == (Message("assistant", "x"),)
    content = [{"type": "reasoning_text", "text": "c"}]
    assert read(thought("summary") | {"content": content}, said("x"))[0].reasoning == Reasoning("c")


def test_a_thought_may_come_after_an_answer_without_words() -> None:
    """It was an AssertionError, and so a 500."""
    said_nothing = {"role": "assistant", "content": ""}
    assert read(said_nothing, thought("x"))[0] == Message("assistant", "", reasoning=Reasoning("x"))
    assert read(said_nothing, thought("x"), said("y"))[0].content == "y"


def test_what_only_its_maker_can_read_comes_back_as_that() -> None:
    terms = Terms(include=("reasoning.encrypted_content",))
    for kept in (Reasoning("", redacted="c2VhbA=="), Reasoning("hm", "c2VhbA==")):
        turn = Message("assistant", "x", reasoning=kept)
        ask = Ask("ex_ab", 1.0, "chat", "local", "local", (turn,), dialect="responses", terms=terms)
        assert read(*items.input_items(ask)) == (turn,)


def test_a_result_answers_a_call_that_somebody_made() -> None:
    result = {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "1"}]}
    before = Message("assistant", "", tool_calls=(ToolCall("a", "f", "{}"),))
    assert read(result, before=(before,)) == (Message("tool", "1", tool_call_id="a"),)
    with pytest.raises(BadAsk, match="no function was called as 'a'") as fault:
        read({"role": "user", "content": "x"}, result)
    assert fault.value.failure.param == "input.1.call_id"


def test_a_refusal_that_is_sent_again_is_what_was_said() -> None:
    part = {"type": "refusal", "refusal": "No."}
    assert read({"role": "assistant", "content": [part]}) == (Message("assistant", "No."),)


@pytest.mark.parametrize("summary", [None, "auto"])
def test_messages_come_back_from_their_items_as_they_were(summary: str | None) -> None:
    turn = Message("assistant", "Wait.", tool_calls=(ToolCall("a", "f", "{}"),), reasoning=Reasoning("hm", "seal"))
    messages = (Message("developer", "d"), Message("user", "u"), turn, Message("tool", "1", tool_call_id="a"))
    terms = Terms(instructed=True, summary=summary, include=("reasoning.encrypted_content",))
    asked = (Message("system", "s"), *messages)
    ask = Ask("ex_ab", 1.0, "chat", "local", "local", asked, dialect="responses", terms=terms)
    written = items.input_items(ask)
    assert read(*written) == messages
    assert len({item["id"] for item in written}) == len(written)
    assert {items.exchange_of(item["id"]) for item in written} == {"ex_ab"}


def test_an_id_that_is_not_ours_names_no_exchange() -> None:
    assert items.exchange_of("msg_0a1b") is None and items.exchange_of("rs_ex_0a_in1") == "ex_0a"
