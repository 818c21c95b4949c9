"""How fast a way will be: time to the first token and tokens a second, from the hardware's rates and the model's bytes.

A step takes the time of its calls, which a small model has most of, and the time in which its bytes are read. A prompt
takes its arithmetic and a step. How much of a rate an engine gets out of a
machine was measured once for each engine (benchmarks/suites/plan); `firstpass plan --measure` corrects it for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from firstpass.engine import Kind
from firstpass.plan.rates import Rates
from firstpass.plan.ways import Way


@dataclass(frozen=True, slots=True)
class Costs:
    """Of an engine. step_calls, layer_calls: times of a small operation that a step and each of its layers take beside
    reading. reads: the share of the memory's bandwidth that it reads weights with. reckons: the share of the matrices'
    rate that it reads prompts with. emulated_reads, emulated_reckons: the same for numbers that the CPU does not know.
    alone: the share of the calls' time that one thread takes, which waits for no other. prompt_calls: as step_calls, of
    a request before its prompt is read.
    """

    step_calls: float
    layer_calls: float
    reads: float
    reckons: float
    emulated_reads: float = 0.0
    emulated_reckons: float = 0.0
    alone: float = 1.0
    prompt_calls: float = 0.0


@dataclass(frozen=True, slots=True)
class Correction:
    """How many times as long as predicted it takes on this machine. step: between two tokens. prompt: to the first."""

    step: float = 1.0
    prompt: float = 1.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """first_seconds: of a prompt of `prompt_tokens`, with nobody else there. token_seconds: between two tokens of one
    answer. ceiling: the most tokens a second that the memory allows one answer.
    """

    prompt_tokens: int
    first_seconds: float
    token_seconds: float
    ceiling: float

    @property
    def tokens_per_s(self) -> float:
        return 1 / self.token_seconds

    def whole_seconds(self, tokens: int) -> float:
        """Of an answer of so many."""
        return self.first_seconds + (tokens - 1) * self.token_seconds


def predicted(way: Way, rates: Rates, prompt_tokens: int, correction: Correction = Correction()) -> Prediction | None:
    """None where a rate that it needs is not known."""
    reading, whole = (_read_seconds(way, rates, prompt_tokens, batch) for batch in (1, prompt_tokens))
    flops = rates.gpu_flops * way.gpus if way.gpus and not way.cpu_layers else rates.flops
    if reading is None or whole is None or not flops:
        return None
    costs = COSTS[way.engine, bool(way.gpus)]
    reads = costs.emulated_reads if way.emulated else costs.reads
    reckons = costs.emulated_reckons if way.emulated else costs.reckons
    calls = (costs.step_calls + costs.layer_calls * way.shape.layers) * rates.operation_seconds
    calls *= costs.alone if way.one_thread else 1.0
    step = calls + reading / reads
    arithmetic = way.shape.prompt_operations(prompt_tokens) / (flops * reckons)
    asking = costs.prompt_calls * rates.operation_seconds
    first = asking + calls + max(arithmetic, whole / reads)
    return Prediction(prompt_tokens, first * correction.prompt, step * correction.step, 1 / reading)


def _read_seconds(way: Way, rates: Rates, context_tokens: int, batch: float) -> float | None:
    """In which a step's bytes are read, each from where it lies; of a prompt, whose tokens are a batch, its cache once.

    None where a rate is not known.
    """
    shape = way.shape
    experts = shape.read_expert_bytes(batch)
    every = shape.step_bytes(1, context_tokens) - shape.read_expert_bytes(1) + experts
    elsewhere = experts * way.cpu_layers / shape.layers if way.gpus else every
    on_disk = experts * way.disk_bytes / shape.expert_bytes if way.disk_bytes else 0.0
    if (way.gpus and not rates.gpu_bytes_per_s) or (on_disk and not rates.disk_bytes_per_s):
        return None
    seconds = (elsewhere - on_disk) / rates.bytes_per_s
    seconds += on_disk / rates.disk_bytes_per_s if on_disk else 0.0
    return seconds + ((every - elsewhere) / (rates.gpu_bytes_per_s * way.gpus) if way.gpus else 0.0)


COSTS: Mapping[tuple[Kind, bool], Costs] = {
    ("vllm", False): Costs(1070, 94, 1.33, 0.62, 1.2, 0.33, alone=0.46, prompt_calls=5900),
    ("transformers", False): Costs(100, 300, 1.0, 0.6, 1.0, 0.17, alone=1.15),
    ("llama.cpp", False): Costs(150, 5, 0.95, 0.45),
    ("vllm", True): Costs(100, 10, 0.5, 0.4),
    ("llama.cpp", True): Costs(150, 5, 0.4, 0.3),
}
"""By engine and whether on a GPU. On a CPU: measured on two cores of an AMD EPYC without AVX-512, vLLM by the suite
`plan`, the others by two models of the suite `engines`; there the engines read weights faster than the looking for a
byte that measures the memory. On a GPU: from what others published (0.3 to 0.44 of the bandwidth for llama.cpp), and
not tried by us."""
