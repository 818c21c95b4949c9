"""Each case through each arm of a running server, in random order. Knows no label's meaning and no figure."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from firstpass.bench.cases import Case
from firstpass.bench.score import Score, score_of
from firstpass.contract.form import Form

REQUEST_SECONDS = 600.0
NONSENSE = (ValueError, KeyError, IndexError, TypeError)
"""What reading a body raises that is not of the promised shape."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to have a change described: a name for it, and the model or route that the server is asked for."""

    name: str
    model: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request. seconds: as the client saw it. Tokens: as the tiers counted them, the verifier's apart.

    error: what the server said instead of an answer; then the score is an empty answer's.
    checked: whether the answer passed the server's own checks. signals: of the first draft, where they are recorded.
    """

    arm: str
    case: int
    seconds: float
    score: Score
    text: str = ""
    route: str | None = None
    escalated: bool = False
    verifier_tokens_in: int = 0
    verifier_tokens_out: int = 0
    draft_tokens_in: int = 0
    draft_tokens_out: int = 0
    models: tuple[str, ...] = ()
    exchange: str | None = None
    error: str | None = None
    checked: bool = False
    signals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all requests of a run share. contract: pinned; form: of its answers; options: of the `firstpass` object."""

    client: httpx.AsyncClient
    contract: str
    form: Form
    options: dict[str, Any]
    metadata: dict[str, str]

    async def ask(self, arm: Arm, number: int, case: Case) -> Outcome:
        """What became of it; also where there is no server, or none that speaks as ours does."""
        body = {
            "model": arm.model,
            "messages": [{"role": "user", "content": case.diff}],
            "metadata": self.metadata,
            "firstpass": {"contract": self.contract} | self.options,
        }
        started = time.perf_counter()
        try:
            response = await self.client.post("/v1/chat/completions", json=body, timeout=REQUEST_SECONDS)
            seconds = time.perf_counter() - started
            if response.is_success:
                return _outcome(arm, number, seconds, response.json(), lambda text: score_of(case, text, self.form))
            error = said(response)
        except httpx.HTTPError as broken:
            error = f"the connection broke: {type(broken).__name__}"
        except NONSENSE:
            error = f"{response.status_code} with a body that is no answer of Firstpass"
        return Outcome(arm.name, number, time.perf_counter() - started, score_of(case, "", self.form), error=error)


def said(response: httpx.Response) -> str:
    """The status of a failure and what is said of it, on one line."""
    try:
        words = str(response.json()["error"]["message"])
    except NONSENSE:
        words = response.text[:200]
    return f"{response.status_code} {' '.join(words.split())}"


def _outcome(arm: Arm, number: int, seconds: float, answer: dict[str, Any], score: Callable[[str], Score]) -> Outcome:
    text, how = answer["choices"][0]["message"]["content"] or "", answer["firstpass"]
    used = {tier: _used(how["steps"], tier) for tier in ("verifier", "draft")}
    return Outcome(
        arm.name,
        number,
        seconds,
        score(text),
        text,
        how["route"],
        any(step["tier"] == "verifier" for step in how["steps"]),
        *used["verifier"],
        *used["draft"],
        models=tuple(dict.fromkeys(step["model"] for step in how["steps"] if step["model"])),
        exchange=how["exchange"],
        checked=all(finding["severity"] != "fail" for finding in how["findings"]),
        signals=how["steps"][0]["signals"],
    )


def _used(steps: Sequence[dict[str, Any]], tier: str) -> tuple[int, int]:
    usages = [step["usage"] for step in steps if step["tier"] == tier and step["usage"]]
    return sum(usage["prompt_tokens"] for usage in usages), sum(usage["completion_tokens"] for usage in usages)


async def run(
    bench: Bench,
    cases: Sequence[Case],
    arms: Sequence[Arm],
    seed: int,
    at_once: int,
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """done: hears each outcome as it comes. at_once: requests in flight."""
    left = [(arm, number) for arm in arms for number in range(len(cases))]
    random.Random(seed).shuffle(left)
    outcomes: list[Outcome] = []

    async def work() -> None:
        while left:
            arm, number = left.pop()
            outcome = await bench.ask(arm, number, cases[number])
            outcomes.append(outcome)
            done(outcome)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return outcomes
