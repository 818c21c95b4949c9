"""How long a context an engine on a CPU gets, and how much key-value cache. Reads the model's config.json.

Left to themselves both engines take most of the memory: vLLM's unit is whole GiB, whose zeros cost 2.5 s of a start;
transformers took 13 GB and 23 s before its first answer, and was killed for it.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from firstpass.engine.recipe import weight_bytes
from firstpass.engine.spec import EngineSpec
from firstpass.errors import BadSettings
from firstpass.hardware import Machine

log = logging.getLogger(__name__)

SEQUENCES = 16
"""Full contexts that fit at once. More only makes each slower on a few cores."""

LEAST_BYTES = 64 * 2**20
USUAL_BYTES = 4 * 2**30
"""More than this only a context that the settings ask for gets."""

DTYPE_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
BFLOAT16_BYTES = DTYPE_BYTES["bfloat16"]

ON_GPU_BYTES = 2**63
"""What a GPU holds is not looked up: its engine says so."""

BLOCK_TOKENS = 256
"""What a context is rounded to, a whole number of any engine's blocks; and one such block lies beside it."""

STATES_TOKENS = 4096
"""The same where layers keep states: vLLM makes blocks so large that a state fits one, and gives each kind of layer
some."""

ATTENTION = frozenset({"attention", "full_attention", "sliding_attention", "chunked_attention", "hybrid"})
"""Kinds of layers that keep keys and values. What others keep, a state of the whole text, does not grow with it."""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """context_tokens: of the longest prompt and answer together. bytes: for keys and values. token_bytes: of one token
    in all layers that keep some.
    """

    context_tokens: int
    bytes: int
    token_bytes: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What a model needs of the memory: its weights, and a cache for each token of a context.

    longest_tokens: of its own context. beside_tokens: what lies beside one context.
    """

    weight_bytes: int
    token_bytes: int
    longest_tokens: int
    beside_tokens: int = BLOCK_TOKENS


def cache_size(
    spec: EngineSpec, machine: Machine, number_bytes: int = BFLOAT16_BYTES, *, on_gpu: bool = False
) -> CacheSize:
    """For SEQUENCES contexts, between 64 MiB and 4 GiB. A model's context is cut to what fits there, unless the
    settings ask for more.

    number_bytes: of one number in the cache and in the weights that are in memory. on_gpu: whether it runs on one.
    Raises: BadSettings where config.json does not say enough, or for what is larger than the machine's memory.
    """
    config = read_config(spec)
    beside = STATES_TOKENS if keeps_states(config) else BLOCK_TOKENS
    weights = loaded_bytes(spec, config, number_bytes)
    needs = Needs(weights, token_bytes(config, number_bytes), _longest(spec, config), beside)
    return fitted(spec, machine, needs, SEQUENCES, on_gpu=on_gpu)


def fitted(spec: EngineSpec, machine: Machine, needs: Needs, sequences: int, *, on_gpu: bool = False) -> CacheSize:
    """The cache of a model that needs this, for at most so many contexts. Raises: BadSettings."""
    each, longest, beside = needs.token_bytes, needs.longest_tokens, needs.beside_tokens
    room = ON_GPU_BYTES if on_gpu else machine.usable_bytes - needs.weight_bytes
    usual = min(USUAL_BYTES, room)
    context = spec.context_tokens or _fitting(longest, usual, each, beside)
    one_context = each * (context + beside)
    if context <= 0 or one_context > room:
        fits = _fitting(max(context, longest), room, each, beside)
        least = one_context if context > 0 else each * beside
        raise BadSettings(_too_large(spec, machine, needs.weight_bytes, least, fits))
    return CacheSize(context, max(LEAST_BYTES, one_context, min(usual, each * context * sequences)), each)


def tell_cut(spec: EngineSpec, size: CacheSize, longest: int | None = None) -> None:
    """Log that the context is shorter than the model's own, where nobody asked for that.

    longest: in tokens; None for what config.json says.
    """
    longest = longest or _longest(spec, read_config(spec))
    if size.context_tokens < longest and not spec.context_tokens:
        told = "engine %s: its context is %d tokens of the model's %d, so that its cache is %s at most;"
        log.warning(
            f"{told} set engine.context_tokens for more", spec.name, size.context_tokens, longest, _gb(size.bytes)
        )


def _fitting(longest: int, room: int, each: int, beside: int) -> int:
    """Tokens: the model's own number, or as many blocks as there is room for beside what lies beside; 0 for none."""
    most = room // each - beside
    return longest if longest <= most else max(0, most // BLOCK_TOKENS * BLOCK_TOKENS)


def _too_large(spec: EngineSpec, machine: Machine, weights: int, context: int, fits: int) -> str:
    """weights, context: bytes. fits: tokens."""
    wanted = f"of {spec.context_tokens} tokens " if spec.context_tokens else ""
    need = f"its weights ({_gb(weights)}) and a context {wanted}({_gb(context)}) need {_gb(weights + context)}"
    have = f"this machine has {_gb(machine.memory_bytes)}, {_gb(machine.usable_bytes)} of it for models"
    todo = f"a context of {fits} tokens fits" if fits else "choose a smaller model"
    return f"engine {spec.name}: {need}; {have}: {todo}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def loaded_bytes(spec: EngineSpec, config: Mapping[str, Any], number_bytes: int) -> int:
    """Of the weights in memory: as on the disk where they are quantised, which they stay."""
    on_disk = weight_bytes(spec.model_dir) if spec.model_dir else 0
    return on_disk if is_quantised(config) else on_disk * number_bytes // stored_bytes(config)


def stored_bytes(config: Mapping[str, Any]) -> int:
    """Of one number of the weights on the disk; as of bfloat16 where config.json does not say."""
    said = str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")
    return DTYPE_BYTES.get(said, BFLOAT16_BYTES)


def is_quantised(config: Mapping[str, Any]) -> bool:
    return config.get("quantization_config") is not None


def token_bytes(config: Mapping[str, Any], number_bytes: int = BFLOAT16_BYTES) -> int:
    """Keys and values of one token in all layers that keep some. Raises: BadSettings.

    Each is taken to keep all tokens, with all heads: with sliding windows and latent attention (MLA) it is less.
    """
    of_its_own = config.get("head_dim")
    size: object = of_its_own or _number(config, "hidden_size") // _number(config, "num_attention_heads")
    if not isinstance(size, int) or size <= 0:
        raise _unusable("head_dim" if of_its_own else "hidden_size")
    return 2 * number_bytes * _heads(config) * size


def _heads(config: Mapping[str, Any]) -> int:
    """Of keys and values, in all layers together. Raises: BadSettings."""
    kinds, said = layer_kinds(config), config.get("num_key_value_heads")
    if not isinstance(said, list):
        layers = sum(kind in ATTENTION for kind in kinds) if kinds else _number(config, "num_hidden_layers")
        return max(1, layers) * _number(config, "num_key_value_heads" if said else "num_attention_heads")
    if any(not isinstance(heads, int) or heads < 0 for heads in said) or len(kinds) not in (0, len(said)):
        raise _unusable("num_key_value_heads")
    kept: list[int] = [heads for heads, kind in zip_longest(said, kinds) if not kinds or kind in ATTENTION]
    return max(1, sum(kept))


def _number(config: Mapping[str, Any], name: str) -> int:
    """Above 0. Raises: BadSettings."""
    found = config.get(name)
    if not isinstance(found, int) or found <= 0:
        raise _unusable(name)
    return int(found)


def _unusable(name: str) -> BadSettings:
    return BadSettings(f"the model's config.json has no usable {name}")


def layer_kinds(config: Mapping[str, Any]) -> Sequence[str]:
    """One for each layer; empty where config.json does not tell them apart, and all are attention."""
    kinds = config.get("layer_types") or config.get("layers_block_type")
    return [str(kind) for kind in kinds] if isinstance(kinds, list) else ()


def keeps_states(config: Mapping[str, Any]) -> bool:
    """Whether some layers are convolutions or state spaces, by the model's config.json."""
    return not (ATTENTION - {"hybrid"}).issuperset(layer_kinds(config))


def _longest(spec: EngineSpec, config: Mapping[str, Any]) -> int:
    try:
        return spec.holds_tokens or spec.context_tokens or _number(config, "max_position_embeddings")
    except BadSettings as error:
        raise BadSettings(f"engine {spec.name}: set engine.context_tokens, {error}") from error


def read_config(spec: EngineSpec) -> dict[str, Any]:
    """config.json, with what describes the text model on top. Raises: BadSettings."""
    if spec.model_dir is None:
        raise BadSettings(f"engine {spec.name}: no model directory")
    try:
        config: object = json.loads((spec.model_dir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadSettings(f"engine {spec.name}: {spec.model_dir} has no readable config.json") from error
    text = (config.get("text_config") or {}) if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(text, dict):
        raise BadSettings(f"engine {spec.name}: the config.json of {spec.model_dir} is no description of a model")
    return config | text
