"""What may be said of an exchange outside of the record: names of ours, codes and counts; no word of anybody."""

from collections import Counter
from typing import Any

from firstpass.exchange import OWN_NAMES, Answer, Exchange, Refuse
from firstpass.spans import Value


def outline(exchange: Exchange, key_name: str | None) -> dict[str, Any]:
    """For one line of a log. findings: how many by the check's name. tokens: by tier, as they counted them.

    key_name: what the operator called the key that the request came with.
    """
    ask = exchange.ask
    findings = Counter(finding.check for step in exchange.steps for finding in step.findings)
    return {
        "exchange": ask.id,
        "dialect": ask.dialect,
        "kind": ask.kind,
        "model": OWN_NAMES[ask.target],
        "contract": ask.contract,
        "experiment": ask.experiment,
        "arm": ask.arm,
        "shadows": ask.shadows,
        "stream": ask.stream,
        "ceiling": ask.ceiling,
        "key": ask.key,
        "key_name": key_name,
        **_end(exchange),
        "seconds": round(exchange.seconds or 0, 6),
        "steps": [f"{step.move.tier} {step.move.purpose}" for step in exchange.steps],
        "tokens": _tokens(exchange),
        "findings": dict(findings),
        "departed_bytes": sum(receipt.bytes for receipt in exchange.receipts),
    }


def facts(exchange: Exchange) -> dict[str, Value]:
    """For a span, which has no lists and nothing in it."""
    ask = exchange.ask
    said = {"exchange": ask.id, "dialect": ask.dialect, "model": OWN_NAMES[ask.target], "ceiling": ask.ceiling}
    end = {name: value for name, value in _end(exchange).items() if value is not None and name != "status"}
    contract = {"contract": ask.contract} if ask.contract else {}
    return {f"firstpass.{name}": value for name, value in (said | end | contract).items()}


def _end(exchange: Exchange) -> dict[str, Any]:
    match exchange.ending:
        case Answer(route=route):
            return {"route": route, "status": 200}
        case Refuse(failure=failure):
            return {"route": "refused", "status": failure.status, "code": failure.code, "part": failure.part}
    return {"route": "unended", "status": None}


def _tokens(exchange: Exchange) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for step in exchange.steps:
        if step.reply and step.reply.usage:
            usage = step.reply.usage
            read = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}
            counts.setdefault(step.move.tier, Counter()).update(read)
    return {tier: dict(count) for tier, count in counts.items()}
