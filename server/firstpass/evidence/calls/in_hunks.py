"""The calls in a hunk, by syntax tree. Knows the hunk only: not the file around it, nor what a name stands for.

What counts was decided on real commits (benchmarks/suites/evidence): a function, method, constructor or Rust macro that
is called by name. Left out, by name and whatever it is called on: what the language itself provides (`len`, `make`,
`Ok`, `require`); Kotlin's annotations and infix calls; and what stands in a Rust macro's arguments, no syntax yet.
"""

import builtins
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tree_sitter

from firstpass.evidence.diffs.diff import DiffLine, LineKind
from firstpass.evidence.trees.captures import captures
from firstpass.evidence.trees.doubts import doubtful
from firstpass.evidence.trees.grammars import ADDED
from firstpass.evidence.trees.languages import FIRST, Grammar, LanguageName, grammar
from firstpass.evidence.trees.reading import PIECE_CHARACTERS, Allowance, Reading, read

LONGEST_LINE = 2_000
"""Characters; a longer line is generated or minified, and is left out."""

_ECMASCRIPT = frozenset(("require", "String", "Number", "Boolean", "parseInt", "parseFloat"))
_ECMASCRIPT_RESERVED = frozenset(
    ("async", "await", "case", "catch", "constructor", "delete", "do", "else", "for", "function", "if", "new", "return")
) | {"static", "switch", "throw", "try", "typeof", "void", "while", "with", "yield"}
_GO_FUNCTIONS = frozenset(
    ("append", "cap", "close", "copy", "delete", "len", "make", "new", "panic", "print", "println", "recover")
)
_GO_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in ("", "8", "16", "32", "64", "ptr"))
_GO_TYPES = _GO_INTEGERS | {"bool", "byte", "error", "float64", "rune", "string"}
_RUST_MACROS = frozenset(
    ("assert", "assert_eq", "format", "matches", "panic", "print", "println", "eprint", "eprintln", "vec", "write")
) | {"writeln"}
PROVIDED: dict[LanguageName, frozenset[str]] = {
    "python": frozenset(dir(builtins)),
    "javascript": _ECMASCRIPT,
    "typescript": _ECMASCRIPT,
    "tsx": _ECMASCRIPT,
    "go": _GO_FUNCTIONS | _GO_TYPES,
    "rust": frozenset(("Ok", "Err", "Some")) | _RUST_MACROS,
    "java": frozenset(),
    "kotlin": frozenset(),
    **{name: language.provided for name, language in ADDED.items()},
}
_RESERVED: dict[LanguageName, frozenset[str]] = {
    "python": frozenset(),
    "javascript": _ECMASCRIPT_RESERVED,
    "typescript": _ECMASCRIPT_RESERVED,
    "tsx": _ECMASCRIPT_RESERVED,
    "go": frozenset(
        ("case", "chan", "defer", "else", "for", "func", "go", "if", "import", "range", "return", "switch")
    ),
    "rust": frozenset(("else", "fn", "for", "if", "impl", "in", "let", "loop", "match", "pub", "return", "while")),
    "java": frozenset(
        (
            "assert",
            "case",
            "catch",
            "do",
            "else",
            "for",
            "if",
            "new",
            "return",
            "super",
            "switch",
            "synchronized",
            "this",
        )
    )
    | {"throw", "throws", "try", "while"},
    "kotlin": frozenset(("catch", "constructor", "do", "else", "for", "fun", "if", "return", "this", "when", "while")),
    **{name: language.reserved for name, language in ADDED.items()},
}
"""Words that only a broken tree takes for the name of a call, unless it is a member's: `Symbol.for()`."""

_MEMBERS = frozenset(("property_identifier", "field_identifier"))
_BEFORE_BRACKET = re.compile(r"(?<![\w$])((?:[^\W\d]|\$)[\w$]*)\s*!?(?:<[^()]*>)?\(")

_MAY_CALL = re.compile(r"[({`\[]|\bnew\b|[\w:]<\s*\Z")
"""What a line with a call holds: also `run {` (Kotlin), `new X`, tagged templates (JavaScript), `vec![` (Rust), and
type arguments that go on below."""


class Call(NamedTuple):
    """A name, and whether a tree says that it is called: where the text did not parse, only a bracket says so."""

    name: str
    sure: bool


def calls_in(
    language: LanguageName, lines: tuple[DiffLine, ...], kind: LineKind, allowance: Allowance, heading: str = ""
) -> Iterator[Call]:
    """The calls on the lines of one kind, repeats included: a piece's sure ones in order, then its others.

    lines: one side of a hunk, so context and `kind`. heading: the hunk's. A call counts where its name stands.
    """
    for at, piece in enumerate(pieces(lines)):
        wanted = frozenset([row for row, line in enumerate(piece) if line.kind == kind])
        if wanted and (language in ADDED or any(_MAY_CALL.search(piece[row].text) for row in wanted)):
            yield from _calls_in_piece(language, piece, wanted, allowance, "" if at else heading)


def pieces(lines: tuple[DiffLine, ...]) -> Iterator[Sequence[DiffLine]]:
    """The lines in order, as many at once as may be parsed at once; a generated line is emptied."""
    lengths = [len(line.text) for line in lines]
    if sum(lengths) + len(lengths) <= PIECE_CHARACTERS and max(lengths, default=0) <= LONGEST_LINE:
        yield lines
        return
    piece: list[DiffLine] = []
    characters = 0
    for line in lines:
        text = line.text if len(line.text) <= LONGEST_LINE else ""
        characters += len(text) + 1
        if characters > PIECE_CHARACTERS:
            yield piece
            piece, characters = [], len(text) + 1
        piece.append(line if text is line.text else line._replace(text=text))
    yield piece


def _calls_in_piece(
    language: LanguageName, lines: Sequence[DiffLine], wanted: frozenset[int], allowance: Allowance, heading: str
) -> Iterator[Call]:
    shown = [line.text for line in lines]
    reading = read(language, "\n".join(shown), wanted, allowance, heading)
    if reading is None:
        return
    perhaps = doubtful(language, grammar(language), reading.tree, reading.offset, shown)
    for node in _call_names(grammar(language), reading, wanted):
        name, (row, column) = called(node), node.start_point
        reserved = node.type not in _MEMBERS and (_text(node) in _RESERVED[language] or _is_initializer(language, node))
        if name not in PROVIDED[language] and not reserved:
            yield Call(name, sure=(row, column) not in perhaps and not (language in FIRST and reading.breaks(row)))
    if not reading.clean:
        names = (name for at in sorted(wanted) for name in _BEFORE_BRACKET.findall(lines[at].text))
        yield from (Call(name, sure=False) for name in names if name not in PROVIDED[language])


def called(node: tree_sitter.Node) -> str:
    """The name in a node, bare: JavaScript's private `#open` is `open`, and so are quoted ones of Kotlin and Rust."""
    return _text(node).removeprefix("r#").strip("#`")


def _is_initializer(language: LanguageName, node: tree_sitter.Node) -> bool:
    """Kotlin's `init { }`, which is a call to the grammar where it takes a class's body for a lambda."""
    following = node.next_sibling
    return (
        language == "kotlin" and node.text == b"init" and following is not None and following.type != "value_arguments"
    )


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _call_names(grammar: Grammar, reading: Reading, wanted: frozenset[int]) -> list[tree_sitter.Node]:
    """Those on the wanted rows, in order."""
    rows = range(reading.offset + min(wanted), reading.offset + max(wanted) + 1)
    found = captures(grammar.calls, reading.tree, rows).get("call", [])
    shown = [node for node in found if node.start_point[0] - reading.offset in wanted]
    return sorted(shown, key=lambda node: node.start_byte)
