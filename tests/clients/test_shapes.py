"""Requests of coding tools, verbatim: each file in shapes/ says where its shape was seen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import FORECAST
from tests.conftest import fronted, serving
from tests.scenes import Scene, Stage, last_said

SHAPES = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).with_name("shapes").glob("*.json"))}


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(lambda body: Scene({"content": FORECAST}))


@pytest.fixture(scope="module")
def client(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(stage.app) as url, fronted(url, tmp_path_factory.mktemp("shapes")) as front:
        yield front


@pytest.mark.parametrize("name", SHAPES)
def test_a_tool_s_request_is_answered_or_refused_by_name(client: httpx.Client, stage: Stage, name: str) -> None:
    shape = SHAPES[name]
    response = client.post(shape["path"], json=shape["body"], headers=shape["headers"])
    assert response.status_code == shape.get("status", 200), response.text
    if "param" in shape:
        assert response.json()["error"]["param"] == shape["param"]
        return
    assert said(response) == FORECAST
    sent, got = shape["body"], stage.seen[-1]
    assert last_said(got) == last_said(sent), "the engine was asked what the caller asked"
    for field in ("tools", "temperature", "stop", "max_tokens"):
        assert got.get(field) == sent.get(field), field


def said(response: httpx.Response) -> str:
    if not response.headers["content-type"].startswith("text/event-stream"):
        return text_of(response.json()["choices"][0])
    assert response.text.endswith("data: [DONE]\n\n")
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return "".join(text_of(choice) for event in events for choice in event["choices"])


def text_of(choice: dict[str, Any]) -> str:
    return choice["text"] if "text" in choice else choice.get("delta", choice.get("message")).get("content") or ""
