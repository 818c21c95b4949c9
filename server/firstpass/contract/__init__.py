"""Versioned prompt contracts: what a tier is told, and what its reply is held to. Knows no tier and no network."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firstpass.contract.base import Contract
from firstpass.contract.files import SHIPPED, Files, load_folder
from firstpass.contract.pattern import form_pattern
from firstpass.contract.prompted import Drafter, PromptedContract
from firstpass.contract.written import LEAST_TOLD
from firstpass.errors import BadSettings, NotFound
from firstpass.evidence.repository import RepositoryIndex

__all__ = ["NOTHING_LEARNED", "Contract", "Drafter", "Files", "Learned", "PromptedContract", "Shelf", "shipped"]


@dataclass(frozen=True, slots=True)
class Learned:
    """What a draft model's card says. contracts: those that it was trained on. least_told: the share of what is telling
    that a sentence of it must say; None for the usual one.

    holds_form: whether its engine holds it to the form of those that it was not trained on.
    """

    contracts: tuple[str, ...] = ()
    least_told: float | None = None
    holds_form: bool = False


NOTHING_LEARNED: Mapping[str | None, Learned] = {None: Learned()}


class Shelf:
    """Every contract that a server has, by name and version."""

    def __init__(self, files: Iterable[Files]) -> None:
        """Raises: BadSettings where one name and version stands in two folders."""
        self.files: dict[str, Files] = {}
        for one in files:
            if one.pinned in self.files:
                raise BadSettings(f"contracts: {one.pinned} is there twice; give yours a name or a version of its own")
            self.files[one.pinned] = one

    @classmethod
    def of(cls, folder: Path | None) -> "Shelf":
        """The shipped contracts and those of a folder of the user's. Raises: BadSettings."""
        return cls([*load_folder(SHIPPED), *(load_folder(folder) if folder else ())])

    @property
    def pins(self) -> Mapping[str, str]:
        """What a caller may write, and the version that it means: a bare name means the newest."""
        newest = {one.name: one.pinned for one in sorted(self.files.values(), key=lambda one: one.version)}
        return {**newest, **{pinned: pinned for pinned in self.files}}

    def contracts(
        self,
        repository: Callable[[str], RepositoryIndex],
        learned: Mapping[str | None, Learned] = NOTHING_LEARNED,
    ) -> dict[str, Contract]:
        """By pinned name. repository: the index of that name. learned: by the engine that an ask names.

        A model that knows a prompt by heart is asked in its words for the contract's other versions too; what it says
        is held to the version that was wanted.
        """
        return {
            pinned: PromptedContract(files, repository, self._drafters(files, learned))
            for pinned, files in self.files.items()
        }

    def _drafters(self, files: Files, learned: Mapping[str | None, Learned]) -> Mapping[str | None, Drafter]:
        return {engine: self._drafter(files, one) for engine, one in learned.items()}

    def _drafter(self, files: Files, learned: Learned) -> Drafter:
        least_told = LEAST_TOLD if learned.least_told is None else learned.least_told
        taught = self._taught_words(files, learned.contracts)
        pattern = form_pattern(files.form) if learned.holds_form and taught is None else None
        return Drafter(taught or files.prompt or "", least_told, pattern)

    def _taught_words(self, files: Files, taught: Collection[str]) -> str | None:
        """How a model is asked for a contract of which it knows this version, or else another, by heart."""
        known = [self.files[pin] for pin in taught if pin in self.files and self.files[pin].name == files.name]
        if not known:
            return None
        best = files if files in known else max(known, key=lambda one: one.version)
        return best.draft or best.prompt

    def find(self, wanted: str) -> Files:
        """Raises: NotFound, with those that there are."""
        if wanted not in self.pins:
            raise NotFound(
                f"there is no contract {wanted[:80]!r}; there are {', '.join(sorted(self.pins))}", part="contract"
            )
        return self.files[self.pins[wanted]]


def shipped(name: str, *, taught: bool = False) -> PromptedContract:
    """A contract of this package. taught: whether the draft tier was trained on it. Raises: NotFound."""
    files = Shelf.of(None).find(name)
    return PromptedContract(files, drafters={None: Drafter((files.draft if taught else None) or files.prompt or "")})
