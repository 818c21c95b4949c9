"""What code writes in an answer's sections by itself, and whether what a model wrote there is good enough to stay.

Knows facts and terms; no prompt, no tier and no contract's files. `contract.toml` says under `[code]` which section is
whose: code writes it where the model's own fails, and adds what a list of facts leaves out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from firstpass.contract.changelines import MOST_LINES, change_lines, paths_named
from firstpass.contract.echo import UNTOLD, Instructions, says_nothing, sound_lines
from firstpass.contract.references import unknown
from firstpass.contract.reviewlines import review_lines
from firstpass.contract.wording import MOST_WORDS, summary
from firstpass.evidence.account import MOST_TEXTS, Account
from firstpass.evidence.memory import remembered
from firstpass.evidence.salience.vocabulary import tokens_in, words_of
from firstpass.evidence.suspects.suspect import Suspect

Writer = Literal["summary", "subject", "body", "changes", "review", "verdict", "faults"]

TELLING_TERMS = 8
LEAST_TOLD = 0.15
"""Of the most telling terms' weight, the share that a sentence must say. Of authors' own subjects 71% do, of those of
other commits 6% (540 commits of the repositories that salience was fitted on)."""

SUBJECT_CHARACTERS = 72
"""Of a commit message's first line. Source: git's own SubmittingPatches and `git log --oneline` in 80 columns."""

MOST_BODY_LINES = 8
MOST_FAULTS = 20

VERDICTS = ("approve", "comment", "request changes")
GRAVE_WEIGHT = 3
"""From this weight on a suspect forbids the verdict `approve`."""


def told(text: str, account: Account) -> float:
    """The share of the TELLING_TERMS' weight that a text says, from 0 to 1; 1 where nothing is telling."""
    weights = {word: term.weight for term in reversed(account.terms[:TELLING_TERMS]) for word in term.words}
    said = {word for token in tokens_in(text) for word in words_of(token)}
    whole = sum(weights.values())
    return sum(weight for word, weight in weights.items() if word in said) / whole if whole else 1.0


def says_enough(text: str, account: Account, least: float = LEAST_TOLD) -> bool:
    """Whether a sentence says what the diff is about. least: share of the telling terms."""
    return told(text, account) >= least


@remembered(len(get_args(Writer)) * MOST_TEXTS)
def by_code(writer: Writer, account: Account) -> tuple[str, ...]:
    """What code writes in a section alone."""
    return _WRITERS[writer](account)


def fitting(
    writer: Writer,
    items: Sequence[str],
    account: Account,
    names: frozenset[str],
    least_told: float,
    instructions: Instructions = UNTOLD,
) -> tuple[str, ...]:
    """A section's items after code has put right what it can: the model's own where they are good enough.

    names: all that prose may use. least_told: as `says_enough` has it. instructions: what the model was told.
    """
    text = " ".join(items)
    match writer:
        case "summary" | "subject":
            good = _is_good_sentence(writer, items, names) and says_enough(text, account, least_told)
            return tuple(items) if good and not says_nothing(text, instructions) else by_code(writer, account)
        case "verdict":
            good = verdict_fits(text, account) and not says_nothing(text, instructions)
            return tuple(items) if good else by_code(writer, account)
        case "body":
            return sound_lines(items, instructions)
        case "changes":
            kept = [item for item in items if paths_named([item], account) and not unknown(item, names)]
            covered = paths_named(kept, account)
            more = [line for line in by_code("changes", account) if not paths_named([line], account) <= covered]
            return tuple([*kept, *more][: MOST_LINES + 1])
        case "review" | "faults":
            needed = by_code(writer, account)
            return (*needed, *(item for item in items if item not in needed and not unknown(item, names)))


def missing(writer: Writer, items: Sequence[str], account: Account) -> tuple[str, ...]:
    """What a section leaves out of what it has to say."""
    match writer:
        case "review" | "faults":
            return tuple(line for line in by_code(writer, account) if line not in items)
        case "changes":
            lines = by_code("changes", account)
            return lines[:1] if lines and not paths_named(items, account) else ()
        case _:
            return ()


def verdict_fits(text: str, account: Account) -> bool:
    """Whether it begins with one of the VERDICTS, and does not approve of what is grave."""
    verdict = next((verdict for verdict in VERDICTS if text.strip("`*_ ").lower().startswith(verdict)), None)
    return verdict is not None and not (verdict == "approve" and any(map(_is_grave, account.suspects)))


def _is_good_sentence(writer: Writer, items: Sequence[str], names: frozenset[str]) -> bool:
    text = " ".join(items)
    short = len(text) <= SUBJECT_CHARACTERS if writer == "subject" else len(text.split()) <= MOST_WORDS
    return bool(text) and short and not unknown(text, names)


def _is_grave(suspect: Suspect) -> bool:
    return suspect.weight >= GRAVE_WEIGHT


def _subject(account: Account) -> tuple[str, ...]:
    for words in range(14, 3, -1):
        text = summary(account, most_words=words, code="", quotes=False).rstrip(".")
        if len(text) <= SUBJECT_CHARACTERS:
            return (text,)
    return (text[:SUBJECT_CHARACTERS].rsplit(" ", 1)[0],)


def _faults(account: Account) -> tuple[str, ...]:
    placed = [suspect for suspect in account.suspects if suspect.line is not None]
    return tuple(f"{suspect.path}:{suspect.line}: {suspect.text}" for suspect in placed[:MOST_FAULTS])


def _verdict(account: Account) -> tuple[str, ...]:
    """Code alone never approves: it sees faults, and not their absence."""
    suspects = account.suspects
    files = len(account.facts.files)
    read = f"{files} changed file{'s' if files != 1 else ''}"
    if not suspects:
        return (f"comment: code found no fault by itself in {read}; what it can not judge is left to a person.",)
    verdict = "request changes" if _is_grave(suspects[0]) else "comment"
    count = "one thing" if len(suspects) == 1 else f"{len(suspects)} things"
    return (f"{verdict}: code found {count} to look at in {read}, the gravest: {suspects[0].text}",)


_WRITERS: Mapping[Writer, Callable[[Account], tuple[str, ...]]] = {
    "summary": lambda account: (summary(account),),
    "subject": _subject,
    "body": lambda account: tuple(f"- {line}" for line in change_lines(account)[:MOST_BODY_LINES]),
    "changes": change_lines,
    "review": review_lines,
    "verdict": _verdict,
    "faults": _faults,
}
