"""What a GGUF file says of its model, read from its beginning. Knows no engine and no disk layout; reads no weight.

Standard library only: the package `gguf` brings numpy, and makes an array of every token of a vocabulary. Lengths are
believed only as far as the file goes. Source: ggml's docs/gguf.md (versions 2 and 3).
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from firstpass.errors import BadSettings

SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32

NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
STRING, ARRAY = 8, 9
"""Types of values."""

KEPT_ITEMS = 4096
"""Of an array, for each layer one; longer ones are vocabularies."""

BLOCKS = {
    0: (1, 4), 1: (1, 2), 30: (1, 2), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 20: (32, 18), 39: (32, 17),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 21: (256, 110), 22: (256, 82), 23: (256, 136), 29: (256, 56), 34: (256, 54),
    35: (256, 66),
}  # fmt: skip
"""By a tensor's type: how many of its numbers make a block, and the block's bytes. Source: ggml.c, type_traits."""

EXPERTS = "_exps."
"""In the names of those tensors that hold the weights of all of a layer's experts."""

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
"""Without the second, the first is both; else one row of it is read for a token."""

TEMPLATES = ("tokenizer.chat_template", "tokenizer.chat_template.tool_use")

CACHED_BYTES = 2
"""Of one number of keys and values, which llama.cpp keeps in float16 unless told otherwise."""

Value = int | float | bool | str | list[int | float | bool | str]


@dataclass(frozen=True, slots=True)
class Gguf:
    """kv_heads: of each layer, 0 for one that keeps no keys and values. key_size, value_size: of each of its heads.

    template: of its chats, and the one for tools where that is another; empty where it has none. bytes: of the file.
    embeds: it is made for embeddings, and writes nothing. experts: of a layer, of which `experts_per_token` are read.
    expert_bytes: of all of them. unread_bytes: of an embedding of which a token reads one row. parameters: as many as
    all its tensors have; of its experts; of its output. hidden: numbers that a layer hands on for a token.
    expert_layers: those with experts.
    """

    name: str
    architecture: str
    context_tokens: int
    kv_heads: tuple[int, ...]
    key_size: int
    value_size: int
    template: str
    embeds: bool
    bytes: int
    experts: int = 0
    experts_per_token: int = 0
    expert_bytes: int = 0
    unread_bytes: int = 0
    parameters: int = 0
    expert_parameters: int = 0
    head_parameters: int = 0
    hidden: int = 0
    expert_layers: int = 0

    @property
    def layers(self) -> int:
        return len(self.kv_heads)

    @property
    def token_bytes(self) -> int:
        """Keys and values of one token. Each layer is taken to keep all tokens: with sliding windows it is less."""
        return CACHED_BYTES * max(1, sum(self.kv_heads)) * (self.key_size + self.value_size)


def read(path: Path) -> Gguf:
    """Raises: BadSettings that names the file, for what is no whole model."""
    try:
        with path.open("rb") as file:
            return _read(_Reader(file, path))
    except OSError as error:
        raise BadSettings(f"engine.model: {path} can not be read: {error.strerror}") from error


class _Reader:
    """The file from its first byte on."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.size = os.fstat(file.fileno()).st_size

    def wrong(self, why: str) -> BadSettings:
        return BadSettings(f"engine.model: {self._path} {why}")

    def cut_off(self) -> BadSettings:
        return self.wrong(f"is cut off: it has {self.size} bytes and wants more; copy or download it again")

    @property
    def at(self) -> int:
        return self._file.tell()

    def take(self, length: int) -> bytes:
        if length > self.size - self.at:
            raise self.cut_off()
        return self._file.read(length)

    def skip(self, length: int) -> None:
        if length > self.size - self.at:
            raise self.cut_off()
        self._file.seek(length, os.SEEK_CUR)

    def number(self, form: str) -> int | float | bool:
        found: int | float | bool = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return found

    def count(self, form: str = "<Q") -> int:
        return int(self.number(form))

    def text(self) -> str:
        return self.take(self.count()).decode(errors="replace")

    def value(self) -> Value | None:
        """None for a long list."""
        kind = self.count("<I")
        return self._list() if kind == ARRAY else self._one(kind)

    def _one(self, kind: int) -> int | float | bool | str:
        if kind == STRING:
            return self.text()
        if kind not in NUMBERS:
            raise self.wrong(f"is damaged: it has a value of an unknown type {kind}")
        return self.number(NUMBERS[kind])

    def _list(self) -> Value | None:
        kind, length = self.count("<I"), self.count()
        if length <= KEPT_ITEMS:
            return [self._one(kind) for _ in range(length)]
        if kind in NUMBERS:
            self.skip(length * struct.calcsize(NUMBERS[kind]))
        elif kind == STRING:
            for _ in range(length):
                self.skip(self.count())
        else:
            raise self.wrong(f"is damaged: it has a list of an unknown type {kind}")
        return None


def _read(reader: _Reader) -> Gguf:
    if reader.size < len(MAGIC) or reader.take(len(MAGIC)) != MAGIC:
        raise reader.wrong("is no GGUF file: it does not begin with GGUF")
    version = reader.count("<I")
    if version not in VERSIONS:
        raise reader.wrong(f"is GGUF of version {version}, and llama.cpp reads 2 and 3 in this machine's byte order")
    tensors, pairs = reader.count(), reader.count()
    said: dict[str, Value] = {}
    for _ in range(pairs):
        key = reader.text()
        value = reader.value()
        if value is not None:
            said[key] = value
    _refuse_parts(reader, said, tensors)
    return _model(reader, said, _require_all(reader, said, tensors))


def _refuse_parts(reader: _Reader, said: Mapping[str, Value], tensors: int) -> None:
    """Raises: BadSettings for a file that is not by itself a model."""
    kind, architecture = said.get("general.type", "model"), said.get("general.architecture")
    shards = said.get("split.count", 0)
    if kind == "adapter" or "adapter.type" in said:
        raise reader.wrong('is an adapter: name its base model, and it by engine.extra_args = ["--lora", "FILE"]')
    if isinstance(shards, int) and shards > 1:
        number = said.get("split.no", 0)
        part = f"is part {number + 1 if isinstance(number, int) else '?'} of {shards}"
        raise reader.wrong(f"{part}: join them by `llama-gguf-split --merge FIRST OUT`, and name what comes out")
    if kind == "mmproj" or architecture == "clip":
        raise reader.wrong("is a projector for images: name the model that it belongs to")
    if not tensors:
        raise reader.wrong("has no weights: it is a vocabulary alone")


@dataclass(frozen=True, slots=True)
class _Weights:
    """bytes: by tensor. parameters: likewise."""

    bytes: Mapping[str, int]
    parameters: Mapping[str, int]


def _require_all(reader: _Reader, said: Mapping[str, Value], tensors: int) -> _Weights:
    """Raises: BadSettings where the file ends before its weights do, as far as their types are known."""
    end = 0
    sizes: dict[str, int] = {}
    parameters: dict[str, int] = {}
    for _ in range(tensors):
        name = reader.text()
        shape = [reader.count() for _ in range(min(reader.count("<I"), KEPT_ITEMS))]
        numbers, size = BLOCKS.get(reader.count("<I"), (1, 0))
        sizes[name], parameters[name] = prod(shape) // numbers * size, prod(shape)
        end = max(end, reader.count() + sizes[name])
    alignment = said.get("general.alignment", ALIGNMENT)
    unit = alignment if isinstance(alignment, int) and alignment > 0 else ALIGNMENT
    if -(-reader.at // unit) * unit + end > reader.size:
        raise reader.cut_off()
    return _Weights(sizes, parameters)


def _model(reader: _Reader, said: Mapping[str, Value], weights: _Weights) -> Gguf:
    architecture = said.get("general.architecture")
    if not isinstance(architecture, str):
        raise reader.wrong("is damaged: it names no architecture")

    def number(name: str, otherwise: int | None = None) -> int:
        found = said.get(f"{architecture}.{name}", otherwise)
        if not isinstance(found, int) or isinstance(found, bool) or found <= 0:
            raise reader.wrong(
                f"is damaged, or of a kind that is not known here: it has no usable {architecture}.{name}"
            )
        return found

    layers = number("block_count")
    heads = _heads(said.get(f"{architecture}.attention.head_count"), layers)
    kept = _heads(said.get(f"{architecture}.attention.head_count_kv"), layers) or heads
    usual = number("embedding_length") // max((1, *heads)) or 1
    name = said.get("general.name")
    experts = [tensor for tensor in weights.bytes if EXPERTS in tensor]
    return Gguf(
        name=name if isinstance(name, str) else "",
        architecture=architecture,
        context_tokens=number("context_length"),
        kv_heads=kept,
        key_size=number("attention.key_length", usual),
        value_size=number("attention.value_length", usual),
        template="\n".join(str(said[name]) for name in TEMPLATES if name in said),
        embeds=bool(said.get(f"{architecture}.pooling_type")),
        bytes=reader.size,
        experts=number("expert_count", 1) if experts else 0,
        experts_per_token=number("expert_used_count", 1) if experts else 0,
        expert_bytes=sum(weights.bytes[tensor] for tensor in experts),
        unread_bytes=weights.bytes.get(EMBEDDING, 0) if OUTPUT in weights.bytes else 0,
        parameters=sum(weights.parameters.values()),
        head_parameters=weights.parameters.get(EMBEDDING, 0),
        hidden=number("embedding_length"),
        expert_layers=len({tensor.split(".")[1] for tensor in experts}),
        expert_parameters=sum(weights.parameters[tensor] for tensor in experts),
    )


def _heads(said: Value | None, layers: int) -> tuple[int, ...]:
    """Of each layer; empty where nothing is said, as of models that keep states alone."""
    each = said if isinstance(said, list) else [said] * layers
    found = tuple(heads for heads in each if isinstance(heads, int) and 0 <= heads < KEPT_ITEMS)
    return found if len(found) == layers else ()
