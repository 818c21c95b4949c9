"""Makes a workload of short chats: each line is one turn of a chat, with all that was said before it.

    python -m benchmarks.suites.chat.make --number 200 --out chat.jsonl

A chat has one to six questions, of a few words up to some lines of code, and answers of a sentence up to a paragraph.
Several chats go on at the same time. What was answered is written here, not by the model that is measured, so that
every server reads the same.
"""

import random
from collections.abc import Iterator

from benchmarks.making.changes import Work
from benchmarks.making.languages import LANGUAGES, NOUNS, VERBS
from benchmarks.making.workload import Body, chance, chat, options, write

MOST_TURNS = 6
AT_ONCE = 4
"""Chats that go on at the same time."""

MOST_CODE_LINES = 24
ANSWER_TOKENS = (16, 32, 64, 96)
QUESTIONS = (
    "How do I {verb} a {noun}?",
    "What happens to the {noun} if we {verb} it twice?",
    "Is it better to {verb} every {noun} at once, or one after the other?",
    "The {noun} is missing after a restart. Where should I look first?",
    "Name three things that can go wrong when two workers {verb} the same {noun}.",
    "Say in one sentence what a {noun} is for.",
    "We {verb} about nine thousand {noun} records a night, and since Monday that takes twice as long. Nothing was"
    " deployed in between, the disks are half empty and the queue is short. What would you measure before"
    " changing anything?",
    "Write a short note for the team: from next week on nobody may {verb} a {noun} by hand.",
)
ABOUT_CODE = (
    "What does this do?",
    "Find what is wrong here:",
    "Is there a simpler way to write this?",
    "Which of these calls may fail?",
)
FOLLOWING = (
    "Why?",
    "And if the {noun} is locked?",
    "Can you say that shorter?",
    "Does that still hold when somebody else wants to {verb} the {noun} meanwhile?",
    "Thanks. What would a test for that look like?",
    "I tried it, and the {noun} came back empty. What did I miss?",
)
ANSWERS = (
    "Yes, as long as nobody else holds the {noun}.",
    "Take the lock first, then {verb} the {noun}, and let the lock go whatever happened.",
    "It depends on how many there are. For a few, one after the other is easier to follow and to undo. From some"
    " hundreds on, {verb} them together and write down which of them failed.",
    "The second call finds the {noun} as the first one left it and changes nothing.",
    "Look into the log of the worker that was the last to {verb} the {noun}. If it has no line about it, the request"
    " never came that far, and the queue is the next place. Only then look at the store.",
    "Three things: the {noun} is old by the time it is read, its owner is gone, or the clock of one machine is late.",
)


def bodies(number: int, seed: int) -> Iterator[Body]:
    """Turns of chats that go on at the same time, each chat's own in order."""
    of, going, at = chance(seed, "chats"), list[Iterator[Body]](), 0
    while at < number:
        while len(going) < AT_ONCE:
            going.append(turns(random.Random(of.random())))
        speaks = of.choice(going)
        if (body := next(speaks, None)) is None:
            going.remove(speaks)
        else:
            at += 1
            yield body


def turns(of: random.Random) -> Iterator[Body]:
    noun, verb, said = of.choice(NOUNS), of.choice(VERBS), list[str]()
    for at in range(of.randint(1, MOST_TURNS)):
        said.append(of.choice(FOLLOWING if at else QUESTIONS).format(noun=noun, verb=verb))
        if of.random() < 0.25:
            said[-1] = f"{of.choice(ABOUT_CODE)}\n\n{code(of)}"
        yield chat(*said, max_tokens=of.choice(ANSWER_TOKENS))
        said.append(of.choice(ANSWERS).format(noun=noun, verb=verb))


def code(of: random.Random) -> str:
    """The first lines of a file."""
    texts = Work(str(of.random()), (of.choice(LANGUAGES),)).change().after
    return "\n".join(next(iter(texts.values())).split("\n")[: of.randint(6, MOST_CODE_LINES)])


def main() -> None:
    wanted = options(__doc__, 200).parse_args()
    write(wanted, bodies(wanted.number, wanted.seed))


if __name__ == "__main__":
    main()
