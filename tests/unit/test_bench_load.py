"""Load benchmarks: times and tokens against a known truth, intervals, what speaks against a run, and its command."""

import asyncio
import json
import math
import random
import statistics
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner

from firstpass.bench.figures import Figure, percentile
from firstpass.bench.load import report
from firstpass.bench.load.arrivals import offsets
from firstpass.bench.load.doubts import warnings
from firstpass.bench.load.figures import Ratio, Slo, Wanted, by_round, measured, ratio, ratios, student, values
from firstpass.bench.load.request import Target, Timed, lags, read
from firstpass.bench.load.roofline import decoded_at_once, roofline, sentence
from firstpass.bench.load.run import Block, Load, Ran, is_here, prompt, run
from firstpass.catalogue import named
from firstpass.cli.main import app
from firstpass.errors import BadLabels
from tests.conftest import serving
from tests.timed import FIRST, GAP, Engine, several

TIMED = Timed(0.0, 0.0, 1.0, (0.1, 0.2, 0.3, 0.4), tokens_in=10, tokens_out=16)
TARGET = Target("a", "http://127.0.0.1:9", "m")


def ran(load: Load, *engines: tuple[str, Engine], api: Any = "openai") -> Ran:
    with several(engines) as urls:
        targets = [Target(name, url, "m", api) for (name, _), url in zip(engines, urls, strict=True)]
        return asyncio.run(run(targets, load, 1, lambda: None))


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_tokens_are_exact_and_times_are_of_tokens_where_a_piece_has_four(api: str) -> None:
    """Counted by pieces, a token would take four times as long."""
    done = ran(Load(3, 2, 5, 99), ("a", Engine()), api=api)
    found = measured(done).arms["a"]
    requests = [timed for block in done.blocks for timed in block.requests]
    assert {(timed.tokens_in, timed.tokens_out, len(timed.heard)) for timed in requests} == {(7, 16, 4)}
    assert 1000 * GAP / 4 * 0.9 < found["itl_ms.p50"].value < 1000 * GAP / 4 * 2
    assert 1000 * GAP / 4 * 0.9 < found["tpot_ms.p50"].value < 1000 * GAP / 4 * 2
    assert found["ttft_ms.p50"].value > 1000 * FIRST * 0.9


def test_times_between_tokens_are_within_a_fiftieth_where_the_clock_is_exact() -> None:
    assert list(TIMED.gaps()) == pytest.approx([0.025] * 3, rel=0.02)
    assert TIMED.token_seconds == pytest.approx(0.3 / 12, rel=0.02)
    assert Timed(0, 0, 1, (0.5,), 1, 4).token_seconds is None, "of one piece no time between two is known"


def test_a_stall_counts_for_all_who_were_to_ask_meanwhile() -> None:
    """One second without an answer: the share of those that it held up, and for how long, is known beforehand."""
    rate, number, begin, end = 50.0, 200, 1.0, 2.0
    done = ran(Load(number, 1, 3, 9, rate=rate, pace="constant"), ("a", Engine(1, (begin, end))))
    [block] = done.blocks
    first = [1000 * (timed.first_seconds or 0.0) for timed in block.requests]
    due = [at / rate for at in range(number)]
    truth = [1000 * (FIRST + (end - at if begin <= at < end else 0.0)) for at in due]
    assert percentile(sorted(first), 0.99) > 0.95 * percentile(sorted(truth), 0.99), "none was left out"
    assert sum(one > 1000 * (FIRST + 0.1) for one in first) >= rate * (end - begin) * 0.9 - 8


def test_an_error_is_counted_and_is_no_latency() -> None:
    done = ran(Load(2, 1, 3, 9), ("a", Engine()), ("b", Engine(status=500)))
    found = measured(done).arms
    assert found["b"]["errors"].value == 1.0 and "ttft_ms.p50" not in found["b"]
    assert any("2 requests of b failed" in one and "500" in one for one in warnings(done, measured(done)))
    assert all(math.isnan(one.figure.value) for one in ratios(by_round(done)) if one.name != "tokens_per_s")


WORD: dict[str, Any] = {"choices": [{"delta": {"content": "a"}}]}
END: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
USAGE: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def heard(text: str, api: Any = "openai") -> Timed:
    return read(api, [(0.1, text.encode())], Timed(0, 0, 1))


def said(*events: object, before: str = "data: ", after: str = "\n\n") -> str:
    return "".join(f"{before}{json.dumps(event)}{after}" for event in events)


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([WORD, END], "no usage"),
        ([WORD, END, {"choices": [], "usage": {"total_tokens": 3}}], "no usage"),
        ([WORD, END, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": -1}}], "no usage"),
        ([WORD | {"usage": {"prompt_tokens": 7, "completion_tokens": 1}}], "cut off"),
        ([{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}], "no text came"),
        ([{"error": {"message": "out of\n\x1b[31mmemory"}}], "out of [31mmemory"),
        ([WORD, {"error": "overloaded"}, USAGE], "overloaded"),
        (
            [{"choices": [None, 3, {"delta": "x"}]}, {"choices": {"a": 1}}, {"choices": 3, "usage": [1]}, 5],
            "no text came",
        ),
        ([], "no text came"),
    ],
)
def test_what_can_not_be_counted_is_an_error(events: list[Any], error: str) -> None:
    assert error in (heard(said(*events)).error or "")


@pytest.mark.parametrize(
    "text",
    [
        said(WORD, END, USAGE, before="data:"),
        said(WORD, END, USAGE, after="\r\n\r\n"),
        said(WORD, END, USAGE, after="\r\r"),
        ": a comment\n\nevent: x\n" + said(WORD, END, USAGE),
        said(WORD, END, USAGE).removesuffix("\n\n"),
        said(WORD, END, USAGE).replace('"choices":', '"choices":\ndata: '),
        said(*({**event, "error": None} for event in (WORD, END, USAGE))),
        said(WORD | {"usage": {"prompt_tokens": 7, "completion_tokens": 1}}, END, USAGE),
        said(WORD, USAGE) + "data: [DONE]\n\n",
    ],
)
def test_a_stream_may_be_written_in_any_way_that_the_standard_has(text: str) -> None:
    found = heard(text)
    assert (found.error, found.heard, found.tokens_in, found.tokens_out) == (None, (0.1,), 7, 3)


def test_an_answer_of_messages_that_was_cut_off_is_an_error() -> None:
    """Its beginning says one token already."""
    begin = {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}}
    text = said(begin, {"type": "content_block_delta", "delta": {"text": "a"}})
    assert "cut off" in (heard(text, "anthropic").error or "")
    assert heard(text + said({"type": "message_stop"}), "anthropic").error is None


def test_nested_beyond_measure_is_an_error() -> None:
    assert "no JSON" in (heard(f"data: {'[' * 100_000}\n\n").error or "")


@pytest.mark.parametrize(("url", "key"), [("http://a..b", None), ("http://127.0.0.1:9", "a\nb")])
def test_what_can_not_be_sent_is_an_error_of_that_request(url: str, key: str | None) -> None:
    [block] = asyncio.run(run([Target("a", url, "m", key=key)], Load(1, 1, 3, 9), 1, lambda: None)).blocks
    assert block.requests[0].error


def test_a_redirect_is_an_error_and_takes_no_key_elsewhere() -> None:
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return Response(status_code=307, headers={"location": "/elsewhere"})

    with serving(Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])) as url:
        [block] = asyncio.run(run([Target("a", url, "m")], Load(1, 1, 3, 9), 1, lambda: None)).blocks
    assert "307" in (block.requests[0].error or "") and set(asked) == {"/v1/chat/completions"}


def test_a_server_that_closes_each_connection_after_its_answer_and_says_nothing_of_it_has_no_failures() -> None:
    """llama.cpp's does so after a stream: every second request failed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(one.split(b":")[1]) for one in head.split(b"\r\n") if one.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        text = said(WORD, END, USAGE).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
        await writer.drain()
        writer.close()

    async def asked() -> Ran:
        async with await asyncio.start_server(answer, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            return await run([Target("a", f"http://127.0.0.1:{port}", "m")], Load(30, 1, 3, 9), 1, lambda: None)

    assert [timed.error for block in asyncio.run(asked()).blocks for timed in block.requests] == [None] * 30


def test_a_server_that_answers_nobody_fails_at_once() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def asked() -> Ran:
        async with await asyncio.start_server(leave, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            return await run([Target("a", f"http://127.0.0.1:{port}", "m")], Load(3, 1, 3, 9), 1, lambda: None)

    assert all(timed.error for block in asyncio.run(asked()).blocks for timed in block.requests)


def test_one_long_wait_counts_for_every_look_that_it_held_up() -> None:
    """A client that stood still a tenth of the time would else have one late look in ninety."""

    async def looked() -> list[float]:
        found: list[float] = []
        looking = asyncio.create_task(lags(found))
        await asyncio.sleep(0.02)
        time.sleep(0.5)  # noqa: ASYNC251
        await asyncio.sleep(0.3)
        looking.cancel()
        return found

    assert sum(one > 0.1 for one in asyncio.run(looked())) >= 35


def test_an_event_counts_from_the_piece_that_ends_it() -> None:
    whole = said(WORD, END, USAGE).encode()
    assert read("openai", [(0.1, whole[:20]), (0.7, whole[20:])], Timed(0, 0, 1)).heard == (0.7,)


def test_arrivals_are_of_their_rate_and_the_same_for_one_seed() -> None:
    found = offsets("poisson", 10.0, 5000, "s")
    gaps = [after - before for before, after in pairwise(found)]
    assert statistics.fmean(gaps) == pytest.approx(0.1, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.1, rel=0.08), "as of an exponential"
    assert found == offsets("poisson", 10.0, 5000, "s") != offsets("poisson", 10.0, 5000, "t")
    assert offsets("constant", 4.0, 3, "s") == [0.0, 0.25, 0.5]


def test_no_two_prompts_are_alike_and_each_is_as_long_in_every_arm() -> None:
    texts = [prompt(f"1 {at}", arm, 20) for at in range(50) for arm in "ab"]
    assert len(set(texts)) == 100 and len({text[:12] for text in texts}) > 90
    assert all(len(one) == len(two) for one, two in zip(texts[::2], texts[1::2], strict=True))


def test_a_password_in_an_arm_s_address_is_in_no_result() -> None:
    target = replace(TARGET, url="http://ann:hush@127.0.0.1:9/base")
    done = Ran([target], Load(1, 1, 5, 9), 1, blocks=[Block("a", 0, [TIMED], 1.0)])
    told = report.as_json(report.Report({"machine": "m"}, done, Wanted(), measured(done), []))
    assert "hush" not in told and "http://127.0.0.1:9/base" in told


def test_a_second_run_has_prompts_of_its_own() -> None:
    """With the first one's a server would find them in its cache."""
    one, two = (Ran([TARGET], Load(1, 1, 5, 9), 1).salt for _ in range(2))
    assert one != two and prompt("1 0 0", f"a {one}", 20) != prompt("1 0 0", f"a {two}", 20)


def blocks(arm: str, rng: random.Random, times: float = 1.0, rounds: int = 10) -> list[Block]:
    made = []
    for number in range(rounds):
        slow = times * rng.lognormvariate(0, 0.02)
        heard = [tuple(slow * moment * rng.lognormvariate(0, 0.05) for moment in (0.1, 0.5)) for _ in range(20)]
        requests = [Timed(0.0, 0.0, one[-1], one, 10, 10) for one in heard]
        made.append(Block(arm, number, requests, max(one.ended for one in requests)))
    return made


def test_two_arms_alike_are_seldom_told_apart_and_a_twentieth_is() -> None:
    """With noise of two hundredths between blocks, and of five between requests."""
    rng, alike, slower = random.Random(3), 0, 0
    pair = [TARGET, replace(TARGET, name="b")]
    for _ in range(200):
        for times in (1.0, 1.05):
            done = Ran(pair, Load(20, 10, 5, 9), 1, blocks=[*blocks("a", rng), *blocks("b", rng, times)])
            [told] = [one for one in ratios(by_round(done)) if one.name == "e2e_ms.p50"]
            if times == 1.0:
                alike += told.real
            else:
                slower += told.real
    assert alike / 200 <= 0.08 and slower / 200 >= 0.9


def test_student_s_quantiles_are_those_of_the_tables() -> None:
    tables = {1: 12.706, 2: 4.303, 5: 2.571, 7: 2.365, 9: 2.262, 19: 2.093, 60: 2.000, 1000: 1.962}
    assert {freedom: student(freedom) for freedom in tables} == pytest.approx(tables, abs=2e-3)


def test_a_ratio_of_one_round_says_nothing_and_one_without_a_value_is_none() -> None:
    assert ratio([(2.0, 1.0)]).low == 0 and math.isnan(ratio([(None, 1.0), (1.0, 1.0)]).value)


def test_a_ratio_that_has_no_value_is_no_difference() -> None:
    assert not Ratio("b", "a", "e2e_ms.p50", ratio([(None, 1.0)])).real
    assert (
        Ratio("b", "a", "e2e_ms.p50", Figure(2, 1.5, 3)).real
        and Ratio("b", "a", "e2e_ms.p50", Figure(1, 0.5, 0.9)).real
    )


def test_fewer_than_five_rounds_have_no_interval() -> None:
    for rounds, has in ((1, False), (4, False), (5, True)):
        done = Ran(
            [TARGET], Load(3, rounds, 5, 9), 1, blocks=[Block("a", at, [TIMED] * 3, 1.0) for at in range(rounds)]
        )
        found = measured(done)
        figure = found.arms["a"]["e2e_ms.p50"]
        assert figure.value == 1000 and math.isnan(figure.low) != has and (report.shown(figure) == "1000") != has
        notes = "\n".join(report.notes(report.Report({"machine": "m"}, done, Wanted(), found, [])))
        assert ("of fewer than 5 rounds there is none" in notes) != has


def test_a_client_that_is_a_few_milliseconds_late_is_not_in_the_way() -> None:
    """Timers and neighbours make it so; of a first token that takes longer, a twentieth is."""
    for late, told in ((0.004, False), (0.006, True)):
        done = Ran([TARGET], Load(3, 1, 5, 9), 1, blocks=[Block("a", 0, [replace(TIMED, sent=late)] * 3, 1.0)])
        assert any("late" in one for one in warnings(done, measured(done))) == told


def test_the_percentiles_are_those_of_all_requests_together() -> None:
    rng = random.Random(5)
    some = [*blocks("a", rng, rounds=3), Block("a", 3, [replace(TIMED, error="no")], 1.0)]
    every = sorted(1000 * timed.whole_seconds for block in some[:3] for timed in block.requests)
    found = values([*some, some[0]], Wanted())
    twice = sorted([*every, *(1000 * timed.whole_seconds for timed in some[0].requests)])
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        assert values(some, Wanted())[f"e2e_ms.{name}"] == pytest.approx(percentile(every, share))
        assert found[f"e2e_ms.{name}"] == pytest.approx(percentile(twice, share))


def test_an_interval_over_few_rounds_is_wider_than_plain_draws() -> None:
    """Plain percentiles of draws hold it in 49 of these 60."""
    rng, held = random.Random(4), 0
    for _ in range(60):
        rounds = []
        for number in range(5):
            whole = rng.lognormvariate(0, 0.1)
            rounds.append(Block("a", number, [Timed(0, 0, whole, (whole / 2,), 1, 1)], whole))
        figure = measured(Ran([TARGET], Load(1, 5, 5, 9), 1, blocks=rounds)).arms["a"]["requests_per_s"]
        held += figure.low <= 1 / math.exp(0.1**2 / 2) <= figure.high
    assert held / 60 >= 0.85, held


def test_long_answers_are_counted_in_seconds_not_in_minutes() -> None:
    """A draw of the bootstrap costs no more for them: each block is put in order once."""
    heard = tuple(at / 100 for at in range(1, 500))
    some = [Block("a", at, [Timed(0, 0, 9, heard, 9, 500)] * 10, 9.0) for at in range(10)]
    began = time.process_time()
    values(some, Wanted())
    once = time.process_time() - began
    measured(Ran([TARGET], Load(10, 10, 5, 9), 1, blocks=some))
    assert time.process_time() - began < 60 * once


def test_a_limit_of_nothing_is_a_limit() -> None:
    assert not Slo(ttft_ms=0).met(TIMED) and not Slo(tpot_ms=0).met(TIMED) and Slo(ttft_ms=100).met(TIMED)


def test_goodput_is_of_those_within_both_limits() -> None:
    slow = replace(TIMED, heard=(0.3, 0.4))
    block = Block("a", 0, [TIMED, slow, replace(TIMED, error="no")], 2.0)
    assert values([block], Wanted(Slo(ttft_ms=200)))["goodput"] == pytest.approx(1 / 3)
    assert values([block], Wanted(Slo(ttft_ms=500, tpot_ms=0.001)))["goodput"] == 0
    assert values([block], Wanted(Slo(ttft_ms=500)))["goodput_per_s"] == 1.0 and "goodput" not in values(
        [block], Wanted()
    )


def test_what_speaks_against_a_run_is_said() -> None:
    late = replace(TIMED, sent=0.05)
    uneven = replace(TIMED, tokens_in=20)
    behind = [replace(TIMED, heard=(0.1 + 0.1 * at, 9.0)) for at in range(30)]
    pair = [TARGET, replace(TARGET, name="b")]
    done = Ran(pair, Load(30, 1, 5, 9, rate=10), 1, other_cores=1.5, lags=[0.5] * 10)
    done.blocks = [Block("a", 0, [late] * 3, 1.0, 0.9), Block("b", 0, [*[uneven] * 12, *behind], 9.0, 0.1)]
    told = "\n".join(warnings(done, measured(done)))
    assert (
        "requests of a left 50.0 ms late" in told
        and "event loop" in told
        and "0.90 of the one core that it can while it asked a" in told
    )
    assert "b fell behind" in told and "to 13 tokens" in told and "1.5 cores" in told
    quiet = Ran(pair, Load(3, 1, 5, 9), 1, blocks=[Block(name, 0, [TIMED] * 3, 1.0) for name in "ab"])
    assert not list(warnings(quiet, measured(quiet)))


def test_a_roofline_is_of_the_batch_that_there_was() -> None:
    done = Ran([TARGET], Load(4, 1, 5, 9), 1, blocks=[Block("a", 0, [TIMED] * 4, 2.0)])
    roof = roofline(named("granite-3.1-1b-a400m"), done, "a", 1e10)
    assert (roof.batch, roof.context_tokens) == (4.0, 18.0), "it decoded four while it decoded, whatever it idled"
    assert roof.used(roof.step_bytes / 1e10) == pytest.approx(1.0)
    assert roof.tokens_per_s == pytest.approx(4 * 1e10 / roof.step_bytes)


def test_a_step_has_those_whose_first_token_came_and_not_those_who_wait() -> None:
    assert decoded_at_once([(0, 4), (2, 6), (8, 9)]) == pytest.approx((2 * 1 + 2 * 4 + 2 * 1 + 1) / (2 + 4 + 2 + 1))
    assert decoded_at_once([]) == decoded_at_once([(1, 1)]) == 1


def test_answers_that_came_in_one_piece_have_a_roofline_without_a_share() -> None:
    whole = replace(TIMED, heard=(0.5, 0.5))
    done = Ran([TARGET], Load(4, 1, 5, 9), 1, blocks=[Block("a", 0, [whole] * 4, 2.0)])
    said = sentence(
        "a", roofline(named("granite-3.1-1b-a400m"), done, "a", 1e10), measured(done).arms["a"]["tpot_ms.p50"]
    )
    assert "S-MBU" not in said


def test_answers_that_differ_in_length_are_said_unless_chance_explains_it() -> None:
    rng, pair = random.Random(1), [TARGET, replace(TARGET, name="b")]
    lengths = {name: [rng.randint(5, 60) for _ in range(40)] for name in "ab"}
    for more, told in ((0, False), (30, True)):
        made = [
            Block(name, 0, [replace(TIMED, tokens_out=one + more * (name == "b")) for one in found], 1.0)
            for name, found in lengths.items()
        ]
        done = Ran(pair, Load(40, 1, 5, 9), 1, blocks=made)
        assert any("answers have" in one for one in warnings(done, measured(done))) == told


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000/v", True),
        ("https://localhost", True),
        ("http://10.0.0.1", False),
    ],
)
def test_an_arm_on_this_machine_is_none_of_the_others_that_disturb_it(url: str, here: bool) -> None:
    """Else every run of a server that works here would be called disturbed."""
    assert is_here(replace(TARGET, url=url)) == here


def test_the_command_writes_what_it_measured_and_says_what_is_not_met(tmp_path: Path) -> None:
    load = ["--requests", "3", "--rounds", "2", "--words", "5", "--warm-up", "1"]
    with serving(Engine(2).app) as url:
        common = ["bench", "run", "--arm", f"a={url}/v1", "--a-a", "--card", "firstpass-draft-10m", *load]
        done = CliRunner().invoke(app, [*common, "--out", str(tmp_path / "r"), "--require", "ttft_ms.p50<60000"])
        assert done.exit_code == 0, done.output
        failing = CliRunner().invoke(app, [*common, "--out", str(tmp_path / "s"), "--require", "again:ttft_ms.p50<1"])
    assert failing.exit_code == 1 and "not met: again:ttft_ms.p50<1: it is" in failing.output
    told = json.loads((tmp_path / "r" / "results.json").read_text())
    assert list(told["arms"]) == ["a", "again"] and len(told["arms"]["a"]["rounds"]) == 2
    assert len((tmp_path / "r" / "requests.csv").read_text().splitlines()) == 1 + 2 * 2 * 3
    assert told["arms"]["a"]["roofline"]["card"] == "firstpass-draft-10m"
    assert "again, whole answer, ms, p50:" in (tmp_path / "r" / "report.md").read_text()
    page = (tmp_path / "r" / "report.html").read_text()
    assert page.count("<svg") == 3 and "<script" not in page and "http" not in page.replace(url, "")
    same = CliRunner().invoke(app, ["bench", "compare", str(tmp_path / "r"), str(tmp_path / "s")])
    assert "not told apart" in same.output


def result(rounds: object, rate: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"format": 1, "load": {"rate": rate}, "arms": {"a": {"rounds": rounds}}, **more}


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (result([], format=2), "its format is 2"),
        ({"arms": {}}, "no result"),
        (result([3]), "no result"),
        (result([{"e2e_ms.p50": "x"}]), "no result"),
        (result([{"e2e_ms.p50": -1}]), "no result"),
        (result([{"e2e_ms.p50": math.nan}]), "no result"),
        (result(3), "no result"),
        ([], "no result"),
        ({**result([]), "arms": {}}, "no result"),
        ({**result([]), "arms": [1]}, "no result"),
    ],
)
def test_what_is_no_result_is_said(told: object, named: str, tmp_path: Path) -> None:
    (tmp_path / "it").write_text(json.dumps(told))
    done = CliRunner().invoke(app, ["bench", "compare", str(tmp_path / "it"), str(tmp_path / "it")])
    assert done.exit_code != 0 and isinstance(done.exception, BadLabels) and named in str(done.exception)


def test_a_run_of_which_more_requests_failed_is_status_1(tmp_path: Path) -> None:
    """Those that fail have no latency, so that nothing else of it is longer."""
    good = [{"e2e_ms.p50": 100.0 + at, "tokens_per_s": 50.0, "errors": 0.0} for at in range(3)]
    for name, rounds in (("old", good), ("new", [{"errors": 1.0, "tokens_per_s": 0.0}] * 3)):
        (tmp_path / name).write_text(json.dumps(result(rounds)))
    done = CliRunner().invoke(app, ["bench", "compare", str(tmp_path / "old"), str(tmp_path / "new")])
    assert done.exit_code == 1 and "100.0% of the requests failed after" in done.output


@pytest.mark.parametrize("option", ["--rate", "--slo-ttft-ms", "--slo-tpot-ms", "--speed", "--temperature"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_no_option_is_other_than_finite(option: str, value: str) -> None:
    done = CliRunner().invoke(app, ["bench", "run", "--arm", "a=http://127.0.0.1:9", option, value])
    assert done.exit_code == 2 and "Invalid value" in done.output


def test_a_place_that_can_not_be_written_is_an_error_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine = Engine(1)
    with serving(engine.app) as url:
        command = ["bench", "run", "--arm", f"a={url}", "--rounds", "1", "--requests", "1", "--out"]
        done = CliRunner().invoke(app, [*command, str(tmp_path / "file" / "r")])
    assert isinstance(done.exception, OSError) and engine.began == math.inf


def test_a_run_that_is_surely_slower_than_another_is_status_1(tmp_path: Path) -> None:
    for name, times in (("old", 1.0), ("new", 2.0)):
        rounds = [{"e2e_ms.p50": times * (100 + at), "tokens_per_s": 50.0} for at in range(5)]
        (tmp_path / name).write_text(json.dumps(result(rounds, times)))
    command = ["bench", "compare", str(tmp_path / "old"), str(tmp_path / "new")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1 and "not alike: rate was 1.0 and is 2.0" in done.output
    assert CliRunner().invoke(app, [*command, "--slower", "3"]).exit_code == 0
    assert CliRunner().invoke(app, [*command[:2], command[3], command[2]]).exit_code == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--arm", "no-url"], "NAME=URL"),
        (["--arm", "a=http://127.0.0.1:9", "--arm", "a=http://127.0.0.1:9"], "given twice"),
        (["--arm", "a=http://127.0.0.1:9", "--require", "speed<3"], "figures are"),
        (["--arm", "a=http://127.0.0.1:9", "--require", "b:ttft_ms.p50<3"], "no arm 'b'"),
        (["--arm", "a=http://127.0.0.1:9", "--require", "ttft_ms<3"], "figures are"),
        (["--arm", "a=http://127.0.0.1:9", "--require", "ttft_ms.p95<3"], "figures are"),
        (["--arm", "a=http://127.0.0.1:9", "--require", "tokens_per_s.p50>3"], "figures are"),
        (["--arm", "a=http://127.0.0.1:9", "--require", "goodput>0.9"], "--slo-ttft-ms"),
    ],
)
def test_what_can_not_be_asked_for_is_an_error(options: list[str], named: str) -> None:
    done = CliRunner().invoke(app, ["bench", "run", *options])
    assert done.exit_code != 0 and named in str(done.exception)
