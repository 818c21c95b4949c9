"""Command `encode`: every row as tokens, once, so that a run starts and resumes in seconds. Knows no model."""

import argparse
import os
import pickle
from array import array
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer
from tqdm import tqdm

from diff_reader.data import read_rows
from diff_reader.rows import HEADS, Row
from diff_reader.tokenizer import chat

SOURCES = ("synthetic", "variants", "commits", "corrections")
HELD_OUT = "test"
CHUNK_ROWS = 500


class Mark(NamedTuple):
    """One of the prompt's openings.

    bracket: place of the token with its bracket, where a reader from left to right can know what it is.
    first: the first token of its name. previous: that of the new call listed before it, or its own where there is none.
    """

    bracket: int
    first: int
    previous: int
    new: bool


class Turn(NamedTuple):
    """A call of the answer. end: place in `Encoded.rest` of the token after its name.

    following: the first token of the next call's name, or its own where there is none.
    """

    end: int
    following: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as tokens: the prompt, the sentence by rule and the author's, and the sections after it."""

    prompt: Sequence[int]
    sentences: tuple[Sequence[int], Sequence[int]]
    rest: Sequence[int]
    marks: tuple[Mark, ...] = ()
    turns: tuple[Turn, ...] = ()

    @property
    def size(self) -> int:
        """Tokens, with the longer sentence."""
        return len(self.prompt) + max(map(len, self.sentences)) + len(self.rest)


def encode(tokenizer: Tokenizer, rows: Sequence[Row], longest: int) -> list[Encoded]:
    """The rows of at most `longest` tokens."""
    if not rows:
        return []
    parts = list(zip(*map(chat, rows), strict=True))
    columns = [tokenizer.encode_batch(list(part), add_special_tokens=False) for part in parts]
    encoded = (
        Encoded(
            array("H", prompt.ids),
            (array("H", rule.ids), array("H", author.ids)),
            array("H", rest.ids),
            marks_of(row, asked, prompt),
            turns_of(row, said, rest),
        )
        for row, asked, said, prompt, rule, author, rest in zip(rows, parts[0], parts[-1], *columns, strict=True)
    )
    return [row for row in encoded if row.size <= longest]


def marks_of(row: Row, text: str, prompt: Encoding) -> tuple[Mark, ...]:
    """None where a draft is judged, or no names are asked for."""
    found: list[Mark] = []
    shown = row.candidates
    if row.draft or row.contract not in HEADS or not shown:
        return ()
    at = text.rindex("\n".join(shown.values()))
    before = None
    for name, opening in shown.items():
        first = prompt.ids[prompt.char_to_token(at + opening.rindex(name))]
        bracket = prompt.char_to_token(at + len(opening) - 1)
        new = name in row.calls
        found.append(Mark(bracket, first, first if before is None else before, new))
        before = first if new else before
        at += len(opening) + 1
    return tuple(found)


def turns_of(row: Row, text: str, rest: Encoding) -> tuple[Turn, ...]:
    """None where a draft is judged, or no names are listed."""
    if row.draft or row.contract not in HEADS:
        return ()
    firsts: list[int] = []
    ends: list[int] = []
    at = text.index(f"{HEADS[row.contract]}:")
    for name in row.calls:
        at = text.index(f"- {name}()\n", at) + 2
        firsts.append(rest.ids[rest.char_to_token(at)])
        ends.append(rest.char_to_token(at + len(name)))
    return tuple(map(Turn, ends, [*firsts[1:], *firsts[-1:]]))


def read_encoded(path: Path) -> dict[str, list[Encoded]]:
    """By source. The file is this recipe's own: a pickle from elsewhere could run code."""
    with path.open("rb") as file:
        found: dict[str, list[Encoded]] = pickle.load(file)  # noqa: S301
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--longest", type=int, default=4096, help="tokens; longer rows are left out")


def encode_all(tokenizer: Path, rows: Sequence[Row], longest: int) -> list[Encoded]:
    """The same on every core, in the rows' order. tokenizer: its file."""
    chunks = [rows[at : at + CHUNK_ROWS] for at in range(0, len(rows), CHUNK_ROWS)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        done = pool.map(_encode_chunk, repeat(tokenizer), chunks, repeat(longest))
        return [row for part in tqdm(done, total=len(chunks), unit_scale=CHUNK_ROWS, unit=" rows") for row in part]


def _encode_chunk(tokenizer: Path, rows: Sequence[Row], longest: int) -> list[Encoded]:
    return encode(Tokenizer.from_file(str(tokenizer)), rows, longest)


def run(options: argparse.Namespace) -> None:
    encoded = {}
    for name in (*SOURCES, HELD_OUT):
        rows = read_rows(options.out / f"{name}.jsonl")
        encoded[name] = encode_all(options.out / "tokenizer.json", rows, options.longest)
        tokens = sum(row.size for row in encoded[name])
        print(f"{name}: {len(encoded[name])} of {len(rows)} rows, {tokens / 1e6:.1f}M tokens")
    with (options.out / "encoded.pickle").open("wb") as out:
        pickle.dump(encoded, out)
