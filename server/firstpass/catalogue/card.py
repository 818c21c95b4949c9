"""A model's card: what one `card.toml` says, and the memory that follows from its numbers. It knows no disk layout."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from firstpass.errors import BadSettings

CARD = "card.toml"
COMMIT = re.compile(r"[0-9a-f]{40}")
WEIGHT_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
CACHE_BYTES = 2
"""Of one number in the key-value cache, which vLLM keeps in 16 bits unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a model is pulled from.

    repository: owner/name at the hub.
    revision: a commit, 40 hex digits; a branch where no commit is known, and then the model is not pinned.
    note: why it is not pinned.
    """

    repository: str
    revision: str
    note: str = ""

    @property
    def pinned(self) -> bool:
        return COMMIT.fullmatch(self.revision) is not None


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a model, wherever its weights are.

    directory: where the card lies.
    parameters_active: used for one token; some publishers leave the input embedding out.
    vocabulary: its tokens; 0 where they are not known. tied: whether the embeddings of input and output are one matrix.
    expert_width: rows of an expert's first matrix; 0 where it is not known.
    moe_layers: layers with experts; None: all.
    kv_layers: layers whose cache grows with the context (not sliding windows, Mamba, convolutions); None: all.
    context_tokens: the longest prompt and answer that its makers vouch for.
    expert_bits: bits a weight of the experts takes, scales included; 0: as many as `dtype`.
    contracts: those, each as `name@version`, whose prompts the model was trained on.
    least_told: share of the telling terms that a sentence of its must say, lest code's own takes its place: measured.
    vllm_flags: what vLLM 0.32 needs beyond Firstpass' own flags; engine.extra_args come after them and win.
    wheel: for a model without `hub`: whether its weights are in the wheel, or in the repository only.
    sha256: digests of the files that lie beside the card.
    further: everything else that the card says (figures, data, how it was made), for people.
    """

    name: str
    licence: str
    architecture: str
    dtype: Literal["bfloat16", "float16", "float32"]
    parameters_total: int
    parameters_active: int
    experts: int
    experts_per_token: int
    layers: int
    hidden: int
    kv_heads: int
    head_dim: int
    context_tokens: int
    directory: Path
    summary: str = ""
    shared_experts: int = 0
    vocabulary: int = 0
    tied: bool = True
    expert_width: int = 0
    moe_layers: int | None = None
    kv_layers: int | None = None
    expert_bits: float = 0
    quantisation: str | None = None
    contracts: tuple[str, ...] = ()
    least_told: float | None = None
    limits: tuple[str, ...] = ()
    vllm_flags: tuple[str, ...] = ()
    wheel: bool = True
    hub: Hub | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, Any] = field(default_factory=dict)


def read_card(path: Path) -> Card:
    """Raises: BadSettings that names the file and the field."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {part.name for part in fields(Card)} - {"directory", "further"}
        further = {name: value for name, value in said.items() if name not in known}
        return _CARD.validate_python(said | {"directory": path.parent, "further": further})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())
        raise BadSettings(f"{path}: {wrong}") from error
    except (OSError, ValueError) as error:
        raise BadSettings(f"{path}: {error}") from error


_CARD = TypeAdapter(Card)


def expert_parameters(card: Card) -> int:
    """Three matrices of hidden x expert_width an expert (gate, up, down); shared experts are not among them."""
    layers = card.layers if card.moe_layers is None else card.moe_layers
    return layers * card.experts * 3 * card.hidden * card.expert_width


def weight_bytes(card: Card) -> int:
    """Bytes of all weights: the experts at `expert_bits`, the rest at the size of `dtype`.

    A checkpoint that also quantises its attention is a little smaller than this says.
    """
    plain = WEIGHT_BYTES[card.dtype]
    experts = expert_parameters(card) if card.expert_bits else 0
    return (card.parameters_total - experts) * plain + round(experts * card.expert_bits / 8)


def cache_token_bytes(card: Card) -> int:
    """Bytes that one token takes in the key-value cache: keys and values of every layer that keeps them all."""
    layers = card.layers if card.kv_layers is None else card.kv_layers
    return 2 * layers * card.kv_heads * card.head_dim * CACHE_BYTES


def memory_bytes(card: Card, context_tokens: int | None = None) -> int:
    """Bytes for the weights and one sequence of `context_tokens` (None: the card's context).

    weight_bytes + cache_token_bytes x context_tokens. Not in it: activations, CUDA graphs and the fixed state of Mamba,
    convolution and sliding-window layers; reckon with 1 to 3 GB on a GPU.
    """
    return weight_bytes(card) + cache_token_bytes(card) * (context_tokens or card.context_tokens)


def fitting_tokens(card: Card, room_bytes: int) -> int:
    """The longest context, at most the card's own, that has room beside the weights; 0 where there is none for them."""
    left, each = room_bytes - weight_bytes(card), cache_token_bytes(card)
    if left < 0:
        return 0
    return min(card.context_tokens, left // each) if each else card.context_tokens
