"""What any text of a diff shows line by line, code or not: credentials in the clear and conflicts of a merge."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from firstpass.evidence.credentials import credential
from firstpass.evidence.diffs.diff import FileDiff
from firstpass.evidence.suspects.suspicion import WEIGHTS, Suspect, SuspectKind, quoted
from firstpass.evidence.trees.masking import dialect_of, lines_with

_CUT = 2_000
_CONFLICT = re.compile(r"(?:<{7}|>{7})(?: .*)?$")
_HINTS = (
    "passw", "pwd", "passphrase", "secret", "token", "key", "credential", "://", "bearer", "basic ", "eyj", "ghp_",
    "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat", "xox", "sk-", "sk_", "akia", "asia", "aiza", "npm_",
    "pypi-", "sg.", "hf_", "ya29", "rk_live", "hooks.slack", "<<<<<<<", ">>>>>>>",
)  # fmt: skip
"""One of them stands in each line that is told, in whatever case."""
_CAMEL = {"ghp_": "ghp_", "akia": "AKIA", "asia": "ASIA", "aiza": "AIza", "eyj": "eyJ"}
_PRIVATE = "This line has a private key in the clear."
"""Tests make their own to serve with."""
_PROSE = (".md", ".rst", ".txt", ".adoc", ".mdx", ".markdown")


def in_any_text(files: Iterable[FileDiff], is_test: Callable[[str], bool]) -> Iterator[Suspect]:
    for file in files:
        text = "\n".join(line.text for hunk in file.hunks for line in hunk.lines if line.kind == "added")
        words = _hints_in(text)
        if words:
            yield from _in_file(file, lines_with(text, words), is_test(file.path or ""))


def _hints_in(text: str) -> list[str]:
    lowered = text.lower()
    hints = [hint for hint in _HINTS if hint in lowered]
    return [
        form
        for hint in hints
        for form in {hint, hint.capitalize(), hint.upper(), _CAMEL.get(hint, hint)}
        if form in text
    ]


def _in_file(file: FileDiff, lines: Collection[str], in_test: bool) -> Iterator[Suspect]:
    path, is_setting = file.path or "", dialect_of(file) == "settings"
    before = "\n".join(line.text[:_CUT] for hunk in file.hunks for line in hunk.lines if line.kind == "removed")
    told = {line: one for line in lines if (one := _told(line[:_CUT], is_setting, before))}
    only_keys = in_test or path.endswith(_PROSE)
    for line in (line for hunk in file.hunks for line in hunk.lines if line.kind == "added" and line.text in told):
        kind, text, is_assigned = told[line.text]
        if not (only_keys and is_assigned) and not (in_test and text == _PRIVATE):
            yield Suspect(kind, path, line.new if file.new_path else None, None, text, WEIGHTS[kind])


def _told(text: str, is_setting: bool, before: str) -> tuple[SuspectKind, str, bool] | None:
    """(kind, sentence, whether the value is only assigned, and no key by its form)."""
    if text[:7] in ("<<<<<<<", ">>>>>>>") and _CONFLICT.match(text):
        return "conflict-marker", f"A merge conflict is left in the file: {quoted(text)}.", False
    held = credential(text, is_setting)
    if held is None or held.value in before:
        return None
    return "secret", f"This line has {held.named} in the clear.", not held.is_key
