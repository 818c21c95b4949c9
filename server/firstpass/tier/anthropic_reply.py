"""What an Anthropic endpoint answers, read: a whole message, or a stream by its events. Knows no connection, no policy.

Sources: the Messages API reference and its page on streaming; the types of anthropic-sdk-python 2.12. Raises one of
NONSENSE for what is none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from firstpass.chat import CallPiece, Chunk, Delta, FinishReason, Reasoning, ToolCall, Usage
from firstpass.errors import TierFailed, TierUnavailable
from firstpass.exchange import Reply
from firstpass.tier.anthropic_body import PART
from firstpass.tier.failures import DEFAULT_RETRY_SECONDS
from firstpass.tier.gathered import Gathered
from firstpass.tier.values import count, error_text, text

REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
OVERLOADED = ("overloaded_error", "rate_limit_error")


def whole_reply(raw: bytes, seconds: float) -> Reply:
    answer = json.loads(raw)
    raise_error(answer, raw)
    blocks = answer["content"]
    return Reply(
        text="".join(text(block["text"]) for block in blocks if block["type"] == "text"),
        model=text(answer["model"]),
        finish_reason=_finish_reason(answer.get("stop_reason")),
        usage=_usage(answer["usage"]),
        seconds=seconds,
        raw=raw,
        dialect="anthropic",
        tool_calls=tuple(_call(block) for block in blocks if block["type"] == "tool_use"),
        reasoning=_reasoning([block for block in blocks if block["type"] in ("thinking", "redacted_thinking")]),
        stop_sequence=text(answer.get("stop_sequence")) or None,
    )


def raise_error(fields: dict[str, Any], data: bytes) -> None:
    """What came with a 200 may be an error all the same. Raises: TierUnavailable, TierFailed where this is one."""
    if fields["type"] != "error":
        return
    message = f"the {PART} model failed while it answered: {error_text(data)[0]}"
    if (fields.get("error") or {}).get("type") in OVERLOADED:
        raise TierUnavailable(message, part=PART, retry_after_seconds=DEFAULT_RETRY_SECONDS)
    raise TierFailed(message, part=PART)


def _finish_reason(reason: object) -> str | None:
    """In the OpenAI API's words; one that is new to us stays as it is.

    Raises: TierFailed for a turn that pauses: only the endpoint's own tools do that, and nobody here gives it any.
    """
    if reason == "pause_turn":
        raise TierFailed(f"the {PART} model paused its turn, and there is nothing here to go on with it", part=PART)
    word = text(reason)
    return REASONS.get(word, word) or None


def _call(block: dict[str, Any]) -> ToolCall:
    return ToolCall(text(block["id"]), text(block["name"]), _arguments(block["input"]))


def _arguments(given: object) -> str:
    """Raises: TypeError for what is no object."""
    if not isinstance(given, dict):
        raise TypeError("an object was expected")
    return text(json.dumps(given, ensure_ascii=False))


def _reasoning(blocks: list[dict[str, Any]]) -> Reasoning | None:
    """Several thoughts are one text here, and that is sealed by none of their signatures."""
    if not blocks:
        return None
    if len(blocks) > 1:
        return Reasoning("".join(text(block.get("thinking")) for block in blocks))
    (block,) = blocks
    if block["type"] == "redacted_thinking":
        return Reasoning("", redacted=text(block["data"]))
    return Reasoning(text(block["thinking"]), text(block.get("signature")) or None)


def _usage(usage: dict[str, Any]) -> Usage:
    """ "Total input tokens in a request is the summation" of the three kinds."""
    read, written = (count(usage.get(f"cache_{kind}_input_tokens") or 0) for kind in ("read", "creation"))
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    prompt = count(usage["input_tokens"]) + read + written
    return Usage(prompt, count(usage["output_tokens"]), read, count(thought or 0))


@dataclass(slots=True)
class _Use:
    """A call of a tool that is being written. given: the input that its first event had; begun: whether more came."""

    index: int
    given: object
    begun: bool = False


@dataclass(slots=True)
class AnthropicStream(Gathered):
    """Reads a stream's events into one reply. Kinds of events, blocks and deltas that are new to us add nothing."""

    counted: dict[str, Any] = field(default_factory=dict)
    uses: dict[int, _Use] = field(default_factory=dict)
    thoughts: int = 0
    redacted: str | None = None

    def read(self, event: bytes, data: bytes, seconds: float) -> Chunk:
        """One event of the stream, added. Raises: TierUnavailable, TierFailed where it is an error."""
        fields = json.loads(data) if data else {"type": "ping"}
        raise_error(fields, data)
        delta = self._delta(fields)
        deltas = (self.add(delta, seconds),) if delta != Delta() else ()
        return Chunk(event, "anthropic", self.model, deltas, self.usage, last=self.done)

    def reply(self, seconds: float) -> Reply:
        reply = replace(Gathered.reply(self, seconds), dialect="anthropic")
        if self.thoughts == 1 and self.redacted is not None:
            return replace(reply, reasoning=Reasoning("", redacted=self.redacted))
        if self.thoughts > 1:
            return replace(reply, reasoning=Reasoning("".join(self.reasoning)))
        return reply

    def _delta(self, fields: dict[str, Any]) -> Delta:
        match fields["type"]:
            case "message_start":
                self.model = text(fields["message"]["model"])
                self._count(fields["message"]["usage"])
            case "content_block_start":
                return self._start(count(fields["index"]), fields["content_block"])
            case "content_block_delta":
                return self._more(count(fields["index"]), fields["delta"])
            case "content_block_stop":
                return self._stop(count(fields["index"]))
            case "message_delta":
                self._count(fields.get("usage") or {})
                return _end(fields["delta"])
            case "message_stop":
                self.done = True
        return Delta()

    def _count(self, usage: dict[str, Any]) -> None:
        """Each event's numbers are cumulative; what it does not say stays as it was."""
        self.counted |= {name: value for name, value in usage.items() if value is not None}
        self.usage = _usage(self.counted)

    def _start(self, place: int, block: dict[str, Any]) -> Delta:
        kind = block["type"]
        if kind == "tool_use":
            use = self.uses[place] = _Use(len(self.uses), block.get("input"))
            return Delta(calls=(CallPiece(use.index, text(block["id"]), text(block["name"])),))
        self.thoughts += kind in ("thinking", "redacted_thinking")
        if kind == "redacted_thinking":
            self.redacted = text(block["data"])
            return Delta(redacted=self.redacted)
        return _words(kind, block)

    def _more(self, place: int, delta: dict[str, Any]) -> Delta:
        kind, use = delta["type"], self.uses.get(place)
        if kind != "input_json_delta":
            return _words(kind.removesuffix("_delta"), delta)
        piece = text(delta["partial_json"])
        if use is None or not piece:
            return Delta()
        use.begun = True
        return Delta(calls=(CallPiece(use.index, arguments=piece),))

    def _stop(self, place: int) -> Delta:
        """A call that no delta wrote has its whole input in its first event: vllm-project/vllm pull request 34887."""
        use = self.uses.get(place)
        if use is None or use.begun:
            return Delta()
        return Delta(calls=(CallPiece(use.index, arguments=_arguments(use.given or {})),))


def _words(kind: str, fields: dict[str, Any]) -> Delta:
    """A block's first words, or more of them, or the seal of a thought."""
    if kind == "text":
        return Delta(text=text(fields["text"]))
    if kind in ("thinking", "signature"):
        return Delta(reasoning=text(fields.get("thinking")), signature=text(fields.get("signature")) or None)
    return Delta()


def _end(delta: dict[str, Any]) -> Delta:
    return Delta(
        finish_reason=_finish_reason(delta.get("stop_reason")),
        stop_sequence=text(delta.get("stop_sequence")) or None,
    )
