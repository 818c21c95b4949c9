"""Command `card`: an exported folder's `card.toml` and `README.md`, from the run's records. It measures nothing."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from diff_reader.train import Shape, build_model

NAME, VERSION, LICENCE = "firstpass-draft-8m", "0.1.0", "Apache-2.0"
WRITTEN_HERE = ("card.toml", "README.md")
ROWS = {
    "call_recall": "calls found (recall)",
    "call_precision": "named calls that are required (precision)",
    "named_not_required": "named calls that are not required",
    "named_not_in_diff": "named calls that occur nowhere in the diff",
    "all_calls_exact": "commits with all calls exactly right",
    "format_valid": "answers in the contract's form",
}
LIMITS = (
    "A draft model of 8 million parameters: it names, copies and sorts; it does not understand a change.",
    "It knows one prompt, contract pr-summary version 1. Chat with it and it talks nonsense.",
    "Its sentence is one of five patterns around a call, and the share that is false is in the figures.",
    "Names made of non-ASCII letters, diffs above 3,072 tokens and languages outside the seven were hardly trained on.",
    "Best on short diffs of one file; of a long commit it misses most calls and TODOs, and it misspells rare names.",
    "An empty diff makes it babble to the token limit.",
    "A regular expression finds more calls and TODOs than it does; code decides these sections in the cascade.",
)


def counts(shape: Shape, tokenizer: Tokenizer) -> tuple[int, int]:
    """(all parameters, those that one token uses)."""
    model = build_model(shape, tokenizer)
    total = sum(parameter.numel() for parameter in model.parameters())
    expert = 3 * shape.hidden * shape.expert_width * shape.layers
    return total, total - (shape.experts - shape.experts_per_token) * expert


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def percent(figure: list[float]) -> str:
    value, low, high = (100 * number for number in figure)
    return f"{value:.1f}% ({low:.1f} to {high:.1f})"


def toml_value(value: Any) -> str:
    """TOML spells strings, numbers, booleans and flat lists as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def toml(tables: dict[str, dict[str, Any]]) -> str:
    """Tables of plain values; the one named "" comes first and has no heading."""
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"\n[{name}]"] if name else []
        lines += [
            f"{key if key.replace('_', '').isalnum() else toml_value(key)} = {toml_value(value)}"
            for key, value in table.items()
        ]
    return "\n".join(lines) + "\n"


def card_tables(
    folder: Path, train: dict[str, Any], evaluation: dict[str, Any], made: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    shape = Shape(**train["shape"])
    total, active = counts(shape, Tokenizer.from_file(str(folder / "tokenizer.json")))
    files = sorted(path.name for path in folder.iterdir() if path.name not in WRITTEN_HERE)
    figures = {
        f"{prefix}{name}": value
        for prefix, part in (("", "model"), ("regular_expression_", "regular_expression"))
        for name, value in evaluation[part].items()
        if name in ROWS
    }
    todos = evaluation["model"]["todos"]
    return {
        "": {
            "name": NAME,
            "version": VERSION,
            "licence": LICENCE,
            "architecture": "Qwen3MoeForCausalLM",
            "dtype": "bfloat16",
            "contract": "pr-summary version 1",
            "parameters_total": total,
            "parameters_active": active,
            "experts": shape.experts,
            "experts_per_token": shape.experts_per_token,
            "layers": shape.layers,
            "hidden": shape.hidden,
            "kv_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "vocabulary": shape.vocabulary,
            "context_tokens": shape.context,
            "limits": list(LIMITS),
        },
        "made": {
            **made,
            "steps": train["done"]["step"],
            "tokens": train["done"]["tokens"],
            "minutes": round(train["done"]["seconds"] / 60, 1),
            "threads": train["threads"],
            "seed": train["plan"]["seed"],
            **{f"version_{name}": version for name, version in train["versions"].items()},
        },
        "data": {
            "commits": train["rows"]["commits"],
            "synthetic": train["rows"]["synthetic"],
            "held_out": evaluation["held_out"],
        },
        "figures": {
            "commits": evaluation["commits"],
            "seed": evaluation["seed"],
            **figures,
            "sentence_true": evaluation["model"]["sentence_true"],
            "todo_recall": todos["recall"],
            "todo_commits": todos["commits"],
        },
        "sha256": {name: digest(folder / name) for name in files},
    }


def readme(tables: dict[str, dict[str, Any]], evaluation: dict[str, Any]) -> str:
    top, made, data = tables[""], tables["made"], tables["data"]
    ours, theirs = evaluation["model"], evaluation["regular_expression"]
    table = "\n".join(f"| {label} | {percent(ours[name])} | {percent(theirs[name])} |" for name, label in ROWS.items())
    found = " | ".join(percent(part["todos"]["recall"]) for part in (ours, theirs))
    sentence = f"| sentences that the labels bear out | {percent(ours['sentence_true'])} | writes none |"
    todos = f"| TODOs found, {ours['todos']['commits']} commits that add some | {found} |"
    per_language = ("call_recall", "call_precision", "all_calls_exact")
    languages = "\n".join(
        f"| {name} | {part['commits']} | {' | '.join(percent(part[figure]) for figure in per_language)} |"
        for name, part in ours["languages"].items()
    )
    cases = "\n\n".join(f"{name}:\n\n```\n{text}\n```" for name, text in evaluation["origin_cases"].items())
    commands = "\n".join(made["commands"])
    notes = "\n\n".join(made["notes"])
    limits = "\n".join(f"- {limit}" for limit in top["limits"])
    return f"""# {NAME}

A sparse mixture-of-experts model that writes pull request summaries from diffs, small enough to lie in the repository:
{top["parameters_total"]:,} parameters, {top["parameters_active"]:,} of them active a token
({top["experts"]} experts, top-{top["experts_per_token"]}), context {top["context_tokens"]:,} tokens, bfloat16.
It is Firstpass' bundled draft model: it makes the first run need no download. Licence: {LICENCE}.

It was trained from random weights by the recipe `models/recipes/diff_reader`: {made["minutes"]:.0f} minutes on
{made["threads"]} CPU threads, {made["steps"]:,} steps, {made["tokens"] / 1e6:.1f} million tokens.
`train.json` has the seeds, the versions and the plan.

## Measured

{evaluation["commits"]} commits drawn at random (seed {evaluation["seed"]}) from repositories that neither
the model nor its tokenizer has seen ({", ".join(evaluation["held_out"])}), greedy decoding.
In parentheses: 95% bootstrap intervals over commits. The last column is a regular expression, `name(` on added lines.

| | {NAME} | regular expression |
|---|---|---|
{table}
{sentence}
{todos}

| language | commits | recall | precision | all exact |
|---|---|---|---|---|
{languages}

Two diffs that add `createSession(user)`:

{cases}

## Made with

From `models/recipes`, with `server` on the Python path:

```
{commands}
```

{notes}

Data: {data["commits"]:,} labelled commits of permissively licensed repositories and {data["synthetic"]:,} made diffs
(`synthetic.py`), which have the rare names and the TODOs that commits lack. The labels are calls
that syntax trees show to be new, without the language's own names such as `len`. No diff of a commit is in this folder.

## Limits

{limits}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--target", type=Path, required=True, help="exported folder")
    parser.add_argument("--note", action="append", default=[], help="what the records do not say about this run")


def run(options: argparse.Namespace) -> None:
    train = json.loads((options.target / "train.json").read_text(encoding="utf-8"))
    evaluation = json.loads((options.out / "evaluation.json").read_text(encoding="utf-8"))
    made, minutes = train["data"]["synthetic_asked"], train["plan"]["minutes"]
    end = f"--minutes {minutes:g}" if minutes else f"--steps {train['plan']['steps']}"
    seed = train["plan"]["seed"]
    data_seed = train["data"]["seed"]
    threads = f"OMP_NUM_THREADS={train['threads']} OMP_WAIT_POLICY=passive"
    command = [
        f"python -m diff_reader data --commits commits.jsonl.zst --out run --synthetic {made} --seed {data_seed}",
        f"python -m diff_reader tokenizer --out run --size {train['shape']['vocabulary']}",
        f"{threads} python -m diff_reader train --out run {end} --seed {seed}",
        f"python -m diff_reader export --out run --target ../catalogue/{NAME}",
        f"python -m diff_reader evaluate --commits commits.jsonl.zst --model ../catalogue/{NAME} --out run"
        f" --number {evaluation['commits']} --seed {evaluation['seed']}",
        f"python -m diff_reader card --out run --target ../catalogue/{NAME}",
    ]
    tables = card_tables(options.target, train, evaluation, {"commands": command, "notes": options.note})
    (options.target / "card.toml").write_text(toml(tables).lstrip("\n"), encoding="utf-8")
    (options.target / "README.md").write_text(readme(tables, evaluation), encoding="utf-8")
