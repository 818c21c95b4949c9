"""A regular expression as a grammar of llama.cpp's (GBNF). Knows the part of the language that contracts write.

Source: llama.cpp, grammars/README.md and src/llama-grammar.cpp.
"""

import re

PIECE = re.compile(
    r"(?P<open>\((?:\?:|(?!\?)))|(?P<close>\))|(?P<either>\|)|(?P<times>[?*+]|\{\d+(?:,\d*)?\})"
    r"|(?P<set>\[(?:[^\]\\\[]|\\[\\\]\[nrt])+\])|\\(?P<escaped>[^A-Za-z0-9])|(?P<plain>[^\\()\[\]{}|?*+.^$])"
)


def gbnf(pattern: str) -> str:
    """One rule, which the whole reply matches. Raises: ValueError for what is not of that part."""
    parts, at, depth = list[str](), 0, 0
    while at < len(pattern):
        piece = PIECE.match(pattern, at)
        if piece is None:
            raise ValueError(f"no grammar for {pattern[at : at + 20]!r}")
        at = piece.end()
        depth += bool(piece["open"]) - bool(piece["close"])
        parts.append(_part(piece))
        if depth < 0:
            raise ValueError(f"no grammar for {pattern!r}: its parentheses do not match")
    if depth:
        raise ValueError(f"no grammar for {pattern!r}: its parentheses do not match")
    return "root ::= " + _joined(parts)


def _part(piece: re.Match[str]) -> str:
    if piece["open"]:
        return "("
    if literal := piece["escaped"] or piece["plain"]:
        return f'"{_quoted(literal)}"'
    return piece[0]


def _quoted(character: str) -> str:
    known = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return known.get(character, character)


def _joined(parts: list[str]) -> str:
    """A quantifier stands at what it counts."""
    said = ""
    for part in parts:
        said += part if part[0] in "?*+{" else f" {part}"
    return said.strip()
