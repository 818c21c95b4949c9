"""The definitions that a hunk's changed lines stand in, one side at a time. Knows one hunk, not the other side.

A changed line belongs to the innermost definition around it that the hunk shows; where it shows none, to what its
heading says, as long as no line before it has ended that: git prints there what stands before the hunk's first line.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from firstpass.evidence.calls.in_hunks import pieces
from firstpass.evidence.diffs.diff import DiffLine, Hunk, LineKind
from firstpass.evidence.facts.by_words import defined_in, indentation
from firstpass.evidence.facts.changes import MOST_CHARACTERS
from firstpass.evidence.facts.scopes import Scope, may_define, scopes_in, signature_of
from firstpass.evidence.facts.values import Place, Value, value_in
from firstpass.evidence.trees.languages import LanguageName
from firstpass.evidence.trees.reading import Allowance, read

_MOST_BODY_LINES = 200
_BLOCK_OF_VALUES = re.compile(r"(?:const|var)\s*\(")
_SIDES: tuple[LineKind, LineKind] = ("removed", "added")
_SAYS = re.compile(r"\w")
_FIELD_WORD = re.compile(r"\s+(?:public|private|protected|internal|static|readonly|final|lateinit|override)\b")
_OPENERS = frozenset("([{")
_INSIDE = re.compile(r"#(?!\[)|//|/\*|\*|\{|\w+:\s*$|<")
_SIGNATURE_ENDS = re.compile(r"\)\s*(?:->.*|:\s*\S.*)?\s*[:{]\s*$|\)\s*(?:[\w*<>\[\]., ()]*|throws\b.*)\{\s*$")


class Touch(NamedTuple):
    """A definition with changed lines, on one side of a hunk.

    numbers: (old, new) of its line, 1-based; None where it is absent, and on both sides where only a heading shows it.
    at: the first changed line's number on this side. changed: lines.
    own: whether its line is a changed one: it comes or goes, or is another now.
    other_signature: the signature without the changed lines; None where none of its lines changed.
    decorators: those on changed lines. body: its lines without white space around them.
    """

    scope: Scope
    side: LineKind
    numbers: tuple[int | None, int | None]
    at: int
    changed: int
    own: bool
    other_signature: str | None = None
    decorators: tuple[str, ...] = ()
    body: tuple[str, ...] = ()

    @property
    def from_heading(self) -> bool:
        return self.numbers == (None, None)


def touches(language: LanguageName | None, hunk: Hunk, allowance: Allowance) -> Iterator[Touch]:
    """Of the removed lines, then of the added ones, each in order."""
    scope = _heading_scope(language, hunk.heading)
    for side in _SIDES:
        if side in hunk.kinds:
            yield from _on_side(language, hunk, scope, side, allowance)


def _on_side(
    language: LanguageName | None, hunk: Hunk, scope: Scope | None, side: LineKind, allowance: Allowance
) -> Iterator[Touch]:
    heading, above = _Heading(language, hunk, scope), hunk.heading
    last: Sequence[DiffLine] = ()
    for at, piece in enumerate(pieces(hunk.after if side == "added" else hunk.before)):
        if at:
            heading, above = heading.after(last), ""
        last = piece
        wanted = frozenset([row for row, line in enumerate(piece) if line.kind == side])
        if any(piece[row].text.strip() for row in wanted):
            yield from _in_piece(language, piece, wanted, heading, side, allowance, above)


class _Heading:
    """What a hunk's heading defines, and how far into the hunk it reaches."""

    def __init__(self, language: LanguageName | None, hunk: Hunk, scope: Scope | None) -> None:
        self.language = language
        self.scope = scope
        self.block_of_values = bool(_BLOCK_OF_VALUES.match(hunk.heading))
        method = self.scope is not None and not self.scope.is_holder and language == "java"
        self.level = _least_indentation(hunk) if method else 0

    def after(self, piece: Sequence[DiffLine]) -> "_Heading":
        """For the next piece: nothing, where this one has ended it."""
        if self.rows(piece) < len(piece):
            self.scope, self.block_of_values = None, False
        return self

    def rows(self, piece: Sequence[DiffLine]) -> int:
        """How many of the first rows are certainly inside."""
        if self.scope is None and not self.block_of_values:
            return 0
        for row, line in enumerate(piece):
            text = line.text
            if not self.level and not text[:1].strip():
                continue
            bare = text.strip()
            if not bare or indentation(text) > self.level or _INSIDE.match(bare):
                continue
            if bare[0] in ")]}":
                if (bare[0] == "}" and self.language != "python") or self.block_of_values:
                    return row + 1
                if _SIGNATURE_ENDS.match(bare):
                    continue
                return 0
            return row
        return len(piece)


def _least_indentation(hunk: Hunk) -> int:
    """Of its indented lines, at most 4: where a method may begin."""
    return min(
        [4, *(indentation(line.text) for line in hunk.lines if line.text[:1] in (" ", "\t") and line.text.strip())]
    )


def _heading_scope(language: LanguageName | None, text: str) -> Scope | None:
    if not text:
        return None
    defined = defined_in(text)
    value = None if defined else value_in(language, text, "top")
    if defined:
        kind, name, holder = defined
    elif value and value.opens:
        kind, name, holder = value.kind, value.name, None
    else:
        return None
    return Scope(kind, name, holder, 0, 0, 0, 0, 0, signature_of([text]), 0)


def _in_piece(
    language: LanguageName | None,
    piece: Sequence[DiffLine],
    wanted: frozenset[int],
    heading: _Heading,
    side: LineKind,
    allowance: Allowance,
    above: str,
) -> Iterator[Touch]:
    """above: the text of the hunk's heading, where the piece is the first."""
    texts = [line.text for line in piece]
    text = "\n".join(texts)
    scopes: list[Scope] = []
    if may_define(language, text):
        reading = read(language, text, wanted, allowance, above) if language else None
        if language and reading is None:
            return
        scopes = scopes_in(language, texts, reading, wanted)
    telling = frozenset(row for row in wanted if _SAYS.search(texts[row]))
    inside = heading.rows(piece)
    scopes = [under for scope in scopes if not (under := _under(scope, heading, inside)).local]
    owners = _owners(scopes, len(piece))
    scopes += _values(language, texts, telling, scopes, owners, heading, inside)
    for at, scope in enumerate(scopes):
        rows = [row for row in range(scope.first, scope.last + 1) if owners[row] == at and row in wanted]
        rows = [row for row in rows if row in telling or scope.row <= row <= scope.body]
        if rows:
            yield _touch(scope, piece, rows, side)
    rows = [row for row in range(inside) if owners[row] is None and row in telling]
    if rows and heading.scope:
        number = _number(piece[rows[0]], side)
        yield Touch(heading.scope, side, (None, None), number, len(rows), own=False)


def _under(scope: Scope, heading: _Heading, inside: int) -> Scope:
    """With what the heading says around it, where the lines show nothing around it."""
    outer = heading.scope
    if outer is None or scope.enclosed or scope.row >= inside or scope.indent <= heading.level:
        return scope
    if not outer.is_holder:
        return scope._replace(local=outer.kind in ("function", "method"))
    kind = "method" if scope.kind == "function" else scope.kind
    return scope._replace(kind=kind, holder=scope.holder or outer.name)


def _owners(scopes: Sequence[Scope], count: int) -> list[int | None]:
    """By row, the innermost scope's place in the list."""
    owners: list[int | None] = [None] * count
    for at, scope in enumerate(scopes):
        owners[scope.first : scope.last + 1] = [at] * (scope.last + 1 - scope.first)
    return owners


def _values(
    language: LanguageName | None,
    texts: Sequence[str],
    telling: frozenset[int],
    scopes: Sequence[Scope],
    owners: list[int | None],
    heading: _Heading,
    inside: int,
) -> list[Scope]:
    """Constants and fields; their rows become theirs in `owners`."""
    found: list[Scope] = []
    block = heading.block_of_values
    row = 0
    while row < len(texts):
        text, owner = texts[row], owners[row]
        begins = text[:1].strip()
        block = bool(_BLOCK_OF_VALUES.match(text)) if begins else block
        if owner is None:
            told = row in telling or (begins and text.rstrip()[-1:] in _OPENERS)
        else:
            told = scopes[owner].is_holder and (row in telling or text.rstrip()[-1:] in _OPENERS)
        if not told:
            row += 1
            continue
        indent = indentation(text)
        outer = scopes[owner] if owner is not None else heading.scope if row < inside else None
        place = _place(language, outer, row, text, owner is None)
        value = value_in(language, text, place) if place else None
        if block and owner is None and indent == 4:
            value = value_in("go", f"const {text.strip()}", "top")
        last = row
        if value:
            last = _closed(texts, row, indent) if value.opens else row
            found.append(_valued(value, outer, texts, row, last))
            owners[row : last + 1] = [len(scopes) + len(found) - 1] * (last + 1 - row)
        row = last + 1
    return found


def _place(language: LanguageName | None, outer: Scope | None, row: int, text: str, headed: bool) -> Place | None:
    """What a line stands in directly, as far as that is certain."""
    indent = indentation(text)
    if outer is None:
        return "top" if indent == 0 else None
    if not outer.is_holder or (not headed and row <= outer.body) or (headed and indent > 4) or indent <= outer.indent:
        return None
    if headed and language != "python" and outer.kind == "class" and not _FIELD_WORD.match(text):
        return None
    return "class" if outer.kind == "class" else "type"


def _closed(texts: Sequence[str], row: int, indent: int) -> int:
    """The row that closes what a row opened, by indentation."""
    for at in range(row + 1, len(texts)):
        bare = texts[at].strip()
        if bare and indentation(texts[at]) <= indent:
            return at if bare[0] in ")]}" else at - 1
    return len(texts) - 1


def _valued(value: Value, outer: Scope | None, texts: Sequence[str], row: int, last: int) -> Scope:
    return Scope(
        kind=value.kind,
        name=value.name,
        holder=outer.name if outer and outer.is_holder else None,
        first=row,
        row=row,
        body=row,
        last=last,
        indent=indentation(texts[row]),
        signature=signature_of(texts[row : row + 1]),
        end_column=10**6,
    )


def _touch(scope: Scope, piece: Sequence[DiffLine], rows: Sequence[int], side: LineKind) -> Touch:
    line = piece[scope.row]
    signature = range(scope.row, scope.body + 1)
    other = None
    if line.kind == "context" and any(row in signature for row in rows):
        kept = [row for row in signature if piece[row].kind == "context"]
        column = scope.end_column if kept and kept[-1] == scope.body else None
        other = signature_of([piece[row].text for row in kept], column)
    body = (
        piece[row].text.strip() for row in range(scope.body + 1, min(scope.last + 1, scope.body + _MOST_BODY_LINES))
    )
    return Touch(
        scope=scope,
        side=side,
        numbers=(line.old, line.new),
        at=_number(piece[rows[0]], side),
        changed=len(rows),
        own=line.kind != "context",
        other_signature=other,
        decorators=tuple(text for row, text in scope.decorators if piece[row].kind == side),
        body=tuple(text[:MOST_CHARACTERS] for text in body if text),
    )


def _number(line: DiffLine, side: LineKind) -> int:
    return (line.new if side == "added" else line.old) or 0
