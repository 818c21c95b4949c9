"""Which changes are tried to make an engine faster. Starts none."""

import asyncio
from pathlib import Path

import pytest

from firstpass import hardware
from firstpass.bench import tuning
from firstpass.bench.figures import Figure
from firstpass.bench.tuning import ALLOCATORS, ROUNDS, Change, Tried, changes, tuned
from firstpass.catalogue import named
from firstpass.cli.plan import _tuned
from firstpass.engine import EngineSpec
from firstpass.errors import BadSettings
from firstpass.plan.shape import of_card
from firstpass.plan.ways import Way


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 8)


def spec_of(directory: Path, megabytes: int, **more: object) -> EngineSpec:
    with (directory / "model.safetensors").open("wb") as file:
        file.truncate(megabytes * 2**20)
    return EngineSpec("m", "llama.cpp", directory, directory, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("megabytes", "more", "tried"),
    [
        (100, {}, ["threads = 1", "threads = 4"]),
        (1, {}, ["threads = 4", "threads = 8"]),
        (100, {"threads": 4}, ["threads = 1", "threads = 8"]),
        (100, {"cpus": (0, 1)}, ["threads = 1"]),
    ],
)
def test_other_numbers_of_threads_than_it_has_are_tried(
    tmp_path: Path, megabytes: int, more: dict[str, object], tried: list[str]
) -> None:
    """A small model has one thread, and was tried with one alone; with two CPUs one was tried with eight."""
    every = changes(spec_of(tmp_path, megabytes, **more), tmp_path)
    assert [one.name for one in every if one.name.startswith("threads")] == tried


def test_a_library_that_is_loaded_already_is_not_tried_again(tmp_path: Path) -> None:
    library = tmp_path / "lib" / ALLOCATORS[0]
    library.parent.mkdir()
    library.touch()
    name = f"preload {library.name}"
    assert name in [one.name for one in changes(spec_of(tmp_path, 100), tmp_path)]
    assert name not in [one.name for one in changes(spec_of(tmp_path, 100, preload=(library,)), tmp_path)]


def test_two_of_a_model_are_not_loaded_into_one_gpu(tmp_path: Path) -> None:
    way = Way("vllm", "bfloat16", of_card(named("granite-3.1-1b-a400m")), gpus=1, gpu_bytes=5e9)
    with pytest.raises(BadSettings, match="twice"):
        asyncio.run(_tuned(spec_of(tmp_path, 100), way))


def test_no_prompt_is_asked_twice_of_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its beginning hid what a change does to reading it."""
    asked: list[str] = []

    async def listening(spec: EngineSpec, _: object, prompts: list[str], __: object) -> EngineSpec:
        asked.extend(prompts)
        return spec

    monkeypatch.setattr("firstpass.cli.plan.tuned", listening)
    asyncio.run(_tuned(spec_of(tmp_path, 1), Way("vllm", "bfloat16", of_card(named("granite-3.1-1b-a400m")))))
    assert len({one[:3] for one in asked}) == ROUNDS


SPEC = EngineSpec("m", "vllm", Path("/data"), model_dir=Path("/model"))


def adding(name: str) -> Change:
    return Change(name, lambda one: EngineSpec(one.name, "vllm", one.data_dir, extra_args=(*one.extra_args, name)))


async def test_a_change_stays_only_where_whole_answers_surely_come_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure below 1 whose interval is not is none; one that does not run is told, and the others are tried."""
    found = {"--a": Figure(0.9, 0.85, 0.95), "--b": Figure(0.9, 0.7, 1.1), "--d": Figure(1.2, 1.1, 1.3)}
    asked = []

    async def beside(one: EngineSpec, other: EngineSpec, _: object) -> Figure:
        asked.append((one.extra_args, other.extra_args))
        if other.extra_args[-1] not in found:
            raise BadSettings("no such flag")
        return found[other.extra_args[-1]]

    monkeypatch.setattr(tuning, "beside", beside)
    told: list[Tried] = []
    best = await tuned(SPEC, [adding(name) for name in ("--b", "--a", "--c", "--d")], ["p"], told.append)
    assert best.extra_args == ("--a",) and best.name == "m"
    assert [(one.name, one.kept, bool(one.why)) for one in told] == [
        ("--b", False, False), ("--a", True, False), ("--c", False, True), ("--d", False, False),
    ]  # fmt: skip
    assert asked[-1] == (("--a",), ("--a", "--d"))
