"""Workloads of load benchmarks: lines of a file at their own times, and made of the record."""

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firstpass.bench.load import report
from firstpass.bench.load.doubts import warnings
from firstpass.bench.load.figures import Wanted, measured
from firstpass.bench.load.recorded import lines
from firstpass.bench.load.request import Target, Timed
from firstpass.bench.load.run import Block, Load, Ran, run
from firstpass.bench.load.workload import Line, Workload, begun, read_workload, written
from firstpass.cli.main import app
from firstpass.errors import BadLabels
from firstpass.store import Damaged
from tests.conftest import Front, serving
from tests.doubles import says
from tests.timed import Engine, several

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def made(number: int, *at_s: float) -> Workload:
    every = [Line({"messages": [{"role": "user", "content": f"line {at}"}], "top_k": at}) for at in range(number)]
    return Workload("w", "d", [replace(one, at_s=at) for one, at in zip(every, at_s, strict=True)] if at_s else every)


def played(load: Load, *names: str) -> tuple[Ran, list[Engine]]:
    engines = [Engine(1) for _ in names]
    with several(tuple(zip(names, engines, strict=True))) as urls:
        targets = [Target(name, url, f"model of {name}") for name, url in zip(names, urls, strict=True)]
        return asyncio.run(run(targets, load, 1, lambda: None)), engines


def test_every_arm_is_asked_the_same_lines_round_after_round_and_from_the_beginning_again() -> None:
    load = Load(requests=3, rounds=3, words=1, tokens=9, warm_up=2, workload=made(5))
    _, engines = played(load, "a", "b")
    for name, engine in zip("ab", engines, strict=True):
        bodies = [body for _, body in engine.asked]
        assert [body["top_k"] for body in bodies] == [3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3], "the warm-up is of the last"
        assert {body["model"] for body in bodies} == {f"model of {name}"} and {
            body["max_tokens"] for body in bodies
        } == {9}
        assert all(body["stream"] and body["messages"][0]["content"] == f"line {body['top_k']}" for body in bodies)


def test_a_line_s_own_limit_stays_and_what_every_request_gets_wins() -> None:
    body = {**HELLO, "max_completion_tokens": 3, "temperature": 1}
    load = Load(1, 1, 1, 9, workload=Workload("w", "d", [Line(body)]), fields={"temperature": 0})
    [(_, _), (_, asked)] = played(load, "a")[1][0].asked
    assert (asked["max_completion_tokens"], asked["temperature"], "max_tokens" in asked) == (3, 0, False)


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_a_trace_is_replayed_at_its_own_times(speed: float) -> None:
    times = (5.0, 5.2, 5.3, 5.7)
    ran, _ = played(Load(4, 1, 1, 9, warm_up=1, workload=made(4, *times), speed=speed), "a")
    intended = [timed.intended for timed in ran.blocks[0].requests]
    gaps = [after - before for before, after in pairwise(intended)]
    assert gaps == pytest.approx([0.2 / speed, 0.1 / speed, 0.4 / speed], abs=1e-6)
    assert ran.load.is_open


def test_behind_the_last_line_of_a_trace_comes_the_first_after_the_mean_time_between_two() -> None:
    work = made(3, 1.0, 2.0, 5.0)
    assert work.offsets(2, 4, 1.0) == [0.0, 2.0, 3.0, 6.0] and work.offsets(-1, 2, 2.0) == [0.0, 1.0]
    assert [body["top_k"] for body in work.block(2, 4)] == [2, 0, 1, 2]


def test_prompts_that_are_to_be_fresh_begin_with_a_line_of_their_own_as_long_in_every_arm() -> None:
    _, engines = played(Load(4, 2, 1, 9, workload=made(2), fresh=True), "a", "b")
    said = [[body["messages"][0]["content"].split("\n") for _, body in engine.asked] for engine in engines]
    assert len({one[0] for arm in said for one in arm}) == len(said[0]) + len(said[1])
    assert [len(one[0]) for one in said[0]][1:] == [len(one[0]) for one in said[1]][1:]
    assert {one[1] for arm in said for one in arm} == {"line 0", "line 1"}


def test_a_fresh_line_goes_to_the_user_s_words_and_not_to_the_system_s() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:"}}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]
    found = begun({"messages": messages}, "new")["messages"]
    assert found[0] == messages[0] and found[1]["content"] == [{"type": "text", "text": "new\n"}, *parts]
    alone = {"messages": messages[:1]}
    assert begun(alone, "new") == alone and messages[1]["content"] == parts, "what was given is as it was"


def test_two_arms_that_are_one_server_are_said_to_share_its_cache() -> None:
    pair = [Target("a", "http://127.0.0.1:9", "m"), Target("b", "http://127.0.0.1:9", "m")]
    blocks = [Block(name, 0, [Timed(0, 0, 1, (1,), 1, 1)], 1.0) for name in "ab"]
    told = [
        list(warnings(done := Ran(pair, load, 1, blocks=blocks), measured(done)))
        for load in (Load(1, 1, 1, 1, workload=made(2)), Load(1, 1, 1, 1, workload=made(2), fresh=True))
    ]
    assert any("a and b are one server" in one for one in told[0]) and not told[1]


def line(**fields: Any) -> str:
    return json.dumps({"body": HELLO, **fields})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no line"),
        ("{", "line 1: is no JSON"),
        (line() + "\n\n3", "line 3: must be an object"),
        (line(at=1), "line 1: at: there is no such field"),
        ("{}", "line 1: body: must be an object"),
        (line(body={}), "line 1: body.messages: must be a list"),
        (line(body={"messages": [3]}), "line 1: body.messages.0: must be an object with a role"),
        (line(body={**HELLO, "model": "m"}), "line 1: body.model: is the arm's"),
        (line(body={**HELLO, "stream": True}), "line 1: body.stream: is the arm's"),
        (line(at_s="1"), "line 1: at_s: must be seconds"),
        (line(at_s=-1), "line 1: at_s: must be seconds"),
        (line(at_s=None), "line 1: at_s: must be seconds"),
        (line(at_s=True), "line 1: at_s: must be seconds"),
        (line() + '\n{"at_s": NaN}', "line 2: is no JSON"),
        (line(at_s=1) + "\n" + line(), "line 2: at_s: is missing"),
        (line(at_s=1), "no time between two"),
        ("\n".join([line(at_s=1), line(at_s=3), line(at_s=2)]), "line 3: at_s: is before"),
        ("[" * 100_000, "line 1: is no JSON"),
    ],
)
def test_what_is_wrong_with_a_workload_is_said_with_its_line_and_field(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.jsonl").write_text(text)
    with pytest.raises(BadLabels, match=r"w\.jsonl") as caught:
        read_workload(tmp_path / "w.jsonl")
    assert said in str(caught.value)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    every = made(3, 0.0, 0.25, 1.0).lines
    (tmp_path / "w.jsonl").write_text("".join(written(every)))
    assert read_workload(tmp_path / "w.jsonl").lines == every


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rate", "2"], "--rate: the workload has times"),
        (["--at-once", "2"], "--at-once: of an open loop"),
        (["--workload", "none.jsonl"], "can not be read"),
    ],
)
def test_options_that_do_not_go_with_a_trace_are_refused(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "w.jsonl").write_text(f"{line(at_s=0)}\n{line(at_s=1)}\n")
    command = ["bench", "run", "--arm", "a=http://127.0.0.1:9", "--workload", str(tmp_path / "w.jsonl")]
    done = CliRunner().invoke(app, [*command, *options])
    assert isinstance(done.exception, BadLabels) and said in str(done.exception)


@pytest.mark.parametrize(("option", "said"), [(["--speed", "2"], "--speed"), (["--fresh"], "--fresh")])
def test_options_of_a_workload_are_refused_without_one(option: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["bench", "run", "--arm", "a=http://127.0.0.1:9", *option])
    assert isinstance(done.exception, BadLabels) and said in str(done.exception)


def test_a_report_says_which_lines_were_asked() -> None:
    load = Load(1, 1, 1, 9, workload=made(2, 0.0, 1.0), speed=2.0)
    ran, _ = played(load, "a")
    told = report.as_json(report.Report({"machine": "m"}, ran, Wanted(), measured(ran), []))
    assert json.loads(told)["load"]["workload"] == "w d (2 lines)"
    notes = "\n".join(report.notes(report.Report({"machine": "m"}, ran, Wanted(), measured(ran), [])))
    assert "2 times as fast" in notes and "Lines of w" in notes


DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


def test_recorded_exchanges_are_asked_again_as_their_callers_did(front: Front, tmp_path: Path) -> None:
    """But those whose words are not kept, and what is no chat."""
    config, to = tmp_path / "f.toml", tmp_path / "w.jsonl"
    first: dict[str, Any] = {**HELLO, "max_tokens": 5, "temperature": 0.5, "stop": ["x"]}
    second: dict[str, Any] = {"messages": [{"role": "user", "content": DIFF}]}
    with front(says("fine")) as client:
        asked = [
            ("/v1/chat/completions", {"model": "local", **first}),
            ("/v1/chat/completions", {"model": "firstpass", **second, "firstpass": {"contract": "pr-summary"}}),
            ("/v1/chat/completions", {"model": "local", **HELLO, "store": False}),
            ("/v1/completions", {"model": "local", "prompt": "hello", "max_tokens": 5}),
            ("/v1/messages", {"model": "local", "max_tokens": 6, "system": "be kind", **HELLO}),
        ]
        for path, body in asked:
            client.post(path, json=body)
    config.write_text(f'[server]\ndata_dir = "{tmp_path / "data"}"\n')
    command = ["bench", "record", "--to", str(to), "--config", str(config)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "left out: 1, its words are not in the record" in done.output and "left out: 1, no chat" in done.output
    found = read_workload(to)
    assert found.timed and to.stat().st_mode & 0o777 == 0o600
    bodies = [one.body for one in found.lines]
    local = {"firstpass": {"egress": "local-only"}}
    assert bodies[0] == first | local
    assert bodies[1]["messages"] == second["messages"] and "pr-summary" in bodies[1]["firstpass"]["contract"]
    assert [one["content"] for one in bodies[2]["messages"]] == ["be kind", "hello"] and bodies[2]["max_tokens"] == 6
    with serving(Engine(1).app) as url:
        run_it = ["bench", "run", "--arm", f"a={url}", "--workload", str(to), "--speed", "9", "--requests", "3"]
        again = CliRunner().invoke(app, [*run_it, "--rounds", "1", "--out", str(tmp_path / "r")])
    assert again.exit_code == 0, again.output
    with front(says("fine")) as client:
        for body in bodies:
            assert client.post("/v1/chat/completions", json={"model": "local", **body}).status_code == 200


def test_a_record_without_such_requests_makes_no_workload(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(f'[server]\ndata_dir = "{tmp_path / "data"}"\n')
    command = ["bench", "record", "--to", str(tmp_path / "w"), "--config", str(tmp_path / "f.toml"), "--last", "1h"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1 and "0 such requests" in done.output and not (tmp_path / "w").exists()


def test_what_is_damaged_is_left_out() -> None:
    assert lines([Damaged("x", "why")]) == ([], {"damaged": 1})
