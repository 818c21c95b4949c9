"""vLLM, transformers and llama.cpp side by side on the same weights, on this machine.

Usage: python benchmarks/suites/engines/measure.py DIRECTORY --card NAME --gguf llama.cpp=FILE.gguf ...
           --llama LLAMA_CPP_BIN [--words N] [--tokens N] [--at-once N] [--rounds N] [--without ENGINE] [--out FILE]

Each engine is started as Firstpass starts it, with a context just long enough, and they stay loaded together, so that
blocks of requests take turns; where one has to be alone, leave the others out. DIRECTORY has the weights that vLLM and
transformers read, a GGUF the same ones, or others that its name should tell. Answers are greedy. LLAMA_CPP_BIN holds
llama-server and llama-bench, whose own figures of each GGUF stand below the table.
"""

import argparse
import asyncio
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstpass import engine, hardware
from firstpass.bench.load.doubts import warnings
from firstpass.bench.load.engines import Starts, running
from firstpass.bench.load.figures import measured
from firstpass.bench.load.report import sentence, shown
from firstpass.bench.load.roofline import roofline
from firstpass.bench.load.run import Load, Ran, run
from firstpass.catalogue import Card
from firstpass.catalogue.card import CARD, WEIGHT_BYTES, read_card, weight_bytes
from firstpass.engine import EngineSpec, Kind
from firstpass.engine.recipe import thread_count
from firstpass.engine.vllm import sized
from firstpass.plan.rates import bandwidth

CATALOGUE = Path(__file__).parents[3] / "models" / "catalogue"
WORD_TOKENS = 5
"""At the most of a made-up word, by the bundled tokenizer."""

NEVER_SECONDS = 1e9
BENCH_REPEATS = 3


@dataclass(frozen=True)
class Arm:
    """An engine that was started. dtype: of its weights in memory, where neither the card nor a GGUF says it."""

    spec: EngineSpec
    start_seconds: float
    memory_bytes: int | None
    dtype: str | None


async def measure(specs: Sequence[EngineSpec], load: Load, seed: int) -> tuple[list[Arm], Ran]:
    async with running([Starts(spec.name, spec) for spec in specs], lambda _: None) as started:
        ran = await run(started.targets, load, seed, lambda: None)
        memory = {name: await one.memory_bytes() for name, one in started.engines.items()}
    return [Arm(one, started.seconds[one.name], memory[one.name], dtype_of(one)) for one in specs], ran


def dtype_of(spec: EngineSpec) -> str | None:
    return sized(spec, hardware.this())[0] if spec.kind == "vllm" else None


def specs_of(asked: argparse.Namespace, folder: Path, context_tokens: int) -> list[EngineSpec]:
    def spec(name: str, kind: Kind, **more: Any) -> EngineSpec:
        patience = engine.HangAfter(idle_seconds=NEVER_SECONDS)
        return EngineSpec(
            name, kind, folder / name, asked.directory, context_tokens=context_tokens, patience=patience, **more
        )

    found = [spec("vLLM", "vllm"), spec("transformers", "transformers")]
    for text in asked.gguf:
        name, _, file = text.partition("=")
        found.append(spec(name, "llama.cpp", gguf=Path(file).absolute(), binary=asked.llama / "llama-server"))
    return [one for one in found if one.name not in asked.without]


def anchor(asked: argparse.Namespace, spec: EngineSpec, tokens_in: float, load: Load) -> Mapping[str, float]:
    """What llama-bench says of the same file and as many tokens, in tokens a second. It asks for one answer at once."""
    argv = [str(asked.llama / "llama-bench"), "-m", str(spec.gguf), "-t", str(thread_count(spec)), "-o", "json"]
    argv += ["-p", str(round(tokens_in)), "-n", str(load.tokens), "-r", str(BENCH_REPEATS)]
    said = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return {"prompt" if one["n_prompt"] else "answer": one["avg_ts"] for one in said}


def share_read(arm: Arm, card: Card) -> float:
    """How large its weights are, as a share of the card's."""
    if arm.spec.gguf is not None:
        return arm.spec.gguf.stat().st_size / weight_bytes(card)
    return WEIGHT_BYTES[arm.dtype or card.dtype] / WEIGHT_BYTES[card.dtype]


def row(arm: Arm, ran: Ran, found: Mapping[str, Any], card: Card, read: float) -> list[str]:
    every = [timed for block in ran.of(arm.spec.name) for timed in block.requests]
    answered = [timed for timed in every if timed.error is None]
    tokens_in = sum(timed.tokens_in for timed in answered) / max(1, len(answered))
    roof = roofline(card, ran, arm.spec.name, read)
    token_ms = found["tpot_ms.p50"].value
    return [
        arm.spec.name,
        "the file's" if arm.spec.gguf else arm.dtype or card.dtype,
        str(thread_count(arm.spec)),
        f"{arm.start_seconds:.1f}",
        f"{(arm.memory_bytes or 0) / 1e9:.2f}",
        f"{tokens_in:.0f}",
        *(shown(found.get(name)) for name in ("ttft_ms.p50", "tpot_ms.p50", "tokens_per_s")),
        f"{share_read(arm, card) * roof.used(token_ms / 1000):.2f}" if token_ms else "",
        str(len(every) - len(answered)),
    ]


HEAD = [
    *("engine", "numbers", "threads", "start, s", "memory, GB", "prompt, tokens", "to the first token, ms"),
    *("a token after it, ms", "tokens/s in all", "S-MBU", "failed"),
]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--card", required=True)
    parser.add_argument("--gguf", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--llama", type=Path, required=True)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    asked.llama, asked.directory = asked.llama.absolute(), asked.directory.absolute()
    card = read_card(CATALOGUE / asked.card / CARD)
    load = Load(
        asked.at_once, asked.rounds, asked.words, asked.tokens, at_once=asked.at_once, fields={"temperature": 0}
    )
    context = asked.at_once * (WORD_TOKENS * asked.words + asked.tokens + 64)
    with tempfile.TemporaryDirectory() as folder:
        specs = specs_of(asked, Path(folder), context)
        arms, ran = asyncio.run(measure(specs, load, asked.seed))
    found, read = measured(ran), bandwidth()
    rows = [HEAD, *(row(arm, ran, found.arms[arm.spec.name], card, read) for arm in arms)]
    sentences = [sentence(one) for one in found.ratios]
    said = list(warnings(ran, found))
    anchors = {
        arm.spec.name: anchor(asked, arm.spec, float(cells[5]), load)
        for arm, cells in zip(arms, rows[1:], strict=True)
        if arm.spec.gguf
    }
    print(f"{card.name}, {load.at_once} at once, answers of {load.tokens} tokens; memory at {read / 1e9:.1f} GB/s\n")
    print(markdown(rows), *sentences, *(f"Warning: {one}" for one in said), sep="\n")
    for name, one in anchors.items():
        print(f"llama-bench, {name}: a prompt at {one['prompt']:.1f} tokens/s, an answer at {one['answer']:.1f}")
    if asked.out:
        plain = {"card": card.name, "load": dict(load.told), "rows": rows, "ratios": sentences, "warnings": said}
        asked.out.write_text(json.dumps(plain | {"llama_bench": anchors, "bandwidth": read}, indent=1) + "\n")


if __name__ == "__main__":
    main()
