"""What a machine's memory allows at the most: its bandwidth, measured, and the bytes that one step of a model reads.

To decode is to read: for each step of a batch the fixed weights, those experts that any of its tokens chose, and the
key-value cache of each sequence. Of E experts, B tokens that each choose k leave the share (1 - k/E)^B unread, if they
choose independently; neighbours in a text do so less, and read fewer.
"""

import ctypes
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firstpass.bench.figures import Figure
from firstpass.bench.load.run import Ran
from firstpass.catalogue.card import (
    WEIGHT_BYTES,
    Card,
    cache_token_bytes,
    expert_parameters,
    weight_bytes,
)

BUFFER_BYTES, ALL_BYTES = 2**28, 2**31
"""For each thread, but no more for all of them: more than any cache holds, and less than a machine can spare."""

READS, TRIES = 2, 3


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


def bandwidth() -> float:
    """Bytes a second that as many threads read as this process has cores; the most of a few tries.

    Each looks through zeros for a one, outside of the interpreter's lock: as fast as memory can be read.
    """
    library = ctypes.CDLL(None)
    library.memchr.restype = ctypes.c_void_p
    library.memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    cores = len(os.sched_getaffinity(0))
    size = min(BUFFER_BYTES, ALL_BYTES // cores)
    buffers = [bytearray(size) for _ in range(cores)]
    places = [ctypes.addressof((ctypes.c_char * size).from_buffer(one)) for one in buffers]

    def read(place: int) -> None:
        for _ in range(READS):
            library.memchr(place, 1, size)

    return max(cores * READS * size / _seconds(places, read) for _ in range(TRIES))


def _seconds(places: Sequence[int], read: Callable[[int], None]) -> float:
    threads = [threading.Thread(target=read, args=(place,)) for place in places]
    began = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return time.perf_counter() - began


def distinct_experts(card: Card, batch: float) -> float:
    """Of a layer, that one step of a batch reads."""
    if not card.experts:
        return 0.0
    return card.experts * (1 - math.pow(1 - card.experts_per_token / card.experts, batch))


def step_bytes(card: Card, batch: float, context_tokens: float) -> float:
    """context_tokens: of each sequence."""
    experts = expert_parameters(card)
    each = card.expert_bits / 8 if card.expert_bits else WEIGHT_BYTES[card.dtype]
    fixed = weight_bytes(card) - experts * each
    read = experts * each * (distinct_experts(card, batch) / card.experts if card.experts else 0.0)
    return fixed + read + batch * context_tokens * cache_token_bytes(card)


def roofline(card: Card, ran: Ran, arm: str, bytes_a_second: float) -> Roofline:
    """At the batch and the context that the arm really had."""
    answered = [timed for block in ran.of(arm) for timed in block.requests if timed.error is None]
    batch = decoded_at_once([(timed.heard[0], timed.heard[-1]) for timed in answered])
    context = sum(timed.tokens_in + timed.tokens_out / 2 for timed in answered) / max(1, len(answered))
    return Roofline(card.name, bytes_a_second, batch, context, step_bytes(card, batch, context))


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
