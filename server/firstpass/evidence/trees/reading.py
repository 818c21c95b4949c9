"""A fragment's syntax tree, within a limit of time. Knows no diff, and not what the tree is read for.

Three hazards of the grammars' C code shape this module. An external scanner may look for white space past the end of
the text for ever (Kotlin's after a final `@Name`), where no callback can stop it: so every text ends in a line end.
Some inputs take very long to parse: so a callback watches the clock. A query takes quadratic time on a node of many
children, and crashes when it is cancelled: so pieces are small, and the clock is read between them.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import tree_sitter

from firstpass.evidence.trees.captures import errors
from firstpass.evidence.trees.fragments import stands_alone
from firstpass.evidence.trees.framing import frames
from firstpass.evidence.trees.languages import FIRST, LanguageName, grammar
from firstpass.evidence.trees.parsing import parsed
from firstpass.evidence.trees.skeleton import Frame

PIECE_CHARACTERS = 16_384
"""What is parsed at once, at most."""

_MOST_KEPT_CHARACTERS = 200_000
"""Of one text. A tree is some twenty times as large as what it was made of."""


_ENDS = frozenset((b"", b")", b"]", b"}", b",", b"/", b"#"))
"""What a line ends in, or goes on with behind an end that was left out."""


class Reading(NamedTuple):
    """A tree of a framed piece.

    offset: lines before the piece. errors: bytes that did not parse. clean: none of them on a wanted line.
    broken: the lines of the piece with such bytes; what only lacks its end is not among them.
    """

    tree: tree_sitter.Tree
    offset: int
    errors: int
    clean: bool
    broken: tuple[range, ...] = ()

    def breaks(self, row: int) -> bool:
        """Whether the tree may be wrong on a row of its own."""
        return any(row - self.offset in rows for rows in self.broken)


@dataclass(slots=True)
class Kept:
    """What several that look at the same text share: its trees, and the time that is left to read it.

    readings: by language, piece, wanted lines and heading. characters: of the kept pieces together.
    """

    seconds: float
    readings: dict[tuple[LanguageName, str, frozenset[int], str], Reading] = field(default_factory=dict)
    characters: int = 0

    def keep(self, key: tuple[LanguageName, str, frozenset[int], str], reading: Reading) -> None:
        if self.characters + len(key[1]) <= _MOST_KEPT_CHARACTERS:
            self.readings[key] = reading
            self.characters += len(key[1])


@dataclass(slots=True)
class Allowance:
    """How much processor time reading may take, in seconds of this thread; once spent, pieces go unread.

    Reading the processor clock is a system call, 100 microseconds on some virtual machines. Processor time never runs
    faster than the wall's, so it is read only when the wall's clock says that it may have run out.
    """

    seconds: float
    kept: Kept | None = None
    _started: float = field(default_factory=time.thread_time)
    _safe_until: float = 0.0
    _parsers: dict[LanguageName, tree_sitter.Parser] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._safe_until = time.monotonic() + self.seconds

    @property
    def spent(self) -> bool:
        now = time.monotonic()
        if now < self._safe_until:
            return False
        left = self.left
        self._safe_until = now + left
        return left <= 0

    @property
    def left(self) -> float:
        """Seconds."""
        return max(self.seconds - (time.thread_time() - self._started), 0.0)

    def parse(self, language: LanguageName, text: bytes) -> tree_sitter.Tree | None:
        """The tree, or None when the allowance runs out first."""
        parser = self._parsers.get(language)
        if parser is None:
            parser = self._parsers[language] = tree_sitter.Parser(grammar(language).language)
        return parsed(parser, text, self._stops)

    def _stops(self) -> bool:
        return time.monotonic() >= self._safe_until and self.spent


def read(
    language: LanguageName, text: str, wanted: frozenset[int], allowance: Allowance, heading: str = ""
) -> Reading | None:
    """The tree of one piece, in the frame that leaves the fewest errors; None when the allowance is spent.

    text: PIECE_CHARACTERS at most. wanted: the 0-based lines that the caller will look at. heading: of the hunk.
    """
    kept = allowance.kept
    key = (language, text, wanted, heading)
    if kept and key in kept.readings:
        return None if allowance.spent else kept.readings[key]
    best = _best(language, text, wanted, allowance, heading)
    if kept and best:
        kept.keep(key, best)
    return best


def _best(
    language: LanguageName, text: str, wanted: frozenset[int], allowance: Allowance, heading: str
) -> Reading | None:
    best: Reading | None = None
    if allowance.spent:
        return None
    for tried, frame in enumerate(_frames(language, text, heading)):
        reading = _framed(language, text, frame, wanted, allowance)
        if reading and (best is None or reading.errors < best.errors):
            best = reading
        if reading is None or not reading.errors or (best and best.clean and (tried or language not in FIRST)):
            break
    return best


def _frames(language: LanguageName, text: str, heading: str) -> Iterator[Frame]:
    """The bare text first where it may stand alone: most do, and need no look at their brackets."""
    alone = language not in FIRST or stands_alone(language, text, heading)
    if alone:
        yield Frame()
    for frame in frames(language, text, heading):
        if not alone or frame != Frame():
            yield frame


def captured(
    query: tree_sitter.Query, capture: str, tree: tree_sitter.Tree, numbers: Iterable[int]
) -> Iterator[tree_sitter.Node]:
    """A whole file's nodes of that capture which begin on the lines with these 1-based numbers, in order.

    An error also counts where it only covers one of them: a large part of a file may be a single one.
    """
    wanted = sorted(set(numbers))
    for first, last in _runs(wanted):
        cursor = tree_sitter.QueryCursor(query)
        cursor.set_point_range((first - 1, 0), (last, 0))
        nodes = cursor.captures(tree.root_node).get(capture, [])
        for node in sorted(nodes, key=lambda node: node.start_byte):
            if capture == "error" or first <= node.start_point[0] + 1 <= last:
                yield node


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run of ascending numbers without a gap."""
    begin = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[begin], numbers[at - 1]
            begin = at


def _framed(
    language: LanguageName, text: str, frame: Frame, wanted: frozenset[int], allowance: Allowance
) -> Reading | None:
    if allowance.spent:
        return None
    framed = "\n".join((*frame.before, text, *frame.after, "")).encode("utf-8", "replace")
    tree = allowance.parse(language, framed)
    return _judged(tree, framed, len(frame.before), wanted) if tree else None


def _judged(tree: tree_sitter.Tree, text: bytes, offset: int, wanted: frozenset[int]) -> Reading:
    if not tree.root_node.has_error:
        return Reading(tree, offset, 0, True)
    nodes = errors(tree)
    spans = {(node.start_point[0] - offset, node.end_point[0] - offset) for node in nodes}
    clean = not any(first <= line <= last for first, last in spans for line in wanted)
    broken = {
        (node.start_point[0] - offset, node.end_point[0] - offset)
        for node in nodes
        if not _only_lacks_its_end(node, text)
    }
    ranges = tuple(range(first, last + 1) for first, last in broken)
    return Reading(tree, offset, 1 + sum(node.end_byte - node.start_byte for node in nodes), clean, ranges)


def _only_lacks_its_end(node: tree_sitter.Node, text: bytes) -> bool:
    """Whether a token is missing at the end of a line, and not, as `;` in `name() {`, before more of it."""
    return node.is_missing and text[node.end_byte : node.end_byte + 200].split(b"\n", 1)[0].strip()[:1] in _ENDS
