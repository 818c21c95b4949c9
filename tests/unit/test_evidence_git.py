"""The diff reader against real git: whatever its options, the same files and the same lines, or a note."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from firstpass.changes import git_environment
from firstpass.evidence.diffs.diff import Diff, FileDiff, parse_diff

MAIN = """def load(path):
    return path


def helper(a):
    return a


def main():
    a = load('x')
    return a
"""
CHANGED = MAIN.replace("load('x')", "fetch('x')").replace(
    "    return a\n", "    # TODO: close it\n    send(a)\n    return a\n"
)
PATCH = "diff --git a/in.py b/in.py\n--- a/in.py\n+++ b/in.py\n@@ -1 +1 @@\n-old()\n+new()\n"
MESSAGE = (
    "two: change\n\ndiff --git is how git begins\n- bullet point\n--- not a header\n+++ nor this\n@@ -1 @@ nor that\n"
)

Git = Callable[..., str]
File = tuple[str | None, str | None, bool, list[tuple[object, ...]]]
Shape = list[File]
COLOUR = re.compile("\x1b\\[\\d*m")


def git_in(directory: Path) -> Git:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "HOME": str(directory)}
    by = {f"GIT_{who}_{what}": "a@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*arguments: str, code: int = 0) -> str:
        command = [
            "git",
            "-C",
            str(directory),
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgsign=false",
            *arguments,
        ]
        ran = subprocess.run(command, capture_output=True, check=False, env=git_environment(directory) | own | by)
        assert ran.returncode == code, ran.stderr
        return ran.stdout.decode("utf-8", "replace")

    return git


def write(root: Path, path: str, text: str | bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits, the second with every kind of change, and a merge of two branches after it."""
    root = tmp_path_factory.mktemp("repository")
    git = git_in(root)
    git("init", "-q")
    for path in ("a/d.py", "b/c.py", "src/a.py", "my dir/my file.py", 'quo"te.py', "tab\tname.py", "über/naïve.py"):
        write(root, path, MAIN)
    write(root, "moved/before.py", MAIN * 4)
    write(root, "gone.py", "gone()\n")
    write(root, "mode.sh", "run\n")
    write(root, "logo.png", b"\0\1\2" * 50)
    write(root, "end.py", "no_newline()")
    git("add", "-A")
    git("commit", "-qm", "one")
    for path in ("a/d.py", "b/c.py", "src/a.py", "my dir/my file.py", 'quo"te.py', "tab\tname.py", "über/naïve.py"):
        write(root, path, CHANGED)
    git("mv", "moved/before.py", "moved/after it.py")
    write(root, "moved/after it.py", MAIN * 4 + "added_later()\n")
    git("rm", "-q", "gone.py")
    (root / "mode.sh").chmod(0o755)
    write(root, "logo.png", b"\0\1\3" * 50)
    write(root, "end.py", "no_newline()\nnow_one()")
    write(root, "empty.py", "")
    write(root, "fix.patch", PATCH)
    write(root, "b/new.py", "new_file()\n")
    write(root, "colours.txt", "\x1b[31mred\x1b[m\n")
    git("add", "-A")
    git("commit", "-qm", MESSAGE)
    git("tag", "two")
    git("checkout", "-qb", "other")
    write(root, "src/a.py", CHANGED.replace("return a\n", "return left(a)\n"))
    git("commit", "-qam", "left")
    git("checkout", "-q", "main")
    write(root, "src/a.py", CHANGED.replace("return a\n", "return right(a)\n"))
    git("commit", "-qam", "right")
    git("merge", "-q", "other", code=1)
    write(root, "src/a.py", CHANGED.replace("return a\n", "return both(left(right(a)))\n"))
    git("commit", "-qam", "merge")
    return root


def shape(diff: Diff, *, numbers: bool = True) -> Shape:
    """Each file with its changed lines; a terminal's colours in these are left out."""
    return sorted((_file(file, numbers) for file in diff.files), key=repr)


def _file(file: FileDiff, numbers: bool) -> File:
    lines = [line for hunk in file.hunks for line in hunk.lines if line.kind != "context"]
    shown = [(line.kind, COLOUR.sub("", line.text), *((line.old, line.new) if numbers else ())) for line in lines]
    return (file.old_path, file.new_path, file.binary, sorted(shown, key=repr))


@pytest.fixture(scope="module")
def plain(repository: Path) -> Shape:
    diff = parse_diff(git_in(repository)("diff", "two~", "two"))
    assert diff.notes == () and diff.remarks == ()
    return shape(diff)


def test_the_plain_diff_has_every_file_under_its_real_name(plain: Shape) -> None:
    paths = {(old, new) for old, new, _, _ in plain}
    both = {"a/d.py", "b/c.py", "src/a.py", "my dir/my file.py", 'quo"te.py', "tab\tname.py", "über/naïve.py"}
    assert paths == {(path, path) for path in both | {"mode.sh", "logo.png", "end.py"}} | {
        ("moved/before.py", "moved/after it.py"),
        ("gone.py", None),
        (None, "empty.py"),
        (None, "fix.patch"),
        (None, "b/new.py"),
        (None, "colours.txt"),
    }


OPTIONS = [
    ["--color=always"],
    ["-c", "color.diff.meta=normal", "-c", "color.diff.frag=normal", "diff", "--color=always"],
    [
        "-c",
        "color.diff.old=#ff0000",
        "-c",
        "color.diff.new=bold 118",
        "-c",
        "color.diff.context=dim",
        "diff",
        "--color",
    ],
    [
        *["-c", "color.diff.new=normal", "-c", "color.diff.old=normal", "-c", "color.diff.meta=normal"],
        "diff",
        "--color",
    ],
    ["--color", "--ws-error-highlight=all"],
    ["--color", "--color-moved"],
    ["-c", "diff.mnemonicPrefix=true", "diff"],
    ["-c", "diff.mnemonicPrefix=true", "diff", "--color"],
    ["-c", "diff.noprefix=true", "diff"],
    ["--no-prefix", "--color"],
    ["--src-prefix=old/", "--dst-prefix=new/"],
    ["--src-prefix=before/it/", "--dst-prefix=after/"],
    ["--src-prefix=OLD_", "--dst-prefix=NEW_"],
    ["--src-prefix=x/", "--dst-prefix=x/"],
    ["-c", "core.quotePath=false", "diff"],
    ["-U0"],
    ["-U25"],
    ["-W"],
    ["--full-index"],
    ["--binary"],
    ["--patience", "--inter-hunk-context=20"],
    ["-p", "--stat", "--summary"],
    ["--patch-with-raw"],
    ["--line-prefix=> "],
    ["--line-prefix=    "],
    ["--line-prefix=log | "],
    ["--line-prefix=| | ", "--color"],
    ["--submodule=diff"],
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_an_option_of_git_changes_nothing_that_is_read(repository: Path, plain: Shape, options: list[str]) -> None:
    command = options if "diff" in options else ["diff", *options]
    diff = parse_diff(git_in(repository)(*command, "two~", "two"))
    assert shape(diff) == plain and diff.notes == ()


COMMANDS = [
    ["show", "two"],
    ["show", "--color=always", "two"],
    ["show", "--format=%B", "two"],
    ["log", "-p", "-1", "two"],
    ["log", "-p", "-1", "--oneline", "--graph", "two"],
    ["log", "-p", "-1", "--graph", "two"],
    ["log", "-p", "-1", "--graph", "--color=always", "two"],
    ["log", "-p", "-1", "--stat", "--graph", "two"],
    ["format-patch", "-1", "--stdout", "two"],
    ["format-patch", "-1", "--stdout", "--attach", "two"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_commit_is_read_as_its_diff_is(repository: Path, plain: Shape, command: list[str]) -> None:
    diff = parse_diff(git_in(repository)(*command))
    assert shape(diff) == plain and diff.notes == ()


WRAPS: dict[str, Callable[[str], str]] = {
    "a mail's quotation": lambda text: re.sub("^", "> ", text, flags=re.MULTILINE),
    "a quotation in one": lambda text: re.sub("^", "> > ", text, flags=re.MULTILINE),
    "quoted and stripped": lambda text: re.sub("(?m)^> $", ">", re.sub("(?m)^", "> ", text)),
    "an indented text": lambda text: re.sub("^", "    ", text, flags=re.MULTILINE),
    "tabs": lambda text: re.sub("^", "\t", text, flags=re.MULTILINE),
    "a fence": lambda text: f"Please review:\n\n```diff\n{text}```\nThanks!\n",
    "a fence in a list": lambda text: "- this:\n" + re.sub("^", "  ", f"```diff\n{text}```\n", flags=re.MULTILINE),
    "a quoted fence": lambda text: re.sub("^", "> ", f"```diff\n{text}```\n", flags=re.MULTILINE) + "No.\n",
    "ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "ends of old": lambda text: text.replace("\n", "\r"),
    "a byte order mark": lambda text: f"\ufeff{text}",
    "no end": lambda text: text.removesuffix("\n"),
    "blanks at the ends stripped": lambda text: re.sub("(?m)^ $", "", text),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_what_a_diff_is_wrapped_in_changes_nothing(repository: Path, plain: Shape, wrap: Callable[[str], str]) -> None:
    diff = parse_diff(wrap(git_in(repository)("diff", "two~", "two")))
    assert shape(diff) == plain and diff.notes == ()


SPELT = [("\x1b", "^["), ("\x1b", "\u241b"), ("\x1b", "\\x1b"), ("\x1b", "\\033"), ("\x1b", "")]


@pytest.mark.parametrize(("escape", "spelt"), SPELT)
def test_colours_without_the_escape_character_are_read(repository: Path, plain: Shape, escape: str, spelt: str) -> None:
    text = git_in(repository)("diff", "--color", "two~", "two", "--", ":!colours.txt")
    diff = parse_diff(text.replace(escape, spelt))
    assert shape(diff) == [file for file in plain if file[1] != "colours.txt"] and diff.notes == ()


def test_a_graph_of_many_commits_is_read_as_a_list_of_them(repository: Path) -> None:
    git = git_in(repository)
    listed = parse_diff(git("log", "-p", "main"))
    for options in (["--graph"], ["--graph", "--color=always"], ["--graph", "--oneline"]):
        graph = parse_diff(git("log", "-p", *options, "main"))
        assert shape(graph) == shape(listed) and graph.notes == ()
    assert len(listed.files) > len(parse_diff(git("diff", "two~", "two")).files)


@pytest.mark.parametrize("options", [["--cc"], ["-c"], ["--cc", "--color=always"], ["--cc", "--combined-all-paths"]])
def test_a_merge_adds_what_no_parent_has(repository: Path, options: list[str]) -> None:
    diff = parse_diff(git_in(repository)("show", *options, "main"))
    (file,) = diff.files
    changed = {(line.kind, line.text.strip()) for hunk in file.hunks for line in hunk.lines if line.kind != "context"}
    assert file.path == "src/a.py" and diff.notes == ()
    assert ("added", "return both(left(right(a)))") in changed
    assert {text for kind, text in changed if kind == "removed"} == {"return left(a)", "return right(a)"}


WORDS = [
    ["--word-diff"],
    ["--word-diff=porcelain"],
    ["--word-diff=color", "--color=always"],
    ["--color-words", "--color=always"],
    ["--word-diff", "--color=always"],
    ["--word-diff", "--no-prefix"],
    ["--word-diff", "-U0"],
]


@pytest.mark.parametrize("options", WORDS, ids=" ".join)
def test_a_word_diff_is_read_in_lines(repository: Path, plain: Shape, options: list[str]) -> None:
    """But for a file where only the end of the last line changes, and one with colours of its own."""
    diff = parse_diff(git_in(repository)("diff", *options, "two~", "two", "--", ":!end.py", ":!colours.txt"))
    assert shape(diff) == [file for file in plain if file[1] not in ("end.py", "colours.txt")] and diff.notes == ()


def test_a_word_diff_that_can_not_be_read_says_so(repository: Path) -> None:
    """git leaves the prefix off most lines of this one, and its own colours are not known here."""
    git = git_in(repository)
    assert parse_diff(git("diff", "--word-diff=porcelain", "--line-prefix=> ", "two~", "two")).notes
    own = ("-c", "color.diff.old=yellow", "-c", "color.diff.new=blue", "diff", "--color-words", "two~", "two")
    assert parse_diff(git(*own)).notes
