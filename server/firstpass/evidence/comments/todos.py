"""The TODOs that a diff adds, from its comments. Knows no tree: the hunk alone shows `comments` what a comment is.

A docstring is a string, as the grammar has it, and no comment. A text for people may have a TODO as the head of a line.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from firstpass.evidence.comments.spans import Marked, Span, marked
from firstpass.evidence.comments.syntax import Syntax, syntax_of
from firstpass.evidence.diffs.diff import FileDiff, Hunk, LineKind

MARKERS = "TODO|FIXME|XXX|HACK"

_ASIAN = r"\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
"""Scripts that put no space between words, so that a marker may touch them."""

_QUOTES = "\"'`\u2018\u201c\u00ab\u300c"
_OPEN, _SHUT = r"(\[\uff08\u3010", r")\]\uff09\u3011"
_MARKER = re.compile(
    rf"(?<![^\W{_ASIAN}])(?<!\w[./\\-])(?<!\$)"
    rf"(?:(?P<tag>[@\\](?i:todo|fixme)|(?i:todo)(?=::\s))|(?:{MARKERS})(?:\s?[/|&+,]\s?(?:{MARKERS}))*+)"
    rf"(?![^\W{_ASIAN}])(?![.\-/\\]\w*[A-Za-z])(?![\"'`\u2019\u201d\u00bb\u300d]|\s*=)"
    rf"(?:[-#]\d{{1,9}}\b)?(?P<author>[{_OPEN}<][^()\[\]<>\uff08\uff09\n]{{0,80}}[{_SHUT}>]|"
    rf"\s\([^()\n]{{0,80}}\)(?=\s{{0,9}}[:\uff1a]))?"
    r"[.!\u3002\uff01]*(?P<after>[\s:\uff1a,\uff0c\u3001\u3002;\uff1b\-\u2013\u2014]*)"
)
_COLON = re.compile(r":(?=\s)|\uff1a")
_HEAD = re.compile(r"(?:[^\w\"'`]|[\"'`](?!\w)|\[[xX]\]|\d{1,3}[.)](?=\s))*+")
_SENTENCE_END = re.compile(
    r"(?:[.;:!?)\]\u2026]\s{1,3}|[(\[{|#]\s?|//\s?|(?:--|[-\u2013\u2014])\s|[\u3002\uff1b\uff1a\uff01\uff1f\uff0c\u3001\uff08]\s?)$"
)
_ALSO_A_MARKER = re.compile(rf"(?:and|or|&)\s+(?:{MARKERS})\b")
_ABOUT_MARKERS = re.compile(
    rf"{_ALSO_A_MARKER.pattern}|(?:lists|items|comments|markers?|apps?|application|entries|is an?|means)\b"
    r"|(?:list|item|file)(?=\s*$|\s*[.:,;)]|\s+(?:of|for|is|in|app|from|to|with|and)\b)"
)
_CLOSING_TAG = re.compile(r"(?<! ) ?</\w{1,40}>$")
_ITEM = re.compile(
    r"[\s>]{0,40}(?:(?:[-*+\u2022]|\d{1,3}[.)]|#{1,6})\s{1,8}){0,3}(?:\[ \]\s{1,8})?(?P<bold>[*_]{1,3})?"
    rf"(?:{MARKERS})(?:\([^()\n]{{0,80}}\)|\[[^\[\]\n]{{0,80}}\])?(?P=bold)?\s?(?::(?P=bold)?(?=\W)|\uff1a(?P=bold)?)\s*"
)
"""A line of a text for people that is a TODO by itself: its colon shows that it is no heading."""


def may_have_marker(text: str) -> bool:
    """Whether to look closer: most lines have none, and this is a tenth of the look."""
    folded = text.lower()
    plain = "todo" in folded or "fixme" in folded or "xxx" in folded or "hack" in folded
    return plain or not text.isascii()


def added_todos(files: Iterable[FileDiff]) -> tuple[str, ...]:
    """The text after each marker, in order, without repeats; a TODO that also stands on a removed line only moved."""
    files = tuple(file for file in files if any(may_have_marker(hunk.text) for hunk in file.hunks))
    moved = {normalised(text) for file in files for text in _todos(file, "removed")}
    found = {normalised(text): text for file in reversed(files) for text in reversed([*_todos(file, "added")])}
    return tuple(text for key, text in reversed(found.items()) if key not in moved)


def normalised(text: str) -> str:
    """What two TODOs are compared by: letters and digits count, case, spacing and a final stop do not."""
    return " ".join(text.casefold().split()).rstrip(".!:;, ")


def unmarked(text: str) -> str:
    """A TODO as somebody wrote it, without the marker, author and colon that it may begin with."""
    head = _HEAD.match(text)
    marker = _MARKER.match(text, head.end()) if head else None
    return text[marker.end() :] if marker else text


def todo_of(comment: str) -> str | None:
    """What a line of a comment, without its signs, asks for; None where it asks for nothing, or only speaks of TODOs.

    A marker counts at the line's head, after the end of a sentence, or with an author or a colon.
    """
    head = _HEAD.match(comment)
    for marker in _MARKER.finditer(comment):
        at_head = head is not None and marker.start() <= head.end()
        if _asks(comment, marker, at_head) and not _speaks_of_markers(comment, marker):
            return _asked(comment[marker.end() :])
    return None


def _asks(comment: str, marker: re.Match[str], at_head: bool) -> bool:
    begin = marker.start()
    if begin and comment[begin - 1] in _QUOTES:
        return False
    if at_head or marker["tag"]:
        return at_head
    named = marker["author"] or _COLON.search(marker["after"])
    return bool(named or _SENTENCE_END.search(comment[max(0, begin - 4) : begin]))


def _speaks_of_markers(comment: str, marker: re.Match[str]) -> bool:
    """As in "the TODO list" or "TODO and FIXME"; what a colon or an author introduces is none."""
    named = marker["author"] or ":" in marker["after"]
    return bool((_ALSO_A_MARKER if named else _ABOUT_MARKERS).match(comment, marker.end()))


def _asked(text: str) -> str | None:
    """Without what may close a comment or an element after it on the line."""
    text = _CLOSING_TAG.sub("", " ".join(text.partition("?>")[0].split()).rstrip("* "))
    return text if re.search(r"\w", text) else None


def _todos(file: FileDiff, kind: LineKind) -> Iterator[str]:
    for hunk in file.hunks:
        if any(line.kind == kind and _is_marked(line.text) for line in hunk.lines):
            yield from _in_hunk(hunk, kind, syntax_of(file.path))


def _is_marked(text: str) -> bool:
    return may_have_marker(text) and _MARKER.search(text) is not None


def _in_hunk(hunk: Hunk, kind: LineKind, syntax: Syntax) -> Iterator[str]:
    """The whole side of the hunk is read, since a comment may begin in a line that stays."""
    lines = hunk.after if kind == "added" else hunk.before
    text = "\n".join(line.text for line in lines)
    begins = (0, *accumulate(len(line.text) + 1 for line in lines))
    read = marked(text, syntax, whole=(hunk.new_start if kind == "added" else hunk.old_start) <= 1)
    for line, begin in zip(lines, begins, strict=False):
        if line.kind == kind and _is_marked(line.text):
            found = (todo_of(part) for part in _comments(read, text, begin, begin + len(line.text)))
            yield from filter(None, found)
            if _may_be_one(read, syntax, begin) and (item := _ITEM.match(line.text)):
                yield from filter(None, [_asked(line.text[item.end() :])])


def _comments(read: Marked, text: str, begin: int, end: int) -> Iterator[str]:
    """The parts of a line that are comments."""
    place = max(0, bisect_right(read.spans, begin, key=_begin) - 1)
    while place < len(read.spans) and read.spans[place].begin <= end:
        span = read.spans[place]
        if span.comment and span.end > begin:
            yield text[max(begin, span.begin) : min(end, span.end)]
        place += 1


def _may_be_one(read: Marked, syntax: Syntax, begin: int) -> bool:
    """Whether a line outside of comments may be a TODO: in a text for people, or in a hunk that is all comment.

    No line of code begins with a word, a colon and prose, so a hunk with such a line and no sign of a comment's begin
    or end is the middle of a long one.
    """
    place = bisect_right(read.spans, begin, key=_begin) - 1
    inside = place >= 0 and read.spans[place].end > begin
    return not inside and (syntax.prose or (bool(syntax.blocks) and not read.told))


def _begin(span: Span) -> int:
    return span.begin
