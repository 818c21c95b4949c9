"""The names that a sentence refers to as code. Knows no diff: whether a name exists is for the caller to say."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from firstpass.evidence.memory import noted

_CODE = re.compile(r"(?<!`)`++([^`\n]+)`+")
_CALL = re.compile(r"(?<![\w$.])(?<!\w::)(?<!\w#)(?<!\w->)((?:[^\W\d]|\$)[\w$]*(?:(?:\.|::|#|->)[^\W\d][\w$]*)*)!?\(")
_DOTTED = re.compile(r"(?<![\w$.@])(?:[^\W\d]|\$)[\w$]*(?:(?:\.|::)[^\W\d][\w$]*)+")
_WORD = re.compile(r"(?<![\w$])(?:[^\W\d]|\$)[\w$]*")
NAME = re.compile(r"(?:[^\W\d]|\$)[\w$]*")
_SHAPED = re.compile(r"[a-z$_]\d*[A-Z]|[A-Z][a-z\d]+[A-Z]|\w_\w|^_|^\$|.\$")
_PASCAL = re.compile(r"[A-Z][a-zA-Z\d]*")

_LABEL = re.compile(
    r"^[ \t]{0,8}(?:[-*][ \t]{1,4})?(?P<kind>[\w/.-]{1,40})(?:\((?P<scope>[^()\n]{0,80})\))?!?:(?=\s)", re.M
)
_CONVENTIONAL = re.compile(
    r"(?<![\w$.])(?:build|chore|ci|deps|docs?|feat|fix|hotfix|perf|refactor|release|revert|security|style|tests?|wip)"
    r"\((?P<scope>[^()\n]{0,80})\)!?:(?=\s)"
)
"""The head of a subject: `feat(api)!: ...` by Conventional Commits, or a part of the project as in `net/http: ...`."""

_PLAIN = (
    (("://",), re.compile(r"(?<![\w+.-])[A-Za-z][A-Za-z+]{1,9}://[^\s<>`\"')\]]+")),
    (("@",), re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    (
        ("(s)", "(es)", "(ies)", "(ed)", "(d)", "(ing)", "(ly)", "(al)", "(n)", "(S)", "(ES)"),
        re.compile(r"(?<![\w$.])(?:[A-Z]?[a-z]{2,40}|[A-Z]{2,40})\((?:s|es|ies|ed|d|ing|ly|al|n|S|ES)\)(?![\w(]|\.\w)"),
    ),
    (("(#", "(GH-"), re.compile(r"(?<![\w$.])[^\W\d_]{1,40}\((?:#|GH-)\d{1,9}\)")),
    (("O(", "\u0398(", "\u03a9("), re.compile(r"(?<![\w$.])[O\u0398\u03a9]\([^()\n]{1,40}\)")),
    (("v", "V"), re.compile(r"[vV](?<![\w$.][vV])\d[\w.+-]*")),
    ((".x", ".X"), re.compile(r"(?<![\w$.])[A-Za-z]{1,40}\d{0,3}\.[xX](?![\w(])")),
    (("$",), re.compile(r"(?<![\w$.])(?:US)?\$\d[\d.,]*[kKmM]?(?![\w$])|(?<![\w$])\$(?![\w$])")),
    (("",), re.compile(r"(?<![\w$])(?:[a-z]{2}_[A-Z]{2}|[A-Z][A-Z\d]*\d[A-Z\d]*)(?![\w$(]|\.\w)")),
    ((".js", ".JS", ".NET"), re.compile(r"(?<![\w$.@:])[A-Z][a-z\d]*\.(?:js|JS|NET)(?![\w(]|\.\w)")),
    (
        (".com", ".org", ".edu", ".gov", ".net", ".io", ".dev"),
        re.compile(
            r"(?<![\w$.@:/-])[a-z\d][a-z\d-]{0,62}(?:\.[a-z\d-]{1,63}){0,3}\.(?:com|org|edu|gov|net|io|dev)"
            r"(?![\w(]|\.\w)"
        ),
    ),
)
"""What is written like code and is none: addresses, a plural as in "file(s)", issues, orders as in O(n), versions,
amounts, locales, acronyms with a digit, Node.js and its like, domains. Each with what a text must hold to have any."""


@noted(256)
def references(text: str) -> tuple[str, ...]:
    """Each reference as it is written, without parentheses: first code spans, then calls, dotted names and words.

    A word counts only if it is shaped like code (camelCase, snake_case) or marked as code; in a code span of several
    words, which may be a command, so does each word by itself. What `proper_names.txt` holds is no reference, except
    where it is called.
    """
    found = [*_spans(text), *_outside(_CODE.sub(" ", text))]
    return tuple(dict.fromkeys(found))


def unknown(text: str, names: frozenset[str]) -> tuple[str, ...]:
    """The references of the text that are not made of `names` alone; each of a dotted name's parts has to be one.

    A word is known too that is the proper name of what `names` has in small letters (OkHttp for okhttp), the plural of
    a type, or the label of a subject that has other separators than the name (`reverse_proxy: ...` for reverseproxy).
    """
    strange = [reference for reference in references(text) if not names.issuperset(names_in(reference))]
    strange = [reference for reference in strange if not _is_other_writing(reference, names)]
    if strange and (labels := _labels(text).intersection(strange)):
        squashed = {_squashed(name) for name in names}
        strange = [one for one in strange if one not in labels or _squashed(one) not in squashed]
    return tuple(strange)


def names_in(reference: str) -> tuple[str, ...]:
    """The identifiers that a reference consists of: `a.b.create` has three."""
    return tuple(NAME.findall(reference))


def looks_like_code(word: str) -> bool:
    """By its shape alone: camelCase, PascalCase, snake_case."""
    return bool(_SHAPED.search(word))


def is_proper(word: str) -> bool:
    """Whether `proper_names.txt` has it: a product, format, protocol or file that no diff has to have."""
    exact, folded = _proper_names()
    bare = word.rstrip("0123456789")
    forms = (word, word.removesuffix("s"), bare, bare.removesuffix("s"))
    return any(form in exact or (form[:1].isupper() and form.casefold() in folded) for form in forms if form)


@cache
def _proper_names() -> tuple[frozenset[str], frozenset[str]]:
    """(as written, in small letters)"""
    lines = Path(__file__).with_name("proper_names.txt").read_text(encoding="utf-8").splitlines()
    names = frozenset(name for line in lines if not line.startswith("#") for name in line.split())
    return names, frozenset(map(str.casefold, names))


def _spans(text: str) -> Iterator[str]:
    for match in _CODE.finditer(text):
        span = match[1].strip()
        if " " in span:
            yield from _outside(span)
        elif names_in(span) and not is_proper(span):
            yield span.rstrip("()!")


def _outside(text: str) -> Iterator[str]:
    chunks = _without_plain(text).split()
    for chunk in filter(_may_call, chunks):
        yield from _CALL.findall(chunk)
    for dotted in (name for chunk in filter(_may_be_dotted, chunks) for name in _DOTTED.findall(chunk)):
        if not is_proper(dotted) and not is_proper(dotted.lower()):
            yield dotted
    for word in dict.fromkeys(_WORD.findall(" ".join(map(_of_words, chunks)))):
        if _SHAPED.search(word) and not is_proper(word):
            yield word


def _may_call(chunk: str) -> bool:
    return "(" in chunk


def _may_be_dotted(chunk: str) -> bool:
    return "." in chunk or "::" in chunk


def _of_words(chunk: str) -> str:
    """A text without white space, without its calls and dotted names."""
    chunk = _CALL.sub(" (", chunk) if _may_call(chunk) else chunk
    return _DOTTED.sub(" ", chunk) if _may_be_dotted(chunk) else chunk


def _without_plain(text: str) -> str:
    """Without what is written like code and is none; a label's brackets are no call's."""
    if ":" in text:
        text = _LABEL.sub(lambda label: f" {label['kind']} {label['scope'] or ''} ", text)
        text = _CONVENTIONAL.sub(lambda head: f" {head['scope']} ", text)
    for marks, expression in _PLAIN:
        for mark in marks:
            if mark in text:
                text = expression.sub(" ", text)
                break
    return text


def _labels(text: str) -> frozenset[str]:
    """The words of the labels that begin a line."""
    parts = (part for label in _LABEL.finditer(text) for part in (label["kind"], label["scope"]) if part)
    return frozenset(word for part in parts for word in (*_WORD.findall(part), *_DOTTED.findall(part)))


def _is_other_writing(reference: str, names: frozenset[str]) -> bool:
    if not _PASCAL.fullmatch(reference):
        return False
    return reference.lower() in names or (reference.endswith("s") and reference.removesuffix("s") in names)


def _squashed(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
