"""Is an answer about its own change? Knows subjects and answers as words; no diff, no model and no contract.

An answer that could stand under any change is worth nothing to its reader, however true. So the author's own subject
line is looked for, with the answer as the query, among twenty subjects of the same repository: found first counts one,
ties share it. Chance is 5%.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence

from firstpass.evidence.salience.vocabulary import tokens_in, words_of

RIVALS = 19

_TERM_SATURATION, _LENGTH_SHARE = 1.2, 0.75
"""k1 and b. Source: Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond", 2009, 3.5."""

_OF_ANY_CHANGE = frozenset(
    ("add", "added", "adds", "call", "calls", "change", "changed", "changes", "check", "fix", "fixed", "new", "none",
     "test", "tests", "use", "used")
)  # fmt: skip
"""What any change does, and any answer says."""


def rivals_of(changes: Sequence[tuple[str, str]], seed: int) -> list[tuple[str, ...]]:
    """For each (repository, subject) RIVALS other subjects of its repository, at random; none where there are fewer."""
    subjects: dict[str, set[str]] = {}
    for repository, subject in changes:
        subjects.setdefault(repository, set()).add(subject)
    rng = random.Random(seed)
    found: list[tuple[str, ...]] = []
    for repository, subject in changes:
        others = sorted(subjects[repository] - {subject, ""})
        found.append(tuple(rng.sample(others, RIVALS)) if subject and len(others) >= RIVALS else ())
    return found


def identified(answer: str, subject: str, rivals: Sequence[str]) -> float:
    """1 where the subject is found before all rivals, a share of it where others are found as well, else 0."""
    documents = [Counter(_words(text)) for text in (subject, *rivals)]
    query = set(_words(answer))
    scores = [_score(query, document, documents) for document in documents]
    best = max(scores)
    return 1 / scores.count(best) if best > 0 and scores[0] == best else 0.0


def _words(text: str) -> list[str]:
    return [word for token in tokens_in(text) if token.lower() not in _OF_ANY_CHANGE for word in words_of(token)]


def _score(query: set[str], document: Counter[str], documents: Sequence[Counter[str]]) -> float:
    length = document.total() / (sum(map(Counter.total, documents)) / len(documents) or 1.0)
    weight = _TERM_SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * length)
    return sum(
        _rarity(word, documents) * times * (_TERM_SATURATION + 1) / (times + weight)
        for word in sorted(query)
        if (times := document[word])
    )


def _rarity(word: str, documents: Sequence[Counter[str]]) -> float:
    having = sum(word in document for document in documents)
    return math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
