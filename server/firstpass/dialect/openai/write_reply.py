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
from firstpass.dialect.render import dump, event, how, sent_early
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
    step, reply = exchange.answer, exchange.answer_reply
    assert step is not None and reply is not None, "only an answer is rendered"
    if step.move.binding and reply.dialect == "openai":
        assert reply.raw is not None, "a whole reply has its bytes"
        return reply.raw
    answer = answer_of(exchange, step, reply)
    silent = not answer.text and (answer.calls or answer.refusal)
    message = {"role": "assistant", "content": None if silent else answer.text}
    if answer.refusal:
        message["refusal"] = answer.refusal
    if answer.reasoning:
        message["reasoning"] = answer.reasoning
    calls = [tool_call(call) for call in reply.tool_calls]
    choice = {"index": 0, "message": message | ({"tool_calls": calls} if calls else {})}
    choice |= {"logprobs": logprobs_of(answer.logprobs, exchange.ask), "finish_reason": answer.finish_reason}
    body = _base(exchange.ask, reply.model) | {"object": "chat.completion", "choices": [choice]}
    return dump(body | {"usage": usage_of(reply.usage)} | _how(exchange, step))


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


def answer_of(exchange: Exchange, step: Step, reply: Reply) -> Delta:
    """The whole answer as one piece. An edited text has no log-probabilities: nobody gave it any."""
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
        finish_reason="stop" if step.edited is not None else reply.finish_reason,
    )


def refusal_of(step: Step, reply: Reply) -> str:
    """The model's, which an edited text has none of."""
    return reply.refusal or "" if step.edited is None else ""


def _how(exchange: Exchange, step: Step) -> dict[str, Any]:
    """A binding answer is the model's own, and looks it; the headers say how it was made."""
    return {} if step.move.binding else {"firstpass": how(exchange)}


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
        step, reply = exchange.answer, exchange.answer_reply
        assert step is not None and reply is not None, "only an answer is rendered"
        if not self._begun:
            self._model = reply.model
            answer = answer_of(exchange, step, reply)
            yield self._piece(answer, _how(exchange, step))
        elif self._early:
            # A draft that was cut off has ended no choice.
            for choice in sorted(self._begun - self._finished):
                yield self._event([_choice(choice, {}, None, "stop")])
            yield self._event([], {"firstpass": how(exchange) | sent_early(exchange)})
        if self._ask.include_usage and reply.usage is not None:
            yield self._event([], {"usage": usage_of(reply.usage)})
        yield DONE

    def _piece(self, delta: Delta, end: dict[str, Any] | None = None) -> bytes:
        """The text, and its end in an event of its own. end: what the last event says beside its choice."""
        said: dict[str, Any] = {}
        if delta.text or delta.logprobs or delta.choice not in self._begun:
            said["content"] = delta.text if delta.text or not (delta.calls or delta.refusal) else None
        if delta.refusal:
            said["refusal"] = delta.refusal
        if delta.reasoning:
            said["reasoning"] = delta.reasoning
        if delta.calls:
            said["tool_calls"] = [as_sent(piece) for piece in delta.calls]
        parts = []
        if said:
            role = {} if delta.choice in self._begun else {"role": "assistant"}
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
