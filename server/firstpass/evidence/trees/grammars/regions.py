"""Files that are partly markup: which lines of a hunk are script, and which expressions stand in the markup.

Knows no diff and no tree. A hunk may begin inside any part: the first tag that ends one says which; without such a tag
the lines themselves must say so, and where they contradict each other nothing is read.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

Region = Literal["script", "style", "markup", "outside"]

_TAG = re.compile(r"<(?P<close>/?)(?P<name>script|style|template)\b(?P<rest>[^<]*)")
_SCRIPT_LANGUAGE = re.compile(r"\blang\s*=\s*[\"']?(?!ts\b|js\b|typescript\b|javascript\b|tsx\b|jsx\b)\w")
_MARKUP_LINE = re.compile(r"^\s*(?:</?[A-Za-z!]|/?>\s*$|(?:[:@#]|v-|on:|bind:)?[A-Za-z][\w.:-]*=[\"'{]|\{[#:/@])|\{\{")
_TYPED = r"(?!(?:string|number|boolean|any|void|unknown|null|undefined|never|[A-Z])\b)"
_STYLE_LINE = re.compile(rf"^\s*(?:[.#&@*][\w-]+[^=;()]*[{{,]\s*$|--?[\w-]+\s*:|[a-z-]+\s*:\s*{_TYPED}[^{{}}=>]*;\s*$)")
_SCRIPT_LINE = re.compile(
    r"^\s*(?:import|export|const|let|var|return|await|function|async|if|for|while|else|try|throw|type|interface)\b"
    r"|=>|[\w$\])]\(|[\w$\]]\s=\s|;\s*$|^\s*[})\]]+[,;)]*\s*$"
)

_BOUND = re.compile(r"(?<=\s)(?::|@|v-(?!slot\b)[\w-]+[:=]?)[\w.:\[\]-]*=?\"([^\"]*)\"")
_BLOCK = re.compile(
    r"^\s*(?:[#:@/]\s*(?:else if|if|each|await|key|html|const|render|debug)\b|\.\.\.)\s*(?P<rest>.*)", re.S
)
_EACH = re.compile(r"(?<!\s)\s+(?:as|then)\s.*$", re.S)


def vue_code(lines: Sequence[str]) -> list[str] | None:
    return _code(lines, _vue_expressions, templated=True)


def svelte_code(lines: Sequence[str]) -> list[str] | None:
    return _code(lines, _svelte_expressions, templated=False)


def _code(lines: Sequence[str], expressions: Callable[[str], Iterator[str]], *, templated: bool) -> list[str] | None:
    """templated: whether markup stands in a <template> of its own, which begins a line."""
    if not any(line.strip() for line in lines):
        return [""] * len(lines)
    region = _first_region(lines, templated=templated)
    if region is None:
        return None
    code, foreign = [], False
    for line in lines:
        after, is_boundary, is_foreign = _after(line, region, templated=templated)
        if is_boundary:
            foreign = is_foreign
            code.append(_statements(expressions(line)) if not templated and after == region == "markup" else "")
        elif region == "script" and not foreign:
            code.append(line)
        elif region == "markup" and not foreign:
            code.append(_statements(expressions(line)))
        else:
            code.append("")
        region = after
    return code


def _boundary(line: str, *, templated: bool) -> re.Match[str] | None:
    """The last tag of the line that ends or begins a part; a <template> within another does neither."""
    found = [tag for tag in _TAG.finditer(line) if tag["name"] != "template" or (templated and not tag.start())]
    return found[-1] if found else None


def _after(line: str, region: Region, *, templated: bool) -> tuple[Region, bool, bool]:
    """(the region after the line, whether a tag on it says so, whether what begins is in another language)"""
    tag = _boundary(line, templated=templated)
    if tag is None:
        return region, False, False
    if tag["close"]:
        return ("outside" if templated else "markup"), True, False
    begun: dict[str, Region] = {"script": "script", "style": "style", "template": "markup"}
    if tag["rest"].rstrip().endswith("/>"):
        return region, True, False
    return begun[tag["name"]], True, bool(_SCRIPT_LANGUAGE.search(tag["rest"]))


def _first_region(lines: Sequence[str], *, templated: bool) -> Region | None:
    for line in lines:
        tag = next(
            (tag for tag in _TAG.finditer(line) if tag["name"] != "template" or (templated and not tag.start())), None
        )
        if tag is None:
            continue
        if not tag["close"]:
            return "outside" if templated else "markup"
        return "markup" if tag["name"] == "template" else "script" if tag["name"] == "script" else "style"
    return _looks(lines)


def _looks(lines: Sequence[str]) -> Region | None:
    """By the lines alone; None where they don't say, or say two things."""
    shown = [line for line in lines if line.strip()]
    markup = any(_MARKUP_LINE.search(line) for line in shown)
    style = any(_STYLE_LINE.search(line) for line in shown)
    script = any(_SCRIPT_LINE.search(line) for line in shown if not _STYLE_LINE.search(line))
    if markup:
        return (
            None
            if any(re.match(r"\s*(?:import|const|let|var|function|export)\s", line) for line in shown)
            else "markup"
        )
    if script == style:
        return None
    return "script" if script else "style"


def _statements(expressions: Iterator[str]) -> str:
    """Each expression as a statement, on one line."""
    return "".join(f";{{{one}}};" if ";" in one else f";({one});" for one in expressions if one.strip())


def _vue_expressions(line: str) -> Iterator[str]:
    for part in line.split("{{")[1:]:
        if "}}" in part:
            yield part.partition("}}")[0]
    for found in _BOUND.finditer(line):
        yield found[1].replace(" of ", " in ", 1)


def _svelte_expressions(line: str) -> Iterator[str]:
    """What stands between outermost braces."""
    depth, begin = 0, 0
    for at, character in enumerate(line):
        if character == "{":
            depth += 1
            begin = at + 1 if depth == 1 else begin
        elif character == "}" and depth:
            depth -= 1
            if not depth:
                yield from _svelte_expression(line[begin:at])


def _svelte_expression(inside: str) -> Iterator[str]:
    block = _BLOCK.match(inside)
    if block:
        yield _EACH.sub("", block["rest"]) if "each" in inside[:8] or "await" in inside[:8] else block["rest"]
    elif not inside.lstrip().startswith(("#", ":", "/", "@")):
        yield inside


_PHP_TAG = re.compile(r"<\?(?:php\b|=)?|\?>")
_PHP_LINE = re.compile(r"\$\w|[;{}]\s*$|->|::")
_HTML_LINE = re.compile(r"^\s*</?[A-Za-z!]")


def php_code(lines: Sequence[str]) -> list[str] | None:
    """What stands between `<?php` and `?>`. None where no tag says whether lines like both are text or code."""
    if not any(line.strip() for line in lines):
        return [""] * len(lines)
    first = next((tag[0] for line in lines for tag in _PHP_TAG.finditer(line)), None)
    if first is None:
        if not any(_HTML_LINE.match(line) for line in lines):
            return list(lines)
        return None if any(_PHP_LINE.search(line) for line in lines) else [""] * len(lines)
    inside = first == "?>"
    code = []
    for line in lines:
        text, inside = _php_line(line, inside=inside)
        code.append(text)
    return code


def _php_line(line: str, *, inside: bool) -> tuple[str, bool]:
    """(the code on a line, whether its end is still code)"""
    parts, at = [], 0
    for tag in _PHP_TAG.finditer(line):
        if inside and tag[0] == "?>":
            parts.append(line[at : tag.start()] + ";")
        elif not inside and tag[0] != "?>":
            parts.append("echo " if tag[0] == "<?=" else "")
        else:
            continue
        inside, at = not inside, tag.end()
    return "".join(parts) + (line[at:] if inside else ""), inside
