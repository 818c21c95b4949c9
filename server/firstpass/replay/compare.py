"""What changed between two answers to one request. It reads no record and asks nobody."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import filterfalse
from typing import Literal

from firstpass.contract.form import Form, Section
from firstpass.exchange import Finding
from firstpass.replay.answer import Answered, canonical
from firstpass.replay.wording import Piece, likeness, shared, worded

Verdict = Literal["better", "worse", "equal"]
FormOf = Callable[[str], Form | None]
"""The form of a contract's answers by its pinned name, where that is known."""

REWORDED_FROM = 0.6
"""Of two items of a section, the likeness from which one is what became of the other."""

ALIKE_FROM = 0.4
"""Of two texts, the share of what stayed below which another text is shown, and not single words of it."""

PAIRED_LIMIT = 40
"""Items on either side; of longer lists, nothing is taken for reworded."""

WHOLE = "text"
"""What is compared where an answer has no sections."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What became of one item: of a section, of the free text, or of the calls of tools.

    pieces: of a text that was reworded.
    """

    where: str
    kind: Literal["added", "removed", "reworded", "moved"]
    before: str = ""
    after: str = ""
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """came, went: findings of the later answer that the earlier one had not, and the reverse.

    verdict: by the checks, and by whether there is an answer at all; None where nothing checks it.
    """

    same: bool
    verdict: Verdict | None
    edits: tuple[Edit, ...] = ()
    came: tuple[Finding, ...] = ()
    went: tuple[Finding, ...] = ()


def change(before: Answered, after: Answered, form_of: FormOf) -> Change:
    old, new = (list(filterfalse(_is_measure, one.findings)) for one in (before, after))
    came, went = _apart(new, old), _apart(old, new)
    same = before.essence == after.essence and not came and not went and before.route == after.route
    edits = () if before.error or after.error else tuple(_edits(before, after, form_of))
    return Change(same, verdict(before, after), edits, came, went)


def _is_measure(finding: Finding) -> bool:
    """Whether it only notes how sure a model was, which is never the same twice and changes nothing for a caller."""
    return finding.severity == "note" and finding.value is not None


def verdict(before: Answered, after: Answered) -> Verdict | None:
    """Fewer failed checks are better. Any answer is better than none."""
    if bool(before.error) != bool(after.error):
        return "worse" if after.error else "better"
    if before.error or not (before.checked and after.checked):
        return None
    old, new = len(before.failed), len(after.failed)
    return "equal" if old == new else "better" if new < old else "worse"


def _apart(these: Sequence[Finding], others: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those that the others have no like of; the same one may stand there twice."""
    left = Counter(map(_key, others))
    found = []
    for one in these:
        if left[_key(one)]:
            left[_key(one)] -= 1
        else:
            found.append(one)
    return tuple(found)


def _key(finding: Finding) -> tuple[object, ...]:
    return finding.check, finding.severity, finding.section, finding.subject, finding.message


def _edits(before: Answered, after: Answered, form_of: FormOf) -> Iterator[Edit]:
    yield from _of_texts(before, after, form_of)
    for number, (old, new) in enumerate(_padded(before.others, after.others), start=2):
        yield from _reworded(f"choice {number}", old, new)
    yield from _reworded("refusal", before.refusal, after.refusal)
    yield from _of_calls(before, after)


def _padded(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    for at in range(max(len(old), len(new))):
        yield (old[at] if at < len(old) else "", new[at] if at < len(new) else "")


def _of_texts(before: Answered, after: Answered, form_of: FormOf) -> Iterator[Edit]:
    """By sections where both answers have some; where these say no difference, word by word."""
    if before.text == after.text:
        return
    forms = [form_of(one.contract) if one.contract else None for one in (before, after)]
    if forms[0] is not None and forms[1] is not None:
        found = list(_of_sections(forms[0], before.text, forms[1], after.text))
        if found:
            yield from found
            return
    yield from _reworded(WHOLE, before.text, after.text)


def _of_sections(old_form: Form, old: str, new_form: Form, new: str) -> Iterator[Edit]:
    """Of two versions of a contract, each has its own; a section that only one has is all added, or removed."""
    was, now = old_form.read(old), new_form.read(new)
    kinds = {one.name: one for form in (old_form, new_form) for one in form.sections}
    for name, section in kinds.items():
        items, others = was.parts.get(name, ()), now.parts.get(name, ())
        if section.holds == "text":
            yield from _reworded(name, "\n".join(items), "\n".join(others))
        elif items != others:
            yield from _of_items(section, items, others)
    if was.unread != now.unread:
        yield from _reworded("not read", was.unread, now.unread)


def _of_items(section: Section, old: Sequence[str], new: Sequence[str]) -> Iterator[Edit]:
    gone = list((Counter(old) - Counter(new)).elements())
    came = list((Counter(new) - Counter(old)).elements())
    if not gone and not came:
        yield Edit(section.name, "moved", ", ".join(old), ", ".join(new))
        return
    for before, after in list(_pairs(section, gone, came)):
        gone.remove(before)
        came.remove(after)
        yield from _reworded(section.name, before, after)
    yield from (Edit(section.name, "removed", before=one) for one in gone)
    yield from (Edit(section.name, "added", after=one) for one in came)


def _pairs(section: Section, gone: Sequence[str], came: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The likest first. A call is another call, however alike the names; a section's one sentence is itself."""
    if section.holds == "sentence":
        yield from zip(gone, came, strict=False)
        return
    if section.holds == "calls" or max(len(gone), len(came)) > PAIRED_LIMIT:
        return
    ranked = sorted(
        ((likeness(old, new), a, b) for a, old in enumerate(gone) for b, new in enumerate(came)), reverse=True
    )
    taken: set[tuple[str, int]] = set()
    for like, a, b in ranked:
        if like >= REWORDED_FROM and not taken & {("old", a), ("new", b)}:
            taken |= {("old", a), ("new", b)}
            yield gone[a], came[b]


def _reworded(where: str, before: str, after: str) -> Iterator[Edit]:
    if before == after:
        return
    if not before or not after:
        yield Edit(where, "added" if after else "removed", before, after)
        return
    pieces = tuple(worded(before, after))
    if shared(pieces) < ALIKE_FROM:
        pieces = (Piece("gone", before), Piece("new", after))
    yield Edit(where, "reworded", before, after, pieces)


def _of_calls(before: Answered, after: Answered) -> Iterator[Edit]:
    """A call of the same tool in the same place with other arguments is reworded."""
    old, new = ([(name, canonical(given)) for name, given in one.calls] for one in (before, after))
    if old == new:
        return
    if Counter(old) == Counter(new):
        yield Edit("tool calls", "moved", ", ".join(map(_called, old)), ", ".join(map(_called, new)))
        return
    if [name for name, _ in old] == [name for name, _ in new]:
        for one, other in zip(old, new, strict=True):
            yield from _reworded("tool call", _called(one), _called(other))
        return
    yield from (Edit("tool call", "removed", before=_called(one)) for one in (Counter(old) - Counter(new)).elements())
    yield from (Edit("tool call", "added", after=_called(one)) for one in (Counter(new) - Counter(old)).elements())


def _called(call: tuple[str, str]) -> str:
    return f"{call[0]}({call[1]})"
