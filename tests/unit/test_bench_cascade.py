"""What load benchmarks say of a cascade's answers, of warm-ups and of rounds that were not steady."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from firstpass.bench.figures import Price
from firstpass.bench.load.doubts import warnings
from firstpass.bench.load.figures import LEAST_ROUNDS, Slo, Wanted, measured, values
from firstpass.bench.load.made import Made, of_headers, of_object
from firstpass.bench.load.request import Target, Timed, read
from firstpass.bench.load.run import Block, Load, Ran, warming
from firstpass.cli.main import app
from tests.conftest import fronted, serving
from tests.doubles import messages_app

TIMED = Timed(0.0, 0.0, 1.0, (0.1, 0.2, 0.3, 0.4), tokens_in=10, tokens_out=16)
DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


def step(tier: str, **more: Any) -> dict[str, Any]:
    return {"tier": tier, "usage": None, "first_token_seconds": None, "checks_seconds": None} | more


USAGE = {"prompt_tokens": 100, "completion_tokens": 20}
DRAFT = step("draft", first_token_seconds=0.05, checks_seconds=0.002, usage=USAGE)
TOLD = {"contract": "pr-summary@1", "findings": [], "steps": [DRAFT]}


def test_an_answer_s_own_words_say_how_it_was_made() -> None:
    assert of_object(TOLD) == Made(False, True, 0.05, 0.002)
    asked = [DRAFT, step("code", checks_seconds=0.001), step("verifier", usage=USAGE, checks_seconds=0.003)]
    found = of_object({**TOLD, "steps": asked, "findings": [{"severity": "fail"}]})
    assert found == Made(True, False, 0.05, pytest.approx(0.006), 100, 20)
    noted = of_object({**TOLD, "findings": [{"severity": "note"}]})
    assert noted is not None and noted.accepted, "a note is no fault"


@pytest.mark.parametrize(
    "told",
    [
        *(None, 3, [], {}, {"steps": 3}, {**TOLD, "findings": 3}, {**TOLD, "steps": [{}]}),
        *({**TOLD, "steps": [{**DRAFT, "checks_seconds": odd}]} for odd in ("x", -1, math.nan, math.inf, 10**400)),
        {**TOLD, "steps": [step("verifier", usage={"prompt_tokens": "x", "completion_tokens": 1})]},
    ],
)
def test_what_is_no_such_object_says_nothing(told: object) -> None:
    assert of_object(told) is None


def test_a_plain_answer_says_by_a_header_who_wrote_it() -> None:
    assert of_headers({"x-firstpass-route": "strong"}) == Made(True)
    assert of_headers({"x-firstpass-route": "draft"}) == Made(False) and of_headers({}) is None


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_it_is_read_from_the_end_of_a_stream(api: Any) -> None:
    claude = [
        {"type": "content_block_delta", "delta": {"text": "a"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 3},
            "firstpass": TOLD,
        },
    ]
    ours = [
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}], "firstpass": TOLD},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
    ]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in (claude if api == "anthropic" else ours))
    found = read(api, [(0.1, text.encode())], Timed(0, 0, 1))
    assert found.error is None and found.made == Made(False, True, 0.05, 0.002)


def test_cost_is_of_accepted_answers_and_counts_what_the_others_cost_too() -> None:
    good, dear = Made(False, True, 0.05, 0.002), Made(True, True, 0.07, 0.004, 1000, 100)
    lost = Made(True, False, 0.09, 0.004, 3000, 300)
    every = [replace(TIMED, made=one) for one in (good, good, dear, lost)]
    block = Block("a", 0, [*every, TIMED, replace(TIMED, error="no", made=lost)], 1.0)
    found = values([block], Wanted(Slo(), Price(1.0, 10.0)))
    assert (found["escalations"], found["accepted"]) == (0.5, 0.75)
    assert found["verifier_tokens_per_accepted"] == pytest.approx(4400 / 3)
    assert found["usd_per_1000_accepted"] == pytest.approx(1000 * (4000 * 1.0 + 400 * 10.0) / 1e6 / 3)
    assert found["draft_ttft_ms.p50"] == pytest.approx(60) and found["checks_ms.p50"] == pytest.approx(3)
    assert "usd_per_1000_accepted" not in values([block], Wanted())
    assert not {"escalations", "accepted"} & values([Block("a", 0, [TIMED], 1.0)], Wanted()).keys()


def test_a_firstpass_server_s_answers_have_all_of_it(tmp_path: Path) -> None:
    """The draft is streamed, so that there is a first token to speak of."""
    ours = {"contract": "pr-summary", "optimistic": True}
    lines = [{"body": {"messages": [{"role": "user", "content": DIFF}], "firstpass": ours}}] * 2
    (tmp_path / "w.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    engine = messages_app(lambda _: {"role": "assistant", "content": "Sets a to 2."})
    with serving(engine) as url, fronted(url, tmp_path / "data") as client:
        command = ["bench", "run", "--arm", f"a={client.base_url}#firstpass", "--workload", str(tmp_path / "w.jsonl")]
        load = ["--requests", "2", "--rounds", "1", "--price-in", "1", "--price-out", "2", "--out", str(tmp_path / "r")]
        done = CliRunner().invoke(app, [*command, *load])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "r" / "results.json").read_text())
    found = told["arms"]["a"]["figures"]
    assert found["escalations"]["value"] == 0 and 0 <= found["accepted"]["value"] <= 1
    assert found["checks_ms.p50"]["value"] > 0 and found["draft_ttft_ms.p50"]["value"] > 0
    assert told["prices_usd_per_million_tokens"] == {"tokens_in": 1.0, "tokens_out": 2.0}
    assert "checks by code" in (tmp_path / "r" / "report.html").read_text()
    head, first = (tmp_path / "r" / "requests.csv").read_text().splitlines()[:2]
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert row["escalated"] == "0" and float(row["checks_ms"]) > 0


def test_the_time_between_two_pieces_is_not_shared_among_tokens() -> None:
    found = values([Block("a", 0, [TIMED], 1.0)], Wanted())
    assert found["piece_ms.p50"] == pytest.approx(100) and found["itl_ms.p50"] == pytest.approx(25)


def test_a_warm_up_is_as_the_load_is() -> None:
    assert warming(Load(5, 1, 1, 1, at_once=64, warm_up=2)).requests == 64
    assert warming(Load(5, 1, 1, 1, at_once=64, warm_up=2)).at_once == 64
    opened = warming(Load(5, 1, 1, 1, rate=3.0, warm_up=2))
    assert (opened.requests, opened.rate) == (2, 3.0)


def rounds(times: list[float]) -> Ran:
    blocks = []
    for number, one in enumerate(times):
        heard = (0.1 * one, 0.5 * one)
        blocks.append(Block("a", number, [Timed(0, 0, heard[-1], heard, 10, 10)] * 4, 1.0))
    return Ran([Target("a", "http://127.0.0.1:9", "m")], Load(4, len(times), 5, 9), 1, blocks=blocks)


def unsteady(ran: Ran) -> list[str]:
    return [one for one in warnings(ran, measured(ran)) if "not steady" in one]


def test_first_rounds_that_were_cold_are_said() -> None:
    cold = rounds([1.5, 1.4, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99])
    [first, whole] = unsteady(cold)
    assert "to the first token was in the first 2 of 10 rounds 1.45 of that" in first and "of a whole answer" in whole
    assert not unsteady(rounds([1.03, 1.03, *[1.0] * 8])), "what matters to nobody is not said"
    assert not unsteady(rounds([1.5] + [1.0] * (LEAST_ROUNDS - 2))), "of few rounds nothing is said"


def test_steady_rounds_are_seldom_called_otherwise() -> None:
    """Noise of a fifth between rounds, so that the bound of a twentieth is no help."""
    rng, told = random.Random(7), 0
    for _ in range(150):
        times = [rng.lognormvariate(0, 0.2) for _ in range(10)]
        told += bool(unsteady_by_rounds(times))
    assert told <= 6, told


def unsteady_by_rounds(times: list[float]) -> list[str]:
    """Without bootstraps, which take time and say nothing of it."""
    from firstpass.bench.load.doubts import Bounds, _unsteady

    return list(_unsteady("a", [{"e2e_ms.p50": one} for one in times], Bounds()))
