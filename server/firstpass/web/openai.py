"""Answers as the OpenAI API writes them: chat completions, plain ones and embeddings. It decides nothing.

What a tier of the same dialect said passes byte for byte where it is the answer whatever it says; all else is written
anew from the reply. Source: the OpenAI API reference.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from firstpass.chat import CallPiece, Chunk, Delta, TokenLogprob, Usage
from firstpass.errors import Failure
from firstpass.exchange import Ask, Exchange, Reply, Step
from firstpass.tier.openai_body import tool_call
from firstpass.web.dialect import Dialect
from firstpass.web.render import dump, event, how, sent_early

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
    message = {"role": "assistant", "content": answer.text if answer.text or not answer.calls else None}
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
    calls = (CallPiece(at, call.id, call.name, call.arguments) for at, call in enumerate(reply.tool_calls))
    return Delta(
        text=step.text or "",
        reasoning=reply.reasoning.text if reply.reasoning else "",
        signature=reply.reasoning.signature if reply.reasoning else None,
        redacted=reply.reasoning.redacted if reply.reasoning else None,
        calls=tuple(calls),
        logprobs=logprobs,
        finish_reason="stop" if step.edited is not None else reply.finish_reason,
    )


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

    def entry(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    content = [
        entry(one.token, one.logprob) | {"top_logprobs": [entry(*pair) for pair in one.top[:wanted]]} for one in tokens
    ]
    return {"content": content}


class Stream:
    """A streamed chat, or the bytes of a plain completion."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._model = ""
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._passed = self._early = False

    def chunk(self, step: Step, chunk: Chunk) -> bytes:
        self._model = chunk.model or self._model
        if step.move.binding and chunk.dialect == "openai":
            self._passed = True
            return chunk.raw if chunk.for_caller else b""
        self._early = not step.move.binding
        return b"".join(self._piece(delta) for delta in chunk.deltas)

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
        if delta.text or delta.choice not in self._begun:
            said["content"] = delta.text if delta.text or not delta.calls else None
        if delta.reasoning:
            said["reasoning"] = delta.reasoning
        if delta.calls:
            said["tool_calls"] = [_call_piece(piece) for piece in delta.calls]
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
        base = _base(self._ask, self._model) | {"object": "chat.completion.chunk"}
        return event(base | {"choices": choices} | (more or {}))


def _choice(number: int, delta: dict[str, Any], logprobs: Any, finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _call_piece(piece: CallPiece) -> dict[str, Any]:
    """openai/openai-python pull request 3246: every delta has its index."""
    named = {"id": piece.id, "type": "function"} if piece.id else {}
    name = {"name": piece.name} if piece.name else {}
    return {"index": piece.index} | named | {"function": name | {"arguments": piece.arguments}}


OPENAI = Dialect(whole, Stream, error_body)
