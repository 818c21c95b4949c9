"""A streamed reply, put together delta by delta. Knows no wire format."""

from dataclasses import dataclass, field, replace

from firstpass.chat import CallPiece, Delta, Reasoning, TokenLogprob, ToolCall, Usage
from firstpass.exchange import Reply


@dataclass(slots=True)
class Gathered:
    """What a stream has said so far, choice by choice. done: nothing comes any more."""

    done: bool = False
    model: str = ""
    texts: dict[int, list[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    signature: str | None = None
    calls: dict[int, ToolCall] = field(default_factory=dict)
    arguments: dict[int, list[str]] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: str | None = None
    finished: set[int] = field(default_factory=set)
    stop_sequence: str | None = None
    usage: Usage | None = None
    first_token_seconds: float | None = None

    @property
    def text(self) -> str:
        """Of the first choice."""
        return "".join(self.texts.get(0, ()))

    def ended(self, choices: int) -> bool:
        """Whether each choice has said why it ends: all that can still come then is a count."""
        return len(self.finished) >= choices and self.finished >= self.texts.keys()

    def add(self, delta: Delta, seconds: float) -> Delta:
        if self.first_token_seconds is None and (delta.text or delta.refusal or delta.reasoning or delta.calls):
            self.first_token_seconds = seconds
        self.texts.setdefault(delta.choice, []).append(delta.text)
        if delta.finish_reason:
            self.finished.add(delta.choice)
        if delta.choice == 0:
            self.refusals.append(delta.refusal)
            self.reasoning.append(delta.reasoning)
            self.signature = delta.signature or self.signature
            self.logprobs.extend(delta.logprobs)
            self.finish_reason = delta.finish_reason or self.finish_reason
            self.stop_sequence = delta.stop_sequence or self.stop_sequence
            for piece in delta.calls:
                self._add_piece(piece)
        return delta

    def _add_piece(self, piece: CallPiece) -> None:
        call = self.calls.get(piece.index, ToolCall("", "", ""))
        self.calls[piece.index] = replace(call, id=call.id or piece.id or "", name=call.name or piece.name or "")
        self.arguments.setdefault(piece.index, []).append(piece.arguments)

    def _calls(self) -> tuple[ToolCall, ...]:
        calls = (replace(self.calls[at], arguments="".join(self.arguments[at])) for at in sorted(self.calls))
        return tuple(replace(call, arguments=call.given) for call in calls)

    def reply(self, seconds: float) -> Reply:
        texts = ["".join(self.texts[number]) for number in sorted(self.texts)] or [""]
        reasoning = "".join(self.reasoning)
        return Reply(
            text=texts[0],
            model=self.model,
            finish_reason=self.finish_reason,
            usage=self.usage,
            seconds=seconds,
            first_token_seconds=self.first_token_seconds,
            logprobs=tuple(self.logprobs),
            others=tuple(texts[1:]),
            tool_calls=self._calls(),
            reasoning=Reasoning(reasoning, self.signature) if reasoning or self.signature else None,
            stop_sequence=self.stop_sequence,
            refusal="".join(self.refusals) or None,
        )
