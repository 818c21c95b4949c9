"""What a diff comes wrapped in: a terminal's colours, and what stands before each line of it.

Knows where a diff begins, and not what is in one.
"""

import re
from collections.abc import Iterator

LONGEST_PREFIX = 60

_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[()][A-Z0-9])|\x9b[\d;:]*[mK]")
"""Control sequences as ECMA-48 has them (CSI), a terminal's links (OSC), and the choice of a character set."""

_STYLE = r"(?:\x1b\[|\x9b)[\d;:]*[mK]"
_BEGINS_COLOURED = re.compile(
    rf"^{_STYLE}(?:{_STYLE})*(?:diff |index |[-+ @|*\\/_]|Index: |commit )|"
    rf"^(?:diff --|index )[^\n\x1b\x9b]*{_STYLE}|^@@ -[\d,]+ \+[\d,]+ @@{_STYLE}",
    re.MULTILINE,
)
_WRAPPED_COLOURED = re.compile(
    rf"^[^+\-\n\x1b\x9b]{{1,{LONGEST_PREFIX}}}{_STYLE}(?:{_STYLE})*(?:diff --|@@ -)", re.MULTILINE
)
_PLAIN_HEADER = re.compile(r"^(?:diff --git |@@ -)[^\n\x1b\x9b]*$", re.MULTILINE)

_SPELT = re.compile(
    r"^[^+\-\n]{0,60}?(?P<escape>\^\[|\u241b|\u2190|\\x1[bB]|\\0?33|\\e|\\u001[bB]|)"
    r"\[(?:\d{1,3}(?:;\d{1,3})*)?m(?:diff --|@@ -)",
    re.MULTILINE,
)
"""A header's colour, with the escape character written out or lost: a page or a log drops it, `cat -v` has `^[`."""
_SPELT_ENDS = ("mdiff --", "m@@ -")
"""One of them ends each match: nearly no text has any, and that is told far sooner."""

_LOST = r"\[(?:\d{1,3}(?:;\d{1,3}){0,9})?m"
_LOST_BEGIN = re.compile(rf"^(?:{_LOST})+([-+ ]?)(?:{_LOST})*", re.MULTILINE)
_LOST_HEADING = re.compile(rf"@@{_LOST} (?:{_LOST})?")
_LOST_END = re.compile(rf"(?:{_LOST}\t?){{1,9}}$", re.MULTILINE)

_WRAPPED = re.compile(
    rf"(?P<prefix>[^+\-][^\n]{{0,{LONGEST_PREFIX - 1}}}?)"
    r"(?P<opens>diff --(?:git|cc|combined) |--- (?=\S)|Index: (?=\S)|@@ -(?=\d)|\*\*\* (?=\S))"
)
_GOES_ON = re.compile(
    r"index [0-9a-f]{1,64}(?:\.\.|,)|(?:old mode|new mode|mode|new file mode|deleted file mode) \d"
    r"|(?:similarity|dissimilarity) index \d|(?:rename|copy) from |--- |Binary files |GIT binary patch|@@|diff --"
)
_SECOND = {"--- ": "+++ ", "Index: ": "=====", "*** ": "--- "}
_THIRD = {"--- ": re.compile(r"@@ -\d[\d,]* \+\d"), "*** ": re.compile(r"\*{15}"), "Index: ": re.compile("")}


def goes_on(line: str) -> bool:
    """Whether it can follow `diff --git`: a line that only begins so is prose of a commit message."""
    return _GOES_ON.match(line) is not None


def split_lines(text: str) -> list[str]:
    """Without their ends. Old systems end lines with a carriage return alone."""
    text = text.removeprefix("\ufeff")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def is_coloured(text: str) -> bool:
    """Whether the diff itself is: an escape character in the text of an added line is that line's own."""
    if "\x1b" not in text and "\x9b" not in text:
        return False
    if _BEGINS_COLOURED.search(text):
        return True
    return _WRAPPED_COLOURED.search(text) is not None and _PLAIN_HEADER.search(text) is None


def uncoloured(text: str) -> str:
    """Has as many lines as before."""
    return _CONTROL.sub("", text)


def escaped(text: str) -> str:
    """With the escape character of a coloured diff back in its place where it was written out.

    Where it was lost, the rest of the sequences goes, at the places where git has them: inside a line they may be code.
    """
    if "\x1b" in text or not any(end in text for end in _SPELT_ENDS) or (found := _SPELT.search(text)) is None:
        return text
    if found["escape"]:
        return text.replace(f"{found['escape']}[", "\x1b[")
    return _LOST_END.sub("", _LOST_HEADING.sub("@@ ", _LOST_BEGIN.sub(r"\1", text)))


def prefix_at(lines: list[str], at: int) -> str | None:
    """What stands before a diff that begins in this line; None where none does, or nothing stands before it."""
    match = _WRAPPED.match(lines[at])
    if not match:
        return None
    prefix, opens = match["prefix"], match["opens"]
    following = [_without(prefix, line) for line in lines[at + 1 : at + 3]] + [None, None]
    if opens.startswith("diff"):
        fits = following[0] is not None and goes_on(following[0])
    elif opens.startswith("@@"):
        fits = not prefix.strip(" \t>|") and following[0] is not None and following[0][:1] in ("+", "-", " ")
    else:
        second, third = following[:2]
        fits = second is not None and second.startswith(_SECOND[opens]) and _THIRD[opens].match(third or "") is not None
    return prefix if fits else None


def unwrap(lines: list[str], at: int, prefix: str) -> int:
    """Takes the prefix off the lines from here on that have it, in place. Returns: the first that it left.

    A graph's prefix is as wide as its commit's column, and another column's commit ends it.
    """
    end = at
    for line in _unwrapped(lines, at, prefix):
        lines[end] = line
        end += 1
    return end


def _unwrapped(lines: list[str], at: int, prefix: str) -> Iterator[str]:
    for place in range(at, len(lines)):
        line = _without(prefix, lines[place])
        if line is None or ("|" in prefix and _is_graph(line)):
            return
        yield line


def _without(prefix: str, line: str) -> str | None:
    """None where the line has not the prefix; a mail client strips the blank off an empty line's."""
    if line.startswith(prefix):
        return line[len(prefix) :]
    return "" if line.strip() in ("", prefix.strip()) else None


def _is_graph(line: str) -> bool:
    return line[:1] in ("|", "*", "/", "_") or (line[:1] == "\\" and not line[2:3].isalpha())
