"""Made diffs: functions of installed Python packages with statements put in and taken out, and statements from
templates in the style of seven languages. Their names are rare, so that the model must copy and not guess.

What a diff says is read off it by `firstpass.evidence`, as for a commit's variants. Knows no tokenizer and no model.
"""

import ast
import random
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diff_reader.rows import Row, row_of_diff
from diff_reader.styles import MARKERS, STYLES, SYLLABLES, TODO_ENDS, TODO_STARTS, WORDS, Style

MOST_FILE_CHARACTERS = 120_000
ROWS_PER_FILE = 12
NO_DIFF = "The text is not a diff."


class Names:
    """Names by a seeded generator: mostly of words, some of bare syllables, in one language's case."""

    def __init__(self, rng: random.Random, camel: bool) -> None:
        self.rng, self.camel = rng, camel

    def parts(self, low: int = 1, high: int = 3) -> list[str]:
        rng = self.rng
        return [
            rng.choice(WORDS) if rng.random() < 0.75 else "".join(rng.choices(SYLLABLES, k=rng.randint(1, 3)))
            for _ in range(rng.randint(low, high))
        ]

    def lower(self, low: int = 1, high: int = 3) -> str:
        parts = self.parts(low, high)
        return parts[0] + "".join(map(str.capitalize, parts[1:])) if self.camel else "_".join(parts)

    def pascal(self) -> str:
        return "".join(map(str.capitalize, self.parts(1, 2)))

    def path(self, suffix: str) -> str:
        parts = self.parts(1, 3)
        stem = ("_" if suffix in ("py", "go", "rs") else "-").join(self.parts(1, 2))
        if self.rng.random() < 0.3:
            return f"tests/test_{stem}.py" if suffix == "py" else f"test/{stem}.test.{suffix}"
        return "/".join((self.rng.choice(("src", "lib", "app", parts[0])), *parts[1:], f"{stem}.{suffix}"))


def todo_comment(rng: random.Random, comment: tuple[str, str], names: Names, text: str = "") -> str:
    """A comment line. text: what is left to do; made up if empty."""
    if not text:
        start, article = rng.choice(TODO_STARTS), rng.choice(("the", "a", "all", "old", ""))
        words = [start, article, *names.parts(1, 2), rng.choice(TODO_ENDS)]
        text = " ".join(word for word in words if word) if rng.random() < 0.85 else f"{start} {names.lower(2)}"
    marker = rng.choice(MARKERS) if rng.random() < 0.96 else " ".join(rng.sample(MARKERS, 2))
    author = rng.choice((rng.choice(WORDS), f"#{rng.randint(1, 9999)}")) if rng.random() < 0.2 else ""
    between = rng.choices((": ", " ", " - ", ":", ", ", "- "), (60, 24, 6, 4, 3, 3))[0]
    text = f"{marker}({author}){between}{text}" if author else f"{marker}{between}{text}"
    if comment[0].startswith("/") and rng.random() < 0.25:
        return f"/* {text} */"
    return f"{comment[0].strip() if rng.random() < 0.12 else comment[0]}{text}"


def file_diff(rng: random.Random, path: str, hunks: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A file's diff from its hunks: (heading, lines with their signs)."""
    lines = [f"diff --git a/{path} b/{path}", f"--- a/{path}", f"+++ b/{path}"]
    at = 1
    for heading, body in hunks:
        at += rng.randint(1, 80)
        lines += hunk_lines(at, heading, body)
        at += sum(line[:1] != "-" for line in body)
    return "\n".join(lines)


def hunk_lines(at: int, heading: str, body: Sequence[str]) -> list[str]:
    """A hunk at line `at`, with its header. body: lines with their signs."""
    old = sum(line[:1] != "+" for line in body)
    new = sum(line[:1] != "-" for line in body)
    return [f"@@ -{at},{old} +{at},{new} @@ {heading}".rstrip(), *body]


def _template_line(rng: random.Random, style: Style, names: Names, templates: Sequence[str]) -> str:
    called = names.lower(1, 3)
    if style.suffix == "go" and rng.random() < 0.5:
        called = called[:1].upper() + called[1:]
    first = names.lower(1, 1)
    if rng.random() < 0.15:
        first = f"{names.lower(1, 2)}({first})"
    return rng.choice(templates).format(
        f=called, v=names.lower(1, 2), a=first, b=names.lower(1, 1), o=names.lower(1, 1), T=names.pascal(),
        T2=names.pascal(),
    )  # fmt: skip


def _template_hunk(rng: random.Random, style: Style) -> tuple[str, list[str]]:
    """Context, then removed and added statements, then context."""
    names = Names(rng, style.camel)
    units = {"js": ("    ", "  ", "\t"), "ts": ("    ", "  ", "\t"), "go": ("\t",)}
    indent = rng.choice(units.get(style.suffix, ("    ",)))
    pad = indent * rng.choice((0, 1, 1, 2))
    outer = pad[len(indent) :]
    opening = style.opening.format(n=names.lower(1, 3), a=names.lower(1, 1), b=names.lower(1, 1), T=names.pascal())
    body: list[str] = []

    def lines(sign: str, number: int, share: float) -> None:
        for _ in range(number):
            templates = style.calls if rng.random() < share else style.quiet
            body.append(f"{sign}{pad}{_template_line(rng, style, names, templates)}")

    kinds = ("add", "replace", "delete", "todo", "function", "rename")
    kind = rng.choices(kinds, (40, 20, 6, 12, 12, 10))[0]
    heading = ""
    if kind == "function":
        body.append(f"+{outer}{opening}")
    elif rng.random() < 0.5:
        heading = opening
    lines(" ", rng.randint(0, 2), 0.4)
    if kind in ("replace", "delete"):
        lines("-", rng.randint(1, 3), 0.7)
    if kind == "todo" or (rng.random() < 0.12 and kind != "delete"):
        body.append(f"+{pad}{todo_comment(rng, style.comment, names)}")
    if kind == "rename":
        line, new = _template_line(rng, style, names, style.calls), _template_line(rng, style, names, style.calls)
        body += [f"-{pad}{line}", f"+{pad}{new}", f"+{pad}{line}"][: rng.choice((2, 3))]
    elif kind not in ("delete", "todo"):
        lines("+", rng.randint(1, 5), 0.65)
    if kind == "function" and style.closing:
        body.append(f"+{outer}{style.closing.format()}")
    lines(" ", rng.randint(0, 2), 0.4)
    return heading, body


def template_row(rng: random.Random) -> Row:
    """One to three files from templates."""
    style = rng.choice(STYLES)
    names = Names(rng, style.camel)
    files = []
    for _ in range(rng.choices((1, 2, 3), (60, 28, 12))[0]):
        hunks = [_template_hunk(rng, style) for _ in range(rng.choices((1, 2, 3), (70, 22, 8))[0])]
        files.append(file_diff(rng, names.path(style.suffix), hunks))
    return row_of_diff("synthetic", "\n".join(files))


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a source file: its heading and its statements as lines."""

    heading: str
    statements: tuple[tuple[str, ...], ...]


def functions_of(path: Path) -> list[Function]:
    """The functions with two to thirty statements; none where the file can not be read as this Python's."""
    try:
        source = path.read_text(encoding="utf-8")
        if len(source) > MOST_FILE_CHARACTERS:
            return []
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return []  # Packages ship files of other Python versions and broken ones on purpose.
    lines = source.split("\n")
    return [
        Function(
            lines[node.lineno - 1].strip(),
            tuple(tuple(lines[part.lineno - 1 : part.end_lineno]) for part in node.body),
        )
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and 2 <= len(node.body) <= 30
        and (node.end_lineno or 0) - node.lineno <= 60
    ]


def python_row(functions: Sequence[Function], rng: random.Random) -> Row:
    """One to three functions of a file, each with a run of its statements added, removed or both."""
    chosen = rng.sample(list(functions), min(len(functions), rng.choices((1, 2, 3), (60, 28, 12))[0]))
    hunks = [(function.heading, _edited(function, rng.choice(functions), rng)) for function in chosen]
    return row_of_diff("synthetic", file_diff(rng, Names(rng, camel=False).path("py"), hunks))


def _edited(function: Function, other: Function, rng: random.Random) -> list[str]:
    """The function's lines with signs; what is removed where statements come in is another function's."""
    first = rng.randrange(len(function.statements))
    last = min(len(function.statements), first + rng.randint(1, 4))
    before = [line for part in function.statements[:first] for line in part][-2:]
    run = [line for part in function.statements[first:last] for line in part]
    after = [line for part in function.statements[last:] for line in part][:2]
    indent = run[0][: len(run[0]) - len(run[0].lstrip())]
    kind = rng.choices(("added", "removed", "replaced"), (60, 12, 28))[0]
    old = [f"{indent}{line.strip()}" for line in rng.choice(other.statements)[:4]] if kind == "replaced" else []
    if kind != "removed" and rng.random() < 0.15:
        run.insert(rng.choice((0, len(run))), indent + todo_comment(rng, ("# ", ""), Names(rng, camel=False)))
    sign = "-" if kind == "removed" else "+"
    marked = ((" ", before), ("-", old), (sign, run), (" ", after))
    return [f"{mark}{line}" for mark, lines in marked for line in lines]


def edge_row(rng: random.Random) -> Row:
    """What a server is also sent: nothing, prose, a binary file, a file that only goes, is renamed or changes mode."""
    style = rng.choice(STYLES)
    names = Names(rng, style.camel)
    path, other = names.path(style.suffix), names.path(rng.choice(("png", "bin", "woff2", "jar")))
    kind = rng.choice(("empty", "prose", "prose", "binary", "deleted", "deleted", "renamed", "mode"))
    if kind == "empty":
        return replace(row_of_diff("synthetic", ""), summary="No change.")
    if kind == "prose":
        words = [*rng.choices(WORDS, k=rng.randint(3, 40)), todo_comment(rng, ("", ""), names)]
        rng.shuffle(words)
        text = " ".join(words).capitalize()
        return replace(row_of_diff("synthetic", text), summary=NO_DIFF)
    head = f"diff --git a/{path} b/{path}\n"
    if kind == "binary":
        head = f"diff --git a/{other} b/{other}\n"
        state = rng.choice((f"Binary files a/{other} and b/{other} differ", "GIT binary patch"))
        return row_of_diff("synthetic", f"{head}{rng.choice(('', 'new file mode 100644' + chr(10)))}{state}")
    if kind == "deleted":
        body = [f"-{_template_line(rng, style, names, style.calls + style.quiet)}" for _ in range(rng.randint(1, 30))]
        rest = [f"--- a/{path}", "+++ /dev/null", f"@@ -1,{len(body)} +0,0 @@", *body]
        return row_of_diff("synthetic", f"{head}deleted file mode 100644\n" + "\n".join(rest))
    if kind == "renamed":
        new = names.path(style.suffix)
        return row_of_diff(
            "synthetic", f"diff --git a/{path} b/{new}\nsimilarity index 100%\nrename from {path}\nrename to {new}"
        )
    return row_of_diff("synthetic", f"{head}old mode 100644\nnew mode 100755")


def python_files(limit: int, rng: random.Random) -> list[Path]:
    """Sources of the standard library and of installed packages, but none of a held-out repository."""
    roots = {Path(sysconfig.get_paths()[key]) for key in ("stdlib", "purelib")}
    held_out = {"requests", "_vendor"}
    paths = sorted({path for root in roots for path in root.rglob("*.py") if not held_out & set(path.parts)})
    return rng.sample(paths, min(limit, len(paths)))


def synthetic_rows(number: int, paths: Sequence[Path], seed: int) -> list[Row]:
    """`number` rows: about half from the Python sources, a twelfth edge cases, the rest from templates."""
    rng = random.Random(seed)
    rows = [edge_row(rng) for _ in range(number // 12)]
    rows += list(_python_rows(number // 2, paths, rng))
    rows += [template_row(rng) for _ in range(number - len(rows))]
    rng.shuffle(rows)
    return rows


def _python_rows(number: int, paths: Sequence[Path], rng: random.Random) -> Iterator[Row]:
    made = 0
    for path in paths:
        functions = functions_of(path)
        for _ in range(min(ROWS_PER_FILE, 2 * len(functions), number - made)):
            made += 1
            yield python_row(functions, rng)
        if made >= number:
            return
