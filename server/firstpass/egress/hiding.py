"""A request's body without the secrets in it: every text is looked through, in whatever field it stands.

It knows which fields of the hosted APIs are no text. There nothing can be replaced, so that a secret there is refused;
so is what nothing here can look into.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from firstpass.errors import Forbidden
from firstpass.redaction import Placeholders, Redactor

FORMED = frozenset(
    (
        *("id", "call_id", "tool_call_id", "tool_use_id", "name", "type", "role", "model", "media_type"),
        *("signature", "data", "reasoning_effort", "effort", "service_tier"),
    )
)
"""Fields whose values have a form that the API minds, or that only their maker can read."""

OPEN = frozenset({"input", "parameters", "input_schema", "schema", "metadata", "chat_template_kwargs"})
"""Below these, fields are called as the caller likes."""

ABOUT = frozenset({"default", "const", "enum", "examples"})
"""In a schema, values of the property that it is of."""

UNSEEN = frozenset({"image", "image_url", "input_image", "document", "file", "input_file", "input_audio"})
"""Types of what is no text."""

MOST_SECONDS = 10.0
"""For a body, so that one request does not keep others waiting for long."""

MOST_NAMED = 1_000
"""Characters of a value that may be a secret because of its name; a longer one is a text."""

GUESSED = "RANDOM"
"""The kind of what only looks as if it was drawn at random: identifiers do."""


class Hiding:
    """One body. places: what was hidden, so that the reply can be put right."""

    def __init__(self, redactor: Redactor, places: Placeholders) -> None:
        self._redactor = redactor
        self._places = places
        self._checked = set[str]()
        self._is_second = False
        self._until = time.monotonic() + MOST_SECONDS

    def request(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """The body without its secrets. Raises: Forbidden where it or a header can't be without."""
        for name, value in headers.items():
            self._check(value, f"the header {name}")
        return self.body(body)

    def body(self, body: bytes) -> bytes:
        """Raises: Forbidden where it can't be without its secrets."""
        try:
            hidden = self._value(json.loads(body), "body", is_open=False)
            if self._places:  # What was found late may stand in a text before it.
                self._is_second = True
                hidden = self._value(hidden, "body", is_open=False)
            return json.dumps(hidden, separators=(",", ":")).encode()
        except RecursionError as error:
            raise _forbidden("what is nested this deep can't be redacted") from error

    def _check(self, text: str, where: str) -> None:
        """Of a text in which nothing can be replaced. Raises: Forbidden for a secret in it."""
        new = () if text in self._checked else self._redactor.find(text, self._tick)
        found = [one.kind for one in new if one.kind != GUESSED]
        found += ["SECRET"] if self._redactor.again(text, self._places, self._tick) != text else []
        if found:
            raise _forbidden(f"there is a secret ({found[0]}) in {where[:80]}, where it can't be replaced")
        self._checked.add(text)

    def _hide(self, text: str) -> str:
        look = self._redactor.again if self._is_second else self._redactor.hide
        return look(text, self._places, self._tick)

    def _named(self, value: str, name: str) -> str:
        """A value of a caller's own field: the field's name may say that it is secret."""
        if len(value) > MOST_NAMED:
            return self._hide(value)
        whole = f"{name} = {json.dumps(value)}"
        before, _, said = self._hide(whole).partition(" = ")
        if before != name or said == json.dumps(value):
            return self._hide(value)
        return str(json.loads(said)) if said.startswith('"') else said

    def _tick(self) -> None:
        """Raises: Forbidden once a body has had its time: some texts take the detectors far longer than others."""
        if time.monotonic() > self._until:
            raise _forbidden(f"its secrets were not all found in {MOST_SECONDS:g} s")

    def _value(self, value: Any, where: str, *, is_open: bool) -> Any:
        if isinstance(value, str):
            return self._named(value, where) if is_open else self._hide(value)
        if is_open and isinstance(value, int | float) and not isinstance(value, bool):
            said = self._named(str(value), where)
            return value if said == str(value) else said
        if isinstance(value, list):
            return [self._value(one, where, is_open=is_open) for one in value]
        return self._object(value, where, is_open=is_open) if isinstance(value, dict) else value

    def _object(self, fields: Mapping[str, Any], where: str, *, is_open: bool) -> dict[str, Any]:
        kind = fields.get("type")
        if not is_open and isinstance(kind, str) and kind in UNSEEN:
            raise _forbidden(f"what is in a part of the type {kind} can't be redacted")
        made = {}
        for name, value in fields.items():
            self._check(name, f"the name of a field of {where}")
            if not is_open and name in FORMED and isinstance(value, str):
                self._check(value, name)
                made[name] = value
            else:
                about = where if is_open and name in ABOUT else name
                made[name] = self._value(value, about, is_open=is_open or name in OPEN)
        return made


def _forbidden(why: str) -> Forbidden:
    message = f"the egress ceiling of this request is redacted, and {why}"
    return Forbidden(message, part="egress", param="firstpass.egress", code="egress_forbidden")
