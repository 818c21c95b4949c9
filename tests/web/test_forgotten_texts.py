"""What a caller does not want to be stored is not kept in memory either, once it is answered."""

import functools
import gc
import time
from collections.abc import Iterator

from tests.conftest import Front
from tests.doubles import DIFF, NAMES, says

MARK = "zanzibarMarker"
MARKED = "".join(DIFF.replace("auth", f"{MARK}{name}").replace("user", MARK) for name in ("", "/requirements"))
"""Its mark is in paths, names and lines."""

HERE = {"early_escalation": True}
"""So that diffs are read in this process, where their texts can be looked for; test_desk.py has the others."""


def kept_in_caches() -> Iterator[str]:
    """Texts with the mark below any of our caches."""
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


def asked(front: Front, *, store: bool) -> list[str]:
    body = {"model": "firstpass", "messages": [{"role": "user", "content": MARKED}], "store": store}
    with front(says(NAMES), policy=HERE) as client:
        answer = client.post("/v1/chat/completions", json=body | {"firstpass": {"contract": "pr-summary@4"}})
        assert answer.is_success, answer.text
        deadline = time.monotonic() + 5
        while not store and (found := list(kept_in_caches())) and time.monotonic() < deadline:
            time.sleep(0.02)  # what nobody waits for any more may just be ending
        return found if not store else list(kept_in_caches())


def test_a_diff_that_is_not_to_be_stored_is_in_no_cache(front: Front) -> None:
    assert asked(front, store=False) == []


def test_the_search_finds_one_that_may_be(front: Front) -> None:
    assert asked(front, store=True) != []
