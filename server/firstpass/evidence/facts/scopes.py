"""The definitions on one side of a hunk: where each begins and ends, its signature, its decorators, what it belongs to.

Knows one run of lines and no diff: neither the other side nor the rest of the file. A tree says where definitions are;
where none reads the language or a line did not parse, words do, and the indentation says where they end.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import tree_sitter

from firstpass.evidence.facts.by_words import Defined, defined_in, indentation
from firstpass.evidence.facts.changes import MOST_CHARACTERS, SymbolKind
from firstpass.evidence.trees.definitions import definition_names
from firstpass.evidence.trees.languages import LanguageName
from firstpass.evidence.trees.reading import Reading

MOST_DECORATOR_LINES = 40
_MOST_SIGNATURE_LINES = 60

_ECMASCRIPT = """
(assignment_expression left: (member_expression property: (property_identifier) @name)
  right: [(function_expression) (arrow_function) (class)])
(pair key: (property_identifier) @name value: [(function_expression) (arrow_function)])
"""
_TYPESCRIPT = f"""
{_ECMASCRIPT}
(public_field_definition name: (_) @name value: [(function_expression) (arrow_function)])
(method_signature name: (property_identifier) @name)
(abstract_method_signature name: (property_identifier) @name)
(function_signature name: (identifier) @name)
"""
_MORE: dict[str, str] = {
    "javascript": f"""
{_ECMASCRIPT}
(field_definition property: (_) @name value: [(function_expression) (arrow_function)])
""",
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": "(method_elem name: (field_identifier) @name)",
    "java": "(annotation_type_declaration name: (identifier) @name)",
}
"""Definitions that an index has no use for: members without a word that defines, and declarations."""

_MAY_DEFINE: dict[str, re.Pattern[str]] = {
    "python": re.compile(r"\b(?:def|class)\b"),
    "go": re.compile(r"\b(?:func|type|interface)\b|^\t[A-Z]\w*\(", re.M),
    "rust": re.compile(r"\b(?:fn|struct|enum|trait|type|macro_rules|impl)\b"),
    "kotlin": re.compile(r"\b(?:fun|class|object|interface)\b"),
}
_MAY_DEFINE_ANYWHERE = re.compile(
    r"\b(?:class|interface|enum|record|type|function|struct|module|namespace|def|trait|object|func|union|protocol)\b"
    r"|=>|\)[^;{}]{0,400}\{|^[ \t]++[\w<>\[\],.?][\w<>\[\],.? ]*+\([^()]{0,400}\)[^;{}]{0,400};",
    re.M,
)
"""What a text with a definition holds: others need no tree."""

_DEFINES = re.compile(r"defin|declaration$|_item$|_spec$|_specifier$|_elem$|_signature$|declarator$|^pair$|assignment")
_CLASS = re.compile(r"class|object|record|module|companion|extension|impl")
_TYPE = re.compile(r"type|interface|enum|struct|trait|union|protocol|annotation")
_CALLABLE = re.compile(r"function|method|constructor|_elem$|arrow|signature|procedure|macro|initializer|subroutine")
_BODY = re.compile(r"(?:^|_)(?:body|block|declaration_list|variant_list|members)$")
_RECEIVER = re.compile(r"([^\W\d]\w*)\s*(?:\[[^\]]*\])?\s*\)?$")
_BEFORE_NAME = re.compile(r"([^\W\d]\w*)(?:<[^<>]*>)?(?:::|\.)[*&~]?$")
_SIGNATURE_ENDS = ("=>", "->", "{", ":", "=", ";", ",", "(")
_DECORATOR = re.compile(r"\s*(?:@\w|#!?\[|\[\w[^=]*\]\s*$)")
_CLOSES = re.compile(r"[)\]}]+[;,]?\s*$")
_ATTRIBUTE_ONLY = re.compile(r"\s*(?:@[\w.]+(?:\([^()]*\)|(?![\w.(]))|#!?\[[^\]]*\])\s*")


class Scope(NamedTuple):
    """A definition. Rows are 0-based, of the lines it was read from.

    first: its first decorator's row, else `row`, where its signature begins. body: the row where that ends.
    last: its last row. indent: characters before it. decorators: by row.
    holder: the class, type or receiver around it. local: whether a function is around it.
    """

    kind: SymbolKind
    name: str
    holder: str | None
    first: int
    row: int
    body: int
    last: int
    indent: int
    signature: str
    end_column: int
    decorators: tuple[tuple[int, str], ...] = ()
    local: bool = False
    enclosed: bool = False

    @property
    def is_holder(self) -> bool:
        return self.kind in ("class", "type")


def scopes_in(
    language: LanguageName | None, lines: Sequence[str], reading: Reading | None, wanted: frozenset[int]
) -> list[Scope]:
    """In the order of their rows, outer ones first. wanted: rows; what has none of them is left without a signature."""
    found = list(_in_tree(language, lines, reading, wanted)) if language and reading else []
    if reading is None or not reading.clean:
        rows = {scope.row for scope in found}
        found += [scope for scope in _by_words(lines, wanted) if scope.row not in rows]
    return list(_nested(sorted(found, key=lambda scope: (scope.row, -scope.last))))


def may_define(language: LanguageName | None, text: str) -> bool:
    return _MAY_DEFINE.get(language or "", _MAY_DEFINE_ANYWHERE).search(text) is not None


def signature_of(lines: Iterable[str], end_column: int | None = None) -> str:
    """One line of normalised white space; end_column: where the last of the lines is cut."""
    texts = list(lines)
    if texts and end_column is not None:
        texts[-1] = texts[-1][:end_column]
    joined = " ".join(" ".join([text[: 2 * MOST_CHARACTERS] for text in texts[:_MOST_SIGNATURE_LINES]]).split())
    while (match := _ATTRIBUTE_ONLY.match(joined)) and match.end() < len(joined):
        joined = joined[match.end() :]
    joined = joined.replace("( ", "(").replace(" )", ")").replace(",)", ")")
    joined = joined[: 4 * MOST_CHARACTERS].rstrip()
    ended = next((end for end in _SIGNATURE_ENDS if joined.endswith(end)), "")
    return joined.removesuffix(ended).rstrip()[:MOST_CHARACTERS]


def _nested(scopes: Iterable[Scope]) -> Iterator[Scope]:
    """Each with the holder that the lines show around it."""
    open_scopes: list[Scope] = []
    for scope in scopes:
        while open_scopes and open_scopes[-1].last < scope.last:
            open_scopes.pop()
        while open_scopes and open_scopes[-1].last < scope.row:
            open_scopes.pop()
        if open_scopes:
            scope = _inside(scope, open_scopes[-1])
        open_scopes.append(scope)
        yield scope


def _inside(scope: Scope, outer: Scope) -> Scope:
    if outer.is_holder and not outer.local:
        kind: SymbolKind = "method" if scope.kind == "function" else scope.kind
        return scope._replace(kind=kind, holder=scope.holder or outer.name, enclosed=True)
    return scope._replace(local=True, enclosed=True)


# --- by a tree


def _in_tree(language: LanguageName, lines: Sequence[str], reading: Reading, wanted: frozenset[int]) -> Iterator[Scope]:
    for name in definition_names(language, reading.tree, _MORE.get(language, "")):
        row = name.start_point[0] - reading.offset
        if 0 <= row < len(lines) and (scope := _scope(name, lines, reading.offset, wanted)):
            yield scope


def _scope(name: tree_sitter.Node, lines: Sequence[str], offset: int, wanted: frozenset[int]) -> Scope | None:
    node = _definition(name)
    if node is None:
        return None
    name_row = name.start_point[0] - offset
    start = min(max(node.start_point[0] - offset, 0), name_row)
    last = min(max(node.end_point[0] - offset, name_row), len(lines) - 1)
    row, decorators = _decorated(lines, start, name_row)
    body, column = _signature_end(node, name, name_row, offset)
    body = min(body, last)
    text = (name.text or b"").decode("utf-8", "replace").strip("#'\"`")
    kind, holder = _kind(node), _holder(node, name, lines[name_row], offset)
    first = decorators[0][0] if decorators else row
    return Scope(
        kind="method" if holder and kind == "function" else kind,
        name=text,
        holder=holder,
        first=first,
        row=row,
        body=max(body, row),
        last=last,
        indent=indentation(lines[row]),
        signature="" if wanted.isdisjoint(range(first, last + 1)) else signature_of(lines[row : body + 1], column),
        end_column=column,
        decorators=decorators,
    )


def _definition(name: tree_sitter.Node) -> tree_sitter.Node | None:
    """The node that the name is the name of."""
    node = name.parent
    for _ in range(4):
        if node is None or node.type == "ERROR":
            return None
        if _DEFINES.search(node.type):
            outer = node.parent
            lone = node.type.endswith(("variable_declarator", "_spec")) or node.type == "function_declarator"
            return outer if lone and outer and _DEFINES.search(outer.type) and outer.named_child_count == 1 else node
        node = node.parent
    return name.parent


def _kind(node: tree_sitter.Node) -> SymbolKind:
    value = node
    if node.type in ("lexical_declaration", "variable_declaration") and node.named_child_count:
        value = node.named_children[-1]
    value = value.child_by_field_name("value") or value.child_by_field_name("right") or value
    kind = node.type if value is node else value.type
    if kind in ("method_definition", "method_declaration", "method_elem", "constructor_declaration"):
        return "method"
    if _CALLABLE.search(kind):
        return "method" if kind.startswith(("method", "abstract_method")) else "function"
    if _CLASS.search(kind):
        return "class"
    return "type" if _TYPE.search(kind) else "function"


def _holder(node: tree_sitter.Node, name: tree_sitter.Node, line: str, offset: int) -> str | None:
    """What a receiver, a qualified name or a Rust `impl` around it says."""
    if receiver := node.child_by_field_name("receiver"):
        match = _RECEIVER.search((receiver.text or b"").decode("utf-8", "replace").rstrip(") "))
        return match[1] if match else None
    before = line.encode("utf-8", "replace")[: name.start_point[1]].decode("utf-8", "replace")
    before = before.removesuffix(".prototype.") + "." if before.endswith(".prototype.") else before
    if match := _BEFORE_NAME.search(before[-MOST_CHARACTERS:]):
        return None if match[1] in ("exports", "module", "this", "self") else match[1]
    outer = node.parent.parent if node.parent else None
    if outer and outer.type == "impl_item" and outer.start_point[0] >= offset:
        kind = outer.child_by_field_name("type")
        match = re.match(r"[&\s]*([\w:]+)", (kind.text or b"").decode("utf-8", "replace")) if kind else None
        return match[1].rpartition(":")[2] if match else None
    return None


def _signature_end(node: tree_sitter.Node, name: tree_sitter.Node, row: int, offset: int) -> tuple[int, int]:
    """(row, column) where the signature ends: before the body, or with the definition where it has none."""
    body = _body(node)
    before = body.prev_sibling if body else None
    while before is not None and "comment" in before.type:
        before = before.prev_sibling
    if before is not None and before.end_point[0] - offset >= row:
        return before.end_point[0] - offset, before.end_point[1]
    if body is not None:
        return body.start_point[0] - offset, body.start_point[1]
    text = (node.text or b"").decode("utf-8", "replace")
    if "{" in text or node.end_point[0] - offset > row + _MOST_SIGNATURE_LINES:
        return row, 10**6
    return node.end_point[0] - offset, node.end_point[1]


def _body(node: tree_sitter.Node) -> tree_sitter.Node | None:
    for holder in _values(node):
        if found := holder.child_by_field_name("body"):
            return found
        for child in holder.named_children[:12]:
            if _BODY.search(child.type):
                return child
    return None


def _values(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The node, and what it gives its name to."""
    yield node
    inner = (
        node.named_children[-1] if node.type.endswith(("declaration", "definition")) and node.named_children else node
    )
    for field in ("value", "right", "type"):
        if value := inner.child_by_field_name(field):
            yield value


# --- by words


def _by_words(lines: Sequence[str], wanted: frozenset[int]) -> Iterator[Scope]:
    found = [(row, defined) for row, line in enumerate(lines) if (defined := defined_in(line))]
    ends = dict(_ends(lines, [row for row, _ in found]))
    return (_worded(lines, row, defined, ends[row], wanted) for row, defined in found)


def _ends(lines: Sequence[str], rows: list[int]) -> Iterator[tuple[int, int]]:
    """(row, last row) of what begins on the rows, by indentation, in one pass."""
    waiting: list[tuple[int, int]] = []
    begins = frozenset(rows)
    last = 0
    for row, line in enumerate(lines):
        bare = line.strip()
        if not bare:
            continue
        indent = indentation(line)
        while waiting and indent <= waiting[-1][1] and not (indent == waiting[-1][1] and bare[0] in "{)]#"):
            begin, level = waiting.pop()
            closes = indent == level and (bare[0] in "}" or bare.split(None, 1)[0] in ("end", "end;", "fi", "done"))
            yield begin, row if closes else last
        if row in begins:
            waiting.append((row, indent))
        last = row
    yield from ((begin, max(last, begin)) for begin, _ in waiting)


def _worded(lines: Sequence[str], row: int, defined: Defined, last: int, wanted: frozenset[int]) -> Scope:
    _, decorators = _decorated(lines, row, row)
    first, body = decorators[0][0] if decorators else row, _worded_body(lines, row, max(last, row))
    shown = [] if wanted.isdisjoint(range(first, max(last, body) + 1)) else lines[row : body + 1]
    return Scope(
        kind=defined.kind,
        name=defined.name,
        holder=defined.holder,
        first=first,
        row=row,
        body=body,
        last=max(last, body),
        indent=indentation(lines[row]),
        signature=signature_of(shown).partition("{")[0].rstrip(" ="),
        end_column=10**6,
        decorators=decorators,
    )


def _worded_body(lines: Sequence[str], row: int, last: int) -> int:
    """The row where brackets that the definition's line opens are closed again."""
    depth = 0
    for at in range(row, min(last, row + _MOST_SIGNATURE_LINES) + 1):
        depth += lines[at].count("(") - lines[at].count(")")
        if depth <= 0:
            return at
    return row


# --- decorators


def _decorated(lines: Sequence[str], start: int, name_row: int) -> tuple[int, tuple[tuple[int, str], ...]]:
    """(row where the signature begins, the decorators in order). start: where the definition begins."""
    row, found = start, []
    while row < name_row and _DECORATOR.match(lines[row]):
        end = _closed(lines, row, name_row)
        found.append((row, signature_of(lines[row : end + 1])))
        row = end + 1
    above = start - 1
    while above >= 0 and start - above <= MOST_DECORATOR_LINES:
        begin = _opened(lines, above, indentation(lines[start]))
        if begin is None:
            break
        found.insert(0, (begin, signature_of(lines[begin : above + 1])))
        above = begin - 1
    return min(row, name_row), tuple(found)


def _closed(lines: Sequence[str], row: int, before: int) -> int:
    """The last row of the decorator that begins on a row."""
    depth = 0
    for at in range(row, min(before, row + MOST_DECORATOR_LINES)):
        depth += sum(lines[at].count(opener) for opener in "([{") - sum(lines[at].count(closer) for closer in ")]}")
        if depth <= 0:
            return at
    return row


def _opened(lines: Sequence[str], row: int, indent: int) -> int | None:
    """The first row of the decorator that ends on a row; None where none ends there."""
    if _DECORATOR.match(lines[row]) and indentation(lines[row]) == indent:
        return row
    if not (_CLOSES.match(lines[row].strip()) and indentation(lines[row]) == indent):
        return None
    for at in range(row - 1, max(-1, row - MOST_DECORATOR_LINES), -1):
        if lines[at].strip() and indentation(lines[at]) <= indent:
            return at if _DECORATOR.match(lines[at]) else None
    return None
