"""Which calls in a fragment's tree are only possible ones. Knows one piece's tree and lines, and no diff.

A tree without errors may still be wrong: what stands around a fragment is not shown. A language says in `grammars/`
where; a tree with errors is trusted only in the parts of it that have none beside them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import tree_sitter

from firstpass.evidence.trees.captures import captures
from firstpass.evidence.trees.grammars import described
from firstpass.evidence.trees.languages import Grammar, LanguageName
from firstpass.evidence.trees.languages import grammar as grammar_of


def doubtful(
    language: LanguageName, grammar: Grammar, tree: tree_sitter.Tree, offset: int, lines: Sequence[str]
) -> frozenset[tuple[int, int]]:
    """(row, byte column), as nodes have them, of names that may be no calls; of the first languages none.

    offset: of the lines in the tree.
    """
    if described(language) is None:
        return frozenset()
    found = captures(grammar.calls, tree)
    perhaps = {(node.start_point[0], node.start_point[1]) for node in found.get("perhaps", [])}
    names = [(node.start_point[0], node.start_point[1]) for node in found.get("call", [])]
    broken = _broken(tree)
    bodies = _bodies(language, tree, offset)
    spans = _spans(language, lines, {row - offset for row, _ in names if row not in bodies})
    for row, column in names:
        if row in broken or any(begin <= column < end for begin, end in spans.get(row - offset, ())):
            perhaps.add((row, column))
    return frozenset(perhaps)


class _Rows:
    """Ranges of rows."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._ranges = sorted(ranges)
        self._firsts = [first for first, _ in self._ranges]
        self._lasts: list[int] = []
        for _, last in self._ranges:
            self._lasts.append(max(last, self._lasts[-1]) if self._lasts else last)

    def __contains__(self, row: object) -> bool:
        assert isinstance(row, int)
        at = bisect_right(self._firsts, row)
        return bool(at) and row <= self._lasts[at - 1]


def _bodies(language: LanguageName, tree: tree_sitter.Tree, offset: int) -> _Rows:
    """The rows inside of blocks that begin in the text, behind the line where they do."""
    query = _bodies_query(language)
    found = captures(query, tree).get("body", []) if query else []
    shown = (node for node in found if node.start_point[0] >= offset and not node.has_error)
    return _Rows((node.start_point[0] + 1, node.end_point[0]) for node in shown)


@cache
def _bodies_query(language: LanguageName) -> tree_sitter.Query | None:
    description = described(language)
    bodies = description.bodies if description else None
    return tree_sitter.Query(grammar_of(language).language, bodies) if bodies else None


def _broken(tree: tree_sitter.Tree) -> _Rows:
    """The rows of every outermost node with an error, and of the nodes beside it."""
    return _Rows(_broken_ranges(tree.root_node) if tree.root_node.has_error else ())


def _broken_ranges(root: tree_sitter.Node) -> Iterator[tuple[int, int]]:
    nodes = root.children
    if root.type == "ERROR":
        yield root.start_point[0], root.end_point[0]
        return
    for at, node in enumerate(nodes):
        if node.has_error:
            beside = [one for one in nodes[max(0, at - 1) : at + 2] if one.type != ";"]
            yield beside[0].start_point[0], beside[-1].end_point[0]


def _spans(language: LanguageName, lines: Sequence[str], rows: Iterable[int]) -> dict[int, list[tuple[int, int]]]:
    """By row, spans of byte columns."""
    description = described(language)
    text = "\n".join(lines)
    patterns = (
        [where for needs, where in description.doubtful if not needs or needs.search(text)] if description else []
    )
    return {row: [*_of_line(lines[row], patterns)] for row in rows if 0 <= row < len(lines)}


def _of_line(line: str, patterns: Sequence[re.Pattern[str]]) -> Iterator[tuple[int, int]]:
    for pattern in patterns:
        for found in pattern.finditer(line):
            begin, end = found.span()
            yield len(line[:begin].encode("utf-8", "replace")), len(line[:end].encode("utf-8", "replace"))
