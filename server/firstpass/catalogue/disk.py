"""Model directories: is this one, which bytes does it hold, what did a pull write down. It knows no catalogue."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from firstpass.errors import BadSettings
from firstpass.gguf import SUFFIX as GGUF

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = "*.safetensors"
WITH_LLAMA = 'set engine.kind to "llama.cpp", or leave it out'
UNSAFE = frozenset({".bin", ".pt", ".pth", ".pkl", ".ckpt", GGUF, ".h5", ".msgpack", ".npz"})
"""What other formats of weights end with: pickles, and files that no engine here is known to read safely."""

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "tekken.json", "vocab.json", "vocab.txt")
LOCK = "pulled.json"
DIGEST_CHUNK_BYTES = 2**20

Damage = Literal["missing", "differs"]


@dataclass(frozen=True, slots=True)
class Held:
    """A file that a pull brought: its size and its hex digest."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Lock:
    """What a pull wrote down beside the weights; a second pull and `verify` hold it to that.

    revision: the commit that the card's revision stood for.
    complete: false while files are still on their way.
    """

    card: str
    repository: str
    revision: str
    files: Mapping[str, Held] = field(default_factory=dict)
    complete: bool = False


def read_lock(directory: Path) -> Lock | None:
    """None where nothing was pulled to. Raises: BadSettings that names the file."""
    path = directory / LOCK
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Lock(**said | {"files": {name: Held(**held) for name, held in said["files"].items()}})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadSettings(f"{path}: not written by `firstpass models pull`: {error}") from error


def write_lock(directory: Path, lock: Lock) -> None:
    fresh = directory / f"{LOCK}.new"
    fresh.write_text(json.dumps(asdict(lock), indent=2) + "\n", encoding="utf-8")
    fresh.replace(directory / LOCK)


def context_of(directory: Path) -> int:
    """The longest context in tokens that a directory's config.json allows, once the rest of a model is there too.

    Raises: BadSettings that names the file which is missing or broken.
    """
    _refuse_gguf(directory)
    config = _object(directory / CONFIG)
    _require_tokenizer(directory)
    _require_weights(directory)
    text = config.get("text_config") or config
    context = text.get("max_position_embeddings") if isinstance(text, dict) else None
    if not isinstance(context, int) or context <= 0:
        raise BadSettings(f"engine.model: {directory / CONFIG} has no max_position_embeddings")
    return context


def takes_images(directory: Path) -> bool:
    """Whether config.json describes a part of the model that sees. Raises: BadSettings."""
    return "vision_config" in _object(directory / CONFIG)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadSettings(f"engine.model: {path.parent} is no model directory: it has no {path.name}") from error
    except (OSError, ValueError) as error:
        raise BadSettings(f"engine.model: {path} can not be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadSettings(f"engine.model: {path} holds no JSON object")
    return value


def _refuse_gguf(directory: Path) -> None:
    if holds_gguf(directory):
        found = gguf_files(directory)[0].name
        raise BadSettings(f"engine.model: {directory} holds {found}, which only llama.cpp reads: {WITH_LLAMA}")


def gguf_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix.lower() == GGUF and path.is_file())


def holds_gguf(directory: Path) -> bool:
    """Whether its weights are for llama.cpp, and for no other engine."""
    return bool(gguf_files(directory)) and not any(directory.glob(WEIGHTS))


def the_gguf(path: Path) -> Path:
    """The file itself, or the one in a directory. Raises: BadSettings."""
    if not path.is_dir():
        return path
    found = gguf_files(path)
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadSettings(f"engine.model: {path} holds no {GGUF} file, and llama.cpp reads nothing else")
    names = ", ".join(one.name for one in found)
    raise BadSettings(f"engine.model: {path} holds {len(found)} {GGUF} files: name one of {names}")


def _require_tokenizer(directory: Path) -> None:
    if not any((directory / name).is_file() for name in TOKENIZERS):
        raise BadSettings(f"engine.model: {directory} has no tokenizer: none of {', '.join(TOKENIZERS)}")


def _require_weights(directory: Path) -> None:
    """Only safetensors: a pickled checkpoint is code, and a model's own code is never run.

    An engine that finds none of the names it looks for first would take the pickles beside them.
    """
    safe = sorted(path.name for path in directory.glob(WEIGHTS))
    unsafe = sorted(path.name for path in directory.iterdir() if path.suffix in UNSAFE)
    if unsafe and not any(name.startswith(("model", "consolidated")) for name in safe):
        raise BadSettings(
            f"engine.model: {directory} has its weights in {unsafe[0]}, which is not safetensors: convert them first"
        )
    if not safe:
        raise BadSettings(f"engine.model: {directory} has no weights: no {WEIGHTS}")
    if (directory / INDEX).is_file():
        shards = _object(directory / INDEX).get("weight_map")
        if not isinstance(shards, dict):
            raise BadSettings(f"engine.model: {directory / INDEX} has no weight_map")
        for name in sorted({str(shard) for shard in shards.values()}):
            if not (directory / name).is_file():
                raise BadSettings(f"engine.model: {directory / name} is missing: {INDEX} names it")


def damage(directory: Path, sha256: Mapping[str, str]) -> dict[str, Damage]:
    """The files that are missing or whose bytes are not the recorded ones. Reads every byte."""
    found: dict[str, Damage] = {}
    for name, digest in sha256.items():
        if not (directory / name).is_file():
            found[name] = "missing"
        elif sha256_of(directory / name) != digest:
            found[name] = "differs"
    return found


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(DIGEST_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
