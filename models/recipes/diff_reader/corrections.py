"""Rows in which a draft is to be corrected: what the cascade asks of its verifier. Knows no tokenizer and no model."""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from diff_reader.rows import Row
from diff_reader.styles import WORDS
from diff_reader.synthetic import Names
from firstpass.contract.pr_summary import render_answer

_WORD = re.compile(r"[A-Za-z_]\w{2,}")


def corrections(rows: Iterable[Row], seed: int) -> Iterator[Row]:
    """Each row with a draft, which is right in one of six."""
    rng = random.Random(seed)
    for row in rows:
        yield replace(row, draft=_draft(row, rng))


def _draft(row: Row, rng: random.Random) -> str:
    if rng.random() < 1 / 6:
        return row.answer(authors_words=False)
    words = sorted(set(_WORD.findall(row.diff))) or WORDS
    calls = [name for name in row.calls if rng.random() < rng.choice((0.4, 0.8, 1.0))]
    calls = [_misspelt(name, rng) if rng.random() < 0.1 else name for name in calls]
    for _ in range(rng.choice((0, 0, 1, 2))):
        wrong = rng.choice(words) if rng.random() < 0.6 else Names(rng, camel=rng.random() < 0.5).lower(1, 3)
        calls.insert(rng.randint(0, len(calls)), wrong)
    todos = [text for text in row.todos if rng.random() < 0.6]
    if rng.random() < 0.1:
        todos.append(" ".join(rng.choices(WORDS, k=4)))
    summary = (
        row.summary if rng.random() < 0.7 else f"Call {Names(rng, camel=True).lower(2, 3)}() in {rng.choice(words)}."
    )
    return render_answer(summary, dict.fromkeys(calls), todos, _some(row.actions, rng))


def _misspelt(name: str, rng: random.Random) -> str:
    at = rng.randrange(len(name))
    return rng.choice((name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], name + rng.choice(WORDS))) or name


def _some(texts: Sequence[str], rng: random.Random) -> list[str]:
    return [text for text in texts if rng.random() < 0.8]
