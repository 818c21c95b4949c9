"""The catalogue: every model with a card, where its weights lie, and what an engine needs of it. Opens no socket.

A card without a `hub` table has its weights beside it: in the wheel, or (card: wheel = false) in the repository only.
A card with one has them in the models directory, once `firstpass models pull` has brought them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from firstpass import gguf
from firstpass.catalogue.card import CARD, Card, Hub, read_card
from firstpass.catalogue.disk import (
    LOCK,
    WEIGHTS,
    WITH_LLAMA,
    Damage,
    Held,
    Lock,
    context_of,
    damage,
    holds_gguf,
    read_lock,
    takes_images,
    the_gguf,
    write_lock,
)
from firstpass.errors import BadSettings

__all__ = [
    "Card",
    "Damage",
    "Held",
    "Hub",
    "Lock",
    "Model",
    "Place",
    "Recorded",
    "cards",
    "damage",
    "find",
    "find_gguf",
    "flipped",
    "is_gguf",
    "named",
    "on_this_disk",
    "place",
    "read_lock",
    "recorded",
    "weights_directory",
    "write_lock",
]

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

Place = Literal["bundled", "repository", "pulled", "not pulled"]


@dataclass(frozen=True, slots=True)
class Model:
    """A model on this disk, ready for an engine.

    sha256: hex digests of its files by name; empty for a directory without a card.
    sizes: bytes of its files, known of a pulled model.
    contracts, least_told: as the card says. images: whether it takes some.
    gguf: the file that all of it is in, where it is for llama.cpp.
    """

    name: str
    directory: Path
    context_tokens: int
    sha256: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    vllm_flags: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    least_told: float | None = None
    images: bool = False
    gguf: Path | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A directory and the digests that its files must have."""

    name: str
    directory: Path
    sha256: Mapping[str, str]


def roots() -> tuple[Path, ...]:
    """Where cards lie: inside the installed package, or in the checkout that this file belongs to."""
    here = Path(__file__).resolve().parent
    candidates = (here.parent / "_catalogue", here.parents[2] / "models" / "catalogue")
    return tuple(root for root in candidates if root.is_dir())


def cards() -> tuple[Card, ...]:
    """All of them, small ones first. Raises: BadSettings for a card that can't be read."""
    found: dict[str, Card] = {}
    for path in (path for root in roots() for path in sorted(root.glob(f"*/{CARD}"))):
        found.setdefault(path.parent.name, read_card(path))
    return tuple(sorted(found.values(), key=lambda card: (card.parameters_total, card.name)))


def named(name: str) -> Card:
    """Raises: BadSettings where no card has the name."""
    if card := _by_name(name):
        return card
    raise BadSettings(f"no model {name!r}; the catalogue has {_known()}")


def _by_name(name: str) -> Card | None:
    return next((card for card in cards() if card.name == name.lower()), None)


def _known() -> str:
    return ", ".join(card.name for card in cards()) or "none"


def place(card: Card, models_dir: Path) -> Place:
    if card.hub is None:
        return "bundled" if card.wheel else "repository"
    lock = read_lock(models_dir / card.name)
    return "pulled" if lock and lock.complete else "not pulled"


def find(name_or_path: str, models_dir: Path | None = None) -> Model:
    """A catalogue name, or the path of any local model directory.

    models_dir: where pulled models lie.
    Raises: BadSettings where there is none, where it is not pulled, or where a file is missing or broken.
    """
    if card := _by_name(name_or_path):
        return _open(weights_directory(card, models_dir), card)
    try:
        directory = Path(name_or_path).expanduser()
        if directory.is_dir():
            return _open(directory.resolve(), None)
        raise BadSettings(f"engine.model: {_not_there(name_or_path, directory)}")
    except (OSError, RuntimeError) as error:
        raise BadSettings(f"engine.model: {name_or_path!r} can not be looked at: {error}") from error


def is_gguf(name_or_path: str) -> bool:
    """Whether it is a GGUF file, or a directory of such alone; a name of the catalogue is none."""
    path = Path(name_or_path)
    try:
        path = path.expanduser()
        if not path.is_dir():
            return path.suffix.lower() == gguf.SUFFIX
        return holds_gguf(path) and _by_name(name_or_path) is None
    except (OSError, RuntimeError):
        return False


def find_gguf(name_or_path: str, models_dir: Path | None = None) -> Model:
    """A model for llama.cpp: a GGUF file, or a directory or a catalogue name whose directory has one.

    It is called as its file is. A card has to lie beside it, or be that of the name.
    Raises: BadSettings where there is none, or more than one, or where it is no whole model.
    """
    card = _by_name(name_or_path)
    try:
        path = _of_card(card, models_dir) if card else Path(name_or_path).expanduser()
        if not path.exists():
            raise BadSettings(f"engine.model: {_not_there(name_or_path, path)}")
        file = the_gguf(path.resolve())
        if card is None and (file.parent / CARD).is_file():
            card = read_card(file.parent / CARD)
    except (OSError, RuntimeError) as error:
        raise BadSettings(f"engine.model: {name_or_path!r} can not be looked at: {error}") from error
    found = gguf.read(file)
    return Model(
        name=file.stem,
        directory=file.parent,
        context_tokens=found.context_tokens,
        contracts=card.contracts if card else (),
        least_told=card.least_told if card else None,
        gguf=file,
    )


def _of_card(card: Card, models_dir: Path | None) -> Path:
    return models_dir / card.name if card.hub and models_dir else card.directory


def _not_there(name: str, path: Path) -> str:
    """What a name that leads to no directory may have been meant for, and what to do then."""
    if path.suffix.lower() == gguf.SUFFIX:
        return f"{name} is GGUF, which only llama.cpp reads: {WITH_LLAMA}" if path.is_file() else f"no file {name!r}"
    if path.is_file():
        return f"{name} is a file; name the directory that it lies in, with its config.json and tokenizer"
    owned = next((card for card in cards() if card.hub and card.hub.repository.lower() == name.lower()), None)
    if owned:
        return f"{name} is {owned.name} here: name that, and run `firstpass models pull {owned.name}`"
    if HUB_ID.fullmatch(name) and not path.parent.is_dir():
        return (
            f"no directory {name!r}, and no card for it: if it is of the hub, fetch its files and name their directory"
        )
    if path.name != name:
        above = next(parent for parent in path.absolute().parents if parent.is_dir())
        return f"no directory {name!r}; there is {above}"
    return f"no model {name!r} and no such directory; the catalogue has {_known()}"


def weights_directory(card: Card, models_dir: Path | None) -> Path:
    """Raises: BadSettings with what to do where the weights are not on this disk, or not all of them."""
    if card.hub is None:
        if any(card.directory.glob(WEIGHTS)):
            return card.directory
        raise BadSettings(f"the weights of {card.name} are in the repository, not in this installation")
    directory = models_dir / card.name if models_dir else None
    lock = read_lock(directory) if directory else None
    if directory is None or lock is None:
        raise BadSettings(f"{card.name} is not on this disk; run `firstpass models pull {card.name}`")
    if not lock.complete:
        raise BadSettings(f"{card.name} is not all here; run `firstpass models pull {card.name}` again")
    return directory.resolve()


def _open(directory: Path, card: Card | None) -> Model:
    lock = read_lock(directory)
    if card is None and lock is not None:
        card = _by_name(lock.card)
    if card is None and (directory / CARD).is_file():
        card = read_card(directory / CARD)
        _refuse_flags(card)
    context = context_of(directory)
    files = lock.files if lock else {}
    return Model(
        name=card.name if card else directory.name,
        directory=directory,
        context_tokens=min(context, card.context_tokens) if card else context,
        sha256={name: held.sha256 for name, held in files.items()} or (card.sha256 if card else {}),
        sizes={name: held.bytes for name, held in files.items()},
        vllm_flags=card.vllm_flags if card else (),
        contracts=card.contracts if card else (),
        least_told=card.least_told if card else None,
        images=takes_images(directory),
    )


def _refuse_flags(card: Card) -> None:
    """A card that came with a model may ask for what our own cards ask for, and no more. Raises: BadSettings."""
    ours = {flag for own in cards() for flag in own.vllm_flags if flag.startswith("-")}
    for flag in card.vllm_flags:
        if flag.startswith("-") and flag not in ours:
            raise BadSettings(f"{card.directory / CARD}: vllm_flags: {flag} is none that a model may ask for")


def flipped(model: Model) -> list[str]:
    """The model's files that are missing or not the recorded ones, found quickly enough for a start.

    Of a pulled model (gigabytes) only the sizes are compared; `firstpass models verify` reads every byte.
    """
    if not model.sizes:
        return list(damage(model.directory, model.sha256))
    paths = {name: model.directory / name for name in model.sizes}
    return [name for name, path in paths.items() if not path.is_file() or path.stat().st_size != model.sizes[name]]


def recorded(name_or_path: str, models_dir: Path) -> Recorded:
    """What `verify` compares a model's files with. Raises: BadSettings where there is nothing to compare with."""
    card = _by_name(name_or_path)
    if card and card.hub is None:
        return Recorded(card.name, card.directory, card.sha256)
    directory = weights_directory(card, models_dir) if card else Path(name_or_path)
    if not directory.is_dir():
        raise BadSettings(f"no model and no directory {name_or_path!r}; the catalogue has {_known()}")
    if lock := read_lock(directory):
        return Recorded(lock.card, directory, {name: held.sha256 for name, held in lock.files.items()})
    if (directory / CARD).is_file():
        card = read_card(directory / CARD)
        return Recorded(card.name, directory, card.sha256)
    raise BadSettings(f"there is nothing to verify {directory} against: it has neither {CARD} nor {LOCK}")


def on_this_disk(models_dir: Path) -> list[Recorded]:
    """Every model of the catalogue whose weights are here, or should be."""
    return [recorded(card.name, models_dir) for card in cards() if _is_here(card, models_dir)]


def _is_here(card: Card, models_dir: Path) -> bool:
    if card.hub:
        return place(card, models_dir) == "pulled"
    return card.wheel or any(card.directory.glob(WEIGHTS))
