"""What is kept of what may make an engine faster."""

from pathlib import Path

import pytest

from firstpass.bench import tuning
from firstpass.bench.figures import Figure
from firstpass.bench.tuning import Change, Tried, changes, tuned
from firstpass.engine import EngineSpec
from firstpass.errors import BadSettings

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


def test_threads_and_libraries_are_tried_where_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib" / tuning.THREADS_OF_INTEL
    library.touch()
    every = {one.name: one.made(SPEC) for one in changes(SPEC, 8, tmp_path)}
    assert every["threads = 1"].threads == 1 and every["threads = 4"].threads == 4 and "threads = 8" not in every
    assert every[f"preload {library.name}"].preload == (library,)
    assert {"compiled", "n-gram speculation"} <= every.keys()
    others = {one.name for one in changes(EngineSpec("m", "llama.cpp", Path()), 1, tmp_path / "nothing")}
    assert not {"compiled", "n-gram speculation", "threads = 1"} & others
