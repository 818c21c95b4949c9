"""What to run for an engine and how to tell that it is up. Knows command lines and environments; starts nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firstpass import hardware
from firstpass.engine import arguments
from firstpass.engine.spec import Endpoint, EngineSpec, Need

PASSED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "VLLM_LOGGING_LEVEL", "VLLM_ATTENTION_BACKEND"),
    )
)
PASSED_PREFIXES = ("LC_", "CUDA", "NVIDIA", "NCCL_", "OMP_", "KMP_", "GOMP_", "TORCH", "PYTORCH", "TRITON", "VLLM_CPU")
"""All that an engine sees of the front's environment: no provider's key, no proxy, no switch that opens more routes."""

SMALL_WEIGHTS_BYTES = 64 * 2**20

QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONSAFEPATH": "1",
}
"""No telemetry, no download: an engine has no reason to reach another machine. And no module out of the directory that
the server was started in, which may be a stranger's repository."""


@dataclass(frozen=True, slots=True)
class Command:
    """argv, the whole environment, and the endpoint that they open."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    endpoint: Endpoint


class Recipe(Protocol):
    """A kind of engine."""

    @property
    def need(self) -> Need: ...

    @property
    def ready_path(self) -> str:
        """Answered 200, relative to the endpoint's base URL, when the engine can take its first request."""
        ...

    @property
    def stages(self) -> Mapping[str, str]:
        """What its log says, and what that means to the person who waits; in the order of a start."""
        ...

    @property
    def expects_logprobs(self) -> bool: ...

    def command(self, scratch: Path) -> Command:
        """scratch: a fresh directory, this user's alone, for the socket and other short-lived files."""
        ...


def recipe_for(spec: EngineSpec) -> Recipe:
    """Raises: BadSettings for arguments that no engine may get, and for a model that this machine can't hold."""
    arguments.refuse(spec.extra_args)
    if spec.kind == "llama.cpp":
        from firstpass.engine.llama_cpp import LlamaCppRecipe

        return LlamaCppRecipe(spec, hardware.this())
    if spec.kind == "vllm":
        from firstpass.engine.vllm import VllmRecipe

        return VllmRecipe(spec, hardware.this())
    from firstpass.engine.transformers import TransformersRecipe

    return TransformersRecipe(spec, hardware.this())


def clean_environment(**further: str) -> dict[str, str]:
    """The part of this process's environment that an engine may see, and what every engine gets."""
    passed = {key: value for key, value in os.environ.items() if key in PASSED or key.startswith(PASSED_PREFIXES)}
    return passed | QUIET | further


def thread_count(spec: EngineSpec) -> int:
    """As many as the process may run on at once, which a container or taskset makes fewer than the machine has.

    One for a small model, which gains nothing from a second. 100 tokens of the bundled model (16 MB) on 2 cores took
    vLLM 0.32 0.26 s with two threads and 0.27 s with one; beside a busy neighbour 0.41 s with two (1.27 s where they
    wait passively) and 0.26 s with one.
    """
    if spec.threads:
        return spec.threads
    if spec.model_dir and 0 < weight_bytes(spec.model_dir) <= SMALL_WEIGHTS_BYTES:
        return 1
    return most_threads(spec)


def most_threads(spec: EngineSpec) -> int:
    """That run at once on the CPUs that it may use."""
    return min(len(spec.cpus) or hardware.cores(), hardware.cores())


def weight_bytes(model_dir: Path) -> int:
    return sum(path.stat().st_size for path in model_dir.glob("*.safetensors"))
