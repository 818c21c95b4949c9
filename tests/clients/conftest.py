"""Real clients as child processes, each against a front of its own before a scripted engine that plays them scenes.

A client's program plays every scene once and prints one JSON object, a field a scene; the tests read it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firstpass.store.keys import load_pepper, mint
from firstpass.store.sqlite import SqliteStore
from tests.conftest import fronted, serving
from tests.scenes import Scene, Stage, last_said

HERE = Path(__file__).parent
NODE_MODULES = HERE / "node" / "node_modules"
OTHER_PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
"""What scripts/install --dev made from scripts/requirements/clients.txt."""

PROGRAM_SECONDS = 120.0

NOWHERE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9") | {
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
"""A proxy that leads nowhere: who heeds it can reach this machine alone."""

STRUCTURED = '{"city": "Oslo", "degrees": 7}'
FORECAST = "Rain in Oslo today."
THOUGHT = "Autumn, and the sea is near."


def commands() -> dict[str, list[str]]:
    """How each client's program is run."""
    python, node = HERE / "python", HERE / "node"
    return {
        "openai": [sys.executable, str(python / "openai_client.py")],
        "openai responses": [sys.executable, str(python / "responses_client.py")],
        "anthropic": [sys.executable, str(python / "anthropic_client.py")],
        "litellm": [str(OTHER_PYTHON), str(python / "litellm_client.py"), "openai"],
        "litellm anthropic": [str(OTHER_PYTHON), str(python / "litellm_client.py"), "anthropic"],
        "llm": [str(OTHER_PYTHON), str(python / "llm_client.py")],
        "node openai": ["node", str(node / "openai_client.mjs")],
        "node responses": ["node", str(node / "responses_client.mjs")],
        "node anthropic": ["node", str(node / "anthropic_client.mjs")],
        "node ai": ["node", str(node / "ai_client.mjs"), "chat"],
        "node ai responses": ["node", str(node / "ai_client.mjs"), "responses"],
        "node ai anthropic": ["node", str(node / "ai_client.mjs"), "messages"],
    }


def play() -> Any:
    """What the engine says, by the caller's last message. It is busy once."""
    been_busy: list[bool] = []

    def scene(body: dict[str, Any]) -> Scene:
        said = last_said(body)
        if said == "busy" and not been_busy:
            been_busy.append(True)
            return Scene(status=503, headers={"retry-after": "1"})
        if said == "broken":
            return Scene(status=500)
        if said in ("silent", "hold"):
            return Scene({"content": FORECAST}, holds="silent" if said == "silent" else "begun")
        if said == "think":
            return Scene({"reasoning": THOUGHT, "content": FORECAST})
        if body["messages"][-1]["role"] == "tool":
            return Scene({"content": FORECAST})
        if body.get("tools"):
            return Scene(called(body["tools"][0]["function"]["name"]), "tool_calls")
        if body.get("response_format"):
            return Scene({"content": STRUCTURED})
        return Scene({"content": FORECAST})

    return scene


def called(tool: str) -> dict[str, Any]:
    """The message that calls it. Another than `weather` is a client's own, to be answered in the form it wants."""
    function = {"name": tool, "arguments": '{"city": "Oslo"}' if tool == "weather" else STRUCTURED}
    return {"tool_calls": [{"id": "call_1", "type": "function", "function": function}]}


@dataclass
class Told:
    """What a client's program printed, by scene; and the engine that it was played by."""

    client: str
    scenes: dict[str, Any]
    stage: Stage


@pytest.fixture(scope="module", params=commands())
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    command, directory = commands()[request.param], tmp_path_factory.mktemp("client")
    need(command)
    few = {"in_flight_limit": 2, "waiting_limit": 0}
    stage, server = Stage(play()), {"keys": "required", "unknown_models": "refuse"} | few
    with serving(stage.app) as engine_url, fronted(engine_url, directory / "data", server=server) as front:
        key = live_key(directory / "data")
        yield Told(request.param, run(command, f"{front.base_url}/v1", key, directory), stage)


def live_key(data_dir: Path) -> str:
    key, record = mint("client", load_pepper(data_dir / "pepper"), 1.0)
    SqliteStore(data_dir / "firstpass.sqlite").add_key(record)
    return key


def need(command: list[str], modules: Path = NODE_MODULES) -> None:
    """Skips where this machine has no Node; everything else that is missing is a fault of the installation."""
    if command[0] != "node":
        assert Path(command[0]).exists(), "scripts/install --dev has not installed the clients"
    elif shutil.which("node") is None:
        pytest.skip("there is no Node.js on this machine")
    else:
        assert modules.is_dir(), f"scripts/install --dev has not installed {modules.parent.name}"


def run(command: list[str], url: str, key: str, home: Path) -> dict[str, Any]:
    """The program's scenes. Its home is empty, it is told of no other host, and it has no input."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "TMPDIR")}
    environment |= NOWHERE | {"HOME": str(home), "FIRSTPASS_BASE_URL": url, "FIRSTPASS_KEY": key}
    ran = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    scenes: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return scenes
