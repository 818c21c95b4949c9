"""Every scene with the official `openai` package."""

import json
import os
import time
from typing import Any

import openai
from pydantic import BaseModel

URL, KEY = os.environ["FIRSTPASS_BASE_URL"], os.environ["FIRSTPASS_KEY"]
client = openai.OpenAI(base_url=URL, api_key=KEY)
impatient = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Weather(BaseModel):
    city: str
    degrees: int


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def calls_of(message: Any) -> list[Any]:
    return [[call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls or ()]


def chat() -> Any:
    answer = client.chat.completions.create(model="local", messages=user("hello"))
    usage = answer.usage
    assert usage is not None
    return {"text": answer.choices[0].message.content, "usage": [usage.prompt_tokens, usage.completion_tokens]}


def stream() -> Any:
    texts, usage = [], None
    for chunk in client.chat.completions.create(
        model="local", messages=user("hello"), stream=True, stream_options={"include_usage": True}
    ):
        texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        usage = chunk.usage or usage
    assert usage is not None
    return {
        "text": "".join(texts),
        "pieces": len(texts),
        "usage": [usage.prompt_tokens, usage.completion_tokens],
    }


def tools() -> Any:
    messages = user("weather?")
    message = client.chat.completions.create(model="local", messages=messages, tools=[TOOL]).choices[0].message
    assert message.tool_calls
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    answer = client.chat.completions.create(model="local", messages=[*messages, message, result], tools=[TOOL])
    return {"calls": calls_of(message), "after": answer.choices[0].message.content}


def streamed_tools() -> Any:
    with client.chat.completions.stream(model="local", messages=user("weather?"), tools=[TOOL]) as events:
        message = events.get_final_completion().choices[0].message
    return {"calls": calls_of(message)}


def structured() -> Any:
    answer = client.chat.completions.parse(model="local", messages=user("weather?"), response_format=Weather)
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    return parsed.model_dump()


def embedding() -> Any:
    return client.embeddings.create(model="local", input=["a", "b"]).data[1].embedding


def models() -> Any:
    return [model.id for model in client.models.list()]


def failing(**changed: Any) -> Any:
    """What an error is as this client has it. fails: with which client."""
    fails = changed.pop("fails", impatient)
    try:
        fails.chat.completions.create(**{"model": "local", "messages": user("hello")} | changed)
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "message": error.message}
    return "no error"


def crowded() -> Any:
    holding = [client.chat.completions.create(model="local", messages=user("hold"), stream=True) for _ in range(2)]
    for held in holding:
        next(iter(held))
    error = failing()
    for held in holding:
        held.close()
    return error | {"left": time.time()}


def retried() -> Any:
    answer = client.chat.completions.create(model="local", messages=user("busy"))
    return {"text": answer.choices[0].message.content}


def left_before_the_first_token() -> Any:
    try:
        impatient.with_options(timeout=0.5).chat.completions.create(model="local", messages=user("silent"))
    except openai.APITimeoutError:
        return {"left": time.time()}
    return "no timeout"


def left_in_the_middle() -> Any:
    held = client.chat.completions.create(model="local", messages=user("hold"), stream=True)
    next(iter(held))
    held.close()
    return {"left": time.time()}


print(
    json.dumps(
        {
            "chat": chat(),
            "stream": stream(),
            "tools": tools(),
            "streamed_tools": streamed_tools(),
            "structured": structured(),
            "embedding": embedding(),
            "models": models(),
            "bad": failing(temperature=9),
            "unknown_key": failing(fails=openai.OpenAI(base_url=URL, api_key="no", max_retries=0)),
            "unknown_model": failing(model="gpt-9"),
            "broken": failing(messages=user("broken")),
            "retried": retried(),
            "left_before_the_first_token": left_before_the_first_token(),
            "left_in_the_middle": left_in_the_middle(),
            "crowded": crowded(),
        }
    )
)
