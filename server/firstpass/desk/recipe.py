"""What contracts are made of, so that another process can make the same. Knows no process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firstpass.contract import NOTHING_LEARNED, Contract, Files, Learned, Shelf
from firstpass.evidence.repository import Repositories


@dataclass(frozen=True, slots=True)
class Recipe:
    """files: of the shelf. repositories: the folder of the indexes. learned: as `Shelf.contracts` has it."""

    files: tuple[Files, ...]
    repositories: Path
    learned: Mapping[str | None, Learned] = field(default_factory=lambda: NOTHING_LEARNED)

    def contracts(self) -> Mapping[str, Contract]:
        """By pinned name."""
        indexes = Repositories(self.repositories)
        return Shelf(self.files).contracts(indexes.find, self.learned)
