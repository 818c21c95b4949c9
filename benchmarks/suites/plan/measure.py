"""Does `firstpass plan` foretell how fast a model is? Models of eleven shapes on vLLM, and what was predicted of each.

    python benchmarks/suites/plan/measure.py DIRECTORY [--bfloat16] [--only SHAPE] [--out FILE]
    python benchmarks/suites/plan/measure.py --of FILE

Four shapes find the engine's costs (what a step and a layer take beside reading, what share of the memory's bandwidth
and of the arithmetic it gets), by least squares of relative errors, and the bundled model what one thread alone saves
and a request takes before it is read; the other six are predicted by these. Models with random weights are made in
DIRECTORY, right for speed and wrong for quality. The machine's rates are measured before each model, and their medians
count. --of has earlier runs' figures. On a CPU without bfloat16, as it is meant for, vLLM runs them in float32; with
--bfloat16 it emulates that.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from firstpass import catalogue, hardware
from firstpass.bench.trying import running, took
from firstpass.catalogue import Card
from firstpass.engine import EngineSpec
from firstpass.engine.recipe import SMALL_WEIGHTS_BYTES
from firstpass.plan import prediction
from firstpass.plan.prediction import Costs, predicted
from firstpass.plan.rates import Rates, measured
from firstpass.plan.shape import of_card
from firstpass.plan.ways import Way

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from benchmarks.suites.engines.shapes import BUNDLED, on_meta, write_random  # noqa: E402
from tests.vllm.architectures import TOKENIZER_FILES  # noqa: E402

LIKE, WIDER = "granite-3.1-1b-a400m", "granite-3.1-3b-a800m"
"""Of both, hidden is as wide as their attention's heads are together."""

CONTEXT_TOKENS, PROMPT_TOKENS = 1024, 400

FITTED: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "small": (LIKE, {"layers": 6, "experts": 8, "experts_per_token": 2, "expert_width": 256}),
    "deep": (LIKE, {"layers": 32, "experts": 8, "experts_per_token": 2, "expert_width": 256}),
    "wide": (WIDER, {"layers": 8, "experts": 16, "experts_per_token": 4, "expert_width": 1024}),
    "many": (LIKE, {"layers": 12, "experts": 32, "experts_per_token": 8, "expert_width": 512}),
}
FORETOLD: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "middle": (WIDER, {"layers": 16, "experts": 12, "experts_per_token": 3, "expert_width": 512}),
    "flat": (WIDER, {"layers": 20, "experts": 32, "experts_per_token": 4, "expert_width": 256}),
    "broad": (WIDER, {"layers": 24, "experts": 8, "experts_per_token": 2, "expert_width": 1536}),
    "tall": (LIKE, {"layers": 28, "experts": 16, "experts_per_token": 2, "expert_width": 1024}),
    LIKE: (LIKE, {}),
}
ALONE, OTHER = "firstpass-draft-10m", "firstpass-verify-30m"


def made(name: str, like: str, changes: Mapping[str, int], directory: Path) -> tuple[Card, Path]:
    """A model of the granite family, whose parameters are counted."""
    card = replace(catalogue.named(like), **changes)  # type: ignore[arg-type]
    with_parts = on_meta(card)
    total = sum(one.numel() for one in with_parts.parameters())
    experts = 3 * card.layers * card.hidden * card.expert_width
    active = total - experts * (card.experts - card.experts_per_token)
    card = replace(card, parameters_total=total, parameters_active=active)
    place = directory / name
    if not (place / "config.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        write_random(card, place)
        for file in (*TOKENIZER_FILES, "generation_config.json"):
            (place / file).write_bytes((BUNDLED / file).read_bytes())
    return replace(card, name=name), place


async def asked(card: Card, model: Path, data: Path, *, emulated: bool) -> dict[str, Any]:
    rates = measured(hardware.this())
    dtype = ("--dtype", "bfloat16") if emulated else ()
    spec = EngineSpec(card.name, "vllm", data, model_dir=model, context_tokens=CONTEXT_TOKENS, extra_args=dtype)
    async with running(spec) as asking:
        found = await took(asking, PROMPT_TOKENS)
    return {"name": card.name, **asdict(found), "rates": asdict(rates), "emulated": emulated}


def way_of(card: Card, *, emulated: bool) -> Way:
    name, size = ("bfloat16", 2) if emulated else ("float32", 4)
    small = of_card(card).weight_bytes <= SMALL_WEIGHTS_BYTES
    return Way("vllm", name, of_card(card, size), emulated=emulated, one_thread=small)


def middle(every: Sequence[Mapping[str, Any]]) -> Rates:
    return Rates(**{name: statistics.median(one["rates"][name] for one in every) for name in Rates.__slots__})


def fitted(every: Sequence[Mapping[str, Any]], cards: Mapping[str, Card], rates: Rates) -> Costs:
    """step seconds = operation (step_calls + layers layer_calls) + reading / reads; a prompt's arithmetic / reckons."""
    found = _fitted([one for one in every if one["name"] in FITTED], cards, rates)
    one = next((one for one in every if one["name"] == ALONE), None)
    if one is None:
        return found
    way = way_of(cards[ALONE], emulated=one["emulated"])
    reading = way.shape.step_bytes(1, one["short_tokens"]) / (rates.bytes_per_s * found.reads)
    calls = (found.step_calls + found.layer_calls * way.shape.layers) * rates.operation_seconds
    asking = one["first_seconds"] - one["token_seconds"]
    asking -= way.shape.prompt_operations(one["prompt_tokens"]) / (rates.flops * found.reckons)
    alone = (one["token_seconds"] - reading) / calls
    return replace(found, alone=alone, prompt_calls=max(0.0, asking) / rates.operation_seconds)


def _fitted(every: Sequence[Mapping[str, Any]], cards: Mapping[str, Card], rates: Rates) -> Costs:
    rows, ones, shares = list[list[float]](), list[float](), list[float]()
    for one in every:
        way = way_of(cards[one["name"]], emulated=one["emulated"])
        reading = way.shape.step_bytes(1, one["short_tokens"]) / rates.bytes_per_s
        call = rates.operation_seconds
        rows.append([part / one["token_seconds"] for part in (call, call * way.shape.layers, reading)])
        ones.append(1.0)
    step, layer, slow = not_negative(rows, ones)
    for one in every:
        way = way_of(cards[one["name"]], emulated=one["emulated"])
        calls = (step + layer * way.shape.layers) * rates.operation_seconds
        arithmetic = way.shape.prompt_operations(one["prompt_tokens"]) / rates.flops
        shares.append(arithmetic / max(1e-9, one["first_seconds"] - calls))
    reads, reckons = 1 / max(slow, 1e-9), statistics.geometric_mean(shares)
    return Costs(step, layer, reads, reckons, reads, reckons)


def not_negative(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Least squares, without those whose best number would be below nothing."""
    used = list(range(len(rows[0])))
    while True:
        matrix = torch.tensor([[row[at] for at in used] for row in rows], dtype=torch.float64)
        found = torch.linalg.lstsq(matrix, torch.tensor(wanted, dtype=torch.float64)[:, None]).solution[:, 0].tolist()
        if min(found) >= 0:
            return [dict(zip(used, found, strict=True)).get(at, 0.0) for at in range(len(rows[0]))]
        used.pop(found.index(min(found)))


def table(every: Iterable[Mapping[str, Any]], cards: Mapping[str, Card], costs: Costs, rates: Rates) -> list[str]:
    prediction.COSTS = {("vllm", False): costs}
    lines = [
        "| shape | tokens/s | predicted, of it | first token of 400, s | predicted, of it |",
        "|---|---|---|---|---|",
    ]
    for one in every:
        way = way_of(cards[one["name"]], emulated=one["emulated"])
        step, first = (predicted(way, rates, one[tokens]) for tokens in ("short_tokens", "prompt_tokens"))
        assert step is not None and first is not None
        speed, soon = one["token_seconds"] / step.token_seconds, first.first_seconds / one["first_seconds"]
        used = one["token_seconds"] * rates.bytes_per_s
        share = way.shape.step_bytes(1, one["short_tokens"]) / used
        lines.append(
            f"| {one['name']} (S-MBU {share:.2f}) | {1 / one['token_seconds']:.1f} | {speed:.2f}"
            f" | {one['first_seconds']:.2f} | {soon:.2f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=Path("plan-shapes"))
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--of", type=Path, action="append")
    parser.add_argument("--out", type=Path, default=Path("plan.json"))
    wanted = parser.parse_args()
    models = {name: made(name, *said, wanted.directory) for name, said in {**FITTED, **FORETOLD}.items()}
    models |= {name: (catalogue.named(name), catalogue.named(name).directory) for name in (ALONE, OTHER)}
    cards = {name: card for name, (card, _) in models.items()}
    if wanted.of:
        every = [one for path in wanted.of for one in json.loads(path.read_text())]
    else:
        every = []
        for card, model in [one for name, one in models.items() if not wanted.only or name in wanted.only]:
            every.append(asyncio.run(asked(card, model, wanted.directory, emulated=wanted.bfloat16)))
            print(json.dumps(every[-1]), file=sys.stderr, flush=True)
            wanted.out.write_text(json.dumps(every, indent=1) + "\n")
    if not FITTED.keys() <= {one["name"] for one in every}:
        return
    rates = middle(every)
    costs = fitted(every, cards, rates)
    print(rates, costs)
    print("\n".join(table(every, cards, costs, rates)))


if __name__ == "__main__":
    main()
