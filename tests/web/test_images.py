"""Which models images go to: the draft, the verifier, or the cascade where both take them; each in its own dialect."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.conftest import fronted, serving
from tests.doubles import anthropic_app, claude_says
from tests.replayed import Replayed

DATA = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
URL = f"data:image/gif;base64,{DATA}"
PICTURE = {"type": "image_url", "image_url": {"url": URL}}
BLOCK: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": DATA}}
TEXT = {"type": "text", "text": "What?"}


@dataclass
class House:
    """seen: by the draft engine, and by the verifier."""

    client: httpx.Client
    draft: list[dict[str, Any]]
    verifier: list[dict[str, Any]]

    def asked(self, model: str) -> httpx.Response:
        turns = [{"role": "user", "content": [TEXT, PICTURE]}]
        return self.client.post("/v1/chat/completions", json={"model": model, "messages": turns})


@contextmanager
def house(directory: Path, draft: bool | None, verifier: bool | None) -> Iterator[House]:
    engine, claude = Replayed(), anthropic_app(claude_says("A dot."))
    with serving(engine.app) as url, serving(claude) as other:
        told = {"dialect": "anthropic", "url": f"{other}/v1", "model": "claude", "hosted": False, "images": verifier}
        with fronted(url, directory, engine={"images": draft}, verifier=told) as client:
            yield House(client, engine.seen, claude.state.seen)


@pytest.mark.parametrize(
    ("draft", "verifier", "taken"),
    [
        (None, None, {"strong"}),
        (True, None, {"local", "strong", "firstpass"}),
        (True, False, {"local"}),
        (False, True, {"strong"}),
    ],
)
def test_images_go_where_each_model_that_may_answer_takes_them(
    tmp_path: Path, draft: bool | None, verifier: bool | None, taken: set[str]
) -> None:
    """A model of the Anthropic API takes them unless the settings say no; an engine of others' only if they say so."""
    with house(tmp_path, draft, verifier) as there:
        answers = {model: there.asked(model) for model in ("local", "strong", "firstpass")}
    assert {model for model, answer in answers.items() if answer.is_success} == taken
    refused = [answer.json()["error"] for answer in answers.values() if not answer.is_success]
    assert {error["param"] for error in refused} <= {"messages.0.content.1"}
    assert [body["messages"][0]["content"] for body in there.draft] == [[TEXT, PICTURE]] * len(taken - {"strong"})
    assert [body["messages"][0]["content"] for body in there.verifier] == [[TEXT, BLOCK]] * ("strong" in taken)


def test_the_official_clients_show_a_model_what_their_tools_read(tmp_path: Path) -> None:
    with house(tmp_path, True, True) as there:
        with anthropic.Anthropic(base_url=str(there.client.base_url), api_key="none", max_retries=0) as claude:
            use: Any = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
            result: Any = {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, BLOCK]}
            turns: Any = [("user", "Look."), ("assistant", [use]), ("user", [result])]
            said: Any = [{"role": role, "content": content} for role, content in turns]
            for model in ("local", "strong"):
                assert claude.messages.create(model=model, max_tokens=9, messages=said).content
        with openai.OpenAI(base_url=f"{there.client.base_url}/v1", api_key="none", max_retries=0) as sdk:
            call: Any = {"type": "function_call", "call_id": "t", "name": "look", "arguments": "{}"}
            output: Any = {"type": "input_image", "image_url": URL, "detail": "auto"}
            first = sdk.responses.create(
                model="local", input=[call, {"type": "function_call_output", "call_id": "t", "output": [output]}]
            )
            sdk.responses.create(model="strong", input="Sure?", previous_response_id=first.id)
    numbered = "What?[image 1 behind the results]"
    shown = [turns["messages"][-2:] for turns in there.draft]
    assert [(result["content"], user["content"]) for result, user in shown] == [
        (numbered, [PICTURE]),
        (numbered.removeprefix("What?"), [{"type": "image_url", "image_url": {"url": URL, "detail": "auto"}}]),
    ]
    assert there.verifier[0]["messages"][-1]["content"] == [result]
    (earlier,) = [block for block in there.verifier[1]["messages"][1]["content"] if block["type"] == "tool_result"]
    assert earlier["content"] == [BLOCK]
