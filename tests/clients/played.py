"""A model that agents work with: it calls, one turn after the other, the agent's own tools, and says when it is done.

A tool is known by its name and by what its schema says that it takes.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.scenes import Scene

CLOSING = "hello.txt is there."
THOUGHT = "The person wants a file."

Tools = dict[str, dict[str, Any]]
"""What is offered: the schema of each tool's arguments, by its name."""

Call = tuple[str, dict[str, Any]]
"""The tool's name and its arguments."""

Step = Callable[[Tools], list[Call]]
"""The calls of one turn."""


def writes(path: str, text: str) -> Step:
    """path: absolute, as most of them want it."""

    def step(tools: Tools) -> list[Call]:
        command = f"printf %s {shlex.quote(text)} > {shlex.quote(path)}"
        if "functions__exec" in tools:
            return [("functions__exec", {"input": f"await tools.exec_command({json.dumps({'cmd': command})});"})]
        if "exec_command" in tools:
            return [("exec_command", {"cmd": command})]
        name = tool_of(tools, "Write", "write", "write_file")
        return [(name, {path_of(tools[name]): path, "content": text})]

    return step


def reads(path: str) -> Step:
    def step(tools: Tools) -> list[Call]:
        name = tool_of(tools, "Read", "read", "read_file")
        return [(name, {path_of(tools[name]): path})]

    return step


def calls(name: str, **arguments: Any) -> Step:
    return lambda tools: [(tool_of(tools, name), arguments)]


def both(*steps: Step) -> Step:
    """Several in one turn."""
    return lambda tools: [call for step in steps for call in step(tools)]


def speaks(turn: dict[str, Any]) -> bool:
    """Whether a person does: images that a tool read come in a user's turn without a word."""
    texts = turn["content"] if isinstance(turn["content"], str) else [part.get("text") for part in turn["content"]]
    return turn["role"] == "user" and any(texts)


def tool_of(tools: Tools, *names: str) -> str:
    """The first of these that is offered."""
    found = [name for name in names if name in tools]
    assert found, f"none of {names} is among {sorted(tools)}"
    return found[0]


def path_of(schema: dict[str, Any]) -> str:
    return next(str(name) for name in schema["properties"] if name.lower().replace("_", "") == "filepath")


@dataclass
class Model:
    """steps: what it calls, a turn each. says: what it says where no tools are offered, or a person speaks in between.

    refuses: an error's words for a request that it does not take, or None.
    thinks: whether a thought comes before what it says. seen: what it was asked by the agent.
    """

    steps: list[Step]
    says: Callable[[dict[str, Any]], str] = lambda body: CLOSING
    refuses: Callable[[dict[str, Any]], str | None] = lambda body: None
    thinks: bool = False
    seen: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, body: dict[str, Any]) -> Scene:
        """The play of a Stage."""
        self.seen.append(body)
        if (words := self.refuses(body)) is not None:
            return Scene(status=400, fault=words)
        thought = {"reasoning": THOUGHT} if self.thinks else {}
        made = [turn for turn in body["messages"] if turn.get("tool_calls")]
        if "tools" not in body or (made and speaks(body["messages"][-1])):
            return Scene(thought | {"content": self.says(body)})
        if len(made) >= len(self.steps):
            return Scene(thought | {"content": CLOSING})
        tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body["tools"]}
        called = self.steps[len(made)](tools)
        written = [
            {
                "id": f"call_{len(made)}_{at}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(given)},
            }
            for at, (name, given) in enumerate(called)
        ]
        return Scene(thought | {"tool_calls": written}, "tool_calls")
