"""Coding agents as their makers publish them, how each is told of Firstpass, and one turn of one in a new home.

What is told here is what docs/clients.md tells.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.conftest import HERE, NOWHERE

MODULES = HERE / "agents" / "node_modules"
AIDER = Path(sys.prefix) / "aider" / "bin" / "aider"
"""What scripts/install --dev made from tests/clients/agents/package-lock.json and scripts/requirements/aider.txt."""

TURN_SECONDS = 180.0
TASK = "Write hello.txt with the word hello."


def machine() -> str:
    """As npm's packages call it."""
    return f"{sys.platform}-{'arm64' if platform.machine() in ('aarch64', 'arm64') else 'x64'}"


@dataclass(frozen=True, slots=True)
class Agent:
    """command: as a person would type it before the task. program: what is run in the place of its first word.

    told: variables of the environment; file: the name, in the home, and the text of one with settings. In both, `{url}`
    and `{key}` stand for the front's. heeds_no_proxy: an agent that does is given a proxy that leads nowhere, and can
    reach this machine alone. more: what a test adds to the command.
    """

    name: str
    package: str
    api: str
    command: tuple[str, ...]
    program: Path
    told: Mapping[str, str] = field(default_factory=dict)
    file: tuple[str, str] | None = None
    heeds_no_proxy: bool = True
    more: tuple[str, ...] = ()

    def prepare(self, url: str, key: str, home: Path) -> dict[str, str]:
        """Writes the file. Returns: the environment."""

        def filled(text: str) -> str:
            return text.replace("{url}", url).replace("{key}", key)

        if self.file is not None:
            path = home / self.file[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(filled(self.file[1]))
        environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL")}
        environment |= {"HOME": str(home)} | {name: filled(value) for name, value in self.told.items()}
        if self.heeds_no_proxy:
            environment |= NOWHERE
        return environment


AGENTS = [
    Agent(
        "Claude Code",
        "@anthropic-ai/claude-code",
        "Messages",
        ("claude", "--permission-mode", "acceptEdits", "-p"),
        MODULES / f"@anthropic-ai/claude-code-{machine()}" / "claude",
        {"ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": "{key}"},
    ),
    Agent(
        "Codex",
        "@openai/codex",
        "Responses",
        ("codex", "exec"),
        MODULES / ".bin" / "codex",
        {"CODEX_API_KEY": "{key}"},
        (".codex/config.toml", 'openai_base_url = "{url}/v1"\n'),
        more=("--sandbox", "danger-full-access"),
    ),
    Agent(
        "opencode",
        "opencode-linux-x64",
        "Chat Completions",
        ("opencode", "run"),
        MODULES / f"opencode-{machine()}" / "bin" / "opencode",
        {},
        (
            ".config/opencode/opencode.json",
            """\
{"model": "firstpass/firstpass",
 "provider": {"firstpass": {"npm": "@ai-sdk/openai-compatible", "models": {"firstpass": {}},
                            "options": {"baseURL": "{url}/v1", "apiKey": "{key}"}}}}
""",
        ),
    ),
    Agent(
        "Qwen Code",
        "@qwen-code/qwen-code",
        "Chat Completions",
        ("qwen", "--auth-type", "openai", "--approval-mode", "auto-edit", "-p"),
        MODULES / ".bin" / "qwen",
        {"OPENAI_BASE_URL": "{url}/v1", "OPENAI_API_KEY": "{key}", "OPENAI_MODEL": "firstpass"},
        heeds_no_proxy=False,
    ),
    Agent(
        "Continue",
        "@continuedev/cli",
        "Chat Completions",
        ("cn", "--auto", "-p"),
        MODULES / ".bin" / "cn",
        {},
        (
            ".continue/config.yaml",
            """\
name: firstpass
version: 1.0.0
schema: v1
models:
  - {name: firstpass, model: firstpass, provider: openai, apiBase: {url}/v1, apiKey: {key}}
""",
        ),
    ),
    Agent(
        "aider",
        "aider-chat",
        "Chat Completions",
        ("aider", "--model", "openai/firstpass", "--yes-always", "--message"),
        AIDER,
        {"OPENAI_API_BASE": "{url}/v1", "OPENAI_API_KEY": "{key}"},
    ),
]
"""Each knows of Firstpass its URL and a key; who has to name a model names one that Firstpass has, or any."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What an agent left. repository: where it worked. said, trouble: its output."""

    status: int
    repository: Path
    said: str
    trouble: str

    def assert_wrote(self, text: str, name: str = "hello.txt") -> None:
        path = self.repository / name
        assert self.status == 0 and path.exists() and path.read_text() == text, f"{self.said}\n{self.trouble}"[-6000:]


def run_turn(agent: Agent, url: str, key: str, home: Path, repository: Path, more: Sequence[str] = ()) -> Turn:
    """One turn without a person. more: arguments after the task."""
    ran = subprocess.run(
        [str(agent.program), *agent.command[1:], TASK, *agent.more, *more],
        cwd=repository,
        env=agent.prepare(url, key, home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TURN_SECONDS,
        check=False,
    )
    return Turn(ran.returncode, repository, ran.stdout, ran.stderr)
