"""What a diff is about: its most telling names and words, ranked. Knows no model, no answer and no repository.

A word's weight is the chance that the author would use it in the subject, times its rarity: a logistic regression over
where the word stands (changed functions, new names, messages, comments, documentation, paths) and how often. It was
fitted by `models/recipes/salience` on commits of repositories that nothing is measured on; `tables/salience.json` has
the numbers.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Literal, NamedTuple, Protocol

from firstpass.evidence.comments.todos import MARKERS
from firstpass.evidence.diffs.diff import Diff, FileDiff
from firstpass.evidence.facts.files import Facts, FileFacts
from firstpass.evidence.facts.kinds import UNREAD_KINDS
from firstpass.evidence.salience.frequencies import TABLES
from firstpass.evidence.salience.vocabulary import tokens_in, words_of

MOST_TERMS = 24
_FIRST_WORDS = 4 * MOST_TERMS
"""The most telling ones: the rest is looked at only where these give too few terms."""

MOST_LINE_CHARACTERS = 400
MOST_FILE_CHARACTERS, MOST_CHARACTERS = 65_536, 524_288
"""Of changed lines that are read: of one file, and of all together."""

_KEYWORDS = frozenset(
    (
        "as", "async", "auto", "await", "bool", "boolean", "break", "byte", "case", "catch", "char", "class",
        "const", "continue", "def", "default", "defer", "del", "delete", "do", "double", "elif", "else", "end",
        "enum", "except", "export", "extends", "extern", "false", "final", "finally", "float", "fn", "for", "from",
        "fun", "func", "function", "goto", "if", "impl", "implements", "import", "in", "instanceof", "int",
        "interface", "is", "lambda", "let", "long", "loop", "match", "mod", "mut", "namespace", "new", "nil",
        "none", "not", "null", "nullptr", "or", "override", "package", "pass", "private", "protected", "pub",
        "public", "raise", "ref", "return", "self", "short", "static", "str", "string", "struct", "super", "switch",
        "template", "then", "this", "throw", "throws", "trait", "true", "try", "type", "typedef", "typeof",
        "undefined", "union", "unsafe", "use", "using", "val", "var", "void", "when", "where", "while", "with",
        "yield",
    )
)  # fmt: skip
"""Tokens that code is held together by. Their words count where prose or names have them."""

MOST_SENTENCES, MOST_PHRASES = 400, 8
FEWEST_WORDS = 3
"""Of a sentence that is worth quoting."""

RARITY_POWER = 0.7
"""What a word's rarity counts beside its chance; found on the repositories that the weights were fitted on."""

_COMMENT = re.compile(r"\s*(?://|#(?![!\[]|include|define|if|el|end|pragma)|/\*|\*|<!--|--\s|;)")
_MARKS = re.compile(
    r"^\s*(?:(?://+[!/]?|#+|/?\*+!?|<!--|--|;+|[-*+>]|\d{1,3}[.)])\s*)+|\s*(?:\*/|-->|#\})\s*$|[`*]{2,}|^\s*=+$"
)
_ITEM = re.compile(r"\s*(?://+|#+|\*)?\s*(?:[-*+]|\d{1,3}[.)])\s|\s*(?:@\w|:\w+:)")
_ENDS = re.compile(r"[.!?](?=\s)|\s--\s|;\s")
_NO_PROSE = re.compile(rf"[{{}};=<>|\\]|https?:|^[@:]\w|\]:|\]\(|\b(?:{MARKERS})\b|[Cc]opyright|[Ll]icen[cs]e")
_ADDRESS = re.compile(r"\b[a-z]{2,12}://[^\s\"'<>)\]]+")
"""Its host and path say nothing of a change."""

_STRING = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'|`([^`\n]*)`")

Where = Literal[
    "added", "removed", "tested", "commented", "quoted", "logged", "documented", "touched", "touched_test", "new",
    "base", "directory",
]  # fmt: skip
"""Where a word can stand: added and removed code, added tests, comments, string literals, lines of changelogs and of
documentation; names of changed functions, of changed tests and of new definitions; a file's name and directories."""

FEATURES = (
    "added", "removed", "tested", "commented", "quoted", "logged", "documented", "touched", "touched_test", "new",
    "base", "directory", "spread", "only_added", "only_removed", "rarity", "rarity_squared", "is_touched", "is_short",
)  # fmt: skip


_CAPPED = frozenset(("base", "directory"))
SHORT = 3
"""Letters of a word that is more often than not an abbreviation."""


class Rarity(Protocol):
    def rarity(self, word: str) -> float: ...


class Term(NamedTuple):
    """A name or word as the diff writes it.

    words: what it is made of. weight: how telling, 0 and up. sign: + where changed lines only add it, - where they only
    remove it, = else. code: whether it is a name rather than a word. paths: of the files whose changed lines have it.
    """

    text: str
    words: tuple[str, ...]
    weight: float
    sign: Literal["+", "-", "="]
    code: bool
    paths: tuple[str, ...] = ()


class Phrase(NamedTuple):
    """A sentence that the change adds in a comment, a message, its documentation or its changelog.

    words: what it is made of. weight: the mean of its words' weights times the square root of their number.
    """

    text: str
    path: str
    words: frozenset[str]
    weight: float


class Salience(NamedTuple):
    """What a diff is about, the most telling first."""

    terms: tuple[Term, ...] = ()
    phrases: tuple[Phrase, ...] = ()


@dataclass(slots=True)
class Words:
    """Everything that is counted in one diff.

    places: by word, where it stands and how often. files: by word, in how many files it is on changed lines. added,
    removed: tokens of changed lines. by_path: the tokens of each file's. named: the changed symbols. prose: tokens of
    comments, messages and documentation. sentences: these, with their path.
    """

    places: dict[str, dict[str, int]]
    files: Counter[str]
    added: set[str]
    removed: set[str]
    by_path: dict[str, set[str]]
    named: set[str]
    prose: set[str]
    sentences: dict[str, str]

    def count(self, where: Where, tokens: Mapping[str, int]) -> None:
        places = self.places
        for token, number in tokens.items():
            for word in words_of(token):
                place = places[word]
                place[where] = place.get(where, 0) + number


def salient(parsed: Diff, facts: Facts, rarity: Rarity) -> Salience:
    """The most telling terms first, MOST_TERMS at most; no word stands first in two of them. Deterministic."""
    words = placed(parsed, facts)
    weights = dict(weighed(words.places, words.files, len(parsed.files), rarity))
    terms = tuple(islice(_terms(words, weights), MOST_TERMS))
    return Salience(terms, tuple(_phrases(words, weights)))


def features(word: str, places: Mapping[str, int], files: int, all_files: int, rarity: Rarity) -> tuple[float, ...]:
    """By FEATURES. places: how often the word stands where. files: in how many of all it is on changed lines."""
    get = places.get
    rare = rarity.rarity(word)
    added = get("added", 0) + get("tested", 0) + get("commented", 0)
    removed = get("removed", 0)
    return (
        *(math.log1p(get(where, 0)) for where in FEATURES[:10]),
        min(get("base", 0), 2),
        min(get("directory", 0), 2),
        files / max(1, all_files),
        float(added > 0 and not removed),
        float(removed > 0 and not added),
        rare,
        rare * rare / 10,
        float(get("touched", 0) > 0),
        float(len(word) <= SHORT),
    )


def weighed(
    places: Mapping[str, Mapping[str, int]], files: Mapping[str, int], all_files: int, rarity: Rarity
) -> Iterator[tuple[str, float]]:
    """Each word with its weight: what `features` says, term by term, since most of a word's are zero."""
    of, intercept = _fitted()
    once, twice, spread, all_files = of["rarity"], of["rarity_squared"], of["spread"], max(1, all_files)
    for word, where in places.items():
        rare = rarity.rarity(word)
        added = "added" in where or "tested" in where or "commented" in where
        logit = intercept + once * rare + twice * rare * rare / 10
        if word in files:
            logit += spread * files[word] / all_files
        for place, times in where.items():
            logit += of[place] * (min(times, 2) if place in _CAPPED else math.log1p(times))
        if added != ("removed" in where):
            logit += of["only_added" if added else "only_removed"]
        if "touched" in where:
            logit += of["is_touched"]
        if len(word) <= SHORT:
            logit += of["is_short"]
        if not -60.0 < logit < 60.0:
            logit = math.copysign(60.0, logit)
        yield word, (rare if rare > 0.1 else 0.1) ** RARITY_POWER / (1 + math.exp(-logit))


@cache
def _fitted() -> tuple[Mapping[str, float], float]:
    """(coefficients by feature, intercept)"""
    fitted = json.loads((TABLES / "salience.json").read_text(encoding="utf-8"))
    assert tuple(fitted["features"]) == FEATURES, "the weights are of another version"
    return dict(zip(FEATURES, map(float, fitted["coefficients"]), strict=True)), float(fitted["intercept"])


def placed(parsed: Diff, facts: Facts) -> Words:
    """Where each word of the diff stands, and how often."""
    words = Words(defaultdict(dict), Counter(), set(), set(), {}, set(), set(), {})
    left = MOST_CHARACTERS
    for file, fact in zip(parsed.files, facts.files, strict=True):
        _count_path(words, fact)
        if left > 0 and fact.kind not in UNREAD_KINDS:
            left -= _count_lines(words, file, fact)
        _count_symbols(words, fact)
    return words


def _count_path(words: Words, fact: FileFacts) -> None:
    directory, _, base = fact.path.rpartition("/")
    sides: tuple[tuple[Where, str], ...] = (("base", base), ("directory", directory))
    for where, text in sides:
        for word in {word for token in tokens_in(text) for word in words_of(token)}:
            place = words.places[word]
            place[where] = place.get(where, 0) + 1


def _count_symbols(words: Words, fact: FileFacts) -> None:
    touched: Where = "touched_test" if fact.kind == "test" else "touched"
    for symbol in fact.symbols:
        words.named.add(symbol.name)
        words.count(touched, {symbol.name: 1})
        if symbol.verb in ("added", "renamed"):
            words.count("new", {symbol.name: 1})


def _count_lines(words: Words, file: FileDiff, fact: FileFacts) -> int:
    """Counts the tokens of the changed lines, and says how many characters were read."""
    lines = _Lines([], [], [])
    for hunk in file.hunks:
        for line in hunk.lines:
            if line.kind != "context":
                lines.take(line.kind == "added", line.text[:MOST_LINE_CHARACTERS])
        if lines.characters > MOST_FILE_CHARACTERS:
            break
    added, removed, commented = map(_counted, (lines.added, lines.removed, lines.commented))
    words.prose.update(commented)
    if fact.kind in ("changelog", "documentation"):
        where: Where = "logged" if fact.kind == "changelog" else "documented"
        words.count(where, added)
        words.count(where, commented)
        words.prose.update(added)
        _keep_prose(words, fact.path, sentences_of([*lines.added, *lines.commented]))
    else:
        words.count("tested" if fact.kind == "test" else "added", added)
        words.count("commented", commented)
        words.count("removed", removed)
        quoted = [text for found in _STRING.findall("\n".join(lines.added)) for text in found if text]
        in_strings = _counted(quoted)
        words.count("quoted", in_strings)
        words.prose.update(in_strings)
        _keep_prose(words, fact.path, [*quoted, *sentences_of(lines.commented)])
    words.added.update(added, commented)
    words.removed.update(removed)
    words.by_path[fact.path] = {*added, *removed, *commented}
    words.files.update(set[str]().union(*map(words_of, words.by_path[fact.path])))
    return lines.characters


def _counted(texts: Sequence[str]) -> Mapping[str, int]:
    return Counter(tokens_in("\n".join(texts))) if texts else {}


@dataclass(slots=True)
class _Lines:
    """One file's changed lines: added code, removed ones, added comments."""

    added: list[str]
    removed: list[str]
    commented: list[str]
    characters: int = 0

    def take(self, added: bool, text: str) -> None:
        self.characters += len(text) + 1
        text = _ADDRESS.sub(" ", text) if "://" in text else text
        (self.removed if not added else self.commented if _COMMENT.match(text) else self.added).append(text)


def _terms(words: Words, weights: Mapping[str, float]) -> Iterator[Term]:
    """For each word, the most telling first, the token that says it with the most other telling words in it."""
    order = sorted(sorted(weights), key=weights.__getitem__, reverse=True)
    told: set[str] = set()
    for some in (order[:_FIRST_WORDS], order[_FIRST_WORDS:]):
        by_word = _tokens_by_word(words, frozenset(some))
        for word in some:
            if word in told or not (tokens := by_word.get(word)):
                continue
            text = max(tokens, key=lambda token: (_worth(words_of(token), told, weights), -len(token), token))
            told.update(words_of(text))
            paths = tuple(path for path, tokens in words.by_path.items() if text in tokens)
            yield Term(text, words_of(text), weights[word], _sign(words, text), _is_code(text, words), paths)


def _worth(parts: Iterable[str], told: set[str], weights: Mapping[str, float]) -> float:
    """New telling words count, and each word more makes a name longer to read."""
    parts = tuple(parts)
    return sum(weights.get(word, 0.0) for word in parts if word not in told) - 0.02 * len(parts)


def _tokens_by_word(words: Words, wanted: frozenset[str]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for token in words.named | words.added | words.removed:
        parts = words_of(token)
        if wanted.isdisjoint(parts) or (token.lower() in _KEYWORDS and token not in words.named):
            continue
        for word in wanted.intersection(parts):
            found[word].append(token)
    return found


def _sign(words: Words, token: str) -> Literal["+", "-", "="]:
    added, removed = token in words.added, token in words.removed
    return "+" if added and not removed else "-" if removed and not added else "="


def _is_code(token: str, words: Words) -> bool:
    shaped = token in words.named or len(words_of(token)) > 1 or not token.isalpha() or not token[1:].islower()
    return shaped or token not in words.prose


def _keep_prose(words: Words, path: str, texts: Iterable[str]) -> None:
    for text in texts:
        if len(words.sentences) < MOST_SENTENCES and _is_running_text(text):
            words.sentences.setdefault(text, path)


def _is_running_text(text: str) -> bool:
    """Words, and no code, markup, address or TODO: that is said elsewhere."""
    tokens = text.split()
    return (
        len(tokens) >= FEWEST_WORDS
        and not _NO_PROSE.search(text)
        and not ("__" in text and any(map(_is_marked, tokens)))
        and sum(map(_is_word, tokens)) * 3 >= len(tokens) * 2
    )


def _is_marked(token: str) -> bool:
    """Whether emphasis of markup touches it, which would pass for a part of a name."""
    bare = token.strip(".,:;!?()'\"`")
    return bare.startswith("__") != bare.endswith("__")


def _is_word(token: str) -> bool:
    return token.strip(".,:;!?()'\"`").replace("-", "").replace("'", "").isalpha()


def sentences_of(lines: Iterable[str]) -> list[str]:
    """The first sentence of each paragraph of running text, without the signs of comments and of markup."""
    found: list[str] = []
    paragraph, in_block = "", False
    for line in (*lines, ""):
        bare = _MARKS.sub("", line).strip()
        starred = in_block and line.lstrip().startswith("*")
        if paragraph and (not bare or (not starred and _ITEM.match(line))):
            found.append(_first_sentence(paragraph))
            paragraph = ""
        in_block = (in_block or line.lstrip().startswith("/*")) and "*/" not in line
        paragraph = f"{paragraph} {bare}".strip() if len(paragraph) < MOST_LINE_CHARACTERS else paragraph
    return found


def _first_sentence(text: str) -> str:
    return _ENDS.split(text, maxsplit=1)[0].rstrip(" ./*-=#:,;")


def _phrases(words: Words, weights: Mapping[str, float]) -> list[Phrase]:
    """Sentences whose words are few and telling."""
    found = []
    for text, path in words.sentences.items():
        parts = frozenset(word for token in tokens_in(text) for word in words_of(token))
        if parts:
            weight = sum(weights.get(word, 0.0) for word in parts) / math.sqrt(len(text.split()))
            found.append(Phrase(text, path, parts, weight))
    return sorted(found, key=lambda phrase: (-phrase.weight, phrase.text))[:MOST_PHRASES]
