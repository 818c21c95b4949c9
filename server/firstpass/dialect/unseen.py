"""What a model of texts can not see in a conversation, and what takes its place. Knows fields, no model of them.

A picture that a tool once read comes again with every later request of an agent, so there it must not be an error: a
short text says that something was here. In the newest turn of the user it stays one: the answer would be about it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

SAYS = "[{} was here; this model reads text alone]"


def without_unseen(parts: Any, path: str, kinds: Mapping[str, str], text_type: str, left_out: list[str]) -> Any:
    """A list of parts with texts in the place of those of the kinds; anything else as it is.

    kinds: by the part's type, what it is called. left_out: gets the path of each that was replaced.
    """
    if not isinstance(parts, list):
        return parts
    kept = []
    for at, part in enumerate(parts):
        kind = kinds.get(str(part.get("type"))) if isinstance(part, dict) else None
        if kind is not None:
            left_out.append(f"{path}.{at}")
            part = {"type": text_type, "text": SAYS.format(kind)}
        kept.append(part)
    return kept


def turns(fields: Mapping[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """(place, turn, whether it is the newest of the user's) of the list of that name; what is no object is skipped."""
    listed = fields.get(name)
    found = [(at, one) for at, one in enumerate(listed) if isinstance(one, dict)] if isinstance(listed, list) else []
    newest = max((at for at, one in found if one.get("role") == "user"), default=-1)
    return ((at, one, at == newest) for at, one in found)
