"""Arms under the same load, in blocks that take turns: a machine that is busy for a while is so for each of them.

In each round every arm has one block, in random order. Made-up prompts are as long in each arm, and no two are alike,
so that no server finds one in its cache that another did not; lines of a workload are the same in every arm. An arm
that stands twice (A/A) shows what the method makes up.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from firstpass import hardware
from firstpass.bench.load.arrivals import Pace, offsets
from firstpass.bench.load.request import Target, Timed, ask, lags, session
from firstpass.bench.load.workload import Workload, begun, limited

ANSWER_SECONDS = 600.0
BEGIN_SECONDS = 0.05
"""Until the first request of a block is due."""

QUIET_SECONDS = 0.3
"""Before a run and after it, without a request, to see what others use."""

One = Callable[[int, float], Awaitable[Timed]]
"""Sends the request of that number, which was intended then."""

WARM_UP = -1
"""The round before the first one."""

FRESH_WORDS = 6
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "xu", "za")


@dataclass(frozen=True, slots=True)
class Load:
    """rate: requests a second, in an open loop; None: `at_once` callers who ask again as soon as they were answered.

    words: of a made-up prompt. tokens: of an answer, at most, where a line does not say. requests: of a block.
    workload: lines in the place of made-up words; where they have times, those are kept, `speed` times as fast. fresh:
    each of their prompts has a first line of its own. fields: of every request beside those.
    """

    requests: int
    rounds: int
    words: int
    tokens: int
    rate: float | None = None
    pace: Pace = "poisson"
    at_once: int = 1
    warm_up: int = 1
    workload: Workload | None = None
    speed: float = 1.0
    fresh: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replayed(self) -> bool:
        return self.workload is not None and self.workload.timed

    @property
    def is_open(self) -> bool:
        """Whether requests are sent whatever was answered."""
        return self.rate is not None or self.replayed

    @property
    def told(self) -> Mapping[str, Any]:
        """As plain data: of a workload its name, its digest and how many lines it has."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        if self.workload is not None:
            plain["workload"] = f"{self.workload.name} {self.workload.digest} ({len(self.workload.lines)} lines)"
        return plain


@dataclass(slots=True)
class Block:
    """One arm's requests in one round. seconds: from its beginning until its last answer was there.

    client_cores: that this client used meanwhile.
    """

    arm: str
    round: int
    requests: list[Timed]
    seconds: float
    client_cores: float = 0.0


@dataclass(slots=True)
class Ran:
    """salt: of this run's prompts, so that no server has them in a cache of an earlier one; lengths are the seed's.
    warm: the first requests of each arm, which count for nothing else. lags: of the client's event loop, in seconds.

    client_cores: that this client used. other_cores: that everybody else on its machine used, and only before and
    after where an arm is on that machine, for it is one of them meanwhile; None where that is not known.
    cut_short: there are fewer rounds than were wanted, all of them whole.
    """

    targets: Sequence[Target]
    load: Load
    seed: int
    salt: str = field(default_factory=lambda: token_hex(4))
    warm: list[Block] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    client_cores: float = 0.0
    other_cores: float | None = None
    cut_short: bool = False

    def of(self, arm: str) -> Iterator[Block]:
        return (block for block in self.blocks if block.arm == arm)


async def run(targets: Sequence[Target], load: Load, seed: int, advance: Callable[[], None]) -> Ran:
    """advance: is called for every request that has ended.

    Raises: CancelledError where it is cancelled before a round is whole; later it returns those that are.
    """
    ran, order = Ran(targets, load, seed), random.Random(seed)
    here = any(map(is_here, targets))
    before = await _used_by_others(asyncio.sleep(QUIET_SECONDS if here else 0))
    meanwhile = await _used_by_others(_whole(ran, order, advance))
    ran.other_cores = meanwhile
    if here:
        after = await _used_by_others(asyncio.sleep(QUIET_SECONDS))
        ran.other_cores = None if before is None or after is None else (before + after) / 2
    return ran


async def _whole(ran: Ran, order: random.Random, advance: Callable[[], None]) -> None:
    """All rounds, or those that were whole when it was cancelled."""
    try:
        await _rounds(ran, order, advance)
    except asyncio.CancelledError:
        whole = len(ran.blocks) // len(ran.targets) * len(ran.targets)
        if not whole:
            raise
        ran.cut_short, ran.blocks = True, ran.blocks[:whole]


async def _rounds(ran: Ran, order: random.Random, advance: Callable[[], None]) -> None:
    load, targets = ran.load, list(ran.targets)
    began, own = time.perf_counter(), time.process_time()
    try:
        async with AsyncExitStack() as stack:
            asking = {one.name: await stack.enter_async_context(session(one, ANSWER_SECONDS)) for one in targets}
            for target in targets:
                ran.warm.append(await _block(ran, asking[target.name], target, warming(load), WARM_UP, advance))
            ran.lags.clear()
            for number in range(load.rounds):
                for target in order.sample(targets, len(targets)):
                    ran.blocks.append(await _block(ran, asking[target.name], target, load, number, advance))
    finally:
        ran.client_cores = (time.process_time() - own) / (time.perf_counter() - began)


def is_here(target: Target) -> bool:
    """Whether it is on this machine, as far as its URL says."""
    if target.uds is not None:
        return True
    host = urlsplit(target.url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


async def _used_by_others(what: Awaitable[None]) -> float | None:
    """Cores that all others used during it."""
    others = hardware.Others()
    await what
    return others.cores()


async def _block(
    ran: Ran,
    asking: aiohttp.ClientSession,
    target: Target,
    load: Load,
    number: int,
    advance: Callable[[], None],
) -> Block:
    seed = f"{ran.seed} {number}"
    bodies = [target.body(one) for one in asked(load, seed, number, f"{target.name} {ran.salt}")]
    began = time.perf_counter() + BEGIN_SECONDS

    async def one(at: int, intended: float) -> Timed:
        timed = await ask(asking, target, bodies[at], intended)
        advance()
        return timed

    looking, used = asyncio.create_task(lags(ran.lags)), time.process_time()
    try:
        if load.is_open:
            due = [began + offset for offset in arrivals(load, seed, number)]
            found = await asyncio.gather(*(_at(when, at, one) for at, when in enumerate(due)))
        else:
            found = await _closed(load, one)
            began = min(timed.intended for timed in found)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    seconds, used = max(timed.ended for timed in found) - began, time.process_time() - used
    return Block(target.name, number, list(found), seconds, used / seconds)


def asked(load: Load, seed: str, number: int, whose: str) -> Iterator[Mapping[str, Any]]:
    """Of each request of a block the fields, but those that an arm sets. number: of the round.

    Those of a workload go on where the round before ended.
    """
    if load.workload is None:
        for at in range(load.requests):
            said = prompt(f"{seed} {at}", whose, load.words)
            yield {"messages": [{"role": "user", "content": said}], "max_tokens": load.tokens, **load.fields}
        return
    for at, body in enumerate(load.workload.block(number * load.requests, load.requests)):
        body = begun(body, prompt(f"{seed} {at}", whose, FRESH_WORDS)) if load.fresh else body
        yield {**limited(body, load.tokens), **load.fields}


def arrivals(load: Load, seed: str, number: int) -> list[float]:
    """Of an open loop, seconds from a block's beginning."""
    if load.workload is not None and load.workload.timed:
        return load.workload.offsets(number * load.requests, load.requests, load.speed)
    assert load.rate is not None, "an open loop has a rate, or a workload with times"
    return offsets(load.pace, load.rate, load.requests, seed)


def warming(load: Load) -> Load:
    """As the load itself, so that what is warm then is what it needs: each caller asks at least once."""
    return replace(load, requests=max(load.warm_up, 0 if load.is_open else load.at_once))


async def _at(when: float, at: int, one: One) -> Timed:
    await asyncio.sleep(max(0.0, when - time.perf_counter()))
    return await one(at, when)


async def _closed(load: Load, one: One) -> list[Timed]:
    left, found = iter(range(load.requests)), list[Timed]()

    async def caller() -> None:
        for at in left:
            found.append(await one(at, time.perf_counter()))

    await asyncio.gather(*(caller() for _ in range(load.at_once)))
    return found


def prompt(seed: str, whose: str, words: int) -> str:
    """Made-up words, as long whosever they are, and none the beginning of another's."""
    own, shared = random.Random(f"{seed} {whose}"), random.Random(seed)
    lengths = [shared.randint(1, 4) for _ in range(words)]
    return " ".join("".join(own.choices(SYLLABLES, k=length)) for length in lengths)
