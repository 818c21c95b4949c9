"""Faults that an added line shows by itself: errors swallowed, debugging left in, code commented out, tests skipped.

Knows lines and their indentation, no grammar. Not told is what moved, and what is the job of a file: a command prints.
"""

import re
from collections.abc import Iterable, Iterator

from firstpass.evidence.suspects.fault_rules import FAULTS, PRINTS, SWALLOWS, Rule
from firstpass.evidence.suspects.kept import Kept, Reading
from firstpass.evidence.suspects.suspicion import WEIGHTS, Suspect, SuspectKind, quoted
from firstpass.evidence.trees.blocks import body, indent, is_code
from firstpass.evidence.trees.masking import Masked, lines_with

_CUT = 400


_PRINTING_PLACES = re.compile(
    r"(?:^|/)(?:cmd|cli|bin|scripts?|tools?|examples?|samples?|demos?|docs?|docs?_src|bench\w*|playground\w*|templates?|tasks?"
    r"|hack|ci|build|management/commands|devtools|contrib|stress|support|website|www|site|\.github)/|(?:^|/)(?:main|cli|__main__|setup|manage|noxfile|tasks"
    r"|build|fabfile|conf|console|repl|command\w*|\w*_cli|cli_\w*|release\w*|bump\w*|gulpfile|Gruntfile|rollup\S*|webpack\S*)\.\w+$|\.sh$",
    re.I,
)
_BROAD = re.compile(r"\s*except(?:\s*:|\s+\(?\s*(?:[\w.]*\.)?(?:Base)?(?:Exception|Error)\b(?:\s+as\s+\w+)?\s*:)")
_CATCHES = re.compile(
    r"\s*\}?\s*(?:catch\b[^{]{0,160}\{|rescue\b[^;]{0,100})\s*$|^\s*if\s+(?:let\s+Err\(_\w*\)\s*=.{1,160}|err\s*!=\s*nil)\s*\{\s*$"
)
_NOTHING = re.compile(r"\s*(?:pass|continue|\.\.\.|nil|)\s*;?\s*\}?\s*$")
_MEANT = re.compile(
    r"(?!.*\b(?:Exception|Throwable|Error)\s+\w|.*:\s*(?:Exception|Throwable)\b)"
    r".*\bcatch\b.*\b(?:ignore|ignored|expected|unused)\b"
)
"""A narrow class of error, and a name that says that it is not looked at."""
_INLINE = ("mod test", "#[test]", "#[cfg(test)]", "assert")
"""Of the tests that stand in the file that they test."""
_QUIET = frozenset(("pass", "cont", "...", "nil", "}", "});", "})", "end", "#", "};"))
_HANDLERS = ("except", "catch", "rescue", "err", "Err(")
_CONDITIONAL = re.compile(r"\s*(?:\}?\s*(?:if|else|elif|except|case|switch|for|catch|default|unless)\b)")
_RUNS = re.compile(r"__main__|\bfunc main\(|\bfn main\(|\bfun main\(|\bstatic void main\(|^#!", re.M)
_PRINTING = re.compile(
    r"\bprint(?:ln|f)?!?\(|\bconsole\.\w+\(|\bfmt\.Print|\bSystem\.out\.|\bputs\s|\bConsole\.Write|__main__|\bmain\("
)
_NOTE = re.compile(
    r"\b(?:do\s*not|don'?t|never)\s+(?:merge|commit|push|ship|check\s*in)\b|\bnocommit\b|\bno[-_ ]?merge\b"
    r"|\bremove\s+(?:this\s+)?before\s+(?:merg|commit|releas|ship|push)",
    re.I,
)
_NOTE_WORDS = ("merge", "commit", "ship", "push", "check", "release")


_Active = tuple[Rule, list[str]]


def faults(kept: Kept) -> Iterator[Suspect]:
    text = kept.added_text
    active = [(rule, words) for rule in FAULTS if (words := [word for word in rule.words if word in text])]
    handles = any(word in text for word in _HANDLERS)
    notes = _notes_in(text)
    for file in kept.files:
        if file.added_text:
            yield from _by_rule(file, active, kept)
            yield from _swallowed(file, kept) if handles and not (file.is_test or file.only_shows) else ()
            yield from _notes(file, kept) if notes else ()


def found(kind: SuspectKind, path: str, hunk: Masked, row: int, text: str, less: int = 0) -> Suspect:
    """A suspect on an added row."""
    line = hunk.hunk.lines[hunk.after.places[row]].new if path else None
    return Suspect(kind, path, line, None, text, WEIGHTS[kind] - less)


def _active(file: Reading, active: Iterable[_Active]) -> list[_Active]:
    """Those of the rules whose words were added that are for this file."""
    text = file.added_text
    mine = [
        (rule, words)
        for rule, words in active
        if (rule.dialects is None or file.dialect in rule.dialects)
        and (not file.is_test or rule.tests)
        and any(word in text for word in words)
    ]
    prints = any(rule.says is PRINTS for rule, _ in mine) and not _prints_for_a_living(file)
    return [(rule, words) for rule, words in mine if prints or rule.says is not PRINTS]


def _prints_for_a_living(file: Reading) -> bool:
    """Whether printing is the file's job: by its place, or since it printed before, or since it can be run."""
    if _PRINTING_PLACES.search(file.path) or _RUNS.search(file.added_text):
        return True
    return any(_PRINTING.search(line[:_CUT]) for hunk in file.hunks for line in hunk.before.code)


def _by_rule(file: Reading, active: Iterable[_Active], kept: Kept) -> Iterator[Suspect]:
    mine = _active(file, active)
    words = {word for _, found in mine for word in found}
    for hunk in file.hunks if words else ():
        for row in hunk.added_rows(words, lambda line: any(may_apply(rule, words, line) for rule, words in mine)):
            rule = next((rule for rule, _ in mine if _applies(rule, hunk, row)), None)
            if rule and kept.is_new(hunk, row):
                yield found(rule.kind, file.path, hunk, row, rule.says.format(quoted(hunk.after.raw[row])))


def _applies(rule: Rule, hunk: Masked, row: int) -> bool:
    after = hunk.after
    text = (after.raw if rule.on_raw else after.code)[row][:_CUT]
    if not any(word in text for word in rule.words) or not rule.pattern.search(text):
        return False
    if rule.says is PRINTS and hunk.dialect == "rust":
        return not any(word in text for word in _INLINE for text in (hunk.hunk.heading, *after.code))
    if rule.kind == "skipped-test":
        return not _depends(hunk, row)
    if rule.kind == "swallowed":
        return not _MEANT.match(text) and not after.comments[row].strip() and not _swallowed_before(hunk, row)
    return True


def _swallowed_before(hunk: Masked, row: int) -> bool:
    """Whether the lines that an added one replaces had a broad handler already."""
    run = hunk.runs[hunk.after.places[row]]
    gone = (one for one in hunk.changed(hunk.before) if hunk.runs[hunk.before.places[one]] == run)
    return any(_BROAD.match(hunk.before.code[one][:_CUT]) for one in gone)


def _depends(hunk: Masked, row: int) -> bool:
    """Whether a test is skipped only where a condition holds: a block around the line, or an argument below it."""
    code, lines = hunk.after.code, hunk.after.lines
    if code[row].rstrip().endswith("(") and row + 1 < len(code):
        return not code[row + 1].lstrip().startswith(("reason", "''", '""'))
    at = indent(lines[row])
    above = next(
        (one for one in range(row - 1, max(-1, row - 12), -1) if is_code(code[one]) and indent(lines[one]) < at), None
    )
    return above is not None and _CONDITIONAL.match(code[above][:_CUT]) is not None


def _swallowed(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """A handler whose block does nothing, and says nothing either."""
    handles = _BROAD if file.dialect == "python" else _CATCHES
    for hunk in file.hunks:
        for row in hunk.added_rows(_HANDLERS, lambda line: handles.match(line[:_CUT])) if _may_swallow(hunk) else ():
            code, raw = hunk.after.code[row][:_CUT], hunk.after.raw[row].strip()
            handler = handles.match(code)
            if not handler or _MEANT.match(code) or not _does_nothing(hunk, row, handler.end()):
                continue
            inside = next((hunk.after.raw[one].strip() for one in body(hunk.after, row)), "}")
            shown = raw if code[handler.end() :].strip() else f"{raw} {inside}"
            if kept.is_new(hunk, row):
                yield found("swallowed", file.path, hunk, row, SWALLOWS.format(quoted(shown)))


def _may_swallow(hunk: Masked) -> bool:
    """Whether a line with a word of a handler is followed by one that does nothing, as they stand."""
    if not any(word in hunk.added_text for word in _HANDLERS):
        return False
    new = [line.text for line in hunk.hunk.lines if line.kind != "removed"]
    return any(
        (following.lstrip()[:4].rstrip() in _QUIET or above.rstrip()[-4:] in ("pass", "inue"))
        and any(word in above for word in _HANDLERS)
        for above, following in zip(new, (*new[1:], ""), strict=True)
    )


def _does_nothing(hunk: Masked, row: int, end: int) -> bool:
    after = hunk.after
    rest = after.code[row][end:].strip()
    if rest:
        return _NOTHING.match(rest) is not None
    inside = body(after, row)
    if hunk.dialect == "python":
        return len(inside) == 1 and _NOTHING.match(after.code[inside[0]]) is not None
    last = inside[-1] if inside else row
    if last + 1 >= len(after.code) or any(after.comments[one].strip() for one in range(row, last + 2)):
        return False
    closed = after.code[last + 1].strip()[:1] == "}" or after.code[last + 1].strip() == "end"
    return closed and (not inside or (len(inside) == 1 and _NOTHING.match(after.code[inside[0]]) is not None))


def may_apply(rule: Rule, words: Iterable[str], line: str) -> bool:
    """A quick look at a line as it stands, before its strings and comments are told apart."""
    return any(word in line for word in words) and rule.pattern.search(line[:_CUT]) is not None


def _notes_in(text: str) -> bool:
    return any(_NOTE.search(line[:_CUT]) for line in lines_with(text.lower(), _NOTE_WORDS))


def _notes(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """A comment that says "do not merge", or the like."""
    for hunk in file.hunks:
        for row in hunk.changed(hunk.after) if _notes_in(hunk.added_text) else ():
            comment = hunk.after.comments[row]
            if _NOTE.search(comment[:_CUT]) and kept.is_new(hunk, row):
                text = f"A note says that this is not ready: {quoted(comment)}."
                yield found("leftover", file.path, hunk, row, text)
