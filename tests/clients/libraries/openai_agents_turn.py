"""The OpenAI Agents SDK with its default model, over the API that is its default and over Chat Completions."""

import os
from typing import Any

from task import KEY, THANKS, URL, WEATHER, Scene, Weather, task, tell, write_file

os.environ |= {"OPENAI_BASE_URL": URL, "OPENAI_API_KEY": KEY}

from agents import Agent, Runner, function_tool, set_default_openai_api

WRITER = Agent(name="writer", tools=[function_tool(write_file)])
REPORTER = Agent(name="reporter", output_type=Weather)


def whole(api: Any) -> Scene:
    async def scene(name: str) -> list[Any]:
        set_default_openai_api(api)
        first = await Runner.run(WRITER, task(name))
        second = await Runner.run(WRITER, [*first.to_input_list(), {"role": "user", "content": THANKS}])
        return [first.final_output, second.final_output]

    return scene


def streamed(api: Any) -> Scene:
    async def scene(name: str) -> str:
        set_default_openai_api(api)
        events = Runner.run_streamed(WRITER, task(name)).stream_events()
        raw = [event.data async for event in events if event.type == "raw_response_event"]
        return "".join(event.delta for event in raw if event.type == "response.output_text.delta")

    return scene


def typed(api: Any) -> Scene:
    async def scene(name: str) -> Any:
        set_default_openai_api(api)
        return (await Runner.run(REPORTER, WEATHER)).final_output.model_dump()

    return scene


tell({"Responses": "responses", "Chat Completions": "chat_completions"}, whole, streamed, typed)
