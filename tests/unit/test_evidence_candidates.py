"""The places of a diff where a new call or TODO may stand."""

import pytest

from firstpass.evidence import parse_diff
from firstpass.evidence.calls import candidates
from firstpass.evidence.calls.candidates import MOST_CHARACTERS, MOST_LINE_CHARACTERS
from tests.machine import cpu_seconds_once, stretched


def openings(diff: str) -> dict[str, str]:
    return candidates.openings(parse_diff(diff))


def todo_lines(diff: str) -> tuple[str, ...]:
    return candidates.todo_lines(parse_diff(diff))


def diff_of(*lines: str, path: str = "app/cart.py") -> str:
    old, new = (sum(line[:1] != sign for line in lines) for sign in "+-")
    return "\n".join(
        (f"diff --git a/{path} b/{path}", f"--- a/{path}", f"+++ b/{path}", f"@@ -1,{old} +1,{new} @@", *lines)
    )


def test_each_name_before_a_bracket_of_an_added_line_is_listed_the_last_first():
    found = openings(
        diff_of("+total = price_of(cart.read(user))", " keep(total)", "+if (total):", "+    charge(total)")
    )
    assert found == {
        "charge": "charge(",
        "if": "if (",
        "read": "total = price_of(cart.read(",
        "price_of": "total = price_of(",
    }


def test_a_name_that_a_removed_line_has_before_a_bracket_only_moved():
    assert openings(diff_of("-x = load(user)", "+x = load(user, open(path))")) == {"open": "x = load(user, open("}


def test_a_name_that_is_defined_and_then_called_shows_both():
    found = openings(diff_of("+def load(user):", "+    return read(user)", "+load(user)", "+x = load(user)"))
    assert found["load"] == "def load( ... x = load("
    assert found["read"] == "return read("


@pytest.mark.parametrize(
    ("line", "path", "name"),
    [
        ("+const [cart] = useState<Cart[]>(null)", "a.tsx", "useState"),
        ("+user?.open?.(1)", "a.ts", "open"),
        ("+let all = vec![1]", "a.rs", "vec"),
        ('+println!("x")', "a.rs", "println"),
        ("+pin_project! {", "a.rs", "pin_project"),
        ("+$.ajax ({})", "a.js", "ajax"),
        ("+$(this)", "a.js", "$"),
        ("+größe(1)", "a.py", "größe"),
    ],
)
def test_a_bracket_is_found_in_the_spelling_of_its_language(line, path, name):
    assert list(openings(diff_of(line, path=path))) == [name]


def test_files_that_the_evidence_does_not_read_have_none():
    assert openings(diff_of("+see load(user)", path="README.md")) == {}
    assert openings("") == openings("Please call me (soon).") == {}


def test_a_diff_that_names_no_file_is_read():
    assert openings("@@ -1 +1,2 @@\n x\n+load(user)") == {"load": "load("}


def test_a_long_text_is_cut_between_words_and_never_within_the_name():
    name = "a" * 60
    (text,) = openings(
        diff_of(f"+first_word = second_word + third_word + fourthword + {'x' * 15} + load(user)")
    ).values()
    assert len(text) <= MOST_CHARACTERS and text.endswith("+ load(") and text.startswith("_word + fourthword")
    assert openings(diff_of(f"+x = {name}(1)")) == {name: f"{name}("}


def test_the_added_lines_with_a_marker_are_listed_in_order_those_that_only_moved_left_out():
    lines = (
        "+  # TODO: b",
        "+x = 1  # FIXME(ann) a",
        "+todos = 1",
        "+# TODO: b",
        "-    # HACK: moved",
        "+# HACK: moved",
    )
    assert todo_lines(diff_of(*lines, " # XXX: old")) == ("# TODO: b", "x = 1  # FIXME(ann) a")
    assert todo_lines("TODO: this is prose") == ()
    (long,) = todo_lines(diff_of(f"+# TODO: {'x' * 500}"))
    assert len(long) == MOST_LINE_CHARACTERS


@pytest.mark.parametrize("text", ["a<" * 100_000, "$" * 200_000, "a" * 200_000, "a ! " * 50_000, "a<b" * 60_000])
def test_a_line_made_to_be_slow_is_not(text):
    diff = diff_of(f"+{text}")
    assert cpu_seconds_once(lambda: openings(diff)) < stretched(8)


def test_functions_are_listed_with_their_changes_the_last_first() -> None:
    lines = (" def load(path):", "-    return 1", "+    return 2", "+def save(path):", "+    write(path)", " if (x) {")
    shown = candidates.definitions(parse_diff(diff_of(*lines)))
    assert shown == {"save": "+2 def save(", "load": "=2 def load("}
    heading = diff_of("-a", "+b").replace(" @@", " @@ async function outer(x) {", 1)
    assert candidates.definitions(parse_diff(heading)) == {"outer": "@2 async function outer("}


@pytest.mark.parametrize("line", ["a" * 200, "a " * 100, "(" * 200, "a:():" * 40, "func (" * 30, "<" * 200])
def test_hostile_lines_take_no_longer_than_others(line: str) -> None:
    """Bug: a pattern began at every letter of a word; a diff of 4 MB took 14 s."""
    diff = parse_diff(diff_of(*[f"+{line}"] * 2000))
    assert cpu_seconds_once(lambda: candidates.definitions(diff)) < stretched(8)
