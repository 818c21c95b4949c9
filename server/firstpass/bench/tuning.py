"""What makes an engine faster on this machine: each change is tried beside what is best so far, and kept if it helps.

Two engines of the model are loaded, with and without the change, and asked in turns; so whatever else the machine does
slows both. A change stays only where the interval of the ratio says that whole answers come sooner.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firstpass.bench.figures import Figure
from firstpass.bench.load.figures import ratio
from firstpass.bench.trying import Asking, running
from firstpass.engine import EngineSpec
from firstpass.engine.recipe import most_threads, thread_count
from firstpass.engine.vllm import COMPILED
from firstpass.errors import FirstpassError

ROUNDS = 12
GAIN = 0.97
"""A change that saves less than 3% is not worth another start."""

ALLOCATORS = ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")
THREADS_OF_INTEL = "libiomp5.so"
LIBRARIES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")

NGRAM = '{"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 2, "prompt_lookup_max": 4}'


@dataclass(frozen=True, slots=True)
class Change:
    """name: for people."""

    name: str
    made: Callable[[EngineSpec], EngineSpec]


@dataclass(frozen=True, slots=True)
class Tried:
    """ratio: of the time of a whole answer with the change to that without; NaN where it did not run. why: then."""

    name: str
    ratio: Figure
    kept: bool
    why: str = ""


def changes(spec: EngineSpec, prefix: Path) -> Iterator[Change]:
    """Those that are possible here. prefix: of the Python environment, where libraries may lie too."""
    most = most_threads(spec)
    for threads in sorted({1, most // 2, most} - {0, thread_count(spec)}):
        yield Change(f"threads = {threads}", lambda one, to=threads: replace(one, threads=to))  # type: ignore[misc]
    found = (_library(ALLOCATORS, prefix), _library((THREADS_OF_INTEL,), prefix))
    for library in (one for one in found if one is not None and one not in spec.preload):
        yield Change(f"preload {library.name}", lambda one, to=library: replace(one, preload=(*one.preload, to)))  # type: ignore[misc]
    if spec.kind == "vllm":
        yield Change("compiled", lambda one: replace(one, extra_args=(*one.extra_args, COMPILED)))
        speculates = ("--speculative-config", NGRAM)
        yield Change("n-gram speculation", lambda one: replace(one, extra_args=(*one.extra_args, *speculates)))


def _library(names: Sequence[str], prefix: Path) -> Path | None:
    tops = (prefix / "lib", *map(Path, LIBRARIES))
    return next(
        (
            path
            for top in tops
            for name in names
            for path in (top / name, *top.glob(f"*-linux-gnu/{name}"))
            if path.is_file()
        ),
        None,
    )


async def tuned(
    spec: EngineSpec, every: Sequence[Change], prompts: Sequence[str], tell: Callable[[Tried], None]
) -> EngineSpec:
    """With the changes that help. prompts: of the kind that it will be asked. Raises: BadSettings, TierFailed."""
    best = spec
    for change in every:
        with_it = change.made(replace(best, name=f"{spec.name}-changed"))
        try:
            found = await beside(best, with_it, prompts)
        except FirstpassError as error:
            tell(Tried(change.name, Figure(float("nan"), 0.0, float("inf")), kept=False, why=str(error)))
            continue
        helps = found.high < GAIN
        tell(Tried(change.name, found, helps))
        best = replace(with_it, name=spec.name) if helps else best
    return best


async def beside(one: EngineSpec, other: EngineSpec, prompts: Sequence[str]) -> Figure:
    """The other's time for a whole answer, in the one's. Raises: BadSettings, TierFailed, TierUnavailable."""
    order = random.Random(1)
    async with running(one) as first, running(other) as second:
        pairs = []
        for number in range(ROUNDS):
            took: dict[int, float] = {}
            for at in order.sample((0, 1), 2):
                took[at] = await _whole_seconds((first, second)[at], prompts[number % len(prompts)])
            pairs.append((took[1], took[0]))
    return ratio(pairs)


async def _whole_seconds(asking: Asking, text: str) -> float:
    return (await asking.say(text)).whole_seconds
