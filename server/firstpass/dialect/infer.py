"""Answers in the origin's own shape: the text and each token's natural-log probability. It never streams."""

from dataclasses import asdict

from firstpass.dialect.base import Dialect
from firstpass.dialect.openai.write_reply import Stream, error_body, refusal_of
from firstpass.dialect.render import answered, dump, how
from firstpass.exchange import Exchange


def whole(exchange: Exchange) -> bytes:
    step, reply = answered(exchange)
    logprobs = reply.logprobs if step.edited is None else ()
    return dump(
        {
            "id": exchange.ask.id,
            "model": reply.model,
            "output": step.text or refusal_of(step, reply),
            "finish_reason": reply.finish_reason,
            "logprobs": [{"token": token.token, "logprob": token.logprob} for token in logprobs] or None,
            "usage": asdict(reply.usage) if reply.usage else None,
            "latency_ms": round((exchange.seconds or 0) * 1000, 1),
            "firstpass": how(exchange),
        }
    )


INFER = Dialect(whole, Stream, error_body)
