"""What any text of a diff shows line by line, code or not: credentials in the clear and conflicts of a merge."""

import re
from collections.abc import Callable, Iterable, Iterator

from firstpass.evidence.credentials import credential
from firstpass.evidence.diff import FileDiff
from firstpass.evidence.masking import dialect_of
from firstpass.evidence.suspicion import WEIGHTS, Suspect, SuspectKind, quoted

_CUT = 2_000
_CONFLICT = re.compile(r"(?:<{7}|>{7})(?: .*)?$")
_HINTS = (
    "passw", "pwd", "passphrase", "secret", "token", "key", "credential", "://", "bearer", "basic ", "eyj", "ghp_", "gho_", "ghu_",
    "ghs_", "ghr_", "github_pat", "glpat", "xox", "sk-", "sk_", "akia", "asia", "aiza", "npm_", "pypi-", "sg.", "hf_", "ya29", "rk_live",
    "hooks.slack",
)  # fmt: skip
"""One of them stands in each line that holds a credential, in whatever case."""
_PRIVATE = "This line has a private key in the clear."
"""Tests make their own to serve with."""
_PROSE = (".md", ".rst", ".txt", ".adoc", ".mdx", ".markdown")


def in_any_text(files: Iterable[FileDiff], is_test: Callable[[str], bool]) -> Iterator[Suspect]:
    for file in files:
        path = file.path or ""
        text = "\n".join(line.text[:_CUT] for hunk in file.hunks for line in hunk.lines if line.kind == "added")
        if not _may_tell(text):
            continue
        before = "\n".join(line.text[:_CUT] for hunk in file.hunks for line in hunk.lines if line.kind == "removed")
        in_test = is_test(path)
        only_keys = in_test or path.endswith(_PROSE)
        for hunk in file.hunks:
            for line in hunk.lines:
                told = _told(line.text[:_CUT], dialect_of(file) == "settings", before) if line.kind == "added" else None
                if told and not (only_keys and told[2]) and not (in_test and told[1] == _PRIVATE):
                    yield Suspect(told[0], path, line.new if file.new_path else None, None, told[1], WEIGHTS[told[0]])


def _may_tell(text: str) -> bool:
    lowered = text.lower()
    return "<<<<<<<" in text or ">>>>>>>" in text or any(hint in lowered for hint in _HINTS)


def _told(text: str, is_setting: bool, before: str) -> tuple[SuspectKind, str, bool] | None:
    """(kind, sentence, whether the value is only assigned, and no key by its form)."""
    if text[:7] in ("<<<<<<<", ">>>>>>>") and _CONFLICT.match(text):
        return "conflict-marker", f"A merge conflict is left in the file: {quoted(text)}.", False
    held = credential(text, is_setting) if _may_tell(text) else None
    if held is None or held.value in before:
        return None
    return "secret", f"This line has {held.named} in the clear.", not held.is_key
