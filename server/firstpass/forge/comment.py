"""The comment on a pull or merge request: the summary, how it was made, what the checks found. It knows no service."""

import re
from collections.abc import Iterator

from firstpass.answered import Answered
from firstpass.forge.markdown import code, prose

MARK = "<!-- firstpass:pull-request -->"
"""A comment that begins with this, of our own author, is ours."""

SHORT = 12
_HEADING = re.compile(r"([A-Z][A-Za-z]{0,29}):(?:\s+(.*))?")


def written(answered: Answered, head: str) -> str:
    """head: the commit that it is about."""
    lines = [MARK, "### What this change does", ""]
    if answered.is_unverified:
        lines += ["**Unverified**: its checks failed. Read it as a draft.", ""]
    lines += [*_sections(answered.text), *_findings(answered), "", _how(answered, head)]
    return "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before)


def without_summary(why: str, head: str) -> str:
    """In the place of an older summary, which would be of another commit."""
    return "\n".join([MARK, "### What this change does", "", f"No summary of {code(head[:SHORT])}: {prose(why)}."])


def _sections(text: str) -> Iterator[str]:
    """An answer's headings and items. Every line begins with a sign of ours, so none of the text's can begin one."""
    for line in text.splitlines():
        heading = _HEADING.fullmatch(line.strip())
        if heading:
            yield from ("", f"**{heading[1]}**" + (f" {prose(heading[2])}" if heading[2] else ""), "")
        elif line.strip():
            yield f"- {prose(line.strip().removeprefix('- '))}"


def _findings(answered: Answered) -> Iterator[str]:
    """That no log-probabilities came is nothing that a reviewer wants to know."""
    told = [found for found in answered.findings if found.grave or found.check == "by-code"]
    if told:
        yield from ("", "**What the checks say**", "")
        for found in told:
            yield f"- {'**failed** ' if found.grave else ''}{code(found.check)} {prose(found.says)}"


def _how(answered: Answered, head: str) -> str:
    left = "nothing left its machine" if not answered.left else f"{answered.left} requests left its machine"
    parts = ("route", answered.route), ("contract", answered.contract), ("exchange", answered.exchange)
    said = ", ".join(f"{name} {code(value)}" for name, value in parts)
    return f"<sub>Firstpass, of {code(head[:SHORT])}: {said}; {left}.</sub>"


def cut(body: str, limit: int) -> str:
    """At most so many UTF-16 units, at the end of a line, with a note where something is missing."""
    if units(body) <= limit:
        return body
    lines, kept, used = body.split("\n"), list[str](), 0
    room = limit - 200
    for line in lines:
        used += units(line) + 1
        if used > room:
            break
        kept.append(line)
    missing = len(lines) - len(kept)
    return "\n".join([*kept, "", f"**Cut here**: {missing} lines more do not fit into a comment."])


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
