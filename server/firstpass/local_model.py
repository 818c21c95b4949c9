"""One model on this machine with all that is known of it: its engine, the door to it, its template, its grammars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firstpass import engine
from firstpass.engine import Asleep, Endpoint, Engine, EngineSpec, Progress, grammars, llama_cpp, transformers
from firstpass.engine.grammars import Grammars
from firstpass.tier import Tier
from firstpass.tier.compiled import CompiledTier
from firstpass.tier.http import ReplyBounds
from firstpass.tier.local import LocalDoor
from firstpass.tier.openai_http import OpenAITier
from firstpass.tier.template import Template
from firstpass.tier.tokens import TokenCounter


@dataclass(frozen=True, slots=True)
class Wanted:
    """constrains: whether the engine can be held to a pattern. silent_seconds: how long a reply may say nothing.

    counts: prompts that are counted at once.
    """

    constrains: bool
    silent_seconds: float
    bounds: ReplyBounds
    counts: int


class LocalModel:
    def __init__(
        self, spec: EngineSpec, wanted: Wanted, progress: Progress, onward: Callable[[], Mapping[str, str]]
    ) -> None:
        """progress: hears its starts. onward: further headers of each request. Raises: BadSettings."""
        self.spec = spec
        self.wanted = wanted
        self.engine: Engine = engine.build(spec, progress)
        self.grammars: Grammars | None = grammars.for_engine(spec)
        self.door = LocalDoor(
            self.engine,
            wanted.silent_seconds,
            vllm=wanted.constrains and spec.kind != "llama.cpp",
            thinks=any(argument.startswith("--reasoning-parser") for argument in spec.extra_args),
            leaves_out=left_out(spec),
            llama=spec.kind == "llama.cpp",
            onward=onward,
        )
        template = Template(self.door)
        self.counter = TokenCounter(self.door, template, wanted.counts)
        asked: Tier = OpenAITier("draft", self.door, wanted.bounds, template=template)
        self.tier: Tier = CompiledTier(asked, self.grammars) if self.grammars else asked

    async def ensure_ready(self) -> Endpoint:
        """See `Engine.ensure_ready`."""
        return await self.engine.ensure_ready()

    async def memory_bytes(self) -> int | None:
        """See `Engine.memory_bytes`."""
        return await self.engine.memory_bytes()

    @property
    def asleep(self) -> Asleep | None:
        """See `Engine.asleep`."""
        return self.engine.asleep

    async def unload(self) -> None:
        """See `Engine.unload`. What compiles for it goes with it."""
        if self.grammars:
            await self.grammars.close()
        await self.engine.unload()

    async def close(self) -> None:
        """For good. May be called twice."""
        await self.door.aclose()
        await self.engine.close()
        if self.grammars:
            await self.grammars.close()


def left_out(spec: EngineSpec) -> frozenset[str]:
    """Fields of `Sampling` that the engine takes and does nothing with. Raises: BadSettings."""
    if spec.kind == "llama.cpp":
        return llama_cpp.leaves_out(spec)
    return transformers.LEAVES_OUT if spec.kind == "transformers" else frozenset()
