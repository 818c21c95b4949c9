"""What an Anthropic endpoint answers, read: a whole message, or a stream by its events. Knows no connection, no policy.

Sources: the Messages API reference and its page on streaming; the types of anthropic-sdk-python 2.12. Raises one of
NONSENSE for what is none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from firstpass.chat import CallPiece, Chunk, Delta, FinishReason, Reasoning, Usage, strict_json
from firstpass.dialect.anthropic.wire import sealed
from firstpass.dialect.anthropic.write_request import PART
from firstpass.dialect.faults import DEFAULT_RETRY_SECONDS, failed_midway
from firstpass.dialect.gathered import Gathered
from firstpass.dialect.render import dump, named_event
from firstpass.dialect.values import arguments, count, text, wire_error
from firstpass.errors import TierFailed, TierUnavailable
from firstpass.exchange import Ask, Reply

REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
OVERLOADED = ("overloaded_error", "rate_limit_error")


def whole_reply(ask: Ask, raw: bytes, seconds: float) -> Reply:
    """Read as the stream that it could have been: block by block."""
    answer = json.loads(raw)
    raise_error(ask, answer, raw)
    raw, stream = _with_inputs(answer, raw), AnthropicStream(ask=ask, model=text(answer["model"]))
    for place, block in enumerate(answer["content"]):
        stream.add(stream.start(place, block), seconds)
        stream.add(stream.stop(place), seconds)
    stream.add(_end(answer), seconds)
    stream.add_usage(answer["usage"])
    return replace(stream.reply(seconds), raw=raw, first_token_seconds=None)


def _with_inputs(answer: dict[str, Any], raw: bytes) -> bytes:
    """The body with an object as the input of every call, as it came where each has one."""
    mended = [_mend_input(block) for block in answer["content"]]
    return dump(answer) if any(mended) else raw


def _mend_input(block: dict[str, Any]) -> bool:
    """Whether it had to be."""
    if block["type"] != "tool_use" or isinstance(block.get("input"), dict):
        return False
    block["input"] = strict_json(_arguments(block.get("input")))
    return True


def raise_error(ask: Ask, fields: dict[str, Any], data: bytes) -> None:
    """What came with a 200 may be an error all the same. Raises: TierUnavailable, TierFailed, BadAsk where it is."""
    if fields["type"] != "error":
        return
    said = wire_error(data)
    if (fields.get("error") or {}).get("type") in OVERLOADED:
        message = f"the {PART} model failed while it answered: {said.message}"
        raise TierUnavailable(message, part=PART, retry_after_seconds=DEFAULT_RETRY_SECONDS)
    raise failed_midway(PART, ask, said)


def _why_refused(fields: dict[str, Any]) -> str:
    """The API's own words to a refusal, if it has any; what the model had written till then is its text."""
    return text((fields.get("stop_details") or {}).get("explanation"))


def _finish_reason(reason: object) -> str | None:
    """In the OpenAI API's words; one that is new to us stays as it is.

    Raises: TierFailed for a turn that pauses: only the endpoint's own tools do that, and nobody here gives it any.
    """
    if reason == "pause_turn":
        raise TierFailed(f"the {PART} model paused its turn, and there is nothing here to go on with it", part=PART)
    word = text(reason)
    return REASONS.get(word, word) or None


def _arguments(given: object) -> str:
    """Nothing, and an empty text, are an empty object. Raises: TypeError, ValueError for what is no object."""
    written = arguments(given)
    if not isinstance(strict_json(written), dict):
        raise TypeError("an object was expected")
    return written


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


@dataclass(slots=True, kw_only=True)
class AnthropicStream(Gathered):
    """Reads a stream's events into one reply. Kinds of events, blocks and deltas that are new to us add nothing."""

    ask: Ask
    counted: dict[str, Any] = field(default_factory=dict)
    uses: dict[int, _Use] = field(default_factory=dict)
    places: dict[int | None, int] = field(default_factory=dict)
    place: int = 0
    blocks: int = 0
    thoughts: int = 0
    redacted: str | None = None

    def read(self, event: bytes, data: bytes, seconds: float) -> Chunk:
        """One event of the stream, added. Raises: TierUnavailable, TierFailed where it is an error."""
        fields = json.loads(data)
        raise_error(self.ask, fields, data)
        raw = named_event(fields["type"], **fields) if self._tidy(fields) else event
        delta = self._delta(fields)
        deltas = (self.add(delta, seconds),) if delta != Delta() else ()
        return Chunk(raw, "anthropic", self.model, deltas, self.usage, last=self.done)

    def close(self, seconds: float) -> Chunk:
        """The last event, where the stream ended without it."""
        self.done = True
        return Chunk(named_event("message_stop"), "anthropic", self.model, (), self.usage, last=True)

    def _tidy(self, fields: dict[str, Any]) -> bool:
        """Mends in place a block without an index or with an earlier one's, and a call without an input; whether so."""
        if not fields["type"].startswith("content_block_"):
            return False
        given, mended = fields.get("index"), False
        if fields["type"] == "content_block_start":
            self.place = self.blocks if given is None else max(count(given), self.blocks)
            self.places[given], self.blocks = self.place, self.place + 1
            mended = _mend_input(fields["content_block"])
        else:
            self.place = self.places.get(given, self.place)
        fields["index"] = self.place
        return mended or given != self.place

    def reply(self, seconds: float) -> Reply:
        reply = replace(Gathered.reply(self, seconds), dialect="anthropic")
        if self.thoughts > 1:  # Several thoughts are one text here, and that is sealed by none of their signatures.
            return replace(reply, reasoning=Reasoning("".join(self.reasoning)))
        return reply if self.redacted is None else replace(reply, reasoning=Reasoning("", redacted=self.redacted))

    def _delta(self, fields: dict[str, Any]) -> Delta:
        match fields["type"]:
            case "message_start":
                self.model = text(fields["message"]["model"])
                self.add_usage(fields["message"]["usage"])
            case "content_block_start":
                return self.start(count(fields["index"]), fields["content_block"])
            case "content_block_delta":
                return self._more(count(fields["index"]), fields["delta"])
            case "content_block_stop":
                return self.stop(count(fields["index"]))
            case "message_delta":
                self.add_usage(fields.get("usage") or {})
                return _end(fields["delta"])
            case "message_stop":
                self.done = True
        return Delta()

    def add_usage(self, usage: dict[str, Any]) -> None:
        """Each event's numbers are cumulative; what it does not say stays as it was."""
        self.counted |= {name: value for name, value in usage.items() if value is not None}
        self.usage = _usage(self.counted)

    def start(self, place: int, block: dict[str, Any]) -> Delta:
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

    def stop(self, place: int) -> Delta:
        """A call that no delta wrote has its whole input in its first event: vllm-project/vllm pull request 34887."""
        use = self.uses.get(place)
        if use is None or use.begun:
            return Delta()
        return Delta(calls=(CallPiece(use.index, arguments=_arguments(use.given)),))


def _words(kind: str, fields: dict[str, Any]) -> Delta:
    """A block's first words, or more of them, or the seal of a thought."""
    if kind == "text":
        return Delta(text=text(fields["text"]))
    if kind in ("thinking", "signature"):
        return Delta(reasoning=text(fields.get("thinking")), signature=sealed(text(fields.get("signature"))))
    return Delta()


def _end(delta: dict[str, Any]) -> Delta:
    return Delta(
        refusal=_why_refused(delta),
        finish_reason=_finish_reason(delta.get("stop_reason")),
        stop_sequence=text(delta.get("stop_sequence")) or None,
    )
