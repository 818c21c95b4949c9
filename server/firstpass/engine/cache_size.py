"""How long a context an engine on a CPU gets, and how much key-value cache. Reads the model's config.json.

Left to themselves both engines take most of the memory: vLLM's unit is whole GiB, whose zeros cost 2.5 s of a start;
transformers took 13 GB and 23 s before its first answer, and was killed for it.
"""

import json
import logging
from dataclasses import dataclass
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

BFLOAT16_BYTES = 2

ON_GPU_BYTES = 2**63
"""What a GPU holds is not looked up: its engine says so."""

BLOCK_TOKENS = 256
"""What a context is rounded to, a whole number of any engine's blocks; and one such block lies beside it."""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """context_tokens: of the longest prompt and answer together. bytes: for keys and values. token_bytes: of one token
    in all layers.
    """

    context_tokens: int
    bytes: int
    token_bytes: int

    @property
    def context_bytes(self) -> int:
        return self.token_bytes * (self.context_tokens + BLOCK_TOKENS)


def cache_size(spec: EngineSpec, machine: Machine, number_bytes: int = BFLOAT16_BYTES) -> CacheSize:
    """For SEQUENCES contexts, between 64 MiB and 4 GiB. A model's context is cut to what fits there, unless the
    settings ask for more.

    number_bytes: of one number in the cache and in the weights that are in memory.
    Raises: BadSettings where config.json does not say enough, or for what is larger than the machine's memory.
    """
    config = read_config(spec)
    each, room = token_bytes(config, number_bytes), machine.usable_bytes - loaded_bytes(spec, number_bytes)
    room = ON_GPU_BYTES if machine.gpu else room
    longest = _longest(spec, config)
    usual = min(USUAL_BYTES, room)
    context = spec.context_tokens or _fitting(longest, usual, each)
    one = CacheSize(context, 0, each)
    if context <= 0 or one.context_bytes > room:
        raise BadSettings(_too_large(spec, machine, number_bytes, one))
    if context < longest and not spec.context_tokens:
        told = "engine %s: its context is %d tokens of the model's %d, so that its cache is %s at most;"
        log.warning(f"{told} set engine.context_tokens for more", spec.name, context, longest, _gb(usual))
    wanted = max(LEAST_BYTES, one.context_bytes, min(usual, each * context * SEQUENCES))
    return CacheSize(context, wanted, each)


def _fitting(longest: int, room: int, each: int) -> int:
    """Tokens: the model's own number, or as many blocks as there is room for beside the one that lies beside."""
    most = room // each - BLOCK_TOKENS
    return longest if longest <= most else most // BLOCK_TOKENS * BLOCK_TOKENS


def _too_large(spec: EngineSpec, machine: Machine, number_bytes: int, one: CacheSize) -> str:
    weights, usable = loaded_bytes(spec, number_bytes), machine.usable_bytes
    tokens = one.context_tokens if one.context_tokens > 0 else BLOCK_TOKENS
    needed = weights + CacheSize(tokens, 0, one.token_bytes).context_bytes
    have = f"this machine has {_gb(machine.memory_bytes)}, {_gb(usable)} of it for models"
    text = f"engine {spec.name}: its weights ({_gb(weights)}) and a context of {tokens} tokens need {_gb(needed)};"
    fits = _fitting(tokens, usable - weights, one.token_bytes)
    return f"{text} {have}: {f'a context of {fits} tokens fits' if fits > 0 else 'choose a smaller model'}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def loaded_bytes(spec: EngineSpec, number_bytes: int) -> int:
    """Of the weights in memory: as on the disk, where they are of 16 bits, or quantised and stay so."""
    on_disk = weight_bytes(spec.model_dir) if spec.model_dir else 0
    return on_disk * number_bytes // BFLOAT16_BYTES


def token_bytes(config: dict[str, Any], number_bytes: int = BFLOAT16_BYTES) -> int:
    """Keys and values of one token in all layers. Raises: BadSettings."""
    try:
        heads = int(config.get("num_key_value_heads") or config["num_attention_heads"])
        size = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
        return 2 * number_bytes * int(config["num_hidden_layers"]) * heads * size
    except (KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"the model's config.json has no {error}") from error


def _longest(spec: EngineSpec, config: dict[str, Any]) -> int:
    try:
        return spec.holds_tokens or spec.context_tokens or int(config["max_position_embeddings"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"engine {spec.name}: set engine.context_tokens, its config.json has no {error}") from error


def read_config(spec: EngineSpec) -> dict[str, Any]:
    """config.json, with what describes the text model on top. Raises: BadSettings."""
    if spec.model_dir is None:
        raise BadSettings(f"engine {spec.name}: no model directory")
    try:
        config: dict[str, Any] = json.loads((spec.model_dir / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise BadSettings(f"engine {spec.name}: {spec.model_dir} has no readable config.json") from error
    return config | (config.get("text_config") or {})
