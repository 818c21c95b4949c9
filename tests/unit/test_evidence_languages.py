"""The languages that are read, and what is said of those that are not.

Each language has a file in tests/cases/languages: its lines, and behind a double arrow the names that a line calls.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from firstpass.contract import PromptedContract, shipped
from firstpass.contract.files import load
from firstpass.evidence import Evidence, gather, language_of, languages_in
from firstpass.evidence.calls import in_hunks as calls_module
from firstpass.evidence.calls.unread import may_have_calls
from firstpass.evidence.trees import definitions as definitions_module
from firstpass.evidence.trees import languages as languages_module
from firstpass.evidence.trees.definitions import definitions
from firstpass.evidence.trees.grammars import ADDED, EMBEDDED
from firstpass.evidence.trees.grammars.cells import notebook_code
from firstpass.evidence.trees.grammars.regions import php_code, svelte_code, vue_code
from firstpass.evidence.trees.languages import FIRST, LanguageName, comments_of, grammar, host
from firstpass.evidence.trees.reading import Allowance
from tests.machine import cpu_seconds_once, stretched
from tests.unit.test_contract_checks import ask, reply

CASES = Path(__file__).parents[1] / "cases"
SUFFIXES = {
    "c": ".c", "cpp": ".cpp", "csharp": ".cs", "ruby": ".rb", "php": ".php", "swift": ".swift", "scala": ".scala",
    "bash": ".sh", "sql": ".sql", "hcl": ".tf", "vue": ".vue", "svelte": ".svelte", "notebook": ".ipynb",
}  # fmt: skip
WINDOW = 5
NAMES: tuple[LanguageName, ...] = get_args(LanguageName)


@cache
def labelled(language: str) -> list[tuple[str, frozenset[str]]]:
    """(line, the names that it calls)"""
    rows = (line.partition("⇒") for line in (CASES / "languages" / f"{language}.txt").read_text("utf-8").splitlines())
    return [(code.rstrip(), frozenset(names.split())) for code, _, names in rows]


def diff_of(path: str, *lines: str, start: int = 1) -> str:
    """One hunk of added lines."""
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -{start},0 +{start},{len(lines)} @@\n"
    return head + "".join(f"+{line}\n" for line in lines)


def evidence_of(language: str, lines: list[tuple[str, frozenset[str]]], start: int = 1) -> Evidence:
    return gather(diff_of(f"x{SUFFIXES[language]}", *(line for line, _ in lines), start=start))


def truth(lines: list[tuple[str, frozenset[str]]]) -> frozenset[str]:
    return frozenset().union(*(names for _, names in lines))


def test_every_language_has_all_that_reading_it_takes() -> None:
    for name in NAMES:
        hosted = host(name)
        assert grammar(hosted).calls.capture_count and definitions_module._query(hosted, "").capture_count
        assert hosted in calls_module.PROVIDED and hosted in calls_module._RESERVED
        assert comments_of(name)
        assert name in languages_module._BY_SUFFIX.values()
    assert FIRST.isdisjoint(ADDED) and set(NAMES) == FIRST | set(ADDED) | set(EMBEDDED)
    assert set(SUFFIXES) == set(ADDED) | set(EMBEDDED)


@pytest.mark.parametrize("language", SUFFIXES)
def test_a_whole_file_s_calls_are_those_that_a_reader_marked(language: str) -> None:
    lines = labelled(language)
    assert sum(bool(names) for _, names in lines) >= 6 and len(lines) >= 20
    evidence = evidence_of(language, lines)
    assert set(evidence.calls) == truth(lines)
    assert evidence.languages == (language,) and evidence.unread == ()


@pytest.mark.parametrize("language", SUFFIXES)
def test_a_window_of_a_file_has_no_sure_call_that_is_none(language: str) -> None:
    """A hunk begins anywhere; what it cuts off may not turn a definition, a pattern or a text into a call."""
    lines = labelled(language)
    asked = found = 0
    for size in (2, WINDOW, 9):
        for at in range(len(lines) - size + 1):
            window = lines[at : at + size]
            evidence = evidence_of(language, window, at + 1)
            assert set(evidence.calls) <= truth(window), "\n".join(line for line, _ in window)
            asked += len(truth(window))
            found += len(truth(window).intersection(evidence.calls))
    assert found / asked >= 0.6, f"{found} of {asked}"


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/Gemfile", "ruby"),
        ("Gemfile.lock", None),
        ("lib/tasks/x.rake", "ruby"),
        ("a.gemspec", "ruby"),
        (".bashrc", "bash"),
        ("bin/run.BASH", "bash"),
        ("view.phtml", "php"),
        ("lib.inc", "php"),
        ("build.sbt", "scala"),
        ("x.sc", "scala"),
        ("main.tf", "hcl"),
        ("job.hcl", "hcl"),
        ("a.csx", "csharp"),
        ("a.hh", "cpp"),
        ("a.ino", "cpp"),
        ("a.cu", "cpp"),
        ("a.m", None),
        ("a.mm", None),
        ("a.mts", "typescript"),
        ("Dockerfile", None),
        ("a.rb.erb", None),
        ("a.ipynb", "notebook"),
    ],
)
def test_a_file_s_language_is_told_from_its_name(path: str, language: str | None) -> None:
    assert language_of(path) == language


def test_a_header_is_c_until_a_line_of_it_is_cpp() -> None:
    assert gather(diff_of("a.h", "int open_it(int new);", "#define X(a) run_it(a)")).languages == ("c",)
    assert gather(diff_of("a.h", "class Pool { int size() { return count(); } };")).languages == ("cpp",)


def test_a_language_s_own_and_its_keywords_are_no_calls() -> None:
    assert gather(diff_of("a.php", "if (isset($a) && count($b)) { keep($a); }")).calls == ("keep",)
    assert gather(diff_of("a.cpp", "auto n = static_cast<int>(sizeof(x)) + measure(x);")).calls == ("measure",)
    assert gather(diff_of("a.sql", "SELECT COUNT(*), Max(a), my_fn(b) FROM t;")).calls == ("my_fn",)
    assert gather(diff_of("a.sh", "cd x && git push_it && load_env")).calls == ("load_env",)


def test_procedures_are_called_in_each_dialect() -> None:
    assert gather(diff_of("a.sql", "CALL close_day(1, next_day(2));")).calls == ("close_day", "next_day")
    assert gather(diff_of("a.sql", "EXEC dbo.CloseDay @day = 3;")).calls == ("CloseDay",)
    assert gather(diff_of("a.sql", "  PERFORM audit_row(new.id);")).calls == ("audit_row",)


@pytest.mark.parametrize(
    ("code", "lines", "expected"),
    [
        (vue_code, ["  foo(1);", "</script>", "<style>", "a { b: c(1); }"], ["  foo(1);", "", "", ""]),
        (vue_code, ["  <p>{{ a(1) }} b(2)</p>"], [";( a(1) );"]),
        (vue_code, ["const a = <T>b(1);", "x = 3"], ["const a = <T>b(1);", "x = 3"]),
        (vue_code, ["hello world"], None),
        (vue_code, ["  color: red;", "  width: calc(1px);"], ["", ""]),
        (vue_code, ["  color: red;", "const a = b(1);"], None),
        (vue_code, ['<script lang="coffee">', "a 1", "</script>"], ["", "", ""]),
        (vue_code, ["", "  "], ["", ""]),
        (svelte_code, ["  {#if a(1)}", "  b(2)", "  {/if}"], [";(a(1));", "", ""]),
        (svelte_code, ["<p>{@const x = a(1)}</p>"], [";(x = a(1));"]),
        (php_code, ["<p><?= a(1) ?></p>", "b(2)"], ["echo  a(1) ;", ""]),
        (php_code, ["a(1);", "?>", "b(2)"], ["a(1);", ";", ""]),
        (php_code, ["<p>", "  text(1)"], ["", ""]),
        (php_code, ["<p>", "$a = text(1);"], None),
        (notebook_code, ['    "a = b(1)\\n",', '    "c(2)"', "   ]"], ["a = b(1)", "c(2)", ""]),
        (notebook_code, ['      "a = b(1)\\n"'], [""]),
        (notebook_code, ['    "see b(1)"'], None),
        (notebook_code, ['   "cell_type": "markdown",', '   "source": [', '    "a = b(1)"'], ["", "", ""]),
        (notebook_code, ['   "source": [', '    "%%sql\\n",', '    "a = b(1)"'], ["", "", ""]),
        (notebook_code, ['   "source": [', '    "%%time\\n",', '    "a = b(1)"'], ["", "", "a = b(1)"]),
    ],
)
def test_what_is_code_in_a_file_of_several_parts_is_told_from_its_lines(
    code: object, lines: list[str], expected: list[str] | None
) -> None:
    assert callable(code)
    assert code(lines) == expected


def test_a_hunk_that_does_not_say_where_it_stands_leaves_its_file_unread() -> None:
    evidence = gather(diff_of("a.vue", "hello(world)", "<p>", "const a = b(1)"))
    assert evidence.calls == () and [file.path for file in evidence.unread] == ["a.vue"]


def test_a_notebook_s_cells_are_read_and_the_rest_of_it_is_said_not_to_be() -> None:
    evidence = gather((CASES / "notebook.diff").read_text())
    assert evidence.calls == ("load_frame", "train_model") and evidence.todos == ("drop nulls",)
    assert evidence.notes == ("n.ipynb is a notebook: only what its hunks show of code cells was read.",)
    assert {"load_frame", "df", "nulls"} <= evidence.identifiers


def test_a_notebook_of_another_kernel_is_unread() -> None:
    evidence = gather(diff_of("n.ipynb", '   "source": [', '    "x = f(1)"', "   ]", '   "language": "R",'))
    assert evidence.calls == () and evidence.unread[0].why == "a notebook whose kernel is R"


def test_cpp_is_read() -> None:
    """Bug: a diff of C++ had no calls, and nothing said that it had not been read."""
    evidence = gather((CASES / "cpp-silent.diff").read_text())
    assert evidence.calls == ("make_unique", "start") and evidence.unread == ()


def test_one_language_does_not_speak_for_another() -> None:
    """Bug: as a Python file was read, a name in a file of C was said not to be newly called."""
    text = (CASES / "mixed-py-c.diff").read_text()
    assert gather(text).calls == ("run_job", "init_pool")
    contract = shipped("pr-summary@3")
    answer = "Summary: Run a job.\nCalls:\n- run_job()\n- init_pool()\nTODOs:\n- none\nActions:\n- none"
    zig = ask(text.replace("b.c", "b.zig"))
    found = [(one.check, one.severity, one.subject) for one in contract.check(zig, reply(answer))]
    assert ("unread", "note", "b.zig") in found and not {"not-new", "hallucinated"} & {check for check, *_ in found}
    read = contract.check(ask(text), reply(answer))
    assert not {"unread", "not-new"} & {one.check for one in read}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a.zig", "no grammar for .zig files"),
        ("a.m", "no grammar for .m files"),
        ("bin/deploy", "its name does not say what it is written in"),
    ],
)
def test_code_that_no_grammar_reads_is_unread(path: str, why: str) -> None:
    evidence = gather(diff_of(path, "open_it(3)"))
    assert evidence.unread == ((path, why),) and "open_it" in evidence.unread_names
    assert languages_in(diff_of(path, "open_it(3)")) == frozenset()


@pytest.mark.parametrize(
    "path",
    ["README.md", "a/package.json", "yarn.lock", "LICENSE", "logo.svg", ".gitignore", "a.css", "Dockerfile", "x.yml"],
)
def test_what_can_not_call_is_not_unread(path: str) -> None:
    assert not may_have_calls(path) and gather(diff_of(path, "open_it(3)")).unread == ()


def test_a_removed_call_is_read_in_the_new_languages_too() -> None:
    diff = "--- a/a.rb\n+++ b/a.rb\n@@ -1,2 +1,2 @@\n-load_it(1)\n-close_it(2)\n+load_it(3)\n+open_it(4)\n"
    evidence = gather(diff)
    assert evidence.calls == ("open_it",) and set(evidence.removed_calls) == {"load_it", "close_it"}


def test_a_whole_component_is_read_where_it_is_at_hand() -> None:
    """The hunk alone does not say that it stands in the script."""
    text = '<script lang="ts">\nlet a;\na\nopenIt(1)\n</script>\n'
    diff = "--- a/x.vue\n+++ b/x.vue\n@@ -2,2 +2,3 @@\n let a;\n a\n+openIt(1)\n"
    assert gather(diff, (("x.vue", text),)).calls == ("openIt",)


@pytest.fixture
def saying(tmp_path: Path) -> PromptedContract:
    """A user's contract whose answers say what was not read."""
    folder = tmp_path / "own" / "1"
    folder.mkdir(parents=True)
    source = Path(str(shipped.__code__.co_filename)).with_name("shipped") / "pr-summary" / "3"
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    spec = (folder / "contract.toml").read_text()
    (folder / "contract.toml").write_text(spec.replace("mend = true", "mend = true\nsays_unread = true"))
    return PromptedContract(load(folder))


def test_an_answer_says_what_was_not_read_where_its_contract_asks_for_that(saying: PromptedContract) -> None:
    form = saying.files.form
    parts = {"Summary": ("Open it.",), "Calls": (), "TODOs": (), "Actions": ()}
    written = form.render(parts, "a.zig, b.foo")
    assert "Calls:\n- not read: a.zig, b.foo\nTODOs:\n- none" in written
    answer = form.read(written)
    assert answer["Calls"] == () and answer.unread == "a.zig, b.foo"
    assert form.render(answer.parts, answer.unread) == written
    slot = form.around(answer.parts, "Summary", answer.unread)
    assert slot.filled("Summary: Open it.") == written


def test_the_unread_are_written_by_code_and_missed_by_the_check(saying: PromptedContract) -> None:
    asked = ask(diff_of("a.py", "open_it(1)") + diff_of("a.zig", "shut_it(1)"))
    drafted = "Summary: Open it.\nCalls:\n- open_it()\n- shut_it()\nTODOs:\n- none\nActions:\n- none"
    faults = [one.check for one in saying.check(asked, reply(drafted)) if one.severity == "fail"]
    assert faults == ["unread-omitted"]
    mended = saying.files.form.render(*_mended(saying, asked, drafted))
    assert "- open_it()\n- shut_it()\n- not read: a.zig\n" in mended
    assert [one for one in saying.check(asked, reply(mended)) if one.severity == "fail"] == []


def _mended(contract: PromptedContract, asked: object, text: str) -> tuple[dict[str, tuple[str, ...]], str]:
    from firstpass.contract.mend import mended, unread_files

    evidence = gather(asked.messages[0].content)  # type: ignore[attr-defined]
    form = contract.files.form
    return mended(form, form.read(text), evidence), unread_files(evidence)


def test_an_older_contract_s_answers_stay_as_they_are_written() -> None:
    form = shipped("pr-summary@3").files.form
    parts = {"Summary": ("Open it.",), "Calls": (), "TODOs": (), "Actions": ()}
    assert "- none" in form.render(parts, "a.zig").split("TODOs")[0]
    assert form.read("Calls:\n- not read: a.zig")["Calls"] == ()


def test_definitions_are_found_in_the_new_languages() -> None:
    texts = {
        "c": (b"static int open_it(int a) { return a; }\nstruct box { int a; };\n", ["open_it", "box"]),
        "cpp": (b"class Pool { void run() {} };\nvoid Pool::stop() {}\n", ["Pool", "run", "stop"]),
        "csharp": (b"class A { int B() { return 1; } }\n", ["A", "B"]),
        "ruby": (b"class A\n  def b?\n  end\nend\n", ["A", "b?"]),
        "php": (b"class A { function b() {} }\n", ["A", "b"]),
        "swift": (b"class A { func b() {} }\n", ["A", "b"]),
        "scala": (b"object A { def b = 1 }\n", ["A", "b"]),
        "bash": (b"run_it() { :; }\n", ["run_it"]),
        "sql": (b"CREATE TABLE users (id int);\n", ["users"]),
        "hcl": (b'resource "a" "logs" {\n}\n', ["logs"]),
    }
    for name, (text, names) in texts.items():
        language = next(one for one in NAMES if one == name)
        tree = Allowance(2.0).parse(language, text)
        assert tree is not None
        assert [one.name for one in definitions(language, tree, text)] == names, name


def test_importing_the_evidence_loads_no_grammar() -> None:
    code = "import sys, firstpass.evidence; print([name for name in sys.modules if name.startswith('tree_sitter_')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("suffix", [*SUFFIXES.values(), ".h"])
def test_hostile_lines_are_read_in_bounded_time(suffix: str) -> None:
    """Bug: the grammar of C# took 17 s for lines of `<p `, and looked at no clock."""
    texts = ("{" * 1990, " " * 1990, "a(" * 990, '"' * 1990, "<p " * 600, '"\\' * 990, "{{ a " * 390)
    diff = diff_of(f"x{suffix}", *(text for text in texts for _ in range(9)))
    assert cpu_seconds_once(lambda: gather(diff)) < stretched(4)
