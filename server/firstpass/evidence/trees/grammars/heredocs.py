"""Text inside of code that ends at a word of its own line: a hunk may show the end alone. Knows no diff and no tree."""

import re
from collections.abc import Sequence

_END = re.compile(r"^\s*(?P<word>[A-Z][A-Z_]{1,30})\s*[;,)]{0,3}\s*$")


def heredoc_code(lines: Sequence[str]) -> list[str]:
    """The lines without those of a text that began before them."""
    for at, line in enumerate(lines):
        begun = "<<" in line
        end = _END.match(line)
        if begun:
            break
        if end:
            return ["" if place <= at else kept for place, kept in enumerate(lines)]
    return list(lines)
