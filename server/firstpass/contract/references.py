"""The names that a sentence refers to as code. Knows no diff: whether a name exists is for the caller to say."""

import re
from collections.abc import Iterator

_CODE = re.compile(r"`+([^`\n]+)`+")
_CALL = re.compile(r"(?<![\w$.])((?:[^\W\d]|\$)[\w$]*(?:(?:\.|::|#|->)[^\W\d][\w$]*)*)!?\(")
_DOTTED = re.compile(r"(?<![\w$.@])(?:[^\W\d]|\$)[\w$]*(?:(?:\.|::)[^\W\d][\w$]*)+")
_WORD = re.compile(r"(?<![\w$])(?:[^\W\d]|\$)[\w$]*")
NAME = re.compile(r"(?:[^\W\d]|\$)[\w$]*")
_SHAPED = re.compile(r"[a-z$_][a-z\d$_]*[A-Z]|[A-Z][a-z\d]+[A-Z]|\w_\w|^_|^\$|.\$")
_PROPER = frozenset(
    ("DevOps", "GitHub", "GitLab", "JavaScript", "MySQL", "OpenAI", "PostgreSQL", "TypeScript", "iOS", "macOS")
)
_ABBREVIATIONS = frozenset(("e.g", "i.e", "a.k.a", "a.m", "p.m", "u.s", "et.al"))


def references(text: str) -> tuple[str, ...]:
    """Each reference as it is written, without parentheses: first code spans, then calls, dotted names and words.

    A word counts only if it is shaped like code (camelCase, snake_case) or marked as code; in a code span of several
    words, which may be a command, so does each word by itself.
    """
    found = [*_spans(text), *_outside(_CODE.sub(" ", text))]
    return tuple(dict.fromkeys(found))


def unknown(text: str, names: frozenset[str]) -> tuple[str, ...]:
    """The references of the text that are not made of `names` alone; each of a dotted name's parts has to be one."""
    return tuple(reference for reference in references(text) if not names.issuperset(names_in(reference)))


def names_in(reference: str) -> tuple[str, ...]:
    """The identifiers that a reference consists of: `a.b.create` has three."""
    return tuple(NAME.findall(reference))


def _spans(text: str) -> Iterator[str]:
    for match in _CODE.finditer(text):
        span = match[1].strip()
        if " " in span:
            yield from _outside(span)
        elif names_in(span):
            yield span.rstrip("()!")


def _outside(text: str) -> Iterator[str]:
    for match in _CALL.finditer(text):
        yield match[1]
    for dotted in _DOTTED.findall(text):
        if dotted.lower() not in _ABBREVIATIONS:
            yield dotted
    for word in _WORD.findall(_DOTTED.sub(" ", _CALL.sub(" (", text))):
        if _SHAPED.search(word) and word.removesuffix("s") not in _PROPER:
            yield word
