"""Pydantic AI's agent over each of the APIs that it can speak to Firstpass."""

from typing import Any

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from task import CLAUDE, GPT, HOST, KEY, THANKS, URL, WEATHER, Scene, Weather, task, tell, write_file


def whole(model: Any) -> Scene:
    async def scene(name: str) -> list[str]:
        agent = Agent(model, tools=[write_file])
        first = await agent.run(task(name))
        second = await agent.run(THANKS, message_history=first.all_messages())
        return [first.output, second.output]

    return scene


def streamed(model: Any) -> Scene:
    async def scene(name: str) -> str:
        async with Agent(model, tools=[write_file]).run_stream(task(name)) as run:
            return "".join([piece async for piece in run.stream_text(delta=True)])

    return scene


def typed(model: Any) -> Scene:
    async def scene(name: str) -> Any:
        return (await Agent(model, output_type=Weather).run(WEATHER)).output.model_dump()

    return scene


openai = OpenAIProvider(base_url=URL, api_key=KEY)
models = {
    "Chat Completions": OpenAIChatModel(GPT, provider=openai),
    "Responses": OpenAIResponsesModel(GPT, provider=openai),
    "Messages": AnthropicModel(CLAUDE, provider=AnthropicProvider(base_url=HOST, api_key=KEY)),
}
tell(models, whole, streamed, typed)
