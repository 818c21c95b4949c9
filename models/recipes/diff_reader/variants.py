"""Many diffs from one commit: turned round, cut, joined with others, its names changed, TODOs put in.

A few thousand real commits teach their own names and shapes; their variants teach to read. What a variant says is read
off it by `firstpass.evidence`. Knows no tokenizer and no model.
"""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diff_reader.rows import Row, functions_row, labels_agree, row_of_diff
from diff_reader.styles import RESERVED
from diff_reader.synthetic import NO_DIFF, Names, hunk_lines, todo_comment
from firstpass.evidence import LanguageName, gather, parse_diff
from firstpass.evidence.calls.candidates import definitions

MOST_CHARACTERS = 9_000
MOST_CALLS = 14

_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_CALLABLE = re.compile(r"([A-Za-z_$][\w$]*)\W{0,2}\(")
_COMMENT = re.compile(r"^[+\- ]\s*(?:#|//|\*)\s*([!-~][ -~]{1,140}[!-~])$", re.A)
_TURNED = {"+": "-", "-": "+"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of a diff. A hunk is its heading and its lines with their signs."""

    head: tuple[str, ...]
    hunks: tuple[tuple[str, tuple[str, ...]], ...]

    def lines(self) -> list[str]:
        return [*self.head, *(line for heading, body in self.hunks for line in hunk_lines(1, heading, body))]


@dataclass(frozen=True, slots=True)
class Source:
    """A commit whose labels can be trusted, in pieces."""

    origin: str
    subject: str
    language: LanguageName | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What all commits together give: names by their style, and the words of comments."""

    sources: tuple[Source, ...]
    by_language: dict[LanguageName | None, list[Source]]
    names: dict[str, list[str]]
    comments: tuple[str, ...]


def material_of(commits: Iterable[dict[str, Any]]) -> Material:
    sources, names, comments = [], dict[str, set[str]](), set[str]()
    for commit in commits:
        evidence = gather(commit["diff"])
        if not labels_agree(commit, evidence):
            continue
        language = evidence.languages[0] if evidence.languages else None
        sources.append(Source(commit["repo"], commit["subject"], language, pieces_of(commit["diff"])))
        for name in (*commit["required"], *commit["removed"]):
            names.setdefault(style_of(name), set()).add(name)
        comments.update(match[1] for line in commit["diff"].splitlines() if (match := _COMMENT.match(line)))
    by_language: dict[LanguageName | None, list[Source]] = {}
    for source in sources:
        by_language.setdefault(source.language, []).append(source)
    ordered = {style: sorted(group) for style, group in sorted(names.items())}
    return Material(tuple(sources), by_language, ordered, tuple(sorted(comments)))


def pieces_of(diff: str) -> tuple[Piece, ...]:
    pieces: list[tuple[list[str], list[tuple[str, list[str]]]]] = []
    for line in diff.rstrip("\n").split("\n"):
        if line.startswith("diff --git "):
            pieces.append(([line], []))
        elif not pieces:
            continue
        elif line.startswith("@@ "):
            pieces[-1][1].append((line.split("@@", 2)[2].strip(), []))
        elif pieces[-1][1]:
            pieces[-1][1][-1][1].append(line if line else " ")
        else:
            pieces[-1][0].append(line)
    return tuple(
        Piece(tuple(head), tuple((heading, tuple(line for line in body if line[0] != "\\")) for heading, body in hunks))
        for head, hunks in pieces
    )


def style_of(name: str) -> str:
    if name.isupper():
        return "upper"
    if name[:1].isupper():
        return "pascal"
    if "_" in name.strip("_"):
        return "snake"
    return "lower" if name.islower() else "camel"


def turned(piece: Piece) -> Piece:
    """The change undone."""
    swaps = {"new file mode": "deleted file mode", "deleted file mode": "new file mode"}
    head = []
    for line in piece.head:
        start = next((start for start in swaps if line.startswith(start)), None)
        head.append(line.replace(start, swaps[start], 1) if start else line)
    old = [place for place, line in enumerate(head) if line.startswith("--- ")]
    if old and old[0] + 1 < len(head):
        first, second = head[old[0]][4:], head[old[0] + 1][4:]
        head[old[0]], head[old[0] + 1] = f"--- {_other_side(second)}", f"+++ {_other_side(first)}"
    return Piece(tuple(head), tuple((heading, _turned_lines(body)) for heading, body in piece.hunks))


def _other_side(path: str) -> str:
    return {"a/": "b/", "b/": "a/"}.get(path[:2], path[:2]) + path[2:]


def _turned_lines(body: Sequence[str]) -> tuple[str, ...]:
    """Signs exchanged; within a run of changes the removed lines come first, as git prints them."""
    out: list[str] = []
    removed: list[str] = []
    added: list[str] = []
    for line in (*body, " "):
        if line[0] in _TURNED:
            (removed if line[0] == "+" else added).append(_TURNED[line[0]] + line[1:])
        else:
            out += [*removed, *added, line]
            removed, added = [], []
    return tuple(out[:-1])


def cut(pieces: Sequence[Piece], rng: random.Random) -> tuple[Piece, ...]:
    """Some of the hunks, in their order."""
    places = [(at, number) for at, piece in enumerate(pieces) for number in range(len(piece.hunks))]
    if len(places) < 2:
        return tuple(pieces)
    kept = set(rng.sample(places, rng.randint(1, len(places) - 1)))
    parts = (
        replace(piece, hunks=tuple(hunk for number, hunk in enumerate(piece.hunks) if (at, number) in kept))
        for at, piece in enumerate(pieces)
    )
    return tuple(piece for piece in parts if piece.hunks)


def with_todo(piece: Piece, material: Material, rng: random.Random) -> Piece:
    """A TODO on a line of its own after an added line; now and then on another line, where none counts."""
    bodies = enumerate(body for _, body in piece.hunks)
    places = [(number, at) for number, body in bodies for at, line in enumerate(body) if line[0] == "+"]
    if not places:
        return piece
    number, at = rng.choice(places)
    heading, body = piece.hunks[number]
    indent = re.match(r"[ \t]*", body[at][1:])[0]  # type: ignore[index]
    mark = "#" if piece.head[0].endswith((".py", ".pyi", ".sh", ".yml", ".yaml", ".toml")) else "//"
    text = rng.choice(material.comments) if material.comments and rng.random() < 0.6 else ""
    comment = todo_comment(rng, (f"{mark} ", ""), Names(rng, camel=mark == "//"), text)
    sign = rng.choices("+ -", (84, 8, 8))[0]
    body = (*body[: at + 1], f"{sign}{indent}{comment}", *body[at + 1 :])
    return replace(piece, hunks=(*piece.hunks[:number], (heading, body), *piece.hunks[number + 1 :]))


def renaming(diff: str, material: Material, rng: random.Random) -> dict[str, str]:
    """New names for a part of the diff's: of other commits, or made ones; the style stays."""
    evidence = gather(diff)
    called = {*evidence.calls, *evidence.removed_calls}
    words = set(_WORD.findall(diff))
    plain = {word for word in words if len(word) > 3} - set(_CALLABLE.findall(diff))
    share = rng.choice((0.3, 0.6, 0.9))
    mapping: dict[str, str] = {}
    for name in sorted((called | plain) - RESERVED):
        if rng.random() < (share if name in called else 0.5 * share):
            new = _new_name(style_of(name), material, rng)
            if new not in words and new not in RESERVED:
                words.add(new)
                mapping[name] = new
    return mapping


def _new_name(style: str, material: Material, rng: random.Random) -> str:
    if rng.random() < 0.5 and style in material.names:
        return rng.choice(material.names[style])
    if style == "pascal":
        return Names(rng, camel=True).pascal()
    if style == "upper":
        return Names(rng, camel=False).lower(1, 3).upper()
    name = Names(rng, camel=style == "camel").lower(1 if style == "lower" else 2, 1 if style == "lower" else 3)
    return f"_{name}" if style == "snake" and rng.random() < 0.1 else name


def renamed(text: str, mapping: dict[str, str]) -> str:
    return _WORD.sub(lambda found: mapping.get(found[0], found[0]), text)


def variant(source: Source, material: Material, rng: random.Random) -> Row | None:
    """One variant, or None where it grew too large."""
    kind = rng.choices(("whole", "turned", "cut", "joined", "prose"), (32, 18, 13, 27, 10))[0]
    if kind == "prose":
        return prose(source, material, rng)
    pieces, subject = source.pieces, source.subject
    if kind != "whole":
        subject = ""
    if kind == "turned":
        pieces = tuple(map(turned, pieces))
    elif kind == "cut":
        pieces = cut(pieces, rng)
    elif kind == "joined":
        alike = material.by_language[source.language] if rng.random() < 0.7 else material.sources
        others = [rng.choice(alike) for _ in range(rng.choice((1, 1, 2)))]
        pieces = tuple(piece for one in (source, *others) for piece in _some(one.pieces, rng))
    if pieces and rng.random() < 0.3:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            at = rng.randrange(len(pieces))
            pieces = (*pieces[:at], with_todo(pieces[at], material, rng), *pieces[at + 1 :])
    diff = "\n".join(line for piece in pieces for line in piece.lines())
    if rng.random() < 0.75:
        mapping = renaming(diff, material, rng)
        diff, subject = renamed(diff, mapping), renamed(subject, mapping)
    if not diff or len(diff) > MOST_CHARACTERS:
        return None
    row = row_of_diff(f"{source.origin} {kind}", diff, subject)
    return row if len(row.calls) <= MOST_CALLS else None


def prose(source: Source, material: Material, rng: random.Random) -> Row:
    """What people write where a diff is expected: a subject, comments, a question, a few sentences of these."""
    sentences = [source.subject, *rng.choices(material.comments or ("Hello",), k=rng.choice((0, 0, 1, 2, 5)))]
    rng.shuffle(sentences)
    sentences[0] = f"{rng.choice(('', '', '', 'Please ', 'Can you ', 'Why does '))}{sentences[0]}"
    if rng.random() < 0.15:
        sentences.append(todo_comment(rng, ("", ""), Names(rng, camel=False)))
    text = rng.choice((". ", ". ", " ", "\n")).join(sentences)
    return replace(row_of_diff(f"{source.origin} prose", f"{text}{rng.choice(('', '.', '?'))}"), summary=NO_DIFF)


def _some(pieces: Sequence[Piece], rng: random.Random) -> tuple[Piece, ...]:
    chosen = pieces if len(pieces) == 1 else rng.sample(list(pieces), rng.randint(1, min(3, len(pieces))))
    return tuple(turned(piece) if rng.random() < 0.2 else piece for piece in chosen)


def variants(material: Material, places: Sequence[int], seed: int) -> list[Row]:
    """A row for each place (an index of the material's sources), in that order, but for those that grew too large."""
    rng = random.Random(seed)
    made = (variant(material.sources[place % len(material.sources)], material, rng) for place in places)
    return [row for row in made if row is not None]


def functions_variants(commits: Sequence[dict[str, Any]], places: Sequence[int], seed: int) -> list[Row]:
    """Rows that ask for the changed functions: a commit turned round, joined with another, its names changed.

    A diff's labels hold for these only because each part of it stays whole.
    """
    rng = random.Random(seed)
    rows = (_functions_variant(commits[place % len(commits)], commits, rng) for place in places)
    return [row for row in rows if row is not None]


def _functions_variant(commit: dict[str, Any], commits: Sequence[dict[str, Any]], rng: random.Random) -> Row | None:
    parts = [commit, *([rng.choice(commits)] if rng.random() < 0.3 else [])]
    pieces = [piece for part in parts for piece in pieces_of(part["diff"])]
    if rng.random() < 0.3:
        pieces = [turned(piece) for piece in pieces]
    rng.shuffle(pieces)
    diff = "\n".join(line for piece in pieces for line in piece.lines())
    touched = list(dict.fromkeys(name.rpartition(".")[2] for part in parts for name in part["touched"]))
    if rng.random() < 0.8:
        mapping = _renaming(touched, diff, rng)
        diff, touched = renamed(diff, mapping), [mapping.get(name, name) for name in touched]
    if not diff or len(diff) > MOST_CHARACTERS or len(touched) > MOST_CALLS:
        return None
    return functions_row(f"{commit['repo']} functions", diff, touched)


def _renaming(touched: Sequence[str], diff: str, rng: random.Random) -> dict[str, str]:
    """New names for some of the diff's functions and other words; the style stays."""
    words = set(_WORD.findall(diff))
    shown = set(definitions(parse_diff(diff))) | set(touched)
    chosen = {name for name in shown | set(_CALLABLE.findall(diff)) if rng.random() < 0.6} & words - RESERVED
    mapping = {}
    for name in sorted(chosen):
        camel = style_of(name) != "snake"
        made = Names(rng, camel=camel)
        new = made.pascal() if style_of(name) == "pascal" else made.lower(1, 3)
        if new not in words and new not in RESERVED:
            words.add(new)
            mapping[name] = new
    return mapping
