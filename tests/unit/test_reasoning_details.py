"""A thought of an assistant's message in a chat: alone, cut off, or in the pieces that OpenRouter makes of it."""

import json
from typing import Any

import pytest
from starlette.datastructures import Headers

from firstpass.chat import Message, Reasoning
from firstpass.dialect.openai import read_request
from firstpass.dialect.openai.read_request import Caller
from firstpass.errors import BadAsk
from firstpass.exchange import Ask
from firstpass.house import House

TEXT = {"type": "reasoning.text", "text": "Look ", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
MORE = TEXT | {"text": "up.", "id": None}
SUMMARY = {"type": "reasoning.summary", "summary": "Looked up.", "format": "openai-responses-v1", "index": 0}
SEALED = {"type": "reasoning.encrypted", "data": "AAEC", "id": "r1", "index": 1}
ODD: list[Any] = [{"type": "server_tool_call"}, {}, {"text": 1}]


def chat(turn: dict[str, Any]) -> Ask:
    """A chat in which that is the second of three turns."""
    user = {"role": "user", "content": "hello"}
    body = {"model": "local", "messages": [user, turn, user]}
    house = House({"local": "local"}, {}, "local-only")
    return read_request.chat(json.dumps(body).encode(), Caller(Headers({}), None), house)


def details(*pieces: Any) -> dict[str, Any]:
    return {"reasoning_details": list(pieces)}


@pytest.mark.parametrize(
    ("said", "thought", "unread"),
    [
        ({"reasoning": "Mine."}, "Mine.", []),
        ({"reasoning_content": "Mine."}, "Mine.", []),
        (details(TEXT, MORE), "Look up.", []),
        (details(SUMMARY), "Looked up.", []),
        (details(SUMMARY, SEALED), "Looked up.", [1]),
        (details(SEALED), None, [0]),
        (details(SEALED, *ODD), None, [0, 1, 2, 3]),
        ({"reasoning": "Mine."} | details(TEXT), "Mine.", []),
        ({"reasoning_content": "Mine.", "content": ""} | details(SEALED), "Mine.", [0]),
        (details() | {"content": "Sky."}, None, []),
        ({"reasoning": None, "reasoning_details": None, "content": "Sky."}, None, []),
    ],
)
def test_a_thought_comes_back_as_it_was_told_and_what_is_sealed_is_named(
    said: dict[str, Any], thought: str | None, unread: list[int]
) -> None:
    ask = chat({"role": "assistant", "content": None} | said)
    reasoning = Reasoning(thought) if thought else None
    assert ask.messages[1] == Message("assistant", said.get("content") or "", reasoning=reasoning)
    assert ask.ignored == (("messages.1.reasoning_details",) if unread else ())


@pytest.mark.parametrize("field", [{"reasoning": "Mine."}, {"reasoning_content": "Mine."}, details(TEXT)])
@pytest.mark.parametrize("role", ["user", "system"])
def test_a_thought_in_a_turn_that_no_model_wrote_is_left_out_and_named(role: str, field: dict[str, Any]) -> None:
    ask = chat({"role": role, "content": "Sky."} | field)
    assert ask.messages[1] == Message(role, "Sky.")  # type: ignore[arg-type]
    assert ask.ignored == (f"messages.1.{next(iter(field))}",)


@pytest.mark.parametrize("nothing", [{}, {"reasoning": ""}, {"reasoning_details": []}])
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_turn_without_anything_is_still_a_fault(role: str, nothing: dict[str, Any]) -> None:
    with pytest.raises(BadAsk, match=r"missing parameter: messages\.1\.content"):
        chat({"role": role, "content": None} | nothing)
