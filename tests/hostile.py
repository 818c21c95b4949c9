"""Diffs that were made to be slow to read, by family: what their lines hold, and how they are laid out. Knows no test.

All are the same for the same seed, and any size of one is more of the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from random import Random

LANGUAGES = (
    "py", "js", "ts", "tsx", "go", "rs", "java", "kt", "c", "cpp", "cs", "rb", "php", "swift", "scala", "sh", "sql",
    "tf", "vue", "svelte", "ipynb", "md", "yml", "json", "toml", "txt", "html", "css", "xml", "lua", "gradle", "ini",
    "env",
)  # fmt: skip
"""By suffix, code and what is none."""

LONG = 1_900
"""Characters: a line just short enough to be read."""

LINES: Mapping[str, tuple[str, ...]] = {
    "quotes": ("'" * 60, '"' * 61, "`" * 61, '"""' * 10, "'''" * 11, "\\'" * 30, "'a {0} TODO b", '"a // TODO {0}'),
    "a quote and a TODO": ("'" * 19 + " TODO x {0}", "//' TODO \" {0}", "# TODO ` {0}"),
    "brackets that open": ("(" * 60, "[" * 60, "{{" * 30, "a<" * 30, "([{{<" * 12, "#[a(" * 12),
    "brackets that close": (")" * 60, "]" * 60, "}}" * 30, ">" * 60, ")]}}>" * 12, "</a>" * 12),
    "nesting": (
        "a(" * 30, "if (a_{0}) {{", "a => b => c =>", "lambda a: lambda b:", "Foo<Bar<Baz<", "[a, [b, [", "x ? y :",
    ),
    "comments never closed": ("/* a {0}", "<!-- TODO {0}", "{{- {0}", "(* a {0}", "=begin {0}", "--[[ {0}", "a */ {0}"),
    "TODOs": (
        "# TODO do it {0}", "TODO " * 12, "// TODO: do {0}", "/* TODO x */ " * 5, "- [ ] TODO: x {0}",
        "TODO(a): b. " * 5,
    ),
    "heredocs": ("cat <<EOF", "<<A <<B <<C <<D", "x = <<~EOF_{0}", 'r#"a', 'R"x(a', "$a$ x {0}", "<<-'A' {0}"),
    "templates": (
        "`${{a`", "{{% if a %}}", "<%# TODO {0}", "#{{a #{{b", "{{{{ a | b }}}}", "$(a $(b", "f'{{a!r:{{b}}'",
    ),
    "definitions": (
        "def f_{0}(a):", "function f_{0}(a) {{", "class A_{0} {{", "public static void m_{0}(int a) {{",
        "fn f_{0}<T>(",
    ),
    "calls": (
        "foo_{0}(bar_{0})", "a.b.c.d_{0}()", "foo!(bar_{0})", "new X_{0}()", "log.info('said {0}')",
        "raise A('bad {0}')",
    ),
    "markup": (
        "<a> " * 15, "<script>", "</script>", "<?php a(); ?>", "## Heading {0}", "| a | b " * 8, "```", "\\section{{",
    ),
    "settings": (
        "key_{0}: value_{0}", "KEY_{0}=secret_{0}", "[a.b_{0}]", '"a_{0}": [1, {{"b": {0}}}],', "  - name: x_{0}",
        "a=\\",
    ),
    "imports": (
        "import a_{0}", "from a import (b_{0},", "use a::{{b_{0},", '"dep_{0}": "^1.{0}.0",', "package_{0}==1.{0}",
    ),
    "checks": (
        "if not user.is_admin: raise No()", "@requires('x{0}')", "assert a_{0} == b_{0}", "eval(x_{0})", "md5(x_{0})",
    ),
    "merge markers": ("<<<<<<< ours", "=======", ">>>>>>> theirs", "||||||| base"),
    "widths": (
        "\u00e9\u4e2d\u200b" * 20, "\u3001TODO\uff1a" * 10, "\U0001d4d0_{0} = 1", "e\u0301" * 30, "\u202ea\u202c {0}",
    ),
    "line ends": ("x\r", "x {0}\f", "\v\f\x1c\x1d", "a\u2028b\u2029", "\x85{0}", "a\x00b"),
    "white space": (" " * 200 + "x", "\t" * 60 + "x", "x" + " " * 200, "", " \t" * 50, "a =" + " " * 100 + "{0}"),
    "escapes": ("\x1b[31mx\x1b[m", "\\" * 60, "%41" * 20, "&amp;" * 12, "\\u0041" * 10),
    "signs of a diff": (
        "@@ -1 +1 @@", "--- a", "+++ b", "diff --git a/x b/x", "*** 1,2 ****", "1c1", "~", "[-a-]{{+b+}}",
    ),
    "names": ("a" * 200, "_".join("abcdefgh"), "HTTPServerError{0}", "a-" * 60, "a1" * 60, "aA" * 60, "x_{0}, " * 9),
    "operators": (
        "&& || " * 10, "x = x =", "a: b: c:", ";" * 60, "a, " * 20, "1.2.3 " * 10, "a ** " * 12, "!" * 60, "-> " * 20,
    ),
    "words": ("lorem ipsum dolor sit amet {0}", "a. b. c. d. e.", "feat(x{0}): ", "http://a.b/c{0} ", "a@b.c " * 10),
}  # fmt: skip
"""By family, lines; `{0}` is a number that counts."""


@dataclass(frozen=True)
class Kind:
    """One kind of diff: `text` makes one of about that many characters."""

    family: str
    layout: str
    suffix: str
    line: str

    def __str__(self) -> str:
        return f"{self.family}, {self.layout}, {self.suffix}: {self.line[:20]!r}"

    def text(self, characters: int) -> str:
        return "".join(LAYOUTS[self.layout](_path(self.suffix), self.line, characters))


def kinds(family: str, of: Random, many: int) -> Iterator[Kind]:
    """As many as asked for, of all layouts, languages and lines."""
    for _ in range(many):
        yield Kind(family, of.choice(sorted(LAYOUTS)), of.choice(LANGUAGES), of.choice(LINES[family]))


def heads(of: Random) -> Iterator[tuple[str, str]]:
    """(name, text that is repeated): files without a hunk, and what looks like a diff and is none."""
    paths = [f"d/{of.getrandbits(16):x}.{suffix}" for suffix in of.sample(LANGUAGES, 3)]
    for path in paths:
        yield (
            "renames",
            f"diff --git a/{path} b/e{path}\nsimilarity index 100%\nrename from {path}\nrename to e{path}\n",
        )
        yield "modes", f"diff --git a/{path} b/{path}\nold mode 100644\nnew mode 100755\n"
        yield "binaries", f"diff --git a/{path} b/{path}\nindex 1..2\nBinary files a/{path} and b/{path} differ\n"
        yield "new files", f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        yield "sections", f"*** Begin Patch\n*** Update File: {path}\n@@\n"
    for text in (
        "@@ -1 +1 @@\n",
        "@@ -1,999999999 +1,999999999 @@\n",
        "@@@ -1,2 -1,2 +1,2 @@@\n",
        "1c1\n< a\n---\n> b\n",
    ):
        yield "hunks alone", text
    for text in (
        "--- a\n+++ b\n",
        "Index: x\n=====\n",
        "*** 1,2 ****\n",
        "Only in a: b\n",
        "Submodule x 1..2:\n",
        "| + a\n",
    ):
        yield "headers alone", text
    yield "folders", "diff --git a/" + "x/" * 50 + " b/" + "x/" * 50 + "\n"
    yield "quoted paths", 'diff --git "a/\\303\\244" "b/\\303\\244"\n'


def _path(suffix: str) -> str:
    named = {
        "json": "package.json",
        "txt": "requirements.txt",
        "toml": "pyproject.toml",
        "xml": "pom.xml",
        "env": ".env",
    }
    return named.get(suffix, f"src/a.{suffix}")


def _head(path: str) -> str:
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"


def _lines(line: str, characters: int) -> list[str]:
    """Numbered lines that have about so many characters together."""
    found, left = [], characters
    for number in count():
        if left <= 0:
            break
        found.append(line.format(number))
        left -= len(found[-1]) + 2
    return found


def _added(path: str, line: str, characters: int) -> Iterator[str]:
    lines = _lines(line, characters)
    yield f"{_head(path)}@@ -5,0 +5,{len(lines)} @@ def g():\n"
    yield from (f"+{one}\n" for one in lines)


def _replaced(path: str, line: str, characters: int) -> Iterator[str]:
    lines = _lines(line, characters // 2)
    yield f"{_head(path)}@@ -5,{len(lines)} +5,{len(lines)} @@ def g():\n"
    yield from (f"-{one}\n" for one in lines)
    yield from (f"+{one} y\n" for one in lines)


def _alternating(path: str, line: str, characters: int) -> Iterator[str]:
    lines = _lines(line, characters // 3)
    yield f"{_head(path)}@@ -5,{2 * len(lines)} +5,{2 * len(lines)} @@ def g():\n"
    yield from (f"-{one}\n+{one} z\n {one}\n" for one in lines)


def _in_hunks(path: str, line: str, characters: int) -> Iterator[str]:
    yield _head(path)
    for at, one in enumerate(_lines(line, characters // 3)):
        yield f"@@ -{at * 9 + 1},2 +{at * 9 + 1},2 @@ def g{at}():\n x\n-{one}\n+{one} y\n"


def _in_files(path: str, line: str, characters: int) -> Iterator[str]:
    for at, one in enumerate(_lines(line, characters // 4)):
        yield f"{_head(f'd{at}/{path}')}@@ -1,1 +1,1 @@\n-{one}\n+{one} y\n"


def _in_long_lines(path: str, line: str, characters: int) -> Iterator[str]:
    long = " ".join(_lines(line, LONG))[:LONG].replace("\n", " ")
    many = max(1, characters // LONG)
    yield f"{_head(path)}@@ -5,0 +5,{many} @@\n"
    yield from (f"+{long} {at}\n" for at in range(many))


def _in_one_line(path: str, line: str, characters: int) -> Iterator[str]:
    yield f"{_head(path)}@@ -5,0 +5,1 @@\n+"
    yield " ".join(_lines(line, characters))
    yield "\n"


LAYOUTS: Mapping[str, Callable[[str, str, int], Iterator[str]]] = {
    "added": _added,
    "replaced": _replaced,
    "alternating": _alternating,
    "hunks": _in_hunks,
    "files": _in_files,
    "long lines": _in_long_lines,
    "one line": _in_one_line,
}
"""How the lines are laid out, by name."""
