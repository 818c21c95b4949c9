"""Strings that nothing names and that show by themselves that they were drawn at random."""

import re
from collections.abc import Iterator

from firstpass.redaction.found import Found
from firstpass.redaction.values import is_random
from firstpass.redaction.views import in_ascii

LEAST = 20
_SIGNS = b"+/~_-"
_APART = bytes(code if (chr(code).isalnum() and code < 128) or code in _SIGNS else 32 for code in range(256))
_PUBLIC_BEFORE = re.compile(
    r"(?:sha\d{1,3}[-:]|h1:|base64,|integrity[\"']?\s?[:=]\s?[\"']?|checksum\w*[\"']?\s?[:=]\s?[\"']?)\Z", re.I
)
_PUBLIC = re.compile(r"sha\d{1,3}-|data:|AAAA[BCE]3NzaC1|MII[A-Z]")
"""Sums of lock files, images, public SSH keys and certificates."""
LONGEST = 120
"""Characters. A longer string without a name is an image, a font or code more often than a key."""


def random_strings(text: str) -> Iterator[Found]:
    plain, at = in_ascii(text), 0
    for word in plain.encode("ascii").translate(_APART).split():
        if LEAST <= len(word) <= LONGEST:
            value = word.decode("ascii")
            at = plain.index(value, at)
            end = at + len(value)
            if _is_secret(plain, at, value):
                yield Found(at, end + 2 if plain.startswith("==", end) else end + plain.startswith("=", end), "RANDOM")
            at = end


def _is_secret(text: str, at: int, value: str) -> bool:
    if not is_random(value, LEAST) or _PUBLIC.match(value) or _is_path(value):
        return False
    return _PUBLIC_BEFORE.search(text, max(0, at - 24), at) is None


def _is_path(value: str) -> bool:
    return value.count("/") > 1 and all(part == "" or part.isalpha() for part in re.split(r"[/_.-]", value))
