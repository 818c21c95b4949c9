"""What models put around an answer: thoughts, a code fence, an introduction, labels, quotes, a farewell.

Knows no form and no diff. An answer with nothing around it stays as it is, byte for byte. Time is linear.
"""

import re
from collections.abc import Sequence

MOST_ROUNDS = 4
"""Of taking one thing off after another: a fence inside quotes behind a label."""

_THOUGHT_NAMES = "thinking|think|thoughts|thought|reasoning|reflection|scratchpad"
_THOUGHTS = re.compile(rf"\s*<(?P<name>{_THOUGHT_NAMES})>", re.IGNORECASE)
_THOUGHTS_END = re.compile(rf"^[ \t]{{0,8}}</(?:{_THOUGHT_NAMES})>[ \t]{{0,8}}$", re.IGNORECASE | re.MULTILINE)
FENCE = re.compile(r"^[ \t]{0,3}(?P<mark>`{3,}|~{3,})[ \t]{0,8}[\w+.#-]{0,20}[ \t]{0,8}$")
RULE = re.compile(r"^[ \t]{0,3}(?:-{3,}|={3,}|\*{3,}|_{3,})[ \t]{0,8}$")

_POLITE = (
    r"(?:(?:sure(?: thing)?|certainly|absolutely|of course|okay|ok|alright|great|got it|understood)(?:[,.!:]|$)\s{0,4})"
)
_WHAT = r"(?:message|summary|subject(?: line)?|title|answer|review|description|draft)"
_SHOWS = (
    r"(?:here(?:['\u2019]s| is| are| (?:you|it|they|we) (?:go|are|is))|below (?:is|are)|the following (?:is|are))\b"
)
_SPEAKS = r"(?:based on|after (?:review|look)ing|(?:this|that) is|i(?:['\u2019]ve| have)? \w{4,12})\b"
_INTRODUCTION = re.compile(
    rf"^[\W_]{{0,6}}(?:{_POLITE}?(?:{_SHOWS}[^\n]{{0,300}}[:.!]|{_SPEAKS}[^\n]{{0,300}}\b{_WHAT}\b[^\n]{{0,200}}:)|{_POLITE})[*_]{{0,3}}\s*$",
    re.IGNORECASE,
)
_INTRODUCED = re.compile(
    rf"^[\W_]{{0,6}}{_POLITE}?here(?:['\u2019]s| is) (?:\w+ ){{0,4}}{_WHAT}[^:\n]{{0,100}}:[*_]{{0,3}}[ \t]+(?=\S)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^[ \t]{0,3}(?:"
    r"(?P<bold>\*{2,3}|__)(?i:[\w ]{0,20}commit message|subject(?: line)?|(?:commit )?title|message|commit)"
    r"(?::(?P=bold)|(?P=bold):?)"
    r"|#{1,6}[ \t]{1,4}(?i:[\w ]{0,20}commit message|subject(?: line)?|title|message)(?::|[ \t]{0,8}$)"
    r"|(?i:(?:git |suggested |proposed |final |the )?commit message|commit title):|Subject(?: [Ll]ine)?:"
    r"|(?:Title|Message):[ \t]{0,8}$)[ \t]{0,8}"
)
_BODY_LABEL = re.compile(
    r"^[ \t]{0,3}(?:(?P<bold>\*{2,3}|__)(?:Body|Description)(?::(?P=bold)|(?P=bold):?)"
    r"|#{1,6} (?:Body|Description):?|(?:Body|Description):)[ \t]{0,8}",
)
_FAREWELL = re.compile(
    r"^(?:\*\*|__|[_(>]|\s){0,4}(?:(?:please )?let me know\b"
    r"|(?:i )?hope (?:this|that|it) (?:helps|works|captures|meets)\b"
    r"|feel free to\b|would you like\b|do you want me\b|is there anything\b|if you(?:['\u2019]d| would) like\b"
    r"|if you (?:want|need|prefer) (?:me|any|more|another|something|a (?:different|shorter|longer))\b"
    r"|(?:this|the) commit message (?:is|uses|\w+s)\b|in this (?:commit )?(?:message|summary)\b"
    r"|this (?:message|summary|subject line|answer)"
    r" (?:follows|describes|summari[sz]es|captures|adheres|reflects|highlights)\b)",
    re.IGNORECASE,
)
_EXPLANATION = re.compile(r"^(?:#{1,6} |\*\*|__)?Explanation(?::|\*\*|__|$)", re.IGNORECASE)
_QUOTES = {'"': '"', "\u201c": "\u201d", "'": "'", "`": "`", "**": "**", "__": "__", "``": "``"}
_HEADING = re.compile(r"^#{1,6}[ \t]{1,4}(?=\S)")


def without_thoughts(text: str) -> str:
    """Without `<think>...</think>` before the answer; nothing is left of thoughts that did not end."""
    while opened := _THOUGHTS.match(text):
        closed = re.compile(f"</{opened['name']}>", re.IGNORECASE).search(text, opened.end())
        text = text[closed.end() :] if closed else ""
    closed = _THOUGHTS_END.search(text)
    return text[closed.end() :] if closed else text


def without_farewell(lines: Sequence[str]) -> Sequence[str]:
    """Without what speaks of the answer after it: an explanation, paragraphs for the reader, a rule before."""
    explained = (at for at in range(1, len(lines)) if _ends_paragraph(lines[at - 1]) and _EXPLANATION.match(lines[at]))
    end = next(explained, len(lines))
    for place in range(end - 1, 0, -1):
        if not _ends_paragraph(lines[place - 1]) or _ends_paragraph(lines[place]):
            continue
        if not _FAREWELL.match(lines[place]):
            break
        end = place
    while 0 < end < len(lines) and _ends_paragraph(lines[end - 1]):
        end -= 1
    return lines[:end]


def _ends_paragraph(line: str) -> bool:
    return not line.strip() or bool(RULE.match(line))


def unwrapped(text: str) -> str:
    """A message alone, stripped."""
    text = without_thoughts(text).strip()
    for _ in range(MOST_ROUNDS):
        before, text = text, _unquoted(_unlabelled(_unfenced(_introduced(text)))).strip()
        if text == before:
            break
    return text


def _introduced(text: str) -> str:
    """Without the lines that say that an answer follows; where none follows yet, nothing is left."""
    lines = text.split("\n")
    begin = 0
    while begin < len(lines) and (not lines[begin].strip() or _INTRODUCTION.match(lines[begin])):
        begin += 1
    lines = lines[begin:]
    if lines and (match := _INTRODUCED.match(lines[0])):
        lines[0] = lines[0][match.end() :]
    return "\n".join(without_farewell(lines))


def _unfenced(text: str) -> str:
    """What stands in a fence that begins the text, closed or not; what follows the fence explains."""
    lines = text.split("\n")
    if len(lines) == 1 and len(text) > 6 and text.startswith("```") and text.endswith("```"):
        return text.strip("`")
    opened = FENCE.match(lines[0])
    if not opened:
        fences = sum(bool(FENCE.match(line)) for line in lines)
        return "\n".join(lines[:-1]) if fences % 2 and FENCE.match(lines[-1]) else text
    mark = opened["mark"]
    closed = (
        at for at, line in enumerate(lines) if at and line.strip().startswith(mark) and not line.strip(f"{mark[0]} \t")
    )
    end = next(closed, len(lines))
    inside = "\n".join(lines[1:end])
    return inside if inside.strip() else "\n".join(lines[end + 1 :])


def _unlabelled(text: str) -> str:
    """Without "Subject:" or a Markdown heading's signs, and then without "Body:"."""
    subject, _, body = text.partition("\n")
    if not (label := _LABEL.match(subject)):
        return _HEADING.sub("", text, count=1)
    if not subject[label.end() :].strip():
        return body.strip()
    body = body.strip("\n")
    labelled = _BODY_LABEL.match(body)
    body = body[labelled.end() :].lstrip() if labelled else body
    subject = subject[label.end() :].strip()
    return f"{subject}\n\n{body}" if body and body.strip("(). ").lower() not in ("none", "n/a") else subject


def _unquoted(text: str) -> str:
    """Without quotes, bold or backticks around the whole, or around all of its first line."""
    subject, line_end, body = text.partition("\n")
    for begin, end in _QUOTES.items():
        if line_end and _is_around(text, begin, end):
            return text[len(begin) : -len(end)]
        if _is_around(subject, begin, end):
            return subject[len(begin) : -len(end)] + line_end + body
    return text


def _is_around(text: str, begin: str, end: str) -> bool:
    """Of several words, and with no other of these quotes inside."""
    inside = text[len(begin) : -len(end)]
    return text.startswith(begin) and text.endswith(end) and " " in inside and begin not in inside and end not in inside
