"""What is to be known of a language so that its calls can be read. Knows no language, no diff and no tree."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

AddedName = Literal["c", "cpp", "csharp", "ruby", "php", "swift", "scala", "bash", "sql", "hcl"]

Comments = Literal["slashes", "hash", "any"]
"""How comments begin: with // or /*, with #, or in more ways than these."""


class Words(NamedTuple):
    """A kind of block that a word closes: what opens it, the word, a line that opens one, one that closes it."""

    opens: re.Pattern[str]
    word: str
    opener: str
    closer: str


@dataclass(frozen=True, slots=True)
class Language:
    """One language. Names of calls are bare, as they are written.

    suffixes, file_names: in small letters, of the files in it. module, factory: the grammar's package and its function.
    calls: a query; what it captures as @call is the name of a call, and as @perhaps of what may be one.
    definitions: a query; what it captures as @name is a function, method, class or type that the file defines.
    provided: what the language itself provides, left out by name. reserved: words that only a broken tree takes for
        the name of a call.
    doubtful: spans of a line in which what looks like a call may be a definition or a pattern. Each comes with what the
        text must hold for that, None for nothing.
    blocks: what may open a block that a fragment closes, outermost first, the last one repeated; several ways.
    continued: by the word after a closing brace, the line that opens such a block.
    parameters: what may open a bracket that it closes.
    words: of a language whose blocks are closed by words.
    bodies: a query; in what it captures as @body, where its beginning is shown, nothing is doubtful.
    before: further lines that may stand before a fragment, tried one by one.
    code: for a file that is no code as it stands, the lines of a hunk as code; as many as it was given, empty ones
        where there is none. None where that can't be told.
    """

    suffixes: tuple[str, ...]
    module: str
    calls: str
    definitions: str
    factory: str = "language"
    file_names: tuple[str, ...] = ()
    provided: frozenset[str] = frozenset()
    reserved: frozenset[str] = frozenset()
    doubtful: tuple[tuple[re.Pattern[str] | None, re.Pattern[str]], ...] = ()
    blocks: tuple[tuple[str, ...], ...] = ()
    parameters: tuple[str, ...] = ("f(",)
    continued: Mapping[str, str] = field(default_factory=dict)
    words: tuple[Words, ...] = ()
    bodies: str | None = None
    before: tuple[str, ...] = ()
    comments: Comments = "slashes"
    code: Callable[[Sequence[str]], list[str] | None] | None = None
