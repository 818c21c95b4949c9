"""Arms whose engines a run starts itself, and ends whatever happens. Knows no load and no settings.

All of them stay loaded together, so that blocks can take turns; they have to fit into the memory.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from firstpass import hardware
from firstpass.bench.load.request import Api, Target
from firstpass.engine import Engine, EngineSpec, build
from firstpass.errors import BadSettings


@dataclass(frozen=True, slots=True)
class Starts:
    """An arm of this run's own. spec: of its engine."""

    name: str
    spec: EngineSpec
    api: Api = "openai"


@dataclass(frozen=True, slots=True)
class Started:
    """seconds: from the start of an arm's engine until it had answered its first request, by the arm's name."""

    targets: Sequence[Target]
    seconds: dict[str, float]


@asynccontextmanager
async def running(arms: Sequence[Target | Starts], say: Callable[[str], None]) -> AsyncIterator[Started]:
    """Every arm as something to ask, in their order. Engines are started one after the other.

    say: hears what a start is doing.
    Raises: BadSettings for what this machine can't run or hold; TierUnavailable or TierTimedOut where a start failed.
    """
    engines = {arm.name: _built(arm, say) for arm in arms if isinstance(arm, Starts)}
    _check_room(list(engines.values()))
    async with AsyncExitStack() as stack:
        targets, seconds = list[Target](), dict[str, float]()
        for arm in arms:
            if isinstance(arm, Starts):
                stack.push_async_callback(engines[arm.name].close)
                began = time.perf_counter()
                endpoint = await engines[arm.name].ensure_ready()
                seconds[arm.name] = time.perf_counter() - began
                arm = Target(arm.name, "http://engine", endpoint.model, arm.api, uds=endpoint.uds)
            targets.append(arm)
        yield Started(targets, seconds)


def _built(arm: Starts, say: Callable[[str], None]) -> Engine:
    return build(arm.spec, lambda stage, _: say(f"{arm.name}: {stage}"))


def _check_room(engines: Sequence[Engine]) -> None:
    needs = [one.need for one in engines if one.need is not None]
    for on_gpu in {need.on_gpu for need in needs} if len(needs) > 1 else ():
        wanted = sum(need.bytes for need in needs if need.on_gpu == on_gpu)
        have = hardware.gpu_bytes() if on_gpu else hardware.this().usable_bytes
        if wanted > have:
            memory = "the GPU" if on_gpu else "the machine"
            raise BadSettings(
                f"the arms' engines need {wanted / 1e9:.1f} GB of {memory}; it has {have / 1e9:.1f} for them"
            )
