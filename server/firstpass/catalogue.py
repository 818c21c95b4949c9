"""Model cards and where their weights lie. It reads and checks files; it knows no engine and downloads nothing."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstpass.errors import BadSettings

CARD = "card.toml"
CONFIG = "config.json"
DIGEST_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Card:
    """A model on this disk. `sha256` maps its files' names to their hex digests; a bare directory has none."""

    name: str
    directory: Path
    context_tokens: int
    sha256: Mapping[str, str]


def roots() -> tuple[Path, ...]:
    """Where bundled models lie: inside the installed package, or in the checkout that this file belongs to."""
    here = Path(__file__).resolve()
    candidates = (here.parent / "_catalogue", here.parents[2] / "models" / "catalogue")
    return tuple(root for root in candidates if root.is_dir())


def find(name_or_path: str) -> Card:
    """A catalogue name, or the path of any local model directory.

    Raises: BadSettings where there is none, or where it is no model.
    """
    for directory in (*(root / name_or_path for root in roots()), Path(name_or_path)):
        if (directory / CONFIG).is_file():
            return _read(directory.resolve())
    known = sorted(card.parent.name for root in roots() for card in root.glob(f"*/{CARD}"))
    raise BadSettings(f"engine.model: no model {name_or_path!r}; the catalogue has {', '.join(known) or 'none'}")


def flipped(card: Card) -> list[str]:
    """The card's files that are missing or whose bytes are not the recorded ones."""
    return [name for name, digest in card.sha256.items() if _digest(card.directory / name) != digest]


def _read(directory: Path) -> Card:
    try:
        fields: dict[str, Any] = {}
        if (directory / CARD).is_file():
            fields = tomllib.loads((directory / CARD).read_text())
        config = json.loads((directory / CONFIG).read_text())
        context = int(config.get("max_position_embeddings") or config["text_config"]["max_position_embeddings"])
        return Card(str(fields.get("name", directory.name)), directory, context, dict(fields.get("sha256", {})))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSettings(f"engine.model: {directory} is no model directory: {error}") from error


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(DIGEST_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
