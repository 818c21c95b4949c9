"""Diffs as git does not write them by default: other tools', cut ones, models', and what is none."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.evidence import gather
from firstpass.evidence.diffs.diff import Diff, parse_diff
from firstpass.exchange import Ask, Exchange, Reply
from tests.machine import LINEAR, growth

CASES = Path(__file__).parents[1] / "cases"
BODY = "@@ -1,3 +1,4 @@ def f():\n keep()\n-old()\n+new()\n+more()\n keep()\n"
CHANGED = [("removed", "old()"), ("added", "new()"), ("added", "more()")]


def changed(diff: Diff) -> list[tuple[str, str]]:
    hunks = (hunk for file in diff.files for hunk in file.hunks)
    return [(line.kind, line.text) for hunk in hunks for line in hunk.lines if line.kind != "context"]


def paths(diff: Diff) -> list[tuple[str | None, str | None]]:
    return [(file.old_path, file.new_path) for file in diff.files]


def case(name: str) -> str:
    return (CASES / f"{name}.diff").read_text()


@pytest.mark.parametrize(
    ("name", "calls", "todos", "files"),
    [
        ("ansi-color", ("send_report",), ("close the file",), ("a.py",)),
        ("mnemonic-prefix", ("send_report",), ("close the file",), ("a/d.py", "b/c.py", "src/a.py")),
        ("noprefix-dirs-a-b", ("send_report",), ("close the file",), ("a/d.py", "b/c.py", "src/a.py")),
        ("log-graph", ("archive", "send_report"), ("close the file",), ("a.py",)),
        ("context-diff", ("send_report",), ("close the file",), ("a.py",)),
        ("combined-diff", ("both",), (), ("a.py",)),
    ],
)
def test_a_case_is_read_and_has_nothing_to_note(
    name: str, calls: tuple[str, ...], todos: tuple[str, ...], files: tuple[str, ...]
) -> None:
    evidence = gather(case(name))
    assert (evidence.calls, evidence.todos, evidence.paths, evidence.notes) == (calls, todos, files, ())


def test_a_hunk_that_is_shorter_than_it_says_is_noted() -> None:
    notes = gather(case("truncated-hunk")).notes
    assert notes == ("A hunk is shorter than it says: a.py", "The diff says that a part of it was left out")


def test_a_line_that_is_too_long_to_read_is_noted_with_its_file() -> None:
    (note,) = gather(case("long-line")).notes
    assert note == "A line of more than 2,000 characters not read for calls and TODOs: in a.js"


@pytest.mark.parametrize("name", ["review-mnemonic", "review-path-space"])
def test_a_finding_of_a_review_stays_whatever_its_path_is(name: str) -> None:
    given_case = json.loads((CASES / f"{name}.json").read_text())
    contract = shipped(f"{given_case['contract']}@1")
    ask = Ask("a", 0.0, "chat", "firstpass", "cascade", (Message("user", given_case["diff"]),))
    reply = Reply(given_case["answer"], "m", "stop", None, 0.1)
    assert [finding for finding in contract.check(ask, reply) if finding.severity == "fail"] == []
    assert contract.mend(Exchange(ask), reply) == reply


TOOLS = {
    "diff -u": ("--- src/a.py\t2026-01-02 03:04:05.6 +0000\n+++ src/a.py\t2026-01-02 03:04:05.6 +0000\n", "src/a.py"),
    "tabs lost": ("--- src/a.py 2026-01-02 03:04:05.6 +0000\n+++ src/a.py 2026-01-02 03:04:05.6 +0000\n", "src/a.py"),
    "diff -ru": (
        "diff -ru old/src/a.py new/src/a.py\n--- old/src/a.py\t2026-01-02 03:04:05\n+++ new/src/a.py\t2026-01-02\n",
        "src/a.py",
    ),
    "versions": ("--- p-1.0/src/a.py\t2026-01-02\n+++ p-1.1/src/a.py\t2026-01-02\n", "src/a.py"),
    "Mercurial": (
        "diff -r 1a2b3c4d5e6f src/a.py\n--- a/src/a.py\tThu Jan 01 00:00:00 2026 +0000\n"
        "+++ b/src/a.py\tFri Jan 02 00:00:00 2026 +0000\n",
        "src/a.py",
    ),
    "Mercurial's git form": ("diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n", "src/a.py"),
    "Subversion": (
        f"Index: src/a.py\n{'=' * 67}\n--- src/a.py\t(revision 3)\n+++ src/a.py\t(working copy)\n",
        "src/a.py",
    ),
    "Subversion, tabs lost": (
        f"Index: src/a.py\n{'=' * 67}\n--- src/a.py    (revision 3)\n+++ src/a.py    (working copy)\n",
        "src/a.py",
    ),
    "quilt": (f"Index: p/src/a.py\n{'=' * 67}\n--- p.orig/src/a.py\n+++ p/src/a.py\n", "src/a.py"),
    "Perforce": ("==== //depot/src/a.py#3 - /home/u/src/a.py ====\n", "depot/src/a.py"),
    "Bazaar": (
        "=== modified file 'src/a.py'\n--- src/a.py\t2026-01-02 03:04:05 +0000\n+++ src/a.py\t2026-01-02\n",
        "src/a.py",
    ),
    "Windows": ("--- a\\src\\a.py\n+++ b\\src\\a.py\n", "src/a.py"),
    "a model's": ("--- a/src/a.py\n+++ b/src/a.py\n", "src/a.py"),
    "only the new side": ("+++ b/src/a.py\n", "b/src/a.py"),
    "a GitLab API's": ("--- src/a.py\n+++ src/a.py\n", "src/a.py"),
}


@pytest.mark.parametrize(("header", "path"), TOOLS.values(), ids=TOOLS)
def test_a_tool_s_headers_give_the_path_alone(header: str, path: str) -> None:
    diff = parse_diff(header + BODY)
    assert diff.files[-1].path == path and len(diff.files) == 1
    assert changed(diff) == CHANGED and diff.notes == ()


@pytest.fixture
def directories(tmp_path: Path) -> Path:
    """`old` and `new`, as for `diff -r`."""
    for side, lines in (
        ("old", ["one()", "two()", "three()", "four()"]),
        ("new", ["one()", "2()", "three()", "five()", "6()"]),
    ):
        (tmp_path / side / "lib").mkdir(parents=True)
        (tmp_path / side / "lib" / "a b.py").write_text("\n".join(["top()"] * 9 + lines + ["end()"] * 9 + [side]))
    (tmp_path / "new" / "lib" / "added.py").write_text("added()\n")
    (tmp_path / "old" / "lib" / "gone.py").write_text("gone()\n")
    return tmp_path


def diff_in(directory: Path, *options: str) -> str:
    ran = subprocess.run(["diff", *options, "old", "new"], cwd=directory, capture_output=True, check=False)
    return ran.stdout.decode()


@pytest.mark.parametrize(
    "options", ["-ruN", "-rcN", "-rupN", "-rN", "-rN -U0", "-rN -C0", "-rN -C9", "-ruN --color=always"]
)
def test_what_diff_itself_writes_is_read_in_each_of_its_forms(directories: Path, options: str) -> None:
    plain = parse_diff(diff_in(directories, "-ruN"))
    diff = parse_diff(diff_in(directories, *options.split()))
    assert sorted(changed(diff)) == sorted(changed(plain)) and len(changed(plain)) == 9
    assert {file.path for file in diff.files} == {"lib/a b.py", "lib/added.py", "lib/gone.py"} and diff.notes == ()


@pytest.mark.parametrize("options", ["-re", "-rn", "-ry", "-rq", "-ru"])
def test_what_diff_writes_and_is_not_read_is_noted(directories: Path, options: str) -> None:
    """Of `-ru`, the files that only one side has."""
    assert parse_diff(diff_in(directories, options)).notes


UNREAD = {
    "a JSON string": json.dumps("diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n" + BODY),
    "a log's lines": "12:01 diff --git a/a.py b/a.py\n12:02 --- a/a.py\n12:03 +++ b/a.py\n12:04 @@ -1 +1 @@\n",
    "a table": "| @@ -1,3 +1,4 @@ |\n| +new() |\n",
    "names and states": "M\tsrc/auth/login.py\nA\tsrc/x.py\n",
    "a stat": " src/auth/login.py | 3 ++-\n 1 file changed\n",
    "a raw list": ":100644 100644 1a2b3c4 5e6f7a8 M\tsrc/auth/login.py\n",
    "numbers": "1\t2\tsrc/auth/login.py\n",
}


@pytest.mark.parametrize("text", UNREAD.values(), ids=UNREAD)
def test_what_looks_like_a_diff_and_is_not_read_is_noted(text: str) -> None:
    assert parse_diff(text).notes


NO_DIFF = {
    "nothing": "",
    "a question": "Is src/auth/login.py right?\n- one\n+ two\n",
    "a message": "Fix it\n\ndiff --git is how git begins\n--- not a header\n- bullet\n+++ three\n* item\n> said\n",
    "Markdown": "| a | b |\n|---|---|\n| 1 | 2 |\n\n***\n\n> quoted\n---\n1. one\n",
    "code": "x = a[1m]\nif a | b:\n    index 3\n5a\n",
}


@pytest.mark.parametrize("text", NO_DIFF.values(), ids=NO_DIFF)
def test_prose_and_code_are_no_diff_and_nothing_to_note(text: str) -> None:
    diff = parse_diff(text)
    assert (diff.files, diff.notes, diff.text) == ((), (), text)


CUT = {
    "after a header": "diff --git a/a.py b/a.py\nindex 1a2b3c4..5e6f7a8 100644\n",
    "after the paths": "diff --git a/a.py b/a.py\nindex 1a2b3c4..5e6f7a8 100644\n--- a/a.py\n+++ b/a.py\n",
    "after the first line": "diff --git a/a.py b/a.py\n",
    "in a new file's header": "diff --git a/a.py b/a.py\nnew file mode 100644\nindex 0000000..5e6f7a8\n",
    "in a hunk": "--- a/a.py\n+++ b/a.py\n" + BODY.removesuffix("+more()\n keep()\n"),
    "in a line": ("--- a/a.py\n+++ b/a.py\n" + BODY)[:-13],
    "with a word": f"--- a/a.py\n+++ b/a.py\n{BODY}[... 120 more lines]\n",
    "with dots": f"--- a/a.py\n+++ b/a.py\n{BODY}...\n",
    "with a mark": f"--- a/a.py\n+++ b/a.py\n{BODY}<diff truncated>\n",
    "before the next file": "--- a/a.py\n+++ b/a.py\n@@ -1,9 +1,99 @@\n keep()\n+new()\n--- a/b.py\n+++ b/b.py\n"
    + BODY,
}


@pytest.mark.parametrize("text", CUT.values(), ids=CUT)
def test_a_diff_that_was_cut_short_says_so(text: str) -> None:
    diff = parse_diff(text)
    assert diff.files[0].path == "a.py" and diff.notes and not diff.unread


def test_lines_after_a_mark_that_some_were_left_out_are_read_too() -> None:
    text = "--- a/a.py\n+++ b/a.py\n@@ -1,90 +1,91 @@\n a\n+b()\n... 80 lines omitted ...\n+late()\n z\n"
    assert ("added", "late()") in changed(parse_diff(text))


WHOLE = {
    "the last context is gone": "--- a/a.py\n+++ b/a.py\n@@ -1,3 +1,4 @@\n a\n+b()\n c\n",
    "a mail's signature": f"--- a/a.py\n+++ b/a.py\n{BODY}-- \n2.39.0\n",
    "a signature without its blank": f"--- a/a.py\n+++ b/a.py\n{BODY}--\n2.39.0.windows.1\n",
    "an empty new file": "diff --git a/a.py b/a.py\nnew file mode 100644\nindex 0000000..e69de29\n",
    "a file that was only touched": "diff --git a/a.py b/a.py\ndiff --git a/b b/b\nold mode 100644\nnew mode 100755\n",
}


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_what_lacks_no_change_is_not_noted(text: str) -> None:
    diff = parse_diff(text)
    assert diff.files[0].path == "a.py" and diff.notes == () and ("removed", "-") not in changed(diff)


def test_a_hunk_that_is_longer_than_it_says_is_read_whole_and_remarked() -> None:
    diff = parse_diff("--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,1 @@\n keep()\n-old()\n+new()\n+more()\n")
    assert changed(diff) == CHANGED and diff.notes == ()
    assert diff.remarks == ("A hunk is longer than it says: a.py",)


SIDES = "--- a/src/a.py\n+++ b/src/a.py\n"
SIGNED = "-old()\n+new()\n+more()\n"
MODELS = {
    "no numbers": f"{SIDES}@@ ... @@\n keep()\n{SIGNED}",
    "no header of the hunk": f"{SIDES} keep()\n{SIGNED}",
    "no context": f"{SIDES}{SIGNED}",
    "a function's name": f"diff --git a/src/a.py b/src/a.py\n{SIDES}@@ def f():\n-old()\n+new()\n\n+more()\n",
    "a patch for a tool": f"*** Begin Patch\n*** Update File: src/a.py\n@@ def f():\n keep()\n{SIGNED}*** End Patch\n",
    "no paths": f"diff --git a/src/a.py b/src/a.py\n@@ -1,3 +1,4 @@\n keep()\n{SIGNED} keep()\n",
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_a_diff_as_models_write_it_is_read(text: str) -> None:
    diff = parse_diff(text)
    assert [file.path for file in diff.files] == ["src/a.py"] and changed(diff) == CHANGED and diff.notes == ()


OTHER_CHANGES = {
    "a submodule's log": ("Submodule libs/x 1a2b3c4..5e6f7a8:\n  > one\n", [("libs/x", "libs/x")]),
    "a new submodule": ("Submodule libs/x 0000000...5e6f7a8 (new submodule)\n", [("libs/x", "libs/x")]),
    "Mercurial's binary": (
        "diff -r 1a2b3c4d5e6f logo.png\nBinary file logo.png has changed\n",
        [("logo.png", "logo.png")],
    ),
    "binaries of diff": (
        "Binary files old/a.png and new/a.png differ\nBinary files old/b.png and new/b.png differ\n",
        [("a.png", "a.png"), ("b.png", "b.png")],
    ),
    "Subversion's binary": (
        f"Index: a.png\n{'=' * 67}\nCannot display: file marked as a binary type.\nsvn:mime-type = image/png\n",
        [("a.png", "a.png")],
    ),
    "Subversion's new file": (
        f"Index: a.py\n{'=' * 67}\n--- a.py\t(nonexistent)\n+++ a.py\t(working copy)\n@@ -0,0 +1 @@\n+a\n",
        [(None, "a.py")],
    ),
    "a model's new file": ("--- /dev/null\n+++ b/src/a.py\n@@ -0,0 +1 @@\n+a\n", [(None, "src/a.py")]),
    "a copy": ("diff --git a/a b/b\nsimilarity index 100%\ncopy from a\ncopy to b\n", [("a", "b")]),
    "a rename under mnemonic prefixes": (
        "diff --git i/a x.py w/b y.py\nsimilarity index 90%\nrename from a x.py\nrename to b y.py\n"
        "--- i/a x.py\t\n+++ w/b y.py\t\n@@ -1 +1 @@\n-a\n+b\n",
        [("a x.py", "b y.py")],
    ),
    "a moved patch": ("*** Update File: a.py\n*** Move to: b.py\n-a\n+b\n", [("a.py", "b.py")]),
    "a deleted patch": ("*** Delete File: a.py\n", [("a.py", None)]),
    "a mode under blanks": (
        "diff --git w/a b.sh i/a b.sh\nold mode 100644\nnew mode 100755\n",
        [("a b.sh", "a b.sh")],
    ),
}


@pytest.mark.parametrize(("text", "files"), OTHER_CHANGES.values(), ids=OTHER_CHANGES)
def test_a_file_that_changes_otherwise_is_named(text: str, files: list[tuple[str | None, str | None]]) -> None:
    diff = parse_diff(text)
    assert paths(diff) == files and diff.notes == ()


def test_a_patch_inside_a_diff_is_its_text() -> None:
    inner = "diff --git a/in.py b/in.py\n--- a/in.py\n+++ b/in.py\n@@ -1 +1 @@\n-a\n+b\n"
    added = "".join(f"+{line}\n" for line in inner.splitlines())
    context = "".join(f" {line}\n" for line in inner.splitlines())
    diff = parse_diff(f"--- a/x.patch\n+++ b/x.patch\n@@ -1,6 +1,12 @@\n{added}{context}")
    assert paths(diff) == [("x.patch", "x.patch")] and diff.notes == () and len(changed(diff)) == 6


def test_an_escape_character_in_a_plain_diff_is_the_line_s_own() -> None:
    text = "--- a/x\n+++ b/x\n@@ -1 +1,3 @@\n a\n+\x1b[31mred\x1b[m\n+\x1b[1mdiff --git a/y b/y\x1b[m\n"
    assert changed(parse_diff(text))[0] == ("added", "\x1b[31mred\x1b[m") and parse_diff(text).text == text


def test_a_hunk_after_other_text_is_of_a_file_that_nothing_names() -> None:
    diff = parse_diff(f"--- a/a.py\n+++ b/a.py\n{BODY}\nAnd in another file:\n\n{BODY}")
    assert [file.path for file in diff.files] == ["a.py", None]


PIECES = some.sampled_from(
    ["+", "-", " ", "\n", "\n", "\r", "\x1b[1m", "\x1b[31m", "\x1b[m", "[m", "^[[1m", "~", "\\ No newline", "> ", "| ",
     "@@ -1,3 +1,4 @@", "@@@ -1,2 -1 +1,3 @@@", "@@", "diff --git a/x b/x", "diff --git i/x w/x", "diff --cc x", "x",
     "diff -r 1 x", "index 1..2", "--- a/x", "+++ b/x", "--- ", "+++ ", "*** a", "--- a", "***************", "* ",
     "*** 1,2 ****", "--- 1,3 ----", "5a6,7", "1,2c3", "< a", "> a", "---", "[-a-]", "{+b+}", "[-", "+}", "-- ", "2.39",
     "rename from x", "rename to y", "new file mode 1", "Binary files a and b differ", "Index: x", "======", " differ",
     "Only in a: b", "*** Update File: x", "... omitted", '"a\\303"', "\\", '"', "\x00", "\ud800", "\u2028", "\t",
     "/dev/null", "é"]
)  # fmt: skip


@settings(max_examples=400, derandomize=True)
@given(some.lists(PIECES | some.text(max_size=4), max_size=60))
def test_no_text_makes_it_raise(pieces: list[str]) -> None:
    for text in ("".join(pieces), "\n".join(pieces)):
        diff = parse_diff(text)
        assert diff.text.count("\n") <= text.count("\n") + text.count("\r")


HOSTILE = [
    "diff --git a/x b/x\n", "--- a\n+++ a\n", "@@ -1 +1 @@\n", "@@ -1,999999999 +1,999999999 @@\n", "\x1b[", "\x1b]",
    "\x1b[1m@@ -1,999999999 +1,999999999 @@\x1b[m\n\x1b[31ma\x1b[m\n", "| diff --git a/x b/x\n| index 1..2\n", "> ",
    "@@ -1 +1 @@\n[-a-]\n", "[-", "@@@ -1 -1 +1 @@@\n++\n", "***************\n*** 1,999999 ****\n", "1a1\n> x\n",
    "Index: x\n======\n", "Binary files a and ", "Submodule a ", "diff --git ", "@@ -1 ", "diff -r -a ", "\\", '"', "+",
    "[1m", "a\n", "-", " ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize(
    "before", ["", "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n ", "\x1b[1mdiff --git "]
)
def test_the_time_that_reading_takes_grows_no_faster_than_the_text(before: str, piece: str) -> None:
    assert growth(lambda size: parse_diff(before + piece * (size // len(piece))), 10_000) < LINEAR


@settings(max_examples=100, derandomize=True)
@given(some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30))
def test_a_name_that_git_quotes_is_read_back(name: str) -> None:
    raw = "".join(
        f"\\{byte:03o}" if byte < 32 or byte > 126 else f"\\{chr(byte)}" if chr(byte) in '"\\' else chr(byte)
        for byte in f"d/{name}".encode()
    )
    header = f'diff --git "a/{raw}" "b/{raw}"\n--- "a/{raw}"\n+++ "b/{raw}"\n'
    assert paths(parse_diff(header + BODY)) == [(f"d/{name}", f"d/{name}")]
