"""Answers as the Anthropic Messages API writes them. It decides nothing.

What a tier of the same dialect said passes byte for byte where it is the answer whatever it says; all else is written
anew from the reply. Source: the Anthropic API reference; the official client, anthropic 2.14, reads what is here.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from firstpass.chat import Chunk, Reasoning, ToolCall, Usage
from firstpass.dialect.anthropic.blocks import NO_OBJECT, Blocks, as_object
from firstpass.dialect.anthropic.wire import NO_SEAL
from firstpass.dialect.base import Dialect
from firstpass.dialect.openai.write_reply import answer_of, refusal_of
from firstpass.dialect.render import answered, dump, how_made, named_event
from firstpass.dialect.too_long import in_claude_s_words
from firstpass.errors import ContextTooLong, Failure, Part, TierFailed
from firstpass.exchange import Ask, Exchange, Reply, Step

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

PARAMS = {
    "max_completion_tokens": "max_tokens",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "output_config.effort",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
    "thinking_token_budget": "thinking.budget_tokens",
}
"""What fields of other dialects, by which tiers and contracts name them, are called here."""

STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}


def error_body(failure: Failure, exchange_id: str | None = None) -> dict[str, Any]:
    """The error envelope, with the part of the path that failed and the exchange to look it up by."""
    kind = TYPES.get(failure.status, "invalid_request_error" if failure.status < 500 else "api_error")
    too_long = failure.kind == ContextTooLong.__name__
    message = in_claude_s_words(failure.message) if too_long else failure.message
    error = {"type": kind, "message": message, "part": failure.part, "code": failure.code}
    ours = {"param": PARAMS.get(failure.param or "", failure.param), "exchange": exchange_id}
    return {"type": "error", "error": error | ours, "request_id": exchange_id}


def whole(exchange: Exchange) -> bytes:
    """vLLM 0.32 too gives an answer without anything an empty text: some clients take the first block for granted."""
    step, reply = answered(exchange)
    if step.move.binding and reply.dialect == "anthropic":
        assert reply.raw is not None, "a whole reply has its bytes"
        return reply.raw
    body = _message(exchange.ask, reply.model, usage_of(reply.usage))
    body["content"] = list(_content(exchange, step, reply)) or [{"type": "text", "text": ""}]
    return dump(body | _end(step, reply, called=bool(reply.tool_calls)) | how_made(exchange))


def _message(ask: Ask, model: str, usage: dict[str, Any]) -> dict[str, Any]:
    kind = {"id": f"msg_{ask.id}", "type": "message", "role": "assistant", "model": model}
    return kind | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


def _content(exchange: Exchange, step: Step, reply: Reply) -> Iterator[dict[str, Any]]:
    if reply.reasoning is not None:
        yield from _thoughts(reply.reasoning, exchange.ask)
    for said in (step.text, refusal_of(step, reply)):
        if said:
            yield {"type": "text", "text": said}
    for number, call in enumerate(reply.tool_calls):
        yield {"type": "tool_use", "id": call.id or f"toolu_{exchange.ask.id}_{number}"} | _called(call)


def _thoughts(reasoning: Reasoning, ask: Ask) -> Iterator[dict[str, Any]]:
    if reasoning.redacted is not None:
        yield {"type": "redacted_thinking", "data": reasoning.redacted}
    text = reasoning.text if ask.sampling.thinking_shown is not False else ""
    if text or reasoning.signature is not None:
        yield {"type": "thinking", "thinking": text, "signature": reasoning.signature or NO_SEAL}


def _called(call: ToolCall) -> dict[str, Any]:
    given = as_object(call.arguments)
    return {"name": call.name, "input": {NO_OBJECT: call.arguments} if given is None else given}


def usage_of(usage: Usage | None) -> dict[str, Any]:
    """Anthropic's input tokens are those that had to be read; the cached ones are beside them. Unknown is 0.

    Thoughts are counted where there are some: a tier that counts none apart may have had them all the same.
    """
    known = usage or Usage(0, 0)
    thought = {"output_tokens_details": {"thinking_tokens": known.reasoning_tokens}} if known.reasoning_tokens else {}
    return {
        "input_tokens": max(0, known.prompt_tokens - known.cached_tokens),
        "cache_read_input_tokens": known.cached_tokens,
        "output_tokens": known.completion_tokens,
    } | thought


def _end(step: Step, reply: Reply, *, called: bool) -> dict[str, Any]:
    """Why the model stopped. A call that was cut off is no reason to run it, so what cut it off is said."""
    cut = any(as_object(call.arguments) is None for call in reply.tool_calls)
    finish, sequence = step.finish_reason or reply.finish_reason, reply.stop_sequence
    if step.edited is not None:
        sequence = None
    if refusal_of(step, reply):
        finish = "content_filter"
    if finish in STOP_REASONS:
        return {"stop_reason": STOP_REASONS[finish], "stop_sequence": None}
    if sequence is not None and (cut or not called):
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": "tool_use" if called else "end_turn", "stop_sequence": None}


class Stream:
    """A streamed message. It has one beginning, whatever happens (BerriAI/litellm pull request 38153)."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._blocks = Blocks(f"toolu_{ask.id}", ask.sampling.thinking_shown is not False)
        self._begun = self._passed = False

    def chunk(self, step: Step, chunk: Chunk) -> bytes:
        if step.move.binding and chunk.dialect == "anthropic":
            self._passed = True
            return chunk.raw if chunk.for_caller else b""
        first = (delta for delta in chunk.deltas if delta.choice == 0)
        events = (event for delta in first for event in self._blocks.add(delta))
        return self._start(chunk.model, chunk.usage) + b"".join(events)

    def waiting(self) -> bytes:
        """ "Event streams may also include any number of ping events"; the official clients skip them anywhere."""
        return named_event("ping")

    def end(self, exchange: Exchange) -> bytes:
        return b"" if self._passed else b"".join(self._rest(exchange))

    def failed(self, failure: Failure) -> bytes:
        return named_event("error", **error_body(failure, self._ask.id))

    def _start(self, model: str, usage: Usage | None) -> bytes:
        """router-for-me/CLIProxyAPI#1700: the input tokens are real here too, as far as anyone knows them yet."""
        if self._begun:
            return b""
        self._begun = True
        read = usage_of(usage and replace(usage, completion_tokens=0, reasoning_tokens=0))
        return named_event("message_start", message=_message(self._ask, model, read))

    def _rest(self, exchange: Exchange) -> Iterator[bytes]:
        step, reply = answered(exchange)
        if not self._begun:
            yield self._start(reply.model, reply.usage)
            yield from self._blocks.add(answer_of(exchange))
        yield from self._blocks.close()
        end = _end(step, reply, called=self._blocks.called)
        if self._blocks.broken is not None and end["stop_reason"] == "tool_use":
            text = f"the model's arguments for {self._blocks.broken} are no JSON object"
            part: Part = "verifier" if step.move.tier == "verifier" else "draft"
            yield self.failed(TierFailed(text, part=part).failure)
            return
        yield named_event("message_delta", delta=end, usage=usage_of(reply.usage), **how_made(exchange))
        yield named_event("message_stop")


ANTHROPIC = Dialect(whole, Stream, error_body)
