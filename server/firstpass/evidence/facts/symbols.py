"""What a file's changes did to its definitions: both sides of its hunks put together. Knows no other file but by name.

`placed` then looks across files for what only moved.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from firstpass.evidence.diffs.diff import FileDiff
from firstpass.evidence.facts.changes import SymbolChange, SymbolKind, SymbolVerb
from firstpass.evidence.facts.publicity import is_public, is_test
from firstpass.evidence.facts.touches import Touch, touches
from firstpass.evidence.trees.languages import LanguageName
from firstpass.evidence.trees.reading import Allowance

MOST_SYMBOLS = 200
"""A file."""

_MOST_PAIRS = 60
_SAME_BODY = 0.6
_MOVED_BODY = 0.5
_VALUES: frozenset[SymbolKind] = frozenset(("constant", "field", "property"))


@dataclass(frozen=True, slots=True)
class Changed:
    """A symbol's change, and the lines of its body, by which it is known elsewhere."""

    symbol: SymbolChange
    body: tuple[str, ...] = ()


def changed_symbols(
    language: LanguageName | None, file: FileDiff, exports: bool, allowance: Allowance
) -> tuple[Changed, ...]:
    """In the order of their lines. exports: whether the file says by a word what others may use."""
    by_key: dict[tuple[str | None, str], list[Touch]] = defaultdict(list)
    for hunk in file.hunks:
        for touch in touches(language, hunk, allowance):
            by_key[touch.scope.holder, touch.scope.name].append(touch)
    maker = _Maker(language, file, exports)
    changes = [change for found in by_key.values() for change in maker.changes(found)]
    changes = _renamed(sorted(changes, key=lambda change: change.symbol.line))
    return tuple(changes[:MOST_SYMBOLS])


class _Maker:
    """Changes of one file, of the touches that have the same name and holder."""

    def __init__(self, language: LanguageName | None, file: FileDiff, exports: bool) -> None:
        self._language, self._exports = language, exports
        self._old_path, self._new_path = file.old_path or "", file.new_path or ""

    def changes(self, found: Sequence[Touch]) -> Iterator[Changed]:
        gone = [touch for touch in found if touch.own and touch.side == "removed"]
        come = [touch for touch in found if touch.own and touch.side == "added"]
        stays: dict[tuple[int | None, int | None], list[Touch]] = defaultdict(list)
        for touch in found:
            if not touch.own:
                stays[touch.numbers].append(touch)
        pairs = list(_paired(gone, come))
        headed = stays.pop((None, None), [])
        groups = [*pairs, *stays.values()]
        if headed and groups:
            groups[0] = [*groups[0], *headed]
        elif headed:
            groups.append(headed)
        return (self._change(group) for group in groups)

    def _change(self, group: Sequence[Touch]) -> Changed:
        old = next((touch for touch in group if touch.side == "removed" and not touch.from_heading), None)
        new = next((touch for touch in group if touch.side == "added" and not touch.from_heading), None)
        shown = new or old or group[0]
        before, after = _signatures(old, new)
        scope = shown.scope
        gone = old.decorators if old else ()
        come = new.decorators if new else ()
        line = shown.at if shown.from_heading else shown.numbers[1] or shown.numbers[0] or 0
        verb = _verb(old, new, before, after)
        return Changed(
            SymbolChange(
                verb="changed" if verb == "signature" and scope.kind in _VALUES else verb,
                kind=scope.kind,
                name=scope.name,
                holder=scope.holder,
                path=(self._old_path if verb == "removed" else self._new_path) or self._old_path or self._new_path,
                line=(shown.numbers[0] or line) if verb == "removed" else line,
                old_signature=before,
                new_signature=after,
                public=is_public(self._language, scope, self._exports),
                decorators_added=tuple(text for text in come if text not in gone),
                decorators_removed=tuple(text for text in gone if text not in come),
                changed_lines=sum(touch.changed for touch in group),
                test=is_test(self._language, scope),
            ),
            shown.body,
        )


def _paired(gone: list[Touch], come: list[Touch]) -> Iterator[list[Touch]]:
    """Those of one name that go and come: first the ones with the same signature, then in order."""
    left = list(come)
    rest: list[Touch] = []
    for old in gone:
        same = next((new for new in left if new.scope.signature == old.scope.signature), None)
        if same:
            left.remove(same)
            yield [old, same]
        else:
            rest.append(old)
    yield from ([old, new] for old, new in zip(rest, left, strict=False))
    yield from ([touch] for touch in (*rest[len(left) :], *left[len(rest) :]))


def _signatures(old: Touch | None, new: Touch | None) -> tuple[str | None, str | None]:
    """(old, new), None where the diff does not show it or there is none."""
    before = old.scope.signature if old else None
    after = new.scope.signature if new else None
    if before is None and new and not new.own:
        before = after if new.other_signature is None else new.other_signature
    if after is None and old and not old.own:
        after = before if old.other_signature is None else old.other_signature
    return before, after


def _verb(old: Touch | None, new: Touch | None, before: str | None, after: str | None) -> SymbolVerb:
    if old and old.own and not new:
        return "removed"
    if new and new.own and not old:
        return "added"
    return "signature" if before != after else "changed"


def _renamed(changes: list[Changed]) -> list[Changed]:
    """With a removed and an added one of the same kind and body put together."""
    gone = [change for change in changes if change.symbol.verb == "removed"][:_MOST_PAIRS]
    come = [change for change in changes if change.symbol.verb == "added"][:_MOST_PAIRS]
    taken: dict[int, Changed] = {}
    used: set[int] = set()
    for new in come:
        same = [old for old in gone if id(old) not in used and _fits(old.symbol, new.symbol)]
        best = max(same, key=lambda old: _likeness(old, new), default=None)
        if best and _likeness(best, new) >= _SAME_BODY:
            used.add(id(best))
            taken[id(new)] = best
    return [
        Changed(_as_renamed(taken[id(change)].symbol, change.symbol), change.body) if id(change) in taken else change
        for change in changes
        if id(change) not in used
    ]


def _fits(old: SymbolChange, new: SymbolChange) -> bool:
    return old.kind == new.kind and old.holder == new.holder and old.name != new.name


def _as_renamed(old: SymbolChange, new: SymbolChange) -> SymbolChange:
    return replace(
        new,
        verb="renamed",
        old_name=old.name,
        old_signature=old.old_signature,
        decorators_added=tuple(text for text in new.decorators_added if text not in old.decorators_removed),
        decorators_removed=tuple(text for text in old.decorators_removed if text not in new.decorators_added),
        changed_lines=old.changed_lines + new.changed_lines,
    )


def _likeness(old: Changed, new: Changed) -> float:
    """Of the bodies, 0 to 1; of values, what stands after the name."""
    if old.symbol.kind in _VALUES:
        return float(
            _after_name(old.symbol, old.symbol.old_signature) == _after_name(new.symbol, new.symbol.new_signature)
        )
    ours, theirs = _bare(old), _bare(new)
    if not ours or not theirs:
        return 0.0
    shared = sum((ours & theirs).values())
    return shared / max(sum(ours.values()), sum(theirs.values()))


def _bare(change: Changed) -> Counter[str]:
    """The body's lines that say something, without the symbol's own name."""
    lines = (line.replace(change.symbol.name, "") for line in change.body)
    return Counter(line for line in lines if len(line) > 4 and line not in ("return", "pass", "return None"))


def _after_name(symbol: SymbolChange, signature: str | None) -> str:
    after = (signature or "").partition(symbol.name)[2]
    return after if len(after.strip(" =:;,")) > 2 else symbol.name


def placed(files: Iterable[tuple[Changed, ...]]) -> list[tuple[SymbolChange, ...]]:
    """Each file's changes, with what went from one and came in another put together where it came."""
    lists = list(files)
    gone: dict[tuple[str, SymbolKind], list[Changed]] = defaultdict(list)
    for changes in lists:
        for change in changes:
            if change.symbol.verb == "removed":
                gone[change.symbol.name, change.symbol.kind].append(change)
    sources: dict[int, Changed] = {}
    used: set[int] = set()
    for change in (change for changes in lists for change in changes if change.symbol.verb == "added"):
        found = gone.get((change.symbol.name, change.symbol.kind), [])[:_MOST_PAIRS]
        source = next((old for old in found if id(old) not in used and _moved(old, change)), None)
        if source:
            used.add(id(source))
            sources[id(change)] = source
    return [
        tuple(
            _as_moved(sources[id(change)].symbol, change.symbol) if id(change) in sources else change.symbol
            for change in changes
            if id(change) not in used
        )
        for changes in lists
    ]


def _moved(old: Changed, new: Changed) -> bool:
    if old.symbol.path == new.symbol.path and old.symbol.holder == new.symbol.holder:
        return False
    if old.symbol.holder != new.symbol.holder and old.symbol.kind in _VALUES:
        return False
    return _likeness(old, new) >= _MOVED_BODY


def _as_moved(old: SymbolChange, new: SymbolChange) -> SymbolChange:
    return replace(
        new,
        verb="moved",
        old_path=old.path,
        old_signature=old.old_signature,
        changed_lines=old.changed_lines + new.changed_lines,
    )
