"""The ways in which a machine can run a model: engine, place of the weights, context, flags; and why others do not do.

vLLM and transformers run a checkpoint as it was published; llama.cpp runs a GGUF file made from it, with the experts
in main memory, or on a disk, where a GPU is too small for them. Sources: vLLM's CPU backend (no quantised experts);
llama.cpp's --n-cpu-moe, and its memory-mapped files.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firstpass.catalogue.card import Card
from firstpass.engine import EngineSpec, Kind, cache_size, llama_cpp, transformers, vllm
from firstpass.engine.cache_size import DTYPE_BYTES, Needs, fitted
from firstpass.engine.recipe import SMALL_WEIGHTS_BYTES
from firstpass.errors import BadSettings
from firstpass.hardware import GPU_SHARE, Gpu, Machine
from firstpass.plan.shape import Shape, of_card

LEAST_CONTEXT_TOKENS = 1024
"""A model that has room for fewer beside it is not said to fit."""

ON_GPU_BYTES = 2_000_000_000
"""What an engine takes of a GPU beside weights and cache: activations, graphs, CUDA itself."""

ROUNDING = 1e-6
ENGINES: Sequence[Kind] = ("vllm", "transformers", "llama.cpp")
GPUS = (1, 2, 4, 8)
"""Between which a model's matrices can be divided."""

LEAST_CAPABILITY: Mapping[str, float] = {"FP8": 8.0, "MXFP4": 8.0, "": 7.0}
"""Of a GPU, for weights in so many bits: below 8.9 vLLM turns FP8 into 16 bits as it reckons. Source: vLLM's table of
quantisations and hardware."""

BFLOAT16_CAPABILITY = 8.0

GGUF_BITS: Mapping[str, float] = {"Q8_0": 8.5, "Q4_K_M": 4.85}
"""Bits that a weight takes, scales included; of the second on the mean, since it mixes two kinds."""

MXFP4_GGUF = "MXFP4"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What there is. engines: those that are installed. vllm_on_cpu: whether its vLLM is the CPU's build. llama_on_gpu:
    whether its llama.cpp, if there is one, can use a GPU.
    """

    machine: Machine
    gpus: Sequence[Gpu] = ()
    engines: frozenset[Kind] = frozenset()
    vllm_on_cpu: bool = False
    llama_on_gpu: bool = True


@dataclass(frozen=True, slots=True)
class Way:
    """engine: that runs it. weights: how it keeps them, as bfloat16 or Q4_K_M. why_not: empty where it fits.

    context_tokens: of the longest prompt and answer. gpu_bytes: of each GPU that it takes, `gpus` of them. main_bytes:
    of the main memory; disk_bytes: of experts that find no room there, and are read from a disk whenever they are
    chosen. cpu_layers: those whose experts are in the main memory while the rest is on a GPU. emulated: the CPU has no
    instructions for its numbers. one_thread: it is so small that it gets no more. arguments: of the engine, as
    engine.extra_args. engine_lacks: why the engine can not run here yet. weights_lack: how its weights come here. file:
    a GGUF one, or where one is looked for.
    """

    engine: Kind
    weights: str
    shape: Shape
    why_not: str = ""
    context_tokens: int = 0
    gpus: int = 0
    gpu_bytes: float = 0.0
    main_bytes: float = 0.0
    disk_bytes: float = 0.0
    cpu_layers: int = 0
    emulated: bool = False
    one_thread: bool = False
    arguments: tuple[str, ...] = ()
    engine_lacks: str = ""
    weights_lack: str = ""
    file: Path | None = None

    @property
    def fits(self) -> bool:
        return not self.why_not

    @property
    def lacks(self) -> str:
        """What has to be installed or fetched before."""
        return "; ".join(filter(None, (self.engine_lacks, self.weights_lack)))

    @property
    def place(self) -> str:
        if self.disk_bytes:
            return "disk"
        if self.gpus and self.cpu_layers:
            return "GPU and CPU"
        return "GPU" if self.gpus else "CPU"


def ways(card: Card, hardware: Hardware, context_tokens: int | None = None) -> list[Way]:
    """Those that fit first; of each engine's the one with the most of the weights' bits. context_tokens: that are
    wanted; None: as many as fit.
    """
    if too_long := _too_long(of_card(card), context_tokens):
        return [Way(engine, card.quantisation or card.dtype, of_card(card), too_long) for engine in ENGINES]
    found = [*_vllm(card, hardware, context_tokens), _transformers(card, hardware, context_tokens)]
    found += _llama_cpp(card, hardware, context_tokens)
    return sorted(found, key=lambda way: not way.fits)


def _vllm(card: Card, hardware: Hardware, wanted: int | None) -> Iterator[Way]:
    lacks = "" if "vllm" in hardware.engines else "vLLM is not installed"
    if hardware.gpus:
        wrong_build = "the vLLM that is installed is the CPU's" if hardware.vllm_on_cpu and not lacks else ""
        yield _vllm_on_gpu(card, hardware.gpus, wanted, lacks or wrong_build)
    if hardware.vllm_on_cpu or not hardware.gpus:
        wrong_build = "" if hardware.vllm_on_cpu else "the vLLM that is installed is for GPUs"
        yield from _vllm_on_cpu(card, hardware, wanted, lacks or wrong_build)


def _vllm_on_gpu(card: Card, gpus: Sequence[Gpu], wanted: int | None, lacks: str) -> Way:
    shape, weights = of_card(card), card.quantisation or card.dtype
    needed = LEAST_CAPABILITY.get(card.quantisation or "", 8.0)
    if min(gpu.capability for gpu in gpus) < needed:
        return Way("vllm", weights, shape, f"{weights} needs a GPU of capability {needed}")
    room = min(gpu.bytes for gpu in gpus) * GPU_SHARE - ON_GPU_BYTES
    number = next((n for n in GPUS if n <= len(gpus) and shape.weight_bytes / n <= room), 0)
    if not number:
        return Way("vllm", weights, shape, _too_large(shape, len(gpus) * room, _so_many(len(gpus))))
    copies = number / min(number, max(1, card.kv_heads))  # A head of keys and values is not divided.
    context = _context(shape, (number * room - shape.weight_bytes) / copies, wanted)
    if not context:
        return Way("vllm", weights, shape, _too_large(shape, number * room, _so_many(number), wanted))
    old = min(gpu.capability for gpu in gpus) < BFLOAT16_CAPABILITY
    arguments = [
        *(("--tensor-parallel-size", str(number)) if number > 1 else ()),
        *(("--dtype", "half") if old else ()),
    ]
    each = (shape.weight_bytes + copies * context * shape.cache_token_bytes) / number + ON_GPU_BYTES
    return Way("vllm", weights, shape, "", context, number, each, arguments=tuple(arguments), engine_lacks=lacks)


def _so_many(gpus: int) -> str:
    return "a GPU" if gpus == 1 else f"{gpus} GPUs"


def _vllm_on_cpu(card: Card, hardware: Hardware, wanted: int | None, lacks: str) -> Iterator[Way]:
    """Both types of numbers, where one is emulated: the engine takes float32 for a context that fits in it."""
    if card.quantisation:
        yield Way("vllm", card.quantisation, of_card(card), "vLLM on a CPU runs unquantised experts only")
        return
    sizes = ("bfloat16",) if hardware.machine.bfloat16 else ("float32", "bfloat16")
    found = [_in_memory("vllm", card, hardware, wanted, dtype, vllm.RUNTIME_BYTES, lacks) for dtype in sizes]
    yield from [way for way in found if way.fits] or found[-1:]


def _transformers(card: Card, hardware: Hardware, wanted: int | None) -> Way:
    lacks = "" if "transformers" in hardware.engines else "transformers is not installed"
    if card.quantisation:
        return Way("transformers", card.quantisation, of_card(card), "its kernels for quantised experts need a GPU")
    return _in_memory("transformers", card, hardware, wanted, card.dtype, transformers.RUNTIME_BYTES, lacks)


def _in_memory(
    engine: Kind, card: Card, hardware: Hardware, wanted: int | None, dtype: str, runtime_bytes: int, lacks: str
) -> Way:
    """In main memory, with a cache as the engines' recipes make it."""
    shape = of_card(card, DTYPE_BYTES[dtype])
    spec = EngineSpec(card.name, engine, Path(), context_tokens=wanted, holds_tokens=card.context_tokens)
    needs = Needs(
        math.ceil(shape.weight_bytes) + runtime_bytes, math.ceil(shape.cache_token_bytes), card.context_tokens
    )
    try:
        size = fitted(spec, hardware.machine, needs, cache_size.SEQUENCES)
    except BadSettings:
        size = None
    if size is None or size.context_tokens < min(LEAST_CONTEXT_TOKENS, wanted or LEAST_CONTEXT_TOKENS):
        return Way(engine, dtype, shape, _too_large(shape, hardware.machine.usable_bytes, "main memory", wanted))
    whole = shape.weight_bytes + size.bytes + runtime_bytes
    emulated = dtype == "bfloat16" and not hardware.machine.bfloat16
    said = ("--dtype", dtype) if emulated and engine == "vllm" else ()
    found = Way(engine, dtype, shape, "", size.context_tokens, main_bytes=whole, emulated=emulated)
    small = of_card(card).weight_bytes <= SMALL_WEIGHTS_BYTES
    return replace(found, arguments=said, engine_lacks=lacks, one_thread=small)


def _llama_cpp(card: Card, hardware: Hardware, wanted: int | None) -> Iterator[Way]:
    """The most bits that fit in memory; else the fewest, with the experts that find no room on a disk."""
    kinds = {MXFP4_GGUF: card.expert_bits} if card.quantisation == MXFP4_GGUF else GGUF_BITS
    shapes = {name: _gguf_shape(card, name, bits) for name, bits in kinds.items()}
    lacks = f"llama.cpp's {llama_cpp.PROGRAM} is not installed" if "llama.cpp" not in hardware.engines else ""
    placed = [place(shape, name, hardware, wanted, lacks) for name, shape in shapes.items()]
    best = next((way for way in placed if way.fits and not way.disk_bytes), None)
    yield best or next((way for way in reversed(placed) if way.fits), placed[-1])


def _gguf_shape(card: Card, name: str, bits: float) -> Shape:
    """Of gpt-oss what is not an expert is in eight bits."""
    return of_card(card, (GGUF_BITS["Q8_0"] if name == MXFP4_GGUF else bits) / 8, bits)


def place(shape: Shape, weights: str, hardware: Hardware, wanted: int | None, lacks: str = "") -> Way:
    """Where llama.cpp puts a file's weights: all on a GPU; else the experts of as many layers as need be in the main
    memory; and what of these has no room there stays on the disk.
    """
    if too_long := _too_long(shape, wanted):
        return Way("llama.cpp", weights, shape, too_long)
    gpus = hardware.gpus if hardware.llama_on_gpu else ()
    gpu = max((gpu.bytes for gpu in gpus), default=0) * GPU_SHARE - ON_GPU_BYTES
    main = max(0, hardware.machine.usable_bytes - llama_cpp.RUNTIME_BYTES)
    context = _context(shape, gpu - shape.fixed_bytes, wanted) if gpu >= shape.fixed_bytes else 0
    if not context:
        nothing_there = ("--n-gpu-layers", "0") if gpus else ()  # By itself it puts all of them there.
        return replace(_without_gpu(shape, weights, main, wanted, lacks), arguments=nothing_there)
    least = min(context, wanted or max(LEAST_CONTEXT_TOKENS, cache_size.STATES_TOKENS))
    left = gpu - shape.fixed_bytes - least * shape.cache_token_bytes
    in_main, layers = _off_the_gpu(shape, left)
    beside = shape.weight_bytes - in_main
    context = _context(shape, gpu - beside, wanted) or least
    cache = context * shape.cache_token_bytes
    slots = max(1, min(llama_cpp.SLOTS, int((gpu - beside) / cache))) if cache else llama_cpp.SLOTS
    arguments = ("--n-gpu-layers", "999", *(("--n-cpu-moe", str(layers)) if layers else ()))
    return Way(
        "llama.cpp",
        weights,
        shape,
        context_tokens=context,
        gpus=1,
        gpu_bytes=beside + slots * cache + ON_GPU_BYTES,
        main_bytes=min(in_main, main),
        disk_bytes=max(0.0, in_main - main),
        cpu_layers=layers,
        arguments=(*arguments, "--parallel", str(slots), "--ctx-size", str(slots * context)),
        engine_lacks=lacks,
    )


def _off_the_gpu(shape: Shape, room: float) -> tuple[float, int]:
    """(Bytes of the experts that have no room there, of how many layers from the first on). --n-cpu-moe counts those
    that have no experts too.
    """
    if room >= shape.expert_bytes:
        return 0.0, 0
    each = shape.expert_bytes / (shape.layers - shape.dense_layers)
    layers = math.ceil((shape.expert_bytes - room) / each)
    return layers * each, layers + shape.dense_layers


def _without_gpu(shape: Shape, weights: str, main: float, wanted: int | None, lacks: str) -> Way:
    least = shape.fixed_bytes + LEAST_CONTEXT_TOKENS * shape.cache_token_bytes
    if main < least:
        return Way("llama.cpp", weights, shape, _too_large(shape, main, "main memory even without its experts", wanted))
    usual = main if wanted else min(main, shape.weight_bytes + cache_size.USUAL_BYTES)
    least_tokens = min(shape.context_tokens, wanted or cache_size.STATES_TOKENS)
    resident = min(shape.weight_bytes, main - least_tokens * shape.cache_token_bytes)
    context = _context(shape, usual - resident, wanted)
    if not context:
        return Way("llama.cpp", weights, shape, _too_large(shape, main, "main memory", wanted))
    cache = context * shape.cache_token_bytes
    held = min(shape.weight_bytes, main - cache)
    beyond = shape.weight_bytes - held
    if shape.fixed_bytes > held:
        return Way("llama.cpp", weights, shape, _too_large(shape, main, "main memory", wanted))
    return Way(
        "llama.cpp",
        weights,
        shape,
        "",
        context,
        0,
        0.0,
        held + cache + llama_cpp.RUNTIME_BYTES,
        beyond,
        engine_lacks=lacks,
    )


def _context(shape: Shape, room: float, wanted: int | None) -> int:
    """Tokens that have room; 0 for fewer than are wanted, or than are of use."""
    most = shape.context_tokens if not shape.cache_token_bytes else int(room / shape.cache_token_bytes + ROUNDING)
    longest = wanted or shape.context_tokens
    tokens = longest if longest <= most else max(0, most // cache_size.BLOCK_TOKENS * cache_size.BLOCK_TOKENS)
    return tokens if tokens >= (wanted or min(LEAST_CONTEXT_TOKENS, shape.context_tokens)) else 0


def _too_long(shape: Shape, wanted: int | None) -> str:
    """Why a context is none of the model's; empty where it may be."""
    return f"it holds {shape.context_tokens} tokens at most" if (wanted or 0) > shape.context_tokens else ""


def _too_large(shape: Shape, room: float, where: str, wanted: int | None = None) -> str:
    cache = f" and a context of {wanted} tokens" if wanted else ""
    need = shape.weight_bytes + (wanted or 0) * shape.cache_token_bytes
    return f"its weights{cache} take {need / 1e9:.1f} GB, and there are {max(0.0, room) / 1e9:.1f} GB in {where}"
