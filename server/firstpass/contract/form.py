"""How an answer is written down, and read back tolerantly. Knows no diff, no model and no contract; judges nothing."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

from firstpass.contract.wrapping import FENCE, RULE, unwrapped, without_farewell, without_thoughts
from firstpass.evidence.diffs.paths import unquoted

Holds = Literal["sentence", "calls", "todos", "items", "places", "text"]
"""What a section is made of: one sentence, names of calls, texts of TODOs, sentences, sentences that begin with
`path:line:`, or lines of running text."""

PROSE: tuple[Holds, ...] = ("sentence", "items", "places", "text")
"""What is written freely, and so may name anything."""

FormName = Literal["headed", "message", "free"]

Parts = Mapping[str, Sequence[str]]
"""The items of each section by its name, in the form's order. A sentence is one item; a call is its bare name."""

_BULLET = re.compile(r"^\s*(?:[-*+\u2022]|\d{1,3}[.)])(?:\s+(?:\[[ xX]\]\s+)?|$)")
_NONE = re.compile(r"^[`*_(]*(?:none|n/a|nothing)[`*_)]*\.?[`*_)]*$", re.IGNORECASE)
_UNREAD = re.compile(r"^[`*_(]*not read:\s*(?P<what>.*)$", re.IGNORECASE)
_NAME = re.compile(r"(?:[^\W\d]|[$#])[\w$]*!?")
_PLACE = re.compile(r"^[`*]*(?P<path>[^\s:`*]+):(?P<line>\d{1,9})[`*]*(?::|\s|$)")
_LINE = re.compile(r"[`*\"']{0,3}:(?P<line>\d{1,9})(?!\d)[`*\"']{0,3}(?=[:\s]|$)")
_WHOLE_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_MOST_PLACES = 8


@dataclass(frozen=True, slots=True)
class Section:
    """says_unread: of a section of calls, whether its last line says which files were not read."""

    name: str
    holds: Holds
    says_unread: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read.

    missing: the sections that the text has no heading for. unread: what its sections of calls say that was not read.
    """

    parts: Parts
    missing: tuple[str, ...] = ()
    unread: str = ""

    def __getitem__(self, section: str) -> tuple[str, ...]:
        return tuple(self.parts[section])


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one item: what comes before it, the lead that opens it, and what comes after it.

    The lead is apart because a model has to write it itself: cut off from what follows, its last token may be another
    than in the texts that the model learned from.
    """

    before: str
    lead: str
    after: str
    titled: bool = False
    """Whether the item is a title: short, and without a full stop."""

    def filled(self, written: str) -> str:
        """written: the lead and the item."""
        return f"{self.before}{written}{self.after}"


class Form(Protocol):
    @property
    def sections(self) -> tuple[Section, ...]: ...

    def render(self, parts: Parts, unread: str = "") -> str:
        """The one written form, without a final newline. unread: for the sections that say it."""
        ...

    def read(self, text: str) -> Answer:
        """Every section is in the answer's parts; what is missing or empty has no items."""
        ...

    def around(self, parts: Parts, section: str, unread: str = "") -> Slot:
        """Where the section's one item stands in the written form."""
        ...

    def last(self, text: str) -> str | None:
        """The section that the text ends in, so that more text goes on with it."""
        ...

    def lists(self, text: str) -> Iterator[tuple[int, int]]:
        """(start, end) of each line of a section that is not written freely, and of the heading that ends it."""
        ...


class Headed:
    """`Name: sentence`, or `Name:` and one `- item` a line, `- none` where there is none.

    Markdown headings and bold, any bullet, backticks, blank lines, code fences and a name in the singular are read
    alike; thoughts before and a farewell after the answer are not its.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self.sections = tuple(sections)
        self._by_key = {key: section for section in self.sections for key in _keys(section.name)}
        names = "|".join(re.escape(key) for key in sorted(self._by_key, key=len, reverse=True))
        self._heading = re.compile(
            rf"^\s{{0,3}}(?:#{{1,6}}\s+(?:\d{{1,2}}[.)]\s+|[^\w\s]{{1,3}}\s+)?|(?:[-*+]|\d{{1,2}}[.)])\s+(?=[*_]{{2}}))?[*_]{{0,3}}(?P<name>{names})(?!\w)"
            r"(?P<colon>\s*:)?[*_]{0,3}(?P<late>\s*:)?[ \t]*(?P<rest>.*)$",
            re.IGNORECASE,
        )

    def render(self, parts: Parts, unread: str = "") -> str:
        return "\n".join(line for one in self.sections for line in _written(one, parts[one.name], unread))

    def read(self, text: str) -> Answer:
        found: dict[str, list[str]] = {}
        for section, line in self._by_section(text):
            lines = found.setdefault(section.name, [])
            if line.strip():
                lines.append(line)
        parts = {section.name: _items(section, found.get(section.name, [])) for section in self.sections}
        missing = tuple(section.name for section in self.sections if section.name not in found)
        return Answer(parts, missing, self._unread(found))

    def around(self, parts: Parts, section: str, unread: str = "") -> Slot:
        written = [_written(one, parts[one.name], unread) for one in self.sections]
        place = [one.name for one in self.sections].index(section)
        before = "\n".join(line for lines in written[:place] for line in lines)
        after = "".join(f"\n{line}" for lines in written[place + 1 :] for line in lines)
        return Slot(before, "\n" * bool(before) + f"{section}: ", after)

    def last(self, text: str) -> str | None:
        return next((section.name for section, _ in reversed([*self._by_section(text)])), None)

    def lists(self, text: str) -> Iterator[tuple[int, int]]:
        at, listing = 0, False
        for line in lines_of(text, keep_ends=True):
            heading, before = self._opened(line.rstrip("\r\n")), listing
            if heading:
                listing = heading[0].holds not in PROSE
            if listing or before:
                yield at, at + len(line)
            at += len(line)

    def _unread(self, found: Mapping[str, Sequence[str]]) -> str:
        lines = (line for one in self.sections if one.says_unread for line in found.get(one.name, ()))
        said = (match["what"] for line in lines if (match := _UNREAD.match(one_line(_unbulleted(line)))))
        return ", ".join(said)

    def _by_section(self, text: str) -> Iterator[tuple[Section, str]]:
        current: Section | None = None
        for line in without_farewell(lines_of(without_thoughts(text))):
            heading = self._opened(line)
            if heading:
                current, line = heading
            if current and (heading or current.holds == "text" or not (FENCE.match(line) or RULE.match(line))):
                yield current, line

    def _opened(self, line: str) -> tuple[Section, str] | None:
        """The section that a line opens, and what follows: "Actions:" and "## Actions" do, "Actions speak" not."""
        match = self._heading.match(line)
        if not match:
            return None
        marked = bool(match["colon"] or match["late"])
        if not marked and match["rest"].strip():
            return None
        return self._by_key[match["name"].lower()], match["rest"]


class Message:
    """A commit message: the subject on a line of its own, a blank line, the body as it is.

    A fence, an introduction, a label or quotes around it are not read as a part of it.
    """

    sections = (Section("Subject", "sentence"), Section("Body", "text"))

    def render(self, parts: Parts, unread: str = "") -> str:
        return "\n\n".join(filter(None, (one_line(" ".join(parts["Subject"])), "\n".join(parts["Body"]))))

    def read(self, text: str) -> Answer:
        subject, _, body = unwrapped(text).partition("\n")
        parts = {"Subject": tuple(filter(None, [subject.strip()])), "Body": tuple(lines_of(body.strip("\r\n")))}
        return Answer(parts, () if subject else ("Subject",))

    def around(self, parts: Parts, section: str, unread: str = "") -> Slot:
        subject, body = one_line(" ".join(parts["Subject"])), "\n".join(parts["Body"])
        if section == "Subject":
            return Slot("", "", f"\n\n{body}" if body else "", titled=True)
        return Slot(subject, "\n\n", "")

    def last(self, text: str) -> str | None:
        alone = unwrapped(text)
        return "Body" if "\n" in (text.lstrip() if alone == text.strip() else alone) else "Subject"

    def lists(self, text: str) -> Iterator[tuple[int, int]]:
        return iter(())


class Free:
    """Any text."""

    sections = (Section("Text", "text"),)

    def render(self, parts: Parts, unread: str = "") -> str:
        return "\n".join(parts["Text"])

    def read(self, text: str) -> Answer:
        return Answer({"Text": tuple(lines_of(text))})

    def around(self, parts: Parts, section: str, unread: str = "") -> Slot:
        return Slot("", "", "")

    def last(self, text: str) -> str | None:
        return "Text"

    def lists(self, text: str) -> Iterator[tuple[int, int]]:
        return iter(())


def form_of(name: FormName, sections: Sequence[Section]) -> Form:
    """sections: of a headed form; the others have their own."""
    match name:
        case "headed":
            return Headed(sections)
        case "message":
            return Message()
        case "free":
            return Free()


def prose_of(form: Form, answer: Answer) -> str:
    """All that is written freely, an item a line."""
    return "\n".join(item for section in form.sections if section.holds in PROSE for item in answer[section.name])


def place_of(item: str, paths: Mapping[str, str]) -> tuple[str, int] | None:
    """(path, line) that an item begins with.

    paths: those that there are, by `written_paths`. One of them may hold blanks, colons and quotes, and may stand in
    quotes or backticks; any other path is told by having no blank.
    """
    for end in islice(_LINE.finditer(item), _MOST_PLACES):
        head = item[: end.start()].strip("`* ")
        for written in (head, head.strip("\"'"), unquoted(f'"{head.strip(chr(34))}"')):
            if (path := paths.get(one_line(written))) is not None:
                return path, int(end["line"])
    match = _PLACE.match(item)
    return (match["path"], int(match["line"])) if match else None


def written_paths(paths: Iterable[str]) -> dict[str, str]:
    """Each path by what an item has of it: a line has no other white space than single blanks."""
    return {one_line(path): path for path in paths}


def lines_of(text: str, *, keep_ends: bool = False) -> list[str]:
    """Lines end at line feeds and carriage returns alone: `splitlines` also ends them at what may stand in one."""
    lines = _WHOLE_LINE.findall(text)
    return lines if keep_ends else [line.rstrip("\r\n") for line in lines]


def one_line(text: str) -> str:
    return " ".join(text.split())


def _keys(name: str) -> tuple[str, ...]:
    return (name.lower(), name.lower().removesuffix("s"))


def _written(section: Section, items: Iterable[str], unread: str) -> list[str]:
    if section.holds == "sentence":
        return [f"{section.name}: {one_line(' '.join(items))}"]
    shown = [f"{item}()" if section.holds == "calls" else one_line(item) for item in items]
    if unread and section.says_unread:
        shown.append(f"not read: {one_line(unread)}")
    return [f"{section.name}:", *([f"- {item}" for item in shown] or ["- none"])]


def _items(section: Section, lines: Sequence[str]) -> tuple[str, ...]:
    if section.holds == "sentence":
        sentence = one_line(" ".join(_unbulleted(line) for line in lines))
        return (sentence,) if sentence else ()
    items = [item for line in lines if (item := one_line(_unbulleted(line))) and not _NONE.match(item)]
    if section.holds == "calls":
        items = [item for item in items if not _UNREAD.match(item)]
        return tuple(dict.fromkeys(name for item in items for name in _call_names(item)))
    return tuple(items)


def _unbulleted(line: str) -> str:
    return _BULLET.sub("", line, count=1).strip()


def _call_names(item: str) -> Iterator[str]:
    """The bare names of one line: `a.b.create(x)` gives create; "create(), open()" gives both."""
    for part in re.split(r"[,;]\s+(?=[^()]*\()", item):
        head = part.replace("`", "").replace("*", "").strip().partition("(")[0]
        names = _NAME.findall(head.split(" ")[0] if "(" not in part else head)
        if names:
            yield names[-1].strip("!#")
