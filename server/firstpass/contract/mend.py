"""What code alone mends in a pull request summary: the sections that evidence decides, and misspelt names.

Knows no model and no tier. What it can not mend it leaves as it is, for the checks to find again.
"""

import re
from collections.abc import Iterable

from rapidfuzz import process
from rapidfuzz.distance import OSA

from firstpass.contract.references import names_in, references
from firstpass.contract.sections import SECTIONS, Sections, render_answer
from firstpass.evidence import Evidence, language_of

SHORTEST = 4
"""Characters of a name that may be taken for a misspelling: shorter ones are near to too many others."""

LONG = 8
"""A name of as many characters may have two slips, a shorter one a single slip."""


def mended(sections: Sections, evidence: Evidence, *, cut: bool = False) -> str:
    """The answer with calls and TODOs as the evidence has them, and its prose with the names that it meant.

    A call that the evidence does not require stays only where the evidence may have missed it. An action that names
    what does not exist goes: a reviewer can do nothing with it. cut: the answer ended at the token limit, so the
    sentence or the action that it ended in goes too.
    """
    names = evidence.identifiers
    actions = [respelt(action, names) for action in sections.actions[: -1 if cut else None]]
    unfinished = cut and len(sections.missing) == len(SECTIONS) - 1
    return render_answer(
        "" if unfinished else respelt(sections.summary, names),
        [*evidence.calls, *_others(sections.calls, evidence)],
        evidence.todos,
        [action for action in actions if not unknown(action, names)],
    )


def unknown(text: str, names: frozenset[str]) -> tuple[str, ...]:
    """The references of the text that name something else than `names`."""
    return tuple(reference for reference in references(text) if not names.issuperset(names_in(reference)))


def respelt(text: str, names: frozenset[str]) -> str:
    """The text with each unknown name as the one name that it can only be a misspelling of."""
    wrong = (name for reference in unknown(text, names) for name in names_in(reference) if name not in names)
    for name in dict.fromkeys(wrong):
        if (meant := nearest(name, names)) is not None:
            text = meant.join(re.split(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text))
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


def _others(calls: Iterable[str], evidence: Evidence) -> list[str]:
    all_read = evidence.languages and not evidence.notes and all(map(language_of, evidence.paths))
    possible = evidence.perhaps_calls if all_read else evidence.identifiers
    return [name for name in calls if name in possible and name not in evidence.calls]
