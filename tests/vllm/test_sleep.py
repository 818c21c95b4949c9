"""A real vLLM that sleeps. On a GPU, at both levels, it says the same after it as before: that has not been run yet.

On a CPU it only goes through the motions, which shows that its routes are as they are asked here.
"""

import asyncio
import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstpass import catalogue, engine, hardware
from firstpass.client import OK
from firstpass.engine import Endpoint, EngineSpec, probe
from firstpass.engine.child import GuardedLauncher
from firstpass.engine.recipe import Command
from firstpass.engine.spec import SleepLevel
from firstpass.engine.vllm import VllmRecipe, runs_on_cpu
from firstpass.errors import TierFailed

pytestmark = pytest.mark.vllm
ON_GPU = not runs_on_cpu() and hardware.this().gpu

SHARE = 0.5
ANSWER_SECONDS = 60.0
CLOSE_NATS = 0.05
"""Batches and caches are others after a wake, and so are the last digits."""


def used_bytes() -> int:
    """Of the GPU that is used most."""
    query = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    return int(max(map(float, said.split())) * 2**20)


async def tokens(endpoint: Endpoint) -> list[dict[str, Any]]:
    """What it says, without chance, each token with its log-probability."""
    asked = {"model": endpoint.model, "messages": [{"role": "user", "content": "Say something long."}]}
    body = json.dumps(asked | {"max_tokens": 24, "temperature": 0, "logprobs": True}).encode()
    status, answer = await probe.asked(endpoint, ANSWER_SECONDS, "chat/completions", body)
    assert status == OK, answer
    return list(json.loads(answer)["choices"][0]["logprobs"]["content"])


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="vLLM sleeps on a GPU alone")
@pytest.mark.parametrize(("level", "spare"), [(1, 2**40), (2, 0)])
async def test_it_gives_its_memory_back_and_says_the_same_once_it_is_woken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: SleepLevel, spare: int
) -> None:
    monkeypatch.setattr("firstpass.hardware.spare_bytes", lambda: spare)
    model = catalogue.find("firstpass-draft-10m", None)
    arguments = ("--gpu-memory-utilization", str(SHARE), "--enforce-eager")
    spec = EngineSpec("small", "vllm", tmp_path, model.directory, sleeps=True, extra_args=arguments)
    sleeper = engine.build(spec)
    try:
        endpoint = await sleeper.ensure_ready()
        before, awake = await tokens(endpoint), used_bytes()
        for _ in range(2):
            await sleeper.unload()
            assert sleeper.state == "sleeping" and sleeper.asleep is not None and sleeper.asleep.level == level
            freed = awake - used_bytes()
            assert freed > 0.8 * SHARE * hardware.gpu_bytes() / hardware.GPU_SHARE
            assert math.isclose(sleeper.asleep.freed_bytes, freed, rel_tol=0.1)
            assert await sleeper.ensure_ready() == endpoint, "it is the same process"
            after = await tokens(endpoint)
            assert [one["token"] for one in after] == [one["token"] for one in before]
            for one, other in zip(after, before, strict=True):
                assert math.isclose(one["logprob"], other["logprob"], abs_tol=CLOSE_NATS)
    finally:
        await sleeper.close()
    assert used_bytes() < awake - 0.8 * SHARE * hardware.gpu_bytes() / hardware.GPU_SHARE


class InMotionOnly(VllmRecipe):
    """On a CPU, with the routes for sleep and without the mode, which vLLM refuses there."""

    def command(self, scratch: Path) -> Command:
        made = super().command(scratch)
        return replace(made, argv=tuple(argument for argument in made.argv if argument != "--enable-sleep-mode"))


@pytest.mark.skipif(ON_GPU, reason="there it is asked for good")
async def test_its_routes_are_as_they_are_asked_and_a_model_that_is_not_what_it_was_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM 0.32 reads the bundled model's weights again on a CPU, without an error, and writes nonsense afterwards."""
    monkeypatch.setattr("firstpass.hardware.spare_bytes", lambda: 0)
    model = catalogue.find("firstpass-draft-10m")
    spec = EngineSpec("small", "vllm", tmp_path, model.directory, context_tokens=2048, sleeps=True)
    child = await GuardedLauncher(spec, InMotionOnly(spec, hardware.this())).launch()
    try:
        while not await child.is_up():
            assert child.exit_status is None, child.last_lines()
            await asyncio.sleep(0.3)
        warmed, before = await child.warm_up(ANSWER_SECONDS), await tokens(child.endpoint)
        again = await child.warm_up(ANSWER_SECONDS)
        assert len(warmed.likeliest) == probe.TOP_LOGPROBS and again.says_the_same(warmed)
        with pytest.raises(TierFailed, match="did not say that it freed memory"):
            await child.sleep(ANSWER_SECONDS)
        assert await probe.asked(child.endpoint, ANSWER_SECONDS, "/is_sleeping") == (OK, b'{"is_sleeping":true}')
        await child.wake(1, ANSWER_SECONDS)
        assert (await child.warm_up(ANSWER_SECONDS)).says_the_same(warmed)
        with pytest.raises(TierFailed, match="did not say"):
            await child.sleep(ANSWER_SECONDS)
        await child.wake(2, ANSWER_SECONDS)
        after = await child.warm_up(ANSWER_SECONDS)
        same = [one["token"] for one in await tokens(child.endpoint)] == [one["token"] for one in before]
        assert after.says_the_same(warmed) is same
    finally:
        await child.stop()
