"""What contracts are made of, so that another process can make the same. Knows no process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firstpass.contract import Contract, Files, Shelf
from firstpass.evidence.repository import Repositories


@dataclass(frozen=True, slots=True)
class Recipe:
    """files: of the shelf. repositories: the folder of the indexes. taught, least_told: as `Shelf.contracts` has it."""

    files: tuple[Files, ...]
    repositories: Path
    taught: tuple[str, ...] = ()
    least_told: float | None = None

    def contracts(self) -> Mapping[str, Contract]:
        """By pinned name."""
        indexes = Repositories(self.repositories)
        return Shelf(self.files).contracts(indexes.find, taught=self.taught, least_told=self.least_told)
