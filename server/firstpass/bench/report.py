"""A run as JSON for machines and Markdown for people. Measures nothing."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from firstpass.bench.cases import Case
from firstpass.bench.figures import Comparison, Figure, Figures, Metric, Price
from firstpass.bench.require import Judgement
from firstpass.bench.runner import Arm, Outcome

FORMAT = 1

ROWS: dict[Metric, tuple[str, str]] = {
    "pass": ("contract pass", "%"),
    "pass_structured": ("of the listed sections", "%"),
    "pass_prose": ("of the prose", "%"),
    "omissions": ("required calls omitted", "%"),
    "hallucinations": ("listed calls that are not there", "%"),
    "hallucinations_prose": ("names in prose that are not there", "%"),
    "omissions_todos": ("TODOs omitted", "%"),
    "identified": ("identified: own subject first of 20, by the sentence", "%"),
    "identified_whole": ("by the sentence and the items", "%"),
    "told": ("salient terms named", "%"),
    "words": ("words in the sentence", ""),
    "escalations": ("asked the verifier", "%"),
    "hosted_tokens_in": ("verifier tokens in, a request", ""),
    "hosted_tokens_out": ("verifier tokens out, a request", ""),
    "cost_usd": ("verifier's cost of 1,000 requests", "$"),
    "p50_ms": ("latency p50", "ms"),
    "p90_ms": ("latency p90", "ms"),
    "p99_ms": ("latency p99", "ms"),
    "errors": ("no answer", "%"),
}
"""In the report's order: what a figure is called, and its unit."""


@dataclass(frozen=True, slots=True)
class Run:
    """All that a report says. facts: of the run as a whole, such as the seed and the machine, by name."""

    facts: Mapping[str, Any]
    arms: Sequence[Arm]
    cases: Sequence[Case]
    outcomes: Sequence[Outcome]
    figures: Figures
    price: Price | None
    judgements: Sequence[Judgement] = ()

    def models(self, arm: str) -> list[str]:
        """That answered."""
        return sorted({model for outcome in self.outcomes if outcome.arm == arm for model in outcome.models})

    def errors(self, arm: str) -> dict[str, int]:
        """How often which."""
        found = [outcome.error for outcome in self.outcomes if outcome.arm == arm and outcome.error]
        return {error: found.count(error) for error in dict.fromkeys(found)}

    def by_repository(self, arm: str) -> dict[str, tuple[int, float]]:
        """(cases, share that passed)"""
        groups: dict[str, list[bool]] = {}
        for outcome in self.outcomes:
            if outcome.arm == arm:
                passed = outcome.error is None and outcome.score.passed
                groups.setdefault(self.cases[outcome.case].repository, []).append(passed)
        return {name: (len(group), sum(group) / len(group)) for name, group in sorted(groups.items())}


def as_json(run: Run) -> str:
    """Without a value a figure is null."""
    figures = run.figures
    body = {
        "format": FORMAT,
        **run.facts,
        "cases": len(run.cases),
        "intervals": f"95%, bootstrap over {figures.units} {figures.over}",
        "prices_usd_per_million_tokens": asdict(run.price) if run.price else None,
        "arms": {
            arm.name: {
                "asked_for": arm.model,
                "models": run.models(arm.name),
                "errors": run.errors(arm.name),
                "figures": {metric: _plain(figure) for metric, figure in figures.arms[arm.name].items()},
                "by_repository": {
                    name: {"cases": size, "pass": share} for name, (size, share) in run.by_repository(arm.name).items()
                },
            }
            for arm in run.arms
        },
        "comparisons": [asdict(one) | {"figure": _plain(one.figure)} for one in figures.comparisons],
        "requirements": [asdict(one) | {"found": _number(one.found)} for one in run.judgements],
    }
    return json.dumps(body, indent=2) + "\n"


def lines_of_outcomes(run: Run) -> Iterator[str]:
    """One JSON object a request, in the order in which they ended."""
    for outcome in run.outcomes:
        case, score = run.cases[outcome.case], outcome.score
        verdict = {"passed": score.passed, "structured": score.structured, "prose": score.prose}
        yield json.dumps({"repository": case.repository, "commit": case.commit, **asdict(outcome), **verdict})


def as_markdown(run: Run) -> str:
    return "\n".join(
        [
            f"# {title(run)}",
            "",
            *(f"- {line}" for line in notes(run)),
            "",
            *_markdown(table(run)),
            "",
            *(f"- {sentence(one)}" for one in run.figures.comparisons),
            "",
            "## By repository: contract pass",
            "",
            *_markdown(repositories(run)),
            *_required(run),
            "",
        ]
    )


def _required(run: Run) -> list[str]:
    if not run.judgements:
        return []
    return ["", "## Required", "", *(f"- {verdict(one)}" for one in run.judgements)]


def verdict(one: Judgement) -> str:
    found = "no value" if math.isnan(one.found) else f"{one.found:.4g}"
    return f"`{one.text}`: {'met' if one.met else 'not met'} ({found})"


def title(run: Run) -> str:
    repositories = len({case.repository for case in run.cases})
    where = f"{repositories} repositories" if repositories > 1 else "one repository"
    return f"{run.facts['contract']} on {len(run.cases)} changes of {where}"


def notes(run: Run) -> list[str]:
    """What a reader has to know, one sentence each."""
    facts, figures = run.facts, run.figures
    made = datetime.fromtimestamp(facts["made_unix"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    found = [f"Made {made} by Firstpass {facts['version']} on {facts['machine']}; seed {facts['seed']}."]
    found += [f"{arm.name}: asked for `{arm.model}`, answered by {_listed(run.models(arm.name))}." for arm in run.arms]
    found.append(f"Intervals: 95%, bootstrap over {figures.units} {figures.over}.")
    found.append(
        f"All arms in random order, {facts['at_once']} at once. Of two arms that ask the same model the later one may "
        "find the change in its prefix cache; the order favours none."
    )
    found += [f"Left out: {number} commits, {reason}." for reason, number in facts["left_out"].items()]
    found += [f"{arm.name}: {number} x {error}" for arm in run.arms for error, number in run.errors(arm.name).items()]
    return found


def table(run: Run) -> list[list[str]]:
    """The head and a row a figure that any arm has."""
    arms = run.figures.arms
    rows = [["", *(arm.name for arm in run.arms)]]
    for metric, (name, unit) in ROWS.items():
        figures = [arms[arm.name].get(metric) for arm in run.arms]
        if any(figure and not math.isnan(figure.value) for figure in figures):
            rows.append([name, *(shown(figure, unit) for figure in figures)])
    return rows


def repositories(run: Run) -> list[list[str]]:
    by = {arm.name: run.by_repository(arm.name) for arm in run.arms}
    first = by[run.arms[0].name]
    rows = [["repository", "changes", *by]]
    for name, (size, _) in first.items():
        rows.append([name, str(size), *(f"{100 * found[name][1]:.1f}%" for found in by.values())])
    return rows


def shown(figure: Figure | None, unit: str) -> str:
    """A value with its interval."""
    if figure is None or math.isnan(figure.value):
        return "-"
    if unit == "$":
        return "${} ({}-{})".format(*(f"{1000 * one:.2f}" for one in (figure.value, figure.low, figure.high)))
    scale, digits = (100, 1) if unit == "%" else (1, 0 if abs(figure.value) >= 100 else 1)
    value, low, high = (f"{scale * one:.{digits}f}" for one in (figure.value, figure.low, figure.high))
    return f"{value}{'%' if unit == '%' else ''}{' ms' if unit == 'ms' else ''} ({low}-{high})"


def sentence(one: Comparison) -> str:
    name, unit = ROWS.get(one.metric, ("verifier tokens", ""))
    figure = one.figure
    if math.isnan(figure.value):
        return f"{one.arm} and {one.other}, {name}: no value."
    if one.kind == "ratio":
        return (
            f"{one.arm} has {100 * figure.value:.1f}% ({100 * figure.low:.1f}-{100 * figure.high:.1f}) of "
            f"{one.other}'s {name}."
        )
    scale, word = (100, "points") if unit == "%" else (1, unit)
    value, low, high = (scale * number for number in (figure.value, figure.low, figure.high))
    return f"{one.arm} less {one.other}, {name}: {value:+.1f} {word} ({low:+.1f} to {high:+.1f})."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nobody"


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    ruled = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in ruled]


def _plain(figure: Figure) -> dict[str, float | None]:
    return {"value": _number(figure.value), "low": _number(figure.low), "high": _number(figure.high)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
