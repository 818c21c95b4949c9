"""A message with what its placeholders stand for: in its texts, never in calls of tools.

Thoughts keep their placeholders too: they go back to their maker as they were. It knows no connection.
"""

import json
from collections.abc import Iterator
from typing import Any

from firstpass.dialect.render import dump, named_event
from firstpass.redaction import Placeholders, Restorer


class AnthropicRestoring:
    """escaped: the texts are JSON."""

    def __init__(self, places: Placeholders, *, escaped: bool) -> None:
        self._places = places
        self._escaped = escaped
        self._restorers: dict[int | None, Restorer] = {}

    def whole(self, raw: bytes) -> bytes:
        answer = json.loads(raw)
        for block in answer.get("content") or ():
            if block["type"] == "text" and isinstance(block["text"], str):
                block["text"] = self._places.restore(block["text"], escaped=self._escaped)
        self._restore_reason(answer)
        return dump(answer)

    def event(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Events, with their data, in the place of one. What was held back comes before its block ends."""
        fields = json.loads(data)
        match fields["type"]:
            case "content_block_start" if fields["content_block"]["type"] == "text":
                self._feed(fields, fields["content_block"])
            case "content_block_delta" if fields["delta"]["type"] == "text_delta":
                self._feed(fields, fields["delta"])
            case "content_block_stop" if restorer := self._restorers.pop(fields.get("index"), None):
                if rest := restorer.end():
                    yield _written(_more(fields.get("index"), rest))
            case "message_delta" | "message_stop":
                yield from self._rest()
                self._restore_reason(fields.get("delta") or {})
        yield _written(fields)

    def _rest(self) -> Iterator[tuple[bytes, bytes]]:
        """Of blocks that nobody ended."""
        for place, restorer in self._restorers.items():
            if rest := restorer.end():
                yield _written(_more(place, rest))
        self._restorers.clear()

    def _feed(self, fields: dict[str, Any], block: dict[str, Any]) -> None:
        place = fields.get("index")
        if place not in self._restorers:
            self._restorers[place] = self._places.restorer(escaped=self._escaped)
        block["text"] = self._restorers[place].feed(block["text"])

    def _restore_reason(self, ended: dict[str, Any]) -> None:
        if isinstance(ended.get("stop_sequence"), str):
            ended["stop_sequence"] = self._places.restore(ended["stop_sequence"])


def _more(place: int | None, text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": place, "delta": {"type": "text_delta", "text": text}}


def _written(fields: dict[str, Any]) -> tuple[bytes, bytes]:
    """An event, and its data."""
    raw = named_event(fields["type"], **fields)
    return raw, raw.partition(b"\ndata: ")[2].rstrip(b"\n")
