"""The machine's own secrets, as they are or as base64, URLs, JSON, HTML, escapes and hexadecimal write them."""

import base64
import html
import json
import re
import string
from collections.abc import Iterator, Sequence
from urllib.parse import quote, quote_plus

from firstpass.errors import BadSettings
from firstpass.redaction.found import Found, places

LEAST = 6
"""Characters of a known secret. A shorter one would be found in innocent text."""
MOST_AROUND = 256
_ESCAPE = re.compile("%[0-9A-F]{2}")
_PAIR = re.compile("..")
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/_=-")


class Known:
    """Finds secrets that were told. Its repr shows none."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if any(len(secret) < LEAST for secret in secrets):
            raise BadSettings(f"a secret to be hidden has fewer than {LEAST} characters", part="egress")
        self._plain = tuple({form for secret in secrets for form in _written(secret)})
        self._encoded = tuple({form for secret in secrets for form in _in_base64(secret) if len(form) >= LEAST})

    def find(self, text: str) -> Iterator[Found]:
        for form in self._plain:
            yield from (Found(at, at + len(form), "KNOWN") for at in places(text, form))
        for form in self._encoded:
            yield from (_whole_run(text, at, at + len(form)) for at in places(text, form))


def _written(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    as_json = json.dumps(secret)[1:-1]
    yield from (secret, as_json, json.dumps(secret, ensure_ascii=False)[1:-1], as_json.replace("/", r"\/"))
    yield from (json.dumps(as_json)[1:-1], html.escape(secret))
    for in_url in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield from (in_url, _ESCAPE.sub(lambda one: one[0].lower(), in_url))
    units = secret.encode("utf-16-be", "surrogatepass").hex(" ", 2).split()
    for letters in (raw.hex(), raw.hex().upper()):
        yield from (letters, "".join(f"%{one}" for one in _PAIR.findall(letters)))
    yield "".join(rf"\u{unit}" for unit in units)
    yield "".join(rf"\u{unit.upper()}" for unit in units)


def _in_base64(secret: str) -> Iterator[str]:
    """The characters of base64 that depend on the secret alone, for each of its three places among other bytes."""
    raw = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + raw).decode()[first:last]


def _whole_run(text: str, start: int, end: int) -> Found:
    """The base64 around what was found too: the characters at its ends hold bits of the secret."""
    first = start
    while first > max(0, start - MOST_AROUND) and text[first - 1] in _BASE64:
        first -= 1
    last = end
    while last < min(len(text), end + MOST_AROUND) and text[last] in _BASE64:
        last += 1
    return Found(first, last, "KNOWN")
