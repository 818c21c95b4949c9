"""Command `encode`: every row as tokens, once, so that a run starts and resumes in seconds. Knows no model."""

import argparse
import pickle
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from diff_reader.data import read_rows
from diff_reader.rows import Row
from diff_reader.tokenizer import chat

SOURCES = ("synthetic", "variants", "commits", "corrections")
HELD_OUT = "test"
CHUNK_ROWS = 5_000


_CALL = re.compile(r"(\b(?:def|func|function|fn|fun)\s+)?([A-Za-z_$][\w$]*)\s*(?:<[^<>()]*>)?\(")
_DIFF = "\nDiff:\n"


class Mark(NamedTuple):
    """A new call in a prompt, where it stands first.

    bracket: place of the token with its opening bracket, where a reader from left to right can know that it is a call.
    first: the first token of its name. previous: that of the new call before it, or of its own where there is none.
    """

    bracket: int
    first: int
    previous: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as tokens: the prompt, the sentence by rule and the author's, and the sections after it."""

    prompt: Sequence[int]
    sentences: tuple[Sequence[int], Sequence[int]]
    rest: Sequence[int]
    marks: tuple[Mark, ...] = ()

    @property
    def size(self) -> int:
        """Tokens, with the longer sentence."""
        return len(self.prompt) + max(map(len, self.sentences)) + len(self.rest)


def encode(tokenizer: Tokenizer, rows: Sequence[Row], longest: int) -> list[Encoded]:
    """The rows of at most `longest` tokens."""
    found: list[Encoded] = []
    for at in range(0, len(rows), CHUNK_ROWS):
        parts = list(zip(*(chat(row) for row in rows[at : at + CHUNK_ROWS]), strict=True))
        prompts = tokenizer.encode_batch(list(parts[0]), add_special_tokens=False)
        columns = [tokenizer.encode_batch_fast(list(part), add_special_tokens=False) for part in parts[1:]]
        encoded = (
            Encoded(
                array("H", prompt.ids),
                (array("H", rule.ids), array("H", author.ids)),
                array("H", rest.ids),
                marks_of(row, text, prompt),
            )
            for row, text, prompt, rule, author, rest in zip(
                rows[at : at + CHUNK_ROWS], parts[0], prompts, *columns, strict=True
            )
        )
        found += [row for row in encoded if row.size <= longest]
    return found


def marks_of(row: Row, text: str, prompt: Encoding) -> tuple[Mark, ...]:
    """The row's calls as far as a regular expression finds them on added lines; none where a draft is corrected."""
    found: list[Mark] = []
    if row.draft or not row.calls:
        return ()
    begin = text.index(_DIFF) + len(_DIFF) - 1
    places: dict[str, list[tuple[int, int]]] = {name: [] for name in row.calls}
    for line in re.finditer(r"^\+.*", text[begin:], re.M):
        for call in _CALL.finditer(line[0]):
            if call[2] in places and not call[1]:
                places[call[2]].append((begin + line.start() + call.start(2), begin + line.start() + call.end() - 1))
    reached = 0
    for name in row.calls:
        if places[name]:
            start, bracket = next((place for place in places[name] if place[0] > reached), places[name][0])
            reached = max(reached, start)
            first = prompt.ids[prompt.char_to_token(start)]
            found.append(Mark(prompt.char_to_token(bracket), first, found[-1].first if found else first))
    return tuple(found)


def read_encoded(path: Path) -> dict[str, list[Encoded]]:
    """By source. The file is this recipe's own: a pickle from elsewhere could run code."""
    with path.open("rb") as file:
        found: dict[str, list[Encoded]] = pickle.load(file)  # noqa: S301
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--longest", type=int, default=4096, help="tokens; longer rows are left out")


def run(options: argparse.Namespace) -> None:
    tokenizer = Tokenizer.from_file(str(options.out / "tokenizer.json"))
    encoded = {}
    for name in (*SOURCES, HELD_OUT):
        rows = read_rows(options.out / f"{name}.jsonl")
        encoded[name] = encode(tokenizer, rows, options.longest)
        tokens = sum(row.size for row in encoded[name])
        print(f"{name}: {len(encoded[name])} of {len(rows)} rows, {tokens / 1e6:.1f}M tokens")
    with (options.out / "encoded.pickle").open("wb") as out:
        pickle.dump(encoded, out)
