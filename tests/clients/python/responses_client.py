"""Every scene with the official `openai` package over the Responses API, whose answers can be read again."""

import json
import os
import time
from typing import Any

import openai
from pydantic import BaseModel

URL, KEY = os.environ["FIRSTPASS_BASE_URL"], os.environ["FIRSTPASS_KEY"]
client = openai.OpenAI(base_url=URL, api_key=KEY)
impatient = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}


class Weather(BaseModel):
    city: str
    degrees: int


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "local", "input": text} | more


def calls_of(response: Any) -> list[Any]:
    return [[item.name, json.loads(item.arguments)] for item in response.output if item.type == "function_call"]


def usage_of(response: Any) -> list[int]:
    return [response.usage.input_tokens, response.usage.output_tokens]


def chat() -> Any:
    answer = client.responses.create(**ask("hello"))
    return {"text": answer.output_text, "usage": usage_of(answer)}


def stream() -> Any:
    with client.responses.stream(**ask("hello")) as events:
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
        answer = events.get_final_response()
    return {"text": "".join(texts), "pieces": len(texts), "usage": usage_of(answer)}


def thought() -> Any:
    whole = client.responses.create(**ask("think"))
    with client.responses.stream(**ask("think")) as events:
        pieces = [event.delta for event in events if event.type == "response.reasoning_text.delta"]
        streamed = events.get_final_response()
    turns = [{"role": "user", "content": "think"}, *whole.output, {"role": "user", "content": "so?"}]
    again = client.responses.create(**ask("", input=turns))
    blocks = [[NAMES[item.type] for item in response.output] for response in (whole, streamed, again)]
    return {"blocks": blocks, "thoughts": [whole.output[0].content[0].text, "".join(pieces)]}


NAMES = {"reasoning": "thinking", "message": "text"}


def tools() -> Any:
    """The result goes back to the recorded response, without what was said before it."""
    first = client.responses.create(**ask("weather?", tools=[TOOL]))
    (call,) = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    answer = client.responses.create(**ask("", input=[result], tools=[TOOL], previous_response_id=first.id))
    return {"calls": calls_of(first), "after": answer.output_text}


def streamed_tools() -> Any:
    with client.responses.stream(**ask("weather?", tools=[TOOL])) as events:
        return {"calls": calls_of(events.get_final_response())}


def structured() -> Any:
    parsed = client.responses.parse(**ask("weather?"), text_format=Weather).output_parsed
    assert parsed is not None
    return parsed.model_dump()


def recalled() -> Any:
    """A conversation that the server keeps, read again and taken out of the record."""
    first = client.responses.create(**ask("hello", instructions="Be brief."))
    second = client.responses.create(**ask("and now?", previous_response_id=first.id))
    read = client.responses.retrieve(second.id)
    items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    client.responses.delete(second.id)
    return {
        "same": read.output_text == second.output_text and read.id == second.id,
        "previous": read.previous_response_id == first.id,
        "said": [item.content[0].text for item in items],
        "deleted": failing(do=lambda with_: with_.responses.retrieve(second.id))["error"],
    }


def failing(**changed: Any) -> Any:
    """What an error is as this client has it. fails: with which client. do: instead of asking."""
    fails = changed.pop("fails", impatient)
    do = changed.pop("do", lambda with_: with_.responses.create(**ask("hello") | changed))
    try:
        do(fails)
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "message": error.message}
    return "no error"


def hold() -> Any:
    held = client.responses.create(**ask("hold"), stream=True)
    for event in held:
        if event.type == "response.output_text.delta":
            return held
    raise AssertionError("the stream ended")


def crowded() -> Any:
    holding = [hold() for _ in range(2)]
    error = failing()
    for held in holding:
        held.close()
    return error


def left_before_the_first_token() -> Any:
    try:
        impatient.with_options(timeout=0.5).responses.create(**ask("silent"))
    except openai.APITimeoutError:
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
            "recalled": recalled(),
            "bad": failing(temperature=9),
            "unknown_key": failing(fails=openai.OpenAI(base_url=URL, api_key="no", max_retries=0)),
            "unknown_model": failing(model="gpt-9"),
            "broken": failing(input="broken"),
            "retried": {"text": client.responses.create(**ask("busy")).output_text},
            "left_before_the_first_token": left_before_the_first_token(),
            "left_in_the_middle": left_in_the_middle(),
            "crowded": crowded(),
        }
    )
)
