"""How common a word is in changes to code. Knows no diff: a table from the package, or a repository's own.

The package's table (`tables/words.txt`) has on its first line how many commits were read, then a word and the number of
commits whose changed lines have it on each; rarer words are left out. `models/recipes/salience` makes it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLES = Path(__file__).with_name("tables")


@dataclass(frozen=True, slots=True, eq=False)
class Frequencies:
    """documents: how many were read. counts: of them, how many have a word; a word that is not there is in none."""

    documents: int
    counts: Mapping[str, int]

    def rarity(self, word: str) -> float:
        """Inverse document frequency in nats: log((N + 1) / (n + 0.5)), at least 0.

        Source: Robertson and Sparck Jones, "Relevance weighting of search terms", 1976, with their half.
        """
        return max(0.0, math.log((self.documents + 1) / (self.counts.get(word, 0) + 0.5)))


@dataclass(frozen=True, slots=True)
class Both:
    """The mean of two tables' rarities: a project's own name is rare elsewhere and says nothing at home."""

    own: Frequencies
    general: Frequencies

    def rarity(self, word: str) -> float:
        return (self.own.rarity(word) + self.general.rarity(word)) / 2


@cache
def general() -> Frequencies:
    """The package's table, read at first use."""
    first, *lines = (TABLES / "words.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" ") for line in lines)
    return Frequencies(int(first), {word: int(count) for word, count in pairs})
