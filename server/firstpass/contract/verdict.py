"""A verdict on a draft: that it is right, or the edits that make it so. Knows no diff, no section and no tier.

So a verifier need not repeat what is right. A nonce binds the verdict to one question: text inside the draft can not
know it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from firstpass.errors import BadVerdict

MOST_EDITS = 32
MOST_CHARACTERS = 4_000
"""Of one edit's text: a whole section, but no essay."""

RESPONSE_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "nonce": {"type": "string"},
                "ok": {"type": "boolean"},
                "edits": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"span": {"type": "string"}, "text": {"type": "string"}},
                        "required": ["span", "text"],
                        "additionalProperties": False,
                    },
                },
            },
            "required": ["nonce", "ok", "edits"],
            "additionalProperties": False,
        },
    },
}
"""The same for every question, so that an engine compiles it once. Lengths are checked here: not every host can."""

_THOUGHT = "</think>"
_OPENINGS, _CLOSING = ("```", "```json"), "```"


@dataclass(frozen=True, slots=True)
class Edit:
    """In the place of `span`, which stands in the draft exactly once, comes `text`."""

    span: str
    text: str


def render_verdict(nonce: str, edits: Sequence[Edit]) -> str:
    """As a verifier should write it: no edits mean that the draft is right."""
    return json.dumps({"nonce": nonce, "ok": not edits, "edits": [asdict(edit) for edit in edits]}, ensure_ascii=False)


def read_verdict(text: str, nonce: str) -> tuple[Edit, ...]:
    """The edits; none where the draft is right. Thoughts, prose and a code fence may stand around the JSON.

    Raises: BadVerdict, with what is wrong, for what is not exactly one verdict on this question.
    """
    try:
        verdict = json.loads(_alone(text), object_pairs_hook=_once, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise _bad("is not JSON") from error
    if not isinstance(verdict, dict) or verdict.keys() != {"nonce", "ok", "edits"}:
        raise _bad("must be an object with nonce, ok and edits")
    if verdict["nonce"] != nonce:
        raise _bad("has not the nonce of this question")
    if not isinstance(verdict["ok"], bool) or not isinstance(verdict["edits"], list):
        raise _bad("must have a boolean ok and a list of edits")
    edits = tuple(_edit(item) for item in verdict["edits"][: MOST_EDITS + 1])
    if len(edits) > MOST_EDITS:
        raise _bad(f"has more than {MOST_EDITS} edits")
    if verdict["ok"] == bool(edits):
        raise _bad("must have edits if and only if the draft is not ok")
    return edits


def _alone(text: str) -> str:
    """What stands for the verdict: all after the thoughts, or the one block in a fence there, or all from the first
    line that begins an object. In time that is linear in the text. Raises: BadVerdict where there are several blocks.
    """
    said = text.rpartition(_THOUGHT)[2].strip()
    if said.startswith("{"):
        return said
    blocks = _blocks(said)
    if len(blocks) > 1:
        raise _bad("stands among several blocks of code")
    if blocks:
        return blocks[0]
    return said[said.find("\n{") + 1 :]


def _blocks(text: str) -> list[str]:
    """What stands between fences that are lines of their own, as JSON or as anything."""
    blocks, inside = list[str](), None
    for line in text.split("\n"):
        if inside is None:
            inside = list[str]() if line.strip() in _OPENINGS else None
        elif line.strip() == _CLOSING:
            blocks.append("\n".join(inside))
            inside = None
        else:
            inside.append(line)
    return blocks


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two that say the same thing differently, a reader that took one would choose the verdict itself."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _bad("has a field twice")
    return fields


def _no_json(constant: str) -> None:
    """Python alone reads NaN and Infinity. Raises: ValueError."""
    raise ValueError(constant)


def _edit(item: object) -> Edit:
    if not isinstance(item, dict) or item.keys() != {"span", "text"}:
        raise _bad("must have edits of a span and a text")
    span, text = item["span"], item["text"]
    if not isinstance(span, str) or not isinstance(text, str) or not span or len(text) > MOST_CHARACTERS:
        raise _bad(f"must have edits of a span that is not empty and a text of at most {MOST_CHARACTERS} characters")
    if text.encode("utf-8", "replace").decode() != text:
        raise _bad("has half a surrogate pair, which is no character")
    return Edit(span, text)


def edited(draft: str, edits: Sequence[Edit]) -> str:
    """The draft with all edits made at once; each span is looked for in the draft as it was.

    Raises: BadVerdict where a span stands in the draft not exactly once, two of them overlap, or all of them together
    leave the draft as it was, or nothing of it: who finds fault with a draft does not stand for it so.
    """
    placed = sorted(((_place(draft, edit.span), edit) for edit in edits), key=lambda pair: pair[0])
    parts, at = [], 0
    for start, edit in placed:
        if start < at:
            raise _bad("has edits that overlap")
        parts += [draft[at:start], edit.text]
        at = start + len(edit.span)
    after = "".join([*parts, draft[at:]])
    if edits and after == draft:
        raise _bad("has edits that change nothing")
    if edits and not after.strip():
        raise _bad("has edits that leave nothing of the draft")
    return after


def _place(draft: str, span: str) -> int:
    place = draft.find(span)
    if place < 0 or draft.find(span, place + 1) >= 0:
        raise _bad(f"edits a span that does not stand in the draft exactly once: {span[:80]!r}")
    return place


def _bad(what: str) -> BadVerdict:
    return BadVerdict(f"the verdict {what}", part="verifier")
