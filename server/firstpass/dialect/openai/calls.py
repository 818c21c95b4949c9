"""The calls of a streamed reply, told apart whatever number an engine gives them. It knows no event and no reply.

Engines number every call 0, leave the number out, or say the id with each piece or with the first alone; clients take
the number's word for it. Sources: mcowger/plexus#691, ai-dynamo/dynamo#4723, su-kaka/gcli2api#406.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from firstpass.chat import NO_ARGUMENTS, CallPiece
from firstpass.dialect.values import count, text

MARKS = re.compile(r'[\\"{}\[\]]')


@dataclass(slots=True)
class _Progress:
    """How far a JSON object has been written. Each character of it is looked at once."""

    depth: int = 0
    in_text: bool = False
    escaped: bool = False
    begun: bool = False

    @property
    def whole(self) -> bool:
        return self.begun and not self.in_text and self.depth <= 0

    def add(self, piece: str) -> None:
        skipped = 0 if self.escaped else -1
        for match in MARKS.finditer(piece):
            at, mark = match.start(), match[0]
            if at == skipped:
                continue
            if mark == "\\":
                skipped = at + 1 if self.in_text else skipped
            elif mark == '"':
                self.in_text = not self.in_text
            elif not self.in_text:
                self.depth += 1 if mark in "{[" else -1
        self.escaped = skipped == len(piece)
        self.begun = self.begun or bool(piece.strip())


@dataclass(slots=True)
class _Call:
    """place: the engine's number for it. held: arguments that wait for the name. told: its name is out.

    sent_id: the id, or one of its own where an earlier call has that: results are told apart by it.
    """

    index: int
    place: int | None
    id: str = ""
    sent_id: str = ""
    name: str = ""
    held: list[str] = field(default_factory=list)
    told: bool = False
    id_told: bool = False
    closed: bool = False
    progress: _Progress = field(default_factory=_Progress)


@dataclass(frozen=True, slots=True)
class _Entry:
    place: int | None
    id: str
    name: str
    arguments: str
    bare: bool
    """Nothing is said of a function."""


class CallReader:
    """Reads the calls of one choice. tools: the names that a call may have; by them a name in pieces is known.

    prefix: of the ids of calls that have none when their names are out; "" leaves them without.
    """

    def __init__(self, tools: Collection[str] = (), prefix: str = "") -> None:
        self._tools = tools
        self._prefix = prefix
        self._calls: list[_Call] = []
        self._last: _Call | None = None
        self._by_id: dict[str, _Call] = {}
        self._sent: set[str] = set()
        self._by_place: dict[int, _Call] = {}

    def read(self, entries: Iterable[dict[str, Any]]) -> list[CallPiece]:
        """The pieces that a delta's calls are, each under its own call's index. Raises: one of NONSENSE."""
        return [piece for entry in entries for piece in self._pieces(_entry(entry))]

    def end(self) -> list[CallPiece]:
        """What is still to be said at the reply's end: names that might have gone on, and `{}` for no arguments."""
        pieces: list[CallPiece] = []
        for call in self._calls:
            if not call.told:
                pieces += self._tell(call)
            if not call.closed and not call.progress.begun:
                pieces.append(CallPiece(call.index, arguments=NO_ARGUMENTS))
            call.closed = True
        return pieces

    def _pieces(self, entry: _Entry) -> Iterator[CallPiece]:
        call = self._call_of(entry)
        if call is None:
            for earlier in self._calls:
                if not earlier.told and earlier.name:
                    yield from self._tell(earlier)
            call = _Call(len(self._calls), entry.place)
            self._calls.append(call)
        self._last = call
        if entry.place is not None:
            self._by_place[entry.place] = call
        if entry.id and not call.id:
            call.id, call.sent_id = entry.id, unlike(entry.id, call.index, self._sent)
            self._by_id[entry.id] = call
            self._sent.add(call.sent_id)
        if entry.name:
            self._name(call, entry.name)
        if not call.closed:
            call.progress.add(entry.arguments)
            yield from self._say(call, entry.arguments if call.progress.begun else "")

    def _call_of(self, entry: _Entry) -> _Call | None:
        """The call that a piece goes on with, None for a new one."""
        here = self._last if entry.place is None else self._at(entry.place)
        if entry.id:
            return self._by_its_id(entry, here)
        if here is None or not (entry.name and here.name):
            return here
        if here.progress.begun:
            return None if here.progress.whole else here
        return here if self._continues(here, entry.name) else None

    def _at(self, place: int) -> _Call | None:
        if place in self._by_place:
            return self._by_place[place]
        known = self._calls[place] if place < len(self._calls) else None
        return known if known is not None and known.place is None else None

    def _by_its_id(self, entry: _Entry, here: _Call | None) -> _Call | None:
        """A known id is its call's, except with another number and a name: some engines give all calls one id.

        A new id begins a call, except without a name while one is being written: some engines make one up a piece.
        """
        if here is not None and here.id == entry.id:
            again = entry.name and entry.arguments.strip() and here.progress.whole
            return None if again else here
        known = self._by_id.get(entry.id)
        if known is not None and (entry.place in (None, known.place) or known.place is None or not entry.name):
            return known
        if known is not None or here is None:
            return None
        if not here.id and not (entry.name and here.name):
            return here
        return None if entry.name or entry.bare or here.progress.whole else here

    def _continues(self, call: _Call, more: str) -> bool:
        """Whether it is of the call's name: said again, in pieces, or again with more of it.

        An engine that gives ids gives one to each call, so no id is a new call's only where the name is surely whole.
        """
        if more.startswith(call.name) or any(tool.startswith(call.name + more) for tool in self._tools):
            return True
        return bool(call.id) and more not in self._tools

    def _name(self, call: _Call, more: str) -> None:
        joined = call.name + more
        if not call.name:
            call.name = more
        elif call.told or call.progress.begun or call.name == more:
            return
        elif more.startswith(call.name) and not any(tool.startswith(joined) for tool in self._tools):
            call.name = more
        else:
            call.name = joined

    def _say(self, call: _Call, arguments: str) -> Iterator[CallPiece]:
        if not call.told:
            call.held.append(arguments)
            if call.name and (call.progress.begun or not self._may_grow(call.name)):
                yield from self._tell(call)
            return
        late = call.sent_id if call.id and not call.id_told else None
        call.id_told = call.id_told or bool(call.id)
        yield CallPiece(call.index, late, None, arguments)

    def _may_grow(self, name: str) -> bool:
        return name not in self._tools or any(tool != name and tool.startswith(name) for tool in self._tools)

    def _tell(self, call: _Call) -> Iterator[CallPiece]:
        if not call.sent_id and self._prefix:
            call.sent_id = f"{self._prefix}_{call.index}"
        call.told, call.id_told = True, bool(call.sent_id)
        yield CallPiece(call.index, call.sent_id or None, call.name or None, "".join(call.held))
        call.held.clear()


def unlike(call_id: str, index: int, taken: Collection[str]) -> str:
    """The id of a call, made another one where an earlier call has it."""
    while call_id and call_id in taken:
        call_id = f"{call_id}_{index}"
    return call_id


def as_sent(piece: CallPiece) -> dict[str, Any]:
    """A piece as a delta has it: the id and the name once, the index always."""
    named = {"id": piece.id, "type": "function"} if piece.id else {}
    name = {"name": piece.name} if piece.name else {}
    return {"index": piece.index} | named | {"function": name | {"arguments": piece.arguments}}


def says(call: dict[str, Any], piece: CallPiece) -> bool:
    """Whether a call of a delta says what the piece does, as it stands."""
    function = call.get("function") or {}
    told = (call.get("index"), call.get("id") or None, function.get("name") or None, function.get("arguments", ""))
    return told == (piece.index, piece.id, piece.name, piece.arguments)


def _entry(call: dict[str, Any]) -> _Entry:
    function, place = call.get("function") or {}, call.get("index")
    given = function.get("arguments")
    written = json.dumps(given, ensure_ascii=False) if isinstance(given, dict) else given
    return _Entry(
        None if place is None else count(place),
        text(call.get("id")),
        text(function.get("name")),
        text(written),
        bare=not function,
    )
