"""Command `train`: a small Qwen3-MoE from random or from grown weights, on CPU or GPU, resumable. Knows no answers."""

import argparse
import ctypes
import json
import os
import platform
import random
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tokenizers
import torch
import torch.distributed
import torch.multiprocessing
import transformers
from tokenizers import Tokenizer
from torch import Tensor, nn
from tqdm import tqdm
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from diff_reader.batches import Batch, Pool, batch_of
from diff_reader.device import add_device_argument, chosen_device
from diff_reader.encode import HELD_OUT, SOURCES, Encoded, read_encoded
from diff_reader.optimizer import optimizers_of
from diff_reader.tokenizer import END, PAD

TRIM_EVERY_STEPS = 8
MEASURE_EVERY_TOKENS = 1_000_000
MEASURED_ROWS = 160


@dataclass(frozen=True, slots=True)
class Shape:
    """The model's size. Defaults: the draft model, 9.7M parameters."""

    vocabulary: int = 4096
    hidden: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 4
    head_dim: int = 64
    experts: int = 8
    experts_per_token: int = 2
    expert_width: int = 192
    context: int = 4096


SHAPES = {"draft": Shape(), "verify": Shape(layers=11, experts=16, experts_per_token=4)}


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. `minutes` of training time or a number of `tokens` sets the end; the learning rate is zero then.

    Until `decay_from` (a share of the whole) the rate is constant, so a run can be given more time afterwards: it goes
    on from the checkpoint that was kept there. What is learned in which order is counted in tokens.
    """

    minutes: float | None = 55.0
    tokens: int | None = None
    decay_from: float = 0.85
    tokens_per_step: int = 8192
    longest_row: int = 4096
    made_until: int = 8_000_000
    subjects_from: int = 12_000_000
    matrix_lr: float = 0.02
    other_lr: float = 0.003
    warmup_steps: int = 50
    prompt_weight: float = 0.1
    prompt_share: float = 0.25
    balance_weight: float = 0.01
    guide_weight: float = 0.2
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


@torch.no_grad()
def copy_weights(weights: Mapping[str, Tensor], parts: Iterable[tuple[str, nn.Parameter]]) -> None:
    """Into a model's named parameters, in their own precision. Raises: KeyError where a weight is missing."""
    for name, part in parts:
        part.copy_(weights[name])


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
        """Of the whole: 0 to 1."""
        if plan.tokens is not None:
            return min(1.0, self.tokens / plan.tokens)
        return min(1.0, self.seconds / (60.0 * (plan.minutes or 1.0)))


def source_shares(tokens: int, made_until: int) -> dict[str, float]:
    """How many of the steps go to each of SOURCES after so many tokens: the simple rows first."""
    synthetic = 0.85 - 0.65 * min(1.0, tokens / made_until)
    rest = 1.0 - synthetic
    return {"synthetic": synthetic, "variants": 0.65 * rest, "commits": 0.35 * rest, "corrections": 0.4 * rest}


def longest_at(tokens: int, made_until: int, longest: int) -> int:
    """Longest row, in tokens: copying is learned on short ones."""
    return int(min(1.0, 0.08 + 0.6 * tokens / made_until) * longest)


class Guide(nn.Module):
    """Says in the middle of training's model what it has to find out, and is left behind when it is exported.

    Which call comes next hangs on four things at once: which openings are new calls, how each name begins, which new
    call is listed before it, and, in the answer, at which of them it is. Until the last is learned, the others are of
    no use, so nothing rewards them: a model copied names without a fault and began two of three wrongly. Here each is
    asked for by itself: the first two at every opening, halfway up; the third there, two thirds of the way; the fourth
    where a name of the answer ends, a layer higher.
    Source: Lee et al., "Deeply-Supervised Nets", 2015, for the principle.
    """

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.low, self.high = layers // 2, 2 * layers // 3
        self.top = min(self.high + 1, layers)
        self.found = nn.Linear(hidden, 1)
        self.first = nn.Linear(hidden, hidden, bias=False)
        self.previous = nn.Linear(hidden, hidden, bias=False)
        self.following = nn.Linear(hidden, hidden, bias=False)

    def forward(self, states: Sequence[Tensor], marks: Tensor, turns: Tensor, head: nn.Module) -> Tensor:
        """The loss in nats. states: one a layer, (rows, tokens, hidden). marks, turns: as in a `Batch`.

        The states are normed: as they are, they grow, and the guide's loss with them, to twenty times the answer's.
        """
        total = states[0].new_zeros((), dtype=torch.float32)
        if len(turns):
            guesses = head(self.following(_normed(states[self.top][turns[:, 0], turns[:, 1]]))).float()
            total = total + nn.functional.cross_entropy(guesses, turns[:, 2])
        if not len(marks):
            return total
        row, bracket, first, previous, new = marks.T
        low, high = (_normed(states[layer][row, bracket]) for layer in (self.low, self.high))
        total = total + nn.functional.binary_cross_entropy_with_logits(self.found(low)[:, 0].float(), new.float())
        total = total + nn.functional.cross_entropy(head(self.first(low)).float(), first)
        if new.any():
            after = new.bool()
            guesses = head(self.previous(high[after])).float()
            total = total + nn.functional.cross_entropy(guesses, previous[after])
        return total


def _normed(states: Tensor) -> Tensor:
    return nn.functional.rms_norm(states, states.shape[-1:])


@dataclass(frozen=True, slots=True)
class Place:
    """Which of a run's processes this is. Two on one thread each do more than one on two threads, by half."""

    rank: int = 0
    processes: int = 1
    device: str = "cpu"


ALONE = Place()


class Trainer:
    """One run: model, optimizers, rows and random states, stepped one batch at a time.

    The model computes in bfloat16, as it will be served; what the optimizers change are its `weights` in float32.
    Every process deals the same batches and takes its share of the rows; the gradients are summed, so all of them make
    the same step.
    """

    def __init__(
        self, shape: Shape, plan: Plan, tokenizer: Tokenizer, rows: dict[str, list[Encoded]], place: Place = ALONE
    ) -> None:
        """rows: by the names in SOURCES; a source may be empty."""
        torch.manual_seed(plan.seed)
        self.shape, self.plan, self.progress, self.place, self.device = shape, plan, Progress(), place, place.device
        self.pad = tokenizer.token_to_id(PAD)
        self.model = build_model(shape, tokenizer).to(place.device)
        self.guide = Guide(shape.hidden, shape.layers).to(place.device)
        self.weights = {name: nn.Parameter(part.detach().clone()) for name, part in self._parts()}
        self.model.to(torch.bfloat16)
        self.guide.to(torch.bfloat16)
        self.optimizers = optimizers_of(self.weights.items(), shape.head_dim, plan.matrix_lr, plan.other_lr)
        self._last_seconds = 0.0
        self.rng = random.Random(plan.seed)
        self.torch_rng = torch.Generator().manual_seed(plan.seed)
        self.pools = {
            name: Pool(rows[name], plan.tokens_per_step, random.Random(plan.seed + place))
            for place, name in enumerate(SOURCES, start=1)
            if rows.get(name)
        }

    def _parts(self) -> list[tuple[str, nn.Parameter]]:
        guide = [(f"guide.{name}", part) for name, part in self.guide.named_parameters()]
        return [*self.model.named_parameters(), *guide]

    def next_batch(self) -> Batch:
        plan, tokens = self.plan, self.progress.tokens
        shares = source_shares(tokens, plan.made_until)
        name = self.rng.choices(list(self.pools), [shares[name] for name in self.pools])[0]
        rows = self.pools[name].deal(longest_at(tokens, plan.made_until, plan.longest_row))
        return batch_of(rows, self.pad, plan.prompt_weight, authors_words=tokens >= plan.subjects_from)

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """(this process' share of the loss to step on, its sum in nats over the answers' tokens after the sentence).

        Only a share of the prompt's places is scored: the head costs as much as a layer.
        """
        plan = self.plan
        drawn = torch.rand(batch.weights.shape, generator=self.torch_rng) < plan.prompt_share
        prompt = batch.weights == plan.prompt_weight
        scored = ((batch.weights > 0) & ~prompt) | (drawn & prompt)
        weights = torch.where(prompt, batch.weights / plan.prompt_share, batch.weights)
        whole = weights[scored].sum().item()
        mine = slice(self.place.rank, None, self.place.processes)
        if not len(batch.ids[mine]):
            return torch.zeros((), requires_grad=True), 0.0
        chosen, answer = scored[mine], batch.answer[mine]
        ids = batch.ids[mine]
        out = self.model.model(
            ids.to(self.device), use_cache=False, output_router_logits=True, output_hidden_states=True
        )
        logits = self.model.lm_head(out.last_hidden_state[chosen.to(self.device)])
        targets = batch.targets[mine][chosen].to(self.device)
        each = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        balanced = balance(out.router_logits, self.shape.experts_per_token) / self.place.processes
        total = (each * weights[mine][chosen].to(self.device)).sum() / whole + plan.balance_weight * balanced
        marks, turns = (self._mine(table).to(self.device) for table in (batch.marks, batch.turns))
        guided = self.guide(out.hidden_states, marks, turns, self.model.lm_head)
        total = total + plan.guide_weight * guided / self.place.processes
        return total, each.detach()[answer[chosen].to(self.device)].sum().item()

    def _mine(self, table: Tensor) -> Tensor:
        """The lines of this process' rows, whose number is in the first column."""
        mine = table[table[:, 0] % self.place.processes == self.place.rank].clone()
        mine[:, 0] //= self.place.processes
        return mine

    @torch.no_grad()
    def measure(self, rows: Sequence[Encoded]) -> dict[str, float]:
        """Held-out rows: mean loss in nats of the tokens after the sentence, and the share of rows without a wrong one.

        A row without a wrong token, each read after the right ones, is what greedy decoding would write.
        """
        losses: list[float] = []
        right = 0
        ordered = sorted(rows, key=lambda row: row.size)
        for place in range(0, len(ordered), 4):
            batch = batch_of(ordered[place : place + 4], self.pad, 0.0, self.progress.tokens >= self.plan.subjects_from)
            hidden = self.model.model(batch.ids.to(self.device), use_cache=False).last_hidden_state
            logits = self.model.lm_head(hidden[batch.answer.to(self.device)])
            targets = batch.targets[batch.answer].to(self.device)
            losses += nn.functional.cross_entropy(logits.float(), targets, reduction="none").tolist()
            wrong = torch.zeros_like(batch.answer)
            wrong[batch.answer] = (logits.argmax(-1) != targets).cpu()
            right += int((~wrong.any(dim=1)).sum())
        return {"held_out_loss": sum(losses) / len(losses), "held_out_exact": right / len(rows)}

    def rate(self) -> float:
        """Share of the full learning rate: a linear warm-up, constant, then a linear way down to zero.

        Source: Hu et al., MiniCPM, 2024, section 4 (warm-up, stable, decay).
        """
        warm = min(1.0, (self.progress.step + 1) / self.plan.warmup_steps)
        return warm * min(1.0, (1.0 - self.progress.share(self.plan)) / (1.0 - self.plan.decay_from))

    def step(self) -> dict[str, float]:
        started = time.monotonic()
        batch = self.next_batch()
        rate = self.rate()
        for optimizer, full in zip(self.optimizers, (self.plan.matrix_lr, self.plan.other_lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * rate
        total, answer = self.loss(batch)
        total.backward()
        own = [total.item(), answer, self._last_seconds if self.place.rank == 0 else 0.0]
        total_loss, answer_loss, seconds = self._sum_gradients(own)
        nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        copy_weights(self.weights, self._parts())
        tokens = int((batch.weights > 0).sum())
        self.progress.step += 1
        self.progress.tokens += tokens
        self.progress.seconds += seconds
        self._last_seconds = time.monotonic() - started
        return {
            "loss": total_loss,
            "answer": answer_loss / int(batch.answer.sum()),
            "tokens": tokens,
            "seconds": self._last_seconds,
            "rate": rate,
            "length": batch.ids.shape[1],
        }

    def _sum_gradients(self, own: list[float]) -> list[float]:
        """Sets the weights' gradients, over all processes; sums the numbers along with them."""
        own_parts = self._parts()
        parts = [torch.zeros_like(part) if part.grad is None else part.grad for _, part in own_parts]
        flat = torch.cat([*(part.reshape(-1).float() for part in parts), torch.tensor(own, device=self.device)])
        if self.place.processes > 1:
            torch.distributed.all_reduce(flat)
        at = 0
        for name, part in own_parts:
            self.weights[name].grad = flat[at : at + part.numel()].view_as(part)
            part.grad = None
            at += part.numel()
        return [float(number) for number in flat[at:]]

    def state(self) -> dict[str, Any]:
        return {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
            "rng": self.rng.getstate(),
            "torch_rng": self.torch_rng.get_state(),
            "pools": {name: pool.state() for name, pool in self.pools.items()},
        }

    @torch.no_grad()
    def start_from(self, weights: dict[str, Tensor]) -> None:
        """An exported model has no guide, which then starts anew. Raises: KeyError where another part is missing."""
        for name, weight in self.weights.items():
            if name in weights or not name.startswith("guide."):
                weight.copy_(weights[name])
        copy_weights(self.weights, self._parts())

    def restore(self, state: dict[str, Any]) -> None:
        self.start_from(state["weights"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])
        self.rng.setstate(state["rng"])
        self.torch_rng.set_state(state["torch_rng"])
        for name, pool in self.pools.items():
            pool.restore(state["pools"][name])


def save(trainer: Trainer, path: Path) -> None:
    """Replaces the checkpoint in one move: a killed run keeps the last whole one."""
    new = path.with_suffix(".new")
    torch.save(trainer.state(), new)
    new.replace(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """By name: of a checkpoint of this recipe's own, or of an exported folder."""
    if path.is_dir():
        return dict(Qwen3MoeForCausalLM.from_pretrained(path).named_parameters())
    weights: dict[str, Tensor] = torch.load(path, weights_only=False)["weights"]
    return weights


def give_memory_back() -> None:
    """Batches of ever new lengths leave glibc's heap in pieces: 10 GB after ten minutes where 3 GB are in use."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def facts(trainer: Trainer) -> dict[str, Any]:
    """What `train.json` says: enough to make the same run again."""
    return {
        "shape": asdict(trainer.shape),
        "plan": asdict(trainer.plan),
        "done": asdict(trainer.progress),
        "rows": {name: len(pool.rows) for name, pool in trainer.pools.items()},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "device": torch.cuda.get_device_name() if trainer.device == "cuda" else "CPU",
        "processes": trainer.place.processes,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--shape", choices=SHAPES, default="draft")
    parser.add_argument("--minutes", type=float, default=55.0, help="training time, all processes of the run together")
    parser.add_argument("--tokens", type=int, help="end by tokens instead, which makes the run repeatable")
    parser.add_argument(
        "--decay-from", type=float, default=Plan().decay_from, help="share of the whole; the rate falls from then on"
    )
    parser.add_argument("--tokens-per-step", type=int, default=Plan().tokens_per_step)
    parser.add_argument(
        "--made-until", type=int, default=Plan().made_until, help="tokens; made rows are rare from then on"
    )
    parser.add_argument(
        "--subjects-from", type=int, default=Plan().subjects_from, help="tokens; authors' words from then on"
    )
    parser.add_argument(
        "--start", type=Path, help="weights to start from: a checkpoint, what `grow` made, or an exported folder"
    )
    parser.add_argument("--processes", type=int, help="by default one a core, or one on a GPU")
    add_device_argument(parser)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=float, default=300.0, metavar="SECONDS")


def run(options: argparse.Namespace) -> None:
    """Trains, or goes on where the folder's checkpoint ends."""
    device = chosen_device(options)
    processes = options.processes or (1 if device == "cuda" else len(os.sched_getaffinity(0)))
    if processes == 1:
        run_one(0, options, Place(device=device))
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    torch.multiprocessing.spawn(run_one, (options, Place(processes=processes, device=device)), processes)


def run_one(rank: int, options: argparse.Namespace, place: Place) -> None:
    place = replace(place, rank=rank)
    if place.processes > 1:
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo", rank=rank, world_size=place.processes)
    plan = Plan(
        minutes=None if options.tokens else options.minutes,
        tokens=options.tokens,
        decay_from=options.decay_from,
        tokens_per_step=options.tokens_per_step,
        made_until=options.made_until,
        subjects_from=options.subjects_from,
        seed=options.seed,
    )
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    rows = read_encoded(options.out / "encoded.pickle")
    trainer = Trainer(SHAPES[options.shape], plan, tokenizer, rows, place)
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.restore(torch.load(checkpoint, weights_only=False))
    elif options.start:
        trainer.start_from(read_weights(options.start))
    held_out = rows[HELD_OUT]
    random.Random(options.seed).shuffle(held_out)
    train(trainer, held_out[:MEASURED_ROWS], options.out, options.save_every)
    if rank == 0:
        (options.out / "train.json").write_text(json.dumps(facts(trainer), indent=2) + "\n", encoding="utf-8")
    if place.processes > 1:
        torch.distributed.destroy_process_group()


def train(trainer: Trainer, held_out: Sequence[Encoded], folder: Path, save_every: float) -> None:
    """Steps to the end. `log.jsonl` gets every step and, every million tokens, a measurement on the held-out rows.

    `stable.pt` is kept where the learning rate begins to fall: more time can start there. The first process writes.
    """
    plan, progress, writes = trainer.plan, trainer.progress, trainer.place.rank == 0
    parent = os.getppid()
    bar = tqdm(
        total=1.0,
        initial=progress.share(plan),
        bar_format="{percentage:5.1f}% |{bar}| {elapsed}<{remaining} {postfix}",
        mininterval=5,
        disable=not writes,
    )
    saved = time.monotonic()
    with (folder / "log.jsonl" if writes else Path(os.devnull)).open("a", encoding="utf-8") as log:
        while progress.share(plan) < 1.0:
            if trainer.place.processes > 1 and os.getppid() != parent:
                raise SystemExit("the command that started this process is gone")
            stable, millions = progress.share(plan) < plan.decay_from, progress.tokens // MEASURE_EVERY_TOKENS
            numbers = trainer.step()
            if writes and held_out and progress.tokens // MEASURE_EVERY_TOKENS > millions:
                numbers |= trainer.measure(held_out)
            log.write(json.dumps({"step": progress.step, "at": progress.tokens, **numbers}) + "\n")
            if progress.step % TRIM_EVERY_STEPS == 0:
                give_memory_back()
            bar.n = progress.share(plan)
            bar.set_postfix_str(
                f"step {progress.step} {progress.tokens / 1e6:.1f}M tokens, answer {numbers['answer']:.3f}, "
                f"{numbers['tokens'] / numbers['seconds']:.0f} tok/s"
            )
            if writes and stable and progress.share(plan) >= plan.decay_from:
                save(trainer, folder / "stable.pt")
            if writes and time.monotonic() - saved > save_every:
                log.flush()
                save(trainer, folder / "checkpoint.pt")
                saved = time.monotonic()
    bar.close()
    if writes:
        save(trainer, folder / "checkpoint.pt")
