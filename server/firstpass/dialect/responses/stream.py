"""One streamed answer as events of the Responses API. It is told deltas, and decides only where items begin and end.

A thought or a text ends where something else begins; a call may always go on, so calls end with the stream.
Source: the OpenAI API reference; openai-python 3.54, openai/lib/streaming/responses.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from firstpass.chat import NO_ARGUMENTS, CallPiece, Chunk, Delta, Reasoning, TokenLogprob, ToolCall
from firstpass.dialect.base import Dialect
from firstpass.dialect.openai.write_reply import answer_of
from firstpass.dialect.render import answered, named_event
from firstpass.dialect.responses import write_reply as response
from firstpass.dialect.responses.items import (
    Status,
    call_id,
    call_item,
    is_freeform,
    message_item,
    named,
    refusal_part,
    text_input,
    text_part,
    thought_item,
    token_entries,
)
from firstpass.errors import Failure
from firstpass.exchange import Ask, Exchange, Step, Terms


class Stream:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._model = ask.model
        self._number = 0
        self._begun = self._spoke = self._early = False
        self._output = _Output(ask)

    def chunk(self, step: Step, chunk: Chunk) -> bytes:
        self._model = chunk.model or self._model
        self._early, self._spoke = not step.move.binding, True
        deltas = [delta for delta in chunk.deltas if delta.choice == 0]
        return b"".join(
            [*self._begin(), *(self._event(*event) for delta in deltas for event in self._output.add(delta))]
        )

    def end(self, exchange: Exchange) -> bytes:
        step, reply = answered(exchange)
        events: list[_Event] = []
        if not self._spoke:
            self._model = reply.model
            events += self._output.add(answer_of(exchange))
        status = response.status_of(exchange)
        events += self._output.close(status, step.text if self._early else None)
        body = response.ended(exchange, self._output.done)
        events.append((f"response.{status}", {"response": body}))
        return b"".join([*self._begin(), *(self._event(*event) for event in events)])

    def waiting(self) -> bytes:
        """The beginning, which every client wants first, and after it that it is still so."""
        return b"".join(self._begin()) or self._in_progress()

    def failed(self, failure: Failure) -> bytes:
        body = response.failed(self._ask, self._model, failure, self._output.done)
        return b"".join([*self._begin(), self._event("response.failed", {"response": body})])

    def _begin(self) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield self._event("response.created", {"response": response.begun(self._ask, self._model)})
            yield self._in_progress()

    def _in_progress(self) -> bytes:
        return self._event("response.in_progress", {"response": response.begun(self._ask, self._model)})

    def _event(self, name: str, fields: dict[str, Any]) -> bytes:
        self._number += 1
        return named_event(name, sequence_number=self._number - 1, **fields)


_Event = tuple[str, dict[str, Any]]

Kind = Literal["text", "refusal", "reasoning_text", "summary_text"]

NAMES: Mapping[Kind, tuple[str, str]] = {
    "text": ("output_text", "content"),
    "refusal": ("refusal", "content"),
    "reasoning_text": ("reasoning_text", "content"),
    "summary_text": ("reasoning_summary_text", "reasoning_summary"),
}
"""What events call a text of that kind, and the part that it is."""

NO_SEAL = Reasoning("")


@dataclass(slots=True)
class _Text:
    """A message, a refusal or a thought that has begun. index: its place in the output."""

    id: str
    index: int
    kind: Kind
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    seals: list[Reasoning] = field(default_factory=list)

    @property
    def words(self) -> str:
        return "".join(self.pieces)

    @property
    def thought(self) -> Reasoning:
        """Of several thoughts that are one text, the seal of none holds: the record says so, too."""
        alone = len(self.seals) == 1 and not (self.words and self.seals[0].redacted is not None)
        return replace(self.seals[0] if alone else NO_SEAL, text=self.words)

    def event(self, what: str) -> str:
        return f"response.{NAMES[self.kind][0]}.{what}"

    def part_event(self, what: str) -> str:
        return f"response.{NAMES[self.kind][1]}_part.{what}"


@dataclass(slots=True)
class _Call:
    """A call as far as it is known. index: None until it has a name, and so can begin. sent: of its arguments."""

    call: ToolCall
    index: int | None = None
    sent: int = 0


class _Output:
    """The items of one answer. Ids are those of the record's items, so that a later request can refer to them."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._thought: Kind = "summary_text" if (ask.terms or Terms()).summary else "reasoning_text"
        self._text: _Text | None = None
        self._calls: dict[int, _Call] = {}
        self._items: list[dict[str, Any] | None] = []
        self._made: Counter[str] = Counter()
        self._said: list[str] = []
        self._held: tuple[TokenLogprob, ...] = ()
        """Of tokens of the text that are half a character, and so have no words yet."""

    @property
    def done(self) -> list[dict[str, Any]]:
        return [item for item in self._items if item is not None]

    def add(self, delta: Delta) -> Iterator[_Event]:
        if delta.reasoning or delta.signature or delta.redacted is not None:
            seal = Reasoning("", delta.signature, delta.redacted)
            yield from self._write(self._thought, delta.reasoning, (), seal)
        if delta.text:
            self._said.append(delta.text)
            tokens, self._held = (*self._held, *delta.logprobs), ()
            yield from self._write("text", delta.text, tokens)
        elif not (delta.reasoning or delta.refusal or delta.calls):
            self._held += delta.logprobs
        if delta.refusal:
            yield from self._write("refusal", delta.refusal, ())
        for piece in delta.calls:
            yield from self._call(piece)

    def close(self, status: Status, instead: str | None) -> Iterator[_Event]:
        """The end of all that is open; what was begun last has the status of the answer.

        instead: what an answer that was shown before it was checked has become.
        """
        if instead == "".join(self._said):
            instead = None
        for at, known in sorted(self._calls.items()):
            yield from self._begin_call(at, known, nameless=True)
        if not self._items or (instead and (self._text is None or self._text.kind != "text")):
            yield from self._end_text()
            yield from self._open("text")
        last = len(self._items) - 1
        if self._text is not None:
            yield from self._end_text(status if self._text.index == last else "completed", instead)
        for at, known in sorted(self._calls.items()):
            yield from self._end_call(at, known, status if known.index == last else "completed")

    def _write(
        self, kind: Kind, words: str, logprobs: Sequence[TokenLogprob], seal: Reasoning = NO_SEAL
    ) -> Iterator[_Event]:
        if self._text is None or self._text.kind != kind:
            yield from self._end_text()
            yield from self._open(kind)
        text = self._text
        assert text is not None, "it has just been opened"
        text.pieces.append(words)
        text.logprobs += logprobs
        if seal.redacted is not None or seal not in (NO_SEAL, *text.seals):
            text.seals.append(seal)
        if words:
            yield text.event("delta"), self._place(text) | {"delta": words} | self._tokens(text, logprobs)

    def _open(self, kind: Kind) -> Iterator[_Event]:
        text = self._text = _Text(self._new_id("rs" if kind == self._thought else "msg"), len(self._items), kind)
        yield self._added(self._item(text, "in_progress"))
        yield text.part_event("added"), self._place(text) | {"part": self._part(text)}

    def _end_text(self, status: Status = "completed", instead: str | None = None) -> Iterator[_Event]:
        text, self._text = self._text, None
        if text is None:
            return
        if text.kind == "text":
            text.logprobs += self._held
            self._held = ()
            if instead is not None:
                text.pieces, text.logprobs = [instead], []
        said = "refusal" if text.kind == "refusal" else "text"
        whole = {said: text.words} | self._tokens(text, text.logprobs)
        yield text.event("done"), self._place(text) | whole
        yield text.part_event("done"), self._place(text) | {"part": self._part(text)}
        yield self._ended(text.index, self._item(text, status))

    def _tokens(self, text: _Text, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        return {} if text.kind != "text" else {"logprobs": token_entries(self._ask, logprobs)}

    def _call(self, piece: CallPiece) -> Iterator[_Event]:
        known = self._calls.setdefault(piece.index, _Call(ToolCall("", "", "")))
        known.call = ToolCall(
            known.call.id or piece.id or "",
            known.call.name or piece.name or "",
            known.call.arguments + piece.arguments,
        )
        yield from self._begin_call(piece.index, known)

    def _begin_call(self, at: int, known: _Call, *, nameless: bool = False) -> Iterator[_Event]:
        """A call begins with its name, since no event after the first says it; till then its arguments wait."""
        if known.index is None and (known.call.name or nameless):
            yield from self._end_text()
            taken = {other.call.id for other in self._calls.values() if other.index is not None}
            known.call = replace(known.call, id=call_id(self._ask.id, at, known.call.id, taken))
            known.index = len(self._items)
            item = self._call_item(at, known.call, "in_progress")
            yield self._added(item | ({"input": ""} if self._is_freeform(known) else {"arguments": ""}))
        if self._is_freeform(known):
            return
        unsent = known.call.arguments[known.sent :]
        if known.index is not None and unsent and known.call.arguments.strip():
            known.sent += len(unsent)
            yield "response.function_call_arguments.delta", self._call_place(at, known) | {"delta": unsent}

    def _end_call(self, at: int, known: _Call, status: Status) -> Iterator[_Event]:
        """A custom tool's text lies in JSON that only the end makes whole, so it comes in one piece."""
        assert known.index is not None, "what ends has begun"
        call, place = known.call, self._call_place(at, known)
        if self._is_freeform(known):
            yield "response.custom_tool_call_input.delta", place | {"delta": text_input(call)}
            yield "response.custom_tool_call_input.done", place | {"input": text_input(call)}
        else:
            if not call.arguments.strip():
                yield "response.function_call_arguments.delta", place | {"delta": NO_ARGUMENTS}
            said = named(self._ask, call.name) | {"arguments": call.given}
            yield "response.function_call_arguments.done", place | said
        yield self._ended(known.index, self._call_item(at, known.call, status))

    def _is_freeform(self, known: _Call) -> bool:
        return is_freeform(self._ask, known.call.name)

    def _added(self, item: dict[str, Any]) -> _Event:
        self._items.append(None)
        return "response.output_item.added", {"output_index": len(self._items) - 1, "item": item}

    def _ended(self, index: int, item: dict[str, Any]) -> _Event:
        self._items[index] = item
        return "response.output_item.done", {"output_index": index, "item": item}

    def _new_id(self, prefix: str) -> str:
        """A second thought or text of one answer has no item of its own in the record, which joins them."""
        number = self._made[prefix]
        self._made[prefix] += 1
        return f"{prefix}_{self._ask.id}_{number}" if number else f"{prefix}_{self._ask.id}"

    def _call_item(self, at: int, call: ToolCall, status: Status) -> dict[str, Any]:
        return call_item(self._ask, f"fc_{self._ask.id}_{at}", call, status)

    def _call_place(self, at: int, known: _Call) -> dict[str, Any]:
        return {"item_id": f"fc_{self._ask.id}_{at}", "output_index": known.index}

    def _place(self, text: _Text) -> dict[str, Any]:
        number = "summary_index" if text.kind == "summary_text" else "content_index"
        return {"item_id": text.id, "output_index": text.index, number: 0}

    def _part(self, text: _Text) -> dict[str, Any]:
        if text.kind == self._thought:
            return {"type": text.kind, "text": text.words}
        return refusal_part(text.words) if text.kind == "refusal" else text_part(self._ask, text.words, text.logprobs)

    def _item(self, text: _Text, status: Status) -> dict[str, Any]:
        """One that has just begun has no parts yet."""
        begins = status == "in_progress"
        if text.kind == self._thought:
            return thought_item(self._ask, text.id, None if begins else text.thought, status)
        return message_item(text.id, [] if begins else [self._part(text)], status)


RESPONSES = Dialect(response.whole, Stream, response.error)
