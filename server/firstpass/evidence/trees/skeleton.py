"""A hunk's text without what stands in brackets, strings and comments. Knows no tree and no diff, and no language well.

A hunk closes brackets that it does not open. These cut it into segments, each one level further out than the one
before; what stands at a segment's own level says what kind of block it is: `case x:` a switch, `Get() error` an
interface.
"""

import re
from typing import NamedTuple

from firstpass.evidence.trees.languages import LanguageName

DEEPEST = 24
"""Levels of nesting that a frame restores; deeper code is read as it stands."""

OPENERS = {")": "(", "]": "[", "}": "{"}
CLOSERS = {opener: closer for closer, opener in OPENERS.items()}
TAG_CLOSERS = {"<": "/>", "<>": "</a>"}
"""`<` stands for a tag whose attributes go on, `<>` for an element whose end is to come."""

_IN_TEMPLATE = "${"
_TRY = "try {"
_ALL_CLOSERS = {**CLOSERS, **TAG_CLOSERS, _IN_TEMPLATE: "}`", _TRY: "} finally {}"}
_WITH_FINALLY = frozenset(("javascript", "typescript", "tsx", "java", "kotlin"))

_COMMENT = r"//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)"
_STRING = r"\"(?:[^\"\\\n]|\\.)*+\"?"
_TRIPLE = r"\"\"\"(?:[^\"]|\"(?!\"\"))*+(?:\"\"\"|\Z)"
_CHUNK = r"(?:[^`\\$]|\\.|\$(?!\{))*+(?:`|\$\{|\\?\Z)"
_TEMPLATE = rf"`(?<!\\`){_CHUNK}"
_SLASHED = r"(?![*/ ])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.){0,60}+\]){1,100}+/"
_REGEX = rf"/(?<=[=(,:!&|?]/){_SLASHED}|[ ]/(?<=[=(,:!&|?][ ]/){_SLASHED}"
_PLAIN = r"[^()\[\]{}\"'`/#<>]*+"
_PAIR = rf"\({_PLAIN}\)|\[{_PLAIN}\]|\{{{_PLAIN}\}}"
"""A bracket with its closer and nothing between that is a token itself: most are such pairs."""

_BRACKET = r"\(|\)|\[|\]|\{|\}"
_TAG = r"<(?<![\w$)\].]<)(?=[A-Za-z_>])|</|/>|>(?<![=-]>)"
_HAS_TAGS = re.compile(r"</|/>|^[ \t]*+>[ \t]*+$", re.MULTILINE)


def _tokens(*parts: str) -> re.Pattern[str]:
    """Each alternative begins with one certain character, so that `re` skips at once what begins none of them."""
    return re.compile("|".join((*parts, _PAIR, _BRACKET)), re.S)


_TOKENS: dict[str, re.Pattern[str]] = {
    "ecmascript": _tokens(_COMMENT, _STRING, r"'(?:[^'\\\n]|\\.){0,400}'", _TEMPLATE, _REGEX, r"\*/"),
    "jsx": _tokens(_COMMENT, _STRING, r"'(?:[^'\\\n]|\\.){0,400}'", _TEMPLATE, _TAG, _REGEX, r"\*/"),
    "go": _tokens(_COMMENT, _STRING, r"'(?:[^'\\\n]|\\.){1,10}'", r"`[^`]*+(?:`|\Z)", r"\*/"),
    "rust": _tokens(_COMMENT, r"r#\"(?:[^\"]|\"(?!#))*+(?:\"#|\Z)", _STRING, r"'(?:[^'\\\n]|\\[^\n']{1,9})'", r"\*/"),
    "python": _tokens(r"#[^\n]*", _TRIPLE, _TRIPLE.replace('\\"', "'"), _STRING, r"'(?:[^'\\\n]|\\.)*+'?"),
    "others": _tokens(_COMMENT, _TRIPLE, _STRING, r"'(?:[^'\\\n]|\\.){1,80}'", r"\*/"),
}
_ENDS_TEMPLATE = re.compile(r"[),;.\]}\s]|\Z")
_MORE_TEMPLATE = re.compile(_CHUNK, re.S)
_BY_LANGUAGE: dict[LanguageName, str] = {
    "javascript": "ecmascript", "typescript": "ecmascript", "tsx": "ecmascript", "go": "go", "rust": "rust",
    "python": "python",
}  # fmt: skip


class Frame(NamedTuple):
    """Lines to put before and after a fragment."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class Segment(NamedTuple):
    """What stands at one level, with empty brackets and strings; the closer that ends it, "" at the text's end.

    at: where the closer stands. Of a tag the closer is `/>`, `>` or `</`, of a `${...}` with its template's rest "}`".
    """

    text: str
    closer: str
    at: int


class Skeleton(NamedTuple):
    """Segments from the innermost, where the text begins, outwards; the brackets that are open at its end.

    comment: where a comment ends that began before the text, or 0. open: what is to be put behind a comment or a
    template that goes on at the text's end, or "".
    """

    segments: tuple[Segment, ...]
    openers: tuple[str, ...]
    comment: int
    open: str

    @property
    def closers(self) -> list[str]:
        return [segment.closer for segment in self.segments[:-1]]

    @property
    def missing(self) -> tuple[str, ...]:
        """The closers for what is open, in the order in which they come."""
        return tuple(_ALL_CLOSERS[opener] for opener in reversed(self.openers))


def skeleton(language: LanguageName | None, text: str) -> Skeleton:
    """Strings and comments are left out in a way that is right for most lines. Time is linear in the text.

    language: None for any other one.
    """
    tokens = _BY_LANGUAGE.get(language, "others") if language else "others"
    if language in ("javascript", "tsx") and _HAS_TAGS.search(text):
        tokens = "jsx"
    bones = _Bones(text, language in _WITH_FINALLY, tokens in ("ecmascript", "jsx"))
    pattern = _TOKENS[tokens]
    match = pattern.search(text)
    while match:
        match = pattern.search(text, bones.take(match[0], match.start(), match.end()))
    return bones.done()


class _Bones:
    """A skeleton that grows token by token."""

    def __init__(self, text: str, with_finally: bool, with_templates: bool) -> None:
        self._text = text
        self._with_finally = with_finally
        self._with_templates = with_templates
        self._segments: list[Segment] = []
        self._parts: list[str] = []
        self._openers: list[str] = []
        self._end = 0
        self._comment = 0
        self._open = ""

    def take(self, token: str, begin: int, end: int) -> int:
        """Returns: where to look for the next token."""
        if not self._openers:
            self._parts.append(self._text[self._end : begin])
        self._end = end
        if token[0] in CLOSERS and len(token) > 1:
            self._show(token[0] + token[-1])
        elif token in CLOSERS or token == "<":
            self._show(token)
            tries = (
                self._with_finally and token == "{" and self._text[max(0, begin - 5) : begin].rstrip().endswith("try")
            )
            self._openers.append(_TRY if tries else token)
        elif token in OPENERS:
            if token == "}" and self._openers and self._openers[-1] == _IN_TEMPLATE:
                return self._go_on(end)
            if token == "}" and not self._openers and self._with_templates and (more := self._more_template(end)):
                self._close("}`", begin)
                return self._take_more(more)
            while self._openers and self._openers[-1] in TAG_CLOSERS:
                self._openers.pop()
            self._close(token, begin)
        elif token in ("</", "/>", ">"):
            self._take_tag(token, begin)
        elif token == "*/":
            self._comment = self._comment or end
        else:
            self._show("" if token[:2] in ("//", "/*") or token[0] == "#" else '""')
            self._take_text(token)
        return self._end

    def _go_on(self, begin: int) -> int:
        """The template behind a `${...}` in it."""
        self._openers.pop()
        more = _MORE_TEMPLATE.match(self._text, begin)
        assert more, "it matches an empty text"
        return self._take_more(more)

    def _more_template(self, begin: int) -> re.Match[str] | None:
        """What follows a `}` with which the text leaves a `${`: the rest of a template, on the same line."""
        line = self._text[begin : begin + 200].split("\n", 1)[0]
        more = _MORE_TEMPLATE.match(self._text, begin, begin + len(line))
        if more is None or not more[0].endswith(("`", _IN_TEMPLATE)):
            return None
        return more if more[0].endswith(_IN_TEMPLATE) or _ENDS_TEMPLATE.match(self._text, more.end()) else None

    def _take_more(self, more: re.Match[str]) -> int:
        self._take_text(f"`{more[0]}")
        self._end = more.end()
        return self._end

    def _take_text(self, token: str) -> None:
        self._open = _left_open(token)
        if token[0] == "`" and token.endswith(_IN_TEMPLATE) and not self._open:
            self._openers.append(_IN_TEMPLATE)

    def done(self) -> Skeleton:
        if not self._openers:
            self._parts.append(self._text[self._end :])
        self._segments.append(Segment("".join(self._parts), "", len(self._text)))
        return Skeleton(
            tuple(self._segments[-DEEPEST - 1 :]), tuple(self._openers[-DEEPEST:]), self._comment, self._open
        )

    def _show(self, shown: str) -> None:
        if not self._openers:
            self._parts.append(shown)

    def _close(self, token: str, at: int) -> None:
        if self._openers:
            self._openers.pop()
            self._show(token)
        else:
            self._segments.append(Segment("".join(self._parts), token, at))
            self._parts = []

    def _take_tag(self, token: str, at: int) -> None:
        """What ends a tag or an element; a `>` that ends no tag is an operator, unless it has its line to itself."""
        top = self._openers[-1] if self._openers else None
        if token == ">" and top == "<":
            self._openers[-1] = "<>"
        elif token == ">" and top is None and not self._text[self._text.rfind("\n", 0, at) + 1 : at].strip():
            self._close(token, at)
            self._openers.append("<>")
        elif (token == "/>" and top in ("<", None)) or (token == "</" and top in ("<>", None)):
            self._close(token, at)
        elif top is None:
            self._show(token)


def _left_open(token: str) -> str:
    """The end that a comment or a template lacks; only the text's last token can lack it."""
    if token[:3] in ('"""', "'''"):
        return "" if len(token) > 5 and token.endswith(token[:3]) else token[:3]
    if token.startswith("/*"):
        return "" if token.endswith("*/") and len(token) > 3 else "*/"
    return "`" if token[0] == "`" and (len(token) == 1 or not token.endswith(("`", _IN_TEMPLATE))) else ""
