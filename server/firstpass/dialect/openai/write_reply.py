"""Answers as the OpenAI API writes them: chat completions, plain ones and embeddings. It decides nothing.

What a tier of the same dialect said passes byte for byte where it is the answer whatever it says; all else is written
anew from the reply. Source: the OpenAI API reference.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from firstpass.chat import CallPiece, Chunk, Delta, TokenLogprob, Usage
from firstpass.dialect.base import Dialect
from firstpass.dialect.openai.calls import as_sent
from firstpass.dialect.openai.write_request import tool_call
from firstpass.dialect.render import answered, dump, event, how_made
from firstpass.errors import Failure
from firstpass.exchange import Ask, Exchange, Reply, Step

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}

DONE = b"data: [DONE]\n\n"


def error_body(failure: Failure, exchange_id: str | None = None) -> dict[str, Any]:
    """The error envelope, with the part of the path that failed and the exchange to look it up by."""
    kind = TYPES.get(failure.status, "invalid_request_error" if failure.status < 500 else "server_error")
    error = {"message": failure.message, "type": kind, "param": failure.param, "code": failure.code}
    return {"error": error | {"part": failure.part, "exchange": exchange_id}}


def whole(exchange: Exchange) -> bytes:
    step, reply = answered(exchange)
    if step.move.binding and reply.dialect == "openai":
        assert reply.raw is not None, "a whole reply has its bytes"
        return reply.raw
    answer = answer_of(exchange)
    message = {"role": "assistant"} | _content(answer) | _said(answer, list(map(tool_call, reply.tool_calls)))
    choice = {"index": 0, "message": message, "logprobs": logprobs_of(answer.logprobs, exchange.ask)}
    choice["finish_reason"] = answer.finish_reason
    body = _base(exchange.ask, reply.model) | {"object": "chat.completion", "choices": [choice]}
    return dump(body | {"usage": usage_of(reply.usage)} | how_made(exchange))


def usage_of(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _content(delta: Delta) -> dict[str, Any]:
    return {"content": delta.text if delta.text or not (delta.calls or delta.refusal) else None}


def _said(delta: Delta, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """What a message says beside its content."""
    said = {"refusal": delta.refusal, "reasoning": delta.reasoning, "tool_calls": calls}
    return {name: value for name, value in said.items() if value}


def answer_of(exchange: Exchange) -> Delta:
    """The whole answer as one piece. An edited text has no log-probabilities: nobody gave it any."""
    step, reply = answered(exchange)
    logprobs = reply.logprobs if step.edited is None else ()
    calls = (CallPiece(at, call.id, call.name, call.given) for at, call in enumerate(reply.tool_calls))
    return Delta(
        text=step.text or "",
        refusal=refusal_of(step, reply),
        reasoning=reply.reasoning.text if reply.reasoning else "",
        signature=reply.reasoning.signature if reply.reasoning else None,
        redacted=reply.reasoning.redacted if reply.reasoning else None,
        calls=tuple(calls),
        logprobs=logprobs,
        finish_reason=step.finish_reason or reply.finish_reason,
    )


def refusal_of(step: Step, reply: Reply) -> str:
    """The model's, which an edited text has none of."""
    return reply.refusal or "" if step.edited is None else ""


def _base(ask: Ask, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{ask.id}", "created": int(ask.received_unix), "model": model}


def logprobs_of(tokens: Sequence[TokenLogprob], ask: Ask) -> dict[str, Any] | None:
    """None where the caller wants none: the checks may have asked for them, and the gate for more than the caller."""
    if not ask.sampling.logprobs or not tokens:
        return None
    wanted = ask.sampling.top_logprobs or 0

    return {"content": [_entry(token) | {"top_logprobs": _others(token)[:wanted]} for token in tokens]}


def _entry(token: TokenLogprob) -> dict[str, Any]:
    """A token's text is no sure way to its bytes (ollama/ollama#13497), so none are made up."""
    spelt = None if token.octets is None else list(token.octets)
    return {"token": token.token, "logprob": token.logprob, "bytes": spelt}


def _others(token: TokenLogprob) -> list[dict[str, Any]]:
    spelt = token.top_octets or (None,) * len(token.top)
    return [_entry(TokenLogprob(*pair, octets=octets)) for pair, octets in zip(token.top, spelt, strict=True)]


class Stream:
    """A streamed chat, or the bytes of a plain completion."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._model = ""
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._passed = self._early = False
        self._last = b""

    def chunk(self, step: Step, chunk: Chunk) -> bytes:
        self._model = chunk.model or self._model
        if step.move.binding and chunk.dialect == "openai":
            self._passed = True
            self._last = chunk.raw
            return chunk.raw if chunk.for_caller else b""
        self._early = not step.move.binding
        return b"".join(self._piece(delta) for delta in chunk.deltas)

    def waiting(self) -> bytes:
        """A piece without anything, as many a stream ends with; the role is for the first piece that says something.

        Of a reply that passes as it comes it has the id, by which some clients know what belongs together.
        """
        said: dict[str, Any] = {"text": ""} if self._ask.kind == "completion" else {"delta": {}}
        choice = {"index": 0} | said | {"logprobs": None, "finish_reason": None}
        return event(self._head() | _identity(self._last) | {"choices": [choice]})

    def end(self, exchange: Exchange) -> bytes:
        return b"" if self._passed else b"".join(self._rest(exchange))

    def failed(self, failure: Failure) -> bytes:
        return event(error_body(failure, self._ask.id))

    def _rest(self, exchange: Exchange) -> Iterator[bytes]:
        _, reply = answered(exchange)
        if not self._begun:
            self._model = reply.model
            yield self._piece(answer_of(exchange), how_made(exchange))
        elif self._early:
            # A draft that was cut off has ended no choice.
            for choice in sorted(self._begun - self._finished):
                yield self._event([_choice(choice, {}, None, "stop")])
            yield self._event([], how_made(exchange))
        if self._ask.include_usage and reply.usage is not None:
            yield self._event([], {"usage": usage_of(reply.usage)})
        yield DONE

    def _piece(self, delta: Delta, end: dict[str, Any] | None = None) -> bytes:
        """The text, and its end in an event of its own. end: what the last event says beside its choice."""
        parts, begun = [], delta.choice in self._begun
        said = _content(delta) if delta.text or delta.logprobs or not begun else {}
        if said := said | _said(delta, list(map(as_sent, delta.calls))):
            role = {} if begun else {"role": "assistant"}
            parts.append(self._event([_choice(delta.choice, role | said, logprobs_of(delta.logprobs, self._ask))]))
            self._begun.add(delta.choice)
        if delta.finish_reason is not None:
            self._finished.add(delta.choice)
            parts.append(self._event([_choice(delta.choice, {}, None, delta.finish_reason)], end))
        return b"".join(parts)

    def _event(self, choices: list[dict[str, Any]], more: dict[str, Any] | None = None) -> bytes:
        return event(self._head() | {"choices": choices} | (more or {}))

    def _head(self) -> dict[str, Any]:
        kind = "text_completion" if self._ask.kind == "completion" else "chat.completion.chunk"
        return _base(self._ask, self._model or self._ask.model) | {"object": kind}


def _identity(raw: bytes) -> dict[str, Any]:
    """Of a reply, by one of its events: what all of them say alike."""
    line = next((line for line in raw.splitlines() if line.startswith(b"data: {")), b"data: {}")
    fields = json.loads(line.removeprefix(b"data: "))
    return {name: fields[name] for name in ("id", "created", "model") if name in fields}


def _choice(number: int, delta: dict[str, Any], logprobs: Any, finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


OPENAI = Dialect(whole, Stream, error_body)
