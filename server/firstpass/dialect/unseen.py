"""What a model can not see in a conversation, and what takes its place. Knows fields, no model of them.

A picture that a tool once read comes again with every later request of an agent, so there it must not be an error: a
short text says that something was here. In the newest turn of the user it stays one: the answer would be about it.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from firstpass.chat import Message
from firstpass.errors import BadAsk

IMAGE = "an image"
SAYS = "[{} was here; {}]"
READS = "this model reads {} alone"


@dataclass(frozen=True, slots=True)
class Sight:
    """What of a list of parts is shown to a model. A document of plain text is that text.

    kinds: by a part's type, what it is called, for those that are no text. picture: such a part with an image.
    sees: whether the model takes images. left_out: gets the path of each part that has a text in its place.
    """

    kinds: Mapping[str, str]
    picture: type[BaseModel]
    text_type: str
    sees: bool
    left_out: list[str] = field(default_factory=list)

    def show(self, turn: dict[str, Any], name: str, path: str, *, fresh: bool = False, images: bool = True) -> None:
        """Puts texts in the place of what is not seen in that list of the turn's, if it is one.

        images: whether there can be some here. Raises: BadAsk for a fresh part that is not seen.
        """
        if isinstance(parts := turn.get(name), list):
            for at, part in enumerate(parts):
                parts[at] = self._shown(part, f"{path}.{name}.{at}", fresh=fresh, images=images)

    def _shown(self, part: Any, path: str, *, fresh: bool, images: bool) -> Any:
        kind = self.kinds.get(str(part.get("type"))) if isinstance(part, dict) else None
        seen = self.sees and images and kind == IMAGE
        if kind is None or (seen and fresh):
            return part
        if seen:
            with suppress(ValidationError):
                return self.picture.model_validate(part)
        if (said := _plain(part)) is not None:
            return {"type": self.text_type, "text": said}
        reads = READS.format("text and images" if self.sees else "text")
        if fresh:
            text = f"{path}: {part['type']} is not supported; {reads}"
            raise BadAsk(text, param=path, code="unsupported_value")
        self.left_out.append(path)
        why = "it can not be passed on" if self.sees and kind == IMAGE else reads
        return {"type": self.text_type, "text": SAYS.format(kind, why)}


def _plain(part: dict[str, Any]) -> str | None:
    """What a document of plain text says."""
    source, title = part.get("source"), part.get("title")
    if not isinstance(source, dict) or source.get("type") != "text" or not isinstance(source.get("data"), str):
        return None
    return f"{title}\n\n{source['data']}" if isinstance(title, str) else source["data"]


def without_images(message: Message) -> Message:
    """Of the record, for a model that takes none."""
    says = SAYS.format(IMAGE, READS.format("text"))
    return replace(message, content=message.told(lambda image: says), images=())


def turns(fields: Mapping[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """(place, turn, whether it is the newest of the user's) of the list of that name; what is no object is skipped."""
    listed = fields.get(name)
    found = [(at, one) for at, one in enumerate(listed) if isinstance(one, dict)] if isinstance(listed, list) else []
    newest = max((at for at, one in found if one.get("role") == "user"), default=-1)
    return ((at, one, at == newest) for at, one in found)
