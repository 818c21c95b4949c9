"""Credentials in the clear: formats of keys, and values that are assigned to a name that says so. Knows one line.

A placeholder, a lookup in the environment and a value that only repeats its name are none.
"""

import re
from typing import NamedTuple

_FORMATS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{20,}|\bxox[abpr]-[\w-]{10,}|\bsk[-_][\w-]{20,}|\bAIza[\w-]{30,}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
)
_SECRET = re.compile(
    rf"{_FORMATS}"
    r"|(?i:passw(?:or)?d|secret|token|api_?key)\w{0,40}['\"]?\s{0,9}(?::\s{0,9}[\w.\[\]<>|? ]{1,60})?"
    r"(?::|:?=)\s{0,9}['\"][^'\"\s]{12,}"
)
"""Key formats as their issuers document them, and what is assigned to a name that says so, its type between or not."""

_KEY = re.compile(
    rf"{_FORMATS}|\bnpm_[A-Za-z0-9]{{30,}}|\bpypi-AgE[\w-]{{20,}}|\bSG\.[\w-]{{16,}}\.[\w-]{{16,}}"
    rf"|\bhf_[A-Za-z0-9]{{30,}}"
    r"|\brk_live_\w{16,}|\bya29\.[\w-]{20,}|hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{16,}|\bASIA[0-9A-Z]{16}\b"
    r"|\bAccountKey=[A-Za-z0-9+/=]{40,}"
)
_KEY_WORDS = (
    "PRIVATE KEY", "AKIA", "ASIA", "gh", "glpat-", "xox", "sk-", "sk_", "AIza", "eyJ", "npm_", "pypi-", "SG.",
    "hf_", "rk_live", "ya29.", "hooks.slack", "AccountKey",
)  # fmt: skip
_NAMED = re.compile(
    r"(?i:(?<![a-z])(?:passw(?:or)?d|passwd|pwd|secret|token|api_?key|access_?key|private_?key|auth_?key"
    r"|encryption_?key"
    r"|signing_?key|client_?secret|secret_?key|credential|passphrase))(?:_?[A-Za-z]{0,12})?['\"\]]{0,2}\s{0,9}"
    r"(?::\s{0,9}[\w.\[\]<>|? ]{1,60})?(?::|:?=|=>)\s{0,9}(?:[rbu]"
    r"|String::from\()?(?P<quote>['\"])(?P<value>[^'\"\s]{6,200})(?P=quote)"
)
_SETTING = re.compile(
    r"^\s*(?:export\s+|-\s+)?['\"]?[\w.-]{0,40}(?i:passw(?:or)?d|secret|token|api_?key|access_?key|private_?key)"
    r"[\w]{0,12}['\"]?\s{0,9}[:=]\s{0,9}(?P<value>[^\s'\"#]{8,200})\s*$"
)
_IN_ADDRESS = re.compile(r"\b[a-z][a-z+]{1,15}://[\w.-]{1,60}:(?P<value>[^@/\s'\"{}$<>:]{3,80})@[\w.-]+")
_BEARER = re.compile(r"['\"](?:Bearer|Basic)\s+(?P<value>[A-Za-z0-9+/=_.-]{16,})['\"]")
_PLACEHOLDER = re.compile(
    r"change.?me|your|example|xxx|placeholder|dummy|fake|sample|insert|replace|todo|redacted|\.\.\.|\*\*\*|<|>|\$\{"
    r"|\$\(|\{\{"
    r"|\{\w*\}|%\(|%s|^\$|^@|^env|process\.env|getenv|environ|secrets\.|vault:|^test|^foo|^bar|^none$|^null$|^true$"
    r"|^false$"
    r"|1234567|abcdef|deadbeef|s3cr3t|^secret|^passw|^pass$|^token|user.?name|hunter2|^(?:my|some|the|invalid|wrong"
    r"|bad|old|new)[-_]?",
    re.I,
)
_OF_WORDS = re.compile(
    r"[A-Za-z]+(?:[-_.:/ ][A-Za-z]+)*|/[\w./-]*|[\w.]+\(.*|https?://.*|[#.]?[A-Za-z][\w-]*(?:[._-][A-Za-z]+\d{0,2})+"
)
_MIXED = re.compile(r"(?=.*[A-Za-z])(?=.*[\d!@#$%^&*+/=?~])")


class Credential(NamedTuple):
    """named: what it is, without its value. is_key: by its form alone, whatever it is assigned to."""

    named: str
    value: str
    is_key: bool


def holds_secret(line: str) -> bool:
    """Whether a line of code looks as if it held a credential: cautious, for what must not be copied."""
    return _SECRET.search(line) is not None


def credential(line: str, is_setting: bool = False) -> Credential | None:
    """What looks like a real credential in a line: cautious the other way, for a reviewer.

    is_setting: the line is of a file of keys and values, which need no quotes.
    """
    key = _KEY.search(line) if any(word in line for word in _KEY_WORDS) else None
    if key and not _is_fake(key[0]):
        return Credential(
            "a private key" if "PRIVATE KEY" in key[0] else f"a key that begins with `{key[0][:4]}`", key[0], True
        )
    named = _NAMED.search(line) or (_SETTING.search(line) if is_setting else None)
    if named and _is_real(named["value"]):
        return Credential("a password or key", named["value"], False)
    for pattern, said in ((_IN_ADDRESS, "a password in an address"), (_BEARER, "a token in a header")):
        if (found := pattern.search(line)) and not _is_fake(found["value"]) and len(set(found["value"])) > 4:
            return Credential(said, found["value"], False)
    return None


def _is_fake(value: str) -> bool:
    return _PLACEHOLDER.search(value) is not None or len(set(value)) < 5


def _is_real(value: str) -> bool:
    """A value that mixes letters with digits or signs, or one that is long and no words."""
    if _is_fake(value) or _OF_WORDS.fullmatch(value):
        return False
    return _MIXED.match(value) is not None
