"""TODOs: what is a comment in many languages, what is a marker, and what only looks like one."""

# ruff: noqa: RUF001 - full-width signs are what is tested

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.evidence import gather, parse_diff
from firstpass.evidence.comments.todos import added_todos, todo_of, unmarked
from tests.machine import LINEAR, growth

CASES = Path(__file__).parents[1] / "cases"


def diff(path: str, text: str, start: int = 10) -> str:
    """One file with one hunk. Each line of the text is added, or brings a sign and a `|`: " |", "-|"."""
    lines = [line if line[1:2] == "|" else f"+|{line}" for line in text.split("\n")]
    body = "\n".join(line[0] + line[2:] for line in lines)
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -{start},99 +{start},99 @@\n{body}\n"


def todos(path: str, text: str, start: int = 10) -> tuple[str, ...]:
    return gather(diff(path, text, start)).todos


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("todo-block-comment", ("handle retries",)),
        ("todo-html-comment", ("remove this banner",)),
        ("todo-in-string", ()),
        ("todo-prose", ()),
        ("todo-fullwidth-colon", ("修复",)),
    ],
)
def test_a_case_of_the_collection_is_read_right(name: str, expected: tuple[str, ...]) -> None:
    assert gather((CASES / f"{name}.diff").read_text(encoding="utf-8")).todos == expected


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.c", "/*\nTODO: close it\n*/"),
        ("a.c", "int x; /* first\n   TODO: close it */ int y;"),
        ("a.ts", "/**\n * Opens.\n *\n * TODO: close it\n */"),
        ("a.ts", "/* a */ f(); /* b\nTODO: close it\n*/"),
        ("a.rs", "/* outer /* inner */\nTODO: close it\n*/"),
        ("a.swift", "/* outer /* inner */\n   TODO: close it */"),
        ("a.html", "<!--\n  TODO: close it\n-->"),
        ("a.vue", "<template>\n<!-- TODO: close it -->\n</template>"),
        ("a.svelte", "<script>\n  // TODO: close it\n</script>"),
        ("a.vue", "<style>\n/* TODO: close it */\n</style>"),
        ("a.xml", "<a>\n<!-- see:\nTODO: close it --></a>"),
        ("a.d", "/+\nTODO: close it\n+/"),
        ("a.cs", "/// <summary>TODO: close it</summary>"),
        ("a.hs", "{-\n  TODO: close it\n-}"),
        ("a.hs", "{- a {- b -}\n  TODO: close it -}"),
        ("a.elm", "{-| Doc\nTODO: close it\n-}"),
        ("a.ml", "(*\n  TODO: close it\n*)"),
        ("a.fs", "(* TODO: close it *)"),
        ("a.pas", "{ TODO: close it }"),
        ("a.rb", "=begin\nTODO: close it\n=end"),
        ("a.pl", "=pod\n\nTODO: close it\n\n=cut"),
        ("a.lua", "--[[\nTODO: close it\n]]"),
        ("a.ps1", "<#\nTODO: close it\n#>"),
        ("a.jl", "#=\nTODO: close it\n=#"),
        ("a.nim", "#[\nTODO: close it\n]#"),
        ("a.rkt", "(f) #|\nTODO: close it\n|#"),
        ("a.j2", "{# TODO: close it -#}"),
        ("a.hbs", "{{!-- TODO: close it --}}"),
        ("a.jsp", "<%-- TODO: close it --%>"),
        ("a.cshtml", "@* TODO: close it *@"),
        ("a.css", "a { /* TODO: close it */ }"),
        ("a.sql", "/* a\nTODO: close it\n*/"),
        ("a.tf", "/*\nTODO: close it\n*/"),
    ],
)
def test_a_todo_in_a_comment_of_several_lines_is_found(path: str, text: str) -> None:
    assert todos(path, text) == ("close it",)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.c", " |/* a comment\nTODO: close it\n |*/"),
        ("a.c", " |  of an earlier begin\n+|  TODO: close it\n |*/\n |int x;"),
        ("a.c", ' |  don\'t read it as "text\n+|  TODO: close it\n |*/\n |char *s = "x";'),
        ("a.c", "  of an earlier begin\n  TODO: close it"),
        ("a.ts", " | * of an earlier begin\n+| * TODO close it"),
        ("a.java", " | * don't\n+| * TODO close it\n | */\n | void f() {}"),
        ("a.html", " | of an earlier begin\n+| TODO: close it\n |-->\n |<p>"),
        ("a.hs", " | an earlier begin\n+| TODO: close it\n |-}"),
        ("a.ml", " | an earlier begin\n+| TODO: close it\n |*)"),
        ("a.rb", " | an earlier begin\n+|TODO: close it\n |=end"),
        ("a.py", ' |    Closes it.\n |    """\n+|    # TODO: close it'),
        ("a.py", ' |    :raises: An error:\n |\n |    """\n+|    # TODO: close it'),
        ("a.py", ' |def f():\n |    """\n |    Docs.\n |    """\n+|    # TODO: close it'),
        ("a.ts", " |  text of a template\n |`;\n+|// TODO: close it"),
        ("a.ts", " |const a = `x ${b}`;\n+|// TODO: close it"),
        ("a.go", " |select 1`)\n+|// TODO: close it"),
    ],
)
def test_a_comment_or_string_may_begin_before_the_hunk_or_in_a_line_that_stays(path: str, text: str) -> None:
    assert todos(path, text) == ("close it",)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", 'print("run with # TODO: fake")'),
        ("a.py", "print('run with # TODO: fake')"),
        ("a.py", 'x = """\n# TODO: fake\n"""'),
        ("a.py", "x = '''\n# TODO: fake\n'''"),
        ("a.py", 'x = rb"""\n# TODO: fake\n"""\ny = 1'),
        ("a.py", 'def f():\n    """Opens.\n\n    TODO: fake\n    """'),
        ("a.py", ' |    A docstring\'s middle:\n+|    # TODO: fake\n |    """\n |    x = 1'),
        ("a.py", r'x = "a\" # TODO: fake"'),
        ("a.py", "x = f'{a} # TODO: fake'"),
        ("a.js", 's = "// TODO: fake"'),
        ("a.js", "s = '/* TODO: fake */'"),
        ("a.js", "s = `// TODO: fake`"),
        ("a.js", "s = `\n// TODO: fake\n`"),
        ("a.js", "s = `\n * TODO: fake\n`"),
        ("a.js", " |  a template's middle\n+|  // TODO: fake\n |`;\n |f();"),
        ("a.js", " |const s = `\n+|TODO: fake\n |`"),
        ("a.js", "s = html`\n<!-- TODO: fake -->\n`"),
        ("a.ts", "url = 'http://TODO: fake'"),
        ("a.go", "s := `\n// TODO: fake\n`"),
        ("a.rs", 's = r#"\n// TODO: "fake"\n"#;'),
        ("a.rs", 's = "\n// TODO: fake\n";'),
        ("a.java", 's = """\n  // TODO: fake\n  """;'),
        ("a.kt", 's = """// TODO: fake"""'),
        ("a.cs", 's = @"\n// TODO: fake ""x""\n";'),
        ("a.cpp", 's = R"x(\n// TODO: fake )"\n)x";'),
        ("a.swift", 's = #"// TODO: fake"#'),
        ("a.rb", "s = <<~SQL\n  # TODO: fake\nSQL"),
        ("a.rb", 's = "a\n# TODO: fake\n"'),
        ("a.php", "$s = <<<'EOT'\n// TODO: fake\nEOT;"),
        ("a.php", "$s = '\n# TODO: fake\n';"),
        ("a.sh", "cat <<EOF\n# TODO: fake\nEOF"),
        ("a.sh", 'echo "a\n# TODO: fake\n"'),
        ("a.tf", "x = <<-EOT\n  # TODO: fake\n  EOT"),
        ("a.sql", "select '\n-- TODO: fake';"),
        ("a.sql", "create function f() as $$\n-- TODO: fake\n$$;"),
        ("a.lua", "s = [[\n-- TODO: fake\n]]"),
        ("a.nix", "s = ''\n# TODO: fake\n'';"),
        ("a.toml", 's = """\n# TODO: fake\n"""'),
        ("a.ex", '@doc """\n# TODO: fake\n"""'),
        ("a.json", '{"a": "// TODO: fake"}'),
        ("a.ipynb", '"# TODO: fake\\n",'),
        ("a.yml", 'a: "x # TODO: fake"'),
        ("a.unheard", 'a = "x # TODO: fake"'),
        ("a.kt", 'fun f() = TODO("fake")'),
        ("a.rs", "todo!(); unimplemented!();"),
        ("a.csv", "1,# TODO: fake"),
    ],
)
def test_in_a_string_or_in_code_a_marker_is_none(path: str, text: str) -> None:
    assert todos(path, text) == ()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", 'x = "#"  # TODO: close it'),
        ("a.py", "x = '\"'  # TODO: close it"),
        ("a.py", "x = don't  # TODO: close it"),
        ("a.js", "x = /['\"`]/.test(y) // TODO: close it"),
        ("a.js", "x = y.replace(/\\/*$/, '') // TODO: close it"),
        ("a.js", "x = a / b // TODO: close it"),
        ("a.jsx", "<A b={x} /> // TODO: close it"),
        ("a.jsx", "<p>{/* TODO: close it */}</p>"),
        ("a.jsx", "<p>don't {/* TODO: close it */}</p>"),
        ("a.rs", "fn f<'a>(x: &'a str) // TODO: close it"),
        ("a.rs", "x = '\"'; // TODO: close it"),
        ("a.cpp", "x = 1'000; // TODO: close it"),
        ("a.c", "//TODO:close it"),
        ("a.c", 'x = "http://y"; // TODO: close it'),
        ("a.php", "f(); # TODO: close it"),
        ("a.php", "f(); // TODO: close it ?>"),
        ("a.sh", "x=${#y} # TODO: close it"),
        ("a.sh", "x=$# # TODO: close it"),
        ("Dockerfile", "RUN x # TODO: close it"),
        ("docker/Dockerfile.gpu", "# TODO: close it"),
        ("Makefile", "\tx # TODO: close it"),
        ("CMakeLists.txt", "# TODO: close it"),
        ("requirements-dev.txt", "x==1  # TODO: close it"),
        ("go.mod", "x v1 // TODO: close it"),
        (".github/workflows/a.yaml", "- x # TODO: close it"),
        ("a.sql", "select 'it''s' -- TODO: close it"),
        ("a.lua", "x = 1 --TODO: close it"),
        ("a.hs", "x' = f x' -- TODO: close it"),
        ("a.el", "(f) ;; TODO: close it"),
        ("a.clj", "(f) ; TODO: close it"),
        ("a.s", "nop ; TODO: close it"),
        ("a.tex", "50\\% of x % TODO: close it"),
        ("a.erl", "f() -> ok. % TODO: close it"),
        ("a.m", "x = y'; % TODO: close it"),
        ("a.vb", "x = 1 'TODO: close it"),
        ("a.bas", "REM TODO: close it"),
        ("a.bat", "rem TODO: close it"),
        ("a.cmd", ":: TODO: close it"),
        ("a.vim", '" TODO: close it'),
        ("a.f90", "x = 1 ! TODO: close it"),
        ("a.ini", "; TODO: close it"),
        ("a.proto", "// TODO: close it"),
        ("a.graphql", "# TODO: close it"),
        ("a.scss", "a { } // TODO: close it"),
        ("a.dart", "x = 'it\\'s'; // TODO: close it"),
        ("a.rst", ".. TODO: close it"),
        ("a.rst", ".. todo:: close it"),
        ("a.unheard", "x ; TODO: close it"),
        ("README", "TODO: close it"),
    ],
)
def test_every_language_has_its_own_signs(path: str, line: str) -> None:
    assert todos(path, line) == ("close it",)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.md", "TODO: close it"),
        ("a.md", "- TODO: close it"),
        ("a.md", "  * TODO(ana): close it"),
        ("a.md", "1. TODO: close it"),
        ("a.md", "- [ ] TODO: close it"),
        ("a.md", "> **TODO:** close it"),
        ("a.md", "**TODO**: close it"),
        ("a.md", "<!-- TODO close it -->"),
        ("a.md", "## TODO：close it"),
        ("a.mdx", "{/* TODO: close it */}"),
        ("a.txt", "FIXME: close it"),
        ("a.adoc", "// TODO: close it"),
        ("a.org", "* TODO close it"),
    ],
)
def test_a_text_for_people_has_todos_at_the_head_of_a_line(path: str, line: str) -> None:
    assert todos(path, line) == ("close it",)


@pytest.mark.parametrize(
    "text",
    [
        "The TODO list is in TODO.md.",
        "## TODO",
        "- TODO list",
        "TODO is a marker.",
        "Write `TODO: x` in a comment.",
        "`TODO: x` is found.",
        "We count every TODO: they are many.",
        "- [x] TODO: done",
        "```python\n# TODO: fake\n```",
        "~~~\nTODO: fake\n~~~",
        "Use `<!-- TODO: fake -->`.",
        "TODO:",
    ],
)
def test_a_text_that_speaks_of_todos_has_none(text: str) -> None:
    assert todos("docs/a.md", text) == ()


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (" TODO: x y", "x y"),
        (" TODO x y", "x y"),
        ("TODO:x y", "x y"),
        (" TODO - x y", "x y"),
        (" TODO -- x y", "x y"),
        (" TODO — x y", "x y"),
        (" TODO(ana): x y", "x y"),
        (" TODO(ana) x y", "x y"),
        (" TODO(#12, ana) - x y", "x y"),
        (" TODO (ana): x y", "x y"),
        (" TODO[#12] x y", "x y"),
        (" TODO[ana]: x y", "x y"),
        (" TODO<ana>: x y", "x y"),
        (" TODO-123: x y", "x y"),
        (" TODO#12: x y", "x y"),
        (" TODO, x y", "x y"),
        (" TODO... x y", "x y"),
        (" TODO!!! x y", "x y"),
        (" FIXME x y", "x y"),
        (" XXX x y", "x y"),
        (" HACK: x y", "x y"),
        (" TODO/FIXME: x y", "x y"),
        (" ** TODO: x y **", "x y"),
        (" - [ ] TODO: x y", "x y"),
        (" 1. TODO x y", "x y"),
        (" @todo x y", "x y"),
        (" @TODO: x y", "x y"),
        (" \\todo x y", "x y"),
        (" Reads it. TODO x y", "x y"),
        (" reads it (TODO: x y", "x y"),
        (" reads it # TODO x y", "x y"),
        (" reads it -- TODO x y", "x y"),
        (" reads it TODO(ana) x y", "x y"),
        (" reads it TODO: x y", "x y"),
        (" TODO：修复", "修复"),
        (" TODO:修复", "修复"),
        (" TODO、修复", "修复"),
        (" TODO。修复", "修复"),
        (" TODO，修复", "修复"),
        (" TODO修复", "修复"),
        (" TODO 修复。", "修复。"),
        (" TODO（小明）：修复", "修复"),
        (" 这里TODO：修复", "修复"),
        (" 注意。TODO 修复", "修复"),
        (" FIXMEを直す", "を直す"),
        (" TODO: 고치기", "고치기"),
        (" TODO: list all users", "list all users"),
        (" TODO list all users", "list all users"),
        (" TODO comment this out", "comment this out"),
        (" TODO file a bug", "file a bug"),
        (" XXX is this right?", "is this right?"),
        (" TODO: see https://example.com/a", "see https://example.com/a"),
    ],
)
def test_a_marker_is_read_with_all_that_may_follow_it(comment: str, text: str) -> None:
    assert todo_of(comment) == text


@pytest.mark.parametrize(
    "comment",
    [
        " phone numbers look like XXX-XXX-XXXX",
        " XXX-XXXX",
        " see TODO.md for the list",
        " TODO.md has the list",
        " see docs/TODO for more",
        " the TODO list of the user",
        " TODO list",
        " TODO lists are here",
        " TODO app of the tutorial",
        " the todo app",
        " todo: in lower case it is a word",
        " counts TODO, FIXME and XXX markers",
        " TODO and FIXME are markers",
        " finds each 'TODO: x'",
        " finds each `TODO`",
        ' finds "TODO: x" in comments',
        " a HACKER or a HACKATHON",
        " MÉTODO: first",
        " TODOS: many",
        " MY_TODO: x",
        " TODO_LIST: x",
        " self.TODO: x",
        " $TODO: x",
        " TODO=1",
        " TODO's text",
        " charset=XXX>",
        " Bearer XXX",
        " TODO",
        " TODO:",
        " TODO!",
        " XXX ???",
        " it mentions @todo tags",
        "",
    ],
)
def test_a_marker_as_a_word_asks_for_nothing(comment: str) -> None:
    assert todo_of(comment) is None


@pytest.mark.parametrize(
    "text", ["x", "TODO: x", "- TODO(ana) x", "FIXME x", "TODO：x", "**TODO:** x", "[ ] TODO[#1]: x"]
)
def test_an_answered_todo_may_begin_with_its_marker(text: str) -> None:
    assert unmarked(text).strip("*` ") == "x"


def test_a_todo_that_moved_into_a_block_comment_is_not_new() -> None:
    assert todos("a.c", "-|// TODO: close it\n+|/*\n+| * TODO: close it\n+| */") == ()


def test_only_the_added_lines_of_a_comment_count() -> None:
    assert todos("a.c", " |/* TODO: old\n+|   TODO: new\n |*/") == ("new",)


def test_at_a_file_s_begin_nothing_began_before() -> None:
    assert todos("a.md", "```\n# TODO: fake\n```\n\nTODO: real", start=1) == ("real",)


PIECES = some.sampled_from(
    ["/*", "*/", "<!--", "-->", "//", "#", "--", '"""', "'''", "`", '"', "'", "\\", "\n", " ",
     "TODO", "TODO: x",
     "FIXME(", ")", "{-", "-}", "(*", "*)", "<<EOF\n", "EOF", "R\"x(", ")x\"", "r#\"", "\"#", "$$",
     "[[", "]]", "``", "```", "~~~", "x",
     "修", "：", "\t", "* ", "@todo ", "=begin\n", "=end\n", "/[", "\x00", "\ud800"]
)  # fmt: skip
PATHS = ["a.py", "a.ts", "a.go", "a.rs", "a.cpp", "a.cs", "a.rb", "a.php", "a.sh", "a.sql", "a.lua", "a.hs", "a.ml",
         "a.md", "a.html", "a.vue", "a.nix", "a.vb", "a.vim", "a.rst", "a.json", "a", "a.tf"]  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(some.lists(PIECES, max_size=40), some.sampled_from(PATHS))
def test_no_text_makes_it_raise(pieces: list[str], path: str) -> None:
    lines = "".join(pieces).split("\n")
    found = gather(diff(path, "\n".join(f"+|{line}" for line in lines))).todos
    assert all(text.strip() == text and text for text in found)


HOSTILE = ["TODO ", "TODO: and ", "/*", "*/", '"""', '"\\', "'a", '\\"', 'R"a(', "<<EOF ", "<<-a\n", "XXX-", " ", "\t",
           "* ", "-", "#", "=(/", "$a$", "{-", "TODO(", "[x] ", "1. ", "```\n", "``", "修", "''", "\n", "<!--",
           "\\"]  # fmt: skip


@pytest.mark.parametrize("path", ["a.py", "a.ts", "a.cpp", "a.rb", "a.sql", "a.md", "a.html", "a"])
def test_hostile_text_takes_time_that_grows_with_its_length(path: str) -> None:
    """A marker at the end has the whole text read. Quadratic, 80 kB of "-" took 6 s."""
    for piece in HOSTILE:
        assert growth(partial(read, path, piece), 5_000) < LINEAR, piece


@pytest.mark.parametrize(
    ("path", "piece"), [("a.html", "-"), ("a.rb", "<<-a\n"), ("a.ts", "`"), ("a.md", "TODO: and ")]
)
def test_a_hundred_thousand_signs_take_as_many_times_longer(path: str, piece: str) -> None:
    assert growth(partial(read, path, piece), 25_000) < LINEAR


def read(path: str, piece: str, length: int) -> None:
    lines = f"{piece * (length // len(piece))} TODO: x\n// TODO: y".split("\n")
    files = parse_diff(diff(path, "\n".join(f"+|{line}" for line in lines))).files
    added_todos(files)
