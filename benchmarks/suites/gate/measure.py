"""What the gate keeps of its promise on real drafts, beside the usual rules on the same ones.

    python collect.py commits.jsonl.zst --out traces.jsonl.zst
    python measure.py commits.jsonl.zst traces.jsonl.zst --out run

Repositories are disjoint: the score is fitted on some; the drafts of the others are the population from which labels
are drawn again and again, and on which the risk and the coverage of a threshold are then exact.
"""

import argparse
import itertools
import json
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from collect import lines

from firstpass.bench.cases import Case, read_labelled
from firstpass.bench.score import score_of
from firstpass.chat import Message, TokenLogprob
from firstpass.contract import PromptedContract, shipped
from firstpass.errors import BadLabels
from firstpass.exchange import Ask, Reply
from firstpass.gate.bounds import Labelled, threshold
from firstpass.gate.score import auroc, fitted
from firstpass.gate.signals import SIGNALS, agreement

LISTS = {"pr-summary": "Calls", "touched-functions": "Functions"}
SEEDS = (1, 2, 3)
FITTED_REPOSITORIES = 2
RIDGE = 1.0
USUAL = ("mean_logprob", "least_logprob")
"""The signals that a gate has to beat."""


@dataclass(frozen=True, slots=True)
class Row:
    """A draft. passed: the contract's hard checks, nothing mended. right: by the labels, all or nothing."""

    repository: str
    signals: dict[str, float]
    passed: bool
    right: bool


def rows_of(commits: Path, traces: Path, name: str) -> list[Row]:
    contract = shipped(name)
    cases = {(case.repository, case.commit): case for case in read_labelled(commits, "")}
    touched = {(line["repo"], line["sha"]): line["touched"] for line in lines(commits)}
    found = []
    for trace in lines(traces):
        key = (trace["repo"], trace["sha"])
        if trace["text"] is not None:
            found.append(row_of(contract, cases[key], touched[key], trace))
    return found


def row_of(contract: PromptedContract, case: Case, touched: Sequence[str], trace: dict[str, object]) -> Row:
    form, name = contract.files.form, contract.files.name
    ask = Ask("t", 0.0, "chat", "local", "local", (Message("user", case.diff),), contract=contract.pinned)
    tokens = tuple(TokenLogprob(text, logprob, tuple(map(tuple, top))) for text, logprob, top in trace["tokens"])
    text = str(trace["text"])
    reply = Reply(text, "", "stop" if trace["ended"] else "length", None, 0.0, logprobs=tokens)
    listed = frozenset(form.read(text)[LISTS[name]])
    signals = contract.signals(ask, reply)
    samples = [frozenset(form.read(sample)[LISTS[name]]) for sample in trace["samples"]]
    if (agreed := agreement(listed, samples)) is not None:
        signals["agreement"] = agreed
    passed = all(finding.severity != "fail" for finding in contract.check(ask, reply))
    if name == "pr-summary":
        return Row(case.repository, signals, passed, score_of(case, text, form).passed)
    bare = {one.rpartition(".")[2] for one in touched}
    return Row(case.repository, signals, passed and form.read(text)["Unseen"] == ("no",), listed == bare)


def empirical(drafts: Sequence[Labelled], risk: float, confidence: float) -> float:
    """No more than the allowed share of the labels themselves."""
    bad = sorted((draft.score for draft in drafts if draft.bad and draft.passed), reverse=True)
    allowed = math.floor(risk * len(drafts))
    return math.nextafter(bad[allowed], math.inf) if len(bad) > allowed else -math.inf


@dataclass(frozen=True, slots=True)
class Rule:
    """score: of a row; the threshold comes from `choose`."""

    name: str
    score: Callable[[Row], float]
    choose: Callable[[Sequence[Labelled], float, float], float]


def rules(learned: Callable[[Row], float]) -> list[Rule]:
    return [
        Rule("this gate", learned, threshold),
        Rule("its score, empirical threshold", learned, empirical),
        *(
            Rule(f"{label}, {kind}", lambda row, signal=signal: row.signals.get(signal, -math.inf), choose)
            for label, signal in (
                ("mean logprob", "mean_logprob"),
                ("margin", "margin"),
                ("self-consistency", "agreement"),
            )
            for kind, choose in (("this bound", threshold), ("empirical threshold", empirical))
        ),
    ]


@dataclass(frozen=True, slots=True)
class Truth:
    """Of a threshold on a population: shares of all requests."""

    risk: float
    coverage: float


def truth(drafts: Sequence[Labelled], accept_from: float) -> Truth:
    accepted = [draft for draft in drafts if draft.passed and draft.score >= accept_from]
    return Truth(sum(draft.bad for draft in accepted) / len(drafts), len(accepted) / len(drafts))


def oracle(drafts: Sequence[Labelled], risk: float) -> float:
    """The most that a gate could accept of what passes the checks, if it knew the truth."""
    good = sum(draft.passed and not draft.bad for draft in drafts) / len(drafts)
    return good + min(risk, sum(draft.passed and draft.bad for draft in drafts) / len(drafts))


def fit(rows: Sequence[Row]) -> Callable[[Row], float]:
    score = fitted([row.signals for row in rows], [row.right for row in rows], list(SIGNALS), RIDGE)
    return lambda row: score.of(row.signals)


def labelled(rows: Iterable[Row], score: Callable[[Row], float], checks: bool) -> list[Labelled]:
    return [Labelled(score(row), row.passed or not checks, not row.right) for row in rows]


def separation(rows: Sequence[Row], score: Callable[[Row], float]) -> float | None:
    return auroc([score(row) for row in rows], [row.right for row in rows])


def resampled(rows: Sequence[Row], checks: bool, options: argparse.Namespace) -> list[dict[str, object]]:
    """A line a rule: how often its threshold breaks the promise on the population, and what it accepts."""
    found: dict[str, list[tuple[Truth, float]]] = {}
    for seed in SEEDS:
        fitting, others = split(rows, seed)
        rng = random.Random(seed)
        for rule in rules(fit(fitting)):
            population = labelled(others, rule.score, checks)
            best = oracle(population, options.risk)
            for _ in range(options.resamplings):
                drawn = rng.choices(population, k=options.labels)
                accept_from = rule.choose(drawn, options.risk, options.confidence)
                found.setdefault(rule.name, []).append((truth(population, accept_from), best))
    return [
        {
            "rule": name,
            "broken": fmean(one.risk > options.risk for one, _ in outcomes),
            "risk": fmean(one.risk for one, _ in outcomes),
            "coverage": fmean(one.coverage for one, _ in outcomes),
            "of_oracle": fmean(one.coverage / best for one, best in outcomes),
        }
        for name, outcomes in found.items()
    ]


def split(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    names = sorted({row.repository for row in rows})
    chosen = set(random.Random(seed).sample(names, FITTED_REPOSITORIES))
    return [row for row in rows if row.repository in chosen], [row for row in rows if row.repository not in chosen]


def across(rows: Sequence[Row], checks: bool, options: argparse.Namespace) -> list[dict[str, object]]:
    """Fitted on two repositories, calibrated on two others, tested on the last: every way to choose them."""
    names = sorted({row.repository for row in rows})
    found: list[dict[str, object]] = []
    for test in names:
        for fitted_on in itertools.combinations([name for name in names if name != test], FITTED_REPOSITORIES):
            score = fit([row for row in rows if row.repository in fitted_on])
            calibrating = [row for row in rows if row.repository not in (*fitted_on, test)]
            try:
                accept_from = threshold(labelled(calibrating, score, checks), options.risk, options.confidence)
            except BadLabels:
                continue
            population = labelled([row for row in rows if row.repository == test], score, checks)
            what = truth(population, accept_from)
            found.append({"test": test, "risk": what.risk, "coverage": what.coverage, "labels": len(calibrating)})
    return found


def signal_table(rows: Sequence[Row]) -> list[dict[str, object]]:
    """AUROC of each signal alone, and of the score on the repositories that it was not fitted on, by seed."""
    found: list[dict[str, object]] = []
    for name in (*SIGNALS, "agreement"):
        held = [row for row in rows if name in row.signals]
        value = auroc([row.signals[name] for row in held], [row.right for row in held])
        found.append({"signal": name, "auroc": value, "drafts": len(held)})
    for seed in SEEDS:
        fitting, others = split(rows, seed)
        line: dict[str, object] = {"signal": f"the score, seed {seed}", "auroc": separation(others, fit(fitting))}
        usual = (separation(others, lambda row, name=name: row.signals.get(name, -math.inf)) or 0 for name in USUAL)
        found.append(line | {"best_usual": max(usual), "drafts": len(others)})
    return found


def curve(drafts: Sequence[Labelled]) -> list[tuple[float, float]]:
    """(risk, coverage) as the threshold falls."""
    points, bad = [(0.0, 0.0)], 0
    ordered = sorted((draft for draft in drafts if draft.passed), key=lambda draft: -draft.score)
    for number, draft in enumerate(ordered, 1):
        bad += draft.bad
        if number == len(ordered) or ordered[number].score != draft.score:
            points.append((bad / len(drafts), number / len(drafts)))
    return points


def plot(rows: Sequence[Row], checks: bool, risk: float, seed: int = SEEDS[0]) -> str:
    """An SVG: what each score could accept at each risk; random, strong only and the oracle beside them."""
    fitting, others = split(rows, seed)
    curves = {}
    for rule in rules(fit(fitting)):
        name = "this gate's score" if rule.name == "this gate" else rule.name.removesuffix(", this bound")
        if rule.choose is threshold:
            curves[name] = curve(labelled(others, rule.score, checks))
    population = labelled(others, lambda row: 0.0, checks)
    whole = curve(population)[-1]
    curves["random"] = [(0.0, 0.0), whole]
    curves["oracle"] = [(0.0, whole[1] - whole[0]), whole]
    return svg(curves, 4 * risk, risk)


def svg(curves: dict[str, list[tuple[float, float]]], most_risk: float, risk: float) -> str:
    width, height, left, top = 640, 400, 60, 20
    colours = ("#1f5fa8", "#c0392b", "#d68910", "#239b56", "#7f8c8d", "#111111")

    def place(point: tuple[float, float]) -> str:
        return f"{left + width * point[0] / most_risk:.1f},{top + height * (1 - point[1]):.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + left + 220} {height + top + 50}">']
    parts.append('<rect width="100%" height="100%" fill="white"/><g font-family="sans-serif" font-size="12">')
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        y = top + height * (1 - share)
        parts.append(
            f'<path d="M{left},{y:.1f}h{width}" stroke="#ddd"/><text x="22" y="{y + 4:.1f}">{share:.0%}</text>'
        )
    for number in range(5):
        x = left + width * number / 4
        parts.append(f'<text x="{x - 8:.1f}" y="{top + height + 18}">{most_risk * number / 4:.0%}</text>')
    x = left + width * risk / most_risk
    parts.append(f'<path d="M{x:.1f},{top}v{height}" stroke="#999" stroke-dasharray="4"/>')
    for number, (name, points) in enumerate(curves.items()):
        shown = [point for point in points if point[0] <= most_risk]
        colour = colours[number % len(colours)]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(map(place, shown))}"/>'
        )
        y = top + 14 + 20 * number
        parts.append(f'<text x="{left + width + 14}" y="{y}" fill="{colour}">{name}</text>')
    y = top + 14 + 20 * len(curves)
    parts.append(f'<text x="{left + width + 14}" y="{y}" fill="#999">strong only accepts nothing</text>')
    parts.append(f'<text x="{left}" y="{top + height + 40}">share of all requests accepted and wrong</text>')
    parts.append(f'<text x="{left + 4}" y="{top + 12}">share accepted</text></g></svg>')
    return "\n".join(parts) + "\n"


def table(found: Sequence[dict[str, object]]) -> str:
    heads = list(dict.fromkeys(name for line in found for name in line))
    shown = [[cell(line.get(name)) for name in heads] for line in found]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *shown])


def cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--contract", default="pr-summary", choices=LISTS)
    parser.add_argument("--risk", type=float, default=0.02)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--labels", type=int, default=1500)
    parser.add_argument("--resamplings", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = rows_of(options.commits, options.traces, options.contract)
    right = fmean(row.right for row in rows)
    passed = fmean(row.passed for row in rows)
    print(f"{len(rows)} drafts, {right:.1%} right, {passed:.1%} pass the checks\n")
    found: dict[str, object] = {"signals": signal_table(rows)}
    print(table(signal_table(rows)))
    for checks in (False, True):
        what = "with the checks" if checks else "without the checks"
        drawn, moved = resampled(rows, checks, options), across(rows, checks, options)
        found |= {what: drawn, f"{what}, across repositories": moved}
        print(f"\n{what}, labels drawn from the population\n\n{table(drawn)}")
        print(f"\n{what}, calibrated on other repositories\n\n{table(moved)}")
        (options.out / f"{'checked' if checks else 'unchecked'}.svg").write_text(plot(rows, checks, options.risk))
    (options.out / "results.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
