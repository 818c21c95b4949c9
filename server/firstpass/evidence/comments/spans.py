"""Which parts of a hunk's text are comments, and which are strings. Knows no tree, no diff and no TODO.

A hunk may begin inside a comment or a string. What shows it is the first end without a begin, and for strings whose
begin and end look alike, what stands beside the first of them. Every step moves forward, so the time is linear.
"""

import re
from functools import cache
from typing import NamedTuple

from firstpass.evidence.comments.syntax import CHARACTER, FENCE, Block, Quote, Syntax

_STARRED = r"^[ \t]*\*(?=[ \t@]|$)"
_OPENING_SIGNS = "=([{,:+?&|>!%\\"
_CLOSING_SIGNS = ")];,.}+%"
_MOST_BEFORE = 80
_MOST_INDENT = 80
_TAGS = ("tag", "named", "plain")
_PREFIX = re.compile(r"(?<!\w)[bBfFrRuU]{1,2}$")
_TAGGED = re.compile(
    r"(?<![\w.@])(?:css|gql|graphql|html|keyframes|md|raw|sql|svg|xml|@\w{1,40}|styled[\w.()]{0,40}|return)$"
)


class Span(NamedTuple):
    """Characters from begin to end of a comment, without its signs, or of a string."""

    begin: int
    end: int
    comment: bool


class Marked(NamedTuple):
    """spans: in order, apart from each other. told: whether any of several lines shows what the text began in."""

    spans: tuple[Span, ...]
    told: bool


def marked(text: str, syntax: Syntax, *, whole: bool = False) -> Marked:
    """whole: the text begins where its file does, so outside of everything."""
    return _Scan(text, syntax, whole).marked()


@cache
def _signs(syntax: Syntax) -> re.Pattern[str]:
    """All that may begin or end a comment or string: blocks before lines, since `--[[` begins with `--`."""
    parts = [f"(?P<b{at}>{block.opens})" for at, block in enumerate(syntax.blocks)]
    parts += [f"(?P<e{at}>{block.closes})" for at, block in enumerate(syntax.blocks)]
    parts += [f"(?P<s>{_STARRED})"] if syntax.starred else []
    parts += [f"(?P<l{at}>{sign})" for at, sign in enumerate(syntax.line)]
    parts += [f"(?P<q{at}>{_apart(quote.opens, at)})" for at, quote in enumerate(syntax.quotes)]
    return re.compile("|".join(parts) or r"(?!)", re.MULTILINE)


def _apart(opens: str, at: int) -> str:
    """The expression with its groups' names made its own."""
    return re.sub(r"\(\?P(<|=)(quote|tag|named|plain)", rf"(?P\1\g<2>{at}", opens)


@cache
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.MULTILINE)


class _Scan:
    """One pass over a text."""

    def __init__(self, text: str, syntax: Syntax, whole: bool) -> None:
        self._text, self._syntax = text, syntax
        self._spans: list[Span] = []
        self._told = whole
        self._unclosed: dict[int, int] = {}

    def marked(self) -> Marked:
        signs, at = _signs(self._syntax), 0
        while at <= len(self._text) and (match := signs.search(self._text, at)):
            at = max(self._after(match), match.start() + 1)
        return Marked(tuple(self._spans), self._told)

    def _after(self, match: re.Match[str]) -> int:
        """Where to go on after a sign."""
        group = match.lastgroup or ""
        kind, place = group[:1], int(group[1:] or 0)
        match kind:
            case "b":
                return self._block(match, self._syntax.blocks[place])
            case "e":
                return self._ended(match)
            case "s":
                return self._starred(match)
            case "l":
                return self._comment(match.end(), self._line_end(match.end()))
            case _:
                return self._string(match, place)

    def _comment(self, begin: int, end: int) -> int:
        self._spans.append(Span(begin, end, comment=True))
        return end

    def _block(self, match: re.Match[str], block: Block) -> int:
        self._told = True
        ends, depth = _pattern(f"(?P<more>{block.opens})|{block.closes}" if block.nests else block.closes), 1
        for end in ends.finditer(self._text, match.end()):
            depth += 1 if block.nests and end["more"] else -1
            if not depth:
                self._comment(match.end(), end.start())
                return end.end()
        return self._comment(match.end(), len(self._text)) + 1

    def _ended(self, match: re.Match[str]) -> int:
        """An end without a begin: the text began inside, if nothing has shown the opposite."""
        if not self._told:
            self._told = True
            self._spans = [Span(0, match.start(), comment=True)]
        return match.end()

    def _starred(self, match: re.Match[str]) -> int:
        line_end = self._line_end(match.end())
        close = self._text.find("*/", match.end(), line_end)
        return self._comment(match.end(), line_end if close < 0 else close)

    def _string(self, match: re.Match[str], place: int) -> int:
        quote = self._syntax.quotes[place]
        if match.start() < self._unclosed.get(place, 0):
            return match.end()
        if quote.alike and not self._told:
            self._told = True
            if self._closes(match, quote):
                self._spans = [Span(0, match.end(), comment=False)]
                return match.end()
        end = self._string_end(match, quote, place)
        if end is None and not quote.runs_on:
            self._give_up(match, quote, place)
            return match.end()
        self._spans.append(Span(match.start(), end or len(self._text), comment=False))
        return end or len(self._text) + 1

    def _give_up(self, match: re.Match[str], quote: Quote, place: int) -> None:
        """What has no closer here has none further on: not to look again for each opener keeps the time linear."""
        if quote != CHARACTER:
            self._unclosed[place] = self._line_end(match.end()) if r"\n" in quote.ends else len(self._text)

    def _string_end(self, match: re.Match[str], quote: Quote, place: int) -> int | None:
        if quote.ends:
            found = _pattern(quote.ends).match(self._text, match.end())
            return found.end() if found else None
        if "plain" in quote.opens:
            return self._heredoc_end(match, next(filter(None, (match[f"{name}{place}"] for name in _TAGS))))
        tag = match[f"tag{place}"] or ""
        closer = tag if tag.startswith("$") else f'){tag}"' if match[0].endswith("(") else f'"{tag}'
        end = self._text.find(closer, match.end())
        return None if end < 0 else end + len(closer)

    def _heredoc_end(self, match: re.Match[str], tag: str) -> int | None:
        """After the tag where it stands alone on a line, but for what closes the statement."""
        at = self._line_end(match.end())
        while (at := self._text.find(tag, at)) >= 0:
            before = self._text.rfind("\n", 0, at) + 1
            after = at + len(tag)
            if at - before <= _MOST_INDENT and not self._text[before:at].strip() and not _goes_on(self._text, after):
                return after
            at = after
        return None

    def _closes(self, match: re.Match[str], quote: Quote) -> bool:
        """Whether the first of marks that look alike ends a string that began before the text."""
        begin, end = self._text.rfind("\n", 0, match.start()) + 1, self._line_end(match.end())
        before = self._text[begin : match.start()].strip()
        after = self._text[match.end() : end].strip()
        if match[0] in self._text[match.end() : end]:
            return False
        before = _PREFIX.sub("", before[-_MOST_BEFORE:]).rstrip()
        if before:
            return before[-1] not in _OPENING_SIGNS and not _TAGGED.search(before)
        if after:
            return after[0] in _CLOSING_SIGNS
        above = self._text[max(0, begin - _MOST_BEFORE) : begin]
        if above.endswith("\n\n"):
            return quote != FENCE
        return bool(above) and above.rstrip()[-1:] not in tuple(_OPENING_SIGNS)

    def _line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end


def _goes_on(text: str, at: int) -> bool:
    return text[at : at + 1].isalnum() or text[at : at + 1] == "_"
