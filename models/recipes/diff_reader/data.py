"""Command `data`: rows to train on and rows to test with, from commits, their variants and made diffs, each asked for
one of the contracts.

Knows no tokenizer and no model.
"""

import argparse
import dataclasses
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from diff_reader.asking import asked_rows
from diff_reader.corrections import corrections
from diff_reader.rows import FUNCTIONS, HELD_OUT, TAUGHT, Row, functions_row, read_commits, row_of_commit
from diff_reader.synthetic import python_files, synthetic_rows
from diff_reader.variants import Material, functions_variants, material_of, variants

CHUNK_ROWS = 500


def split(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """(train, test) by repository: no repository is in both."""
    train: list[Row] = []
    test: list[Row] = []
    for row in rows:
        (test if row.origin in HELD_OUT else train).append(row)
    return train, test


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n" for row in rows)


def read_rows(path: Path) -> list[Row]:
    def row(fields: dict[str, list[str]]) -> Row:
        return Row(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})

    with path.open(encoding="utf-8") as lines:
        return [row(json.loads(line)) for line in lines]


def made_rows(number: int, seed: int) -> Iterator[Row]:
    """Synthetic rows, made in chunks on every core; the same for the same seed, cores and installed packages or not."""
    paths = python_files(limit=number // 8 + 1, rng=random.Random(seed))
    chunks = range(0, number, CHUNK_ROWS)
    per = -(-len(paths) // len(chunks))
    jobs = [
        partial(synthetic_rows, min(CHUNK_ROWS, number - at), paths[place * per : (place + 1) * per], seed + place)
        for place, at in enumerate(chunks)
    ]
    yield from _spread(jobs, "synthetic")


_material: Material


def _keep(material: Material) -> None:
    """In a worker process: it gets the material once, not with every chunk."""
    global _material
    _material = material


def _variants(places: Sequence[int], seed: int) -> list[Row]:
    return variants(_material, places, seed)


def variant_rows(material: Material, number: int, seed: int) -> Iterator[Row]:
    """Every commit in turn, as often as `number` asks for."""
    jobs = [
        partial(_variants, range(at, min(number, at + CHUNK_ROWS)), seed + at) for at in range(0, number, CHUNK_ROWS)
    ]
    yield from _spread(jobs, "variants", partial(_keep, material))


def asked_for(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in their order, each asked for one of the contracts."""
    jobs = [partial(asked_rows, rows[at : at + CHUNK_ROWS], seed + at) for at in range(0, len(rows), CHUNK_ROWS)]
    return list(_spread(jobs, "asked"))


def _spread(
    jobs: Sequence[Callable[[], list[Row]]], what: str, initializer: Callable[[], None] | None = None
) -> Iterator[Row]:
    """The jobs' rows in the jobs' order, worked on by as many processes as there are cores."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), initializer) as pool:
        for future in tqdm([pool.submit(job) for job in jobs], desc=what, unit_scale=CHUNK_ROWS, unit=" rows"):
            yield from future.result()


def write_functions(options: argparse.Namespace, commits: Sequence[dict[str, Any]]) -> None:
    """The files that `run` writes, with rows that ask which functions a diff changes; none are made or corrected."""
    rows = [functions_row(commit["repo"], commit["diff"].rstrip("\n"), commit["touched"]) for commit in commits]
    train, test = split(rows)
    random.Random(options.seed).shuffle(train)
    own = [commit for commit in commits if commit["repo"] not in HELD_OUT]
    varied = functions_variants(own, range(options.variants), options.seed)
    files = {"commits": train, "test": test, "variants": varied, "synthetic": [], "corrections": []}
    for name, part in files.items():
        write_rows(options.out / f"{name}.jsonl", part)
    facts: dict[str, Any] = {name: len(part) for name, part in files.items()}
    facts |= {"contract": FUNCTIONS, "variants_asked": options.variants, "held_out": sorted(HELD_OUT)}
    facts |= {"seed": options.seed}
    (options.out / "data.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--commits", type=Path, required=True, nargs="+", help="labelled commits, .jsonl or .jsonl.zst")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--synthetic", type=int, default=60_000, help="number of made diffs")
    parser.add_argument("--variants", type=int, default=120_000, help="number of variants of commits")
    parser.add_argument(
        "--corrections", type=int, default=0, help="number of drafts to judge; only a verifier needs them"
    )
    parser.add_argument("--question", choices=("summary", "functions"), default="summary", help="what the rows ask")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    commits = [commit for path in options.commits for commit in read_commits(path)]
    if options.question == "functions":
        write_functions(options, commits)
        return
    train, test = split(map(row_of_commit, commits))
    random.Random(options.seed).shuffle(train)
    write_rows(options.out / "commits.jsonl", asked_for(train, options.seed))
    write_rows(options.out / "test.jsonl", asked_for(test, options.seed))
    facts: dict[str, Any] = {"contracts": list(TAUGHT), "commits": len(train), "test": len(test)}
    facts |= {"held_out": sorted(HELD_OUT), "seed": options.seed}
    facts |= {"synthetic_asked": options.synthetic, "variants_asked": options.variants}
    started = time.monotonic()
    made = list(made_rows(options.synthetic, options.seed))
    facts |= {"synthetic": len(made), "synthetic_seconds": round(time.monotonic() - started, 1)}
    write_rows(options.out / "synthetic.jsonl", asked_for(made, options.seed))
    started = time.monotonic()
    material = material_of(commit for commit in commits if commit["repo"] not in HELD_OUT)
    varied = list(variant_rows(material, options.variants, options.seed)) if material.sources else []
    facts |= {"variants": len(varied), "variants_seconds": round(time.monotonic() - started, 1)}
    write_rows(options.out / "variants.jsonl", asked_for(varied, options.seed))
    judged = list(corrections(varied[: options.corrections], options.seed))
    write_rows(options.out / "corrections.jsonl", judged)
    facts |= {"corrections_asked": options.corrections, "corrections": len(judged)}
    (options.out / "data.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts))
