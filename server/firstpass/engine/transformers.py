"""How `transformers serve` is run, where vLLM can't be installed. Imports no transformers.

Read in the source of transformers 5.19. It listens on TCP only, on loopback, so other users
of this machine can reach it; it gives no log-probabilities.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from firstpass.engine.cache_size import cache_blocks
from firstpass.engine.recipe import Command, clean_environment, free_port, thread_count
from firstpass.engine.spec import Endpoint, EngineSpec

MAIN = "from transformers.cli.transformers import main; main()"
"""Its console script may be missing from PATH; the interpreter that runs the front has the package."""

BLOCK_TOKENS = 256
"""Its default page."""

BATCH_TOKENS = 2048


class TransformersRecipe:
    """`transformers serve` on a loopback port."""

    ready_path = "/health"
    expects_logprobs = False
    stages: Mapping[str, str] = {"Loading weights": "loading weights"}

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec

    def command(self, scratch: Path) -> Command:
        spec, port = self._spec, free_port()
        argv = (sys.executable, "-c", MAIN, "serve", str(spec.model_dir), "--continuous-batching")
        listen = ("--host", "127.0.0.1", "--port", str(port))
        cache = ("--cb-num-blocks", str(cache_blocks(spec, BLOCK_TOKENS)), "--cb-max-batch-tokens", str(BATCH_TOKENS))
        environment = clean_environment(OMP_NUM_THREADS=str(thread_count(spec)), TMPDIR=str(scratch))
        endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", None, str(spec.model_dir))
        return Command((*argv, *cache, *listen, *spec.extra_args), environment, endpoint)
