"""What a diff did, as values: to symbols, dependencies, messages, settings. Knows no text and no language."""

from dataclasses import dataclass
from typing import Literal

SymbolVerb = Literal["added", "removed", "renamed", "moved", "signature", "changed"]
SymbolKind = Literal["function", "method", "class", "type", "constant", "field", "property"]
Verb = Literal["added", "removed", "changed"]
FileVerb = Literal["added", "removed", "renamed", "moved", "copied", "changed"]
MessageKind = Literal["error", "log", "text"]

MOST_CHARACTERS = 200
"""Of every text of a fact; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class SymbolChange:
    """One definition that came, went or is another now.

    verb: "signature" where the signature is another now, "changed" where only lines of the body are; "moved" where the
        same definition went from one place and came at another.
    holder: the class, type or receiver that it belongs to, where the diff says so.
    path: the file where it is, or was if it is removed. line: 1-based, of that file; of the changed line where the
        definition itself is not shown.
    old_path, old_name: where it was and what it was called, if that is another.
    old_signature, new_signature: one line each; None on the side where it is not, or where the diff does not show it.
    public: whether others can use it, by the language's convention.
    changed_lines: of the definition and its body, added and removed ones together, without definitions inside it.
    test: whether it is a test.
    """

    verb: SymbolVerb
    kind: SymbolKind
    name: str
    holder: str | None = None
    path: str = ""
    line: int = 0
    old_signature: str | None = None
    new_signature: str | None = None
    old_name: str | None = None
    old_path: str | None = None
    public: bool = True
    decorators_added: tuple[str, ...] = ()
    decorators_removed: tuple[str, ...] = ()
    changed_lines: int = 0
    test: bool = False


@dataclass(frozen=True, slots=True)
class DependencyChange:
    """A line of a manifest: a package and the version that is asked for, as it is written there.

    old, new: None on the side where there is none, "" where it stands without a version.
    path: the manifest's. dev: whether only those who work on the project need it.
    """

    verb: Verb
    name: str
    old: str | None
    new: str | None
    path: str
    dev: bool = False


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A string literal that is raised, logged or printed. line: 1-based, of the new file, or of the old if removed."""

    verb: Verb
    kind: MessageKind
    old: str | None
    new: str | None
    line: int


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A key of a configuration file. key: with the sections above it that the diff shows, joined by dots."""

    verb: Verb
    key: str
    old: str | None
    new: str | None
    line: int
