"""What `firstpass bench` refuses, requires, and keeps of a run that is broken off."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firstpass.bench.figures import Figure
from firstpass.bench.load.compare import Result, lost
from firstpass.bench.load.engines import _check_room
from firstpass.bench.load.figures import Slo
from firstpass.bench.load.require import faults, requirement
from firstpass.cli.main import app
from firstpass.engine import Need
from firstpass.errors import BadLabels, BadSettings
from tests.conftest import serving
from tests.processes import heeding
from tests.timed import Engine

WAIT_SECONDS = 60.0


@contextmanager
def begun(url: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "firstpass", "bench", "run", "--arm", f"a={url}", "--a-a", "--out", str(folder)]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, preexec_fn=heeding) as running:
        try:
            yield running
        finally:
            running.kill()


def once(url: str, folder: Path) -> list[str]:
    """A run of one request."""
    return ["bench", "run", "--arm", f"a={url}", "--rounds", "1", "--requests", "1", "--out", str(folder)]


def until_asked(engine: Engine, number: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while len(engine.asked) < number:
        assert time.monotonic() < deadline, f"asked {len(engine.asked)} times"
        time.sleep(0.02)


def test_ctrl_c_keeps_the_rounds_that_were_whole(tmp_path: Path) -> None:
    engine, folder = Engine(1), tmp_path / "r"
    load = ("--requests", "2", "--rounds", "500", "--warm-up", "1")
    with serving(engine.app) as url, begun(url, folder, *load) as running:
        until_asked(engine, 2 + 5 * 4)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 130, said
    told = json.loads((folder / "results.json").read_text())
    assert told["cut_short"] and "cut short after" in told["warnings"][0] and told["warnings"][0] in said
    rounds = {name: len(arm["rounds"]) for name, arm in told["arms"].items()}
    assert rounds["a"] == rounds["again"] >= 4
    assert len((folder / "requests.csv").read_text().splitlines()) == 1 + 4 * rounds["a"]


def test_ctrl_c_before_a_round_is_whole_leaves_nothing(tmp_path: Path) -> None:
    engine, folder = Engine(1, (0.0, 30.0)), tmp_path / "r"
    with serving(engine.app, timeout_graceful_shutdown=1) as url, begun(url, folder) as running:
        until_asked(engine, 1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=WAIT_SECONDS)
    assert running.returncode == 130 and "nothing is written" in said and not folder.exists()


def test_a_run_of_which_nothing_was_answered_leaves_no_folder(tmp_path: Path) -> None:
    with serving(Engine(status=500).app) as url:
        done = CliRunner().invoke(app, once(url, tmp_path / "r"))
    assert "no request was answered" in str(done.exception) and not (tmp_path / "r").exists()


def found(**values: float) -> dict[str, dict[str, Figure]]:
    return {"a": {name.replace("__", "."): Figure(value, value, value) for name, value in values.items()}}


@pytest.mark.parametrize(
    ("wanted", "values", "said"),
    [
        (["ttft_ms.p50<100"], {"ttft_ms__p50": 50.0, "errors": 0.0}, []),
        (["ttft_ms.p50<100"], {"ttft_ms__p50": 150.0, "errors": 0.0}, ["ttft_ms.p50<100: it is 150"]),
        (["ttft_ms.p50<100"], {"ttft_ms__p50": 50.0, "errors": 0.9}, ["90.0% of the requests failed"]),
        (["ttft_ms.p50<100"], {"ttft_ms__p50": 50.0, "errors": 0.01}, ["1.0% of the requests failed"]),
        (["ttft_ms.p50<100", "errors<0.02"], {"ttft_ms__p50": 50.0, "errors": 0.01}, []),
        (
            ["ttft_ms.p50<100", "errors<0.02"],
            {"ttft_ms__p50": 50.0, "errors": 0.5},
            ["50.0% of the requests failed", "errors<0.02: it is 0.5"],
        ),
        (["tokens_per_s>10"], {"tokens_per_s": 20.0, "errors": 0.5}, []),
        (["ttft_ms.p50<100"], {"errors": 1.0}, ["no answer has it"]),
    ],
)
def test_a_latency_is_not_met_by_those_that_were_answered_alone(
    wanted: list[str], values: dict[str, float], said: list[str]
) -> None:
    told = faults([requirement(text, ["a"], Slo()) for text in wanted], found(**values))
    assert len(told) == len(said) and all(part in one for part, one in zip(said, told, strict=True))


def result(requests: int, *errors: float) -> Result:
    return Result({}, requests, [{"errors": one} for one in errors])


def test_more_failures_are_a_difference_where_chance_does_not_explain_them() -> None:
    """Newcombe's example: 56 of 70 and 48 of 80 differ by 0.2, from 0.0524 to 0.3339."""
    rise = lost(result(80, 48 / 80), result(70, 56 / 70))
    assert (rise.value, rise.low, rise.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert lost(result(20, *[0.0] * 5), result(20, 0.05, 0, 0, 0, 0)).low < 0, "one of a hundred is chance"
    assert lost(result(20, *[0.0] * 5), result(20, *[0.1] * 5)).low > 0


def test_one_more_failure_is_said_and_is_not_status_1(tmp_path: Path) -> None:
    for name, share in (("old", 0.0), ("new", 0.05)):
        rounds = [{"e2e_ms.p50": 100.0 + at, "tokens_per_s": 50.0, "errors": share * (at == 0)} for at in range(5)]
        told = {"format": 1, "load": {"requests": 20}, "arms": {"a": {"rounds": rounds}}}
        (tmp_path / name).write_text(json.dumps(told))
    done = CliRunner().invoke(app, ["bench", "compare", str(tmp_path / "old"), str(tmp_path / "new")])
    assert done.exit_code == 0 and "1.0% of the requests failed after" in done.output, done.output


def test_what_two_runs_do_not_have_in_common_is_said(tmp_path: Path) -> None:
    arm = {"rounds": [{"e2e_ms.p50": 100.0 + at} for at in range(3)]}
    for name, model, machine in (("old", "m", "here"), ("new", "n", "there")):
        told = {
            "format": 1,
            "machine": machine,
            "load": {"rate": 1},
            "arms": {"a": arm | {"model": model, "api": "openai"}},
        }
        (tmp_path / name).write_text(json.dumps(told))
    said = CliRunner().invoke(app, ["bench", "compare", str(tmp_path / "old"), str(tmp_path / "new")]).output
    assert "not alike: machine was here and is there" in said and "not alike: model was m and is n" in said
    assert "rate was" not in said and "api was" not in said


@dataclass
class Needy:
    need: Need


def test_engines_that_do_not_fit_together_are_refused_before_any_is_started() -> None:
    engines: Any = [Needy(Need(10**18)), Needy(Need(1))]
    with pytest.raises(BadSettings, match=r"need 1000000000\.0 GB of the machine"):
        _check_room(engines)
    _check_room(engines[:1])  # Of one alone its own recipe says whether it fits.
    _check_room([*engines[1:], Needy(Need(1))])


def test_options_of_every_request_are_in_it(tmp_path: Path) -> None:
    engine = Engine(1)
    with serving(engine.app) as url:
        done = CliRunner().invoke(app, [*once(url, tmp_path / "r"), "--temperature", "0", "--ignore-eos"])
    assert done.exit_code == 0, done.output
    assert {(body["temperature"], body["ignore_eos"]) for _, body in engine.asked} == {(0.0, True)}
    told = json.loads((tmp_path / "r" / "results.json").read_text())
    assert told["load"]["fields"] == {"temperature": 0.0, "ignore_eos": True}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--arm", "a=vllm:none-such"], BadSettings, "none-such"),
        (["--arm", "a=llama.cpp:/none/such.gguf"], BadSettings, "such.gguf"),
        (["--arm", "a=tgi:firstpass-draft-10m"], BadLabels, "NAME=vllm:MODEL"),
        (["--arm", "a=http://127.0.0.1:9", "--ignore-eos", "--api", "anthropic"], BadLabels, "--ignore-eos"),
        (["--arm", "a=transformers:firstpass-draft-10m", "--ignore-eos"], BadLabels, "--ignore-eos"),
        (["--arm", "again=http://127.0.0.1:9", "--a-a"], BadLabels, "given twice"),
    ],
)
def test_what_can_not_be_run_is_said_before_anything_is_asked(
    options: list[str], error: type[Exception], said: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["bench", "run", *options, "--out", str(tmp_path / "r")])
    assert isinstance(done.exception, error) and said in str(done.exception) and not (tmp_path / "r").exists()
