"""What a change of documentation is under, and the lines it adds. Knows the common marks of headings, no whole page."""

import re
from collections.abc import Iterator, Sequence

from firstpass.evidence.diffs.diff import DiffLine, FileDiff
from firstpass.evidence.facts.changes import MOST_CHARACTERS

MOST_HEADINGS = 30
MOST_TEXTS = 60
_HASHES = re.compile(r"#{1,6}\s+(?P<text>.*?)\s*#*\s*$|={1,5}\s+(?P<other>\S.*)$")
_RULE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|!?\[(?P<text>[^\]]{0,200})\]\([^)]{0,400}\)|\[\^?[\w-]{1,60}\]:\s.*")
_SAYS = re.compile(r"[^\W\d_]{2}")


def headings(file: FileDiff) -> tuple[str, ...]:
    """The last heading before each change, where the hunk or its heading shows one; and headings that are changed."""
    found = (text for hunk in file.hunks for text in _headings(hunk.heading, hunk.lines))
    return tuple(dict.fromkeys(text[:MOST_CHARACTERS] for text in found))[:MOST_HEADINGS]


def _headings(heading: str, lines: Sequence[DiffLine]) -> Iterator[str]:
    ruled = bool(lines) and _RULE.match(lines[0].text)
    above = _marked(heading) or (heading.strip() if ruled else None) or None
    for row, line in enumerate(lines):
        if line.kind != "removed" and (text := _heading(lines, row)):
            above = text
        if line.kind != "context" and line.text.strip() and above:
            yield above
            above = None


def _heading(lines: Sequence[DiffLine], row: int) -> str | None:
    """The heading that is on a row: marked by itself, or underlined by the row below."""
    text = lines[row].text
    if marked := _marked(text):
        return marked
    if (
        row + 1 < len(lines)
        and _RULE.match(lines[row + 1].text)
        and _SAYS.search(text)
        and len(text) <= MOST_CHARACTERS
    ):
        return text.strip() if len(lines[row + 1].text.rstrip()) >= min(len(text.strip()), 3) else None
    return None


def _marked(text: str) -> str | None:
    match = _HASHES.match(text[: 2 * MOST_CHARACTERS])
    return plain(match["text"] or match["other"] or "") or None if match else None


def texts(file: FileDiff) -> tuple[str, ...]:
    """The added lines that say something, without marks; a line that is also removed only moved."""
    lines = [line for hunk in file.hunks for line in hunk.lines]
    moved = {line.text.strip() for line in lines if line.kind == "removed"}
    added = (line.text for line in lines if line.kind == "added" and line.text.strip() not in moved)
    said = dict.fromkeys(plain(text) for text in added if _SAYS.search(text[: 2 * MOST_CHARACTERS]))
    return tuple(text for text in said if text)[:MOST_TEXTS]


def plain(text: str) -> str:
    """Without the marks of a list, a heading, a link or a tag."""
    text = _MARKUP.sub(lambda match: match["text"] or "", text[: 4 * MOST_CHARACTERS])
    return " ".join(text.strip().lstrip("#*-+>|. ").split())[:MOST_CHARACTERS]
