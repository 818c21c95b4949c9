"""Every scene with litellm as a client of the provider that the first argument names.

It is synchronous, and asynchronous where it is left in the middle.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # Else it fetches a price list when it is imported.
import litellm
import openai

litellm.telemetry = False
litellm.suppress_debug_info = True
PROVIDER = sys.argv[1]
ANTHROPIC = PROVIDER == "anthropic"
URL = os.environ["FIRSTPASS_BASE_URL"]
WHERE: dict[str, Any] = {
    "model": f"{PROVIDER}/local",
    "api_base": URL.removesuffix("/v1") if ANTHROPIC else URL,
    "api_key": os.environ["FIRSTPASS_KEY"],
    "max_retries": 0,
}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FORM = {"type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "weather", "schema": FORM}}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def ask(text: str, **more: Any) -> Any:
    return litellm.completion(**WHERE | {"messages": user(text)} | more)


def calls_of(message: Any) -> list[Any]:
    return [[call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls or ()]


def chat() -> Any:
    answer = ask("hello")
    usage = [answer.usage.prompt_tokens, answer.usage.completion_tokens]
    return {"text": answer.choices[0].message.content, "usage": usage}


def stream() -> Any:
    texts, usage = [], None
    for chunk in ask("hello", stream=True, stream_options={"include_usage": True}):
        texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        usage = getattr(chunk, "usage", None) or usage
    counted = [usage.prompt_tokens, usage.completion_tokens] if usage else None
    return {"text": "".join(texts), "pieces": len(texts), "usage": counted}


def tools() -> Any:
    message = ask("weather?", tools=[TOOL]).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    answer = ask("", messages=[*user("weather?"), message.model_dump(), result], tools=[TOOL])
    return {"calls": calls_of(message), "after": answer.choices[0].message.content}


def streamed_tools() -> Any:
    chunks = list(ask("weather?", tools=[TOOL], stream=True))
    return {"calls": calls_of(litellm.stream_chunk_builder(chunks).choices[0].message)}


def structured() -> Any:
    return json.loads(ask("weather?", response_format=FORMAT).choices[0].message.content)


def embedding() -> Any:
    return litellm.embedding(**WHERE, input=["a", "b"]).data[1]["embedding"]


def thought() -> Any:
    whole = ask("think").choices[0].message
    chunks = list(ask("think", stream=True))
    streamed = litellm.stream_chunk_builder(chunks).choices[0].message
    again = ask("", messages=[*user("think"), whole.model_dump(), *user("so?")]).choices[0].message
    told = [(message.get("reasoning_content"), message.content) for message in (whole, streamed, again)]
    blocks = [[name for name, text in zip(("thinking", "text"), pair, strict=True) if text] for pair in told]
    return {"blocks": blocks, "thoughts": [told[0][0], told[1][0]]}


def failing(text: str = "hello", **changed: Any) -> Any:
    try:
        ask(text, **changed)
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "message": str(error)}
    return "no error"


async def left_in_the_middle() -> Any:
    """Cancelled, as an asyncio server that forwards a stream would."""
    held = await litellm.acompletion(**WHERE | {"messages": user("hold")}, stream=True)
    await anext(held)
    reading = asyncio.ensure_future(anext(held))
    await asyncio.sleep(0.1)
    reading.cancel()
    left = time.time()
    await asyncio.sleep(0.5)
    return {"left": left}


def left_before_the_first_token() -> Any:
    try:
        ask("silent", timeout=0.5)
    except litellm.exceptions.Timeout:
        return {"left": time.time()}
    return "no timeout"


def retried() -> Any:
    """Its Anthropic provider leaves retries to tenacity, on which litellm does not depend."""
    return {"text": ask("busy", max_retries=2).choices[0].message.content}


def crowded() -> Any:
    holding = [ask("hold", stream=True) for _ in range(2)]
    for held in holding:
        next(held)
    return failing()


print(
    json.dumps(
        {
            "chat": chat(),
            "stream": stream(),
            "tools": tools(),
            "streamed_tools": streamed_tools(),
            "structured": structured(),
            **({"thought": thought()} if ANTHROPIC else {"embedding": embedding(), "retried": retried()}),
            "bad": failing(temperature=9),
            "unknown_key": failing(api_key="no"),
            "unknown_model": failing(model=f"{PROVIDER}/gpt-9"),
            "broken": failing("broken"),
            "left_before_the_first_token": left_before_the_first_token(),
            "left_in_the_middle": asyncio.run(left_in_the_middle()),
            "crowded": crowded(),
        }
    )
)
