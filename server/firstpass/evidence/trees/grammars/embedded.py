"""Files that hold code of another language: Vue's and Svelte's components, notebooks. Knows no diff and no tree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from firstpass.evidence.trees.grammars.cells import notebook_code
from firstpass.evidence.trees.grammars.regions import svelte_code, vue_code

EmbeddedName = Literal["vue", "svelte", "notebook"]


@dataclass(frozen=True, slots=True)
class Embedded:
    """host: the language that the code is read in. code: as in `Language`."""

    suffixes: tuple[str, ...]
    host: Literal["typescript", "python"]
    code: Callable[[Sequence[str]], list[str] | None]


EMBEDDED: Mapping[EmbeddedName, Embedded] = {
    "vue": Embedded((".vue",), "typescript", vue_code),
    "svelte": Embedded((".svelte",), "typescript", svelte_code),
    "notebook": Embedded((".ipynb",), "python", notebook_code),
}
"""A component's script is read as TypeScript, whose grammar reads JavaScript too."""
