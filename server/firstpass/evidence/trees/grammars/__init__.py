"""The languages beyond the first ones, each described in one place. Knows no diff, and loads no grammar."""

from collections.abc import Mapping

from firstpass.evidence.trees.grammars.c import CPP, C
from firstpass.evidence.trees.grammars.data import HCL, SQL
from firstpass.evidence.trees.grammars.embedded import EMBEDDED, Embedded, EmbeddedName
from firstpass.evidence.trees.grammars.language import AddedName, Language
from firstpass.evidence.trees.grammars.managed import CSHARP, SCALA, SWIFT
from firstpass.evidence.trees.grammars.scripts import BASH, PHP, RUBY

__all__ = ["ADDED", "EMBEDDED", "AddedName", "EmbeddedName", "Language", "described", "embedded"]

ADDED: Mapping[AddedName, Language] = {
    "c": C, "cpp": CPP, "csharp": CSHARP, "ruby": RUBY, "php": PHP, "swift": SWIFT, "scala": SCALA,
    "bash": BASH, "sql": SQL, "hcl": HCL,
}  # fmt: skip


def described(language: str) -> Language | None:
    """None for one of the first languages, and for a name that is none."""
    return next((one for name, one in ADDED.items() if name == language), None)


def embedded(language: str) -> Embedded | None:
    """None for a language whose files are code as a whole."""
    return next((one for name, one in EMBEDDED.items() if name == language), None)
