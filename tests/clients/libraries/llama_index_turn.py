"""LlamaIndex's agent over both of OpenAI's APIs."""

from typing import Any

from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.llms.openai import OpenAI, OpenAIResponses
from task import KEY, THANKS, URL, WEATHER, Scene, Weather, task, tell, write_file


def whole(model: Any) -> Scene:
    async def scene(name: str) -> list[str]:
        agent = FunctionAgent(tools=[write_file], llm=model, streaming=False)
        memory = ChatMemoryBuffer.from_defaults(llm=model)
        return [str(await agent.run(text, memory=memory)) for text in (task(name), THANKS)]

    return scene


def streamed(model: Any) -> Scene:
    async def scene(name: str) -> str:
        events = FunctionAgent(tools=[write_file], llm=model).run(task(name)).stream_events()
        return "".join([event.delta async for event in events if isinstance(event, AgentStream)])

    return scene


def typed(model: Any) -> Scene:
    async def scene(name: str) -> Any:
        return (await model.as_structured_llm(Weather).acomplete(WEATHER)).raw.model_dump()

    return scene


models = {
    "Chat Completions": OpenAI(api_base=URL, api_key=KEY),
    "Responses": OpenAIResponses(api_base=URL, api_key=KEY),
}
tell(models, whole, streamed, typed)
