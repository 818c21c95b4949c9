"""What of a model decides about memory and speed, whichever file or card says it.

To decode is to read: for each step of a batch the fixed weights, those experts that any of its tokens chose, and the
key-value cache of each sequence. Of E experts, B tokens that each choose k leave the share (1 - k/E)^B unread, if they
choose independently; neighbours in a text do so less, and read fewer.
"""

import math
from dataclasses import dataclass

from firstpass.catalogue.card import CACHE_BYTES, WEIGHT_BYTES, Card, cache_token_bytes, expert_parameters
from firstpass.gguf import Gguf


@dataclass(frozen=True, slots=True)
class Shape:
    """fixed_bytes: of all weights but the experts'. expert_bytes: of all experts. unread_bytes: of an input embedding
    of its own, of which a token reads one row; among the fixed ones.

    cache_token_bytes: of one token's keys and values in all layers. active_parameters: used for one token.
    head_parameters: among them, of what turns the last token of a prompt into an answer's first. hidden: numbers that a
    layer hands on for a token; of both 0 where they are not known. dense_layers: the first ones, without experts.
    """

    name: str
    layers: int
    fixed_bytes: float
    expert_bytes: float
    experts: int
    experts_per_token: int
    cache_token_bytes: float
    context_tokens: int
    active_parameters: float
    unread_bytes: float = 0.0
    head_parameters: float = 0.0
    hidden: int = 0
    dense_layers: int = 0

    @property
    def weight_bytes(self) -> float:
        return self.fixed_bytes + self.expert_bytes

    def distinct_experts(self, batch: float) -> float:
        """Of a layer, that one step of a batch reads."""
        if not self.experts:
            return 0.0
        return self.experts * (1 - math.pow(1 - self.experts_per_token / self.experts, batch))

    def read_expert_bytes(self, batch: float) -> float:
        """In one step of a batch."""
        return self.expert_bytes * (self.distinct_experts(batch) / self.experts if self.experts else 0.0)

    def step_bytes(self, batch: float, context_tokens: float) -> float:
        """All that one step reads. context_tokens: of each sequence."""
        fixed = self.fixed_bytes - self.unread_bytes
        return fixed + self.read_expert_bytes(batch) + batch * context_tokens * self.cache_token_bytes

    def prompt_operations(self, tokens: int) -> float:
        """To read so many: two a parameter and token, and what each token looks at of those before it."""
        body = 2 * (self.active_parameters - self.head_parameters) * tokens
        return body + 2 * self.head_parameters + 2 * self.layers * self.hidden * float(tokens) ** 2


def of_card(card: Card, number_bytes: float | None = None, expert_bits: float | None = None) -> Shape:
    """number_bytes: of one weight, where an engine keeps them otherwise than the card says, and of one number of the
    cache; expert_bits: of an expert's weight in a GGUF file, beside which the cache stays in 16 bits.
    """
    each = WEIGHT_BYTES[card.dtype] if number_bytes is None else number_bytes
    experts = expert_parameters(card)
    bits = expert_bits or (card.expert_bits if number_bytes is None else 0) or each * 8
    embedding = card.vocabulary * card.hidden
    return Shape(
        name=card.name,
        layers=card.layers,
        fixed_bytes=(card.parameters_total - experts) * each,
        expert_bytes=experts * bits / 8,
        experts=card.experts if experts else 0,
        experts_per_token=card.experts_per_token,
        cache_token_bytes=cache_token_bytes(card) * (each / CACHE_BYTES if number_bytes and not expert_bits else 1),
        context_tokens=card.context_tokens,
        active_parameters=card.parameters_active,
        unread_bytes=0.0 if card.tied else embedding * each,
        head_parameters=embedding,
        hidden=card.hidden,
        dense_layers=0 if card.moe_layers is None else card.layers - card.moe_layers,
    )


def of_gguf(name: str, file: Gguf) -> Shape:
    """Exactly as the file has it."""
    share = file.experts_per_token / file.experts if file.experts else 0.0
    return Shape(
        name=name,
        layers=file.layers,
        fixed_bytes=file.bytes - file.expert_bytes,
        expert_bytes=file.expert_bytes,
        experts=file.experts,
        experts_per_token=file.experts_per_token,
        cache_token_bytes=file.token_bytes,
        context_tokens=file.context_tokens,
        active_parameters=file.parameters - file.expert_parameters * (1 - share),
        unread_bytes=file.unread_bytes,
        head_parameters=file.head_parameters,
        hidden=file.hidden,
        dense_layers=file.layers - file.expert_layers if file.expert_layers else 0,
    )
