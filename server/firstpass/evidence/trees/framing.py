"""Frames for a fragment in any language. Knows no diff and no tree.

The first languages' are made in `fragments`; those of the others follow from their descriptions in `grammars/`.
"""

import re
from collections.abc import Iterator
from itertools import islice

from firstpass.evidence.trees import fragments
from firstpass.evidence.trees.fragments import distinct, unmatched
from firstpass.evidence.trees.grammars import Language, described
from firstpass.evidence.trees.grammars.language import Words
from firstpass.evidence.trees.languages import LanguageName
from firstpass.evidence.trees.skeleton import Frame

_MOST, _MOST_OF_LONG, _LONG = 32, 9, 4_000
"""Frames that are tried, of a long text fewer; characters."""
_DEEPEST = 24
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_CONTINUED = re.compile(r"^[ \t]*\}[ \t]*(?P<word>[a-z]+)\b", re.M)


def frames(language: LanguageName, text: str, heading: str = "") -> Iterator[Frame]:
    """Frames worth trying, likeliest first. heading: of the hunk."""
    description = described(language)
    if description is None:
        yield from fragments.frames(language, text, heading)
        return
    yield Frame()
    most = _MOST_OF_LONG if len(text) > _LONG else _MOST
    yield from islice(distinct(_frames(description, text)), most)


def _frames(language: Language, text: str) -> Iterator[Frame]:
    comment = text.find("*/") + 2 if language.comments != "hash" else 0
    inside = comment > 1 and "/*" not in text[:comment]
    rest = text[comment:] if inside else text
    closers, missing = unmatched(rest)
    first = ("/*",) if inside else ("x",) if rest.lstrip().startswith((".", "?.")) else ()
    opens_comment = language.comments != "hash" and text.rfind("/*") > text.rfind("*/")
    after = ("*/", *missing) if opens_comment else missing
    if language.words:
        yield from _word_frames(language, text, closers, missing)
    for before, left in _block_frames(language, rest, closers):
        yield Frame((*before, *first), (*after, *left))
    yield Frame(first, after)
    for line in language.before:
        yield Frame((line,), (*after, *_CLOSERS.get(line[-1], "")))


def _block_frames(language: Language, text: str, closers: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """(The lines that open what the text closes and what may stand around that, what then still has to be closed)"""
    braces = closers.count("}")
    continued = _CONTINUED.search(text) if braces else None
    innermost = language.continued.get(continued["word"]) if continued else None
    headless = text.lstrip().startswith("{")
    brackets = language.parameters if ")" in closers else language.parameters[:1]
    for more in range(3):
        for levels in language.blocks:
            if more and braces + more > len(levels):
                continue
            for bracket in brackets:
                opened = _opened(levels, closers, bracket, more)
                if innermost and opened and opened[-1].endswith("{"):
                    yield [*opened[:-1], innermost], ["}"] * more
                yield [*opened, *([_head(levels)] if headless else [])], ["}"] * more


def _head(levels: tuple[str, ...]) -> str:
    """A line whose block comes next."""
    return next((level for level in levels if "(" in level), levels[0]).removesuffix("{").removesuffix("= ")


def _opened(levels: tuple[str, ...], closers: list[str], bracket: str, more: int) -> list[str]:
    """An opener for each closer, the outermost first, inside `more` blocks that the text does not close."""
    opened, depth = list(levels[:more]), more
    for closer in reversed(closers):
        if closer == "}":
            opened.append(levels[min(depth, len(levels) - 1)])
            depth += 1
        else:
            opened.append(bracket if closer == ")" else "[")
    return opened


def _word_frames(language: Language, text: str, closers: list[str], missing: tuple[str, ...]) -> Iterator[Frame]:
    """What opens the blocks that words close, and the words that close those which the text leaves open."""
    opened, left = _hanging_words(language, text)
    openers, closing = [words.opener for words in reversed(opened)], [words.closer for words in reversed(left)]
    if not language.blocks:
        closers, missing = [], ()
    brackets = [
        "x = [" if closer == "]" else "x = f(" if closer == ")" else language.blocks[0][0] for closer in closers[::-1]
    ]
    yield Frame((*openers, *brackets), (*missing, *closing))
    yield Frame((*brackets, *openers), (*closing, *missing))
    for line in language.before:
        words = next((words for words in language.words if words.opens.match(line)), None)
        if words:
            yield Frame((line, *brackets, *openers), (*missing, *closing, words.closer))
            yield Frame((*brackets, *openers[:-1], line), (*missing, *closing, *([] if openers else [words.closer])))


def _hanging_words(language: Language, text: str) -> tuple[list[Words], list[Words]]:
    """(The blocks that the text closes and does not open, those that it opens and does not close)"""
    closed: list[Words] = []
    opened: list[Words] = []
    by_word = {words.word: words for words in reversed(language.words)}
    for line in text.split("\n"):
        bare = line.strip()
        word = bare.split(" ")[0].split(".")[0].rstrip(";),") if bare[:1] != "}" else "}"
        if word in by_word:
            if opened:
                opened.pop()
            else:
                closed.append(by_word[word])
        elif begun := next((words for words in language.words if words.opens.match(bare)), None):
            opened.append(begun)
    return closed[-_DEEPEST:], opened[-_DEEPEST:]
