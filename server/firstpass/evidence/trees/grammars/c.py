"""C and C++. A macro that is written like a call counts as one; a cast, a declaration and an initialiser do not.

A constructor counts by its class's name after `new`. `Pool pool(4);` and `Pool{4}` may be one, and may be a declaration
of a function or a list of values. CUDA and Arduino files are read as C++.
"""

import re

from firstpass.evidence.trees.grammars.language import Language

_C_CALLS = """
(call_expression function: [(identifier) @call (field_expression field: (field_identifier) @call)
  (parenthesized_expression (identifier) @perhaps)])
"""
_NAMED = """[
  (identifier) @call
  (template_function name: (identifier) @call)
  (qualified_identifier name: (identifier) @call)
  (qualified_identifier name: (template_function name: (identifier) @call))
  (qualified_identifier name: (qualified_identifier name: (identifier) @call))
  (qualified_identifier name: (qualified_identifier name: (template_function name: (identifier) @call)))
  (qualified_identifier name: (qualified_identifier name: (qualified_identifier name: (identifier) @call)))
  (field_expression field: [
    (field_identifier) @call
    (template_method name: (field_identifier) @call)
    (qualified_identifier name: (field_identifier) @call)
    (dependent_name (template_method name: (field_identifier) @call))])
]"""
_TYPE = """[
  (type_identifier) {0}
  (template_type name: (type_identifier) {0})
  (qualified_identifier name: (type_identifier) {0})
  (qualified_identifier name: (template_type name: (type_identifier) {0}))
  (qualified_identifier name: (qualified_identifier name: (type_identifier) {0}))
]"""
_CPP_CALLS = f"""
(call_expression function: {_NAMED})
(new_expression type: {_TYPE.format("@call")})
(compound_literal_expression type: {_TYPE.format("@perhaps")})
(declaration type: {_TYPE.format("@perhaps")} declarator: (init_declarator value: (argument_list)))
"""
_C_DEFINITIONS = """
(function_definition declarator: (function_declarator declarator: (identifier) @name))
(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name)))
(struct_specifier name: (type_identifier) @name body: (_))
(enum_specifier name: (type_identifier) @name body: (_))
(union_specifier name: (type_identifier) @name body: (_))
(type_definition declarator: (type_identifier) @name)
(preproc_function_def name: (identifier) @name)
"""
_CPP_DEFINITIONS = f"""
{_C_DEFINITIONS}
(function_definition declarator: (function_declarator declarator: [(field_identifier) @name
  (qualified_identifier name: (identifier) @name)]))
(function_definition declarator: (reference_declarator (function_declarator declarator: (_) @name)))
(class_specifier name: (type_identifier) @name body: (_))
(alias_declaration name: (type_identifier) @name)
"""

_OPERATORS = frozenset(("sizeof", "alignof", "_Alignof", "typeof", "defined", "_Static_assert", "static_assert"))
_ATTRIBUTES = frozenset(("__attribute__", "__declspec", "__asm__", "asm", "_Pragma", "_Generic", "_Alignas", "va_arg"))
_CASTS = frozenset(("static_cast", "dynamic_cast", "reinterpret_cast", "const_cast", "decltype", "typeid", "noexcept"))
_C_RESERVED = frozenset(("if", "for", "while", "switch", "return", "else", "do", "case"))
_CPP_RESERVED = _C_RESERVED | {"catch", "operator", "requires", "alignas", "explicit", "throw", "delete", "new"}

_CONSTRUCTOR = re.compile(
    r"^\s*(?:(?:explicit|virtual|inline|constexpr|friend)\s+)*~?[A-Z]\w*[a-z]\w*\s*(?=\([^;{}]*\)[^;{}=.>]*(?:[;{:]|$))"
)
"""Inside a class that is not shown this declares, inside a function it calls; not so names in capitals: macros."""
_IN_CLASS = re.compile(r"^[ \t]*(?:public|private|protected|signals|slots)\b[^;(\n]*:|^[ \t]*(?:virtual\s+)?~\w", re.M)
_ANY_CONSTRUCTOR = re.compile(r"^\s*~?\w+\s*(?=\([^;{}]*\)[^;{}=.>]*(?:[;{:]|$))")
_INITIALISERS = re.compile(r"^\s*[:,]\s*.*|^\s*\w+\s*[({][^;]*[)}]\s*,\s*$")
"""What comes after a constructor's colon."""

_CONTINUED = {"else": "if (x) {", "while": "do {", "catch": "try {"}

C = Language(
    suffixes=(".c",),
    module="tree_sitter_c",
    calls=_C_CALLS,
    definitions=_C_DEFINITIONS,
    provided=_OPERATORS | _ATTRIBUTES,
    reserved=_C_RESERVED,
    blocks=(("void f() {", "if (x) {"), ("struct x y = {", "{"), ("void f() {", "switch (x) {"), ("enum x {",)),
    continued=_CONTINUED,
    parameters=("f(", "void f("),
)

_CPP_TEXT = ".cpp .cc .cxx .c++ .hpp .hh .hxx .h++ .h .ipp .tpp .inl .ino .cu .cuh .cppm .ixx"
_CPP_SUFFIXES = tuple(_CPP_TEXT.split())

CPP = Language(
    suffixes=_CPP_SUFFIXES,
    module="tree_sitter_cpp",
    calls=_CPP_CALLS,
    definitions=_CPP_DEFINITIONS,
    bodies="(compound_statement) @body",
    provided=_OPERATORS | _ATTRIBUTES | _CASTS,
    reserved=_CPP_RESERVED,
    doubtful=((None, _CONSTRUCTOR), (_IN_CLASS, _ANY_CONSTRUCTOR), (None, _INITIALISERS)),
    blocks=(
        ("void f() {", "if (x) {"),
        ("class X {", "void f() {", "if (x) {"),
        ("namespace x {", "class X {", "void f() {", "if (x) {"),
        ("namespace x {", "void f() {", "if (x) {"),
        ("enum X {",),
    ),
    continued=_CONTINUED,
    parameters=("f(", "void f("),
)
"""Also of headers: whether `.h` is C or C++ no line of a hunk may show, and C++ reads nearly all of C."""
