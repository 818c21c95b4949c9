"""What lies in examples/, run as a user would: the proxy in front of Firstpass, and the replay of prompts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import FORECAST, live_key, need, play
from tests.conftest import fronted, serving
from tests.scenes import Scene, Stage

EXAMPLES = Path(__file__).parents[2] / "examples"
PROXY = ["node", str(EXAMPLES / "node-proxy" / "server.mjs")]
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
PATH = "/v1/chat/completions"


@dataclass
class Proxied:
    client: httpx.Client
    stage: Stage


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A client with the right key of a proxy, which has the key of a front before the scripted engine."""
    need(PROXY, EXAMPLES / "node-proxy" / "node_modules")
    stage, data_dir = Stage(play()), tmp_path_factory.mktemp("proxied")
    with serving(stage.app) as engine_url, fronted(engine_url, data_dir, server={"keys": "required"}) as front:
        mine = {"PROXY_KEYS": "other,right", "PORT": "0", "PATH": os.environ["PATH"]}
        theirs = {"FIRSTPASS_URL": f"{front.base_url}/v1", "FIRSTPASS_API_KEY": live_key(data_dir)}
        with subprocess.Popen(PROXY, env=mine | theirs, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url, headers = process.stdout.readline().strip(), {"authorization": "Bearer right"}
            try:
                with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
                    yield Proxied(client, stage)
            finally:
                process.terminate()


def test_the_right_key_gets_an_answer_and_how_it_was_made(proxied: Proxied) -> None:
    response = proxied.client.post(PATH, json=CHAT)
    assert response.json()["choices"][0]["message"]["content"] == FORECAST
    assert response.headers["x-firstpass-route"] == "draft" and response.headers["x-request-id"].startswith("ex_")


@pytest.mark.parametrize("authorization", ["Bearer wrong", "Bearer", "right", "Basic right", ""])
def test_a_wrong_key_reaches_no_model(proxied: Proxied, authorization: str) -> None:
    before = len(proxied.stage.seen)
    response = proxied.client.post(PATH, json=CHAT, headers={"authorization": authorization})
    assert response.status_code == 401 and len(proxied.stage.seen) == before


def test_the_team_s_rules_come_before_the_caller_s_messages(proxied: Proxied) -> None:
    proxied.client.post(PATH, json=CHAT)
    first, *others = proxied.stage.seen[-1]["messages"]
    assert first["role"] == "system" and "Name only what the diff shows" in first["content"]
    assert others == CHAT["messages"]


def test_a_stream_passes_through(proxied: Proxied) -> None:
    response = proxied.client.post(PATH, json=CHAT | {"stream": True})
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == FORECAST
    assert response.headers["content-type"] == "text/event-stream" and response.text.endswith("data: [DONE]\n\n")


def test_an_error_passes_through_with_its_field(proxied: Proxied) -> None:
    response = proxied.client.post(PATH, json=CHAT | {"temperature": 9})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "temperature")


@pytest.mark.parametrize("body", [b"{", b"[]", b"null"])
def test_what_is_no_chat_is_refused_by_the_proxy(proxied: Proxied, body: bytes) -> None:
    assert proxied.client.post(PATH, content=body).status_code == 400


@pytest.mark.parametrize(("said", "stream"), [("silent", False), ("hold", True)])
def test_a_caller_that_leaves_the_proxy_ends_the_engine_s_work(proxied: Proxied, said: str, stream: bool) -> None:
    asked = {"messages": [{"role": "user", "content": said}], "stream": stream}
    try:
        with proxied.client.stream("POST", PATH, json=asked, timeout=1.0) as response:
            next(response.iter_raw())
    except httpx.ReadTimeout:
        assert said == "silent"
    proxied.stage.assert_dropped(said, time.time())


def test_replay_prints_outputs_with_the_least_sure_token_and_the_time(tmp_path: Path) -> None:
    def scene(body: dict[str, Any]) -> Scene:
        return Scene(status=500) if body["messages"][-1]["content"] == "two" else Scene({"content": FORECAST})

    stage = Stage(scene)
    with serving(stage.app) as engine_url, fronted(engine_url, tmp_path, server={"keys": "required"}) as front:
        environment = os.environ | {"FIRSTPASS_API_KEY": live_key(tmp_path)}

        def replayed(lines: str, *options: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, str(EXAMPLES / "replay.py"), "-", "--url", str(front.base_url), *options]
            return subprocess.run(command, input=lines, env=environment, capture_output=True, text=True, check=False)

        fine = replayed('{"prompt": "one", "max_tokens": 9}\n\n{"prompt": "three", "model": "firstpass"}\n')
        latency, lowest, route, output = fine.stdout.splitlines()[0].split("\t")
        assert fine.returncode == 0 and len(fine.stdout.splitlines()) == 2
        assert float(latency) > 0 and (lowest, route) == ('-0.250 "Rain"', "draft") and json.loads(output) == FORECAST
        assert [body["max_tokens"] for body in stage.seen if body["messages"][-1]["content"] == "one"] == [9]
        assert replayed('{"prompt": "one"}\n', "--floor", "-0.1").returncode == 1, "a token below the floor"
        failed = replayed('{"prompt": "two"}\n{"prompt": "one"}\n')
        assert failed.returncode == 1 and failed.stderr.startswith("502: ") and len(failed.stdout.splitlines()) == 1
