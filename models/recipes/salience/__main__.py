"""Makes `tables/words.txt` and `tables/salience.json`, from labelled commits.

    python -m salience --commits commits.jsonl.zst

The commits of `diff_reader.rows.HELD_OUT` are left out: salience is measured on them. Words and counts alone are kept.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diff_reader.rows import HELD_OUT, read_commits
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from firstpass.evidence import read_diff
from firstpass.evidence.account import shown_facts
from firstpass.evidence.salience.frequencies import TABLES, Frequencies
from firstpass.evidence.salience.terms import FEATURES, features, placed
from firstpass.evidence.salience.vocabulary import tokens_in, words_of

FEWEST_COMMITS = 3
"""In which a word of the table is."""

RIDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Commit:
    """files: by word, in how many of all it is on changed lines. subject: the author's words."""

    repository: str
    places: Mapping[str, Mapping[str, int]]
    files: Mapping[str, int]
    all_files: int
    subject: frozenset[str]


def read(path: Path) -> Iterator[Commit]:
    for row in tqdm(read_commits(path), unit="commit", disable=None):
        if row["repo"] not in HELD_OUT:
            parsed = read_diff(row["diff"])
            words = placed(parsed, shown_facts(row["diff"]))
            subject = frozenset(word for token in tokens_in(row["subject"]) for word in words_of(token))
            yield Commit(row["repo"], words.places, words.files, len(parsed.files), subject)


def counted(commits: Iterable[Commit]) -> dict[str, tuple[int, Counter[str]]]:
    """By repository: how many commits, and of them how many have a word on a changed line."""
    found: dict[str, tuple[int, Counter[str]]] = {}
    for commit in commits:
        number, words = found.setdefault(commit.repository, (0, Counter()))
        words.update(commit.files.keys())
        found[commit.repository] = number + 1, words
    return found


def table(parts: Iterable[tuple[int, Counter[str]]]) -> Frequencies:
    number, words = 0, Counter[str]()
    for documents, counts in parts:
        number += documents
        words.update(counts)
    return Frequencies(number, words)


def fit(commits: Iterable[Commit], elsewhere: Mapping[str, Frequencies]) -> tuple[Tensor, float]:
    """Coefficients and intercept of a logistic regression: is the word in the subject?

    elsewhere: by repository, how common words are in the others: a new repository's own are not known either.
    """
    values, said = [], []
    for commit in commits:
        rarity = elsewhere[commit.repository]
        for word, where in commit.places.items():
            values.append(features(word, where, commit.files.get(word, 0), commit.all_files, rarity))
            said.append(float(word in commit.subject))
    inputs, wanted = torch.tensor(values), torch.tensor(said)
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-6
    inputs = (inputs - mean) / scale
    weights = torch.zeros(len(FEATURES) + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100)

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = binary_cross_entropy_with_logits(inputs @ weights[1:] + weights[0], wanted)
        error = error + RIDGE * weights[1:].square().sum()
        error.backward()
        return error

    optimizer.step(loss)
    fitted = weights.detach()
    coefficients = fitted[1:] / scale
    return coefficients, float(fitted[0] - coefficients @ mean)


def write(folder: Path, words: Frequencies, coefficients: Tensor, intercept: float) -> None:
    folder.mkdir(exist_ok=True)
    kept = sorted((word, count) for word, count in words.counts.items() if count >= FEWEST_COMMITS)
    lines = [str(words.documents), *(f"{word} {count}" for word, count in kept)]
    (folder / "words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    numbers = [round(float(one), 4) for one in coefficients]
    fitted = {"features": FEATURES, "coefficients": numbers, "intercept": round(intercept, 4)}
    (folder / "salience.json").write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="salience", description=__doc__)
    parser.add_argument("--commits", type=Path, required=True, help="labelled commits, .jsonl or .jsonl.zst")
    parser.add_argument("--out", type=Path, default=TABLES, help="folder of the two tables")
    options = parser.parse_args()
    commits = list(read(options.commits))
    parts = counted(commits)
    elsewhere = {name: table(part for other, part in parts.items() if other != name) for name in parts}
    write(options.out, table(parts.values()), *fit(commits, elsewhere))


if __name__ == "__main__":
    main()
