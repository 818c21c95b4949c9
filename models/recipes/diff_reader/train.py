"""Command `train`: a small Qwen3-MoE from random weights, on the clock or by steps, resumable. Knows no evaluation."""

import argparse
import ctypes
import json
import math
import platform
import random
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor, nn
from tqdm import tqdm
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from diff_reader.batches import Batch, Encoded, Pool, batch_of, longest_at, synthetic_share
from diff_reader.data import read_rows
from diff_reader.optimizer import optimizers_of
from diff_reader.rows import Row
from diff_reader.tokenizer import END, PAD, chat

TRIM_EVERY_STEPS = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """The model's size. Defaults: 8.1M parameters."""

    vocabulary: int = 4096
    hidden: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    experts: int = 8
    experts_per_token: int = 2
    expert_width: int = 256
    context: int = 4096


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. Either `minutes` of training time or `steps` sets the end; the learning rate is zero then."""

    minutes: float | None = 55.0
    steps: int | None = None
    tokens_per_step: int = 8192
    longest_row: int = 3072
    matrix_lr: float = 0.02
    other_lr: float = 0.003
    warmup_steps: int = 20
    prompt_weight: float = 0.1
    prompt_share: float = 0.25
    balance_weight: float = 0.01
    seed: int = 1


def build_model(shape: Shape, tokenizer: Tokenizer) -> Qwen3MoeForCausalLM:
    config = Qwen3MoeConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        num_experts=shape.experts,
        num_experts_per_tok=shape.experts_per_token,
        moe_intermediate_size=shape.expert_width,
        intermediate_size=shape.expert_width,
        norm_topk_prob=True,
        tie_word_embeddings=True,
        max_position_embeddings=shape.context,
        rope_theta=10_000.0,
        pad_token_id=tokenizer.token_to_id(PAD),
        eos_token_id=tokenizer.token_to_id(END),
        bos_token_id=None,
    )
    model = Qwen3MoeForCausalLM(config)
    model.set_experts_implementation("grouped_mm")
    return model


def encode(tokenizer: Tokenizer, rows: list[Row], longest: int) -> list[Encoded]:
    """The rows that fit."""
    chats = [chat(row) for row in rows]
    asked = tokenizer.encode_batch([question for question, _ in chats], add_special_tokens=False)
    said = tokenizer.encode_batch([answer for _, answer in chats], add_special_tokens=False)
    return [
        Encoded(array("i", question.ids + answer.ids), len(question.ids))
        for question, answer in zip(asked, said, strict=True)
        if len(question.ids) + len(answer.ids) <= longest
    ]


def balance(router_logits: tuple[Tensor, ...], top: int) -> Tensor:
    """Load-balancing loss, 1 when the experts share evenly.

    Source: Fedus et al., Switch Transformers, 2021, section 2.2.
    """
    total = router_logits[0].new_zeros((), dtype=torch.float32)
    for logits in router_logits:
        chances = logits.float().softmax(-1).reshape(-1, logits.shape[-1])
        used = torch.zeros_like(chances).scatter_(1, chances.topk(top).indices, 1.0 / top)
        total = total + (used.mean(0) * chances.mean(0)).sum() * chances.shape[-1]
    return total / len(router_logits)


@dataclass(slots=True)
class Progress:
    """What a resumed run must know."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0

    def share(self, plan: Plan) -> float:
        if plan.steps is not None:
            return min(1.0, self.step / plan.steps)
        return min(1.0, self.seconds / (60.0 * (plan.minutes or 1.0)))


class Trainer:
    """One run: model, optimizers, rows and random states, stepped one batch at a time."""

    def __init__(
        self, shape: Shape, plan: Plan, tokenizer: Tokenizer, commits: list[Encoded], made: list[Encoded]
    ) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.progress = plan, Progress()
        self.pad = tokenizer.token_to_id(PAD)
        self.model = build_model(shape, tokenizer)
        self.top = shape.experts_per_token
        self.optimizers = optimizers_of(self.model, plan.matrix_lr, plan.other_lr)
        self.rng = random.Random(plan.seed)
        self.torch_rng = torch.Generator().manual_seed(plan.seed)
        self.commits = Pool(commits, plan.tokens_per_step, random.Random(plan.seed + 1))
        self.made = Pool(made, plan.tokens_per_step, random.Random(plan.seed + 2))

    def next_batch(self) -> Batch:
        share = self.progress.share(self.plan)
        pool = self.made if self.rng.random() < synthetic_share(share) else self.commits
        return batch_of(pool.deal(longest_at(share, self.plan.longest_row)), self.pad, self.plan.prompt_weight)

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """(the loss to step on, the answers' mean loss in nats).

        Only a share of the prompt's places is scored: the head costs as much as a layer.
        """
        plan = self.plan
        drawn = torch.rand(batch.weights.shape, generator=self.torch_rng) < plan.prompt_share
        answer = batch.weights == 1.0
        chosen = answer | (drawn & (batch.weights > 0))
        with torch.autocast("cpu", torch.bfloat16):
            out = self.model.model(batch.ids, use_cache=False, output_router_logits=True)
            logits = self.model.lm_head(out.last_hidden_state[chosen])
        each = nn.functional.cross_entropy(logits.float(), batch.targets[chosen], reduction="none")
        weights = torch.where(answer, batch.weights, batch.weights / plan.prompt_share)[chosen]
        total = (each * weights).sum() / weights.sum() + plan.balance_weight * balance(out.router_logits, self.top)
        return total, each.detach()[answer[chosen]].mean().item()

    def rate(self) -> float:
        """Share of the full learning rate: linear warm-up, then a half cosine down to zero."""
        warm = min(1.0, (self.progress.step + 1) / self.plan.warmup_steps)
        return warm * 0.5 * (1.0 + math.cos(math.pi * self.progress.share(self.plan)))

    def step(self) -> dict[str, float]:
        started = time.monotonic()
        batch = self.next_batch()
        rate = self.rate()
        for optimizer, full in zip(self.optimizers, (self.plan.matrix_lr, self.plan.other_lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * rate
        total, answer = self.loss(batch)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens = int((batch.weights > 0).sum())
        seconds = time.monotonic() - started
        self.progress.step += 1
        self.progress.tokens += tokens
        self.progress.seconds += seconds
        return {
            "loss": total.item(),
            "answer": answer,
            "tokens": tokens,
            "seconds": seconds,
            "rate": rate,
            "length": batch.ids.shape[1],
        }

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
            "rng": self.rng.getstate(),
            "torch_rng": self.torch_rng.get_state(),
            "commits": self.commits.state(),
            "made": self.made.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])
        self.rng.setstate(state["rng"])
        self.torch_rng.set_state(state["torch_rng"])
        self.commits.restore(state["commits"])
        self.made.restore(state["made"])


def save(trainer: Trainer, path: Path) -> None:
    """Replaces the checkpoint in one move: a killed run keeps the last whole one."""
    new = path.with_suffix(".new")
    torch.save(trainer.state(), new)
    new.replace(path)


class Threads:
    """One thread or all: two threads that wait for each other lose to one when somebody else uses a core.

    Tries the other number for two steps of every forty and keeps what gave more tokens a second.
    """

    def __init__(self, most: int) -> None:
        self.most, self.now, self.count = most, most, 37
        self.speeds: dict[int, float] = {}

    def after(self, speed: float) -> None:
        """speed: tokens a second of the step just made."""
        self.speeds[self.now] = speed if self.count % 40 < 3 else 0.8 * self.speeds.get(self.now, speed) + 0.2 * speed
        self.count += 1
        if self.most > 1 and self.count % 40 in (0, 2):
            other = 1 if self.now == self.most else self.most
            self.now = other if self.count % 40 == 0 else max(self.speeds, key=self.speeds.__getitem__)
            torch.set_num_threads(self.now)


def give_memory_back() -> None:
    """Batches of ever new lengths leave glibc's heap in pieces: 10 GB after ten minutes where 3 GB are in use."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def facts(trainer: Trainer, shape: Shape, threads: int) -> dict[str, Any]:
    """What `train.json` says: enough to make the same run again."""
    return {
        "shape": asdict(shape),
        "plan": asdict(trainer.plan),
        "done": asdict(trainer.progress),
        "rows": {"commits": len(trainer.commits.rows), "synthetic": len(trainer.made.rows)},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "threads": threads,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument(
        "--minutes", type=float, default=55.0, help="training time after which the learning rate is zero"
    )
    parser.add_argument("--steps", type=int, help="end by steps instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=float, default=300.0, metavar="SECONDS")


def run(options: argparse.Namespace) -> None:
    """Trains, or goes on where the folder's checkpoint ends."""
    shape = Shape()
    plan = Plan(minutes=None if options.steps else options.minutes, steps=options.steps, seed=options.seed)
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    commits = encode(tokenizer, read_rows(options.out / "commits.jsonl"), plan.longest_row)
    made = encode(tokenizer, read_rows(options.out / "synthetic.jsonl"), plan.longest_row)
    trainer = Trainer(shape, plan, tokenizer, commits, made)
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.restore(torch.load(checkpoint, weights_only=False))
    bar = tqdm(
        total=1.0,
        initial=trainer.progress.share(plan),
        bar_format="{percentage:5.1f}% |{bar}| {elapsed}<{remaining} {postfix}",
        mininterval=5,
    )
    threads = Threads(torch.get_num_threads())
    saved = time.monotonic()
    with (options.out / "log.jsonl").open("a", encoding="utf-8") as log:
        while trainer.progress.share(plan) < 1.0:
            numbers = trainer.step()
            log.write(json.dumps({"step": trainer.progress.step, **numbers}) + "\n")
            if trainer.progress.step % TRIM_EVERY_STEPS == 0:
                give_memory_back()
            bar.n = trainer.progress.share(plan)
            speed = numbers["tokens"] / numbers["seconds"]
            threads.after(speed)
            bar.set_postfix_str(
                f"step {trainer.progress.step} answer {numbers['answer']:.3f} {speed:.0f} tok/s {threads.now}"
            )
            if time.monotonic() - saved > options.save_every:
                log.flush()
                save(trainer, checkpoint)
                saved = time.monotonic()
    bar.close()
    save(trainer, checkpoint)
    (options.out / "train.json").write_text(
        json.dumps(facts(trainer, shape, threads.most), indent=2) + "\n", encoding="utf-8"
    )
