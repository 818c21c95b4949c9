"""Workloads: files of requests for `firstpass bench run --workload`, and what their programs share. Asks nobody."""

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from firstpass import catalogue
from firstpass.bench.load.arrivals import offsets
from firstpass.bench.load.workload import Line, written
from firstpass.chat import Abilities, Message, Sampling
from firstpass.contract import Learned, PromptedContract, Shelf
from firstpass.contract.prompted import no_repository
from firstpass.dialect.openai.write_request import body_of
from firstpass.exchange import Ask, Consult, Exchange

Body = Mapping[str, Any]
"""Of a chat completion, but what an arm of a benchmark sets."""

MODEL = "firstpass-draft-10m"
CONTRACT = "pr-summary"
AROUND_MESSAGE = 8
"""Tokens of a chat template around each message, at most."""


def options(description: str | None, number: int) -> argparse.ArgumentParser:
    """number: of lines, by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=number, help="of lines")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, help="requests a second: gives each line its time, at random")
    parser.add_argument("--out", type=Path, help="a file; by default it is printed")
    return parser


def write(wanted: argparse.Namespace, bodies: Iterable[Body]) -> None:
    """As `options` were understood."""
    made = list(bodies)
    times = offsets("poisson", wanted.rate, len(made), str(wanted.seed)) if wanted.rate else [None] * len(made)
    text = "".join(written(map(Line, made, times)))
    if wanted.out is None:
        sys.stdout.write(text)
    else:
        wanted.out.write_text(text, encoding="utf-8")


def chat(*said: str, max_tokens: int) -> Body:
    """said: by the user and the assistant in turn; the user begins."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(said)]
    return {"messages": messages, "max_tokens": max_tokens, "temperature": 0.0}


def contracted(diff: str) -> Body:
    """For Firstpass: the diff, and which contract its answer has to keep. Its limit is the contract's own."""
    limit = Shelf.of(None).find(CONTRACT).spec.decoding.max_tokens
    return {
        "messages": [{"role": "user", "content": diff}],
        "max_tokens": limit,
        "firstpass": {"contract": CONTRACT},
    }


def rendered(diff: str, model: str = MODEL) -> Body:
    """For an engine that serves a model of the catalogue: what Firstpass itself would ask it for that diff's sake."""
    ask = Ask("made", 0.0, "chat", "firstpass", "cascade", (Message("user", diff),), Sampling())
    asked = _contract(model).prepare(Exchange(ask), Consult("draft", "draft"))
    able = Abilities(vllm=True)
    told = json.loads(body_of(asked, model, able, stream=False, watched=False, max_tokens_name="max_tokens"))
    return {name: value for name, value in told.items() if name != "model"}


@cache
def _contract(model: str) -> PromptedContract:
    card, shelf = catalogue.named(model), Shelf.of(None)
    learned: Mapping[str | None, Learned] = {None: Learned(tuple(card.contracts), card.least_told)}
    found = shelf.contracts(no_repository, learned)[shelf.pins[CONTRACT]]
    assert isinstance(found, PromptedContract), found
    return found


def counter(tokenizer: Path | None = None) -> Callable[[Body], int]:
    """How many tokens the messages of a body are, or a few less. tokenizer: a tokenizer.json; else the bundled model's.

    Needs the package tokenizers, which every engine brings.
    """
    from tokenizers import Tokenizer

    read = Tokenizer.from_file(str(tokenizer or catalogue.find(MODEL).directory / "tokenizer.json"))

    def count(body: Body) -> int:
        texts = [message["content"] for message in body["messages"]]
        return sum(len(read.encode(text, add_special_tokens=False).ids) + AROUND_MESSAGE for text in texts)

    return count


def chance(seed: int, what: str) -> random.Random:
    """A beginning of its own for everything that is made from one seed."""
    return random.Random(f"{seed} {what}")
