"""One engine by itself: how soon it answers, and how fast it goes on. Starts it, asks it, ends it."""

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from firstpass.bench.load.engines import Starts
from firstpass.bench.load.engines import running as started
from firstpass.bench.load.request import Target, Timed, ask, session
from firstpass.bench.load.run import ANSWER_SECONDS, prompt
from firstpass.engine import EngineSpec
from firstpass.errors import TierFailed

ASKED, TOKENS, FEW_WORDS = 5, 48, 20


@dataclass(frozen=True, slots=True)
class Took:
    """The medians of a few answers, one at a time. prompt_tokens: of the long prompts, which the first token was waited
    for. short_tokens: of the others, after which the time between two tokens was taken.
    """

    prompt_tokens: int
    first_seconds: float
    short_tokens: int
    token_seconds: float


@dataclass(slots=True)
class Asking:
    """An engine that is ready. asked: so many prompts until now, no two alike."""

    session: aiohttp.ClientSession
    target: Target
    asked: int = 0

    async def ask(self, words: int) -> Timed:
        """Made-up words. Raises: TierFailed."""
        self.asked += 1
        return await self.say(prompt(f"{self.target.name} {self.asked}", "plan", words))

    async def say(self, text: str) -> Timed:
        """Has TOKENS tokens answered, the likeliest ones. Raises: TierFailed."""
        fields = {"max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
        body = self.target.body({"messages": [{"role": "user", "content": text}], **fields})
        timed = await ask(self.session, self.target, body, time.perf_counter())
        if timed.error is not None:
            raise TierFailed(f"the engine {self.target.name} answered: {timed.error}", part="draft")
        return timed


@asynccontextmanager
async def running(spec: EngineSpec) -> AsyncIterator[Asking]:
    """Started and warm, and ended afterwards whatever happens. Raises: BadSettings, TierFailed, TierUnavailable."""
    async with started([Starts(spec.name, spec)], lambda _: None) as found:
        target = found.targets[0]
        async with session(target, ANSWER_SECONDS) as asking:
            ready = Asking(asking, target)
            await ready.ask(FEW_WORDS)
            yield ready


async def took(asking: Asking, prompt_tokens: int) -> Took:
    """prompt_tokens: about so many. Raises: TierFailed."""
    short = [await asking.ask(FEW_WORDS) for _ in range(ASKED)]
    each = statistics.median(one.tokens_in for one in short) / FEW_WORDS
    long = [await asking.ask(max(1, round(prompt_tokens / each))) for _ in range(ASKED)]
    gaps = [gap for one in short for gap in one.gaps()]
    if not gaps:
        raise TierFailed("the engine's answers came in one piece: nothing can be timed", part="draft")
    return Took(
        round(statistics.median(one.tokens_in for one in long)),
        statistics.median(one.heard[0] - one.intended for one in long),
        round(statistics.median(one.tokens_in for one in short)),
        statistics.median(gaps),
    )
