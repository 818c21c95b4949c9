"""What a file defines: functions, methods, classes, types. Knows one file's tree, no diff and no repository."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import tree_sitter

from firstpass.evidence.trees.captures import captures
from firstpass.evidence.trees.grammars import ADDED
from firstpass.evidence.trees.languages import LanguageName, grammar

MOST_CHARACTERS = 160
"""Of a definition's first line."""

_ECMASCRIPT = """
(function_declaration name: (identifier) @name)
(generator_function_declaration name: (identifier) @name)
(class_declaration name: (_) @name)
(method_definition name: (property_identifier) @name)
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression) (class)])
"""
_TYPESCRIPT = f"""
{_ECMASCRIPT}
(abstract_class_declaration name: (type_identifier) @name)
(interface_declaration name: (type_identifier) @name)
(type_alias_declaration name: (type_identifier) @name)
(enum_declaration name: (identifier) @name)
"""
_QUERIES: dict[LanguageName, str] = {
    "python": "[(function_definition name: (identifier) @name) (class_definition name: (identifier) @name)]",
    "javascript": _ECMASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": """
(function_declaration name: (identifier) @name)
(method_declaration name: (field_identifier) @name)
(type_spec name: (type_identifier) @name)
""",
    "rust": """
[(function_item name: (identifier) @name) (function_signature_item name: (identifier) @name)
 (struct_item name: (type_identifier) @name) (enum_item name: (type_identifier) @name)
 (trait_item name: (type_identifier) @name) (type_item name: (type_identifier) @name)
 (macro_definition name: (identifier) @name)]
""",
    "java": """
[(method_declaration name: (identifier) @name) (constructor_declaration name: (identifier) @name)
 (class_declaration name: (identifier) @name) (interface_declaration name: (identifier) @name)
 (enum_declaration name: (identifier) @name) (record_declaration name: (identifier) @name)]
""",
    "kotlin": """
[(function_declaration name: (identifier) @name) (class_declaration name: (identifier) @name)
 (object_declaration name: (identifier) @name)]
""",
    **{name: language.definitions for name, language in ADDED.items()},
}


class Definition(NamedTuple):
    """A name, the 1-based line where it is defined, and that line's text."""

    name: str
    line: int
    text: str


def definitions(language: LanguageName, tree: tree_sitter.Tree, text: bytes) -> Iterator[Definition]:
    """In order of their lines. text: what the tree was made of."""
    lines = text.split(b"\n")
    for node in definition_names(language, tree):
        row = node.start_point[0]
        shown = lines[row].decode("utf-8", "replace").strip()[:MOST_CHARACTERS]
        yield Definition((node.text or b"").decode("utf-8", "replace"), row + 1, shown)


def definition_names(language: LanguageName, tree: tree_sitter.Tree, further: str = "") -> list[tree_sitter.Node]:
    """The nodes of the names that are defined, in order. further: more patterns of the query."""
    nodes = captures(_query(language, further), tree).get("name", [])
    return sorted(nodes, key=lambda node: node.start_byte)


@cache
def _query(language: LanguageName, further: str) -> tree_sitter.Query:
    return tree_sitter.Query(grammar(language).language, _QUERIES[language] + further)
