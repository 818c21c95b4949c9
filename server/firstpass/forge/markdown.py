"""Text of a model or of a diff's author as Markdown that shows it and does nothing else.

GitHub and GitLab make links, mentions, pictures, comments and commands of words. Here every sign that could begin one
is escaped, and a word that would become one without any sign (`@team`, `#12`, an address) stands in a code span,
where both leave it alone. It knows no service and no comment.
"""

import re

from firstpass.controls import plain

_UNSEEN = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u061c\ufeff\U000e0000-\U000e007f]")
"""What shows nothing, and what turns the direction of what is shown."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SIGNS = re.compile(r"^[-+=]|[\\`*_\[\]#!|~^$&<>@]")
_LINKED = re.compile(
    r"@|://|www\.|mailto:|xmpp:"  # mentions and addresses
    r"|[#!~%$&^*][\w\"]|\[\w+:|\[\[|(?-i:\b[A-Z][A-Z0-9_]*-\d)"  # issues, also of Jira, requests, labels, wiki pages
    r"|:[\w+-]+:"  # emoji
    r"|^\d+[.)]$|^/\w"  # lists, GitLab's commands
    r"|(?<![^\W_])[0-9a-f]{7,64}(?![^\W_])",  # commits
    re.IGNORECASE,
)
_QUOTED = re.compile(r"(\$?)(?<!`)(`+)(?!`)(.+?)(?<!`)\2(?!`)(\$?)")
"""With the signs beside it of which GitLab makes a formula."""


def prose(text: str) -> str:
    """On one line. What stands in backticks there stays a name in a code span."""
    said = _seen(text)
    shown, at = "", 0
    for quoted in _QUOTED.finditer(said):
        shown = _joined(shown, _escaped(said[at : quoted.start()]))
        shown = _joined(shown, code(quoted[1] + quoted[3] + quoted[4]))
        at = quoted.end()
    return _joined(shown, _escaped(said[at:]))


def _joined(before: str, after: str) -> str:
    """Two code spans side by side would share a fence, and end where neither should: a space parts them."""
    return f"{before}{' ' if before.endswith('`') and after.startswith('`') else ''}{after}"


def code(text: str) -> str:
    """A code span, with a fence that is longer than any run of backticks in it."""
    said = _seen(text).strip() or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", said)), default=0))
    room = " " if said.startswith("`") or said.endswith("`") else ""
    return f"{fence}{room}{said}{room}{fence}"


def _seen(text: str) -> str:
    return " ".join(_UNSEEN.sub("", plain(text)).split())


def _escaped(text: str) -> str:
    """Word by word; the spaces between them stay."""
    return "".join(part if part.isspace() else _word(part) for part in re.findall(r"\s+|\S+", text))


def _word(word: str) -> str:
    if _LINKED.search(word):
        return code(word)
    return _SIGNS.sub(lambda sign: _ENTITIES.get(sign[0], f"\\{sign[0]}"), word)
