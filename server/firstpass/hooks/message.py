"""git's message file: whether somebody wrote a message already, and where a draft and remarks on it go.

Bytes in, bytes out. It knows no repository, no server and no file.
"""

import re
from collections.abc import Sequence
from textwrap import wrap

SCISSORS = b" ------------------------ >8 ------------------------"
"""Behind a comment's sign: what follows is no message, whatever it looks like (git's wt-status.c)."""

COLUMNS = 72

COMMENT = b"#"
CHOSEN = b"#;@!$%^&|:"
"""Of these git chooses one, where core.commentChar is `auto`."""

_TRAILER = re.compile(rb"[A-Za-z][A-Za-z0-9-]*: \S")


def wrapped(text: str) -> str:
    """A message whose lines below the subject are at most 72 columns long, as is usual; words stay whole."""
    subject, *body = text.splitlines()
    lines = [subject]
    for line in body:
        indent = "  " if line.startswith(("- ", "* ")) else ""
        lines += wrap(line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(lines)


def comment_sign(message: bytes, set_sign: bytes) -> bytes:
    """What begins a comment in this file. set_sign: core.commentString or core.commentChar, empty for none."""
    if set_sign != b"auto":
        return set_sign or COMMENT
    last = next((line for line in reversed(_own(message, None)) if line.strip()), b"")
    return last[:1] if last[:1] and last[:1] in CHOSEN else COMMENT


def has_text(message: bytes, sign: bytes) -> bool:
    """Whether there is more than comments and trailers: `git commit --signoff` writes its line before anybody wrote."""
    lines = [line for line in _own(message, sign) if line.strip() and not line.startswith(sign)]
    return any(_TRAILER.match(line) is None for line in lines)


def with_draft(message: bytes, draft: bytes, sign: bytes) -> bytes:
    """The draft before all that is there. A line of it that would be a comment is moved by a space, and stays text."""
    lines = [b" " + line if line.startswith(sign) else line for line in draft.splitlines()]
    gap = b"\n" if message.startswith((b"\n", b"\r\n")) else b"\n\n"
    return b"\n".join(lines) + gap + message


def with_remarks(message: bytes, remarks: Sequence[bytes], sign: bytes) -> bytes:
    """Comments before the first comment; behind the scissors where they are the first, for those keep comments."""
    made = b"".join(sign + b" " + line + b"\n" if line else sign + b"\n" for line in remarks)
    lines = message.splitlines(keepends=True)
    at = next((number for number, line in enumerate(lines) if line.startswith(sign)), len(lines))
    if at < len(lines) and _is_scissors(lines[at], sign):
        at += 1
    before = b"".join(lines[:at])
    gap = b"" if not before or before.endswith(b"\n") else b"\n"
    return before + gap + made + b"".join(lines[at:])


def has_scissors(message: bytes, sign: bytes) -> bool:
    return any(_is_scissors(line, sign) for line in message.splitlines())


def _own(message: bytes, sign: bytes | None) -> list[bytes]:
    """The lines before the scissors. sign: None where it is not known."""
    lines = list[bytes]()
    for line in message.splitlines():
        if _is_scissors(line, sign):
            break
        lines.append(line)
    return lines


def _is_scissors(line: bytes, sign: bytes | None) -> bool:
    line = line.rstrip(b"\r\n")
    return line == sign + SCISSORS if sign is not None else line.endswith(SCISSORS)
