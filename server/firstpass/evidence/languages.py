"""Which grammar reads a file, and the query that finds its calls. Knows no diff."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from pathlib import PurePosixPath
from typing import Literal, cast

import tree_sitter

LanguageName = Literal["python", "javascript", "typescript", "tsx", "go", "rust", "java", "kotlin"]

_BY_SUFFIX: dict[str, LanguageName] = {
    ".py": "python", ".pyi": "python",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx",
    ".go": "go", ".rs": "rust", ".java": "java", ".kt": "kotlin", ".kts": "kotlin",
}  # fmt: skip

_GRAMMARS: dict[LanguageName, tuple[str, str]] = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
}

_ECMASCRIPT = """
(call_expression function: [(identifier) @call
  (member_expression property: [(property_identifier) (private_property_identifier)] @call)])
(new_expression constructor: [(identifier) @call (member_expression property: (property_identifier) @call)])
"""

_TYPESCRIPT = f"""
{_ECMASCRIPT}
(call_expression function: (await_expression [(identifier) @call (member_expression property: (_) @call)]))
"""
"""With type arguments, `await open<T>()` is read as the call of an awaited name."""

_CALLS: dict[LanguageName, str] = {
    "python": "(call function: [(identifier) @call (attribute attribute: (identifier) @call)])",
    "javascript": _ECMASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": "(call_expression function: [(identifier) @call (selector_expression field: (field_identifier) @call)])",
    "rust": """
(call_expression function: [(identifier) @call (field_expression field: (field_identifier) @call)
  (scoped_identifier name: (identifier) @call)
  (generic_function function: [(identifier) @call (field_expression field: (field_identifier) @call)
    (scoped_identifier name: (identifier) @call)])])
(macro_invocation macro: [(identifier) @call (scoped_identifier name: (identifier) @call)])
""",
    "java": """
(method_invocation name: (identifier) @call)
(object_creation_expression type: [(type_identifier) @call (generic_type . (type_identifier) @call)
  (scoped_type_identifier (type_identifier) @call .)])
""",
    "kotlin": """
(call_expression . [(identifier) @call (navigation_expression (identifier) @call .)])
(delegation_specifier (constructor_invocation (user_type (identifier) @call .)))
""",
}


_TELLTALES: tuple[tuple[LanguageName, re.Pattern[str]], ...] = (
    ("rust", re.compile(r"\blet mut \b|\bfn \w+\s*[<(]|\bimpl\b.*\{|^\s*use \w+::", re.MULTILINE)),
    ("go", re.compile(r"\bfunc (?:\(\w+ \*?\w+\) )?\w+\(|\w := |^package \w+$", re.MULTILINE)),
    ("kotlin", re.compile(r"\bfun \w+\(|^\s*va[lr] \w+\s*(?::|=)[^;]*$", re.MULTILINE)),
    ("java", re.compile(r"\b(?:public|private|protected)\b.*[({;]$|^\s*(?:[A-Z]\w*|int|var) \w+ = .*;$", re.MULTILINE)),
    ("typescript", re.compile(r"\b(?:const|let|function|interface)\b|=>|;\s*$", re.MULTILINE)),
    ("python", re.compile(r"^[ \t]*(?:def |class |import |from |with |return |[\w.]+\(|\w[\w., ]* = )", re.MULTILINE)),
)
"""In the order asked."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language's syntax, the query whose captures are the names of calls, and the one for what did not parse."""

    language: tree_sitter.Language
    calls: tree_sitter.Query
    errors: tree_sitter.Query


@lru_cache(maxsize=4096)
def language_of(path: str | None) -> LanguageName | None:
    """By the suffix of the path; None for a file that no grammar here reads."""
    return _BY_SUFFIX.get(PurePosixPath(path).suffix.lower()) if path else None


def guessed(text: str) -> LanguageName | None:
    """For a hunk without a path, by the words that only one of the languages has; None when none speaks up."""
    return next((name for name, pattern in _TELLTALES if pattern.search(text)), None)


@cache
def grammar(name: LanguageName) -> Grammar:
    """Loaded at first use and kept; a compiled query may be shared between threads, a parser may not."""
    module, factory = _GRAMMARS[name]
    pointer = cast(Callable[[], object], getattr(import_module(module), factory))()
    language = tree_sitter.Language(pointer)
    return Grammar(
        language, tree_sitter.Query(language, _CALLS[name]), tree_sitter.Query(language, "[(ERROR) (MISSING)] @error")
    )
