"""Evidence: what a diff newly calls, adds as a TODO, and names. Real grammars, hand-written hunks."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.evidence import Evidence, gather
from firstpass.evidence.memory import forget, remembered
from firstpass.evidence.trees.parsing import UNWATCHED_BYTES
from firstpass.evidence.trees.reading import Allowance
from tests.machine import cpu_seconds_once, stretched


def diff(path: str, *lines: str) -> str:
    """One file with one hunk; each line brings its sign."""
    old, new = (sum(line[:1] != sign for line in lines) for sign in "+-")
    hunk = f"@@ -10,{old} +10,{new} @@"
    return "\n".join((f"diff --git a/{path} b/{path}", f"--- a/{path}", f"+++ b/{path}", hunk, *lines, ""))


BY_LANGUAGE = {
    "src/auth.py": (
        ("     if user.active:", "+        s = store.createSession(user)", "+        log(len(s))"),
        ("createSession", "log"),
    ),
    "web/auth.js": (
        ("   handle(req) {", "+    const s = createSession(req.user)", "+    return new Reply(this.#send(s))"),
        ("createSession", "Reply", "send"),
    ),
    "web/Panel.jsx": (
        (" return (", "+  <Panel onClick={() => openSession(user.id)}>{render()}</Panel>", " )"),
        ("openSession", "render"),
    ),
    "web/auth.ts": (
        (" async function f(u: User) {", "+  const s = await sessions.create<Session>(u)", "+  expect(s!).toBeSet()"),
        ("create", "expect", "toBeSet"),
    ),
    "web/Panel.tsx": ((" return (", "+  <Panel onClick={() => openSession(user!.id)} />", " )"), ("openSession",)),
    "auth/auth.go": (
        (" \tif user != nil {", "+\t\ts := store.CreateSession(user)", "+\t\tout = append(out, s)", " \t}"),
        ("CreateSession",),
    ),
    "src/auth.rs": (
        (
            "     let user = load()?;",
            "+    let s = Store::create_session(&user).unwrap();",
            '+    tracing::info!("{}", s);',
        ),
        ("create_session", "unwrap", "info"),
    ),
    "src/Auth.java": (
        ("   if (user.active()) {", "+    Session s = new Session<User>(user).open();", "   }"),
        ("Session", "open"),
    ),
    "src/Auth.kt": (
        ("   if (user.active) {", "+    val s = sessions.create(user)", "+    retry { s.open() }", "   }"),
        ("create", "retry", "open"),
    ),
}


@pytest.mark.parametrize("path", BY_LANGUAGE)
def test_the_new_calls_of_each_language_are_found_in_order(path: str) -> None:
    lines, calls = BY_LANGUAGE[path]
    assert gather(diff(path, *lines)).calls == calls


def test_a_call_that_only_moved_is_not_new() -> None:
    moved = diff("a.py", "-x = load(1)", " y = 2", "+x = load(1)", "+z = save(x)")
    assert gather(moved).calls == ("save",)
    assert gather(moved).removed_calls == ("load",)


def test_a_call_that_moved_to_another_file_is_not_new() -> None:
    assert gather(diff("a.py", "-x = load(1)") + diff("b.py", "+x = load(1)")).calls == ()


def test_a_call_in_the_context_is_not_new_but_may_be_made_again() -> None:
    assert gather(diff("a.py", " load(1)", "+x = 2")).calls == ()
    assert gather(diff("a.py", " load(1)", "+load(2)")).calls == ("load",)


def test_a_call_counts_on_the_line_of_its_name() -> None:
    assert gather(diff("a.py", " load(", "-    1,", "+    first(2),", " )")).calls == ("first",)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "+def createSession(user): ..."),
        ("a.py", "+# createSession(user)"),
        ("a.py", '+x = "createSession(user)"'),
        ("a.py", "+class Session(Base): ..."),
        ("a.py", "+n = len(x) + int(y)"),
        ("a.go", "+n := len(make([]int, 3))"),
        ("a.ts", "+const x = require('x')"),
        ("a.kt", '+@JvmName("x") fun f() = 1'),
        ("a.rs", "+fn create_session(user: User) -> Option<u8> { Some(1) }"),
        ("notes.md", "+call createSession(user)"),
    ],
)
def test_what_only_looks_like_a_call_is_none(path: str, line: str) -> None:
    assert gather(diff(path, line)).calls == ()


def test_a_hunk_that_begins_in_a_docstring_is_read_as_code_after_it() -> None:
    lines = (
        "     Returns a value (or not).",
        '     """',
        "+    return compute(self.size)",
        " ",
        " def after():",
        "     pass",
    )
    assert gather(diff("a.py", *lines)).calls == ("compute",)


def test_a_hunk_that_begins_in_a_block_is_read() -> None:
    lines = ("     }", "   }", " ", "+  @Test fun opens() {", "+    assertThat(open()).isTrue()", "+  }", " }")
    assert gather(diff("a.kt", *lines)).calls == ("assertThat", "open", "isTrue")


def test_a_method_of_a_class_that_began_before_the_hunk_is_no_call() -> None:
    lines = ("   }", " ", "+  resolve(id) {", "+    return lookup(id)", "+  }", " }")
    assert gather(diff("a.js", *lines)).calls == ("lookup",)


def test_a_hunk_without_a_path_is_read_in_the_language_that_it_looks_like() -> None:
    assert gather("@@ -1,2 +1,3 @@\n def login(user):\n+    s = createSession(user)\n     return s\n").calls == (
        "createSession",
    )


def test_a_kotlin_hunk_that_ends_in_an_annotation_comes_to_an_end() -> None:
    """Bug: the grammar's scanner looks for white space past the end of the text, for ever."""
    assert gather(diff("a.kt", "+val a = f()", "+@BeforeEach").rstrip("\n")).calls == ("f",)


def test_added_todos_come_without_marker_and_author() -> None:
    lines = ("+x = 1  # TODO(ana): make it two", "+# FIXME handle None", "+# HACK: only for now", '+s = "TODO: not me"')
    assert gather(diff("a.py", *lines)).todos == ("make it two", "handle None", "only for now")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.go", "+\t// TODO(dlc) - close it"),
        ("a.ts", "+  /* TODO: close it */"),
        ("a.java", "+   * TODO close it"),
        ("a.yml", "+key: 1 # TODO close it"),
        ("a.md", "+<!-- TODO: close it -->"),
        ("a.py", "+x = don't  # TODO: close it"),
    ],
)
def test_a_todo_is_found_in_any_kind_of_comment(path: str, line: str) -> None:
    assert gather(diff(path, line)).todos == ("close it",)


def test_a_todo_that_only_moved_is_not_added() -> None:
    assert gather(diff("a.py", "-# TODO: close it", "+    # TODO:  Close it.")).todos == ()


def test_kotlins_todo_function_is_no_todo() -> None:
    assert gather(diff("a.kt", '+fun f() = TODO("later")')).todos == ()


def test_identifiers_hold_every_name_of_lines_and_paths() -> None:
    names = gather(diff("src/auth_flow.py", " old = 1", "-gone(2)", "+$el.createSession(3)  # näme")).identifiers
    assert {"src", "auth_flow", "py", "old", "gone", "$el", "createSession", "näme"} <= names


def test_paths_and_languages_are_in_order_of_appearance() -> None:
    evidence = gather(diff("b.go", "+a") + diff("a.py", "+b") + diff("c.go", "+c") + diff("d.txt", "+d"))
    assert evidence.paths == ("b.go", "a.py", "c.go", "d.txt")
    assert evidence.languages == ("go", "python")


@pytest.mark.parametrize("text", ["", "   \n", "Hello, what is a monad?", "\x00\ud800\u2028"])
def test_a_text_that_is_no_diff_is_evidence_of_nothing(text: str) -> None:
    assert gather(text) == Evidence()


PIECES = some.sampled_from(
    ["+", "-", " ", "\n", "\r\n", "@@ -1,3 +1,4 @@", "@@", "diff --git a/x.kt b/x.kt", "--- a/x.ts", "+++ b/x.ts", "\\",
     "f(", ")", "{", "}", "x", '"""', "/*", "*/", "`",
     "'", '"', "// TODO", "# FIXME(", "@A", "a.b", "\ud800", "\x00", "é", "\t"]
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(some.lists(PIECES | some.text(max_size=5), max_size=40), some.sampled_from(list(BY_LANGUAGE)))
def test_no_text_makes_it_raise(pieces: list[str], path: str) -> None:
    gather("".join(pieces))
    gather(diff(path, "+" + "".join(pieces)))


@pytest.mark.parametrize(("path", "line"), [("a.js", "+ " + "(" * 490), ("a.kt", "+x = x ="), ("a.rs", "+{ ( [")])
def test_a_hostile_diff_takes_bounded_time(path: str, line: str) -> None:
    """Bug: a query over a node of many children took minutes."""
    text = diff(path, *[line] * (256_000 // len(line)))
    assert cpu_seconds_once(lambda: gather(text)) < stretched(3)
    evidence = gather(text)
    assert evidence.calls == () and all("took too long" in note for note in evidence.notes)


def test_a_text_that_was_parsed_is_kept_by_nothing() -> None:
    """Bug: tree-sitter never let go of what a callable gave it, so each diff that was read stayed in memory."""
    text = b"call(1)\n" * UNWATCHED_BYTES
    before = sys.getrefcount(text)
    for _ in range(3):
        tree = Allowance(10.0).parse("python", text)
        assert tree is not None and tree.root_node.text == text
    del tree
    assert sys.getrefcount(text) == before


def test_a_parse_that_takes_too_long_is_stopped() -> None:
    assert Allowance(0.0).parse("python", b"call(1)\n" * UNWATCHED_BYTES) is None


def test_a_long_hunk_is_read_to_its_end() -> None:
    assert len(gather(diff("a.py", *[f"+call_number_{at}(1)" for at in range(4_000)])).calls) == 4_000


def test_a_generated_line_is_not_read() -> None:
    assert gather(diff("a.js", "+" + "f(1);" * 500, "+g()")).calls == ("g",)


def test_a_name_that_may_be_a_new_call_is_told_apart_from_one_that_is() -> None:
    cut = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n setup(\n+    licence=load('x').read(\n"
    moved = "diff --git a/b.py b/b.py\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-check(1)\n+audit(1)\n"
    gone = "diff --git a/c.py b/c.py\n--- a/c.py\n+++ b/c.py\n@@ -1 +1 @@\n-x = 1\n+check(2)\n"
    evidence = gather(cut + moved + gone)
    assert "check" not in evidence.calls and "audit" in evidence.calls
    assert "check" in evidence.perhaps_calls and "audit" not in evidence.perhaps_calls
    assert {"load", "read"} <= {*evidence.calls, *evidence.perhaps_calls}


def test_a_reserved_word_may_be_a_member_s_name() -> None:
    diff = "diff --git a/a.js b/a.js\n--- a/a.js\n+++ b/a.js\n@@ -1 +1 @@\n-x\n+f[Symbol.for('skip')] = 1\n"
    assert gather(diff).calls == ("for",)


def test_of_threads_that_want_the_same_text_read_one_reads_it() -> None:
    """Bug: where an answer was there before its diff was read, the diff was read twice."""
    made: list[str] = []
    begun, goes_on = Event(), Event()

    @remembered(4)
    def read(text: str) -> str:
        made.append(text)
        begun.set()
        assert goes_on.wait(30.0)
        return f"{text}!"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(read, "a")
        assert begun.wait(30.0)
        second = threads.submit(read, "a")
        goes_on.set()
        assert (first.result(), second.result(), made) == ("a!", "a!", ["a"])
        forget()
        assert read("a") == "a!" and made == ["a", "a"], "what is forgotten is made anew"
