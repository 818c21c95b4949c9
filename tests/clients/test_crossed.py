"""A caller of one dialect before a verifier of another, on `strong` and the cascade: official clients, real HTTP."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from starlette.responses import JSONResponse, Response

from tests.clients.conftest import FORECAST, called
from tests.conftest import fronted, serving
from tests.doubles import DIFF, FLAT_TOOL, NAMES, STRAYS, anthropic_app, claude_judges, judges
from tests.scenes import USAGE, Scene, Stage, last_said

COUNTED = (USAGE["prompt_tokens"], USAGE["completion_tokens"])
"""The Anthropic double counts as many: 7 read, 3 and 1 of a cache, 13 written."""

STEERED = {"x-firstpass-contract": "pr-summary@3"}
FAULTS = {
    "busy": (429, "slow down"),
    "broken": (500, "planned"),
    "long": (400, "prompt is too long: 9 tokens > 5 maximum"),
}
SCHEMA = FLAT_TOOL["parameters"]


@dataclass
class Said:
    """What a client made of an answer. route: how it was made, where the answer itself says so."""

    text: str
    usage: tuple[int, int] | None
    calls: list[tuple[str, dict[str, Any]]]
    route: str | None


def route_of(answer: Any) -> str | None:
    how: dict[str, Any] = (answer.model_extra or {}).get("firstpass") or {}
    return how.get("route")


class Messages:
    """The official client of the Anthropic API."""

    failure: type[Exception] = anthropic.APIStatusError

    def __init__(self, url: str) -> None:
        self.sdk = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)

    def ask(self, text: str, model: str, stream: bool, tools: bool, headers: dict[str, str]) -> Said:
        asked: dict[str, Any] = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": text}]}
        if tools:
            asked |= {"tools": [{"name": "weather", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}}
        if stream:
            with self.sdk.messages.stream(**asked, extra_headers=headers) as events:
                answer: Any = events.get_final_message()
        else:
            answer = self.sdk.messages.create(**asked, extra_headers=headers)
        said = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        assert answer.stop_reason == ("tool_use" if calls else "end_turn")
        return Said(said, (answer.usage.input_tokens, answer.usage.output_tokens), calls, route_of(answer))


class Chats:
    """The official client of the OpenAI API, over chat completions."""

    failure: type[Exception] = openai.APIStatusError

    def __init__(self, url: str) -> None:
        self.sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    def ask(self, text: str, model: str, stream: bool, tools: bool, headers: dict[str, str]) -> Said:
        asked: dict[str, Any] = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": text}]}
        if tools:
            function = {"name": "weather", "parameters": SCHEMA}
            asked |= {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}
        if stream:
            counted = {"include_usage": True}
            with self.sdk.chat.completions.stream(**asked, stream_options=counted, extra_headers=headers) as events:
                answer: Any = events.get_final_completion()
        else:
            answer = self.sdk.chat.completions.create(**asked, extra_headers=headers)
        (choice,) = answer.choices
        made = choice.message.tool_calls or ()
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in made]
        assert choice.finish_reason == ("tool_calls" if calls else "stop")
        usage = answer.usage
        counts = (usage.prompt_tokens, usage.completion_tokens) if usage else None
        return Said(choice.message.content or "", counts, calls, route_of(answer))


class Responses:
    """The same client over the Responses API."""

    failure: type[Exception] = openai.APIStatusError

    def __init__(self, url: str) -> None:
        self.sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    def ask(self, text: str, model: str, stream: bool, tools: bool, headers: dict[str, str]) -> Said:
        asked: dict[str, Any] = {"model": model, "input": text, "max_output_tokens": 500}
        if tools:
            asked |= {"tools": [FLAT_TOOL], "tool_choice": "required"}
        if stream:
            with self.sdk.responses.stream(**asked, extra_headers=headers) as events:
                answer: Any = events.get_final_response()
        else:
            answer = self.sdk.responses.create(**asked, extra_headers=headers)
        made = [item for item in answer.output if item.type == "function_call"]
        calls = [(call.name, json.loads(call.arguments)) for call in made]
        assert answer.status == "completed"
        usage = answer.usage
        return Said(answer.output_text, (usage.input_tokens, usage.output_tokens), calls, route_of(answer))


def openai_verifier() -> Any:
    def play(body: dict[str, Any]) -> Scene:
        said = last_said(body)
        if said in FAULTS:
            return Scene(status=FAULTS[said][0], fault=FAULTS[said][1], headers={"retry-after": "7"})
        if said.startswith("nonce: "):
            return Scene({"content": judges(NAMES)(body)})
        return Scene(called("weather"), "tool_calls") if body.get("tools") else Scene({"content": FORECAST})

    return Stage(play).app


def anthropic_verifier() -> Any:
    def blocks(body: dict[str, Any]) -> list[dict[str, Any]] | Response:
        said = body["messages"][-1]["content"][-1]["text"]
        if said in FAULTS:
            error = {"type": "error", "error": {"type": "api_error", "message": FAULTS[said][1]}}
            return JSONResponse(error, FAULTS[said][0], {"retry-after": "7"})
        if said.startswith("nonce: "):
            return claude_judges(NAMES)(body)
        call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
        return [call] if body.get("tools") else [{"type": "text", "text": FORECAST}]

    return anthropic_app(blocks)


CROSSINGS = {"messages to chats": Messages, "chats to messages": Chats, "responses to messages": Responses}


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a front before a verifier of each dialect. The draft strays from what is asked of it."""
    draft = Stage(lambda body: Scene({"content": STRAYS})).app
    verifiers = {"openai": openai_verifier(), "anthropic": anthropic_verifier()}
    with ExitStack() as stack:
        engine = stack.enter_context(serving(draft))
        fronts = {}
        for dialect, server in verifiers.items():
            url = stack.enter_context(serving(server))
            told = {"url": f"{url}/v1", "model": "big", "dialect": dialect, "api_key": "k"}
            data_dir: Path = tmp_path_factory.mktemp(dialect)
            front: httpx.Client = stack.enter_context(
                fronted(engine, data_dir, verifier=told, policy={"egress": "any"})
            )
            fronts[dialect] = str(front.base_url)
        yield fronts


@pytest.fixture(scope="module", params=CROSSINGS)
def caller(request: pytest.FixtureRequest, urls: dict[str, str]) -> Iterator[Any]:
    client = CROSSINGS[request.param](urls["openai" if request.param.endswith("chats") else "anthropic"])
    with client.sdk:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_text_and_its_counts_come_across(caller: Any, stream: bool) -> None:
    assert caller.ask("hello", "strong", stream, False, {}) == Said(FORECAST, COUNTED, [], None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_s_call_comes_across(caller: Any, stream: bool) -> None:
    assert caller.ask("weather?", "strong", stream, True, {}).calls == [("weather", {"city": "Oslo"})]


@pytest.mark.parametrize("stream", [False, True])
def test_a_draft_that_fails_its_checks_is_verified_across(caller: Any, stream: bool) -> None:
    said = caller.ask(DIFF, "firstpass", stream, False, STEERED)
    assert said.text == NAMES and (stream or said.route == "verified")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_of_the_verifier_is_the_caller_s_own_kind(caller: Any, fault: str, stream: bool) -> None:
    with pytest.raises(caller.failure) as caught:
        caller.ask(fault, "strong", stream, False, {})
    error: Any = caught.value
    assert error.status_code == {"busy": 503, "broken": 502, "long": 400}[fault]
    assert FAULTS[fault][1] in error.message
    part = error.body["error"]["part"] if isinstance(caller, Messages) else error.body["part"]
    assert part == "verifier"
    assert (error.response.headers.get("retry-after") == "7") == (fault == "busy")
