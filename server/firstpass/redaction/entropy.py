"""Strings that nothing names and that show by themselves that they were drawn at random."""

import re
from collections.abc import Iterator

from firstpass.redaction.found import Found
from firstpass.redaction.values import is_random

_CANDIDATE = re.compile(r"(?<![\w+/=.~-])[\w+/~-]{20,}={0,2}", re.ASCII)
_PUBLIC_BEFORE = re.compile(
    r"(?:sha\d{1,3}[-:]|h1:|base64,|integrity[\"']?\s?[:=]\s?[\"']?|checksum\w*[\"']?\s?[:=]\s?[\"']?)\Z", re.I
)
_PUBLIC = re.compile(r"sha\d{3}-|data:|AAAA[BCE]3NzaC1|MII[A-Z]")
"""Sums of lock files, images, public SSH keys and certificates."""
LONGEST = 120
"""A longer string without a name is an image, a font or code more often than a key."""


def random_strings(text: str) -> Iterator[Found]:
    for one in _CANDIDATE.finditer(text):
        value = one[0]
        if len(value) > LONGEST or not is_random(value) or _PUBLIC.match(value):
            continue
        if _PUBLIC_BEFORE.search(text[max(0, one.start() - 24) : one.start()]) or _is_path(value):
            continue
        yield Found(one.start(), one.end(), "RANDOM")


def _is_path(value: str) -> bool:
    return value.count("/") > 1 and all(part == "" or part.isalpha() for part in re.split(r"[/_.-]", value))
