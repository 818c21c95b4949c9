"""Which rows make the next step: short and made ones first, real and long ones later. Knows no model and no clock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as tokens; the answer starts at `answer_at`."""

    ids: Sequence[int]
    answer_at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """ids, targets, weights: (rows, tokens); targets are shifted left; a weight is 0 where nothing is to be learned."""

    ids: Tensor
    targets: Tensor
    weights: Tensor


def batch_of(rows: list[Encoded], pad: int, prompt_weight: float) -> Batch:
    """Rows padded on the right: causal attention needs no mask then."""
    length = max(len(row.ids) for row in rows) - 1
    ids = torch.full((len(rows), length), pad)
    targets = torch.full((len(rows), length), IGNORED)
    weights = torch.zeros(len(rows), length)
    for place, row in enumerate(rows):
        size = len(row.ids) - 1
        ids[place, :size] = torch.tensor(row.ids[:-1])
        targets[place, :size] = torch.tensor(row.ids[1:])
        weights[place, : row.answer_at - 1] = prompt_weight
        weights[place, row.answer_at - 1 : size] = 1.0
    return Batch(ids, targets, weights)


@dataclass(slots=True)
class Pool:
    """Rows of one source, dealt in batches of like length, each row once before any comes again."""

    rows: list[Encoded]
    tokens: int
    rng: random.Random
    left: list[list[int]] = field(default_factory=list)

    def deal(self, longest: int) -> list[Encoded]:
        """A batch of at most `tokens` tokens whose rows have at most `longest` each, if there is one."""
        fitting = [place for place, chunk in enumerate(self.left) if len(self.rows[chunk[-1]].ids) <= longest]
        if not fitting:
            self.left = self._chunks()
            fitting = [place for place, chunk in enumerate(self.left) if len(self.rows[chunk[-1]].ids) <= longest] or [
                0
            ]
        return [self.rows[number] for number in self.left.pop(self.rng.choice(fitting))]

    def _chunks(self) -> list[list[int]]:
        order = sorted(range(len(self.rows)), key=lambda number: (len(self.rows[number].ids) // 8, self.rng.random()))
        chunks: list[list[int]] = [[]]
        for number in order:
            if chunks[-1] and (len(chunks[-1]) + 1) * len(self.rows[number].ids) > self.tokens:
                chunks.append([])
            chunks[-1].append(number)
        for chunk in chunks:
            chunk.sort(key=lambda number: len(self.rows[number].ids))
        return chunks

    def state(self) -> dict[str, Any]:
        return {"left": self.left, "rng": self.rng.getstate()}

    def restore(self, state: dict[str, Any]) -> None:
        self.left = state["left"]
        self.rng.setstate(state["rng"])


def synthetic_share(progress: float) -> float:
    """Share of the steps on made diffs: nearly all at first, a fifth in the end. progress: 0 to 1."""
    return 0.9 if progress < 0.12 else max(0.2, 0.9 - 1.8 * (progress - 0.12))


def longest_at(progress: float, context: int) -> int:
    """Longest row, in tokens: copying is learned on short ones."""
    return int(min(1.0, 0.12 + progress) * context)
