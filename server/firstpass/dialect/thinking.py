"""What a contract asks of a model that thinks before it answers. Knows no wire format.

Such models (Claude since Opus 4.7, OpenAI's reasoning models) count thoughts by the limit of an answer, and refuse a
temperature and log-probabilities.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from firstpass.exchange import Ask

THOUGHT_TOKENS = 8192
"""Room beside an answer whose limit whoever set it took to be the answer's alone."""

BY_TOKENS = ((0, "none"), (2048, "low"), (8192, "medium"))
"""Tokens of thought at most, and the effort that comes near it. Beyond the last it is high."""


def with_effort(ask: Ask) -> Ask:
    """A limit on thoughts in the words of an API that has efforts instead."""
    tokens = ask.sampling.thinking_tokens
    if tokens is None or ask.sampling.reasoning_effort is not None:
        return ask
    effort = next((name for most, name in BY_TOKENS if tokens <= most), "high")
    return replace(ask, sampling=replace(ask.sampling, reasoning_effort=effort))


SCALE = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
COMMON = ("low", "medium", "high")
"""What gpt-oss knows, and all others that know any."""

UNKNOWN_EFFORT = re.compile(
    r"effort.{0,80}(?:support|must be|should be|one of|invalid|allowed)"
    r"|(?:support|invalid|must be|one of).{0,80}effort",
    re.DOTALL,
)


def efforts_in(message: str, field: str | None) -> Sequence[str]:
    """Those that an endpoint knows, by its words for one that it does not; none where they are about something else.

    field: at fault; some name it there alone (anomalyco/opencode#4451). The one that was asked for may be among them.
    """
    lowered = message.lower()
    if UNKNOWN_EFFORT.search(lowered if field is None else f"{field} {lowered}") is None:
        return ()
    said = re.split(r"supported values|should be|must be|one of|allowed|supports", lowered, maxsplit=1)[-1]
    return [effort for effort in SCALE if re.search(rf"\b{effort}\b", said)]


def with_known_effort(ask: Ask, known: Sequence[str]) -> Ask | None:
    """With the nearest of the efforts that are said to be known but for its own; None where it has none."""
    asked = ask.sampling.reasoning_effort
    if asked not in SCALE or not known:
        return None
    others = [name for name in known if name != asked] or [name for name in COMMON if name != asked]
    effort = min(others, key=lambda name: (abs(SCALE.index(name) - SCALE.index(asked)), name == "none"))
    return replace(ask, sampling=replace(ask.sampling, reasoning_effort=effort))


def for_thinking(ask: Ask) -> Ask:
    """A contract's own limit with room for thoughts, and without what it only wishes; what the caller set stays."""
    sampling = ask.sampling
    if "max_tokens" in ask.wishes and sampling.max_tokens is not None:
        sampling = replace(sampling, max_tokens=sampling.max_tokens + THOUGHT_TOKENS)
    if "temperature" in ask.wishes:
        sampling = replace(sampling, temperature=None)
    if "logprobs" in ask.wishes:
        sampling = replace(sampling, logprobs=None, top_logprobs=None)
    return replace(ask, sampling=sampling)
