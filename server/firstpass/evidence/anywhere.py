"""What any text of a diff shows line by line, code or not: credentials in the clear and conflicts of a merge."""

import re
from collections.abc import Callable, Iterable, Iterator

from firstpass.evidence.credentials import PASSWORD, credential
from firstpass.evidence.diff import FileDiff
from firstpass.evidence.masking import dialect_of
from firstpass.evidence.suspicion import WEIGHTS, Suspect, SuspectKind, quoted

_CUT = 2_000
_CONFLICT = re.compile(r"(?:<{7}|>{7})(?: .*)?$")
_HINT = re.compile(
    r"(?i)passw|pwd|passphrase|secret|token|key|credential|://|bearer|basic|eyj|gh[pousr]_|github_pat|glpat|xox|sk[-_]|akia|asia|aiza|npm_|pypi-|sg\\.|hf_|ya29|rk_live"
)


def in_any_text(files: Iterable[FileDiff], is_test: Callable[[str], bool]) -> Iterator[Suspect]:
    for file in files:
        path = file.path or ""
        in_test, is_setting = is_test(path), dialect_of(file) == "settings"
        for hunk in file.hunks:
            added = [line for line in hunk.lines if line.kind == "added" and len(line.text) > 6]
            text = "\n".join(line.text for line in added)
            may_hold_secrets = _HINT.search(text) is not None
            if not may_hold_secrets and "<<<<<<<" not in text and ">>>>>>>" not in text:
                continue
            before = {line.text.strip() for line in hunk.lines if line.kind == "removed"}
            for line in added:
                told = None if line.text.strip() in before else _told(line.text[:_CUT], is_setting, in_test)
                if told:
                    yield Suspect(told[0], path, line.new if file.new_path else None, None, told[1], WEIGHTS[told[0]])


def _told(text: str, is_setting: bool, in_test: bool) -> tuple[SuspectKind, str] | None:
    if text[:7] in ("<<<<<<<", ">>>>>>>") and _CONFLICT.match(text):
        return "conflict-marker", f"A merge conflict is left in the file: {quoted(text)}."
    said = credential(text, is_setting) if _HINT.search(text) else None
    if said is None or (in_test and said == PASSWORD):
        return None
    return "secret", f"This line has {said} in the clear."
