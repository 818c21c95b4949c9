"""Definitions by words alone, a line at a time: for languages that no grammar reads, broken code and hunk headings.

Knows no tree and no diff.
"""

import re
from typing import NamedTuple

from firstpass.evidence.facts.changes import SymbolKind

MOST_CHARACTERS = 300
"""Of a line that are looked at."""


class Defined(NamedTuple):
    kind: SymbolKind
    name: str
    holder: str | None = None


_MODIFIERS = (
    "export|default|declare|pub|public|private|protected|internal|fileprivate|static|async|final|abstract|override|open"
    "|inline|suspend|virtual|extern|unsafe|const|sealed|data|partial|readonly|local|mut|mutating|implicit|lazy|case"
    "|tailrec|operator|infix|value|annotation|companion|inner|expect|actual|strictfp|synchronized|native|global|async"
)
_LEAD = rf"^\s*(?:(?:{_MODIFIERS})(?:\([\w\s]{{1,20}}\))?\s+|@\w+\s+){{0,6}}"
_NAME = r"(?P<name>[^\W\d][\w$]*[?!]?)"
_FUNCTION = re.compile(
    rf"{_LEAD}(?:def|defp|defmacro|fn|fun|func|function\*?|sub|proc|procedure|macro_rules!|rpc)\s+"
    r"(?:\((?P<receiver>[^()]{0,80})\)\s*)?(?:<[^<>]{0,80}>\s*)?"
    rf"(?:(?P<holder>[\w$]+)(?:<[\w, ]{{0,40}}>)?(?:\.|::|:))?{_NAME}"
)
_RECEIVER = re.compile(r"(\w+)(?:\[[^\[\]]*\])?\s*$")
_CLASS = re.compile(
    rf"{_LEAD}(?P<word>class|object|record|module|defmodule|namespace|extension|impl(?:<[^<>]{{0,80}}>)?|interface"
    rf"|enum(?:\s+class)?|struct|trait|protocol|union|type|mixin|message|service)\s+(?:[\w:<>, ]{{1,60}}\s+for\s+)?"
    rf"(?:[\w.]+(?:\.|::))?{_NAME}"
)
_ASSIGNED = re.compile(
    rf"^\s*(?:(?:export|default|const|let|var|public|private|protected|static|readonly|async)\s+){{0,4}}"
    rf"(?:(?P<holder>[\w$]{{1,60}})(?:\.prototype)?\.)?{_NAME}\s*(?::[^=]{{1,80}})?[:=]\s*(?:async\s+)?"
    r"(?:function\b|\([^()]{0,160}\)\s*(?::[^=]{1,80})?=>|[\w$]{1,60}\s*=>)"
)
_ASSIGNED_BELOW = re.compile(
    rf"^(?:export\s+)?const\s+(?P<holder>)?{_NAME}\s*(?::[^=]{{1,80}})?=\s*(?:async\s+)?\(\s*$"
)
_BLOCK_WORDS = (
    "if|for|foreach|while|switch|catch|return|match|with|do|try|super|new|await|when|else|elif|elsif|loop|unsafe|select"
    "|it|describe|test|beforeEach|afterEach|throw|yield|case|using|lock|guard|unless|until|defer|go|not|and|or|in|assert"
)
_BRACED = re.compile(
    rf"^\s*(?!(?:\}}\s*)?(?:{_BLOCK_WORDS})\b)(?:[\w<>\[\],@.?*&:]{{1,80}}\s+){{0,6}}[*&]{{0,2}}"
    rf"(?:(?P<holder>[^\W\d]\w{{0,60}})::)?(?P<name>[#~]?[^\W\d][\w$]*)\s*(?:<[^()]{{0,80}}>)?\((?P<rest>[^;]*)\{{\s*$"
)
_SQL = re.compile(
    r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+|TEMP\s+|TEMPORARY\s+|MATERIALIZED\s+)?"
    r"(?P<word>FUNCTION|PROCEDURE|TRIGGER|TABLE|VIEW|TYPE|INDEX)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    r"(?:[\w\"`\[\]]+\.)?[\"`\[]?(?P<name>\w+)",
    re.I,
)
_BLOCK = re.compile(
    r"^(?:resource|data|module|variable|output|provider)\s+\"(?P<first>[\w-]+)\"(?:\s+\"(?P<name>[\w-]+)\")?\s*\{"
)
_SHELL = re.compile(rf"^\s*{_NAME}\s*\(\)\s*\{{?\s*$")
_CLASSES = frozenset(("class", "object", "record", "module", "defmodule", "namespace", "extension", "impl"))
_NO_NAMES = frozenset(("function", "func", "fn", "class", "def", "if", "for", "while", "as", "is", "of", "in", "from"))


def indentation(line: str) -> int:
    """Columns before the text, a tab counted as four."""
    bare = line.lstrip()
    width = len(line) - len(bare)
    return width + 3 * line.count("\t", 0, width) if width else 0


def defined_in(line: str) -> Defined | None:
    """What a line begins to define, if anything."""
    text = line[:MOST_CHARACTERS]
    if not text.strip() or text.lstrip()[0] in "#/*.\"'`<":
        return None
    found = _function(text) or _class(text) or _other(text)
    return found if found and found.name not in _NO_NAMES else None


def _function(text: str) -> Defined | None:
    match = _FUNCTION.match(text)
    if match and match["receiver"]:
        receiver = _RECEIVER.search(match["receiver"])
        return Defined("method", match["name"], receiver[1] if receiver else None)
    match = match or _ASSIGNED.match(text) or _ASSIGNED_BELOW.match(text)
    if match is None:
        return None
    holder = match["holder"] if match["holder"] not in ("exports", "module", "this", "self") else None
    return Defined("method" if holder else "function", match["name"], holder)


def _class(text: str) -> Defined | None:
    match = _CLASS.match(text)
    if match is None or (text[match.end() :].lstrip()[:1] in ("=", ".", ",", ")") and match["word"] != "type"):
        return None
    return Defined("class" if match["word"].partition("<")[0] in _CLASSES else "type", match["name"])


def _other(text: str) -> Defined | None:
    if match := _SQL.match(text):
        return Defined("function" if match["word"].upper() in ("FUNCTION", "PROCEDURE") else "type", match["name"])
    if match := _BLOCK.match(text):
        return Defined("type", match["name"] or match["first"], match["first"] if match["name"] else None)
    if match := _SHELL.match(text):
        return Defined("function", match["name"])
    if (match := _BRACED.match(text)) and "=>" not in match["rest"] and "function" not in match["rest"]:
        return Defined("method" if match["holder"] else "function", match["name"].lstrip("#"), match["holder"])
    return None
