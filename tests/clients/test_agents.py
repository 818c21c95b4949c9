"""Whole turns of real coding agents before a front that knows none of their models: a file is there at the end."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import HERE, live_key, need
from tests.clients.played import CLOSING, Model, both, calls, reads, writes
from tests.clients.turns import AGENTS, AIDER, MODULES, Agent, Turn, machine, run_turn
from tests.conftest import fronted, serving
from tests.scenes import Stage

TEXT = "hello\n"
LISTING = "hello.txt\n```\nhello\n```\n"
"""How aider is told of a file, since it offers no tools."""

NOTES = str(HERE / "agents" / "notes_server.py")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
UNSEEN = "[an image was here; this model reads text alone]"
WINDOW = 16_384

SHOWN: dict[str, list[str]] = {}
"""By agent, what is shown beside that it writes a file. docs/clients.md repeats it."""


def shown(agent: str, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def keep(test: Callable[..., None]) -> Callable[..., None]:
        SHOWN.setdefault(agent, []).append(what)
        return test

    return keep


@dataclass
class Desk:
    """A new home and a new repository beside it."""

    directory: Path

    def path(self, name: str) -> str:
        return str(self.directory / "work" / name)

    def turn(self, agent: Agent, model: Model, *more: str, images: bool = False) -> Turn:
        """Before a front that wants keys, that has no alias, and whose draft engine is the model.

        images: whether the model takes some.
        """
        need_agent(agent)
        home, work, data = (self.directory / name for name in ("home", "work", "data"))
        with (
            serving(Stage(model).app) as engine,
            fronted(engine, data, server={"keys": "required"}, engine={"images": images}) as front,
        ):
            model.seen.clear()
            return run_turn(agent, str(front.base_url).rstrip("/"), live_key(data), home, work, more)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / ".gitconfig").write_text("[user]\n\tname = A Person\n\temail = person@example.org\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path / "work", check=True)
    return Desk(tmp_path)


def need_agent(agent: Agent) -> None:
    if agent.program == AIDER:
        if sys.version_info >= (3, 13):
            pytest.skip("aider runs on Python up to 3.12")
        need([str(agent.program)])
    else:
        need(["node"], MODULES)
        if not agent.program.exists() and machine() != "linux-x64":
            pytest.skip(f"{agent.name} is not installed for machines of this kind")


def named(name: str) -> Agent:
    return next(agent for agent in AGENTS if agent.name == name)


def listed(body: dict[str, Any]) -> str:
    """aider's request for the file is streamed, the one for a commit message is not."""
    return LISTING if body.get("stream") else "Add a file"


@pytest.mark.parametrize("name", ["Claude Code", "opencode", "Qwen Code", "Continue"])
def test_an_agent_writes_a_file_for_a_model_that_thinks(desk: Desk, name: str) -> None:
    turn = desk.turn(named(name), Model([writes(desk.path("hello.txt"), TEXT)], thinks=True))
    turn.assert_wrote(TEXT)
    assert CLOSING in turn.said


@shown("Claude Code", "it asks a model with room for 16,384 tokens for answers of 128,000")
@shown("Claude Code", "a template that takes no system turn but the first")
def test_claude_code_before_a_strict_template_and_a_small_window(desk: Desk) -> None:
    def refuses(body: dict[str, Any]) -> str | None:
        if any(turn["role"] == "system" for turn in body["messages"][1:]):
            return "System message must be at the beginning."
        if (limit := body.get("max_tokens", 0)) > WINDOW - 1000:
            return f"maximum context length is {WINDOW} tokens: 1000 in the messages, {limit} in the completion"
        return None

    model = Model([writes(desk.path("hello.txt"), TEXT)], refuses=refuses)
    desk.turn(named("Claude Code"), model).assert_wrote(TEXT)
    refused = [refuses(body) for body in model.seen]
    assert any(refused), "Claude Code sends neither any more: nothing is shown"
    assert refused[-1] is None


@shown("Claude Code", "a conversation that is too long for the model is compacted, and goes on")
def test_claude_code_compacts_what_is_too_long(desk: Desk) -> None:
    (desk.directory / "work" / "notes.txt").write_text("a note\n" * 200)
    refused: list[dict[str, Any]] = []

    def refuses(body: dict[str, Any]) -> str | None:
        if body["messages"][-1]["role"] != "tool" or refused:
            return None
        refused.append(body)
        return f"This model's maximum context length is {WINDOW} tokens. However, your request has 20000 input tokens."

    steps = [reads(desk.path("notes.txt")), writes(desk.path("hello.txt"), TEXT)]
    model = Model(steps, lambda body: "<summary>Notes were read.</summary>", refuses)
    desk.turn(named("Claude Code"), model).assert_wrote(TEXT)
    assert refused and "Notes were read." in json.dumps(model.seen[-1]["messages"])


def seeing(name: str) -> Agent:
    """Qwen Code shows a model images only where it is told that it takes them."""
    if name != "Qwen Code":
        return named(name)
    sees = {"model": {"generationConfig": {"modalities": {"image": True}}}}
    return replace(named(name), file=(".qwen/settings.json", json.dumps(sees)))


@pytest.mark.parametrize("name", ["Claude Code", "Qwen Code"])
@shown("Claude Code", "an image that a tool read, with a model that takes images")
@shown("Qwen Code", "an image that a tool read, with a model that takes images")
def test_an_image_in_the_history_reaches_a_model_that_takes_it(desk: Desk, name: str) -> None:
    (desk.directory / "work" / "pixel.png").write_bytes(PIXEL)
    model = Model([reads(desk.path("pixel.png")), writes(desk.path("hello.txt"), TEXT)])
    desk.turn(seeing(name), model, images=True).assert_wrote(TEXT)
    parts = [part for turn in model.seen[-1]["messages"] if turn["role"] == "user" for part in turn["content"]]
    urls = [part["image_url"]["url"] for part in parts if isinstance(part, dict) and part["type"] == "image_url"]
    assert len(urls) == 1 and urls[0].startswith("data:image/")


@pytest.mark.parametrize("name", ["Claude Code", "Qwen Code"])
@shown("Claude Code", "an image that a tool read, with a model that reads text alone")
@shown("Qwen Code", "an image that a tool read, with a model that reads text alone")
def test_an_image_in_the_history_is_passed_over(desk: Desk, name: str) -> None:
    (desk.directory / "work" / "pixel.png").write_bytes(PIXEL)
    model = Model([reads(desk.path("pixel.png")), writes(desk.path("hello.txt"), TEXT)])
    desk.turn(seeing(name), model).assert_wrote(TEXT)
    results = [turn["content"] for turn in model.seen[-1]["messages"] if turn["role"] == "tool"]
    assert results[0] == UNSEEN and len(results) == 2


@shown("Codex", "its default model, for which it has a custom tool in a namespace alone; no WebSocket")
def test_codex_writes_a_file_with_its_default_model(desk: Desk) -> None:
    model = Model([writes(desk.path("hello.txt"), TEXT)], thinks=True)
    turn = desk.turn(named("Codex"), model)
    turn.assert_wrote(TEXT)
    names = [tool["function"]["name"] for tool in model.seen[0]["tools"]]
    assert "functions__exec" in names and "exec_command" not in names, "the default model has other tools now"
    assert "Reconnecting" not in turn.trouble


@shown("Codex", "another model's name, and a tool of an MCP server, called in its namespace")
def test_codex_calls_a_tool_of_an_mcp_server(desk: Desk) -> None:
    server = (f'mcp_servers.notes.command="{sys.executable}"', f'mcp_servers.notes.args=["{NOTES}"]')
    options = ("--model", "firstpass", "--config", server[0], "--config", server[1])
    model = Model([calls("mcp__notes__recall", about="hello"), writes(desk.path("hello.txt"), TEXT)])
    desk.turn(named("Codex"), model, *options).assert_wrote(TEXT)
    results = [turn["content"] for turn in model.seen[-1]["messages"] if turn["role"] == "tool"]
    assert "The note about hello says seven." in results[0] and len(results) == 2


@shown("opencode", "a thought and two calls in one streamed answer")
def test_opencode_takes_a_thought_and_two_calls_at_once(desk: Desk) -> None:
    two = both(writes(desk.path("hello.txt"), TEXT), writes(desk.path("other.txt"), TEXT))
    model = Model([two], thinks=True)
    turn = desk.turn(named("opencode"), model)
    turn.assert_wrote(TEXT)
    turn.assert_wrote(TEXT, "other.txt")
    assert [message["role"] for message in model.seen[-1]["messages"][-3:]] == ["assistant", "tool", "tool"]


@shown("Continue", "a tool of an MCP server whose schema is 24 kB long")
def test_continue_calls_a_tool_with_a_long_schema(desk: Desk) -> None:
    agent = named("Continue")
    assert agent.file is not None
    more = f"mcpServers:\n  - {{name: notes, command: {sys.executable}, args: [{NOTES}]}}\n"
    agent = replace(agent, file=(agent.file[0], agent.file[1] + more))
    model = Model([calls("recall", about="hello"), writes(desk.path("hello.txt"), TEXT)])
    desk.turn(agent, model).assert_wrote(TEXT)
    (tool,) = [tool for tool in model.seen[-1]["tools"] if tool["function"]["name"] == "recall"]
    assert len(json.dumps(tool)) > 20_000
    assert "The note about hello says seven." in json.dumps(model.seen[-1]["messages"])


@shown("aider", "the commit message that it asks for")
def test_aider_writes_a_file_and_commits_it(desk: Desk) -> None:
    turn = desk.turn(named("aider"), Model([], listed, thinks=True))
    turn.assert_wrote(TEXT)
    command = ["git", "log", "-1", "--format=%s"]
    log = subprocess.run(command, cwd=turn.repository, capture_output=True, text=True, check=True)
    assert log.stdout == "Add a file\n"
