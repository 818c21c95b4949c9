"""A verdict on a draft: that it is right, or the edits that make it so. Knows no diff, no section and no tier.

So a verifier need not repeat what is right. A nonce binds the verdict to one question: text inside the draft can not
know it.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
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

_THOUGHT, _THOUGHT_ENDS = "<think>", "</think>"
_FENCE, _OPENINGS = "```", ("```", "```json")
_FIELD = '"nonce"'
"""Whatever names it beside the verdict is another verdict."""


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
    verdict = _alone(text)
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


def _alone(text: str) -> object:
    """What the one JSON value says that stands for the verdict, in the text or after thoughts that ended in it.

    Where such a thought ends can not be told from the text alone: a draft may speak of one, and so the edits of a
    verdict. In time that is linear in the text. Raises: BadVerdict.
    """
    for said in (text, text.partition(_THOUGHT_ENDS)[2], text.rpartition(_THOUGHT_ENDS)[2]):
        block, prose = _parted(said.strip())
        if block is None or any(mark in prose for mark in (_THOUGHT, _THOUGHT_ENDS, _FIELD)):
            continue
        with suppress(ValueError, RecursionError):
            value: object = json.loads(block, object_pairs_hook=_once, parse_constant=_no_json)
            return value
    raise _bad("is not JSON, or does not stand there alone")


def _parted(said: str) -> tuple[str | None, str]:
    """(what stands for the verdict, all beside it): the whole text, the one block in a fence, or all from the first
    line that begins an object. None where there are several blocks.
    """
    if said.startswith("{"):
        return said, ""
    blocks, prose = _blocks(said)
    if blocks:
        return blocks[0] if len(blocks) == 1 else None, prose
    begins = said.find("\n{") + 1
    return said[begins:], said[:begins]


def _blocks(text: str) -> tuple[list[str], str]:
    """(what stands between fences as JSON or as anything, all else). A fence is on a line of its own."""
    blocks, outside = list[str](), list[str]()
    inside: list[str] | None = None
    for line in text.split("\n"):
        bare = line.strip()
        if inside is None and bare.startswith(_FENCE):
            inside = list[str]()
            lines = inside if bare in _OPENINGS else outside
        elif inside is None:
            outside.append(line)
        elif bare == _FENCE:
            blocks += ["\n".join(inside)] if lines is inside else []
            inside = None
        else:
            lines.append(line)
    return blocks, "\n".join([*outside, *(inside or ())])


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
