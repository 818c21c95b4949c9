"""Checks of values, assertions and the handling of errors that a diff takes away, and assertions gone from tests.

Knows lines and their indentation, no grammar. A loss is told where code that ran past the check runs after the change
too, and nothing of its kind was added in its place: a rewritten function is the reviewer's to read, not ours to accuse.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from firstpass.evidence.suspects.authority import guard_on, parts
from firstpass.evidence.suspects.kept import Kept, Reading
from firstpass.evidence.suspects.suspicion import WEIGHTS, Suspect, SuspectKind, quoted
from firstpass.evidence.trees.blocks import body, indent, is_code, squeezed
from firstpass.evidence.trees.masking import Masked, lines_with

_CUT = 400
_NEAR = 12
"""Lines of a hunk within which an added check takes the place of a removed one."""
_IF = re.compile(r"\s*(?:\}\s*)?(?:if|unless|elif|else if|guard)\b")
_FAILS = re.compile(
    r"(?:^|\s|\{|:)(?:raise\s+\(?\w|throw\s+(?:new\s+)?\w|panic[(!]|bail!\(|return\s+(?:\w+,\s*){0,3}(?:errors?\.\w+|fmt\.Errorf|Err)\("
    r"|return\s+(?:\w+,\s*){0,3}[eE]rr[A-Z]\w*|return\s+.{0,40}\bstatus\(4\d\d\)|abort\(4\d\d|\breject\()"
)
_MESSAGE = re.compile(r"[\"']([^\"'{}%]{12,120})")
_FAILURE = re.compile(r"(?:raise|throw(?:\s+new)?)\s+(?P<name>[\w.]{3,60})")
_VALIDATES = re.compile(
    r"\b\w*[sS]chema\w*\.(?:parse|safeParse|parseAsync|validate|validateSync|validateAsync|load)\(|\b(?:[a-z]\w*\.)?validate\w*\("
    r"|\.full_clean\(|\.is_valid\(|^\s*validates?(?:_\w+)?\s+:|\bparams\.require\(|\.ShouldBind\w*\("
)
_CONSTRAINT = re.compile(
    r"\s*(?:@(?:Valid|Validated|NotNull|NotBlank|NotEmpty|Size|Min|Max|Pattern|Email|Positive|Digits|validator|field_validator|root_validator"
    r"|model_validator|validates(?:_schema)?|validate_call|Is[A-Z]\w+|MinLength|MaxLength|Length|Matches)\b"
    r"|\[(?:Required|MaxLength|MinLength|StringLength|Range|RegularExpression|EmailAddress)\b)"
)
_BOUND = re.compile(
    r"(?:binding|validate):\"[^\"]{1,80}\"|@(?:Valid|Validated|NotNull|NotBlank|Size)\b(?:\([^)]{0,60}\))?"
)
_ASSERTS = re.compile(
    r"\s*(?:assert\b(?!\w)|assert\w*\(|assert[.!(]|(?:debug_)?assert\w*!\(|invariant\(|Preconditions\.\w+\(|Objects\.requireNonNull\w*\("
    r"|checkNotNull\(|checkArgument\(|requireNotNull\(|checkState\(|console\.assert\(|static_assert\(|Debug\.Assert\(|precondition\(|Assert\.\w+\()"
)
_KOTLIN_ASSERTS = re.compile(r"\s*(?:require|check)\s*\(")
_TEST_ASSERTS = re.compile(
    r"(?:^|[\s.({!;])(?:match=|\.to[A-Z]|assert\w*[\s(!.]|self\.assert\w+\(|expect\b|expect\w*\(|t\.(?:is|same|equal|not|ok|notOk|match|throws|rejects|deepEqual|strictEqual|true|false"
    r"|fail|like|Error|Errorf|Fatal|Fatalf|Log)\w*\(|require\.[A-Z]\w*\(|\w+\.(?:should|must)\b|pytest\.raises|with_raises|raises\(|verify\w*\(|check\w*\(|fail\w*\(|chai|should\."
    r"|match\w*\(|mock\w*\.assert|panic!\(|eq\(|fail\b|\b\w*(?i:check|verify|assert|expect|compare|match|validate|ensure)\w*\(|\b(?:test|until|wait)[A-Z_]\w*\()"
)
_STRICT_ASSERTS = re.compile(
    r"\s*(?:await\s+)?(?:assert\b|assert\w*[(!.]|self\.assert\w+\(|expect\(|t\.(?:is|same|equal|ok|notOk|deepEqual|strictEqual|throws|rejects)\("
    r"|(?:assert|require)\.[A-Z]\w*\(|(?:debug_)?assert\w*!\(|assertThat\(|Assert\.\w+\(|mock\w*\.assert\w+\(|.{1,80}\.should\b)"
)
_CHECKING = frozenset(
    (
        "validate",
        "validates",
        "validated",
        "validator",
        "check",
        "checked",
        "ensure",
        "assert",
        "verify",
        "require",
        "must",
        "guard",
        "expect",
        "invariant",
        "safe",
    )
)
_LITERAL = re.compile(r"([\"'`])[^\"'`]{2,80}\1")
_EXCEPT = re.compile(r"\s*\}?\s*(?:except\b|catch\b|rescue\b)(?P<what>[^:{]{0,120})")
_HANDLES = re.compile(
    r"\b(?:with|finally|except|catch|rescue|suppress|recover|runCatching|onFailure|Result|raises|try)\b|\.catch\(|\.or_else|map_err"
)
_HARMLESS = re.compile(
    r"\b(?:ImportError|ModuleNotFoundError|NameError|ClassNotFoundException|NoSuchMethodException)\b"
)
_ERR = re.compile(r"(?<![\w.])[eE]rr\w*\s*!=\s*nil")
_CALLEE = re.compile(r"(?P<name>\w[\w.]*(?<=\w))\((?!.*\bfunc\b)")
_UNWRAPPED = re.compile(r"\.(?:unwrap\(\)|expect\([^()]*\))")
_QUESTION = re.compile(r"\?(?=[;.,)\s]|$)")
_CLOSING = re.compile(
    r"\s*(?:defer\s+[\w.]+(?:Close|Unlock|RUnlock|Done|Cancel|cancel|Release|Rollback|Stop)\w*\(|finally\b|\}\s*finally\b|ensure\s*$"
    r"|(?:async\s+)?with\s+[\w.]*(?:lock|Lock|mutex|semaphore)\w*\b|[\w.]*(?:lock|mutex|mu|Lock)\.(?:acquire|Lock|RLock|lock|readLock)\(|synchronized\s*\(|lock\s*\()"
)
_CLOSES = re.compile(r"(?i)lock|mutex|close|cancel|finally|defer|with\b|stop|atomic|synchronized|ensure\b|release")
_TIMEOUT = re.compile(
    r",?\s*\b(?:timeout|timeout_seconds|connect_timeout|read_timeout)\s*[=:]\s*[\w.]+(?:\(\))?|\.(?:timeout|with_timeout|setTimeout)\([^()]*\)"
)


class _Loss(NamedTuple):
    kind: SuspectKind
    row: int
    text: str


def losses(kept: Kept) -> Iterator[Suspect]:
    text = kept.removed_text
    in_code = [(find, present, gate) for find, words, gate in _IN_CODE if (present := [w for w in words if w in text])]
    in_tests = [
        (find, present, gate) for find, words, gate in _IN_TESTS if (present := [w for w in words if w in text])
    ]
    for file in kept.files:
        for hunk in file.hunks if (in_code or in_tests) and not file.only_shows else ():
            for find, words, gate in (in_tests if file.is_test else in_code) if hunk.removed_text else ():
                if any(gate(line[:_CUT]) for line in lines_with(hunk.removed_text, words)):
                    for loss in find(hunk, kept):
                        yield _suspect(file, hunk, loss)


def _suspect(file: Reading, hunk: Masked, loss: _Loss) -> Suspect:
    place = hunk.before.places[loss.row]
    old = hunk.hunk.lines[place].old
    return Suspect(loss.kind, file.path, hunk.nearest[place], old, loss.text, WEIGHTS[loss.kind])


def _in(hunk: Masked, kept: Kept, row: int) -> str:
    owner = kept.of(hunk).scope(hunk.before, row).owner
    return f" in {quoted(owner, 40)}" if owner else ""


def _checks(hunk: Masked, kept: Kept) -> Iterator[_Loss]:
    """Conditions that fail, calls that validate, constraints, assertions."""
    before = hunk.before
    for row in hunk.changed(before):
        code, raw = before.code[row][:_CUT], before.raw[row][:_CUT]
        if not is_code(code):
            continue
        kind, said = _check(hunk, row, code, raw)
        if kind is None or kept.adds(before, row) or not _is_lost(hunk, kept, row, kind):
            continue
        yield _Loss(kind, row, f"The {said}{_in(hunk, kept, row)} was removed.")


def _check(hunk: Masked, row: int, code: str, raw: str) -> tuple[SuspectKind | None, str]:
    if _ASSERTS.match(code) or (hunk.dialect == "kotlin" and _KOTLIN_ASSERTS.match(code)):
        return "assertion", f"assertion {quoted(raw)}"
    if _CONSTRAINT.match(code):
        return "validation", f"constraint {quoted(raw)}"
    if _IF.match(code) and (failure := _failure(hunk, row)):
        return (
            (None, "")
            if guard_on(hunk.dialect, raw, code)
            else ("validation", f"check {quoted(raw, 48)} that {failure}")
        )
    if _VALIDATES.search(code) and not re.match(r"\s*(?:async\s+)?(?:def|function|func|fn|fun)\b", code):
        return "validation", f"validation {quoted(raw)}"
    return None, ""


def _failure(hunk: Masked, row: int) -> str | None:
    """What a removed condition leads to, where that fails and is removed too."""
    before = hunk.before
    inside = body(before, row)[:8]
    if _ERR.search(before.code[row]) or before.code[row].lstrip().startswith(("}", "el")):
        return None
    for at in (row, *inside):
        code = before.code[at][:_CUT]
        direct = at == row or indent(before.lines[at]) == indent(before.lines[inside[0]])
        if direct and hunk.is_changed(before, at) and _FAILS.search(code):
            named = _FAILURE.search(code)
            return f"raises {quoted(named['name'], 40)}" if named else "fails"
    return None


def _says_it_elsewhere(hunk: Masked, kept: Kept, row: int) -> bool:
    """Whether the message of a failure that was removed stands on an added line."""
    texts = (hunk.before.raw[at][:_CUT] for at in (row, *body(hunk.before, row)[:8]))
    messages = (message for text in texts for message in _MESSAGE.findall(text))
    return any(message in file.added_text for message in messages for file in kept.files)


def _is_lost(hunk: Masked, kept: Kept, row: int, kind: SuspectKind) -> bool:
    changed = kept.of(hunk)
    if changed.scope(hunk.before, row).owner in changed.gone or not kept.code_below_stays(hunk, row):
        return False
    beside = changed.added_beside(row)
    if len(beside) > 6:
        return False
    after, place = hunk.after, hunk.before.places[row]
    near = {*changed.added_near(place - _NEAR, place + _NEAR), *beside}
    if any(_FAILS.search(after.code[at]) or _checks_something(after.code[at], kind) for at in near):
        return False
    return kind != "validation" or not _says_it_elsewhere(hunk, kept, row)


def _checks_something(code: str, kind: SuspectKind) -> bool:
    if _ASSERTS.match(code) or _CONSTRAINT.match(code) or (kind == "assertion" and _IF.match(code)):
        return True
    return any(parts(name) & _CHECKING for name in re.findall(r"[\w$]+", code[:_CUT]))


def _handlers(hunk: Masked, kept: Kept) -> Iterator[_Loss]:
    """`except` and `catch` whose guarded code stays."""
    before, changed = hunk.before, kept.of(hunk)
    for row in hunk.changed(before):
        code = before.code[row][:_CUT]
        handler = _EXCEPT.match(code)
        if not handler or _HARMLESS.search(code) or kept.adds(before, row):
            continue
        if changed.scope(before, row).owner in changed.gone or not _tried_stays(hunk, kept, row):
            continue
        if _raises_again(hunk, kept, row):
            continue
        if not changed.adds_any(_HANDLES):
            yield _Loss(
                "error-handling",
                row,
                f"The handler {quoted(before.raw[row].lstrip(' }'))}{_in(hunk, kept, row)} was removed.",
            )


def _raises_again(hunk: Masked, kept: Kept, row: int) -> bool:
    """Whether the handler only raised, and an added line of the run fails too."""
    inside = body(hunk.before, row)
    beside = kept.of(hunk).added_beside(row)
    fails = bool(inside) and _FAILS.search(hunk.before.code[inside[0]][:_CUT]) is not None
    return fails and any(_FAILS.search(hunk.after.code[at][:_CUT]) for at in beside)


def _tried_stays(hunk: Masked, kept: Kept, row: int) -> bool:
    """Whether what a handler guarded is still there."""
    before = hunk.before
    edge = indent(before.lines[row])
    tried: list[int] = []
    for at in range(row - 1, max(-1, row - 60), -1):
        if not is_code(before.code[at]):
            continue
        if indent(before.lines[at]) <= edge:
            break
        tried.append(at)
    return bool(tried) and kept.stays(hunk, [at for at in tried if "(" in before.code[at]])


def _unchecked_errors(hunk: Masked, kept: Kept) -> Iterator[_Loss]:
    """Go's `if err != nil` gone while its call stays."""
    if hunk.dialect != "go":
        return
    before, after, changed = hunk.before, hunk.after, kept.of(hunk)
    for row in hunk.changed(before):
        code = before.code[row][:_CUT]
        if not _ERR.search(code):
            continue
        call = code if ":=" in code else before.code[row - 1][:_CUT] if row else ""
        name = _CALLEE.search(call.split("=", 1)[-1]) if "=" in call else None
        beside = [after.code[at] for at in changed.added_beside(row)[:_NEAR]]
        if not name or any("err" in line for line in beside) or changed.scope(before, row).owner in changed.gone:
            continue
        around = beside or [after.code[at] for at in changed.rows_near(before.places[row], 4)]
        if any(f"{name['name']}(" in line and _drops_error(line.split(name["name"])[0]) for line in around):
            yield _Loss(
                "error-handling",
                row,
                f"The error of {quoted(name['name'], 48)}{_in(hunk, kept, row)} is no longer looked at.",
            )


def _drops_error(before_call: str) -> bool:
    return "err" not in before_call and "return" not in before_call


def _unwrapped(hunk: Masked, kept: Kept) -> Iterator[_Loss]:
    """Rust's `?` that became a panic."""
    if hunk.dialect != "rust":
        return
    after = hunk.after
    panics = {
        squeezed(_UNWRAPPED.sub("", _QUESTION.sub("", after.code[at])))
        for rows in kept.of(hunk).added_by_run.values() for at in rows if _UNWRAPPED.search(after.code[at])
    }  # fmt: skip
    for row in hunk.changed(hunk.before) if panics else ():
        code = hunk.before.code[row]
        if _QUESTION.search(code) and squeezed(_UNWRAPPED.sub("", _QUESTION.sub("", code))) in panics:
            yield _Loss(
                "error-handling", row, f"An error that was returned now panics: {quoted(hunk.before.raw[row])}."
            )


def _closings(hunk: Masked, kept: Kept) -> Iterator[_Loss]:
    """Locks, `finally` and `defer` whose code stays."""
    before, changed = hunk.before, kept.of(hunk)
    for row in hunk.changed(before):
        code = before.code[row][:_CUT]
        if not _CLOSING.match(code) or kept.adds(before, row) or changed.scope(before, row).owner in changed.gone:
            continue
        if changed.adds_any(_CLOSES):
            continue
        inside = [at for at in body(before, row) if len(before.code[at].strip()) > 5]
        if "finally" in code and not _tried_stays(hunk, kept, row):
            continue
        if not _locked_stays(hunk, kept, row):
            continue
        if kept.stays(hunk, inside) or (
            not inside and len(changed.added_beside(row)) < 4 and kept.code_below_stays(hunk, row)
        ):
            yield _Loss(
                "error-handling", row, f"{quoted(before.raw[row].lstrip(' }'))}{_in(hunk, kept, row)} was removed."
            )


def _locked_stays(hunk: Masked, kept: Kept, row: int) -> bool:
    """Whether code between a lock and its unlocking stays; so too where the hunk shows no unlocking on a line."""
    before = hunk.before
    below = range(row + 1, min(len(before.code), row + 60))
    end = next((at for at in below if "nlock" in before.code[at] and "defer" not in before.code[at]), None)
    return end is None or kept.stays(hunk, [at for at in range(row + 1, end) if is_code(before.code[at])])


def _timeouts(hunk: Masked, kept: Kept) -> Iterator[_Loss]:
    """A call that lost nothing but its limit of time."""
    before, after = hunk.before, hunk.after
    rows = [
        row for row in hunk.changed(before) if "imeout" in before.code[row] and _TIMEOUT.search(before.code[row][:_CUT])
    ]
    if not rows:
        return
    added = {squeezed(after.code[at]) for all_rows in kept.of(hunk).added_by_run.values() for at in all_rows}
    for row in rows:
        if squeezed(_TIMEOUT.sub("", before.code[row][:_CUT])).replace("(,", "(") in added:
            yield _Loss("error-handling", row, f"The timeout of {quoted(before.raw[row])} was removed.")


def _deleted_assertions(hunk: Masked, kept: Kept) -> Iterator[_Loss]:
    """Assertions of a test that stays, where no other took their place."""
    before, after, changed = hunk.before, hunk.after, kept.of(hunk)
    lost: dict[str | None, list[int]] = {}
    for row in hunk.changed(before):
        if _STRICT_ASSERTS.match(before.code[row][:_CUT]) and not kept.adds(before, row):
            lost.setdefault(changed.scope(before, row).owner, []).append(row)
    for owner, rows in lost.items():
        if owner in changed.gone:
            continue
        first, last = before.places[rows[0]] - _NEAR, before.places[rows[-1]] + _NEAR
        near = changed.added_near(first, last)
        beside, added = [after.code[at][:_CUT] for at in near], "\n".join(after.raw[at] for at in near)
        if _is_restated([before.raw[row][:_CUT] for row in rows], added):
            continue
        if len(beside) > _NEAR or any(_TEST_ASSERTS.search(line) for line in beside):
            continue
        count = f"{len(rows)} assertions were" if len(rows) > 1 else "An assertion was"
        of = f" from {quoted(owner, 40)}" if owner else ""
        yield _Loss("deleted-assertion", rows[0], f"{count} deleted{of}: {quoted(before.raw[rows[0]], 56)}.")


def _is_restated(assertions: Sequence[str], added: str) -> bool:
    """Whether each assertion's first literal stands on an added line near it: a helper says it now."""
    literals = [_LITERAL.search(text) for text in assertions]
    return all(literal is not None and literal[0] in added for literal in literals)


def _may_check(line: str) -> bool:
    return any(pattern.search(line) for pattern in (_ASSERTS, _CONSTRAINT, _VALIDATES, _FAILS, _KOTLIN_ASSERTS))


_Finder = tuple[Callable[[Masked, Kept], Iterator[_Loss]], tuple[str, ...], Callable[[str], object]]
_IN_TESTS: tuple[_Finder, ...] = (
    (_deleted_assertions, ("assert", "expect", "should", "require", "t.", "Assert"), _STRICT_ASSERTS.match),
)
_IN_CODE: tuple[_Finder, ...] = (
    (
        _checks,
        (
            "assert", "Assert", "raise", "throw", "panic", "bail!", "Err", "rrorf", "errors.", "abort", "alid",
            "chema", "equire", "check", "invariant", "recondition", "params.", "ShouldBind", "@Not", "@Size",
            "@Is", "@M", "@P", "@Email", "Length", "[R", "full_clean", "status(4",
        ),
        _may_check,
    ),
    (_handlers, ("except", "catch", "rescue"), _EXCEPT.match),
    (_unchecked_errors, ("err",), _ERR.search),
    (_unwrapped, ("?",), _QUESTION.search),
    (
        _closings,
        ("defer", "finally", "ensure", "lock", "Lock", "mutex", "mu.", "semaphore", "synchronized"),
        _CLOSING.match,
    ),
    (_timeouts, ("imeout",), _TIMEOUT.search),
)  # fmt: skip
"""Each with the words of which one must stand on a removed line, and what that line must look like."""
