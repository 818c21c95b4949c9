"""C#, Swift and Scala. A constructor counts by its class's name; attributes and infix calls do not count."""

import re
from collections.abc import Sequence

from firstpass.evidence.trees.grammars.language import Language

_CSHARP_CALLS = """
(invocation_expression function: [
  (identifier) @call
  (generic_name (identifier) @call)
  (member_access_expression name: [(identifier) @call (generic_name (identifier) @call)])
  (conditional_access_expression (member_binding_expression
    name: [(identifier) @call (generic_name (identifier) @call)]))
  (conditional_access_expression (member_access_expression
    name: [(identifier) @call (generic_name (identifier) @call)]))])
(object_creation_expression type: [
  (identifier) @call
  (generic_name (identifier) @call)
  (qualified_name name: [(identifier) @call (generic_name (identifier) @call)])])
(constant_pattern (invocation_expression function: [(identifier) @perhaps
  (member_access_expression name: (identifier) @perhaps)]))
"""
_CSHARP_DEFINITIONS = """
[(method_declaration name: (identifier) @name) (constructor_declaration name: (identifier) @name)
 (class_declaration name: (identifier) @name) (interface_declaration name: (identifier) @name)
 (struct_declaration name: (identifier) @name) (record_declaration name: (identifier) @name)
 (enum_declaration name: (identifier) @name) (delegate_declaration name: (identifier) @name)
 (local_function_statement name: (identifier) @name)]
"""
_CSHARP_RESERVED = frozenset(
    (
        "base",
        "case",
        "catch",
        "checked",
        "event",
        "fixed",
        "for",
        "foreach",
        "get",
        "if",
        "in",
        "init",
        "is",
        "lock",
        "new",
    )
) | {"operator", "return", "set", "switch", "this", "throw", "unchecked", "using", "when", "where", "while", "yield"}

_ANGLE = re.compile(r"[<>;{}()]")
_DEEPEST_ANGLES = 60


def csharp_code(lines: Sequence[str]) -> list[str] | None:
    """The lines; None where they open type arguments without end.

    The grammar takes a time that grows with the square of their number, and looks at no clock meanwhile.
    """
    depth = 0
    for line in lines:
        for mark in _ANGLE.findall(line):
            depth = depth + 1 if mark == "<" else max(0, depth - 1) if mark == ">" else 0
            if depth > _DEEPEST_ANGLES:
                return None
    return list(lines)


CSHARP = Language(
    suffixes=(".cs", ".csx"),
    module="tree_sitter_c_sharp",
    calls=_CSHARP_CALLS,
    definitions=_CSHARP_DEFINITIONS,
    code=csharp_code,
    provided=frozenset(("nameof", "typeof", "sizeof", "default")),
    reserved=_CSHARP_RESERVED,
    doubtful=(
        (None, re.compile(r"^\s*case\b.*?(?::|\bwhen\b|$)")),
        (
            None,
            re.compile(r"^\s*(?:not\s+)?[\w.]+\s*\([^()]*\)\s*(?:\{[^{}]*\}\s*)?(?:\w+\s*)?(?:=>|when\b|or\b|and\b)"),
        ),
        (None, re.compile(r"\bis\s+(?:not\s+)?[\w.]+\s*\([^()]*\)")),
        (None, re.compile(r"^\s*\[.*?\]\s*$|^\s*[\w.]+\([^()]*\)\]")),
    ),
    blocks=(
        ("void f() {", "if (x) {"),
        ("class X {", "void f() {", "if (x) {"),
        ("namespace x {", "class X {", "void f() {", "if (x) {"),
        ("class X {", "void f() {", "var x = y switch {"),
        ("class X {", "void f() {", "switch (x) {"),
        ("class X {", "int P {"),
        ("var x = new Y {", "{"),
        ("enum X {",),
    ),
    continued={"else": "if (x) {", "while": "do {", "catch": "try {", "finally": "try {"},
    parameters=("f(", "void f("),
)

_SWIFT_CALLS = """
(call_expression . [(simple_identifier) @call
  (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @call) .)]
  (call_suffix (value_arguments "(")))
(call_expression . [(simple_identifier) @call
  (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @call) .)]
  (call_suffix . (lambda_literal)))
(constructor_expression constructed_type: (user_type (type_identifier) @call .))
(constructor_expression constructed_type: (user_type (type_identifier) @call (type_arguments) .))
"""
_SWIFT_DEFINITIONS = """
[(function_declaration name: (simple_identifier) @name) (class_declaration name: (type_identifier) @name)
 (protocol_declaration name: (type_identifier) @name) (typealias_declaration name: (type_identifier) @name)
 (protocol_function_declaration name: (simple_identifier) @name)]
"""

SWIFT = Language(
    suffixes=(".swift",),
    module="tree_sitter_swift",
    calls=_SWIFT_CALLS,
    definitions=_SWIFT_DEFINITIONS,
    reserved=frozenset(
        (
            "available",
            "case",
            "catch",
            "defer",
            "deinit",
            "do",
            "else",
            "for",
            "func",
            "get",
            "guard",
            "if",
            "init",
            "repeat",
        )
    )
    | {
        "return",
        "set",
        "subscript",
        "super",
        "switch",
        "throw",
        "throws",
        "where",
        "while",
        "willSet",
        "didSet",
        "self",
    },
    doubtful=(
        (None, re.compile(r"^\s*(?:indirect\s+)?case\b[^:=]*(?::|=|$)")),
        (None, re.compile(r"\b(?:if|guard|while|for)\s+case\b.*?=")),
        (
            None,
            re.compile(
                r"^\s*@\w+(?:\([^()]*\))?|^\s*(?:convenience\s+|required\s+|override\s+)*(?:init|subscript)\b.*"
            ),
        ),
        (None, re.compile(r"^\s*#.*")),
        (None, re.compile(r"^\s*\.\w+\([^()]*\)\s*[:,]\s*$")),
    ),
    blocks=(
        ("func f() {", "if x {"),
        ("class X {", "func f() {", "if x {"),
        ("func f() {", "switch x {"),
        ("class X {", "func f() {", "x.y {"),
        ("enum X {",),
    ),
    continued={"else": "if x {", "while": "repeat {", "catch": "do {"},
    parameters=("f(", "func f("),
)

_SCALA_CALLS = """
(call_expression function: [
  (identifier) @call
  (field_expression field: (identifier) @call)
  (generic_function function: [(identifier) @call (field_expression field: (identifier) @call)])])
(instance_expression [
  (type_identifier) @call
  (generic_type type: (type_identifier) @call)
  (stable_type_identifier (type_identifier) @call .)])
"""
_SCALA_DEFINITIONS = """
[(function_definition name: (identifier) @name) (function_declaration name: (identifier) @name)
 (class_definition name: (identifier) @name) (object_definition name: (identifier) @name)
 (trait_definition name: (identifier) @name) (enum_definition name: (identifier) @name)
 (type_definition name: (type_identifier) @name)]
"""
_SCALA_VALUES = frozenset(("Array", "Left", "List", "Map", "None", "Option", "Right", "Seq", "Set", "Some", "Vector"))

SCALA = Language(
    suffixes=(".scala", ".sc", ".sbt"),
    module="tree_sitter_scala",
    calls=_SCALA_CALLS,
    definitions=_SCALA_DEFINITIONS,
    provided=_SCALA_VALUES
    | {"print", "println", "assert", "require", "classOf", "asInstanceOf", "isInstanceOf", "Tuple2"},
    reserved=frozenset(
        ("case", "catch", "class", "def", "else", "extends", "for", "if", "match", "new", "super", "this")
    )
    | {"throw", "try", "while", "with", "yield", "using", "given"},
    doubtful=(
        (None, re.compile(r"(?:^\s*|\{\s*)case\b.*?(?:\bif\b|=>|$)")),
        (None, re.compile(r"^\s*(?:(?:val|var|lazy|implicit|private|final)\s+)*val\s+[\w.]+\(.*?=")),
        (None, re.compile(r"^\s*(?:\(|\w+\s*\().*<-")),
        (None, re.compile(r"^\s*@\w+(?:\([^()]*\))?|\b(?:extends|with)\s+[\w.]+")),
        (None, re.compile(r"^[^=]*[\w)]\s*=>\s*$")),
    ),
    blocks=(
        ("def f() = {", "if (x) {"),
        ("class X {", "def f() = {", "if (x) {"),
        ("def f() = {", "x match {"),
        ("def f() = {", "x {"),
        ("def f() = {", "for {"),
    ),
    continued={"else": "if (x) {", "yield": "for {", "catch": "try {", "finally": "try {"},
    parameters=("f(", "def f("),
)
