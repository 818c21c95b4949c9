"""A hunk as a text that a grammar can read: what its missing surroundings must have opened. Knows no diff and no tree.

A hunk begins anywhere: in a block, an argument list, a docstring, a chain of calls. A frame puts lines before and after
it that open and close what the hunk leaves hanging; the caller keeps the frame that leaves the fewest errors.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from firstpass.evidence.trees.indented import is_apart, python_frames
from firstpass.evidence.trees.languages import LanguageName
from firstpass.evidence.trees.shapes import CASES, SHAPES, Shape
from firstpass.evidence.trees.skeleton import CLOSERS, OPENERS, TAG_CLOSERS, Frame, Skeleton, skeleton

_MOST = 9
"""Frames that are tried."""

_LOOKED_AT, _TAIL, _LAST = 3_000, 200, 8
"""Characters: of a segment by which its kind is told; of a text's end by which it is told what it lacks, and is in."""

_MACRO = re.compile(r"\w[\w:]*+![ ]?(?:\w++[ ]?)?[({\[]")
_VARIABLE = re.compile(r"^[^\"$\n/]*+\$(?:crate\b|[a-z_])", re.MULTILINE)
_OUTERMOST = re.compile(r"^[^\s#/]", re.MULTILINE)
_AROUND = re.compile(r"^\w[\w:]*![ ]?(?:\w+[ ]?)?[({\[]|\b(?:interface|enum|struct|trait)\b|^(?:const|var|import) *\(")
_APART = re.compile(
    r"\A[ \t\n]*+\*(?:[ \t\n/]|\Z)|^[ \t]*+(?:init[ \t]*+\{|constructor[ \t]*+\(|(?:private )?[gs]et\()"
    r"|^[ \t]*+[A-Z][A-Z0-9_]*+\([^\n]*\)[ \t]*+[,;][ \t]*+$",
    re.MULTILINE,
)
"""What a grammar may take for calls although it is a comment's prose, or a part of a Kotlin class."""

_TAGS = {"/>": "attributes", ">": "attributes", "</": "children"}
_PLAIN = {**_TAGS, "]": "array", "}`": "template"}
_ELEMENT = re.compile(r"^[ \t]*+(?:\{\}?|\[\]?|\"\"),?[ \t]*+$", re.MULTILINE)
_COMMA = re.compile(r",[ \t]*+$", re.MULTILINE)
_ANGLE = re.compile(r"[\w:]<(?P<begin>[{(\[]?+)[ \t]*+$|^[ \t]*+(?P<end>>)(?=[ \t]*+(?:[;(,)=|]|$))", re.MULTILINE)
_NO_CALL = (
    (re.compile(r"\b(?:extends|implements|class|interface)[ ]++[\w.]++\Z"), " {}"),
    (re.compile(r"\bfunction\b[^(]*+\Z"), "() {}"),
    (re.compile(r"(?:\btype[ ]++\w++|->|[:|&]|\b(?:as|satisfies))[ =]*+[\w.]++\Z"), ""),
)
"""(what may stand before a list in angles that is no call's, what then comes after it)"""
_BOUNDS = re.compile(r"(?:[ \t]*+[^\n{;=]*+,?\n){1,8}?[ \t]*+\{[ \t]*+\n")
_LABEL = re.compile(r"\s*+(?:case\b|default\b|//|/\*)")
_IN_COMMENT = re.compile(r"[ \t\n]*+\*(?:[ \t\n/]|\Z)")
_STARRED = re.compile(r"[ \t]*+\*")
_WITH_DECORATORS = frozenset(("javascript", "typescript", "tsx", "java", "kotlin"))
_WITH_ANGLES = frozenset(("typescript", "tsx", "java", "kotlin", "rust"))
_WITH_TEMPLATES = frozenset(("javascript", "typescript", "tsx", "go"))
_TEMPLATE_END = re.compile(r"^[ \t]*+(?:[^`(=,:?+\n]*[^`(=,:?+\n\w \t])?`(?=[),;.\]}]|[ \t]*$)", re.MULTILINE)
_TRIPLE_END = re.compile(r"^[ \t]*+\"\"\"(?=[),;.\s]|\Z)", re.MULTILINE)
_MORE_TO_COME = ("(", "=", "+", "&", "|", "=>")
_BEGINS_INSIDE = re.compile(r"\s*+(?:\??\.(?!\.\.)|&&|\|\||\?[?:]?[ ]|:[ ]|\+[ ])")
_ENDS_INSIDE = re.compile(r"(?:[-=]>|(?<![+])\+|[=&|?.]|\breturn|\bnew)\Z")
_ENDS_HEADLESS = re.compile(r"\)[^\n;{}]*+\Z")
_ACCESSOR = re.compile(r"\s*+(?:(?:private|internal|protected)[ ])?[gs]et(?:\(|\n|$)")
_BODILESS = frozenset(("interface", "enum", "struct", "group", "import", "trait"))
"""Kinds in which `name()` is no call; a block's statements look the same."""


def stands_alone(language: LanguageName, text: str, heading: str) -> bool:
    """Whether a text may be read without a frame: no bracket is left over, and nothing says what is around it.

    A list in angles that goes on below reads well as a comparison.
    """
    if any(text.count(opener) != text.count(closer) for opener, closer in CLOSERS.items()):
        return False
    if language == "python":
        return not is_apart(text)
    if language in _WITH_ANGLES and _ANGLE.search(text):
        return False
    return not _AROUND.search(heading) and not _APART.search(text)


def frames(language: LanguageName, text: str, heading: str = "") -> Iterator[Frame]:
    """Frames worth trying, likeliest first, at most ten; an empty one among them.

    heading: of the hunk, the last line before it that git takes for one which opens something.
    """
    of_language = python_frames(text) if language == "python" else _brace_frames(language, text, heading)
    return islice(distinct(of_language), _MOST)


def distinct(found: Iterable[Frame]) -> Iterator[Frame]:
    """Each once, made only when it is asked for: mostly the first ones will do, and each takes a look at the text."""
    told: set[Frame] = set()
    for frame in found:
        if frame not in told:
            told.add(frame)
            yield frame


class _Cut(NamedTuple):
    """A text's bones, and what it goes on from and lacks whatever is around it.

    code: where it is no more inside of the comment or the text that it begins in.
    """

    language: LanguageName
    text: str
    heading: str
    code: int
    bones: Skeleton
    first: tuple[str, ...]
    after: tuple[str, ...]


def _brace_frames(language: LanguageName, text: str, heading: str) -> Iterator[Frame]:
    """The likeliest kind of block for each closer that the text has too many, and for what is around it, first."""
    if _IN_COMMENT.match(text) and "*/" not in text:
        yield Frame(("/*",), ("*/",))
    cut = _cut(language, text, heading)
    if language == "rust" and _is_in_macro(text, heading):
        yield _in_macro(cut.bones, heading)
    for at, kinds in enumerate(_choices(SHAPES[language], cut.bones, heading)):
        yield from _variants(cut, kinds, likeliest=not at)
    yield Frame((), cut.after)


def _cut(language: LanguageName, text: str, heading: str) -> _Cut:
    opened, code = _inside(language, text)
    bones = skeleton(language, text[code:])
    if bones.comment and not code:
        opened, code = "/*", bones.comment
        bones = skeleton(language, text[code:])
    after = (bones.open, *bones.missing) if bones.open else bones.missing
    first = (opened,) if opened else _begun(language, text)
    if language in _WITH_ANGLES:
        angle, end, begin = _angles(text)
        inside = len(skeleton(language, text[begin:]).missing) if end else 0
        first, after = (*angle, *first), (*after[:inside], end, *after[inside:]) if end else after
    return _Cut(language, text, heading, code, bones, first, after)


def _variants(cut: _Cut, kinds: Sequence[str], likeliest: bool) -> Iterator[Frame]:
    """The frame for these kinds, and others of it with what a text that ends anywhere may lack."""
    frame, tail = _framed(cut, kinds, likeliest), cut.text.rstrip()[-_TAIL:]
    if _ENDS_INSIDE.search(tail[-_LAST:]) or (cut.language == "java" and tail.endswith(",")):
        yield frame._replace(after=("x", *frame.after))
    yield frame
    if frame.after and tail.endswith(("&&", "||")):
        yield frame._replace(after=("x {}", *frame.after))
    if cut.language == "rust" and kinds[-1] == "block" and tail[-1:] not in (";", ",", "{"):
        yield frame._replace(after=(*frame.after, ";"))
    if likeliest and _ENDS_HEADLESS.search(tail):
        yield frame._replace(after=("{}", *frame.after))


def _framed(cut: _Cut, kinds: Sequence[str], likeliest: bool) -> Frame:
    before, left = _around(SHAPES[cut.language], cut.bones, kinds)
    if likeliest:
        before = _headed(cut, before)
    if kinds[0] in CASES and kinds[0] != "match" and not _LABEL.match(cut.text):
        before.append("default:" if cut.language == "go" else "case 1:")
    after = (*cut.after, *_decorated(cut.language, cut.bones, kinds[-1]), *left)
    return Frame((*before, *cut.first), after)


def _is_in_macro(text: str, heading: str) -> bool:
    """Whether a text is in a macro's arguments, by the heading, or in its rules, by their variables."""
    if _OUTERMOST.search(text):
        return False
    rules = "macro_rules!" not in text and 'r#"' not in text and _VARIABLE.search(text)
    return bool(rules or _MACRO.match(heading))


def _in_macro(bones: Skeleton, heading: str) -> Frame:
    """In a macro's arguments or its rules, which are no syntax yet, only brackets matter."""
    around = skeleton("rust", heading) if _MACRO.match(heading) else skeleton("rust", "{")
    openers = "".join(around.openers) + "".join(OPENERS[closer] for closer in reversed(bones.closers))
    return Frame((f"m! {openers}",), (*bones.missing, *around.missing))


def _inside(language: LanguageName, text: str) -> tuple[str, int]:
    """(What a text begins inside of, a comment or a template, as its opener or "", and where that ends)"""
    end = text.find("*/") + 2
    if end > 1 and "/*" not in text[:end] and _STARRED.match(text, text.rfind("\n", 0, end) + 1):
        return "/*", end
    if language in ("java", "kotlin") and (quote := _TRIPLE_END.search(text)):
        return ("", 0) if '"""' in text[: quote.end() - 3] else ('"""', quote.end())
    if language in _WITH_TEMPLATES and (quote := _TEMPLATE_END.search(text)):
        quotes = text.count("`", 0, quote.end() - 1)
        ended = not quotes or (quotes % 2 == 0 and "${" in text[: quote.end()] and quote[0].strip() == "`")
        if ended and not text[: quote.start()].rstrip().endswith(_MORE_TO_COME):
            return "`", quote.end()
    return "", 0


def _begun(language: LanguageName, text: str) -> tuple[str, ...]:
    """What a text goes on from that begins inside of an expression or a property."""
    if language == "kotlin" and _ACCESSOR.match(text):
        return ("val x: Int",)
    if language == "rust" and (bounds := _BOUNDS.match(text)) and ":" in bounds[0] and "(" not in bounds[0]:
        return ("fn f() where X: Y",) if text.lstrip().startswith("+") else ("fn f() where",)
    return ("x",) if _BEGINS_INSIDE.match(text) else ()


def _decorated(language: LanguageName, bones: Skeleton, kind: str) -> tuple[str, ...]:
    """What a decorator or an annotation at the text's end belongs to."""
    last = bones.segments[-1].text.rstrip().rsplit("\n", 1)[-1]
    if not last.lstrip().startswith("@") or language not in _WITH_DECORATORS:
        return ()
    return ("x() {}",) if kind == "class" and language not in ("java", "kotlin") else ("class X {}",)


def _angles(text: str) -> tuple[tuple[str, ...], str, int]:
    """(What opens a list of type arguments that the text ends, what ends one that it opens or "", where that begins)"""
    depth, least, begin = 0, 0, 0
    for angle in _ANGLE.finditer(text):
        depth += -1 if angle["end"] else 1
        least = min(least, depth)
        begin = begin if angle["end"] else angle.start("begin")
    end = _after_angle(text[text.rfind("\n", 0, begin) + 1 : begin]) if depth > least else ""
    return ("type X = Y<",) * (least < 0), end, begin


def _after_angle(line: str) -> str:
    """What closes the angles that a line opens, and makes of its name what it is."""
    name = line.partition("<")[0]
    opened = line.count("<") - line.count(">") + line.count("=>")
    return ">" * max(1, opened) + next((rest for before, rest in _NO_CALL if before.search(name)), "()")


def _choices(shape: Shape, bones: Skeleton, heading: str) -> Iterator[list[str]]:
    """Kinds for all segments, in their order: the likeliest ones, then others for the outermost, for all, for none."""
    ranked = [_kinds(shape, bones, at, heading) for at in range(len(bones.segments))]
    if (
        bones.closers
        and shape.delegates
        and any(shape.delegates.search(segment.text) for segment in bones.segments[:2])
    ):
        ranked[-1] = [*dict.fromkeys(("class", *ranked[-1]))]
    likeliest = [kinds[0] for kinds in ranked]
    yield likeliest
    for kind in ranked[-1][1:]:
        yield [*likeliest[:-1], kind]
    for rank in (1, 2):
        yield [kinds[min(rank, len(kinds) - 1)] for kinds in ranked]
    yield [kinds[-1] for kinds in ranked]


def _kinds(shape: Shape, bones: Skeleton, at: int, heading: str) -> list[str]:
    """What one segment may be, likeliest first."""
    segment = bones.segments[at]
    inner = segment.text[:_LOOKED_AT]
    if segment.closer in _PLAIN:
        return [_PLAIN[segment.closer]]
    following = bones.segments[at + 1].text[:200] if segment.closer else ""
    if segment.closer == ")":
        found = [kind for kind, holds, then in shape.brackets if then.match(following) and holds.search(inner)]
        return [*dict.fromkeys(found), "args"]
    signalled = [kind for kind, holds in shape.signals if holds.search(inner)]
    if not segment.closer:
        inner = inner.partition("\n")[2] if at else inner
        return _outermost(shape, signalled, inner, heading if "}" not in bones.closers else "")
    return _before_brace(shape, signalled, following)


def _before_brace(shape: Shape, signalled: list[str], following: str) -> list[str]:
    """Of a segment that `}` ends: what follows may say what it was."""
    for kind, then, instead_of in shape.follows:
        if then.match(following):
            return [*dict.fromkeys(kind if one in instead_of else one for one in (*signalled, "block")), "block"]
    return [*dict.fromkeys(signalled), "block"]


def _outermost(shape: Shape, signalled: list[str], inner: str, heading: str) -> list[str]:
    """Of the last segment. The heading's kind comes first where only that tells its parts from statements."""
    if _ELEMENT.search(inner):
        signalled = ["args", *signalled]
    elif _COMMA.search(inner):
        signalled = [*signalled, "args"]
    hinted = next((kind for kind, names in shape.headings if names.search(heading)), None)
    if hinted is None or not _is_shallow(inner):
        return [*dict.fromkeys((*signalled, "block"))]
    first = [hinted] if hinted in _BODILESS else []
    return [*dict.fromkeys((*first, *signalled, "block", hinted))]


def _is_shallow(inner: str) -> bool:
    """Whether the least indented line is one level deep, so right inside of what the heading opens."""
    depths = [len(line.expandtabs(4)) - len(line.lstrip()) for line in inner.split("\n") if line.strip()]
    return bool(depths) and 0 < min(depths) <= 4


def _around(shape: Shape, bones: Skeleton, kinds: Sequence[str]) -> tuple[list[str], list[str]]:
    """(An opener for each closer, the outermost first, after that of what is around all; the closer of the last)"""
    lines, left = [], []
    around = kinds[-1]
    if around != "block":
        lines.append(shape.opener(around, ""))
        left.append(_closer(lines[0]))
    for segment, kind in zip(reversed(bones.segments[:-1]), reversed(kinds[:-1]), strict=True):
        if segment.closer == "}" and around in _TAGS.values():
            kind = "container"
        lines.append(shape.opener(kind, around))
        around = kind
    return lines, left


def _headed(cut: _Cut, before: list[str]) -> list[str]:
    """The heading in place of what the last closers close, where they stand at a line's begin and are the heading's."""
    bones, openers = cut.bones, skeleton(None, cut.heading).openers
    count = len(openers)
    if not 0 < count <= len(bones.closers) or len(before) != len(bones.closers):
        return before
    segments = bones.segments[-1 - count : -1]
    own = [segment.closer for segment in reversed(segments)] == [CLOSERS.get(opener) for opener in openers]
    at = segments[0].at
    begins_line = not at or cut.text[cut.code + at - 1] == "\n"
    return [cut.heading, *before[count:]] if own and begins_line else before


def _closer(opener: str) -> str:
    return CLOSERS.get(opener[-1]) or TAG_CLOSERS["<>" if opener.endswith(">") else "<"]


def unmatched(text: str) -> tuple[list[str], tuple[str, ...]]:
    """(The closers that the text has too many, in its order, those that it has too few, in the order they come)"""
    bones = skeleton(None, text)
    return bones.closers, bones.missing
