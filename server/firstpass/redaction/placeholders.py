"""What stands for a secret while a text is away, and the way back. It finds no secrets and knows no model.

A placeholder is one word of capitals, digits and underscores with eight random hexadecimal digits at its end, such as
`HIDDEN_AWS_KEY_7f3a9c21`: JSON, HTML, Markdown, shells and URLs leave it as it is, and a model copies it like a name.
"""

import json
import re
import secrets
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping

from firstpass.redaction.repeats import Repeats

STEM = "HIDDEN_"
MOST_KIND = 40
"""Characters of a kind, so that what is held back of a stream is bounded."""
_LOOKS = re.compile(rf"{STEM}[A-Z0-9_]{{1,{MOST_KIND}}}?_[0-9a-f]{{8}}")
TAKEN = re.compile(r"(?<=_)[0-9a-f]{8}")
"""Where a text holds what could be a placeholder's digits."""
_LONGEST = len(STEM) + MOST_KIND + 9


class Placeholders:
    """The secrets of one request and what stands for each. It lives in memory only, and its repr shows no secret."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._sorted: list[str] = []
        self._digits: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self.repeats = Repeats()
        """Finds the secrets in other texts, as they are."""

    def __repr__(self) -> str:
        return f"Placeholders({', '.join(f'{kind}={count}' for kind, count in sorted(self._kinds.items()))})"

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("placeholders stay in the memory of this process")

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many different secrets there are of each kind."""
        return dict(self._kinds)

    def stand_in(self, secret: str, kind: str, taken: Collection[str]) -> str:
        """What stands for a secret: always the same for the same one.

        taken: the digits that the text already holds where a placeholder would have its own.
        """
        if secret not in self._names:
            self._add(secret, kind[:MOST_KIND], taken)
        return self._names[secret]

    def _add(self, secret: str, kind: str, taken: Collection[str]) -> None:
        digits = secrets.token_hex(4)
        while digits in self._digits or digits in taken:
            digits = secrets.token_hex(4)
        name = f"{STEM}{kind}_{digits}"
        self._names[secret], self._secrets[name] = name, secret
        self._digits.add(digits)
        self.repeats.add(secret)
        self._kinds[kind] += 1

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where placeholders of this request stand in a text, in order.

        No two overlap: a stem begins with a letter that follows no underscore in it, and all digits differ.
        """
        found, start = [], text.find(STEM) if self._secrets else -1
        while start >= 0:
            match = _LOOKS.match(text, start)
            ours = match is not None and match[0] in self._secrets
            end = match.end() if match and ours else start + 1
            if ours:
                found.append((start, end))
            start = text.find(STEM, end)
        return found

    def restore(self, text: str, escaped: bool = False) -> str:
        """A text with its secrets back. What only looks like a placeholder stays.

        escaped: the text is JSON, so a secret goes in as it is written inside a JSON string.
        """
        out, done = [], 0
        for start, end in self.spans(text):
            secret = self._secrets[text[start:end]]
            out += [text[done:start], json.dumps(secret)[1:-1] if escaped else secret]
            done = end
        return "".join(out) + text[done:]

    def begun(self, text: str) -> int:
        """Where the longest beginning of a placeholder at the very end of a text starts; the text's length if none."""
        if self._secrets:
            start = text.find(STEM[0], max(0, len(text) - _LONGEST))
            while start >= 0:
                if self._begins(text[start:]):
                    return start
                start = text.find(STEM[0], start + 1)
        return len(text)

    def _begins(self, piece: str) -> bool:
        if len(self._sorted) < len(self._secrets):
            self._sorted = sorted(self._secrets)
        at = bisect_left(self._sorted, piece)
        return at < len(self._sorted) and self._sorted[at].startswith(piece) and piece != self._sorted[at]

    def restorer(self, escaped: bool = False) -> "Restorer":
        return Restorer(self, escaped)


class Restorer:
    """Restores a text that comes in pieces. It holds back the beginning of a placeholder, and nothing else."""

    def __init__(self, places: Placeholders, escaped: bool = False) -> None:
        self._places, self._escaped = places, escaped
        self._held = ""

    @property
    def held(self) -> str:
        """What waits for its next piece: the beginning of a placeholder, or nothing."""
        return self._held

    def feed(self, piece: str) -> str:
        """What can be shown now."""
        text = self._held + piece
        cut = self._places.begun(text)
        self._held = text[cut:]
        return self._places.restore(text[:cut], self._escaped)

    def end(self) -> str:
        """The rest, as it came: half a placeholder that never went on is only text."""
        rest, self._held = self._held, ""
        return rest
