"""What a file's changed lines import, by words. Knows no tree and not what a module is."""

import re
from collections.abc import Iterator, Sequence

from firstpass.evidence.diffs.diff import DiffLine, FileDiff, LineKind
from firstpass.evidence.facts.changes import MOST_CHARACTERS
from firstpass.evidence.trees.languages import LanguageName

MOST_IMPORTS = 100
_MOST_LINE_CHARACTERS = 400

_FROM = re.compile(r"\s*from\s+([\w.]+)\s+import\s+(?P<names>.*)")
_PLAIN = re.compile(r"\s*import\s+(?P<names>[\w., ]+?)\s*(?:#.*)?$")
_SCRIPT = re.compile(
    r"\s*(?:import|export)\b[^'\"=]{0,300}?\bfrom\s*['\"](?P<module>[^'\"]+)['\"]|\s*\}\s*from\s*['\"](?P<closed>[^'\"]+)['\"]"
    r"|\s*import\s*['\"](?P<bare>[^'\"]+)['\"]|.{0,200}?\b(?:require|import)\(\s*['\"](?P<required>[^'\"]+)['\"]"
)
_SCRIPT_NAMES = re.compile(r"\{([^{}]*)\}")
_GO_ONE = re.compile(r"import\s+(?:[\w.]+\s+)?\"(?P<module>[^\"]+)\"")
_GO_MANY = re.compile(r"\s+(?:[\w.]+\s+)?\"(?P<module>[\w./~-]+)\"\s*(?://.*)?$")
_RUST = re.compile(r"\s*(?:pub(?:\(\w+\))?\s+)?use\s+(?P<module>[^;]+?)\s*;?\s*$")
_PLAIN_WORD = re.compile(
    r"\s*(?:import|using|use|require|require_once|include|include_once|require_relative|load|source|open"
    r"|@import|@use)\b"
    r"\s*(?:static\s+|function\s+|global\s+)?[(<\"']?(?P<module>[\w.:/\\*$@{}, -]+?)[)>\"']?\s*;?\s*$"
)
_INCLUDE = re.compile(r"\s*#\s*(?:include|import)\s*[<\"](?P<module>[^>\"]+)[>\"]")
_MAY_IMPORT = re.compile(r"import|from|require|use|using|include|load|source|open")
_SCRIPTS = ("javascript", "typescript", "tsx", "vue", "svelte")
_NAME = re.compile(r"[\w.*$]+")
_AS = re.compile(r"\s+as\s+\w+")
_INDEPENDENT = frozenset(("java", "kotlin", "scala", "swift", "csharp", "php", "ruby", "dart"))
_WORDS: dict[str | None, tuple[str, ...]] = {
    "python": ("import",),
    "go": ('"',),
    "rust": ("use",),
    **dict.fromkeys(_SCRIPTS, ("import", "from", "require")),
    **dict.fromkeys(_INDEPENDENT, ("import", "from", "require", "use", "using", "include", "load", "source", "open")),
}
_OTHER_WORDS = ("include", "import")
"""One of them stands in each hunk that imports something."""


def imports(language: LanguageName | str | None, file: FileDiff) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(added, removed), in order; what is on both sides is in neither."""
    added = dict.fromkeys(_of_side(language, file, "added"))
    removed = dict.fromkeys(_of_side(language, file, "removed"))
    new = (name for name in added if name not in removed)
    gone = (name for name in removed if name not in added)
    return tuple(new)[:MOST_IMPORTS], tuple(gone)[:MOST_IMPORTS]


def _of_side(language: str | None, file: FileDiff, side: LineKind) -> Iterator[str]:
    words = _WORDS.get(language, _OTHER_WORDS)
    for hunk in file.hunks:
        if side in hunk.kinds and any(word in hunk.text for word in words):
            for name in _in_lines(language, hunk.after if side == "added" else hunk.before, side):
                yield name[:MOST_CHARACTERS]


def _in_lines(language: str | None, lines: Sequence[DiffLine], side: LineKind) -> Iterator[str]:
    if language == "python":
        yield from _python(lines, side)
    elif language == "go":
        yield from _go(lines, side)
    else:
        for line in lines:
            if line.kind == side and _MAY_IMPORT.search(line.text):
                yield from _one(language, line.text[:_MOST_LINE_CHARACTERS])


def _python(lines: Sequence[DiffLine], side: LineKind) -> Iterator[str]:
    """Also the names in the brackets of a `from` that stands on another line."""
    module: str | None = None
    for line in lines:
        text = line.text[:_MOST_LINE_CHARACTERS]
        if not module and "import" not in text:
            continue
        names = text.partition("#")[0] if module else ""
        if match := _FROM.match(text):
            names = match["names"].partition("#")[0]
            module = match[1]
        elif (plain := _PLAIN.match(text)) and line.kind == side:
            yield from (_AS.sub("", name).strip() for name in plain["names"].split(","))
        if module and line.kind == side:
            yield from (_joined(module, name) for name in _NAME.findall(_AS.sub("", names)))
        if (match and not names.lstrip().startswith("(")) or ")" in names:
            module = None


def _joined(module: str, name: str) -> str:
    return f"{module}{name}" if module.endswith(".") else f"{module}.{name}"


def _go(lines: Sequence[DiffLine], side: LineKind) -> Iterator[str]:
    for line in lines:
        if (line.kind == side and '"' in line.text) and (
            match := _GO_ONE.match(line.text) or _GO_MANY.match(line.text[:_MOST_LINE_CHARACTERS])
        ):
            yield match["module"]


def _one(language: str | None, text: str) -> Iterator[str]:
    if language in _SCRIPTS:
        match = _SCRIPT.match(text)
        if match and (module := next(filter(None, match.groups()), None)):
            names = _SCRIPT_NAMES.search(text[: text.find(module)])
            yield f"{module} ({' '.join(names[1].split())})" if names and names[1].strip() else module
    elif language == "rust":
        if (match := _RUST.match(text)) and "{" not in match["module"][:1]:
            yield " ".join(match["module"].split())
    elif (match := _INCLUDE.match(text)) or (match := _PLAIN_WORD.match(text) if _imports(language) else None):
        yield match["module"].strip()


def _imports(language: str | None) -> bool:
    return language in _INDEPENDENT
