"""Known formats of keys, by the rules that the secret scanner Kingfisher ships and keeps. Opens no connection.

Its engine looks for all formats at once, in time that is linear in the text, and other threads go on meanwhile.
"""

import re
from collections.abc import Iterator
from functools import cache
from threading import Lock

from kingfisher_sdk import Rules, Scanner

from firstpass.redaction.found import Found
from firstpass.redaction.placeholders import MOST_KIND

_PUBLIC = re.compile(r"(?:id|url|name|address|username|repository|login)$")
"""How a rule's name ends that only finds what stands beside a secret."""
_OPEN = bytes.maketrans(b"&<>,)|]}?`", b"          ")
WINDOW, OVERLAP = 65_536, 8_192
"""Bytes of a text that the library reads at once, and how many of them it reads twice."""
_once = Lock()


@cache
def _scanner() -> Scanner:
    return Scanner(Rules(confidence="low"), redact=False)


def load() -> None:
    """Compile the rules: some seconds the first time on a machine, and half of one after that."""
    with _once:
        _scanner()


@cache
def _kind(rule: str) -> str:
    """`betterleaks.github-pat` is GITHUB_PAT, and `kingfisher.gitea.1` is GITEA."""
    named = [part for part in re.split(r"[./]", rule) if not part.isdigit()]
    return re.sub(r"[^A-Z]+", "_", named[-1].upper()).strip("_")[:MOST_KIND] or "KEY"


def known_formats(text: str) -> Iterator[Found]:
    """What the library finds.

    Its offsets count bytes, so every character that is not ASCII is shown to it as one. Its rules ask for quotes,
    spaces or the end after a key, so it sees the text a second time with spaces for other signs that can follow one.
    """
    load()
    shown = text.encode("ascii", "replace").replace(b"\0", b" ")
    for start, end in _windows(shown):
        for view in (shown[start:end], shown[start:end].translate(_OPEN)):
            for one in _scanner().scan(view):
                if one.visible or not _PUBLIC.search(one.rule_id):
                    place = one.location
                    yield Found(start + place["start_offset"], start + place["end_offset"], _kind(one.rule_id))


def _windows(shown: bytes) -> Iterator[tuple[int, int]]:
    """Parts of a long text that overlap and end with a line, where one does: a few rules take the square of a text's
    length for hostile ones (beginnings of private keys without an end), and so only of a part's.
    """
    start = 0
    while len(shown) - start > WINDOW:
        end = shown.rfind(b"\n", start + WINDOW - OVERLAP, start + WINDOW) + 1 or start + WINDOW
        yield start, end
        start = end - OVERLAP
    yield start, len(shown)
