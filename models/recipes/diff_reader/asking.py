"""Which of the contracts a row is asked for, and what its sentence is there. Knows no tokenizer and no model.

In the newer contracts a sentence is to say what a change is about, so there a row has its author's own where that does,
and else code's, which always does.
"""

import random
from collections.abc import Iterable
from dataclasses import replace

from diff_reader.rows import MESSAGE, NEW_SUMMARY, REVIEW, SUMMARY, TAUGHT, Row
from firstpass.contract.written import SUBJECT_CHARACTERS, Writer, by_code, says_enough
from firstpass.evidence.account import Account, account_of

LEAST_TOLD = 0.3
"""Of what is telling, the share that an author's sentence must say to be learned: the half of them do."""

_SHARES = {True: (10, 70, 20, 0), False: (60, 25, 5, 10)}
"""Whether the author's sentence tells enough, and how often such a row is asked for each of TAUGHT."""

_WRITERS: dict[str, Writer] = {NEW_SUMMARY: "summary", MESSAGE: "subject", REVIEW: "verdict"}


def asked_rows(rows: Iterable[Row], seed: int) -> list[Row]:
    rng = random.Random(seed)
    return [asked(row, rng) for row in rows]


def asked(row: Row, rng: random.Random) -> Row:
    """A row of the older summary, asked for one of the TAUGHT."""
    account = account_of(row.diff) if row.subject else None
    tells = account is not None and says_enough(row.subject, account, LEAST_TOLD)
    (contract,) = rng.choices(TAUGHT, _SHARES[tells])
    if contract == SUMMARY:
        return row
    return _as(contract, row, account or account_of(row.diff), tells)


def _as(contract: str, row: Row, account: Account, tells: bool) -> Row:
    sentence = by_code(_WRITERS[contract], account)[0] if account.facts.files else row.summary
    subject = row.subject if tells else ""
    if contract == MESSAGE:
        subject = subject.removesuffix(".")
        if len(subject) > SUBJECT_CHARACTERS:
            subject = ""
    return replace(row, contract=contract, summary=sentence, subject=subject)
