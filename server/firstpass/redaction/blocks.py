"""Private keys in armour, whole: as they are, on the lines of a diff, or in a literal with `\\n`; or as base64."""

import base64
import re
from collections.abc import Iterator

from firstpass.redaction.found import Found
from firstpass.redaction.views import in_ascii

_HEADER = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d:")
_BODY = re.compile(r"[\w+/=\s\\\"'`,.:;()&#@<>]*+(?:-(?!----)[\w+/=\s\\\"'`,.:;()&#@<>]*+)*+")
_FOOTER = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_RUN = re.compile(r"[A-Za-z0-9+/=]{16,}")

_ENCODED = re.compile(
    r"LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]{40,}+"
    r"(?:\r?\n[ \t]{0,20}(?:[A-Za-z0-9+/_-]{16,}+={0,2}|[A-Za-z0-9+/_-]{1,15}={1,2}))*+"
)
"""Base64 of `-----BEGIN `."""
_ITS_HEADER = 88
_URL_SAFE = str.maketrans("+/", "-_")


def private_keys(text: str) -> Iterator[Found]:
    """Whole blocks. One that its text cuts off reaches as far as there is base64.

    A body ends at the next five hyphens, so that no character is read for two blocks.
    """
    text, done = in_ascii(text), 0
    for header in _HEADER.finditer(text):
        if header.start() < done:
            continue
        body = _BODY.match(text, header.end())
        done = body.end() if body else header.end()
        if footer := _FOOTER.match(text, done):
            end = done = footer.end()
        else:
            end = max((run.end() for run in _RUN.finditer(text, header.end(), done)), default=0)
        if _RUN.search(text, header.end(), end):
            yield Found(header.start(), end, "PRIVATE_KEY")
    yield from _cut_off(text)
    yield from (Found(*one.span(), "PRIVATE_KEY") for one in _ENCODED.finditer(text) if _is_encoded(one[0]))


def _is_encoded(value: str) -> bool:
    """Whether base64 of something in armour is of a private key, and of no certificate."""
    letters = "".join(value[:_ITS_HEADER].split()).rstrip("=")
    return b"PRIVATE KEY" in base64.urlsafe_b64decode(letters[: len(letters) // 4 * 4].translate(_URL_SAFE))


def _cut_off(text: str) -> Iterator[Found]:
    """The end of a key whose beginning is not in the text, as in the middle of a diff."""
    done = 0
    for footer in _FOOTER.finditer(text):
        start = at = footer.start()
        while at > done:
            before = text.rfind("\n", max(done, at - 200), at - 1)
            line = text[before + 1 : at].strip(" \t\r\n+->")
            if line and not _RUN.fullmatch(line):
                break
            start = before + 1 if line else start
            at = before + 1
            if before < 0:
                break
        if start < footer.start():
            yield Found(start, footer.end(), "PRIVATE_KEY")
        done = footer.end()
