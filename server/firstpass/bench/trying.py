"""One engine by itself: how soon it answers, and how fast it goes on. Starts it, asks it, ends it."""

import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from firstpass.bench.load.request import Target, Timed, ask
from firstpass.bench.load.run import ANSWER_SECONDS, prompt
from firstpass.engine import Engine, EngineSpec, build
from firstpass.errors import TierFailed

ASKED, TOKENS, FEW_WORDS = 5, 48, 20


@dataclass(frozen=True, slots=True)
class Took:
    """The medians of a few answers, one at a time. prompt_tokens: of the long prompts, which the first token was waited
    for. short_tokens: of the others, after which tokens were counted.
    """

    prompt_tokens: int
    first_seconds: float
    short_tokens: int
    token_seconds: float


class Whole(Target):
    """Answers as many tokens as it may, the likeliest ones."""

    def body(self, prompt: str, tokens: int) -> Mapping[str, Any]:
        return {**super().body(prompt, tokens), "temperature": 0, "ignore_eos": True}


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
        """Raises: TierFailed."""
        timed = await ask(self.session, self.target, text, TOKENS, time.perf_counter())
        if timed.error is not None:
            raise TierFailed(f"the engine {self.target.name} answered: {timed.error}", part="draft")
        return timed


@asynccontextmanager
async def running(spec: EngineSpec) -> AsyncIterator[Asking]:
    """Started and warm, and ended afterwards whatever happens. Raises: BadSettings, TierFailed, TierUnavailable."""
    engine = build(spec)
    try:
        async with _session(engine) as asking:
            await asking.ask(FEW_WORDS)
            yield asking
    finally:
        await engine.close()


@asynccontextmanager
async def _session(engine: Engine) -> AsyncIterator[Asking]:
    endpoint = await engine.ensure_ready()
    url = endpoint.base_url.removesuffix("/v1")
    connector = aiohttp.UnixConnector(str(endpoint.uds)) if endpoint.uds else None
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**20) as session:
        yield Asking(session, Whole(engine.name, url, endpoint.model))


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
