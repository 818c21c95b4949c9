"""What a query finds in a fragment's tree, in time that grows as the tree does. Knows no language.

A query takes quadratic time on a node of many children, since at each it looks for further ones. Only what did not
parse makes such nodes, so where there is one, what is under it is asked part by part.
"""

from collections.abc import Iterator

import tree_sitter

MANY = 1_000
"""Bytes, and so at most children, of a node that is asked at once: a millisecond."""


def captures(
    query: tree_sitter.Query, tree: tree_sitter.Tree, rows: range | None = None
) -> dict[str, list[tree_sitter.Node]]:
    """By capture. Where a node has too many children, without what it is itself.

    rows: those that the caller looks at; of others there may be captures too.
    """
    root = tree.root_node
    if not _has_many(root):
        cursor = tree_sitter.QueryCursor(query)
        if rows:
            cursor.set_point_range((rows.start, 0), (rows.stop, 0))
        return cursor.captures(root)
    found: dict[str, list[tree_sitter.Node]] = {}
    for part, alone in _parts(root):
        cursor = tree_sitter.QueryCursor(query)
        if alone:
            cursor.set_max_start_depth(0)
        for name, nodes in cursor.captures(part).items():
            found.setdefault(name, []).extend(nodes)
    return found


def errors(tree: tree_sitter.Tree) -> list[tree_sitter.Node]:
    """The nodes that did not parse or are missing."""
    found, left = [], [tree.root_node]
    while left:
        node = left.pop()
        if node.has_error:
            left += node.children
            if node.is_error or node.is_missing:
                found.append(node)
    return found


def _has_many(root: tree_sitter.Node) -> bool:
    left = [root]
    while left:
        node = left.pop()
        if _may_have_many(node):
            if node.child_count > MANY:
                return True
            left += node.children
    return False


def _parts(root: tree_sitter.Node) -> Iterator[tuple[tree_sitter.Node, bool]]:
    """In order, all nodes but those with too many children, and whether one is meant without what is under it."""
    left = [root]
    while left:
        node = left.pop()
        around = _may_have_many(node)
        if around:
            left += reversed(node.children)
        if not around or node.child_count <= MANY:
            yield node, around


def _may_have_many(node: tree_sitter.Node) -> bool:
    return node.has_error and node.end_byte - node.start_byte > MANY
