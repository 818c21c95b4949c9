"""From an ended exchange to the bytes that its caller gets. It knows the OpenAI envelope; it decides nothing."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from firstpass.contract import Files
from firstpass.errors import Failure
from firstpass.exchange import Answer, Ask, Exchange, Label, Reply, Step
from firstpass.policy.first import Course

DEFAULT_RETRY_SECONDS = 1
RETRIED = (408, 409, 429)
"""The official SDKs retry on these and on every 5xx, so each of them says when."""

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}

DONE = b"data: [DONE]\n\n"


def event(fields: dict[str, Any]) -> bytes:
    return b"data: " + _dump(fields) + b"\n\n"


def error_body(failure: Failure, exchange_id: str | None = None) -> dict[str, Any]:
    """The OpenAI error envelope, with the part of the path that failed and the exchange to look it up by."""
    kind = TYPES.get(failure.status, "invalid_request_error" if failure.status < 500 else "server_error")
    error = {"message": failure.message, "type": kind, "param": failure.param, "code": failure.code}
    return {"error": error | {"part": failure.part, "exchange": exchange_id}}


def error_headers(failure: Failure) -> dict[str, str]:
    if failure.status in RETRIED or failure.status >= 500:
        return {"retry-after": str(failure.retry_after_seconds or DEFAULT_RETRY_SECONDS)}
    return {"www-authenticate": "Bearer"} if failure.status == 401 else {}


def how(exchange: Exchange) -> dict[str, Any]:
    """The `firstpass` object of an answer: how it was made and what the checks found on it."""
    step, ending = exchange.answer, exchange.ending
    assert step is not None and isinstance(ending, Answer), "only an answer is rendered"
    return {
        "exchange": exchange.ask.id,
        "route": ending.route,
        "contract": exchange.ask.contract,
        "findings": [asdict(finding) for finding in step.findings],
        "gate": asdict(ending.judged) if ending.judged else None,
        "steps": [_outline(step) for step in exchange.steps],
        "receipts": [asdict(receipt) for receipt in exchange.receipts],
        "seconds": exchange.seconds,
    }


def _outline(step: Step) -> dict[str, Any]:
    """A step without its text."""
    return {
        "tier": step.move.tier,
        "purpose": step.move.purpose,
        "rule": step.move.rule,
        "model": step.reply.model if step.reply else None,
        "seconds": step.reply.seconds if step.reply else None,
        "usage": asdict(step.reply.usage) if step.reply and step.reply.usage else None,
        "finish_reason": step.reply.finish_reason if step.reply else None,
        "failed_checks": len(step.failed),
        "signals": step.signals,
        "failure": step.failure.message if step.failure else None,
    }


def label(made: Label) -> dict[str, Any]:
    return {"object": "label"} | {name: value for name, value in asdict(made).items() if name != "key"}


def explanation(ask: Ask, course: Course) -> dict[str, Any]:
    """What would become of a request."""
    return {
        "object": "explanation",
        "model": ask.model,
        "target": course.target,
        "contract": ask.contract,
        "egress": ask.ceiling,
        "rule": asdict(course.rule) if course.rule else None,
        "steps": list(course.steps),
    }


def contract(files: Files, *, whole: bool = False) -> dict[str, Any]:
    """One version of a contract, with its wording if `whole`."""
    spec = files.spec
    outline = {
        "id": files.pinned,
        "object": "contract",
        "name": files.name,
        "version": files.version,
        "summary": spec.summary,
        "reads": spec.reads,
        "form": spec.form,
        "sections": [asdict(section) for section in files.form.sections],
        "checks": list(spec.checks),
        "mend": spec.mend,
        "sha256": files.sha256,
    }
    if not whole:
        return outline
    return outline | {"prompt": files.prompt, "verify": files.verify, "schema": files.schema}


def openai(exchange: Exchange) -> bytes:
    """A whole chat or plain completion. A binding answer passes byte for byte; a checked one says how it was made."""
    step, reply = exchange.answer, exchange.answer_reply
    assert step is not None and reply is not None, "only an answer is rendered"
    if step.move.binding:
        assert reply.raw is not None, "a whole reply has its bytes"
        return reply.raw
    return _dump(_checked_body(exchange))


def _checked_body(exchange: Exchange) -> dict[str, Any]:
    """The tier's own body; where its reply was edited or asked for edits, with the new text and without logprobs."""
    step, reply = exchange.answer, exchange.answer_reply
    assert step is not None and reply is not None, "only an answer is rendered"
    body: dict[str, Any] = json.loads(reply.raw) if reply.raw else _body_of(reply, exchange.ask)
    if step.edited is not None:
        body["choices"][0]["message"]["content"] = step.edited
    asked = exchange.ask.sampling
    for choice in body["choices"]:
        if step.edited is not None or not asked.logprobs:  # The checks may have wanted them.
            choice["logprobs"] = None
        _cut_alternatives(choice.get("logprobs"), asked.top_logprobs or 0)
    return body | {"id": f"chatcmpl-{exchange.ask.id}", "firstpass": how(exchange)}


def _body_of(reply: Reply, ask: Ask) -> dict[str, Any]:
    """The body that a reply would have had in one piece: one that was watched came in many."""
    content = [
        _entry(token.token, token.logprob) | {"top_logprobs": [_entry(*other) for other in token.top]}
        for token in reply.logprobs
    ]
    choice = {"index": 0, "message": {"role": "assistant", "content": reply.text}}
    choice |= {"logprobs": {"content": content} if content else None, "finish_reason": reply.finish_reason}
    used = reply.usage
    usage = asdict(used) | {"total_tokens": used.prompt_tokens + used.completion_tokens} if used else None
    base = {"object": "chat.completion", "created": int(ask.received_unix), "model": reply.model}
    return base | {"choices": [choice], "usage": usage}


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _cut_alternatives(logprobs: dict[str, Any] | None, wanted: int) -> None:
    """The gate may have asked for more than the caller."""
    for entry in (logprobs or {}).get("content") or ():
        if "top_logprobs" in entry:
            entry["top_logprobs"] = (entry["top_logprobs"] or [])[:wanted]


def held_back(exchange: Exchange) -> Iterator[bytes]:
    """A checked chat answer as the stream that its caller asked for: text, end, usage if wanted, done."""
    whole = _checked_body(exchange)
    choice = whole["choices"][0]
    base = {name: whole.get(name) for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    delta = {"role": "assistant", "content": choice["message"].get("content") or ""}
    yield event(base | {"choices": [_delta(delta, choice.get("logprobs"), None)]})
    yield event(base | {"choices": [_delta({}, None, choice.get("finish_reason"))], "firstpass": whole["firstpass"]})
    if exchange.ask.include_usage:
        yield event(base | {"choices": [], "usage": whole.get("usage")})
    yield DONE


def early(data: bytes, ask: Ask) -> dict[str, Any] | None:
    """A chunk of a reply that nothing has checked yet; None for the end, which comes after the verdict.

    data: an event of the tier. The checks' logprobs are left out where the caller did not ask for any.
    """
    text = b"\n".join(line[5:].strip() for line in data.splitlines() if line.startswith(b"data:"))
    if text == b"[DONE]":
        return None
    chunk: dict[str, Any] = json.loads(text)
    if chunk["choices"]:  # A draft that may be cut off has its usage in each chunk.
        chunk.pop("usage", None)
    for choice in chunk["choices"]:
        if not ask.sampling.logprobs:
            choice.pop("logprobs", None)
        _cut_alternatives(choice.get("logprobs"), ask.sampling.top_logprobs or 0)
    return chunk | {"id": f"chatcmpl-{ask.id}"}


def verdict(exchange: Exchange, last: dict[str, Any], usage: dict[str, Any] | None) -> Iterator[bytes]:
    """The end of an optimistic stream: what became of the text, the usage if wanted, done.

    last: the chunk that was sent last, empty if none was. Its object `firstpass` says `kept`, or `replaced` by what.
    """
    step = exchange.answer
    assert step is not None, "only an answer has a verdict"
    sent = next(one.reply.text for one in exchange.steps if one.streamed and one.reply)
    outcome = {"verdict": "kept"} if step.text == sent else {"verdict": "replaced", "text": step.text}
    base: dict[str, Any] = {"id": f"chatcmpl-{exchange.ask.id}", "object": "chat.completion.chunk", "choices": []}
    base |= {name: last.get(name) for name in ("created", "model")}
    yield event(base | {"firstpass": how(exchange) | outcome})
    if usage is not None:
        yield event(usage)
    yield DONE


def _delta(delta: dict[str, Any], logprobs: Any, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def infer(exchange: Exchange) -> bytes:
    """The origin's shape: the text and each token's natural-log probability."""
    step, reply = exchange.answer, exchange.answer_reply
    assert step is not None and reply is not None, "only an answer is rendered"
    return _dump(
        {
            "id": exchange.ask.id,
            "model": reply.model,
            "output": step.text,
            "finish_reason": reply.finish_reason,
            "logprobs": [
                {"token": token.token, "logprob": token.logprob} for token in reply.logprobs if step.edited is None
            ]
            or None,
            "usage": asdict(reply.usage) if reply.usage else None,
            "latency_ms": round((exchange.seconds or 0) * 1000, 1),
            "firstpass": how(exchange),
        }
    )


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
