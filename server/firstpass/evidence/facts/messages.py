"""The string literals that changed lines raise, log or print. Knows no tree: a line and what it continues are read.

What is a message is decided by the call before the literal; a literal without letters is none.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from firstpass.evidence.diffs.diff import DiffLine, FileDiff, Hunk, LineKind
from firstpass.evidence.facts.changes import MOST_CHARACTERS, MessageChange, MessageKind

MOST_MESSAGES = 60
"""A file."""

_MOST_LINE_CHARACTERS = 1_000
_MOST_ROWS_BELOW = 6
_LIKE = 0.5

_ERROR = (
    r"\b(?:raise|throw|throws|panic!?|bail!|anyhow!|ensure!|unreachable!|unimplemented!|todo!|abort|die|fatal)\b"
    r"|\b(?:errors\.(?:New|Wrapf?|Errorf)|fmt\.Errorf|status\.Errorf?|Error::\w+|expect|reject|require|check|error"
    r"|IllegalArgumentException|IllegalStateException|\w{0,40}(?:Error|Exception|Err|Fatal))\s*\(|\bassert\b"
)
_LOG = (
    r"\b(?:log|logger|logging|LOG|LOGGER|Log|slog|zap|tracing|console|klog|glog|syslog|l|lgr"
    r"|Rails\.logger|timber|Timber)"
    r"(?:\.\w{1,30}(?:\(\))?){0,2}\.?\s*\(|\b(?:log|warn|info|debug|trace|error|warning)!?\s*\(|\b"
    r"(?:warnings\.warn)\s*\("
    r"|\.(?:Warnf?|Infof?|Debugf?|Errorf?|Tracef?|Fatalf?|Warning|Info|Debug|info|warn|warning|debug"
    r"|error|critical)\s*\("
)
_TEXT = (
    r"\b(?:print|println!?|printf|puts|echo|eprintln!?|eprint!?|print!|write!|writeln!|fmt\.(?:Print|Fprint|Sprint)\w*"
    r"|System\.(?:out|err)\.print\w*|sys\.std(?:out|err)\.write|process\.std(?:out|err)\.write|click\.echo|cout|cerr"
    r"|Console\.Write\w*|fprintf|perror|alert|NSLog)\b"
)
_KINDS: tuple[MessageKind, ...] = ("error", "log", "text")
"""Of calls that begin at one place, the first of these counts."""

_CALL = re.compile(f"(?P<error>{_ERROR})|(?P<log>{_LOG})|(?P<text>{_TEXT})")
_LITERAL = re.compile(
    r"[fFbBrRuU]{0,2}\"\"\"(?P<triple>(?:[^\"\\]|\\.|\"(?!\"\"))*)(?:\"\"\")?"
    r"|[fFbBrRuU]{0,2}\"(?P<double>(?:[^\"\\]|\\.)*)\"|[fFbBrRuU]{0,2}'(?P<single>(?:[^'\\]|\\.)*)'|`(?P<back>[^`]*)`"
)
_ONLY_LITERAL = re.compile(r"\s*[fFbBrRuU+%.]{0,2}\s*[\"'`]")
_GOES_ON = frozenset("(,+\\\"'`")
_SAYS = re.compile(r"[^\W\d_]{2}")


_Message = tuple[MessageKind, str, int]
"""Kind, text, line."""


def messages(file: FileDiff) -> tuple[MessageChange, ...]:
    """In order; a text that is on both sides of the file is left out."""
    pairs = [(_found(hunk, "removed"), _found(hunk, "added")) for hunk in file.hunks]
    old = {text for gone, _ in pairs for _, text, _ in gone}
    new = {text for _, come in pairs for _, text, _ in come}
    changes: list[MessageChange] = []
    for gone, come in pairs:
        if len(changes) >= MOST_MESSAGES:
            break
        changes += _changes([one for one in gone if one[1] not in new], [one for one in come if one[1] not in old])
    return tuple(changes[:MOST_MESSAGES])


def _changes(
    gone: list[tuple[MessageKind, str, int]], come: list[tuple[MessageKind, str, int]]
) -> Iterator[MessageChange]:
    left = gone[:MOST_MESSAGES]
    for kind, text, line in come[:MOST_MESSAGES]:
        match = next((old for old in left if old[0] == kind and _alike(old[1], text)), None)
        if match:
            left.remove(match)
        yield MessageChange("changed" if match else "added", kind, match[1] if match else None, text, line)
    for kind, text, line in left:
        yield MessageChange("removed", kind, text, None, line)


def _alike(old: str, new: str) -> bool:
    ours, theirs = set(old.split()), set(new.split())
    return len(ours & theirs) >= _LIKE * max(len(ours), len(theirs)) or _close(old, new)


def _close(old: str, new: str) -> bool:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return matcher.real_quick_ratio() > _LIKE and len(old) + len(new) < 2 * MOST_CHARACTERS and matcher.ratio() > 0.7


def _found(hunk: Hunk, side: LineKind) -> list[_Message]:
    if side not in hunk.kinds or not _has_quote(hunk.text):
        return []
    return list(_of_lines(hunk.after if side == "added" else hunk.before, side))


def _of_lines(lines: Sequence[DiffLine], side: LineKind) -> Iterator[_Message]:
    for row, line in enumerate(lines):
        text = line.text[:_MOST_LINE_CHARACTERS]
        if line.kind != side or not _has_quote(text):
            continue
        said = list(_literals(text))
        if not said:
            continue
        own = _kind(text)
        kind = own[0] if own else _kind_above(lines, row)
        if kind:
            number = (line.new if side == "added" else line.old) or 0
            begin = own[1] if own else 0
            yield from ((kind, words, number) for at, words in said if at >= begin)


def _has_quote(text: str) -> bool:
    return '"' in text or "'" in text or "`" in text


def _kind_above(lines: Sequence[DiffLine], row: int) -> MessageKind | None:
    """A line that is only a literal belongs to the call above it, also where that is context."""
    for at in range(row, max(-1, row - _MOST_ROWS_BELOW), -1):
        text = lines[at].text[:_MOST_LINE_CHARACTERS]
        if at < row and (own := _kind(text)):
            return own[0] if text.rstrip()[-1:] in _GOES_ON else None
        if not _ONLY_LITERAL.match(text):
            return None
    return None


def _kind(text: str) -> tuple[MessageKind, int] | None:
    """What the first call of a message on a line is for, and where it ends."""
    found = _CALL.search(text)
    return (next(kind for kind in _KINDS if found[kind] is not None), found.end()) if found else None


def _literals(text: str) -> Iterator[tuple[int, str]]:
    """(where it begins, its text)"""
    for match in _LITERAL.finditer(text):
        said = next((group for group in match.groups() if group is not None), "")
        said = " ".join(said.split())
        if (" " in said or len(said) > 12) and _SAYS.search(said):
            yield match.start(), said[:MOST_CHARACTERS]
