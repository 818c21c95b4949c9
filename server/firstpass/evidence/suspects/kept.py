"""What a diff still has after the change, to tell a loss from a move. Knows no rule of what matters."""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from firstpass.evidence.trees.blocks import (
    Defined,
    all_squeezed,
    definitions,
    followers,
    indent,
    is_code,
    owners,
    squeezed,
    target,
)
from firstpass.evidence.trees.masking import Dialect, Masked, Side

_SHOWS = re.compile(r"(?:^|/)(?:examples?|samples?|demos?|docs?|playground|website|bench\w*)/", re.I)
_MOST = 200_000
"""Characters in which what is added is looked for as removed."""


@dataclass(frozen=True)
class Reading:
    """A file that people wrote: its path on the new side, and its hunks."""

    path: str
    dialect: Dialect
    hunks: Sequence[Masked]
    is_test: bool

    @cached_property
    def added_text(self) -> str:
        return "\n".join(hunk.added_text for hunk in self.hunks)

    @cached_property
    def removed_text(self) -> str:
        return "\n".join(hunk.removed_text for hunk in self.hunks)

    @cached_property
    def only_shows(self) -> bool:
        """Whether its code only shows something: what that does with its own text harms nobody."""
        return _SHOWS.search(self.path) is not None

    @cached_property
    def removed_squeezed(self) -> str:
        return squeezed(self.removed_text[:_MOST])

    def hunks_that_add(self, words: Collection[str]) -> Iterator[Masked]:
        return (hunk for hunk in self.hunks if any(word in hunk.added_text for word in words))


class Scope(NamedTuple):
    """target: what a decorator decorates. owner: the innermost that a line stands in."""

    target: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class Changed:
    """A hunk, and what is asked of it more than once."""

    hunk: Masked
    _forms: dict[re.Pattern[str], bool] = field(default_factory=dict)

    @cached_property
    def before(self) -> Sequence[Defined]:
        return definitions(self.hunk.dialect, self.hunk.before, self.hunk.hunk.heading)

    @cached_property
    def after(self) -> Sequence[Defined]:
        return definitions(self.hunk.dialect, self.hunk.after, self.hunk.hunk.heading)

    @cached_property
    def names_after(self) -> frozenset[str]:
        return frozenset(one.name for one in self.after)

    @cached_property
    def gone(self) -> frozenset[str]:
        """What the hunk defined on removed lines and defines no longer."""
        old = (one.name for one in self.before if one.row >= 0 and self.hunk.is_changed(self.hunk.before, one.row))
        return frozenset(old) - self.names_after

    @cached_property
    def rows_after(self) -> dict[str, list[int]]:
        """By the line, squeezed."""
        rows: dict[str, list[int]] = {}
        for row, raw in enumerate(self.hunk.after.raw):
            rows.setdefault(squeezed(raw), []).append(row)
        return rows

    @cached_property
    def added_by_run(self) -> dict[int, list[int]]:
        """The added rows of code, by their run of changed lines."""
        hunk, rows = self.hunk, dict[int, list[int]]()
        for row in hunk.changed(hunk.after):
            if is_code(hunk.after.code[row]):
                rows.setdefault(hunk.runs[hunk.after.places[row]], []).append(row)
        return rows

    @cached_property
    def _added_places(self) -> list[tuple[int, int]]:
        """(place, row) of the added rows of code, in order."""
        places = self.hunk.after.places
        return [(places[row], row) for rows in self.added_by_run.values() for row in rows]

    def added_near(self, first: int, last: int) -> list[int]:
        """The added rows of code between two places in the hunk."""
        low, high = bisect_left(self._added_places, (first, 0)), bisect_left(self._added_places, (last + 1, 0))
        return [row for _, row in self._added_places[low:high]]

    def rows_near(self, place: int, span: int) -> range:
        """Rows of the new side within so many places."""
        places = self.hunk.after.places
        return range(bisect_left(places, place - span + 1), bisect_left(places, place + span))

    def adds_any(self, pattern: re.Pattern[str]) -> bool:
        """Whether an added line of the hunk has code of that form; each pattern is looked for once."""
        if pattern not in self._forms:
            code = self.hunk.after.code
            self._forms[pattern] = any(pattern.search(code[row]) for _, row in self._added_places)
        return self._forms[pattern]

    @cached_property
    def said_by_run(self) -> dict[int, tuple[str, str]]:
        """What each run of changed lines says without comments, squeezed, (before, after)."""
        hunk, texts = self.hunk, dict[int, tuple[list[str], list[str]]]()
        for which, side in enumerate((hunk.before, hunk.after)):
            for row in hunk.changed(side):
                texts.setdefault(hunk.runs[side.places[row]], ([], []))[which].append(side.raw[row])
        said = {run: tuple(squeezed("".join(lines)).replace("\\", "") for lines in both) for run, both in texts.items()}
        return {run: (before, after) for run, (before, after) in said.items()}

    def added_beside(self, row: int) -> list[int]:
        """The added rows of the run that a removed row is in."""
        return self.added_by_run.get(self.hunk.runs[self.hunk.before.places[row]], [])

    def scope(self, side: Side, row: int, decorates: bool = False) -> Scope:
        found = self.before if side is self.hunk.before else self.after
        at = indent(side.lines[row])
        owner = next(owners(found, row, at), None)
        on = target(found, row, at) if decorates else None
        return Scope(on.name if on else None, owner.name if owner else None)


@dataclass(frozen=True)
class Kept:
    """All of a diff's files that are read; gone: those that it deletes whole."""

    files: Sequence[Reading]
    gone: Sequence[Reading] = ()
    _changed: dict[int, Changed] = field(default_factory=dict)

    def of(self, hunk: Masked) -> Changed:
        found = self._changed.get(id(hunk))
        if found is None:
            found = self._changed[id(hunk)] = Changed(hunk)
        return found

    @cached_property
    def added_text(self) -> str:
        """All added lines, to ask first whether a word is anywhere."""
        return "\n".join(file.added_text for file in self.files)

    @cached_property
    def removed_text(self) -> str:
        return "\n".join(file.removed_text for file in self.files)

    @cached_property
    def added(self) -> frozenset[str]:
        """The added lines, squeezed."""
        return all_squeezed(self.added_text)

    @cached_property
    def removed(self) -> frozenset[str]:
        return all_squeezed("\n".join(file.removed_text for file in (*self.files, *self.gone)))

    def adds(self, side: Side, row: int) -> bool:
        """Whether an old line stands on an added line, wherever."""
        return not self.added.isdisjoint(_keys(side, row))

    def is_new(self, hunk: Masked, row: int) -> bool:
        """Whether an added line stands on no removed line."""
        return self.removed.isdisjoint(_keys(hunk.after, row))

    def stays(self, hunk: Masked, rows: Iterable[int]) -> bool:
        """Whether one of the old side's rows is context, or stands on an added line too."""
        before = hunk.before
        return any(not hunk.is_changed(before, row) or self.adds(before, row) for row in rows)

    def code_below_stays(self, hunk: Masked, row: int) -> bool:
        """Whether code that ran only past an old row still runs; taken as so where the hunk ends before any."""
        below, ended = followers(hunk.before, row)
        return self.stays(hunk, below) if below else not ended


def _keys(side: Side, row: int) -> tuple[str, str]:
    """A line as it is compared: without its comment, where it is no comment alone, and with it."""
    whole = squeezed(side.lines[row])
    return squeezed(side.raw[row]) or whole, whole
