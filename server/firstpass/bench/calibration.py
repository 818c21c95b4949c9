"""From drafts with known truth to a gate: the score from some repositories, the threshold from others.

Knows no server: what was asked and answered comes in as cases and outcomes.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from firstpass.bench.cases import Case
from firstpass.bench.runner import Outcome
from firstpass.errors import BadLabels
from firstpass.exchange import Ask, Exchange, Label
from firstpass.gate import Gate
from firstpass.gate.bounds import Labelled, promise, threshold
from firstpass.gate.file import steered
from firstpass.gate.score import auroc, fitted
from firstpass.gate.signals import SIGNALS

RIDGE = 1.0
SUREST = "least_logprob"
"""A signal of every draft that came with log-probabilities: without them a gate accepts nothing."""

FIT_SHARE = 1 / 3
"""Of the drafts, at least; the bound needs the others more than the score needs these."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft after its repair. passed: the hard checks. right: by the labels, all or nothing."""

    repository: str
    signals: dict[str, float]
    passed: bool
    right: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is promised: a risk above 0 and below 1, and with which confidence. language, key: whose requests alone."""

    contract: str
    model: str
    risk: float
    confidence: float
    most_bytes: int
    made_unix: float
    version: str
    language: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """A gate, and how well its score and each signal alone tell right drafts from wrong ones.

    aurocs: by name, on the drafts that the threshold comes from; None where all are right, or all wrong.
    """

    gate: Gate
    aurocs: dict[str, float | None]
    bad: int


def drafts_of(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> list[Draft]:
    """Raises: BadLabels where the server recorded no signals, or had others answer than its draft model."""
    answered = [outcome for outcome in outcomes if outcome.error is None]
    if any(outcome.escalated for outcome in answered):
        raise BadLabels("the server asked its verifier: a gate is for the draft model's own answers")
    if not any(SUREST in outcome.signals for outcome in answered):
        raise BadLabels("the server records no signals: set policy.signals = true there, or leave --url out")
    return [Draft(cases[one.case].repository, dict(one.signals), one.checked, one.score.passed) for one in answered]


RECORD = "the record"
"""The repository of a recorded draft whose request named none."""


def usable(
    labelled: Iterable[tuple[Exchange, Label]], contract: str, suits: Callable[[Ask], bool]
) -> list[tuple[Exchange, Label]]:
    """The recorded drafts that a gate may be calibrated on, each with its last label.

    The label has to be about the draft itself, so nobody else may have answered. What fails the checks may have gone to
    a verifier and is missed then: a gate never accepts it, so of all requests fewer are accepted bad than of these.
    What a gate has judged is left out: of what it did not accept nothing is known, and that is not a random part.
    """
    last = {exchange.ask.id: (exchange, label) for exchange, label in labelled}
    return [
        (exchange, label)
        for exchange, label in last.values()
        if exchange.ask.contract == contract
        and exchange.ask.store
        and not steered(exchange.ask.sampling)
        and exchange.answer is not None
        and exchange.judged is None
        and all(step.move.tier != "verifier" for step in exchange.steps)
        and SUREST in exchange.steps[0].signals
        and suits(exchange.ask)
    ]


def recorded(exchange: Exchange, label: Label) -> Draft:
    """Right is what somebody accepted as it was; an edit says that it was not."""
    assert exchange.answer is not None, "only an answer is labelled"
    right, first = label.verdict == "accept", exchange.steps[0]
    return Draft(exchange.ask.repository or RECORD, first.signals, exchange.answer.passed, right)


def calibrated(drafts: Sequence[Draft], fit: Sequence[str], wanted: Wanted, seed: int) -> Calibration:
    """fit: the repositories to fit the score on; by default as many as it takes, drawn.

    Raises: BadLabels for a repository that is not there, and where the promise needs more drafts than there are.
    """
    fitting, calibrating = split(drafts, fit, seed)
    score = fitted([draft.signals for draft in fitting], [draft.right for draft in fitting], list(SIGNALS), RIDGE)
    labelled = [Labelled(score.of(draft.signals), draft.passed, not draft.right) for draft in calibrating]
    accept_from = threshold(labelled, wanted.risk, wanted.confidence)
    gate = Gate(
        contract=wanted.contract,
        model=wanted.model,
        score=score,
        accept_from=accept_from if accept_from > 0 else None,
        promise=promise(labelled, accept_from, wanted.risk, wanted.confidence),
        most_bytes=wanted.most_bytes,
        fitted_on=dict(Counter(draft.repository for draft in fitting)),
        calibrated_on=dict(Counter(draft.repository for draft in calibrating)),
        made_unix=wanted.made_unix,
        version=wanted.version,
        language=wanted.language,
        key=wanted.key,
    )
    right = [draft.right for draft in calibrating]
    alone = {name: _auroc(calibrating, name) for name in SIGNALS}
    return Calibration(gate, {"score": auroc([one.score for one in labelled], right), **alone}, right.count(False))


class OfRepository(Protocol):
    @property
    def repository(self) -> str: ...


T = TypeVar("T", bound=OfRepository)


def split(drafts: Sequence[T], fit: Sequence[str], seed: int) -> tuple[list[T], list[T]]:
    """(to fit, to calibrate), by repository; the drafts of a single repository are dealt one by one.

    Raises: BadLabels for a repository of `fit` that is not there, or where none is left.
    """
    sizes = Counter(draft.repository for draft in drafts)
    if unknown := set(fit) - sizes.keys():
        raise BadLabels(f"--fit {min(unknown)}: no draft is of this repository; there are {', '.join(sorted(sizes))}")
    if len(sizes) == 1 and not fit:
        dealt = list(drafts)
        random.Random(seed).shuffle(dealt)
        at = round(FIT_SHARE * len(dealt))
        return dealt[:at], dealt[at:]
    chosen = set(fit) or _enough(sizes, seed)
    if chosen == sizes.keys():
        raise BadLabels("--fit: no repository is left to calibrate on")
    return (
        [draft for draft in drafts if draft.repository in chosen],
        [draft for draft in drafts if draft.repository not in chosen],
    )


def _enough(sizes: Counter[str], seed: int) -> set[str]:
    """Repositories in random order, until they have their share of the drafts; never all of them."""
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    chosen: set[str] = set()
    for name in order[:-1]:
        if sum(sizes[one] for one in chosen) >= FIT_SHARE * sizes.total():
            break
        chosen.add(name)
    return chosen


def _auroc(drafts: Sequence[Draft], signal: str) -> float | None:
    held = [draft for draft in drafts if signal in draft.signals]
    return auroc([draft.signals[signal] for draft in held], [draft.right for draft in held])
