"""What code alone mends in an answer about a diff: the sections that evidence decides, and misspelt names.

Knows no model and no tier. What it can not mend it leaves as it is, for the checks to find again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from rapidfuzz import process
from rapidfuzz.distance import OSA

from firstpass.contract.echo import UNTOLD, Instructions, sound_items
from firstpass.contract.form import Answer, Form, Section, one_line, place_of, written_paths
from firstpass.contract.references import names_in, unknown
from firstpass.contract.written import LEAST_TOLD, Writer, by_code, fitting
from firstpass.evidence import Evidence
from firstpass.evidence.account import Account

SHORTEST = 4
"""Characters of a name that may be taken for a misspelling: shorter ones are near to too many others."""

LONG = 8
"""A name of as many characters may have two slips, a shorter one a single slip."""

MOST_STRANGE = 50
"""Names of one text that are looked at: a text with more is no answer."""

_TOKEN = re.compile(r"[\w$]+")
_PLACE = r"\s+(?:in|inside|within|from|at)\s+(?:the\s+)?`{{0,3}}{name}(?:\(\))?`{{0,3}}(?=[.,;:!?)]|$)"
"""A phrase that says where, of one name."""

MOST_FILES = 8
"""Named in an answer as not read; of the others it has their number."""

FEWEST_WORDS = 2
"""Of a sentence from which such a phrase may go."""


@dataclass(frozen=True, slots=True)
class Author:
    """Code as the author of sections. sections: by name, what it writes there.

    least_told: the share of the telling terms that a model's sentence must say to stay.
    """

    sections: Mapping[str, Writer]
    account: Account
    least_told: float = LEAST_TOLD


def mended(
    form: Form,
    answer: Answer,
    evidence: Evidence,
    *,
    cut: bool = False,
    code: Author | None = None,
    instructions: Instructions = UNTOLD,
) -> dict[str, tuple[str, ...]]:
    """The answer's parts, with calls and TODOs as the evidence has them and its prose with the names that it meant.

    A call that the evidence does not require stays only where the evidence may have missed it. An item that names what
    does not exist or says nothing goes: a reader can do nothing with it. cut: the answer ended at the token limit, so
    what it ended in goes too. code: what it writes where the model's own is not good enough. instructions: what the
    model was told.
    """
    written = [section.name for section in form.sections if section.name not in answer.missing]
    parts = {}
    for section in form.sections:
        items = answer[section.name]
        if cut and section.name in written[-1:]:
            items = items[:-1]
        if section.holds in ("items", "places"):
            items = tuple(sound_items(items, instructions))
        parts[section.name] = tuple(_mended_items(section, items, evidence))
    return parts if code is None else _with_code(parts, code, evidence.names, instructions)


def lacking(form: Form, answer: Answer, code: Mapping[str, Writer]) -> bool:
    """Whether an answer that was cut off lacks what nobody else writes: the section that it ended in, or one after it,
    is the model's own.

    code: by section, what code writes there; a body it only writes beside a subject of its own.
    """
    written = [section.name for section in form.sections if section.name not in answer.missing]
    names = [section.name for section in form.sections]
    begun = names.index(written[-1]) if written else 0
    return any(
        section.holds not in ("calls", "todos") and code.get(section.name) in (None, "body")
        for section in form.sections[begun:]
    )


def _with_code(
    parts: dict[str, tuple[str, ...]], code: Author, names: frozenset[str], instructions: Instructions
) -> dict[str, tuple[str, ...]]:
    """A body that code writes goes with a subject that code writes: a model's own stays as it is."""
    written = dict(parts)
    for section, writer in code.sections.items():
        written[section] = fitting(writer, parts[section], code.account, names, code.least_told, instructions)
    replaced = any(written[name] != parts[name] for name, writer in code.sections.items() if writer == "subject")
    for section, writer in code.sections.items():
        if writer == "body" and replaced:
            written[section] = by_code(writer, code.account)
    return written


def _mended_items(section: Section, items: Sequence[str], evidence: Evidence) -> Iterable[str]:
    names = evidence.names
    match section.holds:
        case "calls":
            return [*evidence.calls, *_others(items, evidence)]
        case "todos":
            return evidence.todos
        case "sentence":
            return [unplaced(respelt(item, names, evidence.headings), names) for item in items]
        case "text":
            return [respelt(item, names, evidence.headings) for item in items]
        case "items":
            return [
                item for item in (respelt(item, names, evidence.headings) for item in items) if not unknown(item, names)
            ]
        case "places":
            paths = written_paths(evidence.paths)
            kept = (item for item in items if (place := place_of(item, paths)) and evidence.shows(*place))
            return [
                item for item in (respelt(item, names, evidence.headings) for item in kept) if not unknown(item, names)
            ]


def respelt(text: str, names: frozenset[str], real: frozenset[str] = frozenset()) -> str:
    """The text with each unknown name as the one name that it can only be a misspelling of.

    real: names that exist and are still unknown here, so they are no misspellings.
    """
    wrong = (name for reference in unknown(text, names) for name in names_in(reference) if name not in names)
    strange = islice(dict.fromkeys(name for name in wrong if name not in real), MOST_STRANGE)
    meant = {name: near for name in strange if (near := nearest(name, names)) is not None}
    return _TOKEN.sub(lambda token: meant.get(token[0], token[0]), text) if meant else text


def unplaced(text: str, names: frozenset[str]) -> str:
    """The sentence without phrases such as "in name" where the name is unknown: it says less, and nothing else.

    A small model likes to say where, and takes the name for it from a hunk's heading.
    """
    for reference in unknown(text, names)[:MOST_STRANGE]:
        shorter = re.sub(_PLACE.format(name=re.escape(reference)), "", text)
        if len(shorter.split()) >= FEWEST_WORDS:
            text = shorter
    return text


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one name that is nearer than all others, by slips: letters left out, put in, changed or exchanged.

    Source: Damerau, "A technique for computer detection and correction of spelling errors", 1964: four of five
    misspellings have one slip.
    """
    if len(name) < SHORTEST:
        return None
    slips = 2 if len(name) >= LONG else 1
    near = process.extract(name, list(names), scorer=OSA.distance, score_cutoff=slips, limit=2)
    alone = near and (len(near) == 1 or near[0][1] < near[1][1])
    return near[0][0] if alone else None


def unread_files(evidence: Evidence) -> str:
    """The files that may have calls which were not read, as an answer says it; empty where there are none."""
    paths = [one_line(file.path) for file in evidence.unread]
    more = len(paths) - MOST_FILES
    return ", ".join(paths[:MOST_FILES]) + (f" and {more} more" if more > 0 else "")


def _others(calls: Iterable[str], evidence: Evidence) -> list[str]:
    all_read = evidence.languages and not evidence.notes
    possible = evidence.perhaps_calls | evidence.unread_names if all_read else evidence.identifiers
    return [name for name in calls if name in possible and name not in evidence.calls]
