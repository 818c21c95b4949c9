"""What code can say of a diff by itself: facts, what it is about, what a reviewer should see. Knows no answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from firstpass.evidence import facts_of, read_diff
from firstpass.evidence.facts import Facts
from firstpass.evidence.frequencies import Both, Frequencies, general
from firstpass.evidence.salience import Phrase, Term, salient
from firstpass.evidence.suspects import Suspect, suspects

MOST_TEXTS = 16
NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Account:
    """terms, phrases: the most telling first. suspects: the gravest first.

    users: by the name of a changed public symbol, paths of other files of the repository that have the name.
    """

    facts: Facts = NO_FACTS
    terms: tuple[Term, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@lru_cache(maxsize=MOST_TEXTS)
def account_of(diff: str, own: Frequencies | None = None) -> Account:
    """Never raises; a text that was just read is not read again.

    own: how common words are in the diff's repository, where there is an index of it.
    """
    parsed, facts = read_diff(diff), facts_of(diff)
    rarity = general() if own is None else Both(own, general())
    terms, phrases = salient(parsed, facts, rarity)
    return Account(facts, terms, phrases, suspects(parsed))
