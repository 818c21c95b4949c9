"""Which grammar reads a file, and the query that finds its calls. Knows no diff.

The first languages' tables stand here and beside what uses them; each further one is described in `grammars/` alone.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import PurePosixPath
from typing import Literal, cast, get_args

import tree_sitter

from firstpass.evidence.memory import noted
from firstpass.evidence.trees.grammars import ADDED, EMBEDDED, AddedName, EmbeddedName, described, embedded
from firstpass.evidence.trees.grammars.language import Comments

FirstName = Literal["python", "javascript", "typescript", "tsx", "go", "rust", "java", "kotlin"]
"""The languages that the bundled model was trained on."""

LanguageName = Literal[FirstName, AddedName, EmbeddedName]

LONGEST_LINE = 2_000
"""Characters, of a line in which code is looked for."""

FIRST: frozenset[str] = frozenset(get_args(FirstName))

_BY_SUFFIX: dict[str, LanguageName] = {
    ".py": "python", ".pyi": "python",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx",
    ".go": "go", ".rs": "rust", ".java": "java", ".kt": "kotlin", ".kts": "kotlin",
    **{suffix: name for name, language in ADDED.items() for suffix in language.suffixes},
    **{suffix: name for name, embedded in EMBEDDED.items() for suffix in embedded.suffixes},
}  # fmt: skip
_BY_FILE_NAME: dict[str, LanguageName] = {
    file_name: name for name, language in ADDED.items() for file_name in language.file_names
}

_GRAMMARS: dict[LanguageName, tuple[str, str]] = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
    **{name: (language.module, language.factory) for name, language in ADDED.items()},
}

_ECMASCRIPT = """
(call_expression function: [(identifier) @call
  (member_expression property: [(property_identifier) (private_property_identifier)] @call)])
(new_expression constructor: [(identifier) @call (member_expression property: (_) @call)])
"""

_TYPESCRIPT = f"""
{_ECMASCRIPT}
(call_expression function: (non_null_expression [(identifier) @call (member_expression property: (_) @call)]))
(call_expression function: (await_expression [(identifier) @call (member_expression property: (_) @call)
  (non_null_expression [(identifier) @call (member_expression property: (_) @call)])]))
(binary_expression left: (binary_expression
  left: [(identifier) @call (member_expression property: (_) @call)] operator: "<")
  operator: ">" right: (template_string))
"""
"""With type arguments, `await open<T>()` is read as the call of an awaited name, and a template as `tag < T > x`."""

_GO_CALLEE = "[(identifier) @call (selector_expression field: (field_identifier) @call)]"
_GO_TYPE = (
    r"^\\[?(?:[*]|\\[\\]|(?:map|chan|func|struct|interface)\\b|[A-Z]|(?:u?int(?:8|16|32|64|ptr)?|float(?:32|64)"
    r"|complex(?:64|128)|string|bool|byte|rune|error|any)\\b)"
)
_GO_EXPORTED = r'(#match? @call "^[A-Z]") (#not-match? @_of "^\\[?[0-9\"`]")'
_GO_OWN = f'(#match? @call "^[^A-Z]") (#match? @_of "{_GO_TYPE}")'
_GO = f"""
(call_expression function: {_GO_CALLEE} !type_arguments)
((call_expression function: (index_expression operand: {_GO_CALLEE} index: (_) @_of)) {_GO_EXPORTED})
((call_expression function: (index_expression operand: (identifier) @call index: (_) @_of)) {_GO_OWN})
((call_expression function: {_GO_CALLEE} type_arguments: (_) @_of) {_GO_EXPORTED})
((call_expression function: (identifier) @call type_arguments: (_) @_of) {_GO_OWN})
((type_conversion_expression type: (generic_type
  type: [(type_identifier) @call (qualified_type name: (_) @call)] type_arguments: (_) @_of)) {_GO_EXPORTED})
((type_conversion_expression type: (generic_type type: (type_identifier) @call type_arguments: (_) @_of)) {_GO_OWN})
"""
"""`f[T](x)` may also call an element, `handlers[at](x)`: what is exported counts, and what has a type in its brackets,
unless it is a member's name: methods have no type parameters."""

_KOTLIN_CALLEE = """[(identifier) @call (navigation_expression (identifier) @call .)
  (unary_expression [(identifier) @call (navigation_expression (identifier) @call .)])
  (_ right: [(identifier) @call (navigation_expression (identifier) @call .)
    (_ right: [(identifier) @call (navigation_expression (identifier) @call .)])])
  (infix_expression [(identifier) @call (navigation_expression (identifier) @call .)] .)]"""
"""Prefixes bind too tightly in the grammar: `!open(x)` is read as the call of `!open`."""

_CALLS: dict[LanguageName, str] = {
    "python": """
(call function: [(identifier) @call (attribute attribute: (identifier) @call)])
((call function: (subscript value: [(identifier) @call (attribute attribute: (identifier) @call)] subscript: (_) @_of))
  (#match? @call "^_*[A-Z]\\\\w*[a-z]") (#not-match? @_of "^[-0-9\\"']"))
""",
    "javascript": _ECMASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": _GO,
    "rust": """
(call_expression function: [(identifier) @call (field_expression field: (field_identifier) @call)
  (scoped_identifier name: (identifier) @call)
  (generic_function function: [(identifier) @call (field_expression field: (field_identifier) @call)
    (scoped_identifier name: (identifier) @call)])])
(macro_invocation macro: [(identifier) @call (scoped_identifier name: (identifier) @call)])
""",
    "java": """
(method_invocation name: (identifier) @call)
(object_creation_expression type: [(type_identifier) @call (scoped_type_identifier (type_identifier) @call .)
  (generic_type . [(type_identifier) @call (scoped_type_identifier (type_identifier) @call .)])])
""",
    "kotlin": f"""
(call_expression . {_KOTLIN_CALLEE})
((binary_expression
  left: (binary_expression left: {_KOTLIN_CALLEE} operator: "<" right: [(identifier) (navigation_expression)])
  operator: ">" right: (_) @_rest) (#match? @_rest "^[({{]"))
(delegation_specifier (constructor_invocation (user_type (identifier) @call .)))
(delegation_specifier (constructor_invocation (user_type (identifier) @call . (type_arguments) .)))
""",
    **{name: language.calls for name, language in ADDED.items()},
}
"""The names of calls are captured as `call`; other captures are for conditions.

Kotlin's grammar reads `list<Int>(x)` with one argument as two comparisons.
"""


_TELLTALES: tuple[tuple[LanguageName, re.Pattern[str]], ...] = (
    ("rust", re.compile(r"\blet mut \b|\bfn \w+\s*[<(]|\bimpl\b.*\{|^\s*use \w+::", re.MULTILINE)),
    ("go", re.compile(r"\bfunc (?:\(\w+ \*?\w+\) )?\w+\(|\w := |^package \w+$", re.MULTILINE)),
    ("kotlin", re.compile(r"\bfun \w+\(|^\s*va[lr] \w+\s*(?::|=)[^;]*$", re.MULTILINE)),
    ("java", re.compile(r"\b(?:public|private|protected)\b.*[({;]$|^\s*(?:[A-Z]\w*|int|var) \w+ = .*;$", re.MULTILINE)),
    ("typescript", re.compile(r"\b(?:const|let|function|interface)\b|=>|;\s*$", re.MULTILINE)),
    ("python", re.compile(r"^[ \t]*(?:def |class |import |from |with |return |[\w.]+\(|\w[\w., ]* = )", re.MULTILINE)),
)
"""In the order asked."""


_ONLY_CPP = re.compile(
    r"::|\b(?:class|namespace|template|public|private|protected|virtual|typename|constexpr|nullptr|using|noexcept|override"
    r"|explicit|operator|friend|auto|mutable|static_cast|delete)\b|\w&\s\w|&&\s*\w+\)"
)


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language's syntax, the query whose captures are the names of calls, and the one for what did not parse."""

    language: tree_sitter.Language
    calls: tree_sitter.Query
    errors: tree_sitter.Query


@noted(4096)
def language_of(path: str | None) -> LanguageName | None:
    """By the path's name and suffix; None for a file that no grammar here reads."""
    if not path:
        return None
    name = PurePosixPath(path).name.lower()
    return _BY_FILE_NAME.get(name) or _BY_SUFFIX.get(PurePosixPath(name).suffix)


def host(name: LanguageName) -> LanguageName:
    """The language that a file's code is read in: of a component or a notebook that of its scripts or cells."""
    part = embedded(name)
    return part.host if part else name


def comments_of(name: LanguageName) -> Comments:
    """How the comments of a file begin, its markup's included."""
    if language := described(name):
        return language.comments
    return "any" if name in ("vue", "svelte") else "hash" if host(name) == "python" else "slashes"


def is_code(name: LanguageName) -> bool:
    """Whether all of a file's lines are code of its language as they stand."""
    return _code_of(name) is None


def in_code(name: LanguageName, lines: Sequence[str]) -> Sequence[str] | None:
    """One side of a hunk, or a whole file, as code of its host, line by line; None where that can't be told."""
    code = _code_of(name)
    return code([line if len(line) <= LONGEST_LINE else "" for line in lines]) if code else lines


def _code_of(name: LanguageName) -> Callable[[Sequence[str]], list[str] | None] | None:
    if part := embedded(name):
        return part.code
    language = described(name)
    return language.code if language else None


@cache
def is_installed(name: LanguageName) -> bool:
    """Whether its grammar can be loaded: not every package has a wheel for every platform."""
    try:
        grammar(host(name))
    except ImportError:
        return False
    return True


def narrowed(name: LanguageName | None, path: str, lines: Iterable[str]) -> LanguageName | None:
    """A header without a line that only C++ has is C, whose grammar takes words such as `new` for names."""
    if name != "cpp" or not path.lower().endswith(".h") or any(map(_ONLY_CPP.search, lines)):
        return name
    return "c"


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
