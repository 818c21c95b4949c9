"""Lines that a diff adds and that switch a protection off, or let text become code, a command, a query or markup.

Knows lines and words, no grammar. What stood in the same file before is not told again.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from firstpass.evidence.suspects.authority import guards_by_name
from firstpass.evidence.suspects.fault_rules import EXPOSURES, OPENED, QUERY, RUN, Rule
from firstpass.evidence.suspects.kept import Kept, Reading
from firstpass.evidence.suspects.leftovers import found, may_apply
from firstpass.evidence.suspects.suspicion import Suspect, quoted
from firstpass.evidence.trees.blocks import defined, squeezed
from firstpass.evidence.trees.masking import Masked

_CUT = 400
_BUILT = re.compile(
    r"\bf['\"].*\{|\$\{|#\{|['\"]\s*\+\s*[\w(]|['\"]\s*%\s*[\w(]|\.format\(|Sprintf\(.*%[svdq]|['\"]\s*\.\s*\$|\$\"[^\"]*\{|\bformat!\(|\"[^\"]*\$\w"
)
_TRUE = re.compile(
    r"(?:\|\|\s*true\b(?!\s*[;)\"']*\s*$)|\bif\s*\(?\s*(?:True|true|1)\s*(?:\bor\b|\|\|)|\bor\s+True\b|\bif\s*\(?\s*(?:False|false|0)\s*(?:\band\b|&&)|&&\s*false\b|\band\s+False\b)"
)
_PLAIN_HTTP = re.compile(r"http://(?P<host>[\w-]+(?:\.[\w-]+)+)")
_SECURE = re.compile(r"https://(?P<host>[\w-]+(?:\.[\w-]+)+)")
_ALWAYS = re.compile(
    r"^[ \t]*(?:return\s+(?:True|true|nil|null|Ok\(\(\)\)|Ok\(true\))|(?:return\s+)?next\(\)|true|True)"
    r"[ \t]*;?[ \t\r]*$",
    re.M,
)
_CONSTANTS = (
    "|| true",
    "or True",
    "true ||",
    "True or",
    "false &&",
    "False and",
    "&& false",
    "and False",
    "1 ||",
    "0 &&",
)
_AGREES = ("return True", "return true", "return nil", "return null", "next()", "Ok(())", "Ok(true)", "true", "True")
_RETURNS = re.compile(r"\s*(?:return|raise|throw|if)\b")


def exposures(kept: Kept) -> Iterator[Suspect]:
    text = kept.added_text
    active = [(rule, words) for rule in EXPOSURES if (words := [word for word in rule.words if word in text])]
    finders = [find for find, words in _FINDERS if any(word in text for word in words)]
    for file in kept.files if active or finders else ():
        if not file.is_test and file.added_text:
            yield from _by_rule(file, active)
            for find in finders:
                yield from find(file, kept)


def _by_rule(file: Reading, active: Sequence[tuple[Rule, list[str]]]) -> Iterator[Suspect]:
    mine = [
        rule_and_words
        for rule_and_words in active
        if (rule_and_words[0].dialects is None or file.dialect in rule_and_words[0].dialects)
        and not (file.only_shows and (rule_and_words[0].kind == "injection" or rule_and_words[0].says is OPENED))
    ]
    words = {word for _, found in mine for word in found}
    for hunk in file.hunks if words else ():
        for row in hunk.added_rows(words, lambda line: any(may_apply(rule, words, line) for rule, words in mine)):
            yield from _of_row(file, hunk, row, mine)


def _of_row(file: Reading, hunk: Masked, row: int, active: Sequence[tuple[Rule, list[str]]]) -> Iterator[Suspect]:
    after = hunk.after
    for rule, words in active:
        text = (after.raw if rule.on_raw else after.code)[row][:_CUT]
        if not any(word in text for word in words):
            continue
        match = rule.pattern.search(text)
        if not match or squeezed(match[0]) in file.removed_squeezed:
            continue
        if rule.says is QUERY and not _BUILT.search(text):
            continue
        if rule.says is RUN and defined(hunk.dialect, text) in ("eval", "exec"):
            continue
        yield found(rule.kind, file.path, hunk, row, rule.says.format(quoted(after.raw[row])))
        return


def _downgraded(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """`https://` that became `http://` for the same host."""
    hosts = {match["host"] for match in _SECURE.finditer(file.removed_text)} if "http://" in file.added_text else ()
    for hunk in file.hunks_that_add(("http://",)) if hosts else ():
        for row in hunk.added_rows(("http://",), lambda line: _PLAIN_HTTP.search(line[:_CUT])):
            match = _PLAIN_HTTP.search(hunk.after.raw[row][:_CUT])
            if match and match["host"] in hosts:
                text = f"An address lost its encryption: {quoted(match[0])}."
                yield found("authorization", file.path, hunk, row, text, 10)


def _always(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """A condition that was made always true or always false."""
    for hunk in file.hunks_that_add(_CONSTANTS) if file.dialect != "shell" else ():
        for row in hunk.added_rows(_CONSTANTS, lambda line: _TRUE.search(line[:_CUT])):
            if _TRUE.search(hunk.after.code[row][:_CUT]):
                text = f"The condition is always the same: {quoted(hunk.after.raw[row])}."
                yield found("leftover", file.path, hunk, row, text)


def _agreeing(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """A guarding function that now always agrees."""
    for hunk in file.hunks_that_add(_AGREES) if file.removed_text else ():
        for row in hunk.added_rows(_AGREES, lambda line: _ALWAYS.match(line[:_CUT])):
            if _ALWAYS.match(hunk.after.code[row][:_CUT]) and _stands_alone(hunk, kept, row):
                owner = kept.of(hunk).scope(hunk.after, row).owner
                if owner and guards_by_name(owner):
                    text = f"The check {quoted(owner, 40)} now always agrees: {quoted(hunk.after.raw[row])}."
                    yield found("authorization", file.path, hunk, row, text)


def _stands_alone(hunk: Masked, kept: Kept, row: int) -> bool:
    """Whether an added line took the place of lines that decided something."""
    run = hunk.runs[hunk.after.places[row]]
    gone = (one for one in hunk.changed(hunk.before) if hunk.runs[hunk.before.places[one]] == run)
    return len(kept.of(hunk).added_by_run.get(run, ())) == 1 and any(
        _RETURNS.match(hunk.before.code[one]) for one in gone
    )


_FINDERS: tuple[tuple[Callable[[Reading, Kept], Iterator[Suspect]], tuple[str, ...]], ...] = (
    (_downgraded, ("http://",)),
    (_always, _CONSTANTS),
    (_agreeing, _AGREES),
)
"""Each with the words of which one must stand on an added line."""
