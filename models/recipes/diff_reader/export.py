"""Command `export`: from a run's checkpoint to a folder that transformers and vLLM serve. Knows no figures."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from diff_reader.tokenizer import END, PAD, write_config
from diff_reader.train import SHAPES, Shape, build_model, copy_weights

MOST_BYTES = {"draft": 20_000_000, "verify": 60_000_000}
"""More does not go into the wheel, and into the repository."""


def generation_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Greedy by default: `top_k` 1 is what vLLM reads, `do_sample` what transformers reads."""
    return {
        "do_sample": False,
        "top_k": 1,
        "eos_token_id": tokenizer.token_to_id(END),
        "pad_token_id": tokenizer.token_to_id(PAD),
    }


def export(run_folder: Path, target: Path, shape: Shape, most_bytes: int) -> None:
    """Writes weights (bf16), configurations and tokenizer; a half-written folder never takes the old one's place."""
    target.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(run_folder / "tokenizer.json"))
    model = build_model(shape, tokenizer)
    state = torch.load(run_folder / "checkpoint.pt", weights_only=False)
    copy_weights(state["weights"], model.named_parameters())
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(fresh)
    tokenizer.save(str(fresh / "tokenizer.json"))
    write_config(fresh, shape.context)
    (fresh / "generation_config.json").write_text(
        json.dumps(generation_config(tokenizer), indent=2) + "\n", encoding="utf-8"
    )
    _write_record(run_folder, fresh, state["progress"])
    if (size := (fresh / "model.safetensors").stat().st_size) > most_bytes:
        raise SystemExit(f"model.safetensors has {size} bytes, more than {most_bytes}")
    for file in fresh.iterdir():
        file.chmod(0o644)
        file.replace(target / file.name)
    fresh.rmdir()


def _write_record(run_folder: Path, fresh: Path, progress: dict[str, Any]) -> None:
    """`train.json`: the run's own record, or how far it has come."""
    record: dict[str, Any] = {"done": progress}
    for name in ("train", "data"):
        if (path := run_folder / f"{name}.json").exists():
            facts = json.loads(path.read_text(encoding="utf-8"))
            record = {**record, **facts} if name == "train" else {**record, "data": facts}
    (fresh / "train.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--target", type=Path, required=True, help="catalogue folder to write")
    parser.add_argument("--shape", choices=SHAPES, default="draft")


def run(options: argparse.Namespace) -> None:
    export(options.out, options.target, SHAPES[options.shape], MOST_BYTES[options.shape])
    size = (options.target / "model.safetensors").stat().st_size
    print(f"{options.target}: model.safetensors has {size:,} bytes")
