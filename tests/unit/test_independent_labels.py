"""Independent labels: calls by Python's own `ast`, changes cut from two versions of a package, and commits in them."""

import subprocess
from pathlib import Path

import pytest

from tests.suites import loaded

labeller = loaded("evidence/independent/labellers", "python_calls")
cutter, placer, framer = (loaded("evidence/independent", name) for name in ("changes", "placing", "framing"))


def calls(text: str) -> list[tuple[str, int]]:
    return sorted(labeller.calls(text), key=lambda call: (call[1], call[0]))


def test_a_call_counts_by_its_bare_name_where_the_name_stands() -> None:
    assert calls("a.open(\n    b()\n)\n(\n    x\n    .run()\n)\n") == [("open", 1), ("b", 2), ("run", 6)]


def test_decorators_and_replacements_in_strings_are_calls_when_they_are_called() -> None:
    text = '@cached\n@route("/")\ndef f(): return f"""\n{shown()}"""\n'
    assert calls(text) == [("route", 2), ("shown", 4)]


def test_definitions_texts_and_what_is_no_name_are_no_calls() -> None:
    assert calls('class A(B):\n    """open()"""\n    def run(self): return x[0](1), (lambda: 1)()\n') == []


def test_a_file_that_is_no_python_says_so_and_has_no_calls() -> None:
    assert labeller.labelled("a.py", "def (") == {"path": "a.py", "calls": [], "errors": 1}


def changes(folder: Path, before: dict[str, str], after: dict[str, str], most: int = 8_000) -> list[cutter.Change]:
    for version, files in (("older", before), ("newer", after)):
        for name, text in files.items():
            path = folder / version / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return list(cutter.changes(folder / "older", folder / "newer", (), most))


def test_a_change_is_a_git_diff_with_the_numbers_of_its_lines(tmp_path: Path) -> None:
    (change,) = changes(tmp_path, {"a.py": "x = 1\ny = 2\n"}, {"a.py": "x = 1\ny = f()\nz = 3\n"})
    (piece,) = change.pieces
    assert change.diff.startswith("diff --git a/a.py b/a.py\n") and change.diff.endswith("\n-y = 2\n+y = f()\n+z = 3")
    assert (piece.removed, piece.added, piece.language) == ((2,), (2, 3), "python")


def test_a_file_that_is_only_in_one_version_has_one_side(tmp_path: Path) -> None:
    found = changes(tmp_path, {"old.py": "f()\n", "kept.py": ""}, {"new.go": "package a\n", "kept.py": ""})
    assert {(piece.old, piece.new) for change in found for piece in change.pieces} == {
        ("old.py", None),
        (None, "new.go"),
    }


def test_a_long_file_gives_several_changes_each_within_the_limit(tmp_path: Path) -> None:
    lines = [f"line_{number} = {number}" for number in range(400)]
    changed = [f"{line} + f({number})" if number % 20 == 0 else line for number, line in enumerate(lines)]
    found = changes(tmp_path, {"a.py": "\n".join(lines)}, {"a.py": "\n".join(changed)}, most=1_000)
    assert len(found) > 1 and all(len(change.diff.encode()) <= 1_000 for change in found)
    assert [number for change in found for piece in change.pieces for number in piece.added] == list(range(1, 401, 20))


def test_built_vendored_and_generated_files_are_left_out(tmp_path: Path) -> None:
    names = ("dist/a.js", "node_modules/b/c.js", "a.min.js", "types.d.ts", "notes.md")
    before = dict.fromkeys(names, "let a = 1\n") | {"made.go": "// Code generated. DO NOT EDIT.\npackage a\n"}
    assert changes(tmp_path, before, {name: f"{text}f()\n" for name, text in before.items()}) == []


BEFORE = "import a\n\n\ndef f(x):\n    y = g(x)\n    return y\n\n\ndef h():\n    return 1\n"
AFTER = BEFORE.replace("g(x)", "k(x)").replace("return 1", "return m(1)")


def file_change(before: str, after: str, folder: Path) -> tuple[placer.FileChange, ...]:
    """As git shows it, with the hashes of the whole files."""
    for name, text in (("older", before), ("newer", after)):
        (folder / name).write_text(text)
    git = ("git", "diff", "--no-index", "--abbrev=10", "--src-prefix=a/", "--dst-prefix=b/", "older", "newer")
    diff = subprocess.run(git, cwd=folder, capture_output=True, text=True).stdout
    return tuple(placer.file_changes(diff.replace("older", "x/m.py").replace("newer", "x/m.py")))


def test_a_file_that_git_s_hash_proves_is_the_commit_s_own(tmp_path: Path) -> None:
    (change,) = file_change(BEFORE, AFTER, tmp_path)
    versions = placer.Versions(10)
    versions.add("x/m.py", AFTER)
    versions.chain([change])
    (place,) = versions.whole(change)
    assert (place.how, place.before, place.after) == ("proven", BEFORE, AFTER)
    assert (place.removed, place.added) == ((5, 10), (5, 10))


def test_hunks_are_put_where_their_lines_stand_in_another_version(tmp_path: Path) -> None:
    (change,) = file_change(BEFORE, AFTER, tmp_path)
    versions = placer.Versions(10)
    versions.add("x/m.py", f"# first\n{BEFORE}# last\n")
    versions.chain([change])
    (place,) = versions.whole(change)
    assert (place.how, place.after) == ("together", f"# first\n{AFTER}# last\n")
    assert (place.removed, place.added) == ((6, 11), (6, 11))


def test_a_hunk_that_stands_nowhere_has_no_place(tmp_path: Path) -> None:
    (change,) = file_change(BEFORE, AFTER, tmp_path)
    versions = placer.Versions(10)
    versions.add("x/m.py", BEFORE.replace("y = g(x)", "y = other(x)").replace("return y", "return z"))
    versions.chain([change])
    assert versions.whole(change) == [] and versions.apart(change, change.hunks[0]) == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["    return f(x)", "", "def g():", "    pass"], {"f"}),
        (["    name (str): see other(x)", '    """', "    run(1)"], {"run"}),
        (["        if x:", "            f(1)", "    except Error:", "        g(2)"], {"f", "g"}),
        (["    a=f(1),", "    b=2)", "g(3)"], {"f", "g"}),
    ],
)
def test_a_hunk_alone_is_understood_in_frames_that_agree(lines: list[str], found: set[str]) -> None:
    readings = set()
    for before, after in framer.frames("python", lines, "@@ -1 +1 @@"):
        first = before.count("\n") + 1
        said = labeller.labelled("a.py", before + "\n".join(lines) + after)
        if not said["errors"]:
            readings.add(frozenset(name for name, at in said["calls"] if first <= at < first + len(lines)))
    assert readings == {frozenset(found)}


def test_every_frame_closes_what_stays_open() -> None:
    for language in ("go", "rust", "javascript", "typescript"):
        for before, after in framer.frames(language, ["    f(a, {", "  })", "}"], "@@ -1 +1 @@"):
            whole = before + after
            assert whole.count("{") == whole.count("}") + 1 and whole.count("(") == whole.count(")")
