"""What in a text around a diff says that there is more to read. Knows no file and reads nothing."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

MOST_SHOWN = 80
_MOST_NAMED = 3

_LOOKED_AT = 4_000
"""Characters of a line: a longer one is data."""

_DIFF_LIKE = re.compile(
    r"@{2,9} -\d{1,9}(?:,\d{1,9})? [^@\n]{0,200}\+\d{1,9}(?:,\d{1,9})? @@"
    r"|diff --(?:git|cc|combined) (?:\"[^\"]|[^\s\"]{0,300}[./][^\s\"]{0,300}(?: [^\s\"]{0,300}[./]|$))"
    r"|^\W{0,20}\*\*\* \d{1,9}(?:,\d{1,9})? \*{4}|^\W{0,20}\*{15}"
    r"|^\W{0,20}(?:---|\+\+\+) \"?[abiwco]/\S"
    r"|^Index: \S{1,300}$"
    r"|[ \t]{3}[<>|]\t"
)
"""A header or a hunk, wherever in the line it stands; the last is the middle of `diff --side-by-side`."""

_LISTED = re.compile(
    r"^ ?\S.{0,300} \| +(?:\d{1,9} ?[+-]{0,200}|Bin\b.{0,60})$|^:{1,9}\d{6} \d{6} .{1,400}\t\S|^[AMDTRC]\d{0,3}\t\S"
    r"|^(?:\d{1,9}|-)\t(?:\d{1,9}|-)\t\S|^Only in \S{1,300}: \S"
)
"""git's --stat, --raw, --name-status and --numstat: files that changed, and nothing of how."""

_ED_COMMAND = re.compile(r"\d{1,9}(?:,\d{1,9})?[acd]|[ad]\d{1,9} \d{1,9}")
_CUT = re.compile(
    r"(?:truncated|omitted|clipped|snip(?:ped)?|cut off|too (?:large|long|big)|not shown"
    r"|more (?:lines|files|changes))\b",
    re.IGNORECASE,
)
_CUT_OPENS = (".", "\u2026", "[", "<", "(", "{", "#", "*", "=", "!", "~", "`", "/")
_CUT_LONGEST = 200


@dataclass(slots=True)
class Around:
    """What stood in the lines that are no part of the diff as it was read."""

    unread: Counter[str] = field(default_factory=Counter)
    listed: bool = False
    marked_cut: bool = False
    _ed: bool = False

    def look(self, line: str, *, cut: bool) -> None:
        """cut: whether it says that what stands before it, a file of the diff, was cut short."""
        line = line[:_LOOKED_AT]
        if _DIFF_LIKE.search(line):
            self.add(line)
        elif self._ed and line == ".":
            self.add("an ed script")
        elif _LISTED.match(line):
            self.listed = True
        elif cut:
            self.marked_cut = True
        self._ed = self._ed or _ED_COMMAND.fullmatch(line) is not None

    def add(self, line: str) -> None:
        shown = shortened(line.strip())
        self.unread[shown if shown in self.unread or len(self.unread) < _MOST_NAMED else ""] += 1

    def notes(self, *, files: bool) -> list[str]:
        """files: whether the diff has any."""
        notes = [f"Lines that look like a diff's were not read: {self._shown()}"] if self.unread else []
        if self.listed and not files:
            notes.append("A list of changed files was not read: it does not say what changed in them")
        return notes

    def _shown(self) -> str:
        more = self.unread[""]
        return "; ".join(line for line in self.unread if line) + (f" and {more} more" if more else "")


def says_cut(line: str) -> bool:
    """Whether it is what a tool writes where it left the rest of a diff out."""
    line = line[:_LOOKED_AT].strip()
    if line in ("...", "\u2026", "[...]", "[\u2026]"):
        return True
    return len(line) <= _CUT_LONGEST and line.startswith(_CUT_OPENS) and _CUT.search(line) is not None


def shortened(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def listed(names: Iterable[str | None]) -> str:
    """A few of the files by name, and how many more there are."""
    known = list(dict.fromkeys(name or "a file without a name" for name in names))
    shown = ", ".join(map(shortened, known[:_MOST_NAMED]))
    more = len(known) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
