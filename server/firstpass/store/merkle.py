"""Merkle trees over a log that only grows. Pure: where the tree's nodes are kept is the caller's.

Hashes are those of RFC 9162, 2.1.1, with SHA-256. A node is named by its level, 0 for leaves, and its index on that
level: it covers the entries from `index << level` up to, not with, `(index + 1) << level`. Only full ones are kept,
since they never change.
"""

import hashlib
from collections.abc import Callable, Sequence

HASH_BYTES = 32

Node = Callable[[int, int], bytes]
"""Takes a level and an index; gives the hash of that full node."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


EMPTY = hashlib.sha256(b"").digest()
"""The root of a log without entries."""


class Frontier:
    """A log of which only the full nodes that the next entries need are remembered, at most one a level."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def push(self, leaf: bytes) -> list[bytes]:
        """The hashes of the nodes that this leaf fills, by level: its own, and those of which it is the last entry."""
        level, filled = 0, [leaf]
        while self._peaks and self._peaks[-1][0] == level:
            filled.append(node_hash(self._peaks.pop()[1], filled[-1]))
            level += 1
        self._peaks.append((level, filled[-1]))
        self.size += 1
        return filled

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY
        found = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            found = node_hash(peak, found)
        return found


def frontier(node: Node, size: int) -> Frontier:
    """That of a log of `size` entries, read from its nodes."""
    made, begin = Frontier(), 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            made._peaks.append((level, node(level, begin >> level)))
            begin += 1 << level
    made.size = size
    return made


def inclusion(node: Node, number: int, size: int) -> list[bytes]:
    """The proof that entry `number` (from 0) is in the log of `size` entries, from the leaf up. RFC 9162, 2.1.3.1."""
    begin, end, proof = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if number < middle:
            proof.append(_covered(node, middle, end))
            end = middle
        else:
            proof.append(_covered(node, begin, middle))
            begin = middle
    return proof[::-1]


def consistency(node: Node, old: int, size: int) -> list[bytes]:
    """The proof that a log of `size` entries begins with one of `old`, which is from 1 to `size`. RFC 9162, 2.1.4.1."""
    begin, end, proof = 0, size, []
    while old < end:
        middle = begin + _split(end - begin)
        if old <= middle:
            proof.append(_covered(node, middle, end))
            end = middle
        else:
            proof.append(_covered(node, begin, middle))
            begin = middle
    return ([_covered(node, begin, end)] if begin else []) + proof[::-1]


def is_included(leaf: bytes, number: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows it. RFC 9162, 2.1.3.2."""
    if not 0 <= number < size:
        return False
    here, last, found = number, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            found = node_hash(each, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, each)
        here, last = here >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows it. RFC 9162, 2.1.4.2."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not proof and old_root == root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    here, last = old - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    before = after = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            before, after = node_hash(each, before), node_hash(each, after)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            after = node_hash(after, each)
        here, last = here >> 1, last >> 1
    return last == 0 and before == old_root and after == root


def _covered(node: Node, begin: int, end: int) -> bytes:
    """The hash over some entries that a node of the tree covers, full or not."""
    width = end - begin
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return node(level, begin >> level)
    middle = begin + _split(width)
    return node_hash(_covered(node, begin, middle), _covered(node, middle, end))


def _split(width: int) -> int:
    """The largest power of two below a width of at least 2."""
    return 1 << (width - 1).bit_length() - 1
