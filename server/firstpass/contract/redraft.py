"""What a sentence may look like that names only what there is, as a pattern for constrained decoding. Knows no diff.

The draft itself is decoded freely, since a constraint would hide what the model is unsure of. Only a sentence that was
found to name what is not there is written again, and then it can not.
"""

import re
from collections.abc import Iterable

from firstpass.contract.references import looks_like_code

MOST_NAMES = 200
LONGEST_NAME = 60
MOST_WORDS, MOST_TITLE_WORDS = 24, 8
REDRAFT_TOKENS = 96

_FIRST = "[A-Z][a-z]{0,15}"
_WORD = "[A-Za-z]?[a-z]{1,15}|[0-9]{1,4}"


def sentence_pattern(names: Iterable[str], *, title: bool = False) -> str:
    """A regular expression for one sentence: plain words, and of what looks like code the first MOST_NAMES names alone.

    names: the likeliest first. title: few words, and no full stop. Only what every engine's dialect of regular
    expressions has is used.
    """
    code = [name for name in dict.fromkeys(names) if len(name) <= LONGEST_NAME and looks_like_code(name)][:MOST_NAMES]
    known = f"|(?:{'|'.join(map(re.escape, code))})(?:\\(\\))?" if code else ""
    most, end = (MOST_TITLE_WORDS, "") if title else (MOST_WORDS, "\\.")
    return f"{_FIRST}(?:,? (?:{_WORD}{known})){{1,{most}}}{end}"
