"""Models of the catalogue's shapes with random weights: right for speed, wrong for quality.

Usage: python benchmarks/suites/engines/shapes.py CARD DIRECTORY [--config-only | --zeros]
       python benchmarks/suites/engines/shapes.py CARD DIRECTORY --routing
       python benchmarks/suites/engines/shapes.py --check

A card's numbers make the config; the vocabulary, the attention heads and whatever else a card does not say are the
published configs'. Tokenizer and chat template are the bundled model's: its tokens are the first of the vocabulary, and
no other is ever said, nor is the end, so that answers are as long as they may be. Answers are greedy.

How fast a batch is hangs on how many experts its tokens choose. Random weights as they come are no good for that: what
all tokens share drowns what each of them is, they choose the same experts, and an answer says one token for ever. Here
a token's own embedding outweighs what all layers but the last add, the last norm's signs keep it from naming itself,
and the last layer's experts say what comes next. --routing says how many experts four tokens of a made model choose.

--config-only leaves the weights out, for vLLM's `--load-format dummy`. --zeros writes a file of the right tensors that
has nothing in it and takes no room on the disk. --check compares each shape's parameters with its card's.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.core_model_loading import revert_weight_conversion

from firstpass.catalogue.card import CARD, Card, read_card
from firstpass.plan.shape import of_card

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from tests.vllm.architectures import (  # noqa: E402
    GRANITE,
    SPECIAL_TOKENS,
    TOKENIZER_FILES,
    TOKENS,
    Architecture,
    add_noise,
    scale_logits,
)

CATALOGUE = ROOT / "models" / "catalogue"
BUNDLED = CATALOGUE / "firstpass-draft-10m"
SEED = 1
NAMES = {torch.bfloat16: "BF16", torch.float32: "F32", torch.uint8: "U8"}
"""Of types, in safetensors."""

LAST_LAYER = 10.0

MXFP4_VALUES = 32
"""That share a scale; a byte holds two of them."""


@dataclass(frozen=True)
class Family:
    """experts, width: what the config calls their number and an expert's rows. config_name: as Architecture's."""

    name: str
    experts: str
    width: str
    config_name: str = ""


GRANITE_MOE = Family("GraniteMoe", "num_local_experts", "intermediate_size")
HYBRID = Family("GraniteMoeHybrid", "num_local_experts", "intermediate_size")
OLMOE = Family("Olmoe", "num_experts", "intermediate_size")
MIXTRAL = Family("Mixtral", "num_local_experts", "intermediate_size")
QWEN3 = Family("Qwen3Moe", "num_experts", "moe_intermediate_size")
QWEN3_5 = Family("Qwen3_5Moe", "num_experts", "moe_intermediate_size", "Qwen3_5MoeText")
GPT_OSS = Family("GptOss", "num_local_experts", "intermediate_size")
LFM2 = Family("Lfm2Moe", "num_experts", "moe_intermediate_size")
GLM4 = Family("Glm4Moe", "n_routed_experts", "moe_intermediate_size")


def layers(count: int, attention: frozenset[int], name: str, other: str) -> list[str]:
    return [name if at in attention else other for at in range(count)]


GRANITE_3 = {**GRANITE, "attention_multiplier": 1 / 64, "vocab_size": 49_155, "rope_theta": 1_500_000.0}
QWEN3_30B = {"vocab_size": 151_936, "num_attention_heads": 32, "norm_topk_prob": True, "rope_theta": 10_000_000.0}
QWEN3_5_35B = {
    "vocab_size": 248_320,
    "num_attention_heads": 16,
    "shared_expert_intermediate_size": 512,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
}
OSS = {"vocab_size": 201_088, "num_attention_heads": 64, "sliding_window": 128}

SHAPES: Mapping[str, tuple[Family, Mapping[str, Any]]] = {
    "granite-3.1-1b-a400m": (GRANITE_MOE, GRANITE_3 | {"num_attention_heads": 16}),
    "granite-3.1-3b-a800m": (GRANITE_MOE, GRANITE_3 | {"num_attention_heads": 24}),
    "olmoe-1b-7b": (OLMOE, {"vocab_size": 50_304, "num_attention_heads": 16}),
    "mixtral-8x7b": (MIXTRAL, {"vocab_size": 32_000, "num_attention_heads": 32}),
    "qwen3-30b-a3b": (QWEN3, QWEN3_30B),
    "qwen3-coder-30b-a3b": (QWEN3, QWEN3_30B),
    "qwen3.5-35b-a3b": (QWEN3_5, QWEN3_5_35B),
    "qwen3.6-35b-a3b": (QWEN3_5, QWEN3_5_35B),
    "gpt-oss-20b": (GPT_OSS, OSS),
    "gpt-oss-120b": (GPT_OSS, OSS),
    "lfm2-8b-a1b": (
        LFM2,
        {
            "vocab_size": 65_536,
            "num_attention_heads": 32,
            "num_dense_layers": 2,
            "intermediate_size": 7168,
            "layer_types": layers(24, frozenset({2, 6, 10, 14, 18, 21}), "full_attention", "conv"),
            "tie_word_embeddings": True,
        },
    ),
    "granite-4.0-h-tiny": (
        HYBRID,
        {
            **GRANITE,
            "vocab_size": 100_352,
            "num_attention_heads": 12,
            "attention_multiplier": 1 / 128,
            "shared_intermediate_size": 1024,
            "layer_types": layers(40, frozenset({5, 15, 25, 35}), "attention", "mamba"),
            "position_embedding_type": "nope",
            "mamba_n_heads": 48,
            "mamba_d_head": 64,
            "mamba_d_state": 128,
        },
    ),
    "glm-4.5-air": (
        GLM4,
        {
            "vocab_size": 151_552,
            "num_attention_heads": 96,
            "intermediate_size": 10_944,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
            "attention_bias": True,
            "num_nextn_predict_layers": 0,
        },
    ),
}


def architecture(card: Card) -> Architecture:
    """The card's shape, for the code that makes small models of the same families."""
    family, differs = SHAPES[card.name]
    said = {
        "hidden_size": card.hidden,
        "num_hidden_layers": card.layers,
        "num_key_value_heads": card.kv_heads,
        "head_dim": card.head_dim,
        family.experts: card.experts,
        "num_experts_per_tok": card.experts_per_token,
        family.width: card.expert_width,
        "max_position_embeddings": card.context_tokens,
        "initializer_range": card.hidden**-0.5,
    }
    return Architecture(family.name, {**differs, **said}, SEED, (), config_name=family.config_name)


def on_meta(card: Card) -> Any:
    """Its model without memory for its weights."""
    with torch.device("meta"):
        return architecture(card).build().bfloat16()


def write_random(card: Card, directory: Path) -> None:
    torch.set_default_dtype(torch.bfloat16)
    torch.manual_seed(SEED)
    model = architecture(card).build()
    with torch.no_grad():
        add_noise(model)
        vary(model)
        scale_logits(model)
    model.save_pretrained(directory)


def vary(model: Any) -> None:
    """What it says hangs on what it reads, and is any of the tokenizer's tokens. See the module's text."""
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    table *= 1 / (table.std() * getattr(model.config, "embedding_multiplier", 1.0))
    head[TOKENS:] = 0.0
    head[:SPECIAL_TOKENS] = 0.0
    last = getattr(model.model, "norm", None) or model.model.embedding_norm
    last.weight *= torch.randn_like(last.weight).sign()
    weigh_last_experts(model)


def weigh_last_experts(model: Any) -> None:
    """So that they add LAST_LAYER times as much as what they are added to."""
    found = list[float]()

    def look(_: Any, asked: Any, answered: Any) -> None:
        before = asked[0].float()
        found.append(float(before.std() / ((answered if torch.is_tensor(answered) else answered[0]) - before).std()))

    layer = model.model.layers[-1]
    hook = layer.register_forward_hook(look)
    model(torch.arange(SPECIAL_TOKENS, 2 * SPECIAL_TOKENS)[None])
    hook.remove()
    for name, values in layer.named_parameters():
        if name.endswith("experts.down_proj"):
            values *= LAST_LAYER * found[0]


def write_config(card: Card, directory: Path) -> None:
    model = on_meta(card)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = "bfloat16"
    model.config.save_pretrained(directory)


def name_layers(card: Card, directory: Path) -> None:
    """As the published config does; transformers 5.19 gives them names of its own, which others do not know."""
    file, (_, differs) = directory / "config.json", SHAPES[card.name]
    if "layer_types" in differs:
        said = json.loads(file.read_text()) | {"layer_types": differs["layer_types"]}
        file.write_text(json.dumps(said, indent=2) + "\n")


def write_zeros(card: Card, directory: Path) -> None:
    """One sparse file whose header has the tensors by the names that a published checkpoint gives them."""
    write_config(card, directory)
    header, end = dict[str, Any](), 0
    for name, (dtype, shape) in tensors(card).items():
        size = torch.Size(shape).numel() * dtype.itemsize
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    said = json.dumps(header).encode()
    with (directory / "model.safetensors").open("wb") as file:
        file.write(len(said).to_bytes(8, "little") + said)
        file.truncate(8 + len(said) + end)


def tensors(card: Card) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    model = on_meta(card)
    kept = {name: one for name, one in model.state_dict().items() if name not in model.all_tied_weights_keys}
    found = revert_weight_conversion(model, kept)
    made = {name: (one.dtype, tuple(one.shape)) for name, one in found.items()}
    return in_mxfp4(made) if card.quantisation == "MXFP4" else made


def in_mxfp4(
    made: dict[str, tuple[torch.dtype, tuple[int, ...]]],
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """With each expert's matrix, (experts, in, out), as gpt-oss publishes it: (experts, out, groups, bytes)."""
    found = dict[str, tuple[torch.dtype, tuple[int, ...]]]()
    for name, (dtype, shape) in made.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            experts, read, written = shape
            groups = (experts, written, read // MXFP4_VALUES)
            found[f"{name}_blocks"] = (torch.uint8, (*groups, MXFP4_VALUES // 2))
            found[f"{name}_scales"] = (torch.uint8, groups)
        else:
            found[name] = (dtype, shape)
    return found


def tell_routing(card: Card, directory: Path) -> None:
    """The mean over the layers, of greedy answers to four prompts that are read and written side by side."""
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
    chosen = list[torch.Tensor]()
    for name, part in model.named_modules():
        if name.endswith(("router", "gate")):
            part.register_forward_hook(lambda _, __, answered: chosen.append(whole(answered)))
    prompts = torch.randint(SPECIAL_TOKENS, TOKENS, (4, 16), generator=torch.Generator().manual_seed(SEED))
    answers = model.generate(prompts, max_new_tokens=16, do_sample=False)[:, 16:]
    steps = [one.reshape(4, -1) for one in chosen if one.numel() == 4 * card.experts_per_token]
    mean = sum(one.unique().numel() for one in steps) / len(steps)
    random = of_card(card).distinct_experts(4)
    print(f"{mean:.1f} of {card.experts} experts in a step of 4; at random it were {random:.1f}")
    print(f"{answers.unique().numel()} tokens among {answers.numel()}")


def whole(answered: Sequence[torch.Tensor]) -> torch.Tensor:
    """The router's choice: its families return it, its weights and its scores in different orders."""
    return next(one for one in answered if not one.is_floating_point())


def check() -> None:
    for name in SHAPES:
        card = read_card(CATALOGUE / name / CARD)
        count = sum(one.numel() for one in on_meta(card).parameters())
        print(f"{name}: {count / 1e9:.3f} billion, the card says {card.parameters_total / 1e9:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card", nargs="?", choices=SHAPES)
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--check", action="store_true")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--config-only", dest="write", action="store_const", const=write_config, default=write_random)
    how.add_argument("--zeros", dest="write", action="store_const", const=write_zeros)
    how.add_argument("--routing", action="store_true")
    asked = parser.parse_args()
    if asked.check:
        check()
        return
    if asked.directory is None:
        parser.error("a card and a directory")
    card = read_card(CATALOGUE / asked.card / CARD)
    if asked.routing:
        tell_routing(card, asked.directory)
        return
    asked.directory.mkdir(parents=True, exist_ok=True)
    asked.write(card, asked.directory)
    name_layers(card, asked.directory)
    for name in (*TOKENIZER_FILES, "generation_config.json"):
        shutil.copy(BUNDLED / name, asked.directory)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
