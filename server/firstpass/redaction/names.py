"""Values beside a name that says secret: assignments of every kind of code and configuration, flags, calls, and prose.

From each such name on, the text is read once: the rest of the name, what joins it to a value, and the value.
"""

import re
from collections.abc import Iterator

from firstpass.redaction.found import Found
from firstpass.redaction.values import (
    is_blank,
    is_code,
    is_expression,
    is_hash,
    is_mixed,
    is_number,
    is_random,
    is_word,
    stands_out,
)
from firstpass.redaction.words import Name, secret_names

_NAMES_ONLY = re.compile(
    r"[_.-]?(?:id|ids|name|names|type|url|uri|path|file|dir|length|len|count|size|field|label|header|ttl|expir\w*|age"
    r"|prefix|suffix|version|format|hint|policy|strength|ref|arn|class|algorithm|alg|limit|usage|index|min|max)(?![a-z])",
    re.I,
)
_SIGN = r"(?:<<<|:?={1,3}|\?\?=|\|\|=|\|\||\?\?|=>|->|\u2192|\uff1d)"
_TYPED = r":[ \t]{0,4}[\w.\[\]<>|?&'% ]{1,60}?[ \t]{0,4}=(?=[ \t\"'`])"
_LINE = r"\s{0,3}[+\- ]?\s{1,20}"
_TO_VALUE = re.compile(
    rf"""(?P<rest>(?:[\w.\[\]]|-(?!>)){{0,40}}+)(?P<close>["'`\\\])}}*]{{0,4}})
    (?:(?P<sign>[ \t]{{0,8}}(?:{_TYPED}|{_SIGN}|[:\uff1a])
        [ \t]{{0,20}}(?:[>|][+-]?|!!str[ ])?(?:\r?\n[+\- ]?[ \t]{{1,40}})?)
    |(?P<call>(?:["'`)\]]{{0,2}}\.\w{{1,20}})?[ \t]{{0,2}}[(,][ \t\n]{{0,20}}(?=["'`rbfuRB]))
    |(?P<value_of>["'`]?[ \t]{{1,4}}value[ \t]{{0,3}}=[ \t]{{0,3}}|{_LINE}value:\s{{0,3}}
        |["'`]?\s{{0,4}}\{{{_LINE}default\s{{0,4}}=\s{{0,4}}|["'`]?\s{{0,4}}\{{[ ]?default\s{{0,4}}=\s{{0,4}})
    |(?P<tag>>(?:<!\[CDATA\[)?)(?=[^<>\s]{{1,400}}(?:\]\]>)?</)
    |(?P<cell>[ \t]{{0,20}}\|[ \t]{{0,20}})
    |(?P<gap>[ \t]{{1,8}}))
    (?:["'`]?(?:bearer|basic|token)[ \t]{{1,4}}|string::from\(|new[ ]string\(|[nrbfu]{{1,2}}(?=["'])|\*\*[ \t])?""",
    re.IGNORECASE | re.VERBOSE,
)
"""From a name to its value: an assignment of any language, a call, an element or attribute, a cell, or only a space."""
_QUOTED = re.compile(r"(?P<q>\"\"\"|'''|\\\"|[\"'`])(?P<value>(?:(?!(?P=q))[^\n\\]|\\.){0,16384}?)(?P=q)")
_BARE = re.compile(r"[^\s\"'`<>]{1,16384}")
_NEXT = re.compile(r"[;&?][ \t]?[A-Za-z_][\w .-]{0,40}=")
_SETTING = re.compile(
    r"[+\- ]?[ \t]*(?:-[ \t]+)?(?:export[ \t]+|env[ \t]+|arg[ \t]+|set[ \t]+)?[\"']?[\w.-]{0,60}", re.I
)
_LINE_ENDS = re.compile(r"[ \t]*(?:\r?\n|\Z|#)")
MOST_WORD = 300
"""Characters of a word of a sentence. With a longer one a sentence is at its end."""
_TOKEN = re.compile(rf"[ \t]*(?P<word>[^\s]{{1,{MOST_WORD}}})")
_CONNECTS = re.compile(
    r"""\w{0,12}[ \t"'`*:=\uff1a]{0,6}
    (?:(?:is|is[ ]now|was|are|to|=|:|->|\u2192|ist|lautet|war|est|es|era|è|é|är|er|je|on|jest|to|on)
    [ \t"'`*:\uff1a]{1,6}|[是は为為が:\uff1a「]{1,2})?""",
    re.IGNORECASE | re.VERBOSE,
)
"""What may stand between a name and its value where prose tells it at once."""
_PROSE = re.compile(
    r"[^\W\d_]*(?:['\u2019/-][^\W\d_]*)*[,.:!?)]*|[(\"'`*«“][^\W\d_]+|[^\W\d_]+[\"'`*»”)][,.:]?"
    r"|[-\u2013—|/=:→«»“”]+>?|\d{1,6}[,.]?"
)
_AS_THE = re.compile(
    r"(?P<word>[^\s]{5,60})[ \t]{1,3}(?:as|is|was|for|als|ist|como|es|comme|est)[ \t]{1,3}"
    r"(?:[^\W\d_]{1,12}[ \t]{1,3}){0,3}\Z"
)
_DIGIT = re.compile(r"\d")
_QUOTE = re.compile(r"\\?[\"'`]")
_REST = re.compile(r"[^\W\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{0,40}")
"""The rest of a name; scripts without spaces have none."""
MOST_JUDGED = 160
"""Characters of a value by which it is judged."""
MOST_WORDS = 10
"""Words after a name in which its value is looked for."""


def named_values(text: str, lower: str) -> Iterator[Found]:
    """lower: the text in small letters."""
    done, told = 0, _Told(text)
    for name in secret_names(lower):
        if name.start < done:
            continue
        found = _assigned(text, name) or told.after(name) or _before(text, name)
        if found:
            done = found.end
            yield found


def _assigned(text: str, name: Name) -> Found | None:
    joined = _TO_VALUE.match(text, name.end)
    if joined is None:
        return None
    names_only = _NAMES_ONLY.search(joined["rest"]) is not None and not joined["rest"].endswith(("_key", "Key"))
    if _QUOTE.match(text, joined.end()):
        plain = joined["call"] is None or ("(" in joined["call"] and name.end - name.start > len("pass"))
        return _literal(text, joined.end(), name, names_only, plain)
    return None if joined["call"] else _bare_value(text, name, joined, names_only)


def _literal(text: str, at: int, name: Name, names_only: bool, plain: bool) -> Found | None:
    quoted = _QUOTED.match(text, at)
    if quoted is None or not _is_secret_literal(quoted["value"], name, names_only, plain):
        return None
    return Found(*quoted.span("value"), _kind(name))


def _bare_value(text: str, name: Name, joined: re.Match[str], names_only: bool) -> Found | None:
    """Judged by its beginning, so that a long line without spaces is not read for each of its names."""
    bare = _BARE.match(text, joined.end(), joined.end() + MOST_JUDGED)
    if bare is None or not (name.strong or _DIGIT.search(bare[0])):
        return None
    start, value = bare.start(), _trimmed(bare[0])
    setting = joined["sign"] is not None and _is_setting(text, name, start + len(value))
    if not value or not _is_secret_bare(value, name, joined, setting) or is_blank(value):
        return None
    return None if names_only and not is_random(value) else Found(start, _whole(text, start, value), _kind(name))


def _whole(text: str, start: int, value: str) -> int:
    """The end of a value, of which the beginning was judged."""
    if len(value) < MOST_JUDGED:
        return start + len(value)
    rest = _BARE.match(text, start)
    return rest.end() if rest else start + len(value)


def _kind(name: Name) -> str:
    return "PASSWORD" if name.strong else "SECRET"


def _trimmed(value: str) -> str:
    """Without what ends a sentence, an argument or a parameter."""
    if following := _NEXT.search(value):
        value = value[: following.start()]
    value = value.rstrip(",;:.。、")
    while value and value[-1] in ")]}" and value.count(value[-1]) > value.count("([{"[")]}".index(value[-1])]):
        value = value[:-1].rstrip(",;:.")
    return value.rstrip("*\\")


def _is_setting(text: str, name: Name, end: int) -> bool:
    """Whether name and value are all there is on a line: a setting of a file, and no expression."""
    if _LINE_ENDS.match(text, end) is None:
        return False
    line = text.rfind("\n", max(0, name.start - 100), name.start) + 1
    return (line > 0 or name.start <= 100) and _SETTING.fullmatch(text, line, name.start) is not None


def _is_secret_literal(value: str, name: Name, names_only: bool, plain: bool) -> bool:
    """plain: a word without digits and signs is one too, beside a name for a password."""
    if is_blank(value) or len(value) < 4:
        return False
    if is_random(value, 16):
        return True
    if names_only:
        return False
    if any(map(str.isspace, value)):
        return name.strong and value.islower() and value.count(" ") in range(3, 24) and value.replace(" ", "").isalpha()
    if is_hash(value):
        return True
    if is_mixed(value):
        return not _reads_as_name(value)
    if not (name.strong and plain):
        return False
    return is_number(value) or (len(value) >= 6 and not is_word(value) and value.isalpha())


def _reads_as_name(value: str) -> bool:
    """Whether a mixed value is made of words that a program would call something, with no digit among them."""
    return (is_word(value) and not any(map(str.isdigit, value))) or value.startswith(("/", "./", "#", "@", "http", "-"))


def _is_secret_bare(value: str, name: Name, joined: re.Match[str], setting: bool) -> bool:
    if is_hash(value) or is_random(value, 16):
        return True
    if joined["gap"] or joined["cell"]:
        return name.strong and stands_out(value)
    if setting and not is_expression(value):
        return (is_mixed(value) and not is_code(value)) or (name.strong and _is_chosen(value))
    return stands_out(value)


def _is_chosen(value: str) -> bool:
    """Whether what stands alone on a line beside a name for a password can be one: a number, or no usual word."""
    return is_number(value) or (len(value) >= 6 and not is_word(value))


class _Told:
    """What the sentences of a text tell after a name. Each word is judged once for each strength of name before it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._judged: dict[tuple[int, bool], tuple[int, bool]] = {}

    def after(self, name: Name) -> Found | None:
        """The first word after a name in its sentence that only a password or a key looks like."""
        at = _REST.match(self._text, name.end)
        place = at.end() if at else name.end
        for number in range(MOST_WORDS):
            if number > 1 and (place, name.strong) in self._judged:
                place, goes_on = self._judged[place, name.strong]
            else:
                token = _TOKEN.match(self._text, place)
                if token is None:
                    return None
                if found := self._told_by(token, name, number < 3):
                    return found
                goes_on = len(token["word"]) < MOST_WORD and _PROSE.fullmatch(token["word"]) is not None
                self._judged[place, name.strong] = token.end(), goes_on
                place = token.end()
            if not goes_on:
                return None
        return None

    def _told_by(self, token: re.Match[str], name: Name, close: bool) -> Found | None:
        if not _DIGIT.search(token["word"]):
            return None
        start, value = _bare(token["word"], token.start("word"))
        near = close and _CONNECTS.fullmatch(self._text, name.end, start) is not None
        if not value or not (_tells(value, name, near) or is_random(value, 16)) or is_blank(value):
            return None
        return Found(start, start + len(value), _kind(name))


def _tells(value: str, name: Name, near: bool) -> bool:
    """near: nothing but `is` or a colon stands between."""
    if (name.strong or near) and stands_out(value):
        return True
    return near and (is_hash(value) or (name.strong and is_number(value)))


def _bare(word: str, start: int) -> tuple[int, str]:
    """A word without its quotes, brackets and full stop, and where it begins."""
    lead = len(word) - len(word.lstrip("\"'`([*«“:\uff1a是は为為が「『"))
    return start + lead, _trimmed(word[lead:].rstrip("\"'`»”」』"))


def _before(text: str, name: Name) -> Found | None:
    """A value that stands before its name: `use '...' as the password`."""
    if not name.strong or not _DIGIT.search(text, max(0, name.start - 100), name.start):
        return None
    told = _AS_THE.search(text, max(0, name.start - 100), name.start)
    if told is None:
        return None
    start, value = _bare(told["word"], told.start("word"))
    return Found(start, start + len(value), "PASSWORD") if stands_out(value) and not is_blank(value) else None
