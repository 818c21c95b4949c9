"""Guards of authorization that a diff takes away or changes. Knows no grammar: it reads lines and their indentation.

What moved is no loss: the same guard, or one for the same thing, that stands on an added line anywhere in the diff. Nor
is one that went with what it guarded. The origin of this project calls a missed guard unacceptable, so where the hunk
does not show which of these it was, it is said.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

from firstpass.evidence.suspects.authority import Form, Guard, guard_on, hints_in
from firstpass.evidence.suspects.kept import Kept, Scope
from firstpass.evidence.suspects.suspicion import MOST_CHARACTERS, WEIGHTS, Suspect, quoted
from firstpass.evidence.trees.blocks import body, indent, is_code, squeezed
from firstpass.evidence.trees.masking import Dialect, Masked, Side

_MOST = 400
"""Guards of one side of a diff that are compared."""

_EXIT = re.compile(
    r"\s*(?:raise|throw|return|abort|continue|break|redirect|panic|die|exit|next|res\.|response\.|ctx\.|c\.Abort|c\.JSON"
    r"|w\.WriteHeader|http\.Error|head|render|halt|reject|Err\(|bail!|deny|fail)"
)
_ONE_LINE = re.compile(r"\b(?:raise|throw|return|abort|continue|redirect\w*|panic|sendStatus|status|halt|head|next)\b")
_PLAIN = re.compile(
    r"\b(?:self|this|await|async|public|private|protected|override|final|return|const|let|var)\b|\$this->"
)
_LETTERS = re.compile(r"\bnot\b|\band\b|\bor\b|&&|\|\||[!<>=]=*|\w+")
_SAME = {"not": "!", "and": "&&", "or": "||", "===": "==", "!==": "!="}
_NAMES_ONLY = re.compile(r"\b(?:import|export|from|require|__all__|exports)\b|\b(?:def|func|function|fn|fun)\b")
_WHOLE = re.compile(r"(?:if|elif|unless|while|guard).{0,400}[:{]$")
_ROUTE = re.compile(r"['\"`]/[^'\"`]*")
_MESSAGE = re.compile(r"\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True, slots=True)
class Spot:
    """A guard on a changed line."""

    path: str
    hunk: Masked
    side: Side
    row: int
    guard: Guard
    scope: Scope

    @property
    def form(self) -> Form:
        return self.guard.form

    @property
    def words(self) -> frozenset[str]:
        return self.guard.words

    @property
    def raw(self) -> str:
        return self.side.raw[self.row]

    @property
    def place(self) -> int:
        return self.side.places[self.row]

    @property
    def run(self) -> int:
        return self.hunk.runs[self.place]

    @property
    def key(self) -> str:
        return squeezed(self.raw)


def lost_guards(kept: Kept) -> Iterator[Suspect]:
    lost = list(islice(_spots(kept, "before"), _MOST))
    if not lost:  # nearly always, and then no side is read
        return
    gained = list(islice(_spots(kept, "after"), _MOST))
    lost = [
        spot
        for spot in lost
        if not _is_still_there(spot, kept) and not _is_rewrapped(spot, kept) and not _went_with_its_code(spot, kept)
    ]
    for same in (_exactly, _softly):
        lost, gained = _unmoved(lost, gained, same, kept)
    yield from _told(_heads(lost), gained, kept)


def _spots(kept: Kept, which: Literal["before", "after"]) -> Iterator[Spot]:
    old = which == "before"
    hints = hints_in(kept.removed_text if old else kept.added_text)
    for file in kept.files if hints else ():
        for hunk in file.hunks if not file.is_test else ():
            side_rows = hunk.removed_rows if old else hunk.added_rows
            for row in side_rows(hints, partial(_guards, file.dialect)):
                side = hunk.before if old else hunk.after
                guard = guard_on(hunk.dialect, side.raw[row], side.code[row])
                if guard and not (guard.is_listed and not _is_argument(side, row)):
                    scope = kept.of(hunk).scope(side, row, guard.form == "decorator")
                    yield Spot(file.path, hunk, side, row, guard, scope)


def _guards(dialect: Dialect, line: str) -> bool:
    """A first look at a line as it stands."""
    return guard_on(dialect, line, line) is not None


def _is_argument(side: Side, row: int) -> bool:
    """Whether a name alone on its line is one of the arguments of a call that opens above, and no import or export."""
    for above in range(row - 1, max(-1, row - 30), -1):
        code = side.code[above].rstrip()
        if code.endswith(("(", "[")) and indent(side.lines[above]) < indent(side.lines[row]):
            return not _NAMES_ONLY.search(code)
        if code.endswith("{") or (is_code(code) and indent(side.lines[above]) < indent(side.lines[row])):
            return False
    return False


def _is_still_there(spot: Spot, kept: Kept) -> bool:
    """Whether the same function has the same guard after the change, on whichever of two equal lines git kept."""
    changed = kept.of(spot.hunk)
    rows = changed.rows_after.get(spot.key, [])
    return any(changed.scope(spot.hunk.after, row, spot.form == "decorator") == spot.scope for row in rows[:20])


def _went_with_its_code(spot: Spot, kept: Kept) -> bool:
    """Whether the function, the class or the block that it guarded was removed too."""
    changed = kept.of(spot.hunk)
    if (spot.scope.target if spot.form == "decorator" else spot.scope.owner) in changed.gone:
        return True
    if spot.form == "decorator":
        return spot.scope.target is None and _decorated_is_gone(spot) and not changed.added_beside(spot.row)
    if spot.form == "registration":
        return False
    inside = body(spot.side, spot.row)
    exits = _ONE_LINE.search(spot.side.code[spot.row]) or (inside and _EXIT.match(spot.side.code[inside[0]]))
    if spot.form == "condition" and inside and not exits:
        return not kept.stays(spot.hunk, inside)
    return not kept.code_below_stays(spot.hunk, spot.row) and not changed.added_beside(spot.row)


def _decorated_is_gone(spot: Spot) -> bool:
    """For what no pattern sees as a definition: an anonymous class, a route, a field."""
    below = next((row for row in range(spot.row + 1, len(spot.side.code)) if is_code(spot.side.code[row])), None)
    return below is not None and spot.hunk.is_changed(spot.side, below)


def _unmoved(
    lost: Sequence[Spot], gained: Sequence[Spot], same: Callable[[Spot], str], kept: Kept
) -> tuple[list[Spot], list[Spot]]:
    """Both sides without the pairs that say the same, each guard in one pair at most."""
    waiting: dict[str, list[Spot]] = {}
    for spot in gained:
        waiting.setdefault(same(spot), []).append(spot)
    rest: list[Spot] = []
    for spot in lost:
        fit = next((one for one in waiting.get(same(spot), ()) if _may_be_it(spot, one, kept)), None)
        if fit is None:
            rest.append(spot)
        else:
            waiting[same(spot)].remove(fit)
    left = {id(spot) for spots in waiting.values() for spot in spots}
    return rest, [spot for spot in gained if id(spot) in left]


def _is_rewrapped(spot: Spot, kept: Kept) -> bool:
    """Whether the run of changed lines says the same on other lines, or has the whole condition inside others."""
    before, after = kept.of(spot.hunk).said_by_run[spot.run]
    return bool(after) and (before == after or (_WHOLE.match(spot.key) is not None and spot.key in after))


def _may_be_it(spot: Spot, other: Spot, kept: Kept) -> bool:
    """Not where the decorated function stays, and the other decorator is another function's."""
    if spot.form != "decorator" or other.form != "decorator" or spot.scope.target is None:
        return True
    if other.scope.target in (None, spot.scope.target):
        return True
    stays = spot.scope.target in kept.of(spot.hunk).names_after
    return not stays or other.scope.target in (spot.scope.owner, other.scope.owner) or other.scope.target[:1].isupper()


def _exactly(spot: Spot) -> str:
    return spot.key


def _softly(spot: Spot) -> str:
    """Without what says nothing: who is asked, brackets, a message; of a route only its path and its guards."""
    if spot.form == "registration" and spot.guard.names:
        path = _ROUTE.search(spot.raw)
        return " ".join((*sorted(spot.guard.names), path[0] if path else ""))
    text = _MESSAGE.sub("", spot.raw) if spot.form == "refusal" else spot.raw
    words = _LETTERS.findall(_PLAIN.sub(" ", text))
    return " ".join(_SAME.get(word, word.lower().replace("_", "")) for word in words)


def _heads(lost: Sequence[Spot]) -> list[Spot]:
    """A condition and the refusal in it are one guard."""
    kept: list[Spot] = []
    for spot in lost:
        last = kept[-1] if kept else None
        if last is None or not _is_refusal_of(spot, last):
            kept.append(spot)
    return kept


def _is_refusal_of(spot: Spot, last: Spot) -> bool:
    """Whether a guard is what the condition just above it leads to."""
    if last.hunk is not spot.hunk or last.run != spot.run or not 0 < spot.row - last.row <= 3:
        return False
    return spot.form == "refusal" and last.form in ("condition", "call") and indent(spot.raw) > indent(last.raw)


def _told(lost: Sequence[Spot], gained: Sequence[Spot], kept: Kept) -> Iterator[Suspect]:
    by_run: dict[tuple[int, int], list[Spot]] = {}
    for spot in gained:
        by_run.setdefault((id(spot.hunk), spot.run), []).append(spot)
    wide = [spot for spot in gained if spot.guard.is_wide]
    for spot in lost:
        names = set(spot.guard.names)
        if names and any(names.issubset(other.guard.names) for other in wide):
            continue
        instead = _instead(spot, by_run.get((id(spot.hunk), spot.run), []))
        if instead is not None:
            yield _suspect(spot, instead.place, _changed(spot, instead), 5)
        elif not any(spot.words & other.words and _may_be_it(spot, other, kept) for other in gained):
            yield _suspect(spot, spot.place, _removed(spot), 0)


def _instead(spot: Spot, here: Sequence[Spot]) -> Spot | None:
    """The guard that took a guard's place: of its form, or else the first."""
    return next((one for one in here if one.form == spot.form and one.words & spot.words), here[0] if here else None)


def _suspect(spot: Spot, place: int, text: str, less: int) -> Suspect:
    old = spot.hunk.hunk.lines[spot.place].old
    line = spot.hunk.nearest[place]
    return Suspect("authorization", spot.path, line, old, text[:MOST_CHARACTERS], WEIGHTS["authorization"] - less)


def _changed(spot: Spot, instead: Spot) -> str:
    return f"The permission check changed: {quoted(spot.raw, 56)} -> {quoted(instead.raw, 56)}."


def _removed(spot: Spot) -> str:
    of = spot.scope.target if spot.form == "decorator" else spot.scope.owner
    where = f" {'on' if spot.form == 'decorator' else 'in'} {quoted(of, 40)}" if of else ""
    return f"The check {quoted(spot.raw)}{where} was removed."
