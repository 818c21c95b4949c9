"""Command `evaluate`: an exported model on repositories it has never seen, beside the regular-expression baseline."""

import argparse
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from diff_reader.corrections import corrections
from diff_reader.device import add_device_argument, chosen_device
from diff_reader.judging import judged, verdict_figures
from diff_reader.measures import (
    Marks,
    by_language,
    figures_of,
    in_form,
    interval,
    marks_of_answer,
    marks_of_code,
    marks_of_expression,
    marks_of_openings,
    ratio,
    with_rivals,
)
from diff_reader.rows import HELD_OUT, NEW_SUMMARY, SUMMARY, Row, read_commits, row_of_commit
from firstpass.chat import Message

ANSWER_TOKENS = 384
_CALL_LINE = re.compile(r"- ([^\s(]+)\(\)$")
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

EDGE_CASES = {
    "empty": "",
    "prose": "Please have a look at the login page, it has been slow since Monday. TODO: ask Ann about the cache.",
    "binary": """diff --git a/logo.png b/logo.png
index 3f1c2aa..9b0d417 100644
Binary files a/logo.png and b/logo.png differ
""",
    "deletion": """diff --git a/lib/retry.go b/lib/retry.go
deleted file mode 100644
index 3f1c2aa..0000000
--- a/lib/retry.go
+++ /dev/null
@@ -1,7 +0,0 @@
-package lib
-
-// TODO: give up after a minute
-func Retry(do func() error) error {
-\tlog.Println("retrying")
-\treturn do()
-}
""",
}
"""What is sent as well; the answer must keep the contract's form."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. ended: the model stopped by itself. scores: by call, its name's lowest token log-probability, nats."""

    text: str
    ended: bool
    scores: dict[str, float]


class Model:
    """An exported folder, decoded greedily in batches of like length."""

    def __init__(self, folder: Path, device: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval().to(device)
        self.model.set_experts_implementation("grouped_mm")
        self.device = device

    def chat(self, messages: Sequence[Message]) -> str:
        asked = [{"role": message.role, "content": message.content} for message in messages]
        return str(self.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True))

    def size(self, chat: str) -> int:
        """Tokens."""
        return len(self.tokenizer(chat, add_special_tokens=False)["input_ids"])

    @torch.inference_mode()
    def answers(self, chats: Sequence[str]) -> list[Said]:
        given = self.tokenizer(list(chats), add_special_tokens=False, padding=True, return_tensors="pt").to(self.device)
        out = self.model.generate(
            **given, max_new_tokens=ANSWER_TOKENS, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
        chosen = out.sequences[:, given["input_ids"].shape[1] :]
        steps = [logits.float().log_softmax(-1) for logits in out.logits]
        scores = torch.stack([step.gather(1, chosen[:, [at]]) for at, step in enumerate(steps)], dim=1)[..., 0]
        return [self._said(ids, row) for ids, row in zip(chosen.tolist(), scores.tolist(), strict=True)]

    def _said(self, ids: list[int], scores: list[float]) -> Said:
        end = self.tokenizer.eos_token_id
        size = ids.index(end) if end in ids else len(ids)
        pieces = self.tokenizer.batch_decode([[token] for token in ids[:size]])
        text = self.tokenizer.decode(ids[:size], skip_special_tokens=True).strip("\n")
        return Said(text, end in ids, call_scores(pieces, scores))


def call_scores(pieces: Sequence[str], scores: Sequence[float]) -> dict[str, float]:
    """By bare name: the lowest score of the tokens between a call's "- " and its "("."""
    found: dict[str, float] = {}
    line, low, in_calls = "", 0.0, False
    for piece, score in zip(pieces, scores, strict=False):
        if "\n" in piece:
            if in_calls and (match := _CALL_LINE.match(line)):
                found.setdefault(match[1], low)
            in_calls = line.startswith("Calls:") or (in_calls and line.startswith("- "))
            line, low = piece.rpartition("\n")[2], 0.0
            continue
        if re.search(r"\w", piece):
            low = min(low, score)
        line += piece
    return found


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


def answer_all(model: Model, chats: Sequence[str]) -> list[Said]:
    sizes = [model.size(chat) for chat in chats]
    answers = [Said("", False, {})] * len(chats)
    with tqdm(total=len(chats)) as bar:
        for batch in batches(range(len(chats)), sizes):
            for place, answer in zip(batch, model.answers([chats[place] for place in batch]), strict=True):
                answers[place] = answer
            bar.update(len(batch))
    return answers


def first_ask(model: Model, diff: str, contract: str) -> str:
    return model.chat(Row("", diff, "", "", (), (), (), contract=contract).messages)


def drawn(
    commits: Path, number: int, seed: int, model: Model, contract: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(held-out commits at random, all other held-out commits with TODOs), of those that fit the context."""
    context = int(model.model.config.max_position_embeddings)
    held_out = with_rivals([commit for commit in read_commits(commits) if commit["repo"] in HELD_OUT], seed)
    sizes = (model.size(first_ask(model, commit["diff"], contract)) for commit in held_out)
    fitting = [commit for commit, size in zip(held_out, sizes, strict=True) if size <= context - ANSWER_TOKENS]
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
    parser.add_argument("--number", type=int, default=1500)
    parser.add_argument("--verdicts", type=int, default=0, help="of how many drafts to ask for a verdict; a verifier's")
    parser.add_argument("--contract", choices=(SUMMARY, NEW_SUMMARY), default=NEW_SUMMARY, help="what is asked for")
    parser.add_argument("--seed", type=int, default=7)
    add_device_argument(parser)


def run(options: argparse.Namespace) -> None:
    model, contract = Model(options.model, chosen_device(options)), options.contract
    cases = ORIGIN_CASES | EDGE_CASES
    shown = dict(zip(cases, model.answers([first_ask(model, diff, contract) for diff in cases.values()]), strict=True))
    for name, said in shown.items():
        print(f"{name}:\n{said.text}", end="\n\n")
    commits, with_todos = drawn(options.commits, options.number, options.seed, model, contract)
    everything = commits + with_todos
    answers = answer_all(model, [first_ask(model, commit["diff"], contract) for commit in everything])
    ours = [
        marks_of_answer(commit, said.text, said.ended, said.scores, contract)
        for commit, said in zip(everything, answers, strict=True)
    ]
    theirs = [marks_of_expression(commit) for commit in everything]
    by_code = [marks_of_code(commit) for commit in everything]
    shown_ones = [marks_of_openings(commit) for commit in commits]
    size = len(commits)
    facts = {
        "commits": size,
        "seed": options.seed,
        "contract": contract,
        "held_out": sorted(HELD_OUT),
        "model": {**figures_of(ours[:size]), "todos": todo_figures(ours), "languages": by_language(ours[:size])},
        "regular_expression": {**figures_of(theirs[:size]), "todos": todo_figures(theirs)},
        "all_openings": figures_of(shown_ones),
        "code": {**figures_of(by_code[:size]), "todos": todo_figures(by_code)},
        "origin_cases": {name: shown[name].text for name in ORIGIN_CASES},
        "edge_cases_in_form": {name: shown[name].ended and in_form(shown[name].text, contract) for name in EDGE_CASES},
    }
    if options.verdicts:
        rows = list(corrections(map(row_of_commit, commits[: options.verdicts]), options.seed))
        said = answer_all(model, [model.chat(row.messages) for row in rows])
        facts["verdicts"] = verdict_figures([judged(row, one.text) for row, one in zip(rows, said, strict=True)])
    (options.out / "evaluation.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    with (options.out / "answers.jsonl").open("w", encoding="utf-8") as out:
        for commit, said in zip(everything, answers, strict=True):
            named = {key: commit[key] for key in ("repo", "sha", "required", "todos", "subject")}
            out.write(json.dumps({**named, "answer": said.text, "ended": said.ended, "scores": said.scores}) + "\n")
    print(json.dumps(facts, indent=2))
