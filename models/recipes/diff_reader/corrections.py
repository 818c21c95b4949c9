"""Rows in which a draft is to be judged: what the cascade asks of its verifier. Knows no tokenizer and no model."""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from diff_reader.rows import Row
from diff_reader.styles import WORDS
from diff_reader.synthetic import Names
from firstpass.contract.sections import render_answer
from firstpass.errors import BadVerdict

_WORD = re.compile(r"[A-Za-z_]\w{2,}")


def corrections(rows: Iterable[Row], seed: int) -> Iterator[Row]:
    """Each row with a draft. Of ten, two are right and four have faults in their prose alone."""
    rng = random.Random(seed)
    for row in rows:
        kind = rng.choices(("right", "prose", "all"), (2, 4, 4))[0]
        made = replace(row, draft=_draft(row, kind, rng))
        try:
            made.verdict()
        except BadVerdict:  # The faulty section's text stands in the draft twice.
            continue
        yield made


def _draft(row: Row, kind: str, rng: random.Random) -> str:
    words = sorted(set(_WORD.findall(row.diff))) or WORDS
    summary = row.subject if row.subject and rng.random() < 0.5 else row.summary
    calls, todos, actions = list(row.calls), list(row.todos), list(row.actions)
    if kind != "right" and rng.random() < 0.7:
        summary = _false_sentence(row, words, rng)
    if kind != "right" and rng.random() < 0.4:
        actions = [*_some(actions, rng), _false_action(rng)]
    if kind == "all":
        calls, todos = _false_calls(calls, words, rng), _false_todos(todos, rng)
    return render_answer(summary, dict.fromkeys(calls), todos, actions)


def _false_sentence(row: Row, words: Sequence[str], rng: random.Random) -> str:
    if row.calls and rng.random() < 0.4:
        name = rng.choice(row.calls)
        return row.summary.replace(name, _misspelt(name, rng))
    return f"{rng.choice(('Call', 'Use', 'Add', 'Fix'))} {_invented(rng)}() in {rng.choice(words)}."


def _false_action(rng: random.Random) -> str:
    path = Names(rng, camel=False).path(rng.choice(("py", "js", "go", "rs")))
    return rng.choice((f"Add tests for {path}", f"Check what relied on {_invented(rng)}()"))


def _false_calls(calls: Sequence[str], words: Sequence[str], rng: random.Random) -> list[str]:
    kept = [name for name in calls if rng.random() < rng.choice((0.4, 0.8, 1.0))]
    found = [_misspelt(name, rng) if rng.random() < 0.1 else name for name in kept]
    for _ in range(rng.choice((0, 0, 1, 2))):
        found.insert(rng.randint(0, len(found)), rng.choice(words) if rng.random() < 0.4 else _invented(rng))
    return found


def _false_todos(todos: Sequence[str], rng: random.Random) -> list[str]:
    made = [" ".join(rng.choices(WORDS, k=4))] if rng.random() < 0.1 else []
    return [*(text for text in todos if rng.random() < 0.6), *made]


def _invented(rng: random.Random) -> str:
    return Names(rng, camel=rng.random() < 0.5).lower(2, 3)


def _misspelt(name: str, rng: random.Random) -> str:
    at = rng.randrange(len(name))
    return rng.choice((name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], name + rng.choice(WORDS))) or name


def _some(texts: Sequence[str], rng: random.Random) -> list[str]:
    return [text for text in texts if rng.random() < 0.8]
