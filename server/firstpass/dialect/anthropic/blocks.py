"""The content blocks of a streamed answer: one open at a time, in whatever order a model's pieces come.

It knows no exchange. Source: the Anthropic API reference, streaming messages; anthropic 2.14 reads by the same rules.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from firstpass.chat import CallPiece, Delta, strict_json
from firstpass.dialect.anthropic.wire import NO_SEAL
from firstpass.dialect.render import named_event

Track = Literal["thinking", "redacted", "text"] | int
"""What a block is made of: thoughts, one that only its maker can read, text, or the call with this number."""

NO_OBJECT = "INVALID_JSON"
"""The key that Anthropic's documentation of fine-grained tool streaming gives to arguments that are no JSON object."""


def as_object(arguments: str) -> dict[str, Any] | None:
    """What a tool is called with; None for what is no JSON object. A call without arguments has an empty one.

    JSON can say half a UTF-16 pair, which no API takes: it is a question mark, as in all that models write.
    """
    try:
        value = strict_json(arguments) if arguments.strip() else {}
        if "\\u" in arguments:
            value = strict_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@dataclass(slots=True)
class _Call:
    """arguments: all that came; of them `written` characters are out. early: what came before its name."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    written: int = 0
    early: str = ""
    closed: bool = False
    wrapped: bool = False

    @property
    def may_be_object(self) -> bool:
        return self.arguments.lstrip().startswith("{")

    @property
    def complete(self) -> bool:
        return self.arguments.rstrip().endswith("}") and as_object(self.arguments) is not None


@dataclass(frozen=True, slots=True)
class _Piece:
    track: Track
    text: str = ""
    signature: str | None = None


@dataclass(slots=True)
class Blocks:
    """Takes the deltas of a reply's first choice and gives events.

    A piece that belongs to another block than the open one closes it, unless that is a call whose arguments are not
    complete: then the piece waits, since a closed block can not be opened again.
    prefix: of the ids of calls that have none. thinking_shown: whether more of thoughts than their signature is given.
    """

    prefix: str
    thinking_shown: bool = True
    count: int = 0
    _open: Track | None = None
    _calls: dict[int, _Call] = field(default_factory=dict)
    _waiting: list[_Piece] = field(default_factory=list)

    @property
    def called(self) -> bool:
        return bool(self._calls)

    @property
    def broken(self) -> str | None:
        """The name of a call whose arguments are no JSON object although their block is closed."""
        calls = (call for call in self._calls.values() if call.closed and not call.wrapped)
        return next((call.name or "a nameless tool" for call in calls if not _sound(call)), None)

    def add(self, delta: Delta) -> Iterator[bytes]:
        for piece in self._pieces(delta):
            if piece.track == self._open:
                yield from self._write(piece)
            else:
                self._waiting.append(piece)
            yield from self._go_on()

    def close(self) -> Iterator[bytes]:
        """Everything that still waits, and the end of the last block; an answer without any has an empty text."""
        for index, call in self._calls.items():
            if not call.name:
                self._waiting.append(_Piece(index, call.early))
        while self._waiting:
            yield from self._shut()
            yield from self._go_on()
        yield from self._shut()
        if not self.count:
            yield from self._begin("text")
            yield from self._shut()

    def _pieces(self, delta: Delta) -> Iterator[_Piece]:
        if delta.reasoning and self.thinking_shown:
            yield _Piece("thinking", delta.reasoning)
        if delta.signature is not None:
            yield _Piece("thinking", signature=delta.signature)
        if delta.redacted is not None:
            yield _Piece("redacted", delta.redacted)
        for said in (delta.text, delta.refusal):
            if said:
                yield _Piece("text", said)
        for piece in delta.calls:
            yield from self._call_piece(piece)

    def _call_piece(self, piece: CallPiece) -> Iterator[_Piece]:
        """vllm-project/vllm pull request 34887: the first piece of a call may have some of its arguments already."""
        call = self._calls.setdefault(piece.index, _Call())
        begun = bool(call.name)
        call.id, call.name = call.id or piece.id or "", call.name or piece.name or ""
        if not call.name:
            call.early += piece.arguments
        elif call.closed:
            call.arguments += piece.arguments
        elif piece.arguments or not begun:
            yield _Piece(piece.index, call.early + piece.arguments)
            call.early = ""

    def _go_on(self) -> Iterator[bytes]:
        """Write what waits, as far as the open block may be left for it."""
        while self._waiting and self._may_leave():
            track = self._waiting[0].track
            mine = self._leading(track)
            if track != self._open:
                yield from self._shut()
                yield from self._begin(track, mine[0].text)
            for piece in mine:
                yield from self._write(piece)

    def _may_leave(self) -> bool:
        return not isinstance(self._open, int) or self._calls[self._open].complete

    def _leading(self, track: Track) -> list[_Piece]:
        """Take all that waits of a call, since it has one block alone; of other tracks the first piece."""
        if isinstance(track, int):
            mine = [piece for piece in self._waiting if piece.track == track]
            self._waiting = [piece for piece in self._waiting if piece.track != track]
            return mine
        return [self._waiting.pop(0)]

    def _begin(self, track: Track, data: str = "") -> Iterator[bytes]:
        """data: of a thought that only its maker can read. vllm-project/vllm#39056: no delta comes before this."""
        block: dict[str, Any] = {"type": "text", "text": ""}
        if track == "thinking":
            block = {"type": "thinking", "thinking": "", "signature": ""}
        elif track == "redacted":
            block = {"type": "redacted_thinking", "data": data}
        elif isinstance(track, int):
            call = self._calls[track]
            block = {"type": "tool_use", "id": call.id or f"{self.prefix}_{track}", "name": call.name, "input": {}}
        self._open, self.count = track, self.count + 1
        yield named_event("content_block_start", index=self.count - 1, content_block=block)

    def _write(self, piece: _Piece) -> Iterator[bytes]:
        if isinstance(piece.track, int):
            yield from self._arguments(self._calls[piece.track], piece.text)
        elif piece.track == "redacted":
            yield from self._shut()
        elif piece.signature is not None:
            yield from self._shut(piece.signature)
        elif piece.track == "thinking":
            yield self._delta("thinking_delta", thinking=piece.text)
        else:
            yield self._delta("text_delta", text=piece.text)

    def _arguments(self, call: _Call, more: str) -> Iterator[bytes]:
        """What can not become an object is held until the block ends: no client could read it piece by piece."""
        call.arguments += more
        fresh = call.arguments[call.written :]
        if fresh and call.may_be_object:
            call.written = len(call.arguments)
            yield self._delta("input_json_delta", partial_json=fresh)

    def _delta(self, kind: str, **fields: str) -> bytes:
        return named_event("content_block_delta", index=self.count - 1, delta={"type": kind} | fields)

    def _shut(self, seal: str = NO_SEAL) -> Iterator[bytes]:
        if self._open is None:
            return
        if self._open == "thinking":
            yield self._delta("signature_delta", signature=seal)
        if isinstance(self._open, int):
            call = self._calls[self._open]
            call.closed = True
            if call.arguments.strip() and not call.may_be_object:
                call.wrapped = True
                yield self._delta("input_json_delta", partial_json=json.dumps({NO_OBJECT: call.arguments}))
        self._open = None
        yield named_event("content_block_stop", index=self.count - 1)


def _sound(call: _Call) -> bool:
    return bool(call.name) and as_object(call.arguments) is not None
