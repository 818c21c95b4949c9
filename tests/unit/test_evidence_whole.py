"""Evidence from whole files, where they are at hand and are what the diff leads to."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstpass.evidence import gather, parse_diff
from firstpass.evidence.calls.in_files import sides
from firstpass.evidence.repository import RepositoryIndex

BEFORE = '''def f(x):
    """Say hello.

    Then run(x) and stop.
    Then wait.
    """
    return x
'''
AFTER = BEFORE.replace("Then wait.", "Then wait.\n    close(it)").replace("return x", "return pay(x)")


def diff(tmp_path: Path, before: str, after: str, context: int = 0) -> str:
    """As git writes it, with the two files as a.py."""
    (tmp_path / "old").write_bytes(before.encode())
    (tmp_path / "new").write_bytes(after.encode())
    command = ["git", "diff", "--no-index", f"-U{context}", "--no-color", "--text", "old", "new"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    return done.stdout.decode().replace("a/old", "a/a.py").replace("b/new", "b/a.py")


def test_a_whole_file_knows_that_a_hunk_stands_in_a_docstring(tmp_path: Path) -> None:
    text = diff(tmp_path, BEFORE, AFTER)
    assert gather(text).calls == ("close", "pay"), "the hunk alone is taken for code"
    evidence = gather(text, (("a.py", AFTER),))
    assert evidence.calls == ("pay",) and evidence.perhaps_calls == frozenset()


def test_what_was_removed_is_read_in_the_file_as_it_was(tmp_path: Path) -> None:
    text = diff(tmp_path, AFTER, BEFORE)
    assert gather(text).removed_calls == ("close", "pay")
    assert gather(text, (("a.py", BEFORE),)).removed_calls == ("pay",)


@pytest.mark.parametrize("now", [BEFORE, AFTER.replace("pay", "buy"), AFTER.replace("Say", "\n\nSay"), ""])
def test_a_file_that_the_diff_does_not_lead_to_is_not_looked_at(tmp_path: Path, now: str) -> None:
    text = diff(tmp_path, BEFORE, AFTER)
    assert gather(text, (("a.py", now), ("b.py", AFTER))) == gather(text)


def test_a_change_that_does_not_parse_is_read_by_its_hunk(tmp_path: Path) -> None:
    after = "def f(x):\n    return (pay(x)\n"
    text = diff(tmp_path, "def f(x):\n    return x\n", after)
    assert gather(text, (("a.py", after),)).calls == gather(text).calls == ("pay",)


def test_a_file_that_goes_has_no_other_side(tmp_path: Path) -> None:
    text = "diff --git a/a.py b/a.py\ndeleted file mode 100644\n--- a/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-go()\n"
    (file,) = parse_diff(text).files
    assert sides(file, "go()\n") is None and gather(text, (("a.py", "go()\n"),)).removed_calls == ("go",)


LINES = st.lists(st.sampled_from(["a()", "  b(x)", "", "c = 1", "# d"]), max_size=12)


@given(LINES, LINES, st.integers(0, 3), st.sampled_from(["\n", "\r\n"]))
def test_the_old_side_is_what_git_compared(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], context: int, end: str
) -> None:
    before, after = (end.join([*lines, ""]) for lines in (old, new))
    text = diff(tmp_path_factory.mktemp("sides"), before, after, context)
    for file in parse_diff(text).files:
        both = sides(file, after)
        assert both is not None
        assert both.after.splitlines() == after.splitlines() and both.before.splitlines() == before.splitlines()


def test_an_index_gives_what_stands_on_the_disk_of_what_it_has(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    (root / "lib").mkdir(parents=True)
    (root / "lib/a.py").write_text("a = 1\n")
    (root / "b.py").write_text("b = 1\n")
    (tmp_path / "secret.py").write_text("secret = 1\n")
    (root / ".gitignore").write_text("ignored.py\n")
    (root / "ignored.py").write_text("i = 1\n")
    index = RepositoryIndex(tmp_path / "shop.sqlite")
    assert index.texts(["b.py"]) == {}
    index.update(root)
    (root / "lib/a.py").write_text("a = 2\n")
    (root / "b.py").unlink()
    asked = ["lib/a.py", "b.py", "ignored.py", "../secret.py", "/etc/passwd", "lib/../lib/a.py"]
    assert index.texts(asked) == {"lib/a.py": "a = 2\n"}
    (root / "b.py").symlink_to(tmp_path / "secret.py")
    assert index.texts(["b.py"]) == {}


def test_a_file_with_changes_that_the_diff_leaves_out_is_not_looked_at() -> None:
    """As after `git add -p`: the new side fits, and the old side's numbers are another file's."""
    text = "--- a/a.py\n+++ b/a.py\n@@ -1 +3 @@\n-new(1)\n+new()\n"
    (file,) = parse_diff(text).files
    assert sides(file, "a = 1\nb = 1\nnew()\n") is None
    assert gather(text, (("a.py", "a = 1\nb = 1\nnew()\n"),)) == gather(text)
