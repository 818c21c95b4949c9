"""The tree's hashes and proofs against the definitions of RFC 9162, written down as they stand there."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.store.merkle import (
    EMPTY,
    Frontier,
    consistency,
    frontier,
    inclusion,
    is_consistent,
    is_included,
    leaf_hash,
)

ENTRIES = [f"entry {number}".encode() for number in range(70)]


def mth(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH of 2.1.3.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    return [*path(m, entries[:k]), mth(entries[k:])] if m < k else [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], known: bool) -> list[bytes]:
    """SUBPROOF of 2.1.4.1."""
    if m == len(entries):
        return [] if known else [mth(entries)]
    k = split(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], known), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def node(level: int, index: int) -> bytes:
    return mth(ENTRIES[index << level : (index + 1) << level])


def grown(size: int) -> Frontier:
    tree = Frontier()
    for entry in ENTRIES[:size]:
        tree.push(leaf_hash(entry))
    return tree


@given(st.integers(0, 70))
def test_the_root_is_that_of_the_definition_however_it_is_come_by(size: int) -> None:
    assert grown(size).root() == frontier(node, size).root() == mth(ENTRIES[:size])
    assert frontier(node, size).size == size and grown(0).root() == EMPTY


@given(st.integers(0, 69))
def test_an_entry_fills_the_nodes_of_which_it_is_the_last(number: int) -> None:
    filled = frontier(node, number).push(leaf_hash(ENTRIES[number]))
    assert filled == [node(level, number >> level) for level in range(len(filled))]
    assert (number + 1) >> len(filled) << len(filled) != number + 1


@given(st.data())
def test_proofs_are_those_of_the_definition_and_hold(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    number, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    proof, link = inclusion(node, number, size), consistency(node, old, size)
    assert proof == path(number, ENTRIES[:size]) and link == subproof(old, ENTRIES[:size], True)
    root, old_root = mth(ENTRIES[:size]), mth(ENTRIES[:old])
    assert is_included(leaf_hash(ENTRIES[number]), number, size, proof, root)
    assert is_consistent(old, old_root, size, root, link)


@given(st.data())
def test_no_proof_holds_for_anything_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 70))
    number, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    proof, link, root = inclusion(node, number, size), consistency(node, old, size), mth(ENTRIES[:size])
    leaf, old_root, other = leaf_hash(ENTRIES[number]), mth(ENTRIES[:old]), bytes(32)
    at = data.draw(st.integers(0, len(proof) - 1))
    assert not is_included(other, number, size, proof, root) and not is_included(leaf, number, size, proof, other)
    assert not is_included(leaf, number, size, [*proof[:at], other, *proof[at + 1 :]], root)
    assert not is_included(leaf, number, size, proof[:-1], root)
    assert not is_included(leaf, number, size, [*proof, other], root)
    assert not is_included(leaf, size, size, proof, root) and not is_included(leaf, -1, size, proof, root)
    assert not is_consistent(old, other, size, root, link) and not is_consistent(old, old_root, size, other, link)
    assert not is_consistent(old, old_root, size, root, link[:-1])
    assert not is_consistent(old, old_root, size, root, [*link, other])
    assert not is_consistent(old + 1, old_root, size, root, link)
    assert not is_consistent(0, EMPTY, size, root, []) and not is_consistent(size, other, size, root, [])


LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_the_tree_heads_that_certificate_transparency_publishes_for_its_test_entries_come_out(
    size: int, root: str
) -> None:
    tree = Frontier()
    for entry in LEAVES[:size]:
        tree.push(leaf_hash(bytes.fromhex(entry)))
    assert tree.root().hex() == root
