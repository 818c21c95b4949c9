"""Constants, fields and properties, a line at a time. Knows no tree: who asks says what the line stands in."""

import re
from typing import Literal, NamedTuple

from firstpass.evidence.facts.by_words import MOST_CHARACTERS
from firstpass.evidence.facts.changes import SymbolKind

Place = Literal["top", "class", "type"]
"""What a line stands in directly: nothing, a class, or an interface, a struct or an enum."""


class Value(NamedTuple):
    """opens: whether the line ends in a bracket that later lines close."""

    kind: SymbolKind
    name: str
    opens: bool


_MODIFIERS = r"(?:(?:public|private|protected|internal|static|final|readonly|volatile|transient|override|abstract|const|lateinit|open|lazy|weak|declare|export|default|pub(?:\(\w+\))?)\s+)"  # noqa: E501
_NAME = r"(?P<name>[^\W\d][\w$]*)"
_PYTHON_TOP = re.compile(rf"{_NAME}\s*(?::[^=]{{1,120}})?=(?!=)")
_PYTHON_FIELD = re.compile(rf"\s+{_NAME}\s*(?::\s*[^=\s][^=]{{0,160}}(?:=|$)|=(?!=))")
_SCRIPT_TOP = re.compile(
    rf"(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:const|let|var)\s+{_NAME}\s*(?::[^=]{{1,160}})?=(?!\s*(?:await\s+)?(?:require|import)\()"
)
_SCRIPT_FIELD = re.compile(
    rf"\s+{_MODIFIERS}{{0,5}}(?:get\s+)?#?{_NAME}[?!]?\s*(?::\s*[^=;]{{1,200}}(?:[=;,|{{]|$)|=(?![=>]))"
)
_GO_TOP = re.compile(rf"(?:const|var)\s+{_NAME}\b")
_GO_FIELD = re.compile(rf"\s+{_NAME}(?:\s*,\s*\w+){{0,8}}\s+[\w*\[\]().{{}}]+")
_RUST_CONSTANT = re.compile(rf"\s*(?:pub(?:\([\w:\s]+\))?\s+)?(?:const|static)\s+(?:mut\s+)?{_NAME}\s*:")
_RUST_FIELD = re.compile(rf"\s+(?:pub(?:\([\w:\s]+\))?\s+)?{_NAME}\s*(?::(?!:)|,\s*$|\(|\{{\s*$|=\s*-?\d|$)")
_TYPED_FIELD = re.compile(
    rf"\s+{_MODIFIERS}{{1,6}}[\w<>\[\],.?]+(?:\s*<[\w<>\[\],.? ]{{1,80}}>)?\s+{_NAME}\s*(?:=|;|\{{\s*(?:get|set))"
)
_WORD_FIELD = re.compile(
    rf"\s*(?:@\w+(?:\([^()]{{0,80}}\))?\s+)?{_MODIFIERS}{{0,6}}(?:val|var|let)\s+(?:<[^<>]{{1,40}}>\s*)?{_NAME}"
)
_PHP_FIELD = re.compile(rf"\s+{_MODIFIERS}{{1,5}}(?:\??\w+\s+)?\$?{_NAME}\s*[=;]")
_DEFINE = re.compile(rf"\s*#\s*define\s+{_NAME}")
_ALL_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]+$")
_OPENS = re.compile(r"[(\[{]\s*(?://.*|#.*|/\*.*)?$")
_NO_NAME = re.compile(
    r"(?:return|if|else|for|while|case|default|import|from|package|type|self|this|func|go|defer|switch|var|const|in|not"
    r"|and|or|yield|await|pass|raise|del|with|try|new|throw)$"
)

_SCRIPTS = frozenset(("javascript", "typescript", "tsx", "vue", "svelte"))
_WORDED = frozenset(("kotlin", "swift", "scala"))


def value_in(language: str | None, line: str, place: Place) -> Value | None:
    """What a line gives a value or a type to, if it stands in such a place."""
    text = line[:MOST_CHARACTERS]
    match, kind = _matched(language, text, place)
    if match is None or _NO_NAME.match(match["name"]):
        return None
    opens = _OPENS.search(text) is not None
    known = kind != "constant" or language != "python" or opens or _ALL_CAPITALS.match(match["name"])
    return Value(kind, match["name"], opens) if known else None


def _matched(language: str | None, text: str, place: Place) -> tuple[re.Match[str] | None, SymbolKind]:
    top = place == "top"
    kind: SymbolKind = "constant" if top else "field"
    if language == "python":
        return (_PYTHON_TOP if top else _PYTHON_FIELD).match(text), kind
    if language in _SCRIPTS:
        return (_SCRIPT_TOP if top else _SCRIPT_FIELD).match(text), kind
    if language == "go":
        return (_GO_TOP if top else _GO_FIELD).match(text) if top or place == "type" else None, kind
    if language == "rust":
        if match := _RUST_CONSTANT.match(text):
            return match, "constant"
        return None if top else _RUST_FIELD.match(text), kind
    if language in _WORDED:
        return _WORD_FIELD.match(text), "constant" if top else "property"
    if match := _DEFINE.match(text):
        return match, "constant"
    return None if top else _TYPED_FIELD.match(text) or _PHP_FIELD.match(text), kind
