"""What code can say of a diff by itself: facts, what it is about, what a reviewer should see. Knows no answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from firstpass.evidence import facts_of, names_of, read_diff
from firstpass.evidence.diffs.identifiers import names_in_text
from firstpass.evidence.facts.changes import SymbolChange
from firstpass.evidence.facts.files import Facts, FileFacts
from firstpass.evidence.memory import remembered
from firstpass.evidence.salience.frequencies import Both, Frequencies, general
from firstpass.evidence.salience.terms import Phrase, Term, salient
from firstpass.evidence.suspects.suspect import Suspect, suspects

MOST_TEXTS = 16
NO_FACTS = Facts()


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """Equal to itself alone, so that what is written of it can be kept.

    terms, phrases: the most telling first. suspects: the gravest first.

    users: by the name of a changed public symbol, paths of other files of the repository that have the name.
    """

    facts: Facts = NO_FACTS
    terms: tuple[Term, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@remembered(MOST_TEXTS)
def account_of(diff: str, own: Frequencies | None = None) -> Account:
    """Never raises; a text that was just read is not read again.

    own: how common words are in the diff's repository, where there is an index of it.
    """
    parsed, facts = read_diff(diff), shown_facts(diff)
    rarity = general() if own is None else Both(own, general())
    terms, phrases = salient(parsed, facts, rarity)
    return Account(facts, terms, phrases, suspects(parsed))


def shown_facts(diff: str) -> Facts:
    """Without what only a hunk's heading names: the change is often elsewhere."""
    facts, names = facts_of(diff), names_of(diff)
    return replace(facts, files=tuple(_shown_file(file, names) for file in facts.files))


def _shown_file(file: FileFacts, names: frozenset[str]) -> FileFacts:
    return replace(
        file,
        symbols=tuple(_shown_symbol(symbol, names) for symbol in file.symbols if symbol.name in names),
        settings=tuple(setting for setting in file.settings if names.issuperset(names_in_text(setting.key))),
        tests_changed=tuple(name for name in file.tests_changed if names.issuperset(names_in_text(name))),
        headings=tuple(text for text in file.headings if names.issuperset(names_in_text(text))),
    )


def _shown_symbol(symbol: SymbolChange, names: frozenset[str]) -> SymbolChange:
    """Without signatures that the lines do not show whole."""
    both = {symbol.old_signature, symbol.new_signature}
    if all(names.issuperset(names_in_text(signature)) for signature in both if signature):
        return symbol
    return replace(symbol, old_signature=None, new_signature=None)
