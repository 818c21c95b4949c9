"""A reply of chat or plain completions with what its placeholders stand for: in its texts, never in calls of tools.

Thoughts keep their placeholders too: they go back to their maker as they were. It knows no connection.
"""

import json
from collections.abc import Iterator
from typing import Any

from firstpass.dialect.openai.read_reply import BASE, DONE
from firstpass.dialect.render import dump, event
from firstpass.redaction import Placeholders, Restorer

TEXTS = ("content", "text", "refusal")
MAYBE_JSON = ("content", "text")
"""Of these, the ones that are JSON where that is wanted."""


class OpenAIRestoring:
    """escaped: the texts are JSON."""

    def __init__(self, places: Placeholders, *, escaped: bool) -> None:
        self._places = places
        self._escaped = escaped
        self._restorers: dict[tuple[int, str], Restorer] = {}
        self._base: dict[str, Any] = {}

    def whole(self, raw: bytes) -> bytes:
        answer = json.loads(raw)
        for choice in answer.get("choices") or ():
            said = choice.get("message", choice)
            for name in TEXTS:
                if isinstance(said.get(name), str):
                    said[name] = self._places.restore(said[name], escaped=self._is_json(name))
            self._restore_reason(choice)
        return dump(answer)

    def event(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """What is said in the place of an event: events with their data. A choice's last holds what was held back."""
        if data == DONE:
            yield from self._rest()
            yield b"data: [DONE]\n\n", data
            return
        fields = json.loads(data)
        for choice in fields.get("choices") or ():
            self._restore(choice)
        self._base = {name: fields[name] for name in BASE if name in fields}
        yield _written(fields)

    def _rest(self) -> Iterator[tuple[bytes, bytes]]:
        """Of choices that nobody ended."""
        for (number, name), restorer in self._restorers.items():
            if rest := restorer.end():
                said = {"text": rest} if name == "text" else {"delta": {name: rest}}
                yield _written(self._base | {"choices": [{"index": number, "finish_reason": None} | said]})

    def _restore(self, choice: dict[str, Any]) -> None:
        number = choice.get("index") or 0
        if "delta" in choice:
            choice["delta"] = said = choice["delta"] or {}
        else:
            said = choice
        for name in TEXTS:
            if isinstance(said.get(name), str):
                said[name] = self._restorer(number, name).feed(said[name])
            if choice.get("finish_reason") and (rest := self._restorer(number, name).end()):
                said[name] = (said.get(name) or "") + rest
        self._restore_reason(choice)

    def _restorer(self, number: int, name: str) -> Restorer:
        key = number, name
        if key not in self._restorers:
            self._restorers[key] = self._places.restorer(escaped=self._is_json(name))
        return self._restorers[key]

    def _is_json(self, name: str) -> bool:
        return self._escaped and name in MAYBE_JSON

    def _restore_reason(self, choice: dict[str, Any]) -> None:
        """vLLM says which of the sequences ended it."""
        if isinstance(choice.get("stop_reason"), str):
            choice["stop_reason"] = self._places.restore(choice["stop_reason"])


def _written(fields: dict[str, Any]) -> tuple[bytes, bytes]:
    """An event, and its data."""
    raw = event(fields)
    return raw, raw.removeprefix(b"data: ").rstrip(b"\n")
