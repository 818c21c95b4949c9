"""Small models with random weights of the architectures that the catalogue's cards name. They know no engine.

Each keeps what its family does differently (head layout, multipliers, sinks, windows, convolutions, shared experts) and
shrinks the rest: two or three layers, 64 or 128 wide. Widths are multiples of 32 and heads at least 32 wide, as the CPU
kernels of vLLM 0.32 want them (`cpu_moe.py`, `cpu_attn.py`). Tokenizer and chat template are their own, those of an
earlier bundled model: a seed's margins hang on the tokens.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import torch
import transformers

TOKENIZER_DIR = Path(__file__).parent / "tokenizer"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
TOKENS = 4096
SPECIAL_TOKENS = 16
"""The tokenizer's first ones; no model below ever says them, the end token among them."""

SHAPE = {
    "vocab_size": TOKENS,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.1,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "bos_token_id": None,
}
"""A matrix of 128 columns and deviation 0.1 about keeps a vector's length: no layer fades beside the others."""

NOISE = 0.2
"""Deviation of what is added to norms, biases and sinks, so that one that is left out, or applied twice, shows."""

SPREAD = 0.3
"""Log-deviation of the head's rows: a few tokens stand out, so that the greedy choice is seldom a near tie."""

LOGIT_DEVIATION = 3.0
"""About a trained model's."""

Wrong = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """One family.

    name: its class in transformers, without the ending.
    differs: what its config says beside SHAPE.
    seed: one whose routing and greedy choices are no near ties (see `test_a_model_that_is_run_wrongly_would_be_seen`).
    wrong: config fields, each of them a way to run it wrongly.
    lost: ends of parameters' names and the value that stands for their absence.
    config_name: where the class of its config has another name.
    embedding: deviation of the embedding, after its multiplier. About a layer's output; less where it is the head too,
        or the model only repeats its last token.
    harmony: whether vLLM renders and reads its chats by itself (OpenAI's Harmony format), without the chat template.
    """

    name: str
    differs: Wrong
    seed: int
    wrong: Sequence[Wrong]
    lost: Mapping[str, float] = field(default_factory=dict)
    config_name: str = ""
    embedding: float = 1.0
    harmony: bool = False

    def __str__(self) -> str:
        return self.name

    def build(self, **changed: Any) -> Any:
        """A model in float32 with whatever weights transformers gives it."""
        config = getattr(transformers, (self.config_name or self.name) + "Config")
        model = getattr(transformers, f"{self.name}ForCausalLM")(config(**SHAPE | dict(self.differs) | changed))
        return model.eval()

    def model(self) -> Any:
        """Its random weights, all of them numbers that bfloat16 holds, in float32."""
        torch.manual_seed(self.seed)
        model = self.build()
        with torch.no_grad():
            add_noise(model)
            shape_vocabulary(model, self.embedding)
            scale_logits(model)
        return model.bfloat16().float()

    def variant(self, model: Any, *, lost: str = "", **changed: Any) -> Any:
        """The same weights in a model that differs in its config, or that lacks some of them."""
        other = self.build(**changed)
        other.load_state_dict(model.state_dict(), strict=False)
        for name, values in other.named_parameters():
            if lost and name.endswith(lost):
                values.data.fill_(self.lost[lost])
        return other

    def save(self, directory: Path) -> Path:
        """Weights in bfloat16, config, tokenizer and chat template, as they would be downloaded."""
        self.model().bfloat16().save_pretrained(directory)
        for name in TOKENIZER_FILES:
            shutil.copy(TOKENIZER_DIR / name, directory)
        return directory


def add_noise(model: Any) -> None:
    for name, values in (*model.named_parameters(), *model.named_buffers()):
        if (name.endswith("bias") or values.dim() == 1) and "inv_freq" not in name:
            values += NOISE * torch.randn_like(values)


def shape_vocabulary(model: Any, deviation: float) -> None:
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    head *= torch.exp(SPREAD * torch.randn(len(head), 1))
    table *= deviation / (table.std() * getattr(model.config, "embedding_multiplier", 1.0))
    head[TOKENS:] = 0.0
    head[:SPECIAL_TOKENS] *= 0.1


def scale_logits(model: Any) -> None:
    """By the last norm's weight."""
    last = getattr(model.model, "norm", None) or model.model.embedding_norm
    factor = LOGIT_DEVIATION / model(torch.arange(32, 64)[None]).logits[..., :TOKENS].std()
    offset = 1.0 if "Qwen3_5" in type(last).__name__ else 0.0  # its norms multiply by one plus their weight
    last.weight.copy_((last.weight + offset) * factor - offset)


def logprobs(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    """What `model` says for each token of `answer` after `prompt`. Returns: (answer, vocabulary), natural log."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.float(), -1)


def greedy(model: Any, prompt: Sequence[int], tokens: int) -> list[int]:
    answer: list[int] = []
    for _ in range(tokens):
        with torch.no_grad():
            answer.append(int(model(torch.tensor([[*prompt, *answer]])).logits[0, -1].argmax()))
    return answer


GRANITE = {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 8,
    "embedding_multiplier": 12.0,
    "attention_multiplier": 1 / 32,
    "residual_multiplier": 0.22,
    "logits_scaling": 6.0,
    "tie_word_embeddings": True,
}
WRONG_GRANITE = (
    {"embedding_multiplier": 1.0},
    {"attention_multiplier": 32**-0.5},
    {"residual_multiplier": 1.0},
    {"logits_scaling": 1.0},
)

ARCHITECTURES = (
    Architecture(
        "GraniteMoe",
        GRANITE | {"num_experts_per_tok": 4, "intermediate_size": 128},
        seed=81,
        embedding=0.02,
        wrong=({"num_experts_per_tok": 3}, *WRONG_GRANITE),
    ),
    Architecture(
        "Olmoe",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "num_experts": 16,
            "num_experts_per_tok": 4,
            "intermediate_size": 128,
            "norm_topk_prob": False,
        },
        seed=17,
        wrong=({"num_experts_per_tok": 3}, {"norm_topk_prob": True}),
        lost={"q_norm.weight": 1.0},
    ),
    Architecture(
        "Qwen3Moe",
        {
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "num_experts": 16,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 64,
            "norm_topk_prob": True,
        },
        seed=171,
        wrong=({"num_experts_per_tok": 3}, {"norm_topk_prob": False}),
        lost={"q_norm.weight": 1.0},
    ),
    Architecture(
        "GptOss",
        {
            "vocab_size": 201_088,  # Harmony's; the chat's tokens are taken from it, whatever the tokenizer says
            "hidden_size": 64,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "num_local_experts": 8,
            "num_experts_per_tok": 4,
            "intermediate_size": 128,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        seed=9,
        wrong=({"num_experts_per_tok": 3}, {"sliding_window": 500}),
        lost={"sinks": -inf, "down_proj_bias": 0.0},
        harmony=True,
    ),
    Architecture(
        "Mixtral",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 64,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "intermediate_size": 128,
        },
        seed=57,
        wrong=({"num_experts_per_tok": 1},),
    ),
    Architecture(
        "Lfm2Moe",
        {
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "num_experts": 8,
            "num_experts_per_tok": 4,
            "intermediate_size": 128,
            "moe_intermediate_size": 64,
            "num_dense_layers": 1,
            "layer_types": ["conv", "full_attention", "conv"],
            "tie_word_embeddings": True,
        },
        seed=147,
        embedding=0.02,
        wrong=({"num_experts_per_tok": 3}, {"norm_topk_prob": False}, {"use_expert_bias": False}),
        lost={"conv.conv.weight": 0.0},
    ),
    Architecture(
        "GraniteMoeHybrid",
        GRANITE
        | {
            "num_experts_per_tok": 4,
            "intermediate_size": 64,
            "shared_intermediate_size": 64,
            "layer_types": ["mamba", "attention"],
            "position_embedding_type": "nope",
            "mamba_n_heads": 8,
            "mamba_d_head": 32,
            "mamba_d_state": 32,
            "mamba_chunk_size": 64,
        },
        seed=51,
        embedding=0.02,
        wrong=({"num_experts_per_tok": 3}, *WRONG_GRANITE),
        lost={"shared_mlp.output_linear.weight": 0.0, "mamba.D": 0.0, "conv1d.bias": 0.0},
    ),
    Architecture(
        "Qwen3_5Moe",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 64,
            "num_experts": 16,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 64,
            "linear_key_head_dim": 32,
            "linear_value_head_dim": 32,
            "linear_num_key_heads": 4,
            "linear_num_value_heads": 8,
            "layer_types": ["linear_attention", "full_attention"],
        },
        seed=28,
        wrong=({"num_experts_per_tok": 3},),
        lost={"shared_expert.down_proj.weight": 0.0, "linear_attn.dt_bias": 0.0, "q_norm.weight": 0.0},
        config_name="Qwen3_5MoeText",
    ),
    Architecture(
        "Glm4Moe",
        {
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 64,
            "n_routed_experts": 16,
            "n_shared_experts": 1,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 64,
            "intermediate_size": 128,
            "first_k_dense_replace": 1,
            "routed_scaling_factor": 1.5,
            "use_qk_norm": True,
            "attention_bias": True,
            "num_nextn_predict_layers": 0,
        },
        seed=70,
        wrong=({"num_experts_per_tok": 3}, {"routed_scaling_factor": 1.0}),
        lost={"shared_experts.down_proj.weight": 0.0, "q_norm.weight": 1.0, "v_proj.bias": 0.0},
    ),
)
