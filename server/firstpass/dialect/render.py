"""What answers have in common in all dialects. It decides nothing."""

import json
from dataclasses import asdict
from typing import Any

from firstpass.errors import Failure
from firstpass.exchange import Answer, Exchange, Reply, Step

DEFAULT_RETRY_SECONDS = 1
RETRIED = (408, 409, 429)
"""The official SDKs retry on these and on every 5xx, so each of them says when."""


def event(fields: dict[str, Any]) -> bytes:
    return b"data: " + dump(fields) + b"\n\n"


def named_event(name: str, /, **fields: Any) -> bytes:
    """Of an API whose events say their type twice, as theirs and in their data."""
    return f"event: {name}\ndata: ".encode() + dump({"type": name} | fields) + b"\n\n"


def error_headers(failure: Failure) -> dict[str, str]:
    if failure.status in RETRIED or failure.status >= 500:
        return {"retry-after": str(failure.retry_after_seconds or DEFAULT_RETRY_SECONDS)}
    return {"www-authenticate": "Bearer"} if failure.status == 401 else {}


def answered(exchange: Exchange) -> tuple[Step, Reply]:
    """The step whose reply the caller gets, and the reply that the answer is or was made of."""
    step, reply = exchange.answer, exchange.answer_reply
    assert step is not None and reply is not None, "only an answer is rendered"
    return step, reply


def how_made(exchange: Exchange) -> dict[str, Any]:
    """A binding answer is the model's own, and looks it; the headers say how it was made."""
    step, _ = answered(exchange)
    if step.move.binding:
        return {}
    early = any(one.streamed for one in exchange.steps)
    return {"firstpass": how(exchange) | (_sent_early(exchange, step) if early else {})}


def how(exchange: Exchange) -> dict[str, Any]:
    """The `firstpass` object of an answer: how it was made and what the checks found on it."""
    (step, _), ending = answered(exchange), exchange.ending
    assert isinstance(ending, Answer), "only an answer is rendered"
    return {
        "exchange": exchange.ask.id,
        "route": ending.route,
        "contract": exchange.ask.contract,
        "experiment": exchange.ask.experiment,
        "arm": exchange.ask.arm,
        "findings": [asdict(finding) for finding in step.findings],
        "gate": asdict(ending.judged) if ending.judged else None,
        "steps": [_outline(step) for step in exchange.steps],
        "receipts": [asdict(receipt) for receipt in exchange.receipts],
        "seconds": exchange.seconds,
    }


def _sent_early(exchange: Exchange, step: Step) -> dict[str, Any]:
    """What became of a text that was shown before it was checked: `kept`, or `replaced` by what."""
    sent = next(one.reply.text for one in exchange.steps if one.streamed and one.reply)
    return {"verdict": "kept"} if step.text == sent else {"verdict": "replaced", "text": step.text}


def _outline(step: Step) -> dict[str, Any]:
    """A step without its text."""
    return {
        "tier": step.move.tier,
        "purpose": step.move.purpose,
        "rule": step.move.rule,
        "model": step.reply.model if step.reply else None,
        "seconds": step.reply.seconds if step.reply else None,
        "first_token_seconds": step.reply.first_token_seconds if step.reply else None,
        "checks_seconds": step.checks_seconds,
        "usage": asdict(step.reply.usage) if step.reply and step.reply.usage else None,
        "finish_reason": step.reply.finish_reason if step.reply else None,
        "failed_checks": len(step.failed),
        "signals": step.signals,
        "failure": step.failure.message if step.failure else None,
    }


def dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
