"""What a machine's memory allows at the most: its bandwidth, measured, and the bytes that one step of a model reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from firstpass.bench.figures import Figure
from firstpass.bench.load.run import Ran
from firstpass.catalogue.card import Card
from firstpass.plan.shape import of_card


@dataclass(frozen=True, slots=True)
class Roofline:
    """bandwidth: bytes a second that all cores together read. step_bytes: of one step of `batch` sequences.

    tokens_per_s: the most that the bandwidth allows the batch.
    """

    card: str
    bandwidth: float
    batch: float
    context_tokens: float
    step_bytes: float

    @property
    def tokens_per_s(self) -> float:
        return self.batch * self.bandwidth / self.step_bytes

    def used(self, step_seconds: float) -> float:
        """The share of the bandwidth that a step of so many seconds uses for what it has to read (S-MBU)."""
        return self.step_bytes / (step_seconds * self.bandwidth)


def roofline(card: Card, ran: Ran, arm: str, bytes_a_second: float) -> Roofline:
    """At the batch and the context that the arm really had."""
    answered = [timed for block in ran.of(arm) for timed in block.requests if timed.error is None]
    batch = decoded_at_once([(timed.heard[0], timed.heard[-1]) for timed in answered])
    context = sum(timed.tokens_in + timed.tokens_out / 2 for timed in answered) / max(1, len(answered))
    return Roofline(card.name, bytes_a_second, batch, context, of_card(card).step_bytes(batch, context))


def decoded_at_once(spans: Sequence[tuple[float, float]]) -> float:
    """Sequences that a step had on the mean, as one of them sees it: while nobody is answered there are no steps.

    spans: of each, when its first token came and its last. Those that wait for their first one are in no step.
    """
    now, last, seconds, shared = 0, 0.0, 0.0, 0.0
    for moment, change in sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans]):
        seconds, shared = seconds + now * (moment - last), shared + now**2 * (moment - last)
        now, last = now + change, moment
    return shared / seconds if seconds else 1.0


def sentence(arm: str, roof: Roofline, token_ms: Figure | None) -> str:
    """How near an arm comes to what its machine allows, where that is this one."""
    text = f"{arm}: {roof.card} reads {roof.step_bytes / 1e6:,.0f} MB a step at a batch of {roof.batch:.1f}"
    text += f"; this machine's {roof.bandwidth / 1e9:.1f} GB/s allow {roof.tokens_per_s:,.0f} tokens a second"
    if token_ms is None or not token_ms.value:
        return f"{text}."
    return f"{text}; it uses {roof.used(token_ms.value / 1000):.2f} of them (S-MBU, by the median token)."
