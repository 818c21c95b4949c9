"""What code knows of a diff before anybody answers, in one piece of work. Knows no answer and no repository."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from firstpass.contract.base import Contract
from firstpass.evidence import gather
from firstpass.evidence.account import account_of
from firstpass.evidence.facts.changes import FileVerb
from firstpass.evidence.facts.kinds import FileKind
from firstpass.evidence.suspects.suspicion import Suspect
from firstpass.exchange import Ask

MOST = 400
"""Of each list, what is told; of the rest its number."""

MOST_CHARACTERS = 400
"""Of each text."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A changed file. verb: what became of it; "moved" to another directory, "renamed" in the same one."""

    path: str
    kind: FileKind
    verb: FileVerb
    old_path: str | None
    added_lines: int
    removed_lines: int


@dataclass(frozen=True, slots=True)
class KnownTerm:
    """A telling name or word. sign: + where changed lines only add it, - where they only remove it, = else.
    code: whether it is a name rather than a word.
    """

    text: str
    weight: float
    sign: str
    code: bool


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """why: a clause."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Known:
    """calls: newly introduced. perhaps_calls: those that may be. removed_calls: on removed lines, moved ones included.
    terms: the most telling first. phrases: sentences that the change adds. suspects: the gravest first.
    unread: files that may have calls which were not read. notes: what else was not, a sentence each.
    left_out: by list, how many more there are.
    """

    files: tuple[KnownFile, ...] = ()
    languages: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    perhaps_calls: tuple[str, ...] = ()
    removed_calls: tuple[str, ...] = ()
    todos: tuple[str, ...] = ()
    terms: tuple[KnownTerm, ...] = ()
    phrases: tuple[str, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    unread: tuple[UnreadFile, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


def known(_contract: Contract, ask: Ask) -> Known:
    """Of the ask's one message, by its text alone; a text that is no diff is evidence of nothing. Never raises."""
    diff = ask.messages[0].content
    evidence, account = gather(diff), account_of(diff)
    files = [
        KnownFile(one.path, one.kind, one.verb, one.old_path, one.added_lines, one.removed_lines)
        for one in account.facts.files
    ]
    lists: dict[str, Sequence[object]] = {
        "files": files,
        "calls": evidence.calls,
        "perhaps_calls": sorted(evidence.perhaps_calls),
        "removed_calls": evidence.removed_calls,
        "todos": evidence.todos,
        "suspects": account.suspects,
        "unread": evidence.unread,
    }
    return Known(
        files=tuple(files[:MOST]),
        languages=tuple(evidence.languages),
        calls=_short(evidence.calls),
        perhaps_calls=_short(sorted(evidence.perhaps_calls)),
        removed_calls=_short(evidence.removed_calls),
        todos=_short(evidence.todos),
        terms=tuple(KnownTerm(one.text, round(one.weight, 4), one.sign, one.code) for one in account.terms[:MOST]),
        phrases=_short([phrase.text for phrase in account.phrases]),
        suspects=account.suspects[:MOST],
        unread=tuple(UnreadFile(one.path, one.why) for one in evidence.unread[:MOST]),
        notes=_short(list(dict.fromkeys((*evidence.notes, *account.facts.notes)))),
        left_out={name: len(found) - MOST for name, found in lists.items() if len(found) > MOST},
    )


def _short(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..." for text in texts[:MOST])
