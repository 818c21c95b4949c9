"""Command `grow`: a larger model that starts out computing what a smaller one does. Knows no row.

Experts: each becomes two, and a token goes to twice as many; both copies get half of the weight that the one had.
Source: Komatsuzaki et al., "Sparse Upcycling", 2023. Layers: a copy of the layer before whose outputs are zero, so that
it adds nothing until it has learned to. Source: Shen et al., "Staged Training for Transformer Language Models", 2022.
"""

import argparse
import re
from pathlib import Path

import torch
from torch import Tensor

from diff_reader.train import SHAPES, Shape

NOISE = 0.01
"""Of a weight's deviation; without it two copies of an expert would stay the same for ever."""

_LAYER = re.compile(r"(model\.layers\.)(\d+)(\..+)")
_SILENT = ("self_attn.o_proj.weight", "mlp.experts.down_proj")


def grown(weights: dict[str, Tensor], small: Shape, large: Shape, seed: int) -> dict[str, Tensor]:
    """Weights by name of the large shape.

    Raises: ValueError unless the shapes differ in layers and a whole factor of experts only.
    """
    times, rest = divmod(large.experts, small.experts)
    same = ("vocabulary", "hidden", "heads", "kv_heads", "head_dim", "expert_width", "context")
    if rest or large.experts_per_token != times * small.experts_per_token or large.layers < small.layers:
        raise ValueError(
            "experts must grow by a whole factor, the experts of a token by the same, and layers not shrink"
        )
    if wrong := [name for name in same if getattr(small, name) != getattr(large, name)]:
        raise ValueError(f"the shapes differ in {', '.join(wrong)}")
    generator = torch.Generator().manual_seed(seed)
    origin = [layer * small.layers // large.layers for layer in range(large.layers)]
    found = {name: weight for name, weight in weights.items() if not _LAYER.fullmatch(name)}
    for layer, source in enumerate(origin):
        silent = layer > 0 and origin[layer - 1] == source
        for name, weight in weights.items():
            match = _LAYER.fullmatch(name)
            if match and int(match[2]) == source:
                part = _more_experts(weight, name, times, generator)
                found[f"{match[1]}{layer}{match[3]}"] = (
                    torch.zeros_like(part) if silent and name.endswith(_SILENT) else part
                )
    return found


def _more_experts(weight: Tensor, name: str, times: int, generator: torch.Generator) -> Tensor:
    """The router's rows are copied without noise: a token's experts and their copies are chosen together."""
    if ".mlp." not in name or times == 1:
        return weight.clone()
    copies = torch.cat([weight] * times)
    if name.endswith("mlp.gate.weight"):
        return copies
    noise = torch.randn(copies.shape, generator=generator) * weight.std() * NOISE
    noise[: len(weight)] = 0.0
    return copies + noise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, required=True, help="of the smaller model's run")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, for `train --start`")
    parser.add_argument("--small", choices=SHAPES, default="draft")
    parser.add_argument("--large", choices=SHAPES, default="verify")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> None:
    state = torch.load(options.checkpoint, weights_only=False)
    weights = grown(state["weights"], SHAPES[options.small], SHAPES[options.large], options.seed)
    torch.save({"weights": weights}, options.out)
    print(f"{sum(weight.numel() for weight in weights.values()):,} parameters")
