"""Ruby, PHP and shell. What counts in each, where their syntax leaves it open, is said at its query."""

import re

from firstpass.evidence.trees.grammars.heredocs import heredoc_code
from firstpass.evidence.trees.grammars.language import Language, Words
from firstpass.evidence.trees.grammars.regions import php_code

_RUBY_CALLS = """
(call method: [(identifier) (constant)] @call arguments: (argument_list))
(call method: (identifier) @call block: (_))
(call method: (identifier) @call (#match? @call "[!?]$"))
(call receiver: (constant) method: (identifier) @call (#eq? @call "new"))
(call receiver: (scope_resolution) method: (identifier) @call (#eq? @call "new"))
(call receiver: (_) method: (identifier) @perhaps !arguments !block (#not-match? @perhaps "[!?]$|^new$"))
"""
"""With arguments or a block, a final ! or ?, or `new`. `user.name` may be a call, and may be told from none."""
_RUBY_DEFINITIONS = """
[(method name: (_) @name) (singleton_method name: (_) @name) (class name: (constant) @name)
 (module name: (constant) @name)]
"""
_RUBY_PROVIDED = frozenset(
    ("abort", "alias_method", "attr_accessor", "attr_reader", "attr_writer", "block_given?", "exit", "extend", "format")
) | {
    "include", "lambda", "loop", "module_function", "nil?", "p", "prepend", "print", "printf", "private",
    "private_class_method", "private_constant", "proc", "protected", "public", "puts", "raise", "require",
    "require_relative", "sprintf", "using", "Array", "Float", "Integer", "String", "is_a?", "respond_to?",
}  # fmt: skip

_VALUED = "if|unless|case|begin|while"
_RUBY_WORDS = (
    Words(
        re.compile(r"(?:def|class|module|if|unless|case|while|until|for|begin)\b(?!.*\bend\s*$)"), "end", "begin", "end"
    ),
    Words(re.compile(r".*\bdo(?:\s*\|[^|]*\|)?\s*$"), "end", "f do", "end"),
    Words(re.compile(rf".*(?:=|<<|\|\||&&|\(|\breturn)\s*(?:{_VALUED})\b(?!.*\bend\s*$)"), "end", "begin", "end"),
)

RUBY = Language(
    suffixes=(".rb", ".rake", ".gemspec", ".ru", ".podspec", ".rbw", ".jbuilder", ".thor"),
    file_names=(
        "gemfile",
        "rakefile",
        "guardfile",
        "podfile",
        "fastfile",
        "brewfile",
        "vagrantfile",
        "capfile",
        "dangerfile",
    ),
    module="tree_sitter_ruby",
    calls=_RUBY_CALLS,
    definitions=_RUBY_DEFINITIONS,
    provided=_RUBY_PROVIDED,
    reserved=frozenset(
        ("def", "if", "unless", "while", "until", "and", "or", "not", "when", "case", "in", "rescue", "end")
    )
    | {
        "super",
        "yield",
        "defined?",
        "return",
        "then",
        "do",
        "class",
        "module",
        "begin",
        "ensure",
        "else",
        "elsif",
        "for",
    },
    doubtful=(
        (None, re.compile(r"^\s*in\b.*?(?:\bthen\b|$)")),
        (None, re.compile(r"\bdef\s+[\w.]+[?!=]?")),
    ),
    blocks=(("x = {",),),
    words=_RUBY_WORDS,
    before=("if x", "case x", "def f", "begin"),
    comments="hash",
    code=heredoc_code,
)

_PHP_CALLS = """
(function_call_expression function: [(name) @call (qualified_name (name) @call .)])
(member_call_expression name: (name) @call)
(nullsafe_member_call_expression name: (name) @call)
(scoped_call_expression name: (name) @call)
(object_creation_expression [(name) @call (qualified_name (name) @call .)])
"""
_PHP_DEFINITIONS = """
[(function_definition name: (name) @name) (method_declaration name: (name) @name)
 (class_declaration name: (name) @name) (interface_declaration name: (name) @name)
 (trait_declaration name: (name) @name) (enum_declaration name: (name) @name)]
"""
_PHP_PROVIDED = frozenset(
    ("array", "boolval", "compact", "count", "define", "defined", "die", "echo", "empty", "eval", "exit", "extract")
) | {
    "floatval", "include", "include_once", "intval", "is_array", "is_int", "is_null", "is_string", "isset", "list",
    "print", "print_r", "require", "require_once", "strlen", "strval", "unset", "var_dump",
    "ARRAY", "COUNT", "DEFINE", "EMPTY", "ISSET", "UNSET",
}  # fmt: skip

PHP = Language(
    suffixes=(".php", ".phtml", ".inc", ".php3", ".php4", ".php5", ".php7", ".phps"),
    module="tree_sitter_php",
    factory="language_php_only",
    calls=_PHP_CALLS,
    definitions=_PHP_DEFINITIONS,
    provided=_PHP_PROVIDED,
    reserved=frozenset(
        ("__construct", "catch", "declare", "else", "elseif", "fn", "for", "foreach", "function", "if", "match")
    )
    | {"return", "static", "switch", "use", "while", "self", "parent", "case", "class", "new", "throw"},
    doubtful=((None, re.compile(r"^\s*#\[.*|^\s*case\b[^(:]*[:;].*")),),
    blocks=(
        ("function f() {", "if ($x) {"),
        ("class X {", "function f() {", "if ($x) {"),
        ("class X {", "function f() {", "$x = match ($y) {"),
        ("interface X {", "x"),
    ),
    continued={"else": "if ($x) {", "elseif": "if ($x) {", "while": "do {", "catch": "try {", "finally": "try {"},
    parameters=("f(", "function f("),
    comments="any",
    code=php_code,
)
"""A class's name after `new`; `parent::__construct()` goes on with what is constructed and is no call of its own."""

_BASH_CALLS = """
(command name: (command_name (word) @call (#match? @call "^[A-Za-z_][A-Za-z0-9]*_[A-Za-z0-9_]*$")))
(command name: (command_name (word) @perhaps (#match? @perhaps "^[A-Za-z][A-Za-z0-9]*$")))
"""
"""A function is called as a program is run. With an underscore within it is taken for a function, as hardly a program
has one; other words may be either."""
_UNDERSCORED = frozenset(
    ("pg_dump", "pg_dumpall", "pg_restore", "pg_isready", "pg_ctl", "pg_basebackup", "clang_format")
)
_BASH_BUILTINS = """
alias bg break builtin cd command continue declare dirs echo eval exec exit export false fg getopts hash help jobs kill
let local popd printf pushd pwd read readonly return set shift shopt source test time times trap true type typeset
ulimit umask unalias unset wait
"""
_BASH_WORDS = (
    Words(re.compile(r"if\b(?!.*\bfi\s*(?:;|$|#))"), "fi", "if x; then :", ":; fi"),
    Words(re.compile(r"(?:while|until|for|select)\b(?!.*\bdone\b)"), "done", "while x; do :", ":; done"),
    Words(re.compile(r"case\b(?!.*\besac\b)"), "esac", "case x in y)", "esac"),
    Words(re.compile(r"(?:function\s+)?[\w-]+\s*(?:\(\s*\))?\s*\{\s*$|\{\s*$"), "}", "f() {", ":; }"),
)

BASH = Language(
    suffixes=(".sh", ".bash", ".ksh", ".zsh", ".bats"),
    file_names=(".bashrc", ".bash_profile", ".bash_aliases", ".profile", ".zshrc", ".zprofile", "pkgbuild"),
    module="tree_sitter_bash",
    calls=_BASH_CALLS,
    definitions="(function_definition name: (word) @name)",
    provided=_UNDERSCORED | frozenset(_BASH_BUILTINS.split()),
    reserved=frozenset(
        ("if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in")
    )
    | {"function", "select"},
    doubtful=((None, re.compile(r"^\s*[\w|*\"' -]+\)")),),
    words=_BASH_WORDS,
    before=("if x; then :", "case x in", "case x in y)", "while x; do :", "f() {"),
    comments="hash",
    code=heredoc_code,
)
