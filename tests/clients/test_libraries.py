"""Libraries that run an agent's loop themselves, before a front that knows none of their models."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients import conftest
from tests.clients.conftest import HERE, STRUCTURED, live_key, need, run
from tests.clients.played import CLOSING, Model, writes
from tests.conftest import fronted, serving
from tests.scenes import Scene, Stage

TEXT = "hello\n"
APIS = ("Chat Completions", "Responses", "Messages")
OPENAI_S = APIS[:2]
WAYS = (
    "Chat Completions, by a tool,",
    "Chat Completions, by JSON,",
    "Chat Completions, by a schema,",
    "Responses, by a tool,",
)


@dataclass(frozen=True, slots=True)
class Program:
    """environment: where scripts/install --dev put what it needs. ways: over which its scenes are played."""

    environment: str
    file: str
    ways: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        return [str(Path(sys.prefix) / self.environment / "bin" / "python"), str(HERE / "libraries" / self.file)]


AGENTS = {
    "LangChain": Program("clients", "langchain_turn.py", APIS),
    "LlamaIndex": Program("openai2", "llama_index_turn.py", OPENAI_S),
    "Pydantic AI": Program("clients", "pydantic_ai_turn.py", APIS),
    "OpenAI Agents SDK": Program("clients", "openai_agents_turn.py", OPENAI_S),
}
OBJECTS = {"instructor": Program("openai2", "instructor_turn.py", WAYS)}


class Models:
    """The play of a Stage: for each file that a task names a model that writes it; else what `conftest.play` says."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._else = directory, conftest.play()
        self.of: dict[str, Model] = {}

    def __call__(self, body: dict[str, Any]) -> Scene:
        named = re.search(r"Write ([\w ]+)\.txt with", json.dumps(body["messages"]))
        if named is None:
            return self._else(body)
        path = self._directory / f"{named[1]}.txt"
        return self.of.setdefault(named[1], Model([writes(str(path), TEXT)], thinks=True))(body)


@dataclass
class Played:
    """scenes: what the program told of each. directory: where its tool wrote."""

    program: Program
    scenes: dict[str, Any]
    models: Models
    directory: Path

    def of(self, kind: str) -> dict[str, Any]:
        """What each of the program's ways gave."""
        return {f"{way} {kind}": self.scenes[f"{way} {kind}"] for way in self.program.ways}

    def assert_wrote(self, kind: str, *roles: str) -> None:
        """A file is there over each way, and the model was last asked with turns of just these roles."""
        for name in self.of(kind):
            assert (self.directory / f"{name}.txt").read_text() == TEXT
            assert [turn["role"] for turn in self.models.of[name].seen[-1]["messages"]] == list(roles), name


def played(name: str, directory: Path) -> Iterator[Played]:
    program = (AGENTS | OBJECTS)[name]
    need(program.command)
    models = Models(directory)
    with (
        serving(Stage(models).app) as engine,
        fronted(engine, directory / "data", server={"keys": "required"}) as front,
    ):
        scenes = run(program.command, f"{front.base_url}/v1", live_key(directory / "data"), directory)
    yield Played(program, scenes, models, directory)


@pytest.fixture(scope="module", params=AGENTS)
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    yield from played(request.param, tmp_path_factory.mktemp("agent"))


@pytest.fixture(scope="module", params=OBJECTS)
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    yield from played(request.param, tmp_path_factory.mktemp("objects"))


def test_an_agent_writes_a_file_with_its_tool_and_goes_on_from_there(agent: Played) -> None:
    assert all(said == [CLOSING, CLOSING] for said in agent.of("whole").values())
    agent.assert_wrote("whole", "user", "assistant", "tool", "assistant", "user")


def test_an_agent_writes_a_file_while_its_answers_stream(agent: Played) -> None:
    assert all(said == CLOSING for said in agent.of("streamed").values())
    agent.assert_wrote("streamed", "user", "assistant", "tool")


def test_an_agent_answers_with_an_object_of_the_caller_s_type(agent: Played) -> None:
    assert all(said == json.loads(STRUCTURED) for said in agent.of("typed").values())


@pytest.mark.parametrize("kind", ["typed", "streamed", "corrected"])
def test_an_object_is_made_of_an_answer(objects: Played, kind: str) -> None:
    assert all(said == json.loads(STRUCTURED) for said in objects.of(kind).values())
