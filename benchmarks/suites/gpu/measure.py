"""vLLM on one large GPU with models of published shapes and random weights: right for speed, wrong for quality.

    python benchmarks/suites/gpu/measure.py DIRECTORY [--card NAME ...] [--out FILE]

Each card's config is written to DIRECTORY, vLLM makes the weights (`--load-format dummy`), and 1, 8 and 64 callers ask
it in turns. Beside what it takes stands what `firstpass plan` foretells, and the share of the GPU's bandwidth that the
median token uses (S-MBU). Answers are held to the tokenizer's tokens, which random weights would else seldom say.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from firstpass import catalogue, hardware
from firstpass.bench.load.engines import Starts, running
from firstpass.bench.load.figures import measured
from firstpass.bench.load.roofline import roofline
from firstpass.bench.load.run import Load, run
from firstpass.catalogue import Card
from firstpass.engine import EngineSpec
from firstpass.plan import rates
from firstpass.plan.prediction import predicted
from firstpass.plan.rates import Rates
from firstpass.plan.shape import of_card
from firstpass.plan.ways import Way

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from benchmarks.suites.engines.shapes import BUNDLED, name_layers, write_config  # noqa: E402
from tests.vllm.architectures import TOKENIZER_FILES  # noqa: E402

CARDS = ("qwen3-30b-a3b", "gpt-oss-20b")
CALLERS = (1, 8, 64)
ROUNDS, WORDS, TOKENS, CONTEXT_TOKENS = 5, 200, 128, 4096
ALLOWED = tuple(range(100, 400))
NUMBER_BYTES = 2
FIELDS: Mapping[str, Any] = {"temperature": 0, "ignore_eos": True, "allowed_token_ids": ALLOWED}


def made(card: Card, directory: Path) -> Path:
    place = directory / card.name
    place.mkdir(parents=True, exist_ok=True)
    write_config(card, place)
    name_layers(card, place)
    for name in (*TOKENIZER_FILES, "generation_config.json"):
        shutil.copy(BUNDLED / name, place)
    return place


async def asked(card: Card, directory: Path, here: Rates) -> list[dict[str, Any]]:
    spec = EngineSpec(
        card.name,
        "vllm",
        directory / "data",
        model_dir=made(card, directory),
        context_tokens=CONTEXT_TOKENS,
        extra_args=("--load-format", "dummy"),
        start_deadline_seconds=1200.0,
    )
    found = []
    async with running([Starts(card.name, spec)], lambda said: print(said, file=sys.stderr)) as started:
        for callers in CALLERS:
            load = Load(2 * callers, ROUNDS, WORDS, TOKENS, at_once=callers, fields=FIELDS)
            ran = await run(started.targets, load, 1, lambda: None)
            figures = measured(ran).arms[card.name]
            roof = roofline(card, ran, card.name, here.gpu_bytes_per_s or here.bytes_per_s)
            told = {name: figures[name].value for name in ("ttft_ms.p50", "tpot_ms.p50", "tokens_per_s", "errors")}
            used = roof.used(told["tpot_ms.p50"] / 1000)
            found.append({"card": card.name, "callers": callers, "s_mbu": used, "batch": roof.batch, **told})
    return found


def foretold(card: Card, here: Rates) -> Mapping[str, float]:
    on_gpu = bool(here.gpu_bytes_per_s)
    way = Way("vllm", "bfloat16", of_card(card, NUMBER_BYTES), gpus=int(on_gpu))
    found = predicted(way, here, WORDS * 4)
    assert found is not None, "the rates are known"
    return {"tokens_per_s": found.tokens_per_s, "first_seconds": found.first_seconds, "ceiling": found.ceiling}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--card", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    wanted = parser.parse_args()
    here = rates.measured(hardware.this())
    told: dict[str, Any] = {
        "hardware": [gpu.name for gpu in hardware.gpus()] or [hardware.cpu().name],
        "versions": {name: version(name) for name in ("torch", "transformers", "firstpass")},
        "rates": {name: getattr(here, name) for name in Rates.__slots__},
        "models": [],
    }
    for name in wanted.card or CARDS:
        card = catalogue.named(name)
        found = asyncio.run(asked(card, wanted.directory, here))
        told["models"].append({"card": name, "foretold": foretold(card, here), "measured": found})
        wanted.out.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
