"""Every scene with the official `anthropic` package."""

import json
import os
import time
from typing import Any

import anthropic
from pydantic import BaseModel

URL, KEY = os.environ["FIRSTPASS_BASE_URL"].removesuffix("/v1"), os.environ["FIRSTPASS_KEY"]
client = anthropic.Anthropic(base_url=URL, api_key=KEY)
impatient = anthropic.Anthropic(base_url=URL, auth_token=KEY, max_retries=0)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "weather", "input_schema": SCHEMA}


class Weather(BaseModel):
    city: str
    degrees: int


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "local", "max_tokens": 200, "messages": [{"role": "user", "content": text}]} | more


def calls_of(message: Any) -> list[Any]:
    return [[block.name, block.input] for block in message.content if block.type == "tool_use"]


def usage_of(message: Any) -> list[int]:
    return [message.usage.input_tokens, message.usage.output_tokens]


def chat() -> Any:
    answer = client.messages.create(**ask("hello", diagnostics={"previous_message_id": None}))
    return {"text": answer.content[0].text, "usage": usage_of(answer)}


def stream() -> Any:
    with client.messages.stream(**ask("hello")) as events:
        texts = list(events.text_stream)
        answer = events.get_final_message()
    return {"text": "".join(texts), "pieces": len(texts), "usage": usage_of(answer)}


def thought() -> Any:
    whole = client.messages.create(**ask("think"))
    with client.messages.stream(**ask("think")) as events:
        pieces = [event.thinking for event in events if event.type == "thinking"]
        streamed = events.get_final_message()
    turns = [*ask("think")["messages"], said(whole), *ask("so?")["messages"]]
    again = client.messages.create(**ask("", messages=turns))
    blocks = [[block.type for block in message.content] for message in (whole, streamed, again)]
    return {"blocks": blocks, "thoughts": [whole.content[0].thinking, "".join(pieces)]}


def said(message: Any) -> Any:
    return {"role": "assistant", "content": message.content}


def tools() -> Any:
    asked = ask("weather?", tools=[TOOL])
    message = client.messages.create(**asked)
    (call,) = (block for block in message.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    turns = [*asked["messages"], said(message), {"role": "user", "content": [result]}]
    answer = client.messages.create(**asked | {"messages": turns})
    return {"calls": calls_of(message), "after": answer.content[0].text}


def streamed_tools() -> Any:
    with client.messages.stream(**ask("weather?", tools=[TOOL])) as events:
        return {"calls": calls_of(events.get_final_message())}


def structured() -> Any:
    parsed = client.messages.parse(**ask("weather?"), output_format=Weather).parsed_output
    assert parsed is not None
    return parsed.model_dump()


def models() -> Any:
    return [model.id for model in client.models.list(limit=1)]


def failing(**changed: Any) -> Any:
    """What an error is as this client has it. fails: with which client."""
    fails = changed.pop("fails", impatient)
    try:
        fails.messages.create(**ask(changed.pop("text", "hello"), **changed))
    except anthropic.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "message": error.message}
    return "no error"


def hold() -> Any:
    held = client.messages.create(**ask("hold"), stream=True)
    for event in held:
        if event.type == "content_block_delta":
            return held
    raise AssertionError("the stream ended")


def crowded() -> Any:
    holding = [hold() for _ in range(2)]
    error = failing()
    for held in holding:
        held.close()
    return error


def retried() -> Any:
    return {"text": client.messages.create(**ask("busy")).content[0].text}


def left_before_the_first_token() -> Any:
    try:
        impatient.with_options(timeout=0.5).messages.create(**ask("silent"))
    except anthropic.APITimeoutError:
        return {"left": time.time()}
    return "no timeout"


def left_in_the_middle() -> Any:
    hold().close()
    return {"left": time.time()}


print(
    json.dumps(
        {
            "chat": chat(),
            "stream": stream(),
            "thought": thought(),
            "tools": tools(),
            "streamed_tools": streamed_tools(),
            "structured": structured(),
            "counted": client.messages.count_tokens(model="local", messages=ask("hello")["messages"]).input_tokens,
            "models": models(),
            "bad": failing(max_tokens=0),
            "unknown_key": failing(fails=anthropic.Anthropic(base_url=URL, api_key="no", max_retries=0)),
            "unknown_model": failing(model="gpt-9"),
            "broken": failing(text="broken"),
            "retried": retried(),
            "left_before_the_first_token": left_before_the_first_token(),
            "left_in_the_middle": left_in_the_middle(),
            "crowded": crowded(),
        }
    )
)
