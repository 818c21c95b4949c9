"""Every scene with simonw's `llm`, whose models come from the extra-openai-models.yaml in its home."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import llm
import openai
from pydantic import BaseModel

URL, KEY = os.environ["FIRSTPASS_BASE_URL"], os.environ["FIRSTPASS_KEY"]
MODELS = """
- model_id: fp
  model_name: local
  api_base: "{url}"
  api_key_name: firstpass
  supports_schema: true
  supports_tools: true
- model_id: unknown
  model_name: gpt-9
  api_base: "{url}"
  api_key_name: firstpass
"""
os.environ["LLM_USER_PATH"] = os.environ["HOME"]
(Path(os.environ["HOME"]) / "extra-openai-models.yaml").write_text(MODELS.format(url=URL))
model = llm.get_model("fp")


class Weather(BaseModel):
    city: str
    degrees: int


def weather(city: str) -> str:
    """Of a city."""
    return f"rain in {city}"


def ask(text: str, **more: Any) -> Any:
    return model.prompt(text, **{"key": KEY, "stream": False} | more)


def usage_of(response: Any) -> list[int]:
    usage = response.usage()
    return [usage.input, usage.output]


def chat() -> Any:
    response = ask("hello")
    return {"text": response.text(), "usage": usage_of(response)}


def stream() -> Any:
    response = ask("hello", stream=True)
    texts = list(response)
    return {"text": "".join(texts), "pieces": len(texts), "usage": usage_of(response)}


def chained(*, stream: bool) -> Any:
    """Its own loop: the model calls the tool, and is told what it gave."""
    called: list[Any] = []

    def note(tool: Any, call: Any) -> None:
        called.append([call.name, call.arguments])

    chain = model.chain("weather?", key=KEY, stream=stream, tools=[weather], before_call=note)
    return {"after": chain.text(), "calls": called}


def structured() -> Any:
    return json.loads(ask("weather?", schema=Weather).text())


def failing(text: str = "hello", **changed: Any) -> Any:
    try:
        llm.get_model(changed.pop("model", "fp")).prompt(text, **{"key": KEY, "stream": False} | changed).text()
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "message": str(error)}
    return "no error"


def left_in_the_middle() -> Any:
    """On the command line, with Ctrl-C: closing its iterator closes no connection.

    A child of ours heeds it even where a shell in the background has it ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "llm", "prompt", "-m", "fp", "--key", KEY, "--no-log", "hold"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        first = process.stdout.read(4).decode()
        process.send_signal(signal.SIGINT)
        left = time.time()
    return {"first": first, "left": left}


def crowded() -> Any:
    holding = [iter(ask("hold", stream=True)) for _ in range(2)]
    for pieces in holding:
        next(pieces)
    return failing()


def retried() -> Any:
    return {"text": ask("busy").text()}


print(
    json.dumps(
        {
            "chat": chat(),
            "stream": stream(),
            "tools": chained(stream=False),
            "streamed_tools": chained(stream=True),
            "structured": structured(),
            "bad": failing(presence_penalty=1.5, seed=1, max_tokens=0),
            "unknown_key": failing(key="no"),
            "unknown_model": failing(model="unknown"),
            "broken": failing("broken"),
            "retried": retried(),
            "left_in_the_middle": left_in_the_middle(),
            "crowded": crowded(),
        }
    )
)
