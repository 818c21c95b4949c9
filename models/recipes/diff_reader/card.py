"""Command `card`: an exported folder's `card.toml` and `README.md`, from the run's records. It measures nothing."""

import argparse
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from diff_reader.rows import SUMMARY
from diff_reader.train import Shape, build_model
from firstpass.catalogue.disk import sha256_of

VERSION, LICENCE = "0.2.0", "Apache-2.0"
NAMES = {"draft": "firstpass-draft-10m", "verify": "firstpass-verify-30m"}
WRITTEN_HERE = ("card.toml", "README.md")
ROWS = {
    "call_recall": "calls found (recall)",
    "call_precision": "named calls that are required (precision)",
    "named_not_in_diff": "named calls that occur nowhere in the diff (hallucinated)",
    "all_calls_exact": "commits with all calls exactly right",
    "format_valid": "answers in the contract's form",
    "sentence_grounded": "sentences whose code names all occur in the diff",
    "sentence_overlap": "words shared with the author's subject (F1)",
    "sentence_told": "of the most telling terms' weight, what the sentence says",
    "sentence_identified": "sentences that find their author's subject among 20",
    "separation": "right calls told from wrong ones by their lowest token log-probability (AUROC)",
}
SUMMARIES = {
    "draft": "The bundled draft model: it makes the first run need no download.",
    "verify": (
        "The verifier of Firstpass' tests and evaluations: it stands in for a hosted model, and is none. In the"
        " repository, not in the wheel."
    ),
}
LIMITS = (
    "It names, copies and sorts; it does not understand a change.",
    "Its sentence is a guess in the style of commit subjects.",
    "It knows the prompts of its contracts by heart and no others. Chat with it and it talks nonsense.",
    "Names made of non-ASCII letters and languages outside the seven (Python, JavaScript, TypeScript, Go, Rust, Java,"
    " Kotlin) were hardly trained on.",
    "The longer the diff, the more calls it misses; code decides the structured sections in the cascade.",
)
TOOL_FLAGS = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
"""A request with tools is answered, in text unless it asks for a call: none of these models has learned to."""

VLLM_FLAGS = {
    "draft": TOOL_FLAGS,
    "verify": [
        *TOOL_FLAGS,
        "--structured-outputs-config",
        '{"backend": "xgrammar", "disable_any_whitespace": false}',
    ],
}
"""It learned verdicts with a space after each comma and colon. Held to JSON without them, it wrote no valid one."""

CURVE_ROWS = 12

LEAST_TOLD = 0.5
"""Of what is telling, the share that a model's sentence must say, lest code's takes its place.

Given 180 commits of the training repositories, the draft's sentences find the author's subject among 20 for 34%, code's
for 73%. With the draft's kept from 0.15 on it is 67%, from 0.3 on 69%, from 0.5 on (4% of them) 73%.
"""


def counts(shape: Shape, tokenizer: Tokenizer) -> tuple[int, int]:
    """(all parameters, those that one token uses)."""
    model = build_model(shape, tokenizer)
    total = sum(parameter.numel() for parameter in model.parameters())
    expert = 3 * shape.hidden * shape.expert_width * shape.layers
    return total, total - (shape.experts - shape.experts_per_token) * expert


def percent(figure: list[float] | None) -> str:
    if not figure:
        return "-"
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


def figures_of(evaluation: dict[str, Any], part: str, prefix: str = "") -> dict[str, Any]:
    measured = evaluation[part]
    found = {f"{prefix}{name}": value for name, value in measured.items() if name in ROWS}
    return found | ({f"{prefix}todo_recall": measured["todos"]["recall"]} if "todos" in measured else {})


def card_tables(
    role: str, folder: Path, record: dict[str, Any], evaluation: dict[str, Any], made: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    shape = Shape(**record["shape"])
    total, active = counts(shape, Tokenizer.from_file(str(folder / "tokenizer.json")))
    files = sorted(path.name for path in folder.iterdir() if path.name not in WRITTEN_HERE)
    baseline = evaluation.get("baseline")
    return {
        "": {
            "name": NAMES[role],
            "version": VERSION,
            "summary": SUMMARIES[role],
            "licence": LICENCE,
            "architecture": "Qwen3MoeForCausalLM",
            "dtype": "bfloat16",
            "contracts": record["data"].get("contracts", [SUMMARY]),
            "least_told": LEAST_TOLD,
            "parameters_total": total,
            "parameters_active": active,
            "experts": shape.experts,
            "experts_per_token": shape.experts_per_token,
            "expert_width": shape.expert_width,
            "layers": shape.layers,
            "hidden": shape.hidden,
            "kv_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "vocabulary": shape.vocabulary,
            "context_tokens": shape.context,
            "wheel": role == "draft",
            "vllm_flags": VLLM_FLAGS[role],
            "limits": list(LIMITS),
        },
        "made": {
            **made,
            "steps": record["done"]["step"],
            "tokens": record["done"]["tokens"],
            "minutes": round(record["done"]["seconds"] / 60, 1),
            "device": record["device"],
            "processes": record["processes"],
            "seed": record["plan"]["seed"],
            **{f"version_{name}": version for name, version in record["versions"].items()},
        },
        "data": {**record["rows"], "held_out": evaluation["held_out"]},
        "figures": {
            "commits": evaluation["commits"],
            "seed": evaluation["seed"],
            **figures_of(evaluation, "model"),
            "todo_commits": evaluation["model"]["todos"]["commits"],
            **figures_of(evaluation, "regular_expression", "regular_expression_"),
            **figures_of(evaluation, "all_openings", "all_openings_"),
            **(figures_of(evaluation, "code", "code_") if "code" in evaluation else {}),
            **(figures_of(baseline, "model", "before_") if baseline else {}),
            **{f"verdicts_{name}": value for name, value in evaluation.get("verdicts", {}).items()},
            "edge_cases_in_form": [name for name, good in evaluation["edge_cases_in_form"].items() if good],
        },
        "sha256": {name: sha256_of(folder / name) for name in files},
    }


def curve(log: Path) -> list[dict[str, float]]:
    """The measurements during training, thinned out evenly to CURVE_ROWS; the last is always there."""
    lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    points = [line for line in lines if "held_out_loss" in line]
    every = max(1, len(points) / CURVE_ROWS)
    chosen = sorted({len(points) - 1 - round(number * every) for number in range(CURVE_ROWS)})
    return [points[place] for place in chosen if place >= 0]


def readme(
    role: str, tables: dict[str, dict[str, Any]], evaluation: dict[str, Any], points: list[dict[str, float]]
) -> str:
    top, made, data = tables[""], tables["made"], tables["data"]
    ours = evaluation["model"]
    before = evaluation.get("baseline", {}).get("model", {})
    code = evaluation.get("code", {})
    parts = {NAMES[role]: ours, "code alone": code, "the version before": before}
    parts |= {"regular expression": evaluation["regular_expression"], "all openings": evaluation["all_openings"]}
    columns, measured = zip(*((name, part) for name, part in parts.items() if part), strict=True)
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [
        f"| {label} | {' | '.join(percent(part.get(name)) for part in measured)} |" for name, label in ROWS.items()
    ]
    found = " | ".join(percent(part.get("todos", {}).get("recall")) for part in measured)
    lines.append(f"| TODOs found, {ours['todos']['commits']} commits that add some | {found} |")
    table = "\n".join(lines)
    per_language = ("call_recall", "named_not_in_diff", "all_calls_exact")
    languages = "\n".join(
        f"| {name} | {part['commits']} | {' | '.join(percent(part.get(figure)) for figure in per_language)} |"
        for name, part in ours["languages"].items()
    )
    learned = "\n".join(
        f"| {point['at'] / 1e6:.1f} | {point['held_out_loss']:.3f} | {100 * point['held_out_exact']:.0f}% |"
        for point in points
    )
    cases = "\n\n".join(f"{name}:\n\n```\n{text}\n```" for name, text in evaluation["origin_cases"].items())
    edges = ", ".join(f"{name}: {'yes' if good else 'no'}" for name, good in evaluation["edge_cases_in_form"].items())
    commands = "\n".join(made["commands"])
    judging = verdicts_told(evaluation["verdicts"]) if "verdicts" in evaluation else ""
    notes = "\n\n".join(made["notes"])
    limits = "\n".join(f"- {limit}" for limit in top["limits"])
    return f"""# {NAMES[role]}

{SUMMARIES[role]} A sparse mixture-of-experts model that writes pull request summaries from diffs:
{top["parameters_total"]:,} parameters, {top["parameters_active"]:,} of them active a token
({top["experts"]} experts, top-{top["experts_per_token"]}), context {top["context_tokens"]:,} tokens, bfloat16.
Licence: {LICENCE}.

Trained by the recipe `models/recipes/diff_reader`: {made["minutes"]:.0f} minutes on {made["device"]}
({made["processes"]} processes), {made["steps"]:,} steps, {made["tokens"] / 1e6:.1f} million tokens.
`train.json` has the seeds, the versions and the plan.

## Measured

{evaluation["commits"]} commits drawn at random (seed {evaluation["seed"]}) from repositories that neither
the model nor its tokenizer has seen ({", ".join(evaluation["held_out"])}), greedy decoding.
Asked for {evaluation.get("contract", SUMMARY)}. In parentheses: 95% bootstrap intervals over commits.

- Code alone is the product's own reading of the diff, which has no model.
- The regular expression is `name(` on added lines.
- All openings are the places where a new call may stand that the prompt lists: the model is shown them, and has to tell
  calls from the rest.

{table}

| language | commits | recall | hallucinated | all exact |
|---|---|---|---|---|
{languages}

In the contract's form on what is no ordinary diff: {edges}.
{judging}
Two diffs that add `createSession(user)`:

{cases}

## How it learned

Held-out rows during training: the mean loss, in nats, of the tokens after the sentence, and the share of rows whose
every such token is right (calls, TODOs and actions together).

| million tokens | loss | rows all right |
|---|---|---|
{learned}

## Made with

From `models/recipes`, with `server` on the Python path:

```
{commands}
```

{notes}

Data: {data["commits"]:,} labelled commits of permissively licensed repositories, {data["variants"]:,} variants of them
(turned round, cut, joined, names changed) and {data["synthetic"]:,} made diffs. The labels are calls that syntax trees
show to be new, without the language's own names such as `len`. No diff of a commit is in this folder.

## Limits

{limits}
"""


def verdicts_told(verdicts: dict[str, Any]) -> str:
    return f"""
As a verifier, asked for its verdict on {verdicts["drafts"]} drafts of such commits, {verdicts["faulty"]} of which have
faults that the recipe put in (`corrections.py`): {percent(verdicts["valid"])} of the replies are verdicts whose edits
can be made, {percent(verdicts["mended"])} of the faulty drafts pass the contract's checks afterwards, and
{percent(verdicts["kept"])} of the right ones still do. Here nothing held the reply to the verdict's JSON schema.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--target", type=Path, required=True, help="exported folder")
    parser.add_argument("--role", choices=NAMES, default="draft")
    parser.add_argument("--baseline", type=Path, help="evaluation.json of an older model on the same commits")
    parser.add_argument("--note", action="append", default=[], help="what the records do not say about this run")


def run(options: argparse.Namespace) -> None:
    record = json.loads((options.target / "train.json").read_text(encoding="utf-8"))
    evaluation = json.loads((options.out / "evaluation.json").read_text(encoding="utf-8"))
    if options.baseline:
        evaluation["baseline"] = json.loads(options.baseline.read_text(encoding="utf-8"))
    made = {"commands": commands_of(options.role, record, evaluation), "notes": options.note}
    tables = card_tables(options.role, options.target, record, evaluation, made)
    text = readme(options.role, tables, evaluation, curve(options.out / "log.jsonl"))
    (options.target / "card.toml").write_text(toml(tables).lstrip("\n"), encoding="utf-8")
    (options.target / "README.md").write_text(text, encoding="utf-8")


def commands_of(role: str, record: dict[str, Any], evaluation: dict[str, Any]) -> list[str]:
    """The commands that make the folder again."""
    data, plan, target = record["data"], record["plan"], f"../catalogue/{NAMES[role]}"
    end = f"--minutes {plan['minutes']:g}" if plan["minutes"] else f"--tokens {plan['tokens']}"
    grown = role == "verify"
    judged = f" --verdicts {evaluation['verdicts']['drafts']}" if "verdicts" in evaluation else ""
    corrections = f" --corrections {data['corrections_asked']}" if data["corrections"] else ""
    return [
        f"python -m diff_reader data --commits commits.jsonl.zst --out run --synthetic {data['synthetic_asked']}"
        f" --variants {data['variants_asked']}{corrections} --seed {data['seed']}",
        "cp draft-run/tokenizer.json run"
        if grown
        else f"python -m diff_reader tokenizer --out run --size {record['shape']['vocabulary']}",
        "python -m diff_reader encode --out run",
        *(["python -m diff_reader grow --checkpoint draft-run/stable.pt --out run/start.pt"] if grown else []),
        f"python -m diff_reader train --out run --shape {role}{' --start run/start.pt' if grown else ''} {end}"
        f" --decay-from {plan['decay_from']:g} --tokens-per-step {plan['tokens_per_step']}"
        f" --made-until {plan['made_until']} --subjects-from {plan['subjects_from']} --seed {plan['seed']}",
        f"python -m diff_reader export --out run{' --shape verify' if grown else ''} --target {target}",
        f"python -m diff_reader evaluate --commits commits.jsonl.zst --model {target} --out run"
        f" --number {evaluation['commits']}{judged} --seed {evaluation['seed']}",
        f"python -m diff_reader card --out run --role {role} --target {target}",
    ]
