"""The short form of a diff: nothing that changed is lost, and what is no diff stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.contract import compact as module
from firstpass.evidence import parse_diff


def compact(diff: str) -> str:
    return module.compact(diff, parse_diff(diff))


LONG = """diff --git a/src/cart.js b/src/cart.js
index 3f1c2aa..9b0d417 100644
--- a/src/cart.js
+++ b/src/cart.js
@@ -10,12 +10,12 @@ function pay(cart) {
   const far = 1;
   const near = 2;
-  dropCart(user);
+  createSession(user);
   const below = 3;
   const between = 4;
   const above = 5;
+
+-- a comment
   const last = 6;
\\ No newline at end of file
"""


def test_a_hunk_keeps_its_heading_its_changes_and_a_line_around_them() -> None:
    assert compact(LONG).split("\n") == [
        "diff src/cart.js",
        "@@ function pay(cart) {",
        "   const near = 2;",
        "-  dropCart(user);",
        "+  createSession(user);",
        "   const below = 3;",
        "@@",
        "   const above = 5;",
        "+",
        "+-- a comment",
        "   const last = 6;",
    ]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("new file mode 100644\n--- /dev/null\n+++ b/a.py\n", "diff a.py (new)"),
        ("deleted file mode 100644\n--- a/a.py\n+++ /dev/null\n", "diff a.py (deleted)"),
        ("similarity index 90%\nrename from a.py\nrename to b.py\n--- a/a.py\n+++ b/b.py\n", "diff a.py => b.py"),
        ("Binary files a/a.py and b/a.py differ\n", "diff a.py (binary)"),
        ("old mode 100644\nnew mode 100755\n", "diff a.py"),
    ],
)
def test_a_file_is_one_line(head: str, line: str) -> None:
    assert compact(f"diff --git a/a.py b/a.py\n{head}").split("\n")[0] == line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Please look at the login page.",
        "diff --git a/a b/a\n--- a/a\n+++ b/a\nlog: @@ -1 +1 @@\nlog: -x\nlog: +y\n",
    ],
)
def test_what_is_no_diff_or_was_not_read_whole_stays_as_it_is(text: str) -> None:
    assert compact(text) == text


def test_a_hunk_without_a_file_and_the_words_before_a_diff_stay() -> None:
    assert compact("@@ -1 +1 @@\n-a\n+b\n") == "@@\n-a\n+b"
    assert compact(f"Subject: [PATCH] Keep it\n\n---\n{LONG}").startswith(
        "Subject: [PATCH] Keep it\n---\ndiff src/cart"
    )


texts = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=12)
changes = st.lists(st.tuples(st.sampled_from("+- "), texts), min_size=1, max_size=20)


@given(changes)
def test_every_added_and_removed_line_stays_in_its_place(lines: list[tuple[str, str]]) -> None:
    old = sum(sign != "+" for sign, _ in lines)
    new = sum(sign != "-" for sign, _ in lines)
    body = "\n".join(sign + text for sign, text in lines)
    diff = f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,{old} +1,{new} @@\n{body}\n"
    (file,) = parse_diff(diff).files
    changed = [("+" if one.kind == "added" else "-") + one.text for one in file.hunks[0].lines if one.kind != "context"]
    kept = [line for line in compact(diff).split("\n")[1:] if line[:1] in ("+", "-")]
    assert kept == changed
