"""LangChain's agent over each of the APIs that it can speak to Firstpass."""

from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from task import CLAUDE, HOST, KEY, THANKS, URL, WEATHER, Scene, Weather, task, tell, write_file


def asked(text: str, history: Any = ()) -> Any:
    return {"messages": [*history, {"role": "user", "content": text}]}


def whole(model: Any) -> Scene:
    async def scene(name: str) -> list[str]:
        agent = create_agent(model, [write_file])
        first = (await agent.ainvoke(asked(task(name))))["messages"]
        second = (await agent.ainvoke(asked(THANKS, first)))["messages"]
        return [first[-1].text, second[-1].text]

    return scene


def streamed(model: Any) -> Scene:
    async def scene(name: str) -> str:
        pieces = create_agent(model, [write_file]).astream(asked(task(name)), stream_mode="messages")
        return "".join([piece.text async for piece, _ in pieces if piece.type == "AIMessageChunk"])

    return scene


def typed(model: Any) -> Scene:
    async def scene(name: str) -> Any:
        answer = await create_agent(model, response_format=Weather).ainvoke(asked(WEATHER))
        return answer["structured_response"].model_dump()

    return scene


models = {
    "Chat Completions": ChatOpenAI(base_url=URL, api_key=KEY),
    "Responses": ChatOpenAI(base_url=URL, api_key=KEY, use_responses_api=True),
    "Messages": ChatAnthropic(model=CLAUDE, base_url=HOST, api_key=KEY),
}
tell(models, whole, streamed, typed)
