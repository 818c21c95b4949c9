"""Known formats where the library wants to be surer than we do: it reports to people, and this only hides.

It filters short keys by their entropy, and takes some formats only beside their issuer's name. Knows no other secret.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from firstpass.redaction.found import Found, places
from firstpass.redaction.views import in_ascii

_MOST_BEFORE = 64


class _Format(NamedTuple):
    """A needle in it, and what stands before and after that."""

    needle: str
    kind: str
    after: re.Pattern[str]
    before: re.Pattern[str]


def _format(needle: str, kind: str, after: str, before: str = r"(?<![A-Za-z0-9])") -> _Format:
    return _Format(needle, kind, re.compile(after + r"(?![A-Za-z0-9])"), re.compile(before + r"\Z"))


_FORMATS = (
    _format("AKIA", "AWS_KEY", r"[A-Z0-9]{16}"),
    _format("ASIA", "AWS_KEY", r"[A-Z0-9]{16}"),
    _format("NRAK-", "NEW_RELIC_KEY", r"[A-Z0-9]{27}"),
    _format("/api/webhooks/", "WEBHOOK", r"\d{15,21}/[\w-]{40,100}", r"(?:https?://[\w.-]{1,50})?"),
    _format("hooks.slack.com/", "WEBHOOK", r"(?:services|workflows|triggers)/[\w/-]{20,200}", r"(?:https?://)?"),
    _format("webhook.office.com/", "WEBHOOK", r"[\w/@-]{40,400}", r"(?:https?://[\w-]{1,50}\.)?"),
    _format("key-", "MAILGUN_KEY", r"[0-9a-f]{32}"),
    _format("-us", "MAILCHIMP_KEY", r"\d{1,2}", r"(?<![0-9a-f])[0-9a-f]{32}"),
    _format(":AA", "TELEGRAM_TOKEN", r"[\w-]{32,34}", r"(?<!\d)\d{8,10}"),
    _format("GOCSPX-", "GOOGLE_SECRET", r"[\w-]{28}"),
    _format("ya29.", "GOOGLE_TOKEN", r"[\w-]{30,2000}"),
    _format("AGE-SECRET-KEY-", "AGE_KEY", r"(?:PQ-)?1[A-Z0-9]{50,2000}"),
)


def strict_formats(text: str) -> Iterator[Found]:
    text = in_ascii(text)
    for one in _FORMATS:
        for at in places(text, one.needle):
            after = one.after.match(text, at + len(one.needle))
            before = one.before.search(text, max(0, at - _MOST_BEFORE), at) if after else None
            if before and after:
                yield Found(before.start(), after.end(), one.kind)
