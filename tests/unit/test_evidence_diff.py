"""The diff reader: what git, mail clients and models really write."""

import pytest

from firstpass.evidence.diffs.diff import DiffLine, parse_diff

RENAME = """diff --git a/lib/old name.py b/lib/new name.py
similarity index 90%
rename from lib/old name.py
rename to lib/new name.py
index 1..2 100644
--- a/lib/old name.py
+++ b/lib/new name.py
@@ -1,2 +1,2 @@ def outer():
 keep
-gone
+here
"""


def test_a_hunk_has_its_lines_with_their_numbers_on_each_side() -> None:
    (file,) = parse_diff(RENAME).files
    (hunk,) = file.hunks
    assert hunk.lines == (
        DiffLine("context", "keep", 1, 1),
        DiffLine("removed", "gone", 2, None),
        DiffLine("added", "here", None, 2),
    )
    assert hunk.heading == "def outer():"


def test_a_renamed_file_has_both_paths() -> None:
    (file,) = parse_diff(RENAME).files
    assert (file.old_path, file.new_path) == ("lib/old name.py", "lib/new name.py")


def test_a_rename_without_a_hunk_is_still_a_file() -> None:
    diff = "diff --git a/x.go b/y.go\nsimilarity index 100%\nrename from x.go\nrename to y.go\n"
    (file,) = parse_diff(diff).files
    assert (file.old_path, file.new_path, file.hunks) == ("x.go", "y.go", ())


def test_a_new_file_has_no_old_path_and_a_deleted_one_no_new_path() -> None:
    diff = (
        "diff --git a/new.py b/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+a\n"
        "diff --git a/old.py b/old.py\ndeleted file mode 100644\n--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
        "diff --git a/empty.py b/empty.py\nnew file mode 100644\nindex 000..e69\n"
    )
    paths = [(file.old_path, file.new_path) for file in parse_diff(diff).files]
    assert paths == [(None, "new.py"), ("old.py", None), (None, "empty.py")]


def test_a_binary_file_has_no_hunks() -> None:
    diff = "diff --git a/logo.png b/logo.png\nindex 1..2 100644\nBinary files a/logo.png and b/logo.png differ\n"
    (file,) = parse_diff(diff).files
    assert file.binary and file.hunks == () and file.path == "logo.png"


def test_a_quoted_path_is_unquoted_from_octal_utf8() -> None:
    diff = '--- "a/caf\\303\\251 \\"x\\".py"\n+++ "b/caf\\303\\251 \\"x\\".py"\n@@ -1 +1 @@\n-a\n+b\n'
    (file,) = parse_diff(diff).files
    assert file.path == 'café "x".py'


def test_a_missing_newline_marker_is_no_line() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    assert [line.text for line in parse_diff(diff).files[0].hunks[0].lines] == ["a", "b"]


def test_a_removed_line_that_looks_like_a_header_is_a_line() -> None:
    diff = "--- a/q.sql\n+++ b/q.sql\n@@ -1,2 +1,2 @@\n--- drop it\n+++ keep it\n select 1\n"
    (file,) = parse_diff(diff).files
    assert [(line.kind, line.text) for line in file.hunks[0].lines][:2] == [
        ("removed", "-- drop it"),
        ("added", "++ keep it"),
    ]


def test_of_a_combined_diff_only_what_no_parent_has_is_added_and_the_next_file_is_read() -> None:
    diff = (
        "diff --cc both.py\nindex 1,2..3\n--- a/both.py\n+++ b/both.py\n@@@ -1,3 -1,3 +1,4 @@@ def f():\n"
        "  keep\n- ours()\n -theirs()\n++both()\n+ from_theirs()\n +from_ours()\n"
    )
    parsed = parse_diff(diff + RENAME)
    assert [file.path for file in parsed.files] == ["both.py", "lib/new name.py"] and parsed.notes == ()
    assert parsed.files[0].hunks[0].lines == (
        DiffLine("context", "keep", 1, 1),
        DiffLine("removed", "ours()", 2, None),
        DiffLine("removed", "theirs()", None, None),
        DiffLine("added", "both()", None, 2),
        DiffLine("context", "from_theirs()", None, 3),
        DiffLine("context", "from_ours()", 3, 4),
    )


def test_a_hunk_without_a_header_is_a_file_without_a_path() -> None:
    (file,) = parse_diff("@@ -1 +1,2 @@\n a\n+b\n").files
    assert file.path is None and len(file.hunks[0].lines) == 2


def test_carriage_returns_are_no_part_of_lines_or_paths() -> None:
    (file,) = parse_diff(RENAME.replace("\n", "\r\n")).files
    assert file.path == "lib/new name.py"
    assert [line.text for line in file.hunks[0].lines] == ["keep", "gone", "here"]


def test_counts_that_lie_lose_no_line() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n a\n+b\n+c\n--- a/y\n+++ b/y\n@@ -1,9 +1,9 @@\n+d\n"
    files = parse_diff(diff).files
    assert [[line.text for line in file.hunks[0].lines] for file in files] == [["a", "b", "c"], ["d"]]


def test_a_mail_signature_is_no_removed_line() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n-- \n2.40.1\n"
    assert [line.text for line in parse_diff(diff).files[0].hunks[0].lines] == ["a", "b"]


@pytest.mark.parametrize("text", ["", "\n\n", "Please summarise.\n- one\n+ two\n", "--- \n", "@@", "diff --git"])
def test_what_is_no_diff_has_no_hunks(text: str) -> None:
    assert all(not file.hunks for file in parse_diff(text).files)
