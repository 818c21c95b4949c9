"""Made diffs whose labels are right by construction: short, with rare names, so that the model must copy and not guess.

Two kinds: functions of installed Python packages with some statements taken out, and statements from templates in the
style of seven languages. Knows no tokenizer and no model.
"""

import ast
import builtins
import keyword
import random
import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diff_reader.rows import Row, actions_of, sentence_of
from diff_reader.styles import MARKERS, STYLES, SYLLABLES, TODO_ENDS, TODO_STARTS, WORDS, Style

DROPPED = frozenset(dir(builtins))
"""Calls that the commits' labels leave out as well: Python's own names."""


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


def todo_comment(rng: random.Random, comment: tuple[str, str], names: Names) -> tuple[str, str]:
    """A comment line and the text that its label keeps."""
    words = [
        rng.choice(TODO_STARTS),
        rng.choice(("the", "a", "all", "old", "")),
        *names.parts(1, 2),
        rng.choice(TODO_ENDS),
    ]
    text = " ".join(word for word in words if word)
    if rng.random() < 0.15:
        text = f"{rng.choice(TODO_STARTS)} {names.lower(2)}"
    marker = rng.choice(MARKERS)
    author = f"({rng.choice(WORDS)})" if rng.random() < 0.15 else ""
    colon = ": " if rng.random() < 0.8 or author else " "
    if comment[0].startswith("/") and rng.random() < 0.25:
        return f"/* {marker}{author}{colon}{text} */", text
    return f"{comment[0]}{marker}{author}{colon}{text}", text


def hunk_header(rng: random.Random, old: int, new: int, context: str) -> str:
    start = rng.randint(1, 400)
    tail = f" {context}" if context and rng.random() < 0.6 else ""
    return f"@@ -{start},{old} +{start + rng.choice((0, 0, 0, rng.randint(0, 9)))},{new} @@{tail}"


def file_diff(rng: random.Random, path: str, hunks: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A file's diff from its hunks: (context of the header, lines with their markers)."""
    lines = [f"diff --git a/{path} b/{path}"]
    if rng.random() < 0.8:
        lines.append(f"index {rng.getrandbits(28):07x}..{rng.getrandbits(28):07x} 100644")
    lines += [f"--- a/{path}", f"+++ b/{path}"]
    for context, body in hunks:
        old = sum(line[:1] != "+" for line in body)
        new = sum(line[:1] != "-" for line in body)
        lines += [hunk_header(rng, old, new, context), *body]
    return "\n".join(lines)


@dataclass(slots=True)
class _Hunk:
    lines: list[str]
    calls: list[str]
    removed: list[str]
    todos: list[str]
    function: str


def _template_line(rng: random.Random, style: Style, names: Names, templates: Sequence[str]) -> tuple[str, list[str]]:
    """A statement and the names that it calls."""
    template = rng.choice(templates)
    called = names.lower(1, 3)
    if style.suffix == "go" and rng.random() < 0.5:
        called = called[:1].upper() + called[1:]
    fields = {
        "f": called,
        "v": names.lower(1, 2),
        "a": names.lower(1, 1),
        "b": names.lower(1, 1),
        "o": names.lower(1, 1),
        "T": names.pascal(),
        "T2": names.pascal(),
    }
    calls = [called] if "{f}" in template else []
    if "new {T2}" in template or "new {T}" in template or "raise {T}" in template:
        calls = [fields["T2" if "{T2}" in template else "T"]]
    line = template.format(**fields)
    if calls and "({a}" in template and rng.random() < 0.15:
        inner = names.lower(1, 2)
        line = line.replace(f"({fields['a']}", f"({inner}({fields['a']})", 1)
        calls.append(inner)
    return line, [name for name in calls if not (style.suffix == "py" and name in DROPPED)]


def _template_hunk(rng: random.Random, style: Style) -> _Hunk:
    """Context, then removed and added statements, then context. What the context calls is no label."""
    names = Names(rng, style.camel)
    indent = (
        rng.choice(("    ", "  ", "\t")) if style.suffix in ("js", "ts") else "\t" if style.suffix == "go" else "    "
    )
    pad = indent * rng.choice((0, 1, 1, 2))
    hunk = _Hunk([], [], [], [], "")
    function = names.lower(1, 3)
    opening = style.opening.format(n=function, a=names.lower(1, 1), b=names.lower(1, 1), T=names.pascal())

    def lines(marker: str, number: int, share: float) -> list[str]:
        called: list[str] = []
        for _ in range(number):
            line, calls = _template_line(rng, style, names, style.calls if rng.random() < share else style.quiet)
            hunk.lines.append(f"{marker}{pad}{line}")
            called += calls
        return called

    kind = rng.choices(("add", "replace", "delete", "todo", "function", "rename"), (40, 20, 6, 12, 12, 10))[0]
    if rng.random() < 0.5 or kind == "function":
        hunk.lines.append(f"{'+' if kind == 'function' else ' '}{pad[len(indent) :]}{opening}")
        hunk.function = function
    lines(" ", rng.randint(0, 3), 0.4)
    before: list[str] = []
    if kind in ("replace", "delete"):
        before = lines("-", rng.randint(1, 3), 0.7)
    if kind == "todo" or (rng.random() < 0.12 and kind != "delete"):
        comment, todo = todo_comment(rng, style.comment, names)
        hunk.lines.append(f"+{pad}{comment}")
        hunk.todos.append(todo)
    if kind == "rename":
        line, called = _template_line(rng, style, names, style.calls)
        if called:
            new = names.lower(1, 3)
            hunk.lines += [f"-{pad}{line}", f"+{pad}{line.replace(called[0] + '(', new + '(')}"]
            before, hunk.calls = called[:1], [new] if f"{called[0]}(" in line else []
    elif kind not in ("delete", "todo"):
        hunk.calls = lines("+", rng.randint(1, 5), 0.65)
    if kind == "function" and style.closing:
        hunk.lines.append(f"+{pad[len(indent) :]}{style.closing.format()}")
    lines(" ", rng.randint(0, 3), 0.4)
    hunk.removed = [name for name in dict.fromkeys(before) if name not in hunk.calls]
    hunk.calls = [name for name in dict.fromkeys(hunk.calls) if name not in before]
    return hunk


def template_row(rng: random.Random) -> Row:
    """One or two files from templates; a few are empty, which has an answer as well."""
    if rng.random() < 0.004:
        return Row("synthetic", "", "No change.", (), (), ())
    style = rng.choice(STYLES)
    hunks = [_template_hunk(rng, style) for _ in range(rng.choices((1, 2, 3), (70, 22, 8))[0])]
    paths = Names(rng, style.camel)
    changed = [paths.path(style.suffix) for _ in hunks]
    diff = "\n".join(file_diff(rng, path, [("", hunk.lines)]) for path, hunk in zip(changed, hunks, strict=True))
    removed = list(dict.fromkeys(name for hunk in hunks for name in hunk.removed))
    calls = tuple(dict.fromkeys(name for hunk in hunks for name in hunk.calls if name not in removed))
    removed = [name for name in removed if name not in calls]
    todos = tuple(todo for hunk in hunks for todo in hunk.todos)
    return Row(
        "synthetic",
        diff,
        sentence_of(hunks[0].calls, hunks[0].removed, hunks[0].todos, hunks[0].function or changed[0]),
        calls,
        todos,
        actions_of(diff, removed, todos),
    )


def _called(node: ast.AST) -> list[str]:
    """Bare names that the node calls, in the order of their places."""
    found = []
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            match call.func:
                case ast.Name(id=name):
                    found.append((call.func.lineno, call.func.col_offset, name))
                case ast.Attribute(attr=name):
                    found.append((call.func.end_lineno or 0, call.func.end_col_offset or 0, name))
    return [name for _, _, name in sorted(found) if name not in DROPPED]


def python_files(limit: int, rng: random.Random) -> list[Path]:
    """Sources of the standard library and of installed packages, but none of a held-out repository."""
    roots = {Path(sysconfig.get_paths()[key]) for key in ("stdlib", "purelib")}
    held_out = {"requests", "_vendor"}
    paths = sorted({path for root in roots for path in root.rglob("*.py") if not held_out & set(path.parts)})
    return rng.sample(paths, min(limit, len(paths)))


def python_rows(path: Path, rng: random.Random) -> Iterator[Row]:
    """A row for each function of a fitting size: one to four of its statements are what the diff adds."""
    try:
        source = path.read_text(encoding="utf-8")
        if len(source) > 120_000:
            return
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return  # Packages ship files of other Python versions and broken ones on purpose.
    lines = source.split("\n")
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and 3 <= (node.end_lineno or 0) - node.lineno <= 30
            and len(node.body) > 1
        ):
            yield _python_row(node, lines, rng)


def _python_row(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: Sequence[str], rng: random.Random) -> Row:
    names = Names(rng, camel=False)
    first = rng.randrange(len(node.body))
    taken = node.body[first : first + rng.randint(1, 4)]
    start, end = taken[0].lineno - 1, taken[-1].end_lineno or 0
    top = max(node.lineno - 1, start - 3)
    added = list(lines[start:end])
    calls = [name for statement in taken for name in _called(statement)]
    todos, removed, old = [], [], []
    indent = " " * taken[0].col_offset
    if rng.random() < 0.2:
        comment, todo = todo_comment(rng, ("# ", ""), names)
        added.insert(0, indent + comment)
        todos.append(todo)
    if rng.random() < 0.25:
        line, removed = _template_line(rng, STYLES[0], names, STYLES[0].calls)
        old = [indent + line]
    body = [f" {line}" for line in lines[top:start]] + [f"-{line}" for line in old] + [f"+{line}" for line in added]
    body += [f" {line}" for line in lines[end : min(end + 3, node.end_lineno or end)]]
    renamed = {name: names.lower(1, 3) for name in set(calls) if rng.random() < 0.5 and not keyword.iskeyword(name)}
    if renamed:
        pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, renamed))})(?!\w)")
        body = [pattern.sub(lambda found: renamed[found[1]], line) for line in body]
    labels = tuple(name for name in dict.fromkeys(renamed.get(name, name) for name in calls) if name not in removed)
    removed = [name for name in removed if name not in labels]
    path = names.path("py")
    diff = file_diff(rng, path, [("", body)] if top < node.lineno else [(lines[node.lineno - 1].strip(), body)])
    function = node.name if re.search(rf"(?<!\w){node.name}(?!\w)", diff) else ""
    sentence = sentence_of(labels, removed, todos, function or path)
    return Row("synthetic", diff, sentence, labels, tuple(todos), actions_of(diff, removed, todos))


def synthetic_rows(number: int, seed: int) -> list[Row]:
    """`number` rows, half from templates and at most half from Python sources."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for path in python_files(limit=number // 8, rng=rng):
        rows += list(python_rows(path, rng))[:12]
        if len(rows) >= number // 2:
            break
    rows += [template_row(rng) for _ in range(number - len(rows))]
    rng.shuffle(rows)
    return [row for row in rows if len(row.calls) <= 12]
