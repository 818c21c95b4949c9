"""Makes a workload of large diffs that are asked about again and again, so that an engine may know how prompts begin.

    python -m benchmarks.suites.prefix.make --number 96 --out questions.jsonl
    python -m benchmarks.suites.prefix.make --number 96 --kind grown --out grown.jsonl

`questions`: each line is a diff and then a question, so all lines of a diff begin alike. `grown`: each line asks for a
PR summary of a diff to which an edit was added since the last time, somewhere, as a branch grows from push to push; it
begins alike up to there. Some diffs take turns, and a diff has so many lines before another one takes its place.
"""

from collections.abc import Callable, Iterator

from benchmarks.making.changes import Work
from benchmarks.making.workload import Body, chance, chat, contracted, options, write

DIFFS_AT_ONCE, ASKS = 4, 8
DIFF_BYTES = 6_500
MOST_TOKENS = 48
"""Of an answer to a question."""

QUESTIONS = (
    "Which of these files changes the most?",
    "Name the functions that are new.",
    "What should a reviewer look at first?",
    "Which of the new calls may fail, and who finds out?",
    "What is still to be done?",
    "Write a commit message of one line.",
    "Which tests are missing?",
    "Is anything removed that others may still need?",
    "Say in one sentence what this is about.",
    "Which lines would you undo if this broke something?",
    "What would have to be in the release notes?",
    "Does any file change for no reason that you see?",
)


def questions(seed: str, size: int) -> Iterator[Body]:
    """About one diff, each another one."""
    diff, of = Work(seed).grow(size).diff, chance(0, seed)
    for question in of.sample(QUESTIONS, ASKS):
        yield chat(f"{diff}\n{question}", max_tokens=MOST_TOKENS)


def grown(seed: str, size: int) -> Iterator[Body]:
    work, least = Work(seed), size
    for _ in range(ASKS):
        diff = work.grow(least).diff
        yield contracted(diff)
        least = len(diff) + 1


KINDS: dict[str, Callable[[str, int], Iterator[Body]]] = {"questions": questions, "grown": grown}


def bodies(number: int, seed: int, kind: str, size: int = DIFF_BYTES) -> Iterator[Body]:
    """In turn of each of some diffs."""
    going, made, at = list[Iterator[Body]](), 0, 0
    while at < number:
        while len(going) < DIFFS_AT_ONCE:
            going.append(KINDS[kind](f"{seed} {made}", size))
            made += 1
        asked = going.pop(0)
        if (body := next(asked, None)) is not None:
            going.append(asked)
            at += 1
            yield body


def main() -> None:
    parser = options(__doc__, 96)
    parser.add_argument("--kind", choices=KINDS, default="questions")
    parser.add_argument("--diff-bytes", type=int, default=DIFF_BYTES, help="of each diff at the beginning, at least")
    wanted = parser.parse_args()
    write(wanted, bodies(wanted.number, wanted.seed, wanted.kind, wanted.diff_bytes))


if __name__ == "__main__":
    main()
