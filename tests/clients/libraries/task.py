"""What the programs beside this one share: where Firstpass is, what a library is asked, and the tool that it has.

A program plays scenes, named by an API and a kind, and prints one JSON object, a field a scene; the tests read it.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

URL, KEY = os.environ["FIRSTPASS_BASE_URL"], os.environ["FIRSTPASS_KEY"]
HOST = URL.removesuffix("/v1")
GPT, CLAUDE = "gpt-5", "claude-sonnet-4-5"
"""For libraries that have no model by default."""

WEATHER = "How is the weather in Oslo?"
THANKS = "Thank you."

Scene = Callable[[str], Awaitable[Any]]
"""Plays under a name, and gives what came of it."""


class Weather(BaseModel):
    city: str
    degrees: int


def write_file(file_path: str, content: str) -> str:
    """Writes a text file."""
    return f"{Path(file_path).write_text(content)} characters"


def task(name: str) -> str:
    return f"Write {name}.txt with the word hello."


def tell(models: dict[str, Any], *kinds: Callable[[Any], Scene]) -> None:
    """Plays a scene of each kind with each model; the models are named by their APIs."""

    async def play() -> dict[str, Any]:
        scenes = {f"{api} {kind.__name__}": kind(model) for api, model in models.items() for kind in kinds}
        return {name: await scene(name) for name, scene in scenes.items()}

    print(json.dumps(asyncio.run(play())))
