"""Faults that an added line shows by itself: errors swallowed, debugging left in, code commented out, tests skipped.

Knows lines and their indentation, no grammar. Not told is what moved, and what is the job of a file: a command prints.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from firstpass.evidence.blocks import body, indent, is_code, squeezed
from firstpass.evidence.kept import Kept, Reading
from firstpass.evidence.masking import Dialect, Masked
from firstpass.evidence.suspicion import WEIGHTS, Suspect, SuspectKind, quoted

_CUT = 400


class Rule(NamedTuple):
    """An added line that is told.

    words: one of them must stand in it. on_raw: the pattern sees what is in strings. tests: told in tests too.
    """

    kind: SuspectKind
    says: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]
    dialects: frozenset[Dialect] | None = None
    on_raw: bool = False
    tests: bool = False


def _only(*names: Dialect) -> frozenset[Dialect]:
    return frozenset(names)


_PRINTS = "Printing for debugging was left in: {}."
_STOPS = "A breakpoint was left in: {}."
_SKIPS = "A test is skipped: {}."
_ALONE = "Only one test is left to run: {}."
_SWALLOWS = "The error is swallowed: {}."

RULES: tuple[Rule, ...] = (
    Rule(
        "debugging", _STOPS, ("breakpoint", "set_trace", "debugger", "binding.", "byebug", "pdb", "dd(", "var_dump", "dbg!"),
        re.compile(
            r"^\s*(?:breakpoint\(\)|(?:import\s+)?(?:i?pdb|pudb|ipdb)(?:\s*;.*|\.set_trace\(.*)?$|debugger\s*;?\s*$"
            r"|binding\.(?:pry|irb)\b|byebug\s*$)|\b(?:i?pdb|pudb)\.set_trace\("
        ), tests=True,
    ),
    Rule("debugging", _PRINTS, ("var_dump", "print_r", "dd("), re.compile(r"^\s*(?:var_dump|dd|dump|print_r)\("), _only("php")),
    Rule("debugging", _PRINTS, ("console.",), re.compile(r"(?<![\w.])console\.(?:log|debug|dir|trace|table)\("), _only("javascript")),
    Rule("debugging", _PRINTS, ("dbg!",), re.compile(r"\bdbg!\("), _only("rust"), tests=True),
    Rule("debugging", _PRINTS, ("print",), re.compile(r"^\s*(?:e?print(?:ln)?!\()"), _only("rust")),
    Rule("debugging", _PRINTS, ("print(",), re.compile(r"^\s*print\((?!.*\bfile\s*=)"), _only("python", "swift")),
    Rule("debugging", _PRINTS, ("fmt.Print", "spew.", "println("), re.compile(r"^\s*(?:fmt\.Print(?:ln|f)?|println|spew\.Dump)\("), _only("go")),
    Rule(
        "debugging", _PRINTS, ("System.", "printStackTrace", "println("),
        re.compile(r"\bSystem\.(?:out|err)\.print|\.printStackTrace\(\)|^\s*println\("), _only("java", "kotlin", "scala"),
    ),
    Rule("debugging", _PRINTS, ("Console.Write",), re.compile(r"\bConsole\.Write(?:Line)?\("), _only("csharp")),
    Rule("debugging", _PRINTS, ("puts ", "p ", "pp "), re.compile(r"^\s*(?:puts|pp|p)\s+\w"), _only("ruby")),
    Rule(
        "skipped-test", _SKIPS, ("skip", "xfail", "Skip"),
        re.compile(r"^\s*@(?:pytest\.mark\.(?:skip|xfail)\b(?!if)|(?:unittest\.)?(?:skip|expectedFailure)\b(?!If|Unless))|^\s*pytestmark\s*=.*\bskip\b(?!if)"),
        _only("python"), tests=True,
    ),
    Rule("skipped-test", _SKIPS, ("skip",), re.compile(r"^(?:\s{0,8})(?:pytest\.skip\(|self\.skipTest\()"), _only("python"), tests=True),
    Rule(
        "skipped-test", _SKIPS, ("skip", "xit", "xdescribe", "xtest", "todo"),
        re.compile(r"^\s*(?:(?:await\s+)?(?:it|test|describe|suite|context|t)\.(?:skip|fixme)\b(?!If)\s*[.(]|x(?:it|describe|test|context)\()|\{\s*skip:\s*(?:true|['\"])"),
        _only("javascript"), tests=True,
    ),
    Rule("skipped-test", _ALONE, (".only", "fit(", "fdescribe("), re.compile(r"^\s*(?:(?:it|test|describe|suite|context)\.only\b|f(?:it|describe)\()"), _only("javascript"), tests=True),
    Rule("skipped-test", _SKIPS, ("Skip",), re.compile(r"^\s*[tb]\.Skip(?:f|Now)?\("), _only("go"), tests=True),
    Rule("skipped-test", _SKIPS, ("ignore",), re.compile(r"^\s*#\[ignore\b"), _only("rust"), tests=True),
    Rule(
        "skipped-test", _SKIPS, ("Disabled", "Ignore", "Skip", "enabled"),
        re.compile(r"^\s*@(?:Disabled|Ignore)\b(?!If|On|For)|^\s*\[(?:Ignore|Fact\(Skip|Test,\s*Ignore)|\benabled\s*=\s*false\b.*@?Test|@Test\(\s*enabled\s*=\s*false"),
        _only("java", "kotlin", "csharp", "scala"), on_raw=True, tests=True,
    ),
    Rule("skipped-test", _SKIPS, ("skip", "xit", "pending", "markTest"), re.compile(r"^\s*(?:xit|xdescribe|xcontext|pending|skip)\b(?!\s*=)|markTestSkipped\("), _only("ruby", "php"), tests=True),
    Rule(
        "swallowed", _SWALLOWS, ("catch",),
        re.compile(r"\bcatch\s*(?:\([^)]{0,120}\)|\w{0,40})\s*\{\s*\}|\.catch\(\s*(?:(?:async\s*)?\(?\w{0,40}\)?\s*=>\s*(?:\{\s*\}|null|undefined|void 0)|noop|function\s*\(\w{0,40}\)\s*\{\s*\})\s*\)"),
        tests=False,
    ),
    Rule("swallowed", _SWALLOWS, ("err",), re.compile(r"^\s*_\s*=\s*(?:err|error|e)\s*$|\berr\s*!=\s*nil\s*\{\s*\}"), _only("go")),
    Rule("swallowed", _SWALLOWS, ("rescue", "suppress"), re.compile(r"\brescue\s+nil\b|\brescue\s*(?:=>\s*\w+)?\s*;\s*(?:nil\s*)?end|\bsuppress\(\s*(?:Base)?Exception\s*\)"), _only("ruby", "python")),
    Rule("swallowed", _SWALLOWS, ("Err(_)",), re.compile(r"\bErr\(_\w*\)\s*=>\s*(?:\{\s*\}|\(\))"), _only("rust")),
    Rule("swallowed", _SWALLOWS, ("|| true", "||:"), re.compile(r"^\s*set \+e\b"), _only("shell")),
    Rule("swallowed", _SWALLOWS, ("On Error", "error_reporting", "@"), re.compile(r"\berror_reporting\(\s*0\s*\)"), _only("php")),
)  # fmt: skip

_PRINTING_PLACES = re.compile(
    r"(?:^|/)(?:cmd|cli|bin|scripts?|tools?|examples?|samples?|demos?|docs?|docs?_src|bench\w*|playground\w*|templates?|tasks?"
    r"|hack|ci|build|management/commands|devtools|website|www|site|\.github)/|(?:^|/)(?:main|cli|__main__|setup|manage|noxfile|tasks"
    r"|build|fabfile|conf|console|repl|command\w*|\w*_cli|cli_\w*|release\w*|bump\w*|gulpfile|Gruntfile|rollup\S*|webpack\S*)\.\w+$|\.sh$",
    re.I,
)
_BROAD = re.compile(r"\s*except(?:\s*:|\s+\(?\s*(?:[\w.]*\.)?(?:Base)?(?:Exception|Error)\b(?:\s+as\s+\w+)?\s*:)")
_CATCHES = re.compile(
    r"\s*\}?\s*(?:catch\b[^{]{0,160}\{|rescue\b[^;]{0,100})\s*$|^\s*if\s+(?:let\s+Err\(_\w*\)\s*=.{1,160}|err\s*!=\s*nil)\s*\{\s*$"
)
_NOTHING = re.compile(r"\s*(?:pass|continue|\.\.\.|nil|;|return;?|return\s+nil|)\s*;?\s*$")
_NOTE = re.compile(
    r"\b(?:do\s*not|don'?t|never)\s+(?:merge|commit|push|ship|check\s*in)\b|\bnocommit\b|\bno[-_ ]?merge\b|\bremove\s+(?:this\s+)?before\s+(?:merg|commit|releas|ship|push)",
    re.I,
)
_NOTE_WORDS = ("merge", "commit", "ship", "push", "check", "release")


def faults(kept: Kept) -> Iterator[Suspect]:
    for file in kept.files:
        active = _active(file)
        for hunk in file.hunks:
            yield from _by_rule(file, hunk, active, kept)
            yield from _swallowed(file, hunk, kept)
            yield from _notes(file, hunk, kept)
            yield from _commented_out(file, hunk, kept)


def found(kind: SuspectKind, path: str, hunk: Masked, row: int, text: str, less: int = 0) -> Suspect:
    """A suspect on an added row."""
    return Suspect(kind, path, hunk.hunk.lines[hunk.after.places[row]].new, None, text, WEIGHTS[kind] - less)


def _active(file: Reading) -> list[Rule]:
    """The rules whose words are somewhere in the file's added lines."""
    text = "\n".join(hunk.after.lines[row] for hunk in file.hunks for row in hunk.changed(hunk.after))
    dialect = file.hunks[0].dialect if file.hunks else None
    prints = not file.is_test and not _PRINTING_PLACES.search(file.path) and not _already_prints(file)
    return [
        rule
        for rule in RULES
        if (rule.dialects is None or dialect in rule.dialects)
        and (not file.is_test or rule.tests)
        and (prints or rule.says is not _PRINTS)
        and any(word in text for word in rule.words)
    ]


_PRINTING = re.compile(
    r"\bprint(?:ln|f)?!?\(|\bconsole\.\w+\(|\bfmt\.Print|\bSystem\.out\.|\bputs\s|\bConsole\.Write|__main__|\bfunc main\(|\bfn main\("
)


def _already_prints(file: Reading) -> bool:
    """Whether the file printed before: then printing may be its job."""
    return any(
        "print" in line or "console." in line or "main" in line or "puts " in line or "Console." in line
        for hunk in file.hunks
        for line in hunk.before.code
        if _PRINTING.search(line[:_CUT])
    )


def _by_rule(file: Reading, hunk: Masked, active: list[Rule], kept: Kept) -> Iterator[Suspect]:
    after = hunk.after
    for row in hunk.changed(after) if active else ():
        for rule in active:
            text = (after.raw if rule.on_raw else after.code)[row][:_CUT]
            if any(word in text for word in rule.words) and rule.pattern.search(text) and _is_new(hunk, row, kept):
                if rule.kind == "skipped-test" and _depends(hunk, row):
                    continue
                if rule.kind == "swallowed" and after.comments[row].strip():
                    continue
                yield found(rule.kind, file.path, hunk, row, rule.says.format(quoted(after.raw[row])))
                break


def _is_new(hunk: Masked, row: int, kept: Kept) -> bool:
    return squeezed(hunk.after.raw[row]) not in kept.removed


def _depends(hunk: Masked, row: int) -> bool:
    """Whether a test is skipped only where a condition holds: a line above opens a block or goes on to this one."""
    at = indent(hunk.after.lines[row])
    for above in range(row - 1, max(-1, row - 12), -1):
        code = hunk.after.code[above]
        if is_code(code) and indent(hunk.after.lines[above]) < at:
            return (
                re.match(r"\s*(?:\}?\s*(?:if|else|elif|except|case|switch|for|catch|default)\b|if\()", code) is not None
            )
    return False


def _swallowed(file: Reading, hunk: Masked, kept: Kept) -> Iterator[Suspect]:
    """A handler whose block does nothing, and says nothing either."""
    after = hunk.after
    for row in range(len(after.code)) if not file.is_test else ():
        code = after.code[row][:_CUT]
        if (
            "except" not in code
            and "catch" not in code
            and "rescue" not in code
            and "err" not in code
            and "Err(" not in code
        ):
            continue
        broad = _BROAD.match(code) if hunk.dialect == "python" else _CATCHES.match(code)
        if not broad or not _does_nothing(hunk, row, broad.end()):
            continue
        changed = next((one for one in (row, row + 1) if one < len(after.code) and hunk.is_changed(after, one)), None)
        if changed is not None and _is_new(hunk, changed, kept):
            inside = next((after.raw[one].strip() for one in body(after, row)), "")
            shown = f"{after.raw[row].strip()} {inside or '}' if hunk.dialect != 'ruby' else inside}"
            yield found("swallowed", file.path, hunk, changed, _SWALLOWS.format(quoted(shown)))


def _does_nothing(hunk: Masked, row: int, end: int) -> bool:
    after = hunk.after
    rest = after.code[row][end:].strip()
    if rest:
        return _NOTHING.match(rest) is not None
    inside = body(after, row)
    if not inside:
        closed = (
            row + 1 < len(after.code) and after.code[row + 1].strip()[:1] == "}" and not after.comments[row + 1].strip()
        )
        return hunk.dialect != "python" and closed
    quiet = len(inside) == 1 and _NOTHING.match(after.code[inside[0]]) is not None
    said = hunk.dialect != "python" and any(after.comments[one].strip() for one in range(row, inside[0] + 1))
    return quiet and not said and not after.code[inside[0]].strip().startswith("return nil")


def _notes(file: Reading, hunk: Masked, kept: Kept) -> Iterator[Suspect]:
    """ "Do not merge" and its like, in a comment."""
    after = hunk.after
    for row in hunk.changed(after):
        comment = after.comments[row]
        if comment.strip() and any(word in comment.lower() for word in _NOTE_WORDS) and _NOTE.search(comment[:_CUT]):
            if _is_new(hunk, row, kept) or not is_code(after.code[row]):
                yield found("leftover", file.path, hunk, row, f"A note says that this is not ready: {quoted(comment)}.")


_COMMENT_SIGNS = re.compile(r"^\s*(?:#(?![!\[:])|//(?![/!])|--)\s?")
_PROSE = re.compile(
    r"^[A-Z][a-z]+ [a-z]+ |\b(?:the|is|are|this|that|we|will|should|because|when|if you|which|e\.g\.|i\.e\.|note|see|example|usage|returns?:)\b [a-z]|\.\s*$|:\s*$",
    re.I,
)
_STATEMENT = re.compile(
    r"^\s*(?:[\w.$\[\]'\"]{1,60}\s*(?:[+\-*/|&]?=|:=|<-)\s*[^=\s].*[\w)\]}\"';]$"
    r"|(?:await\s+|return\s+|yield\s+|throw\s+|raise\s+)?[\w.$:!]{1,80}\(.*\)\s*[;{?]?$"
    r"|(?:return|import|from|const|let|var|val|if|for|while|elif|raise|throw|assert|del|with)\b.*[;:{)\]]$"
    r"|return\s+[\w.\"'\[\](){}]{1,60};?$|(?:def|class|func|fn|fun|function|public|private)\s+\w.*[:{)]$"
    r"|\}(?:\s*else\s*\{)?;?$|@[\w.]{2,40}(?:\(.*\))?$)"
)


def _commented_out(file: Reading, hunk: Masked, kept: Kept) -> Iterator[Suspect]:
    """Added comments that read as code: a removed line itself, or two and more lines in a row."""
    group: list[int] = []
    after = hunk.after
    for row in (*hunk.changed(after), len(after.lines)):
        text = _commented(hunk, row) if row < len(after.lines) else None
        if group and (text is None or row != group[-1] + 1):
            yield from _grouped(file, hunk, group, kept)
            group = []
        if text is not None:
            group.append(row)


def _commented(hunk: Masked, row: int) -> str | None:
    """The text of a line that is a comment alone and no documentation."""
    side = hunk.after
    if not side.comments[row].strip() or is_code(side.code[row]):
        return None
    sign = _COMMENT_SIGNS.match(side.comments[row].lstrip())
    return side.comments[row].lstrip()[sign.end() :][:_CUT] if sign else None


def _grouped(file: Reading, hunk: Masked, rows: list[int], kept: Kept) -> Iterator[Suspect]:
    texts = [_commented(hunk, row) or "" for row in rows]
    said = "Code was commented out: {}."
    for row, text in zip(rows, texts, strict=True):
        if len(squeezed(text)) > 5 and squeezed(text) in kept.removed and is_code(text):
            yield found("commented-out", file.path, hunk, row, said.format(quoted(text)))
            return
    code = [row for row, text in zip(rows, texts, strict=True) if _reads_as_code(text)]
    if len(code) >= 2 and len(code) * 4 >= len(rows) * 3:
        first = _commented(hunk, code[0]) or ""
        yield found("commented-out", file.path, hunk, code[0], f"Code was added as a comment: {quoted(first)}.")


def _reads_as_code(text: str) -> bool:
    bare = text.strip()
    return len(bare) > 1 and not (_PROSE.search(bare) and bare[-1] not in ";{") and _STATEMENT.match(bare) is not None
