"""How a Firstpass server says that it made an answer: its `firstpass` object, or a header. Others say nothing of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROUTE = "x-firstpass-route"
"""Of a plain answer, which is the model's own and has no object: who wrote it."""

STRONG = "strong"


@dataclass(frozen=True, slots=True)
class Made:
    """escalated: a verifier was asked. None is what is not said.

    accepted: the checks found nothing against it. draft_first_seconds: until the first draft's first token.
    checks_seconds: of code alone. tokens_in, tokens_out: of its verifiers.
    """

    escalated: bool
    accepted: bool | None = None
    draft_first_seconds: float | None = None
    checks_seconds: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0


def of_headers(headers: Mapping[str, str]) -> Made | None:
    route = headers.get(ROUTE)
    return None if route is None else Made(route == STRONG)


def of_object(told: object) -> Made | None:
    """None where it is no such object: a server may say anything."""
    try:
        return _made(told) if told is not None else None
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _made(told: Any) -> Made:
    steps, asked = told["steps"], [step for step in told["steps"] if step["tier"] == "verifier"]
    firsts = [_counted(step.get("first_token_seconds")) for step in steps if step["tier"] == "draft"]
    checks = [seconds for step in steps if (seconds := _counted(step.get("checks_seconds"))) is not None]
    usages = [step["usage"] for step in asked if step["usage"]]
    return Made(
        bool(asked),
        not any(finding["severity"] == "fail" for finding in told["findings"]) if told["contract"] else None,
        firsts[0] if firsts else None,
        sum(checks) if checks else None,
        sum(int(_counted(usage["prompt_tokens"]) or 0) for usage in usages),
        sum(int(_counted(usage["completion_tokens"]) or 0) for usage in usages),
    )


def _counted(value: Any) -> float | None:
    """Raises: TypeError, ValueError, OverflowError for what is no number from 0 up."""
    if value is None:
        return None
    if not 0 <= value < math.inf:
        raise ValueError("no number from 0 up")
    return float(value)
