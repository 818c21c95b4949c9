"""docs/clients.md, from what the tests run: `python -m tests.clients.page` writes it."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from tests.clients import test_clients, test_libraries
from tests.clients.conftest import HERE
from tests.clients.test_agents import SHOWN
from tests.clients.turns import AGENTS, Agent

ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "clients.md"
FILLED = {"{url}": "http://127.0.0.1:8080", "{key}": "fp_your_key"}


@dataclass(frozen=True, slots=True)
class Library:
    """lock: where its version stands. line: how it is told of Firstpass, as its program in the tests tells it."""

    name: str
    package: str
    lock: str
    apis: str
    line: str


NODE = "tests/clients/node/package.json"
DEV, CLIENTS, OPENAI2, AIDER = (f"scripts/requirements/{name}.txt" for name in ("dev", "clients", "openai2", "aider"))
LIBRARIES = [
    Library(
        "OpenAI, Python", "openai", DEV, "Chat Completions, Responses", 'OpenAI(base_url="{url}/v1", api_key="{key}")'
    ),
    Library(
        "OpenAI, Node",
        "openai",
        NODE,
        "Chat Completions, Responses",
        'new OpenAI({ baseURL: "{url}/v1", apiKey: "{key}" })',
    ),
    Library("Anthropic, Python", "anthropic", DEV, "Messages", 'Anthropic(base_url="{url}", api_key="{key}")'),
    Library(
        "Anthropic, Node", "@anthropic-ai/sdk", NODE, "Messages", 'new Anthropic({ baseURL: "{url}", apiKey: "{key}" })'
    ),
    Library(
        "ai with @ai-sdk/openai",
        "@ai-sdk/openai",
        NODE,
        "Chat Completions, Responses",
        'createOpenAI({ baseURL: "{url}/v1", apiKey: "{key}" })',
    ),
    Library(
        "ai with @ai-sdk/anthropic",
        "@ai-sdk/anthropic",
        NODE,
        "Messages",
        'createAnthropic({ baseURL: "{url}/v1", apiKey: "{key}" })',
    ),
    Library(
        "LiteLLM",
        "litellm",
        CLIENTS,
        "Chat Completions",
        'completion("openai/local", api_base="{url}/v1", api_key="{key}", messages=...)',
    ),
    Library(
        "LiteLLM, Anthropic",
        "litellm",
        CLIENTS,
        "Messages",
        'completion("anthropic/local", api_base="{url}", api_key="{key}", messages=...)',
    ),
    Library(
        "llm",
        "llm",
        CLIENTS,
        "Chat Completions",
        "an entry of extra-openai-models.yaml with `api_base: {url}/v1` and `api_key_name: firstpass`",
    ),
]
LOOPS = [
    Library(
        "LangChain, OpenAI",
        "langchain-openai",
        CLIENTS,
        "Chat Completions, Responses",
        'ChatOpenAI(base_url="{url}/v1", api_key="{key}")',
    ),
    Library(
        "LangChain, Anthropic",
        "langchain-anthropic",
        CLIENTS,
        "Messages",
        'ChatAnthropic(model="claude-sonnet-4-5", base_url="{url}", api_key="{key}")',
    ),
    Library(
        "LlamaIndex",
        "llama-index-llms-openai",
        OPENAI2,
        "Chat Completions, Responses",
        '`OpenAI(api_base="{url}/v1", api_key="{key}")`; it takes no model whose name is none of OpenAI\'s',
    ),
    Library(
        "Pydantic AI, OpenAI",
        "pydantic-ai-slim",
        CLIENTS,
        "Chat Completions, Responses",
        'OpenAIProvider(base_url="{url}/v1", api_key="{key}")',
    ),
    Library(
        "Pydantic AI, Anthropic",
        "pydantic-ai-slim",
        CLIENTS,
        "Messages",
        'AnthropicProvider(base_url="{url}", api_key="{key}")',
    ),
    Library(
        "OpenAI Agents SDK",
        "openai-agents",
        CLIENTS,
        "Responses, Chat Completions",
        "`OPENAI_BASE_URL={url}/v1` and `OPENAI_API_KEY={key}`; but what was said goes to OpenAI as a trace, unless "
        "`OPENAI_AGENTS_DISABLE_TRACING=1`",
    ),
    Library(
        "instructor",
        "instructor",
        OPENAI2,
        "Chat Completions, Responses",
        'instructor.from_openai(OpenAI(base_url="{url}/v1", api_key="{key}"))',
    ),
]

INTRODUCTION = """\
# Clients

Made by `python -m tests.clients.page` from what `tests/clients` runs; a test fails where this page says otherwise.

Each client is run as its makers publish it, against a whole Firstpass before a scripted engine, and is told its URL and
a key. Where Firstpass asks for no keys, any will do. Whoever names a model that Firstpass does not have is answered by
the cascade, or by whom `server.unknown_models` says, without an alias."""

ABOUT_AGENTS = """\
## Coding agents

Each gets a task with nobody beside it, in a new home and a new repository, and writes a file with its own tools (aider:
by its own format), asked of a model that thinks before it answers. No switch of theirs for telemetry, updates or the
network is set. They can reach nothing but this machine: a proxy that leads nowhere sees to it, but for Qwen Code, which
would ask for loopback there too. Codex runs without its sandbox, for which a container may lack the rights.
opencode is the program that its package `opencode-ai` starts."""

ABOUT_LIBRARIES = "## Libraries"
ABOUT_LOOPS = """\
## Libraries that run an agent's loop

Each names a model that Firstpass does not have, its own by default where it has one. Its tool is run by the library
itself, and the model thinks before it calls it."""
ABOUT_SHAPES = "Requests of tools that are in no registry, such as Cursor, are kept in `tests/clients/shapes`."


def page() -> str:
    parts = [
        INTRODUCTION,
        ABOUT_AGENTS,
        table(["agent", "package", "version", "API", "shown beside that"], map(agent_row, AGENTS)),
        *map(settings, AGENTS),
        ABOUT_LIBRARIES,
        libraries(LIBRARIES),
        "Shown of each, as far as its API and the client itself have it:",
        shown_by(test_clients),
        ABOUT_LOOPS,
        libraries(LOOPS),
        "Shown over each API, the last of instructor and the others of all but it:",
        shown_by(test_libraries),
        ABOUT_SHAPES,
    ]
    return "\n\n".join(parts) + "\n"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def libraries(rows: Iterable[Library]) -> str:
    return table(["client", "package", "version", "API", "told of Firstpass by"], map(library_row, rows))


def shown_by(tests: ModuleType) -> str:
    return "\n".join(f"- {words(name)}" for name in vars(tests) if name.startswith("test_"))


def agent_row(agent: Agent) -> list[str]:
    lock = AIDER if agent.name == "aider" else "tests/clients/agents/package.json"
    return [
        agent.name,
        f"`{agent.package}`",
        version(agent.package, lock),
        agent.api,
        "; ".join(SHOWN.get(agent.name, ())),
    ]


def library_row(library: Library) -> list[str]:
    line = filled(library.line)
    code = line if "`" in line else f"`{line}`"
    return [library.name, f"`{library.package}`", version(library.package, library.lock), library.apis, code]


def settings(agent: Agent) -> str:
    """What a person writes, with an example of what is run."""
    said = [f"**{agent.name}**"]
    if agent.file is not None:
        name, text = agent.file
        said += [f"`~/{name}`:", indented(text)]
    exports = [f"export {name}={value}" for name, value in agent.told.items()]
    said.append(indented("\n".join([*exports, f'{" ".join(agent.command)} "Fix the tests."'])))
    return "\n\n".join(said)


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in filled(text).strip().splitlines())


def filled(text: str) -> str:
    for name, value in FILLED.items():
        text = text.replace(name, value)
    return text


def version(package: str, lock: str) -> str:
    """That of a lock file of either language."""
    text = (ROOT / lock).read_text()
    if lock.endswith(".json"):
        given = json.loads(text)
        return str((given["dependencies"] | given.get("optionalDependencies", {}))[package])
    match = re.search(rf"^{package}==([^ ;]+)", text, re.MULTILINE)
    assert match, f"{lock} has no {package}"
    return match[1]


def words(name: str) -> str:
    return name.removeprefix("test_").replace("_s_", "'s ").replace("_", " ")


if __name__ == "__main__":
    PAGE.write_text(page())
