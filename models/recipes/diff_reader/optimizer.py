"""Muon for the matrices inside the layers, AdamW for the rest. Knows no model, only shapes and names.

Muon replaces each matrix's momentum by a nearly orthogonal matrix of the same row and column spaces, so that rare
directions learn as fast as common ones. Source: K. Jordan, "Muon: an optimizer for hidden layers in neural networks",
2024; the iteration's three coefficients are from there.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_GATE_AND_UP = "experts.gate_up_proj"
_BY_HEAD = ("q_proj.weight", "k_proj.weight", "v_proj.weight")


def orthogonal(batch: Tensor, rounds: int = 5) -> Tensor:
    """Each matrix with its singular values pushed towards one.

    batch: (number, rows, columns), rows at most columns.
    """
    a, b, c = _COEFFICIENTS
    x = batch.bfloat16()
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).bfloat16()
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.float()


class Muon(torch.optim.Optimizer):
    """Steps all matrices of a shape as one batch.

    parameters: (parameter, rows): what is stored as one tensor is as many matrices of `rows` rows as it holds. An
    attention head is one, and so is an expert's gate; small matrices also cost less, by the square of their rows.
    """

    def __init__(self, parameters: Iterable[tuple[nn.Parameter, int]], lr: float, momentum: float = 0.95) -> None:
        pairs = list(parameters)
        super().__init__([parameter for parameter, _ in pairs], {"lr": lr, "momentum": momentum})
        self._rows = dict(pairs)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault((self._rows[parameter], parameter.shape[-1]), []).append(parameter)
            for shape, parameters in shapes.items():
                self._step_shape(shape, parameters, group["lr"], group["momentum"])

    def _step_shape(self, shape: tuple[int, int], parameters: list[nn.Parameter], lr: float, momentum: float) -> None:
        moved = []
        for parameter in parameters:
            average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
            average.lerp_(parameter.grad, 1 - momentum)
            moved.append(torch.lerp(parameter.grad, average, momentum).reshape(-1, *shape))
        rows, columns = shape
        stacked = torch.cat(moved)
        update = orthogonal(stacked.mT).mT if rows > columns else orthogonal(stacked)
        scale = max(1.0, rows / columns) ** 0.5
        for parameter, part in zip(parameters, update.split([part.shape[0] for part in moved]), strict=True):
            parameter.add_(part.reshape(parameter.shape), alpha=-lr * scale)


def optimizers_of(
    named: Iterable[tuple[str, nn.Parameter]], head_dim: int, matrix_lr: float, other_lr: float
) -> tuple[torch.optim.Optimizer, ...]:
    """(Muon, AdamW) for a model's parameters and their names.

    The router and the tied embedding are tables of scores, not maps between spaces: AdamW.
    """
    matrices: list[tuple[nn.Parameter, int]] = []
    others: list[nn.Parameter] = []
    for name, parameter in named:
        if parameter.ndim < 2 or "embed" in name or name.startswith("guide.") or name.endswith("mlp.gate.weight"):
            others.append(parameter)
        elif name.endswith(_GATE_AND_UP):
            matrices.append((parameter, parameter.shape[-2] // 2))
        else:
            matrices.append((parameter, head_dim if name.endswith(_BY_HEAD) else parameter.shape[-2]))
    return Muon(matrices, lr=matrix_lr), torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.0)
