"""How `transformers serve` is run, where vLLM can't be installed. Imports no transformers.

Read in the source of transformers 5.19; it gives no log-probabilities, and has no option for the longest context. It
would listen on TCP: on_socket.py gives it a Unix socket in place of that.
"""

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from firstpass.engine import on_socket
from firstpass.engine.arguments import value_of
from firstpass.engine.cache_size import DTYPE_BYTES, cache_size, loaded_bytes, read_config, stored_bytes, tell_cut
from firstpass.engine.recipe import Command, clean_environment, thread_count
from firstpass.engine.spec import Endpoint, EngineSpec, Need
from firstpass.hardware import Machine

BLOCK_TOKENS = 256
"""Its default page."""

BATCH_TOKENS = 2048

RUNTIME_BYTES = 900_000_000
"""What its process takes beside weights and cache."""


LEAVES_OUT = frozenset(
    (
        *("response_format", "tool_choice", "parallel_tool_calls", "n", "stop", "logit_bias"),
        *("presence_penalty", "frequency_penalty"),
    )
)
"""Fields of a chat that its server takes and does nothing with, at least where it generates in batches."""


class TransformersRecipe:
    """`transformers serve` on a Unix socket."""

    ready_path = "/health"
    expects_logprobs = False
    stages: Mapping[str, str] = {"Loading weights": "loading weights"}

    def __init__(self, spec: EngineSpec, machine: Machine) -> None:
        """Raises: BadSettings for a model without a readable config.json or larger than the memory."""
        self._spec = spec
        self._on_gpu = machine.gpu and not runs_on_cpu()
        self._cache = cache_size(spec, machine, number_bytes(spec), on_gpu=self._on_gpu)
        tell_cut(spec, self._cache)

    @property
    def need(self) -> Need:
        weights = loaded_bytes(self._spec, read_config(self._spec), number_bytes(self._spec))
        return Need(weights + self._cache.bytes + RUNTIME_BYTES, self._cache.bytes, self._on_gpu)

    def command(self, scratch: Path) -> Command:
        spec = self._spec
        endpoint = Endpoint("http://engine/v1", scratch / "api.sock", str(spec.model_dir))
        argv = (sys.executable, "-P", on_socket.__file__, str(endpoint.uds), "serve", str(spec.model_dir))
        listen = ("--continuous-batching", "--host", on_socket.NO_HOST)
        cache = (
            "--cb-num-blocks",
            str(self._cache.bytes // (self._cache.token_bytes * BLOCK_TOKENS)),
            "--cb-max-batch-tokens",
            str(BATCH_TOKENS),
        )
        environment = clean_environment(OMP_NUM_THREADS=str(thread_count(spec)), TMPDIR=str(scratch))
        return Command((*argv, *listen, *cache, *spec.extra_args), environment, endpoint)


def number_bytes(spec: EngineSpec) -> int:
    """It loads weights in the type that config.json says, unless it is told another."""
    return DTYPE_BYTES.get(value_of("--dtype", spec.extra_args) or "") or stored_bytes(read_config(spec))


def runs_on_cpu() -> bool:
    """Which PyTorch is installed: its CPU build has a version of its own."""
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False
