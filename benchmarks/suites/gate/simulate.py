"""Does the gate keep its promise where the truth is known? Drafts are drawn from a distribution; no model is asked.

    python simulate.py --labels 2000 --error 0.10 --auroc 0.85 --risk 0.02

Right and bad drafts have normal scores, one standard deviation each, as far apart as the AUROC asks for, so the true
risk and coverage of any threshold are exact.
"""

import argparse
import math
import random
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean

from firstpass.gate.bounds import Labelled, least_labels, most_failures, threshold, upper_bound
from firstpass.gate.drift import Audits

NORMAL = NormalDist()
RIGHT = NormalDist(0.0)

Rule = Callable[[Sequence[Labelled], float, float], float]
"""Drafts, risk and confidence to the lowest score that is accepted."""


def empirical(drafts: Sequence[Labelled], risk: float, confidence: float) -> float:
    """The lowest score at which no more than the allowed share of the labels is accepted bad."""
    bad = sorted((draft.score for draft in drafts if draft.bad), reverse=True)
    allowed = math.floor(risk * len(drafts))
    return math.nextafter(bad[allowed], math.inf) if len(bad) > allowed else -math.inf


def conditional(drafts: Sequence[Labelled], risk: float, confidence: float) -> float:
    """The lowest score above which the bad ones among the accepted, and one more, are at most the allowed share."""
    best, bad = math.inf, 0
    for number, draft in enumerate(sorted(drafts, key=lambda draft: -draft.score), 1):
        bad += draft.bad
        if (bad + 1) / (number + 1) <= risk:
            best = draft.score
    return best


def fixed_sequence(drafts: Sequence[Labelled], risk: float, confidence: float) -> float:
    """From the strictest of 50 thresholds down, each tested on its accepted drafts alone, until one fails.

    It begins with the first that has enough labels to pass at all.
    """
    ordered = sorted(drafts, key=lambda draft: -draft.score)
    best, bad, at = math.inf, 0, 0
    for step in range(1, 51):
        end = len(ordered) * step // 50
        bad += sum(draft.bad for draft in ordered[at:end])
        at = end
        if end < least_labels(risk, confidence):
            continue
        if upper_bound(bad, end, confidence) > risk:
            break
        best = ordered[end - 1].score
    return best


RULES: dict[str, tuple[Rule, bool]] = {
    "this gate": (threshold, False),
    "empirical threshold": (empirical, False),
    "conditional, with one more bad": (conditional, True),
    "fixed sequence, Clopper-Pearson": (fixed_sequence, True),
}
"""With each rule, whether its promise is about the accepted answers alone."""


def drawn(number: int, error: float, apart: float, rng: random.Random) -> list[Labelled]:
    bad = [rng.random() < error for _ in range(number)]
    return [Labelled(rng.gauss(-apart if wrong else 0.0, 1.0), True, wrong) for wrong in bad]


def truth(accept_from: float, error: float, apart: float) -> tuple[float, float]:
    """(share of all that is accepted, share of all that is accepted bad), exact."""
    right, wrong = (1 - NormalDist(mean).cdf(accept_from) for mean in (0.0, -apart))
    return (1 - error) * right + error * wrong, error * wrong


def thresholds(options: argparse.Namespace) -> None:
    apart = math.sqrt(2) * NORMAL.inv_cdf(options.auroc)
    rng = random.Random(options.seed)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
    for _ in range(options.runs):
        drafts = drawn(options.labels, options.error, apart, rng)
        for name, (rule, _) in RULES.items():
            found[name].append(truth(rule(drafts, options.risk, options.confidence), options.error, apart))
    print(
        f"{options.labels} labels, of which {most_failures(options.labels, options.risk, options.confidence)} may fail"
    )
    print(f"| rule | its promise is about | broken in | accepted on average |\n|{'---|' * 4}")
    for name, (_, among) in RULES.items():
        broken = fmean((bad / share if share and among else bad) > options.risk for share, bad in found[name])
        whom = "accepted answers" if among else "all requests"
        print(f"| {name} | {whom} | {broken:.1%} | {fmean(share for share, _ in found[name]):.1%} |")


def alarms(options: argparse.Namespace) -> None:
    """How often an alarm is raised, and after how many audits, where the accepted risk is as promised and where not."""
    rng = random.Random(options.seed)
    print(
        f"\n| promised | true | alarms within {options.audits} audits | audits until then, p50 | p90 |\n|{'---|' * 5}"
    )
    for promised, true in ((0.02, 0.02), (0.03, 0.02), (0.02, 0.04), (0.02, 0.06), (0.02, 0.10)):
        heard = sorted(_audits_to_alarm(promised, true, options.audits, rng) for _ in range(options.runs // 2))
        raised = sum(number <= options.audits for number in heard) / len(heard)
        p50, p90 = heard[len(heard) // 2], heard[len(heard) * 9 // 10]
        shown = (str(number) if number <= options.audits else "-" for number in (p50, p90))
        print(f"| {promised:.0%} | {true:.0%} | {raised:.1%} | {' | '.join(shown)} |")


def _audits_to_alarm(promised: float, true: float, most: int, rng: random.Random) -> int:
    audits = Audits(promised)
    while not audits.alarmed() and audits.heard <= most:
        audits = audits.after(rng.random() < true)
    return audits.heard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=2000)
    parser.add_argument("--error", type=float, default=0.10, help="share of bad drafts")
    parser.add_argument("--auroc", type=float, default=0.85)
    parser.add_argument("--risk", type=float, default=0.02)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--audits", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    thresholds(options)
    alarms(options)


if __name__ == "__main__":
    main()
