"""Pictures and documents that a conversation has from before are no errors: a text takes their place, and is named."""

import json
from typing import Any

import pytest
from starlette.datastructures import Headers

from firstpass.dialect.anthropic import read_request as anthropic
from firstpass.dialect.openai import read_request as openai
from firstpass.dialect.openai.read_request import Caller
from firstpass.dialect.responses import read_request as responses
from firstpass.errors import BadAsk
from firstpass.exchange import Ask, Exchange
from firstpass.house import House

HOUSE = House({"local": "local"}, {}, "local-only")
CALLER = Caller(Headers({}), None)
SCREEN = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PAPER = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}
NOTES = {"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "Buy."}}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "read", "input": {}}]}
IMAGE = "[an image was here; this model reads text alone]"


def messages(*turns: Any) -> Ask:
    body = {"model": "local", "max_tokens": 9, "messages": list(turns)}
    return anthropic.messages(json.dumps(body).encode(), CALLER, HOUSE)


def chat(*turns: Any) -> Ask:
    return openai.chat(json.dumps({"model": "local", "messages": list(turns)}).encode(), CALLER, HOUSE)


async def response(*items: Any) -> Ask:
    async def recall(exchange_id: str, key: str | None) -> Exchange:
        raise AssertionError(exchange_id)

    body = json.dumps({"model": "local", "input": list(items)}).encode()
    return await responses.responses(body, CALLER, HOUSE, recall, 10_000)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_what_a_tool_read_is_history_in_the_newest_turn_too() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("shot.png"), SCREEN, PAPER]}
    ask = messages(user(text("look")), USE, user(result))
    assert ask.messages[-1].content == f"shot.png\n{IMAGE}\n[a document was here; this model reads text alone]"
    assert ask.ignored == ("messages.2.content.0.content.1", "messages.2.content.0.content.2")


def test_an_earlier_picture_is_history_and_a_new_one_is_an_error() -> None:
    ask = messages(user(SCREEN, text("what?")), {"role": "assistant", "content": "A cat."}, user(text("sure?")))
    assert ask.messages[0].content == f"{IMAGE}\nwhat?" and ask.ignored == ("messages.0.content.0",)
    with pytest.raises(BadAsk, match="image is not supported; this model reads text alone") as error:
        messages(user(text("and this?"), SCREEN))
    assert error.value.failure.param == "messages.0.content.1"


def test_a_document_of_plain_text_is_that_text() -> None:
    ask = messages(user(NOTES, text("Sum it up.")))
    assert ask.messages[0].content == "Notes\n\nBuy.\nSum it up." and ask.ignored == ()


def test_parts_of_a_chat_likewise() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    turns = [
        user(text("a"), picture),
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [picture]},
    ]
    ask = chat(*turns, user(text("b")))
    assert [message.content for message in ask.messages] == [f"a{IMAGE}", "", IMAGE, "b"]
    assert ask.ignored == ("messages.0.content.1", "messages.2.content.0")
    with pytest.raises(BadAsk) as error:
        chat(*turns)
    assert error.value.failure.param == "messages.0.content.1"


async def test_items_of_a_response_likewise() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
    said = {"type": "input_text", "text": "a"}
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": [picture]}
    ask = await response(user(said, picture), call, output, user(said))
    assert [message.content for message in ask.messages] == [f"a{IMAGE}", "", IMAGE, "a"]
    assert ask.ignored == ("input.0.content.1", "input.2.output.0")
    with pytest.raises(BadAsk, match="reads text alone"):
        await response(user(picture))


@pytest.mark.parametrize("odd", [1, "x", None, [1], [None], [{"role": "user"}], [{"role": "user", "content": [1]}]])
def test_no_shape_of_a_body_makes_it_raise_anything_else(odd: Any) -> None:
    for parse, body in (
        (openai.chat, {"model": "local", "messages": odd}),
        (anthropic.messages, {"model": "local", "max_tokens": 9, "messages": odd}),
    ):
        with pytest.raises(BadAsk):
            parse(json.dumps(body).encode(), CALLER, HOUSE)
