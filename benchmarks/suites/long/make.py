"""Makes a workload of prompts of some lengths, up to nearly the whole context: source files, and a question at the end.

    python -m benchmarks.suites.long.make --tokens 500 1000 2000 3900 --out long.jsonl

Lengths take turns, so that a machine that is busy for a while is so for each. A prompt has as many whole lines as fit,
so it is a few tokens shorter than was asked for. The tokenizer of the bundled model counts them, or that of
`--tokenizer FILE`, a tokenizer.json. Needs the package tokenizers, which every engine brings.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.making.changes import Work
from benchmarks.making.workload import Body, chat, counter, options, write

QUESTION = "Which of these functions is called by none of the others?"
PIECE_LINES = 40
"""That are counted at once."""


def bodies(
    number: int, seed: int, tokens: Sequence[int], answer_tokens: int, count: Callable[[Body], int]
) -> Iterator[Body]:
    for at in range(number):
        yield longest(code(f"{seed} {at}"), tokens[at % len(tokens)], answer_tokens, count)


def longest(lines: Iterator[str], tokens: int, answer_tokens: int, count: Callable[[Body], int]) -> Body:
    """With as many of the lines as fit into so many tokens of prompt."""

    def asked(many: int) -> Body:
        return chat("\n".join([*held[:many], "", QUESTION]), max_tokens=answer_tokens)

    held = [next(lines) for _ in range(PIECE_LINES)]
    while count(asked(len(held))) <= tokens:
        held += [next(lines) for _ in range(PIECE_LINES)]
    low, high = 0, len(held)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(asked(middle)) <= tokens else (low, middle)
    return asked(low)


def code(seed: str) -> Iterator[str]:
    """Lines of one repository's files and then of another's, without end."""
    at = 0
    while True:
        for path, text in sorted(Work(f"{seed} {at}").change().after.items()):
            yield f"== {path}"
            yield from text.split("\n")
        at += 1


def main() -> None:
    parser = options(__doc__, 80)
    parser.add_argument(
        "--tokens", type=int, nargs="+", default=[3_900], help="of a prompt, at most; one length or more"
    )
    parser.add_argument("--answer-tokens", type=int, default=32, help="at most")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json")
    wanted = parser.parse_args()
    count = counter(wanted.tokenizer)
    write(wanted, bodies(wanted.number, wanted.seed, wanted.tokens, wanted.answer_tokens, count))


if __name__ == "__main__":
    main()
