"""What an answer in a form looks like, as a pattern for constrained decoding. Knows no diff, no model and no contract.

Lines are bounded by words, not by characters: with 49,152 tokens xgrammar prepares the largest of these patterns in 0.3
s and each step in 0.01 ms. For 240 characters it takes 2.6 s, or 38 ms a step where they are written as 30 times eight.
Only what every engine's dialect of regular expressions has is used.
"""

from firstpass.contract.form import Form, Headed, Holds, Message, Section

MOST_ITEMS = 12
"""Of a list, and blocks of a message's body; as many as code itself writes."""

MOST_LINE_WORDS = 40
"""More than a summary may have, so that the checks still find one that is too long."""

_WORD = "[^ \\n\\r\\t]+"
_LINE = f"[^ \\n\\r\\t0-9*_#+:-][^ \\n\\r\\t]*(?: {_WORD}){{0,{MOST_LINE_WORDS - 2}}}(?: {_WORD} \\.\\.\\.)?"
"""One that began otherwise could be read as a heading, a bullet, a number or nothing. One that is cut off ends in dots,
so that nobody takes it for whole."""

_NAME = "[A-Za-z_$#][A-Za-z0-9_$]*"

_ITEMS: dict[Holds, str] = {
    "calls": f"{_NAME}(?:(?:\\.|::){_NAME}){{0,3}}\\(\\)",
    "places": f"[^ \\n\\r\\t:*`][^ \\n\\r\\t:]*:[0-9]{{1,6}}: {_LINE}",
}


def form_pattern(form: Form) -> str | None:
    """A regular expression for an answer in that form; None for one that any text is."""
    match form:
        case Headed():
            return "\n".join(map(_section, form.sections))
        case Message():
            return f"{_LINE}(?:\n\n{_LINE}(?:\n\n?(?:- )?{_LINE}){{0,{MOST_ITEMS - 1}}})?"
        case _:
            return None


def _section(section: Section) -> str:
    if section.holds == "sentence":
        return f"{section.name}: {_LINE}"
    item = _ITEMS.get(section.holds, _LINE)
    return f"{section.name}:(?:\n- [Nn]one|(?:\n- {item}){{1,{MOST_ITEMS}}})"
