"""How much key-value cache an engine on a CPU gets. Reads the model's config.json; knows no engine.

Left to themselves both engines take most of the memory: vLLM's unit is whole GiB, whose zeros cost 2.5 s of a start;
transformers took 13 GB and 23 s before its first answer, and was killed for it.
"""

import json
from math import ceil
from typing import Any

from firstpass.engine.spec import EngineSpec
from firstpass.errors import BadSettings

SEQUENCES = 16
"""Full contexts that fit at once. More only makes each slower on a few cores."""

LEAST_BYTES = 64 * 2**20
MOST_BYTES = 4 * 2**30
BFLOAT16_BYTES = 2


def cache_bytes(spec: EngineSpec) -> int:
    """For SEQUENCES contexts, between 64 MiB and 4 GiB. Raises: BadSettings if there is no readable config.json."""
    config = read_config(spec)
    needed = token_bytes(config) * context_tokens(spec, config) * SEQUENCES
    return max(LEAST_BYTES, min(MOST_BYTES, needed))


def cache_blocks(spec: EngineSpec, block_tokens: int) -> int:
    """The same in blocks, and at least one context. Raises: BadSettings."""
    config = read_config(spec)
    one_context = ceil(context_tokens(spec, config) / block_tokens)
    return max(one_context + 1, cache_bytes(spec) // (token_bytes(config) * block_tokens))


def token_bytes(config: dict[str, Any]) -> int:
    """Keys and values of one token in all layers. Raises: BadSettings."""
    try:
        heads = int(config.get("num_key_value_heads") or config["num_attention_heads"])
        size = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
        return 2 * BFLOAT16_BYTES * int(config["num_hidden_layers"]) * heads * size
    except (KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"the model's config.json has no {error}") from error


def context_tokens(spec: EngineSpec, config: dict[str, Any]) -> int:
    try:
        return spec.context_tokens or int(config["max_position_embeddings"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"engine {spec.name}: set engine.context_tokens, its config.json has no {error}") from error


def read_config(spec: EngineSpec) -> dict[str, Any]:
    """The part of config.json that describes the text model. Raises: BadSettings."""
    if spec.model_dir is None:
        raise BadSettings(f"engine {spec.name}: no model directory")
    try:
        config = json.loads((spec.model_dir / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise BadSettings(f"engine {spec.name}: {spec.model_dir} has no readable config.json") from error
    return dict(config.get("text_config") or config)
