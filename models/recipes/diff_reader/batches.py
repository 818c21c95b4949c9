"""Which rows make the next step: short and made ones first, real and long ones later. Knows no model and no clock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from diff_reader.encode import Encoded

IGNORED = -100
SENTENCE_WEIGHT = 0.3
"""A subject's words can not be read off the diff for certain: at full weight they would be most of the loss."""


@dataclass(frozen=True, slots=True)
class Batch:
    """ids, targets, weights: (rows, tokens); targets are shifted left; a weight is 0 where nothing is to be learned.

    answer: where a target belongs to an answer, its sentence left out.
    marks: (openings, 5), row and then what `Mark` has, for each opening of the prompts.
    turns: (calls, 3), row, place and `following` of `Turn`, for each call of the answers.
    """

    ids: Tensor
    targets: Tensor
    weights: Tensor
    answer: Tensor
    marks: Tensor
    turns: Tensor


def batch_of(rows: Sequence[Encoded], pad: int, prompt_weight: float, authors_words: bool) -> Batch:
    """Rows padded on the right: causal attention needs no mask then."""
    length = max(row.size for row in rows) - 1
    ids = torch.full((len(rows), length), pad)
    targets = torch.full((len(rows), length), IGNORED)
    weights = torch.zeros(len(rows), length)
    answer = torch.zeros(len(rows), length, dtype=torch.bool)
    for place, row in enumerate(rows):
        sentence = row.sentences[authors_words]
        tokens = torch.tensor([*row.prompt, *sentence, *row.rest])
        size, said, told = len(tokens) - 1, len(row.prompt) - 1, len(row.prompt) + len(sentence) - 1
        ids[place, :size] = tokens[:-1]
        targets[place, :size] = tokens[1:]
        weights[place, :said] = prompt_weight
        weights[place, said:told] = SENTENCE_WEIGHT if sentence != row.sentences[False] else 1.0
        weights[place, told:size] = 1.0
        answer[place, told:size] = True
    marks = [(place, *mark) for place, row in enumerate(rows) for mark in row.marks]
    turns = [
        (place, len(row.prompt) + len(row.sentences[authors_words]) + turn.end, turn.following)
        for place, row in enumerate(rows)
        for turn in row.turns
    ]
    return Batch(ids, targets, weights, answer, _table(marks, 5), _table(turns, 3))


def _table(lines: Sequence[tuple[int, ...]], columns: int) -> Tensor:
    return torch.tensor(lines, dtype=torch.long).reshape(-1, columns)


@dataclass(slots=True)
class Pool:
    """Rows of one source, dealt in batches of like length, each row once before any comes again."""

    rows: list[Encoded]
    tokens: int
    rng: random.Random
    left: list[list[int]] = field(default_factory=list)

    def deal(self, longest: int) -> list[Encoded]:
        """A batch of at most `tokens` tokens whose rows have at most `longest` each, if there is one."""
        fitting = self._fitting(longest)
        if not fitting:
            self.left = self._chunks()
            fitting = self._fitting(longest) or [0]
        return [self.rows[number] for number in self.left.pop(self.rng.choice(fitting))]

    def _fitting(self, longest: int) -> list[int]:
        return [place for place, chunk in enumerate(self.left) if self.rows[chunk[-1]].size <= longest]

    def _chunks(self) -> list[list[int]]:
        order = sorted(range(len(self.rows)), key=lambda number: (self.rows[number].size // 8, self.rng.random()))
        chunks: list[list[int]] = [[]]
        for number in order:
            if chunks[-1] and (len(chunks[-1]) + 1) * self.rows[number].size > self.tokens:
                chunks.append([])
            chunks[-1].append(number)
        for chunk in chunks:
            chunk.sort(key=lambda number: self.rows[number].size)
        return chunks

    def state(self) -> dict[str, Any]:
        return {"left": self.left, "rng": self.rng.getstate()}

    def restore(self, state: dict[str, Any]) -> None:
        self.left = state["left"]
        self.rng.setstate(state["rng"])
