"""What the headers of a diff say of its files' paths. Knows no hunk.

git writes a prefix before each side (`a/` and `b/`, with diff.mnemonicPrefix `i/` and `w/` and others, by option any or
none), and nothing says which. A file's own two sides do: without a rename they are equal but for the prefix.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_DATE = re.compile(
    r" \d{4}-\d\d-\d\d[ T]\d\d:\d\d| (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? (?:[A-Z][a-z]{2} [ \d]?\d|\d\d? [A-Z][a-z]{2}) "
)
_REVISIONS = ("(revision ", "(rev ", "(working copy)", "(nonexistent)", "(.../")
_ABSENT = re.compile(r"\((?:nonexistent|revision 0)\)|1970-01-01|1969-12-31|Jan 0?1 \d\d:\d\d:\d\d 1970", re.ASCII)
_DEPOT_REVISION = re.compile(r"#\d{1,9}$")

_LETTERS = ("a", "b"), ("i", "w"), ("c", "i"), ("c", "w"), ("o", "w"), ("o", "i"), ("c", "o"), ("1", "2")
KNOWN = frozenset((f"{x}/", f"{y}/") for one, other in _LETTERS for x, y in ((one, other), (other, one)))
"""Pairs that git writes. Source: git's documentation of diff.mnemonicPrefix; `-R` turns each about."""

_SINGLE = frozenset(prefix for pair in KNOWN for prefix in pair)
_MOST_BLANKS = 40

Prefixes = tuple[str, str]


@dataclass(slots=True)
class Sides:
    """One file's headers. Those that a header has not are None.

    git: the rest of `diff --git `. old, new: after `--- ` and `+++ `. origin, target: of a rename or copy. named: a
    path that is known to have no prefix. index: the one of `Index: `, which counts where the others are not there.
    """

    git: str | None = None
    old: str | None = None
    new: str | None = None
    origin: str | None = None
    target: str | None = None
    named: str | None = None
    index: str | None = None
    added: bool = False
    deleted: bool = False


class Paths(NamedTuple):
    """perhaps: what they may be instead."""

    old: str | None
    new: str | None
    perhaps: tuple[str, ...] = ()


def resolved(files: Sequence[Sides]) -> list[Paths]:
    """The paths of a diff's files: prefixes are what most of them say, and a file's own sides where those differ."""
    written = [_written(file) for file in files]
    told = Counter(pair for file, sides in zip(files, written, strict=True) for pair in _told(file, *sides))
    stayed = (sides for file, sides in zip(files, written, strict=True) if file.origin is None)
    guessed = Counter(pair for sides in stayed if (pair := _guess(*sides)) is not None)
    common = next(iter((told or guessed).most_common(1)), (("a/", "b/"), 0))[0]
    sure = bool(told)
    return [_paths(file, *sides, common, sure) for file, sides in zip(files, written, strict=True)]


def _paths(file: Sides, old: str | None, new: str | None, common: Prefixes, sure: bool) -> Paths:
    perhaps: tuple[str, ...] = ()
    whole = file.named if file.named is not None or old or new else file.index
    if whole is not None:
        old = new = whole
    else:
        own = _guess(old, new)
        fits = sure and old is not None and new is not None and old.startswith(common[0]) and new.startswith(common[1])
        prefixes = common if fits or own is None else own
        perhaps = () if fits else _perhaps(old, new, prefixes, file.git is not None)
        old, new = (_bare(side, prefix) for side, prefix in zip((old, new), prefixes, strict=True))
    old, new = file.origin or old, file.target or new
    return Paths(None if file.added else old, None if file.deleted else new, perhaps)


def _perhaps(old: str | None, new: str | None, prefixes: Prefixes, by_git: bool) -> tuple[str, ...]:
    sides = [side for side in (old, new) if side]
    if prefixes == ("", ""):
        return tuple(dict.fromkeys(side[2:] for side in sides if side[:2] in _SINGLE and side[2:]))
    certain = prefixes == ("a/", "b/") or (by_git and prefixes in KNOWN)
    return () if certain else tuple(dict.fromkeys(sides))


def _bare(side: str | None, prefix: str) -> str | None:
    return None if side is None else side.removeprefix(prefix) or None


def _told(file: Sides, old: str | None, new: str | None) -> Iterator[Prefixes]:
    """The prefixes that a rename proves: its own lines have none."""
    if file.origin and file.target and old and new and old.endswith(file.origin) and new.endswith(file.target):
        yield old.removesuffix(file.origin), new.removesuffix(file.target)


def _guess(old: str | None, new: str | None) -> Prefixes | None:
    """By the two sides of one file, that was not renamed; None where a side is missing."""
    if old is None or new is None:
        return None
    if old == new:
        return "", ""
    known = (old[:2], new[:2])
    if known in KNOWN and (old[2:] == new[2:] or known in (("a/", "b/"), ("1/", "2/"))):
        return known
    return _differing(old, new)


def _differing(old: str, new: str) -> Prefixes:
    """Where the sides end alike, what stands before that; not of a file that was moved inside a directory."""
    ours, theirs = old.split("/"), new.split("/")
    same = 0
    while same < min(len(ours), len(theirs)) and ours[-1 - same] == theirs[-1 - same]:
        same += 1
    moved = ours[0] == theirs[0] and ours[0] != ""
    if not same or moved:
        return "", ""
    tail = "/".join(ours[-same:])
    return old.removesuffix(tail), new.removesuffix(tail)


def _written(file: Sides) -> tuple[str | None, str | None]:
    """Both sides with their prefixes, of the file's own lines where they are there, else of the git header.

    A new file's old side is the git header's too: its own line says only /dev/null.
    """
    git_old, git_new = git_sides(file.git) if file.git is not None else (None, None)
    return _own(file.old) or git_old, _own(file.new) or git_new


def _own(side: str | None) -> str | None:
    path = None if side is None else plain_path(side)
    return None if path == "/dev/null" else path


def is_absent(side: str) -> bool:
    """Whether `--- side` or `+++ side` says that the file is not there; a date of the epoch may say so too."""
    return plain_path(side) == "/dev/null" or "(nonexistent)" in side or "(revision 0)" in side


def may_be_absent(side: str) -> bool:
    """Whether its date is what `diff -N` gives a file that is not there."""
    return _ABSENT.search(side) is not None


def plain_path(side: str) -> str:
    """A header's path without quotes, and without the date or the revision that some tools add."""
    side = side.strip(" ")
    if quoted := _QUOTED.match(side):
        return unquoted(quoted[0])
    side = side.partition("\t")[0]
    if found := _DATE.search(side):
        side = side[: found.start()]
    before, bracket, after = side.rpartition(" (")
    if bracket and after.endswith(")") and f"({after}".startswith(_REVISIONS):
        side = before
    side = side.strip()
    if side.startswith("//"):
        side = _DEPOT_REVISION.sub("", side)
    return side.replace("\\", "/") if "/" not in side else side


def git_sides(rest: str) -> tuple[str | None, str | None]:
    """The two paths of `diff --git `, prefixes included. Where they have blanks, being alike tells them apart."""
    if rest.startswith('"') or rest.endswith('"'):
        return _quoted_sides(rest)
    half = len(rest) // 2
    if rest[half : half + 1] == " " and _alike(rest[:half], rest[half + 1 :]):
        return rest[:half], rest[half + 1 :]
    blanks = [place for place, sign in enumerate(rest[:4_000]) if sign == " "][:_MOST_BLANKS]
    if len(blanks) == 1:
        return rest[: blanks[0]], rest[blanks[0] + 1 :]
    splits = [(rest[:place], rest[place + 1 :]) for place in blanks]
    known = [pair for pair in splits if (pair[0][:2], pair[1][:2]) in KNOWN]
    alike = [pair for pair in splits if _alike(*pair)]
    return next(iter([*(pair for pair in known if pair in alike), *alike, *known]), (None, None))


def is_git_header(rest: str) -> bool:
    """Whether the rest of a `diff --git ` can be nothing else: both sides end alike."""
    old, new = git_sides(rest)
    return old is not None and new is not None and _alike(old, new)


def are_one_file(old: str, new: str) -> bool:
    """Whether `--- old` and `+++ new` can only be of one file, or of one that is new or gone."""
    sides = plain_path(old), plain_path(new)
    return "/dev/null" in sides or _alike(*sides)


def command_sides(line: str) -> tuple[str, str] | None:
    """The two files of a `diff -r old/x new/x`; one file twice where it names one, as Mercurial does."""
    try:
        words = shlex.split(line)[1:]
    except ValueError:
        return None
    files = [word for word in words if not word.startswith("-")]
    return (files[-2], files[-1]) if len(files) > 1 and words[0].startswith("-") else None


def _alike(old: str, new: str) -> bool:
    """Whether the two are one path but for a prefix each."""
    if old == new:
        return True
    return old[:2] != new[:2] and old.rpartition("/")[2] == new.rpartition("/")[2] and "" not in _differing(old, new)


def _quoted_sides(rest: str) -> tuple[str | None, str | None]:
    """git quotes each side alone, so one of them may be bare."""
    if found := _QUOTED.match(rest):
        new = rest[found.end() :].lstrip(" ")
        return unquoted(found[0]), unquoted(new) or None
    begin = rest.find(' "')
    return (rest[:begin], unquoted(rest[begin + 1 :])) if begin > 0 else (None, None)


def unquoted(path: str) -> str:
    """git quotes a path that holds a quote, a control character or a byte above 127, the last as octal UTF-8."""
    if len(path) < 2 or not (path.startswith('"') and path.endswith('"')):
        return path
    raw = bytearray()
    end = 0
    inner = path[1:-1]
    for match in _ESCAPE.finditer(inner):
        raw += inner[end : match.start()].encode("utf-8", "replace") + _unescaped(match[1])
        end = match.end()
    return (raw + inner[end:].encode("utf-8", "replace")).decode("utf-8", "replace")


def _unescaped(escape: str) -> bytes:
    if escape[0] in "01234567":
        return bytes([int(escape, 8) & 0xFF])
    return _ESCAPES.get(escape, escape).encode("utf-8", "replace")
