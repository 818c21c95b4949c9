"""What a diff did to definitions, files and messages. Every diff is git's own of two texts."""

import subprocess
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.evidence import Facts, facts_of, gather
from firstpass.evidence.facts.changes import MOST_CHARACTERS, SymbolChange
from firstpass.evidence.facts.files import FileFacts
from firstpass.evidence.trees.languages import language_of
from tests.machine import LINEAR, growth
from tests.unit.definitions_changed import BEFORE_AND_AFTER

CASES = Path(__file__).parents[1] / "cases"


def git_diff(old: dict[str, str], new: dict[str, str], context: int = 3) -> str:
    """As git prints it, renames found."""
    with tempfile.TemporaryDirectory() as directory:
        for side, files in (("old", old), ("new", new)):
            for path, text in files.items():
                place = Path(directory) / side / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
            (Path(directory) / side).mkdir(exist_ok=True)
        command = ["git", "diff", "--no-index", "-M", f"-U{context}", "old", "new"]
        out = subprocess.run(command, cwd=directory, capture_output=True, check=False, text=True).stdout
    return out.replace("a/old/", "a/").replace("b/new/", "b/").replace(" old/", " ").replace(" new/", " ")


def file_of(old: str, new: str, path: str, context: int = 3) -> FileFacts:
    (file,) = facts_of(git_diff({path: old}, {path: new}, context)).files
    return file


def symbols(old: str, new: str, path: str, context: int = 3) -> dict[str, SymbolChange]:
    """By dotted name."""
    found = file_of(old, new, path, context).symbols
    return {f"{one.holder}.{one.name}" if one.holder else one.name: one for one in found}


def said(changes: dict[str, SymbolChange]) -> dict[str, str]:
    return {name: f"{change.verb} {change.kind}" for name, change in changes.items()}


@pytest.mark.parametrize("path", BEFORE_AND_AFTER)
def test_what_happened_to_each_definition_is_told(path: str) -> None:
    old, new, expected = BEFORE_AND_AFTER[path]
    assert said(symbols(old, new, path)) == expected


@pytest.mark.parametrize("path", [path for path in BEFORE_AND_AFTER if path != "a.zig"])
def test_without_context_the_headings_say_where_a_change_is(path: str) -> None:
    """No name may come up that the change did not touch."""
    old, new, expected = BEFORE_AND_AFTER[path]
    names = {name.rpartition(".")[2] for name in expected} | {"Box", "Bin", "A", "Shape"}
    assert {change.name for change in symbols(old, new, path, context=0).values()} <= names


def test_signatures_are_told_old_and_new_also_of_several_lines() -> None:
    old = "def send(\n    url,\n    data=None,\n):\n    return url\n"
    new = "def send(\n    url,\n    data=None,\n    *,\n    retries: int = 3,\n) -> str:\n    return url\n"
    change = symbols(old, new, "a.py")["send"]
    assert change.verb == "signature"
    assert change.old_signature == "def send(url, data=None)"
    assert change.new_signature == "def send(url, data=None, *, retries: int = 3) -> str"


def test_a_parameter_that_only_comes_changes_the_signature() -> None:
    old = "def send(\n    url,\n):\n    return url\n"
    change = symbols(old, old.replace("    url,\n", "    url,\n    data,\n"), "a.py")["send"]
    assert (change.old_signature, change.new_signature) == ("def send(url)", "def send(url, data)")


def test_the_same_body_under_another_name_is_a_rename() -> None:
    body = "    first = load(x)\n    second = first + 1\n    return second\n"
    change = symbols(f"def old_name(x):\n{body}", f"def new_name(x):\n{body}", "a.py")
    assert said(change) == {"new_name": "renamed function"} and change["new_name"].old_name == "old_name"


def test_another_body_under_another_name_is_no_rename() -> None:
    old = "def one(x):\n    first = load(x)\n    return first\n"
    new = "def two(y):\n    with open(y) as file:\n        print(file)\n"
    assert said(symbols(old, new, "a.py")) == {"one": "removed function", "two": "added function"}


def test_what_goes_from_one_file_and_comes_in_another_has_moved() -> None:
    text = "def carry(x):\n    first = load(x)\n    return first\n"
    rest = "def rest():\n    return 1\n"
    facts = facts_of(
        git_diff({"a.py": rest + "\n\n" + text, "b.py": "X = 1\n"}, {"a.py": rest, "b.py": "X = 1\n\n\n" + text})
    )
    (change,) = [change for file in facts.files for change in file.symbols]
    assert (change.verb, change.name, change.path, change.old_path) == ("moved", "carry", "b.py", "a.py")


def test_a_change_belongs_to_the_definition_before_it_and_not_to_the_heading() -> None:
    """Bug: git prints the function before the hunk's first line, and the change is in the next one."""
    filler = "".join(f"    x{n} = {n}\n" for n in range(9))
    old = f"def first():\n{filler}\n\ndef second():\n    return 1\n"
    assert said(symbols(old, old.replace("return 1", "return 2"), "a.py")) == {"second": "changed function"}


def test_a_change_far_inside_a_function_belongs_to_the_heading() -> None:
    filler = "".join(f"    x{n} = {n}\n" for n in range(20))
    old = f"def first():\n{filler}\n\ndef second():\n    return 1\n"
    assert said(symbols(old, old.replace("x10 = 10", "x10 = 11"), "a.py")) == {"first": "changed function"}


def test_a_change_after_the_end_of_the_heading_s_function_is_not_in_it() -> None:
    old = "def first():\n    return 1\n\n\n" + "".join(f"# {n}\n" for n in range(9)) + "NAME = 1\n"
    assert said(symbols(old, old.replace("NAME = 1", "NAME = 2"), "a.py")) == {"NAME": "changed constant"}
    script = "function first() {\n  return 1;\n}\n\n// a\n// b\n// c\n// d\n\nrun(1);\n"
    assert said(symbols(script, script.replace("run(1)", "run(2)"), "a.js")) == {}


def test_a_decorator_of_several_lines_is_not_the_function_before_it() -> None:
    listed = "".join(f"    '{letter}',\n" for letter in "abcdef")
    old = f"def first():\n    return 1\n\n\n@mark(\n{listed})\ndef second():\n    return 2\n"
    assert "first" not in symbols(old, old.replace("'c'", "'x'"), "a.py")


def test_decorators_that_come_and_go_are_told() -> None:
    old = "@app.route('/a')\n@login_required\ndef view(request):\n    return 1\n"
    change = symbols(old, old.replace("@login_required\n", "@csrf_exempt\n"), "a.py")["view"]
    assert (change.decorators_added, change.decorators_removed) == (("@csrf_exempt",), ("@login_required",))
    java = 'class A {\n  @PreAuthorize("x")\n  public void f() {\n    run();\n  }\n}\n'
    change = symbols(java, java.replace('  @PreAuthorize("x")\n', ""), "A.java")["A.f"]
    assert change.decorators_removed == ('@PreAuthorize("x")',)


@pytest.mark.parametrize(
    ("path", "public", "hidden"),
    [
        ("a.py", "def seen():\n    return 1\n", "def _hidden():\n    return 1\n"),
        ("a.go", "func Seen() {\n}\n", "func hidden() {\n}\n"),
        ("a.rs", "pub fn seen() {}\n", "fn hidden() {}\n"),
        ("a.ts", "export function seen() {}\n", "function hidden() {}\n"),
        ("A.java", "class A {\n  public void seen() {}\n}\n", "class A {\n  private void hidden() {}\n}\n"),
        ("a.kt", "fun seen() {}\n", "private fun hidden() {}\n"),
    ],
)
def test_what_others_can_use_is_public(path: str, public: str, hidden: str) -> None:
    seen = [change.public for name, change in symbols("\n", public, path).items() if name.lower().endswith("seen")]
    not_seen = [change.public for name, change in symbols("\n", hidden, path).items() if name.endswith("hidden")]
    assert (seen, not_seen) == ([True], [False])


def test_a_decorator_s_arguments_are_kept() -> None:
    old = "def test_it(x):\n    assert x\n"
    change = symbols(old, f"@mark.parametrize('x', (1, (2, 3)))\n{old}", "a.py")["test_it"]
    assert change.decorators_added == ("@mark.parametrize('x', (1, (2, 3)))",)


def test_a_function_inside_a_function_is_a_part_of_it() -> None:
    old = "def outer():\n    def inner():\n        return 1\n    return inner\n"
    assert said(symbols(old, old.replace("return 1", "return 2"), "a.py")) == {"outer": "changed function"}


def test_files_that_come_go_and_move_have_their_verb() -> None:
    text = "def f(x):\n    return x\n" * 9
    old = {"gone.py": "x = 1\n", "a/stay.py": text, "same/one.py": text.replace("f", "g")}
    new = {"come.py": "def y():\n    return 'abc'\n", "b/stay.py": text, "same/two.py": text.replace("f", "g")}
    verbs = {file.path: file.verb for file in facts_of(git_diff(old, new)).files}
    assert verbs == {"gone.py": "removed", "come.py": "added", "b/stay.py": "moved", "same/two.py": "renamed"}


@pytest.mark.parametrize(
    ("path", "added", "name"),
    [
        ("tests/test_a.py", "def test_it():\n    assert f()\n", "test_it"),
        ("a_test.go", "func TestIt(t *testing.T) {\n\tf()\n}\n", "TestIt"),
        ("a_test.go", 'func TestAll(t *testing.T) {\n\tt.Run("a case", func(t *testing.T) {\n\t})\n}\n', "a case"),
        ("src/a.rs", "#[test]\nfn holds() {\n    f();\n}\n", "holds"),
        ("src/test/java/ATest.java", "class ATest {\n  @Test\n  public void holds() {\n    f();\n  }\n}\n", "holds"),
        ("src/test/ATest.kt", "class ATest {\n  @Test fun `it holds well`() {\n    f()\n  }\n}\n", "it holds well"),
        ("a.test.js", "it('holds well', () => {\n  f();\n});\n", "holds well"),
    ],
)
def test_tests_are_told_by_name_or_title(path: str, added: str, name: str) -> None:
    assert name in file_of("\n", added, path).tests_added
    assert name in file_of(added, "\n", path).tests_removed
    changed = added.replace("f()", "g()").replace("T) {\n\t})", "T) {\n\t\tg()\n\t})")
    assert name in file_of(added, changed, path).tests_changed


@pytest.mark.parametrize(
    ("path", "line", "imported"),
    [
        ("a.py", "from a.b import c, d as e", ("a.b.c", "a.b.d")),
        ("a.py", "import a.b", ("a.b",)),
        ("a.ts", "import { a, type B } from './c'", ("./c (a, type B)",)),
        ("a.js", "const fs = require('node:fs')", ("node:fs",)),
        ("a.go", 'import "net/http"', ("net/http",)),
        ("a.rs", "use std::io::{self, Read};", ("std::io::{self, Read}",)),
        ("A.java", "import static a.b.C.d;", ("a.b.C.d",)),
        ("a.kt", "import a.b.C", ("a.b.C",)),
    ],
)
def test_imports_that_come_and_go_are_told(path: str, line: str, imported: tuple[str, ...]) -> None:
    assert file_of("x\n", f"{line}\nx\n", path).imports_added == imported
    assert file_of(f"{line}\nx\n", "x\n", path).imports_removed == imported


def test_a_name_that_joins_a_list_of_imports_is_told_with_its_module() -> None:
    old = "from a.b import (\n    c,\n    e,\n)\n"
    assert file_of(old, old.replace("    e,", "    d,\n    e,"), "a.py").imports_added == ("a.b.d",)


@pytest.mark.parametrize(
    ("path", "code", "kind"),
    [
        ("a.py", "raise ValueError({})", "error"),
        ("a.py", "raise ValueError(\n    {}\n)", "error"),
        ("a.py", "logger.warning({}, name)", "log"),
        ("a.js", "throw new Error({});", "error"),
        ("a.go", "return fmt.Errorf({}, err)", "error"),
        ("a.go", "return errors.New({})", "error"),
        ("a.rs", "panic!({});", "error"),
        ("A.java", "throw new IllegalStateException({});", "error"),
        ("a.kt", "println({})", "text"),
    ],
)
def test_messages_are_told_old_and_new(path: str, code: str, kind: str) -> None:
    old, new = (f"a\n{code.format(text)}\nb\n" for text in ('"cannot open the file"', '"cannot open the given file"'))
    (change,) = file_of(old, new, path).messages
    assert (change.verb, change.kind) == ("changed", kind)
    assert (change.old, change.new) == ("cannot open the file", "cannot open the given file")
    (removed,) = file_of(old, "a\nb\n", path).messages
    assert (removed.verb, removed.new) == ("removed", None)


def test_documentation_is_told_by_heading_and_text() -> None:
    old = "# Guide\n\n## Install\n\nRun it.\n\n## Use\n\nCall it.\n"
    file = file_of(old, old.replace("Call it.", "Call `it` with [a key](https://x.test/a)."), "docs/a.md")
    assert (file.kind, file.headings, file.texts) == ("documentation", ("Use",), ("Call `it` with a key.",))
    old = "Guide\n=====\n\nInstall\n-------\n\nRun it.\n"
    assert file_of(old, old + "\n* One more thing.\n", "CHANGES.rst").headings == ("Install",)


@pytest.mark.parametrize(
    ("path", "text", "operations"),
    [
        (
            "db/migrations/1.sql",
            "CREATE TABLE users (id int);\nALTER TABLE users ADD COLUMN age int;\n",
            ("create table users", "alter table users", "add column users.age"),
        ),
        ("db/migrate/1.rb", "class A\n  def change\n    add_column :users, :age, :text\n", ("add column users.age",)),
        ("alembic/versions/1.py", "def upgrade():\n    op.drop_column('users', 'age')\n", ("drop column users.age",)),
        (
            "app/migrations/0002_a.py",
            "x = [migrations.AddField(\n  model_name='user',\n  name='age',\n)]\n",
            ("add field user.age",),
        ),
    ],
)
def test_a_migration_says_what_it_does(path: str, text: str, operations: tuple[str, ...]) -> None:
    file = file_of("\n", text, path)
    assert (file.kind, file.operations) == ("migration", operations)


def test_a_minified_file_is_named_and_not_read() -> None:
    text = (CASES / "minified-short.diff").read_text()
    facts, evidence = facts_of(text), gather(text)
    assert evidence.calls == () and "app.min.js" in " ".join(evidence.notes) + " ".join(facts.notes)
    assert (facts.files[0].kind, facts.files[0].symbols, facts.files[0].added_lines) == ("minified", (), 1)
    assert {"app", "min", "js"} <= evidence.identifiers


PIECES = some.sampled_from(
    ["def f(x):", "class A {", "fun g() =", "}", ")", "(", '"""', "@x", "\n", "\n+", "\n-", "\n ", "import", "raise X(",
     "'", "@@ -1,3 +1,4 @@ def f(", "from a import (", '"', "`", "[a]", "a = ", "a: ", "- uses: a/b@v1", "require",
     "\t", "\ud800", "\x00", "#", "```", "====", "<version>1</version>"]
)  # fmt: skip
PATHS = [
    "a.py", "a.ts", "a.go", "a.rs", "A.java", "a.kt", "a.zig", "package.json", "pom.xml", "pyproject.toml", "a.yml",
    "a.md", "m/migrations/1.sql", "a.test.js", "Dockerfile", None,
]  # fmt: skip


@settings(max_examples=250, deadline=None, derandomize=True)
@given(some.lists(PIECES | some.text(max_size=6), max_size=40), some.sampled_from(PATHS))
def test_no_text_makes_it_raise(pieces: list[str], path: str | None) -> None:
    header = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n" if path else ""
    facts = facts_of(f"{header}@@ -1,9 +1,9 @@ class A:\n+{''.join(pieces)}")
    assert all(len(change.new_signature or "") <= MOST_CHARACTERS for file in facts.files for change in file.symbols)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(some.sampled_from(list(BEFORE_AND_AFTER)), some.floats(0, 1), some.floats(0, 1))
def test_a_diff_that_is_cut_anywhere_is_read(path: str, begin: float, end: float) -> None:
    old, new, _ = BEFORE_AND_AFTER[path]
    text = _cached_diff(path, old, new)
    facts_of(text[int(begin * len(text)) :])
    facts_of(text[: int(end * len(text))])


_DIFFS: dict[str, str] = {}


def _cached_diff(path: str, old: str, new: str) -> str:
    if path not in _DIFFS:
        _DIFFS[path] = git_diff({path: old}, {path: new})
    return _DIFFS[path]


def test_a_text_that_is_no_diff_has_no_facts() -> None:
    assert facts_of("Hello, what is a monad?") == Facts()


HOSTILE = [
    "a", " ", "\t", "(", "[", "'", '"', "\\", "@", "#", "=", "a.", "a,", ")", ") ", "a b ", ": ", "<a", "def ", "a=(",
    "x: y, ",
    "import a, ", "/", "=>", "a::",
]  # fmt: skip
READ_BY_WORDS = [
    "a.py", "a.ts", "a.zig", "package.json", "pom.xml", "pyproject.toml", "a.yml", "a.md", "m/migrations/1.sql",
    "build.gradle", "Dockerfile", "requirements.txt", "go.mod", "a.test.js",
]  # fmt: skip


@pytest.mark.parametrize("path", READ_BY_WORDS)
def test_hostile_lines_take_bounded_time(path: str) -> None:
    """One long line, and many of a thousand characters."""
    header = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,9999 +1,9999 @@\n"
    for text in HOSTILE:
        line = text * (900 // len(text))
        assert growth(partial(read, header, text), 10_000) < LINEAR, text
        assert growth(partial(read, header, line + "\n+"), 3_600) < LINEAR, text


def read(header: str, text: str, size: int) -> None:
    """The size stands in it: what was just read is kept."""
    facts_of(f"{header}+{size} {text * (size // len(text))}\n")


def test_every_language_that_is_read_has_its_example() -> None:
    assert {language_of(path) for path in BEFORE_AND_AFTER} >= {
        "python",
        "javascript",
        "typescript",
        "go",
        "rust",
        "java",
        "kotlin",
    }
