"""What a contract asks of a model that thinks before it answers. Knows no wire format.

Such models (Claude since Opus 4.7, OpenAI's reasoning models) count thoughts by the limit of an answer, and refuse a
temperature and log-probabilities.
"""

from dataclasses import replace

from firstpass.exchange import Ask

THOUGHT_TOKENS = 8192
"""Room beside an answer whose limit whoever set it took to be the answer's alone."""


EFFORTS = ((0, "none"), (2048, "low"), (8192, "medium"))
"""Tokens of thought at most, and the effort that comes near it. Beyond the last it is high."""


def with_effort(ask: Ask) -> Ask:
    """A limit on thoughts in the words of an API that has efforts instead."""
    tokens = ask.sampling.thinking_tokens
    if tokens is None or ask.sampling.reasoning_effort is not None:
        return ask
    effort = next((name for most, name in EFFORTS if tokens <= most), "high")
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
