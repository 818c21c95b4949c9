"""Whether a text mentions a word or a name. It knows no case and no diff.

What is written in small letters, or with one capital at the beginning of a word ("rate limit", "Redis"), is a word: it
is found in any case. All else ("createSession", "TODO", "auth.py", "--no-verify") is code, found only as it is written.
"""

import re
import unicodedata
from functools import lru_cache

_WORDS = re.compile(r"[^\W_][^\W_]*(?:[\s'\u2019-]+[^\W_]+)*")
_PART = re.compile(r"[^\W_]+")
_NAMED = re.compile(r"[\w$]")


def mentions(text: str, wanted: str) -> bool:
    """As a whole word or name: `session` is not in `createSession` nor in `sessions`, but in `session.close()`.

    White space of any length and line ends are alike. A call's empty parentheses need not be there.
    """
    return _expression(wanted).search(unicodedata.normalize("NFC", text)) is not None


def lines_with(text: str, wanted: str) -> list[str]:
    """The lines in which a mention begins, without the space at their ends; each once."""
    text = unicodedata.normalize("NFC", text)
    starts = [match.start() for match in _expression(wanted).finditer(text)]
    return list(dict.fromkeys(_line(text, start) for start in starts))


def is_code(wanted: str) -> bool:
    """Whether capitals count."""
    if not _WORDS.fullmatch(wanted):
        return True
    return any(part[1:] != part[1:].lower() for part in _PART.findall(wanted))


@lru_cache(1024)
def _expression(wanted: str) -> re.Pattern[str]:
    wanted = unicodedata.normalize("NFC", wanted.strip())
    code = is_code(wanted)
    bare = wanted.removesuffix("()") or wanted
    inner = r"\s+".join(map(re.escape, bare.split()))
    edges = r"[\w$-]" if code and "-" in bare else r"[\w$]"
    before = rf"(?<!{edges})" if _NAMED.match(bare[0]) else ""
    after = rf"(?!{edges})" if _NAMED.match(bare[-1]) else ""
    return re.compile(before + inner + after, 0 if code else re.IGNORECASE)


def _line(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else None].strip()
