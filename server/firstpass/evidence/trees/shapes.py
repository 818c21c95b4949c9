"""What kinds of block each of the first seven languages has: how one is recognised, and the line that opens it.

Knows no hunk and no tree. A kind is recognised by what stands at its own level, with empty brackets (`skeleton`), and
opened by a line that depends on what is around it: a block is `{` in a block, `f() {` in a class, `() => {` in a call.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from firstpass.evidence.trees.languages import LanguageName

Follows = tuple[tuple[str, re.Pattern[str], frozenset[str]], ...]
Openers = Mapping[str, Mapping[str, str]]
"""By kind, then by the place where it stands: the kind around it, "expression" in brackets, else ""."""


@dataclass(frozen=True, slots=True)
class Shape:
    """signals: (kind, pattern of what stands in it), in the order asked, for `}` and for what a hunk does not close.

    brackets: (kind, pattern of what stands in it, pattern of what follows it), in the order asked, for `)`.
    headings: (kind, pattern of the line that opened it). follows: (kind, pattern of what follows its `}`, instead of
    which kinds). delegates: what only a constructor has. prefix: what comes before a statement in a switch.
    expressions: the kinds whose parts are expressions.
    """

    signals: tuple[tuple[str, re.Pattern[str]], ...]
    brackets: tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]
    headings: tuple[tuple[str, re.Pattern[str]], ...]
    openers: Openers
    follows: Follows
    delegates: re.Pattern[str] | None = None
    prefix: str = "case 1: "
    expressions: frozenset[str] = frozenset(("args", "array", "params", "arrow", "container", "template"))

    def opener(self, kind: str, around: str) -> str:
        """The line that opens a block of a kind in one of another kind."""
        places = self.openers.get(kind) or self.openers["block"]
        place = "expression" if around in self.expressions else around
        if place in places:
            return places[place]
        return (self.prefix if place in CASES else "") + places[""]


CASES = frozenset(("switch", "select", "types", "match"))
"""Kinds in which statements stand behind the label of a case."""

_ANY = re.compile("")
_LINE = r"^[ \t]*+"


def _line(pattern: str) -> re.Pattern[str]:
    """That begins a line."""
    return re.compile(_LINE + pattern, re.MULTILINE)


def _first(pattern: str) -> re.Pattern[str]:
    """That begins what follows a bracket."""
    return re.compile(r"[ \t]*+" + pattern)


_CASE = _line(r"(?:case\b|default[ \t]*(?::|->))")
_CONTROL = (
    r"(?:if|for|while|switch|catch|with|function|return|await|typeof|new|throw|else|do|try|synchronized|when|super)\b"
)
_LOGIC = re.compile(r"^[ \t]*+(?:&&|\|\|)|(?:&&|\|\|)[ \t]*+$", re.MULTILINE)
_COMMA_AT_END = re.compile(r",[ \t]*$", re.MULTILINE)

_CONSTANT = _line(
    r"(?:@\w++(?:\(\))?\s)*+(?:[A-Z]\w*+(?:\(\))?[ \t]*+(?:\{\})?[ \t]*+[,;]|[A-Z][A-Z0-9_]++\(\)[ \t]*+\{)[ \t]*+$"
)
_BLOCK = frozenset(("block",))
_GOES_ON: Follows = (
    ("if", re.compile(r"\s*+else\b"), _BLOCK),
    ("try", re.compile(r"\s*+(?:catch|finally)\b"), _BLOCK),
    ("do", _first(r"while[ \t]*+\("), _BLOCK),
)

_ES_METHOD = (
    r"(?:(?:public|private|protected|static|readonly|abstract|override|async|get|set)[ \t]++)*+\*?[ \t]*+"
    rf"(?!{_CONTROL})(?:#?[\w$]++|\[\]|\"\")\??(?:<[^\n()]{{0,80}}>)?\(\)(?::[^\n;]{{1,120}})?[ \t]*+\{{"
)
_ECMASCRIPT = Shape(
    signals=(
        ("switch", _CASE),
        ("children", _line(r"<(?!<)")),
        ("attributes", _line(r"(?:[\w:-]++=(?:\{\}|\"\")|\{\}[ \t]*+$(?=\n[ \t]*+[\w-]++=\{))")),
        (
            "class",
            _line(r"(?:(?:public|private|protected|readonly|abstract|override|declare|static)[ \t]++[\w$#\[*{@]|#\w)"),
        ),
        ("class", _line(r"(?:constructor[ \t]*+\(|static[ \t]*+\{)")),
        ("object", re.compile(_LINE + _ES_METHOD + r"\},", re.MULTILINE)),
        ("object", _line(r"(?:[\w$]++|\"\"|\[\])[ \t]*+:(?![^\n]*;[ \t]*+$)[^\n]*,[ \t]*+$")),
        ("class", re.compile(_LINE + _ES_METHOD, re.MULTILINE)),
        (
            "interface",
            _line(r"(?:readonly[ \t]++)?(?:[\w$]++|\[\])\??(?:<[^\n()]{0,80}>)?(?:\(\))?:[ \t](?:[^\n=?]|=>)++$"),
        ),
        ("object", _COMMA_AT_END),
    ),
    brackets=(
        ("arrow", _ANY, _first(r"(?::[^\n;]{1,120})?=>")),
        ("condition", _LOGIC, _first(r"\{")),
        ("params", _ANY, _first(r"(?:\{|:[ \t]*+[^\n;]{1,120}\{)")),
    ),
    headings=(
        ("interface", re.compile(r"\binterface\b|\btype [\w<>, ]+= *\{")),
        ("enum", re.compile(r"\benum\b")),
        ("class", re.compile(r"\bclass\b")),
        ("object", re.compile(r"[=(:] *\{$|\bdefault *\{$")),
    ),
    follows=(*_GOES_ON, ("import", _first(r"from\b"), frozenset(("block", "object")))),
    openers={
        "block": {"": "{", "expression": "() => {", "class": "f() {", "object": "f() {"},
        "if": {"": "if (x) {"},
        "try": {"": "try {"},
        "do": {"": "do {"},
        "class": {"": "class X {", "expression": "class {", "object": "x: class {", "class": "x = class {"},
        "interface": {"": "interface X {", "expression": "x: {", "interface": "x: {"},
        "enum": {"": "enum X {"},
        "object": {"": "x = {", "expression": "{", "object": "x: {", "interface": "x: {"},
        "switch": {"": "switch (x) {"},
        "array": {"": "x = [", "expression": "[", "object": "x: ["},
        "args": {"": "f(", "object": "x: f(", "class": "x = f("},
        "params": {"": "function f(", "expression": "function (", "object": "f(", "class": "f(", "interface": "f("},
        "arrow": {"": "x = (", "expression": "(", "object": "x: ("},
        "attributes": {"": "x = <a", "expression": "<a", "object": "x: <a", "children": "<a"},
        "children": {"": "x = <a>", "expression": "<a>", "object": "x: <a>", "children": "<a>"},
        "container": {"": "{", "attributes": "a={"},
        "import": {"": "import {"},
        "template": {"": "x = `${", "expression": "`${", "object": "x: `${"},
        "condition": {"": "if ("},
    },
)

_GO_KEYWORD = (
    r"(?:return|go|defer|var|type|const|case|if|for|switch|else|break|continue|goto|func|package|import|select|range)\b"
)
_GO = Shape(
    signals=(
        ("select", _line(r"case\b[^\n]*<-")),
        ("types", _line(r"case[ \t][^\n:]*(?:\[\]|\bmap\[|\bfunc\(|\bchan\b|\binterface\{|\bstruct\{|\*)")),
        ("switch", _CASE),
        ("interface", _line(r"[A-Za-z]\w*+\(\)[ \t]++(?:\(|[\w*\[])(?![^\n]*(?:\{|[^<]=))")),
        ("literal", _line(rf"(?!{_GO_KEYWORD})(?:[\w.]++|\"\"|\{{\}}|'')(?:\[\]|\(\)|\{{\}})*[ \t]*+:(?!=)[^\n]*[,{{(]$")),  # noqa: E501
        ("struct", _line(
            rf"(?!{_GO_KEYWORD})[A-Za-z_]\w*+(?:,[ \t]?\w++)*+[ \t]++(?:\*|\[|map\b|chan\b|func\b|<-|[A-Za-z])[\w.*\[\](){{}} \t]*+"  # noqa: E501
            r"(?:\"\")?[ \t]*+$"
        )),
        ("literal", _COMMA_AT_END),
    ),
    brackets=(
        ("import", _line(r"(?:[\w.]++[ \t]++)?\"\"[ \t]*+$"), _ANY),
        ("params", re.compile(_LINE + r"(?:\w++,[ \t]*+)*+\w++[ \t]++[\w*\[.].*,[ \t]*+$", re.MULTILINE), _first(r"[\w*(\[{]")),  # noqa: E501
        ("group", _line(r"\w++(?:,[ \t]*+\w++)*+(?:[ \t]++[\w.*\[\]]++)?[ \t]*+(?:=[^=\n]*)?$(?!\n[ \t]*+\.)"), re.compile(r"[ \t]*+(?:\n|\Z)")),  # noqa: E501
        ("condition", _ANY, _first(r"\{")),
    ),
    headings=(
        ("interface", re.compile(r"\binterface *\{")),
        ("struct", re.compile(r"\bstruct *\{")),
        ("group", re.compile(r"^(?:var|const) *\(")),
        ("import", re.compile(r"^import *\(")),
        ("literal", re.compile(r"=[^=].*[\w\]}]\{$")),
    ),
    follows=(*_GOES_ON, ("go", _first(r"\("), _BLOCK)),
    openers={
        "block": {"": "{", "expression": "func() {", "literal": "x: func() {"},
        "if": {"": "if x {"},
        "go": {"": "go func() {"},
        "switch": {"": "switch x {"},
        "types": {"": "switch x := y.(type) {"},
        "select": {"": "select {"},
        "interface": {"": "type X interface {", "struct": "x interface {"},
        "struct": {"": "type X struct {", "struct": "x struct {"},
        "literal": {"": "x = T{", "expression": "T{", "literal": "{"},
        "array": {"": "x = a[", "expression": "a["},
        "args": {"": "f(", "literal": "f("},
        "params": {"": "func f(", "expression": "func(", "literal": "x: func("},
        "group": {"": "const ("},
        "import": {"": "import ("},
        "condition": {"": "if f("},
    },
    prefix="default: ",
    expressions=frozenset(("args", "array")),
)  # fmt: skip

_RUST = Shape(
    signals=(
        ("match", re.compile(r"=>")),
        ("enum", _line(r"(?:#\[\][ \t]*+)?[A-Z]\w*+(?:\(\)|[ \t]*+\{\})?(?:[ \t]*+=[ \t]*+\d++)?,[ \t]*+$")),
        ("struct", _line(r"pub(?:\(\))?[ \t]++\w++[ \t]*+:[^:]")),
        ("literal", _line(r"\.\.")),
        ("literal", _line(r"\w++[ \t]*+:(?!:)[^\n;]{0,200}(?:\(\)|\"\"|\{\}|\d|\.\w)[^\n;]{0,200},[ \t]*+$")),
        ("struct", _line(r"\w++[ \t]*+:(?!:)[^\n;=]*,[ \t]*+$")),
        ("literal", _line(r"\w++,[ \t]*+$")),
    ),
    brackets=(
        ("params", _ANY, _first(r"(?:->|where\b)")),
        ("params", _line(r"(?:(?:mut[ \t]++)?\w++[ \t]*+:[^:]|&?(?:mut[ \t]++)?self\b)"), _first(r"\{")),
        ("condition", _ANY, _first(r"\{")),
    ),
    headings=(
        ("enum", re.compile(r"\benum\b")),
        ("struct", re.compile(r"\bstruct\b.*\{")),
        ("trait", re.compile(r"\btrait\b|\bextern\b")),
        ("impl", re.compile(r"\bimpl\b")),
    ),
    follows=_GOES_ON,
    openers={
        "block": {"": "{", "expression": "|| {", "literal": "x: {", "match": "_ => {", "impl": "fn f() {", "trait": "fn f() {"},  # noqa: E501
        "if": {"": "if x {", "match": "_ => if x {", "literal": "x: if x {"},
        "match": {"": "match x {", "match": "_ => match x {", "literal": "x: match x {"},
        "enum": {"": "enum X {"},
        "struct": {"": "struct X {", "enum": "X {"},
        "literal": {"": "x = X {", "expression": "X {", "literal": "x: X {", "match": "_ => X {"},
        "use": {"": "use x::{", "use": "x::{"},
        "trait": {"": "trait X {"},
        "impl": {"": "impl X {"},
        "array": {"": "x = [", "expression": "[", "literal": "x: ["},
        "args": {"": "f(", "literal": "x: f(", "match": "_ => f(", "enum": "X("},
        "params": {"": "fn f("},
        "condition": {"": "if f("},
    },
    prefix="_ => ",
    expressions=frozenset(("args", "array")),
)  # fmt: skip

_JAVA_METHOD = rf"(?:@\w++(?:\(\))?[ \t]++)*+(?!{_CONTROL})(?:[\w<>\[\],.?&]++[ \t]++){{0,8}}\w++\(\)(?:[ \t]*+throws[^\n{{;]{{0,200}})?[ \t]*+\{{"  # noqa: E501
_JAVA_MODIFIER = r"(?:public|private|protected|abstract|native|static|@Override|@Test)\b"
_JAVA = Shape(
    signals=(
        ("switch", _CASE),
        ("enum", _CONSTANT),
        ("class", _line(_JAVA_MODIFIER)),
        ("class", _line(_JAVA_METHOD)),
        ("array", _COMMA_AT_END),
    ),
    brackets=(
        ("arrow", _ANY, _first(r"->")),
        ("condition", _LOGIC, _first(r"\{")),
        ("params", _ANY, _first(r"(?:\{|throws\b)")),
    ),
    headings=(
        ("enum", re.compile(r"\benum\b")),
        ("class", re.compile(r"\b(?:class|interface|record)\b")),
    ),
    follows=(*_GOES_ON, ("anonymous", _first(";"), frozenset(("class",)))),
    openers={
        "block": {"": "{", "expression": "() -> {", "class": "X() {"},
        "if": {"": "if (x) {"},
        "try": {"": "try {"},
        "do": {"": "do {"},
        "class": {"": "class X {", "expression": "new X() {", "enum": "A {"},
        "anonymous": {"": "X x = new X() {"},
        "enum": {"": "enum X {"},
        "switch": {"": "switch (x) {"},
        "array": {"": "int[] x = {", "expression": "new int[] {", "array": "{"},
        "args": {"": "f(", "class": "@A(", "enum": "A("},
        "value": {"": "int x = f("},
        "params": {"": "void f(", "class": "X(", "expression": "("},
        "arrow": {"": "X x = (", "expression": "("},
        "condition": {"": "if ("},
    },
    delegates=_line(r"(?:this|super)\("),
)

_KOTLIN_WORD = (
    r"(?:override|private|protected|internal|public|abstract|open|lateinit|inner|sealed|operator|companion|const)"
)
_KOTLIN = Shape(
    signals=(
        ("when", _line(r"(?:is\b|in\b|!is\b|else[ \t]*+->)")),
        ("when", _line(r"(?!(?:val|var|fun|typealias|@|private|internal|override|lateinit)\b)[^\n:]*->")),
        ("enum", _CONSTANT),
        (
            "class",
            _line(rf"(?:@\w++(?:\(\))?[ \t]++)*+(?:{_KOTLIN_WORD}[ \t]++[\w@]|init[ \t]*+\{{|constructor[ \t]*+\()"),
        ),
        ("class", _line(r"(?:@[\w.:]++(?:\(\))?[ \t]*+)*+(?:suspend[ \t]++)?fun[ \t]")),
        ("class", _line(r"[gs]et\(\)[ \t]*+[={:]")),
    ),
    brackets=(
        (
            "primary",
            _line(r"(?:@\w++(?:\(\))?[ \t]++)*+(?:(?:private|internal|override|public|protected)[ \t]++)*+va[lr]\b"),
            _ANY,
        ),
        ("params", _line(r"(?:(?:vararg|crossinline|noinline)[ \t]++)?\w++[ \t]*+:[^:]"), _first(r"(?:[:={]|\n|\Z)")),
        ("condition", _LOGIC, _first(r"\{")),
        ("primary", _ANY, _first(r"(?::[ \t]*+[A-Z]|\{)")),
    ),
    headings=(
        ("enum", re.compile(r"\benum class\b")),
        ("class", re.compile(r"\b(?:class|interface|object)\b")),
    ),
    follows=(*_GOES_ON, ("lambda", _first(r"(?:[?!]*+\.|!!|\?:)"), _BLOCK)),
    openers={
        "block": {"": "if (x) {", "expression": "{", "class": "fun f() {", "when": "1 -> {"},
        "if": {"": "if (x) {", "when": "1 -> if (x) {"},
        "try": {"": "try {", "when": "1 -> try {", "class": "val x = try {"},
        "do": {"": "do {"},
        "lambda": {"": "run {", "class": "val x = run {", "when": "1 -> run {"},
        "class": {"": "class X {", "expression": "object : X {", "enum": "A {"},
        "enum": {"": "enum class X {"},
        "when": {"": "when (x) {", "class": "val x = when (x) {", "when": "1 -> when (x) {"},
        "array": {"": "a[", "class": "val x = a["},
        "args": {"": "f(", "class": "val x = f(", "enum": "A(", "when": "1 -> f("},
        "params": {"": "fun f("},
        "primary": {"": "class X("},
        "condition": {"": "if ("},
    },
    expressions=frozenset(("args", "array")),
)

SHAPES: dict[LanguageName, Shape] = {
    "javascript": _ECMASCRIPT, "typescript": _ECMASCRIPT, "tsx": _ECMASCRIPT,
    "go": _GO, "rust": _RUST, "java": _JAVA, "kotlin": _KOTLIN,
}  # fmt: skip
