"""Evidence from hunks that begin and end anywhere: every window of whole files whose calls were written down by hand.

A line's calls stand behind `//=` or `#=` in tests/cases/windows; what a line calls by no name is none.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from firstpass.evidence import gather

CASES = Path(__file__).parent.parent / "cases"
FILES = sorted(path.name for path in (CASES / "windows").iterdir())
SIZES = (3, 5, 8)
_LABELS = re.compile(r"[ \t]*(?:#|//)=(?P<names>.*)$")
PROVIDED = frozenset(("len", "print", "list", "count"))


@cache
def lines(name: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """The file's lines, each with the names that it calls."""
    text = (CASES / "windows" / name).read_text(encoding="utf-8")
    found = [(line, _LABELS.search(line)) for line in text.splitlines()]
    return tuple(
        (_LABELS.sub("", line), frozenset(match["names"].split()) if match else frozenset()) for line, match in found
    )


def hunk(name: str, first: int, last: int, context: int = 0, heading: bool = True) -> str:
    """As git writes it; `context` lines at both ends are no change."""
    texts = [text for text, _ in lines(name)]
    named = next((text for text in reversed(texts[:first]) if re.match(r"[A-Za-z_$]", text)), "") if heading else ""
    signs = (" " if at < first + context or at >= last - context else "+" for at in range(first, last))
    shown = [sign + text for sign, text in zip(signs, texts[first:last], strict=True)]
    old, new = 2 * context, last - first
    return "\n".join(
        (f"--- a/{name}", f"+++ b/{name}", f"@@ -{first + 1},{old} +{first + 1},{new} @@ {named[:80]}", *shown, "")
    )


def windows(name: str, context: int, heading: bool) -> tuple[Counter[str], list[tuple[int, int, frozenset[str]]]]:
    """(Right and missed names, windows with a wrong one: the first line, the size, the names)"""
    counts: Counter[str] = Counter()
    wrong = []
    for size in SIZES:
        full = size + 2 * context
        for first in range(max(1, len(lines(name)) - full + 1)):
            last = min(len(lines(name)), first + full)
            want = frozenset().union(*(names for _, names in lines(name)[first + context : last - context]))
            found = frozenset(gather(hunk(name, first, last, context, heading)).calls)
            counts["right"] += len(found & want)
            counts["missed"] += len(want - found)
            if found - want:
                wrong.append((first + 1, size, found - want))
    return counts, wrong


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("context", "heading", "recall"), [(0, True, 0.97), (0, False, 0.95), (3, True, 0.98)])
def test_what_is_sure_in_any_window_of_a_file_is_a_call(name: str, context: int, heading: bool, recall: float) -> None:
    counts, wrong = windows(name, context, heading)
    assert wrong == []
    assert counts["right"] / (counts["right"] + counts["missed"]) >= recall


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_has_the_calls_that_were_written_down(name: str) -> None:
    want = frozenset().union(*(names for _, names in lines(name)))
    assert frozenset(gather(hunk(name, 0, len(lines(name)))).calls) == want


RIGHT: dict[str, tuple[str, ...]] = {
    "ts-class-method": ("findItem", "dropAt"),
    "js-class-method": ("findItem", "dropAt"),
    "ts-angular-method": ("delete",),
    "ts-static-method": ("buildCart",),
    "java-constructor": ("copyOf",),
    "go-interface-method": (),
    "rust-enum-variant": (),
    "py-case-pattern": ("four",),
    "rust-match-arm": ("go2",),
    "go-case-cut": ("isB", "go2"),
    "jsx-attributes-cut": ("format2",),
    "go-generic-call": ("NewMap", "Do", "Filter"),
    "kotlin-generic-call": ("mutableListOf", "foo"),
    "ts-nonnull-call": ("onDone", "resolve"),
    "java-scoped-generic-new": ("Builder",),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_definition_is_no_call_and_a_generic_call_is_one(case: str) -> None:
    assert gather((CASES / f"{case}.diff").read_text(encoding="utf-8")).calls == RIGHT[case]
