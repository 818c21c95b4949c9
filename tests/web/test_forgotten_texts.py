"""What a caller does not want to be stored is not kept in memory either, once it is answered."""

import functools
import gc
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
import tree_sitter

from firstpass import desk
from firstpass.desk.nursery import Worker
from firstpass.desk.recipe import Recipe
from firstpass.evidence.memory import forget
from firstpass.evidence.trees import parsing
from firstpass.evidence.trees.languages import grammar
from tests.conftest import Front
from tests.doubles import DIFF, NAMES, Answerer, says

MARK = "zanzibarMarker"
MARKED = "".join(DIFF.replace("auth", f"{MARK}{name}").replace("user", MARK) for name in ("", "/requirements"))
"""Its mark is in paths, names and lines."""

GOOD = says(NAMES)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can be made, so diffs are read in this one, where texts can be looked for; others: test_desk."""

    def none(_: Recipe) -> Worker:
        raise OSError("no process")

    monkeypatch.setattr(desk, "born", none)


def kept_in_caches() -> Iterator[str]:
    """Texts with the mark below any of our caches, and in what parsers read from."""
    for buffers in tuple(parsing._idle):
        given = buffers._by_size.values()
        yield from (buffer.decode("utf-8", "replace") for buffer in given if MARK.encode() in buffer)
    caches = [one for one in gc.get_objects() if type(one) is functools._lru_cache_wrapper]
    left: list[object] = [one for one in caches if (one.__module__ or "").startswith("firstpass.")]
    seen = set[int]()
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type) or (callable(one) and one not in caches):
            continue
        seen.add(id(one))
        if isinstance(one, str) and MARK in one:
            yield one
        left += gc.get_referents(one)


def asked(front: Front, *, store: bool, status: int = 200, answerer: Answerer = GOOD) -> list[str]:
    body = {"model": "firstpass", "messages": [{"role": "user", "content": MARKED}], "store": store}
    with front(answerer) as client:
        answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary@4"}})
        assert answer.status_code == status, answer.text
        deadline = time.monotonic() + 5
        while not store and (found := list(kept_in_caches())) and time.monotonic() < deadline:
            time.sleep(0.02)  # what nobody waits for any more may just be ending
        return found if not store else list(kept_in_caches())


def test_a_diff_that_is_not_to_be_stored_is_in_no_cache(front: Front) -> None:
    assert asked(front, store=False) == []


def test_nor_where_the_record_can_not_be_kept(front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstpass.store.opening.BUSY_MILLISECONDS", 100)
    with front(GOOD):
        pass
    (record,) = tmp_path.glob("**/firstpass.sqlite")
    with closing(apsw.Connection(str(record))) as other:

        def hold(body: dict[str, Any]) -> str:
            if MARK in str(body) and not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")
            return NAMES

        assert asked(front, store=False, answerer=hold, status=503) == []


def test_the_search_finds_one_that_may_be(front: Front) -> None:
    assert asked(front, store=True) != []


def test_what_parsers_read_from_is_forgotten() -> None:
    text = f"{MARK} = 1\n".encode() * parsing.UNWATCHED_BYTES
    assert parsing.parsed(tree_sitter.Parser(grammar("python").language), text, lambda: False)
    assert any(MARK in kept for kept in kept_in_caches())
    forget()
    assert list(kept_in_caches()) == []
