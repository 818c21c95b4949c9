"""vLLM's sleep mode: at which level, what is asked, what its log says of it. Knows no process, no state and no fleet.

Written from the source of vLLM 0.32.0 and not run on a GPU yet: entrypoints/serve/dev/{sleep,rpc}/api_router.py,
v1/engine/core.py (sleep, wake_up), v1/worker/gpu_worker.py (sleep), device_allocator/sleep_mode_backend.py.
"""

import os
import re
import stat
from pathlib import Path

from firstpass import hardware
from firstpass.client import OK
from firstpass.engine import probe
from firstpass.engine.recipe import weight_bytes
from firstpass.engine.spec import Asleep, Endpoint, EngineSpec, SleepLevel
from firstpass.errors import BadSettings, TierFailed

FREED = re.compile(r"Sleep mode freed ([0-9.]+) GiB memory")
"""Of one GPU, said by the worker that uses it."""

RELOAD = b'{"method": "reload_weights"}'

DRAFTS = ("--spec", "-sc")
"""vLLM reads the weights of the model again, and not those of one that drafts inside it (gpu_model_runner.py)."""


class Sleeper:
    """Puts one run of an engine to sleep, and wakes it."""

    def __init__(self, spec: EngineSpec, endpoint: Endpoint, log_path: Path) -> None:
        self._spec = spec
        self._endpoint = endpoint
        self._log_path = log_path

    async def sleep(self, seconds: float) -> Asleep:
        """What is still being answered breaks off. Raises: TierFailed, Broken."""
        weights = weight_bytes(self._spec.model_dir) if self._spec.model_dir else 0
        drafts = any(argument.replace("_", "-").startswith(DRAFTS) for argument in self._spec.extra_args)
        level = level_for(weights, hardware.spare_bytes(), reloads=not drafts)
        logged_bytes = self._log_path.stat().st_size
        await self._post(f"/sleep?level={level}&mode=abort", seconds)
        freed = freed_bytes(self._logged(logged_bytes))
        return Asleep(level, freed, weights if level == 1 else 0)

    async def wake(self, level: SleepLevel, seconds: float) -> None:
        """The weights come before the cache, so that what is read again finds the room. Raises: TierFailed, Broken."""
        if level == 1:
            status = await self._post("/wake_up", seconds)
        else:
            await self._post("/wake_up?tags=weights", seconds)
            await self._post("/collective_rpc", seconds, RELOAD)
            status = await self._post("/wake_up?tags=kv_cache", seconds)
        if b'"awake"' not in status:
            raise TierFailed(f"the engine was woken and said {status[:100]!r}", part="draft")

    async def _post(self, path: str, seconds: float, body: bytes = b"") -> bytes:
        status, answer = await probe.asked(self._endpoint, seconds, path, body)
        if status != OK:
            raise probe.refusal(status, answer)
        return answer

    def _logged(self, after_bytes: int) -> str:
        with self._log_path.open("rb") as log:
            log.seek(after_bytes)
            return log.read().decode(errors="replace")


def level_for(weights: int, spare: int, *, reloads: bool) -> SleepLevel:
    """The first keeps the weights in the main memory, the second reads them again. weights, spare: bytes.

    reloads: whether vLLM can read all of them again. Raises: TierFailed where neither will do.
    """
    if weights <= spare:
        return 1
    if not reloads:
        raise TierFailed("its weights have no room in the main memory, and not all can be read again", part="draft")
    return 2


def freed_bytes(log: str) -> int:
    """Of each GPU at least. Raises: TierFailed where the log does not say: what is not known to be free is not."""
    freed = [float(gibibytes) for gibibytes in FREED.findall(log)]
    if not freed or min(freed) <= 0:
        raise TierFailed("it did not say that it freed memory", part="draft")
    return int(min(freed) * 2**30)


def check(spec: EngineSpec, *, on_gpu: bool) -> None:
    """Raises: BadSettings for an engine that can not sleep."""
    if spec.kind != "vllm":
        raise BadSettings(f"engine.sleeps: only vLLM sleeps, and this engine is of kind {spec.kind}")
    if not on_gpu:
        raise BadSettings(
            "engine.sleeps: vLLM sleeps only on a GPU, and there is none for it; without it an engine is ended instead"
        )
    for argument in spec.extra_args:
        if argument.replace("_", "-").startswith("--no-enable-sl"):
            raise BadSettings(f"engine.sleeps: {argument} among engine.extra_args says the opposite")


def check_private(endpoint: Endpoint, scratch: Path) -> None:
    """With the routes for sleep vLLM opens others, that call what they are told. Raises: TierFailed if others reach it.

    scratch: the engine's own directory.
    """
    held = scratch.stat()
    private = held.st_uid == os.getuid() and not stat.S_IMODE(held.st_mode) & 0o077
    if endpoint.uds is None or endpoint.uds.parent != scratch or not private:
        raise TierFailed("engine.sleeps: the engine would not listen on a private socket alone", part="draft")
