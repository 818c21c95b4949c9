"""Code that a diff adds as a comment. Knows lines, no grammar.

A comment in prose, one that documents, and an example are no code. A single line is told only where the diff removes
that very line as code: a lone comment that could be code mostly explains some.
"""

import re
from collections.abc import Iterator

from firstpass.evidence.suspects.kept import Kept, Reading
from firstpass.evidence.suspects.leftovers import found
from firstpass.evidence.suspects.suspicion import Suspect, quoted
from firstpass.evidence.trees.blocks import is_code, squeezed
from firstpass.evidence.trees.masking import Masked

_CUT = 400
_COMMENT = re.compile(r"^[ \t]*(?:#(?![!\[:])|//(?![/!]))[ \t]?(?P<text>.*)$", re.M)
_PROSE = re.compile(
    r"^[A-Z][a-z]+ [a-z]+ |\b(?:the|is|are|this|that|we|will|should|because|when|if you|which|e\.g\.|i\.e\.|note|see"
    r"|example|usage|returns?:)\b [a-z]|\.\s*$|:\s*$",
    re.I,
)
_STATEMENT = re.compile(
    r"^\s*(?:[\w.$\[\]'\"]{1,60}\s*(?:[+\-*/|&]?=|:=|<-)\s*[^=\s].*[\w)\]}\"';]$"
    r"|(?:await\s+|return\s+|yield\s+|throw\s+|raise\s+)?[\w.$:!]{1,80}\(.*\)\s*[;{?]?$"
    r"|(?:return|import|from|const|let|var|val|if|for|while|elif|raise|throw|assert|del|with)\b.*[;:{)\]]$"
    r"|return\s+[\w.\"'\[\](){}]{1,60};?$|(?:def|class|func|fn|fun|function|public|private)\s+\w.*[:{)]$"
    r"|\}(?:\s*else\s*\{)?;?$|@[\w.]{2,40}(?:\(.*\))?$)"
)


_MARKS = frozenset("(=;{[")
_LEAST = 6
"""Characters of a lone line, without blanks."""


def commented_out(kept: Kept) -> Iterator[Suspect]:
    for file in kept.files if "#" in kept.added_text or "//" in kept.added_text else ():
        for hunk in file.hunks_that_add(("#", "//")):
            texts = [match["text"][:_CUT] for match in _COMMENT.finditer(hunk.added_text)]
            if any(_reads_as_code(text) or _was_code(text, kept) for text in texts):
                yield from _in_hunk(file, hunk, kept)


def _in_hunk(file: Reading, hunk: Masked, kept: Kept) -> Iterator[Suspect]:
    group: list[tuple[int, str]] = []
    for row in (*hunk.changed(hunk.after), len(hunk.after.lines)):
        text = _commented(hunk, row)
        if group and (text is None or row != group[-1][0] + 1):
            yield from _grouped(file, hunk, group, kept)
            group = []
        if text is not None:
            group.append((row, text))


def _commented(hunk: Masked, row: int) -> str | None:
    """The text of a line that is a comment alone and no documentation."""
    side = hunk.after
    if row >= len(side.lines) or not side.comments[row].strip() or is_code(side.code[row]):
        return None
    comment = _COMMENT.match(side.comments[row])
    return comment["text"][:_CUT] if comment else None


def _grouped(file: Reading, hunk: Masked, group: list[tuple[int, str]], kept: Kept) -> Iterator[Suspect]:
    """One suspect for lines in a row."""
    if _had_comments(hunk, group[0][0]):
        return
    was = next(((row, text) for row, text in group if _was_code(text, kept)), None)
    if was:
        yield found("commented-out", file.path, hunk, was[0], f"Code was commented out: {quoted(was[1])}.")
        return
    code = [(row, text) for row, text in group if _reads_as_code(text)]
    if len(code) >= 2 and len(code) * 4 >= len(group) * 3:
        yield found("commented-out", file.path, hunk, code[0][0], f"Code was added as a comment: {quoted(code[0][1])}.")


def _had_comments(hunk: Masked, row: int) -> bool:
    """Whether the comment takes the place of one that read as code already."""
    before, run = hunk.before, hunk.runs[hunk.after.places[row]]
    gone = (
        one for one in hunk.changed(before) if hunk.runs[before.places[one]] == run and not is_code(before.code[one])
    )
    return any((old := _COMMENT.match(before.comments[one])) and _reads_as_code(old["text"][:_CUT]) for one in gone)


def _was_code(text: str, kept: Kept) -> bool:
    bare = squeezed(text)
    return len(bare) >= _LEAST and not _MARKS.isdisjoint(bare) and not _reads_as_prose(text) and bare in kept.removed


def _reads_as_prose(text: str) -> bool:
    bare = text.strip()
    return bare[-1:] not in (";", "{", ")") and _PROSE.search(bare) is not None


def _reads_as_code(text: str) -> bool:
    bare = text.strip()
    return len(bare) > 1 and not _reads_as_prose(bare) and _STATEMENT.match(bare) is not None
