"""Command `evaluate`: an exported model on repositories it has never seen, beside the regular-expression baseline."""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from diff_reader.measures import Marks, by_language, figures_of, interval, marks_of_answer, marks_of_expression, ratio
from diff_reader.rows import HELD_OUT, read_commits
from firstpass.contract.pr_summary import prompt

ANSWER_TOKENS = 384
ORIGIN_CASES = {
    "python": """diff --git a/app/login.py b/app/login.py
index 3f1c2aa..9b0d417 100644
--- a/app/login.py
+++ b/app/login.py
@@ -10,4 +10,5 @@ def login(request):
     user = find_user(request)
     if user is None:
         return None
+    s = createSession(user)
     return user
""",
    "javascript": """diff --git a/src/login.js b/src/login.js
index 3f1c2aa..9b0d417 100644
--- a/src/login.js
+++ b/src/login.js
@@ -10,5 +10,6 @@ export async function login(request) {
   const user = await findUser(request);
   if (!user) {
     return null;
   }
+  const s = createSession(user);
   return user;
""",
}
"""The case that started the project: both must name createSession and nothing else."""


class Model:
    """An exported folder, decoded greedily in batches of like length."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.model.set_experts_implementation("grouped_mm")

    def chat(self, diff: str) -> str:
        messages = [{"role": "user", "content": prompt(diff)}]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def size(self, diff: str) -> int:
        return len(self.tokenizer(self.chat(diff), add_special_tokens=False)["input_ids"])

    @torch.inference_mode()
    def answers(self, diffs: Sequence[str]) -> list[tuple[str, bool]]:
        """(text, whether it ended by itself), one for each diff."""
        given = self.tokenizer(
            [self.chat(diff) for diff in diffs], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        out = self.model.generate(**given, max_new_tokens=ANSWER_TOKENS, do_sample=False)[
            :, given["input_ids"].shape[1] :
        ]
        end = self.tokenizer.eos_token_id
        return [(self.tokenizer.decode(ids, skip_special_tokens=True).strip("\n"), end in ids.tolist()) for ids in out]


def batches(places: Sequence[int], sizes: Sequence[int], tokens: int = 24_000) -> Iterator[list[int]]:
    """Places in order of size, as many together as have `tokens` with padding and answers."""
    batch: list[int] = []
    for place in sorted(places, key=sizes.__getitem__):
        if batch and (len(batch) + 1) * (sizes[place] + ANSWER_TOKENS) > tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def answer_all(model: Model, commits: Sequence[dict[str, Any]]) -> list[tuple[str, bool]]:
    sizes = [model.size(commit["diff"]) for commit in commits]
    answers: list[tuple[str, bool]] = [("", False)] * len(commits)
    with tqdm(total=len(commits)) as bar:
        for batch in batches(range(len(commits)), sizes):
            for place, answer in zip(batch, model.answers([commits[place]["diff"] for place in batch]), strict=True):
                answers[place] = answer
            bar.update(len(batch))
    return answers


def drawn(commits: Path, number: int, seed: int, model: Model) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(held-out commits at random, all other held-out commits with TODOs), of those that fit the context."""
    context = int(model.model.config.max_position_embeddings)
    held_out = [commit for commit in read_commits(commits) if commit["repo"] in HELD_OUT]
    fitting = [commit for commit in held_out if model.size(commit["diff"]) <= context - ANSWER_TOKENS]
    print(f"{len(fitting)} of {len(held_out)} held-out commits fit a context of {context} tokens")
    random.Random(seed).shuffle(fitting)
    return fitting[:number], [commit for commit in fitting[number:] if commit["todos"]]


def todo_figures(all_marks: Sequence[Marks]) -> dict[str, Any]:
    chosen = [one for one in all_marks if one.todos]
    return {
        "commits": len(chosen),
        "todos": sum(one.todos for one in chosen),
        "recall": interval(chosen, ratio("todos_found", "todos")),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--commits", type=Path, required=True, help="labelled commits, .jsonl or .jsonl.zst")
    parser.add_argument("--model", type=Path, required=True, help="exported folder")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run: evaluation.json and answers.jsonl go there"
    )
    parser.add_argument("--number", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)


def run(options: argparse.Namespace) -> None:
    model = Model(options.model)
    cases = dict(zip(ORIGIN_CASES, (text for text, _ in model.answers(list(ORIGIN_CASES.values()))), strict=True))
    for text in cases.values():
        print(text, end="\n\n")
    commits, with_todos = drawn(options.commits, options.number, options.seed, model)
    everything = commits + with_todos
    answers = answer_all(model, everything)
    ours = [marks_of_answer(commit, *answer) for commit, answer in zip(everything, answers, strict=True)]
    theirs = [marks_of_expression(commit) for commit in everything]
    size = len(commits)
    facts = {
        "commits": size,
        "seed": options.seed,
        "held_out": sorted(HELD_OUT),
        "model": {**figures_of(ours[:size]), "todos": todo_figures(ours), "languages": by_language(ours[:size])},
        "regular_expression": {**figures_of(theirs[:size]), "todos": todo_figures(theirs)},
        "origin_cases": cases,
    }
    (options.out / "evaluation.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    with (options.out / "answers.jsonl").open("w", encoding="utf-8") as out:
        for commit, (text, ended) in zip(everything, answers, strict=True):
            named = {key: commit[key] for key in ("repo", "sha", "required", "todos")}
            out.write(json.dumps({**named, "answer": text, "ended": ended}) + "\n")
    print(json.dumps(facts, indent=2))
