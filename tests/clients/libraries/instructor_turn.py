"""Objects that instructor makes of answers, by several of its ways over both of OpenAI's APIs."""

from typing import Any

import instructor
import openai
from pydantic import field_validator
from task import GPT, KEY, URL, WEATHER, Scene, Weather, tell


class Doubted(Weather):
    """Not taken before it has been said twice."""

    @field_validator("degrees")
    @classmethod
    def check(cls, degrees: int) -> int:
        heard.append(degrees)
        if len(heard) == 1:
            raise ValueError("Look again.")
        return degrees


heard: list[int] = []


def asked(kind: Any) -> Any:
    return {"model": GPT, "response_model": kind, "messages": [{"role": "user", "content": WEATHER}]}


def typed(client: Any) -> Scene:
    async def scene(name: str) -> Any:
        return (await client.create(**asked(Weather))).model_dump()

    return scene


def streamed(client: Any) -> Scene:
    async def scene(name: str) -> Any:
        return [part.model_dump() async for part in client.create_partial(**asked(Weather))][-1]

    return scene


def corrected(client: Any) -> Scene:
    async def scene(name: str) -> Any:
        heard.clear()
        return (await client.create(**asked(Doubted))).model_dump()

    return scene


here = openai.AsyncOpenAI(base_url=URL, api_key=KEY)
modes = {
    "Chat Completions, by a tool,": instructor.Mode.TOOLS,
    "Chat Completions, by JSON,": instructor.Mode.JSON,
    "Chat Completions, by a schema,": instructor.Mode.JSON_SCHEMA,
    "Responses, by a tool,": instructor.Mode.RESPONSES_TOOLS,
}
clients = {name: instructor.from_openai(here, mode=mode) for name, mode in modes.items()}
tell(clients, typed, streamed, corrected)
