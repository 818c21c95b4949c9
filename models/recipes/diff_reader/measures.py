"""What an answer is worth, against a commit's labels. Knows no model; the baseline is measured the same way."""

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from diff_reader.rows import DRAFTED, NEW_SUMMARY, SUMMARY, changed_paths, subject_of
from firstpass.bench.identify import identified, rivals_of
from firstpass.contract.references import unknown
from firstpass.contract.sections import SECTIONS, Sections, parse_answer
from firstpass.contract.wording import summary
from firstpass.contract.written import told
from firstpass.evidence import gather, parse_diff
from firstpass.evidence.account import account_of
from firstpass.evidence.calls.candidates import openings

One = TypeVar("One")

KEYWORDS = frozenset(
    [
        "if",
        "for",
        "while",
        "switch",
        "catch",
        "return",
        "function",
        "func",
        "fn",
        "def",
        "import",
        "await",
        "async",
        "with",
        "assert",
        "and",
        "or",
        "not",
        "in",
        "match",
        "else",
    ]
)
LANGUAGES = {
    "py": "Python", "js": "JavaScript", "cjs": "JavaScript", "mjs": "JavaScript", "ts": "TypeScript",
    "tsx": "TypeScript", "go": "Go", "rs": "Rust", "java": "Java", "kt": "Kotlin",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Marks:
    """Counts for one commit. `named` are distinct calls of the answer."""

    language: str
    named: int
    right: int
    required: int
    unknown: int
    """Named calls that are no identifier of the diff at all."""
    todos_found: int
    todos: int
    valid: bool
    grounded: bool
    """Each name that the sentence writes as code occurs in the diff."""
    overlap: float | None
    """Of the sentence's words with the author's subject, 0 to 1; None where there is no subject to compare with."""
    told: float = 0.0
    """Of the most telling terms' weight, the share that the sentence says, 0 to 1."""
    identified: float | None = None
    """Whether the sentence finds its author's subject among others of the repository; None where there are too few."""
    scores: tuple[tuple[float, bool], ...] = ()
    """For each named call: the lowest log-probability of its name's tokens, in nats, and whether it is required."""

    @property
    def exact(self) -> bool:
        return self.named == self.right == self.required


def language_of(diff: str) -> str:
    """The language that most changed files have."""
    found = [LANGUAGES[suffix] for path in changed_paths(diff) if (suffix := path.rpartition(".")[2]) in LANGUAGES]
    return max(sorted(set(found)), key=found.count) if found else "other"


def overlap_of(sentence: str, subject: str) -> float | None:
    """F1 of the two texts' words, without case and order.

    Source: Lin, ROUGE, 2004, section 2 (ROUGE-1, with the words as a set).
    """
    said, meant = (set(re.findall(r"\w+", text.casefold())) for text in (sentence, subject))
    return 2 * len(said & meant) / (len(said) + len(meant)) if said and meant else None


def with_rivals(commits: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Each commit with the other subjects that its own is told from as `rivals`."""
    drawn = rivals_of([(commit["repo"], commit["subject"]) for commit in commits], seed)
    return [{**commit, "rivals": rivals} for commit, rivals in zip(commits, drawn, strict=True)]


def marks_of(commit: dict[str, Any], answer: Sections, valid: bool, scores: Mapping[str, float] | None = None) -> Marks:
    """commit: with `rivals` or without. scores: by named call, the lowest log-probability of its tokens, in nats."""
    named, required = set(answer.calls), set(commit["required"])
    identifiers = frozenset(commit["identifiers"])
    return Marks(
        language=language_of(commit["diff"]),
        named=len(named),
        right=len(named & required),
        required=len(required),
        unknown=len(named - identifiers),
        todos_found=sum(todo in answer.todos for todo in set(commit["todos"])),
        todos=len(set(commit["todos"])),
        valid=valid,
        grounded=not unknown(answer.summary, identifiers),
        overlap=overlap_of(answer.summary, subject_of(commit["subject"])),
        told=told(answer.summary, account_of(commit["diff"])),
        identified=identified(answer.summary, commit["subject"], rivals) if (rivals := commit.get("rivals")) else None,
        scores=tuple((score, name in required) for name, score in (scores or {}).items()),
    )


def marks_of_answer(
    commit: dict[str, Any],
    text: str,
    ended: bool,
    scores: Mapping[str, float] | None = None,
    contract: str = SUMMARY,
) -> Marks:
    """ended: the model stopped by itself; an answer that was cut is not valid."""
    return marks_of(commit, parse_answer(text), ended and in_form(text, contract), scores)


def in_form(text: str, contract: str = SUMMARY) -> bool:
    wanted = tuple(one.name for one in DRAFTED.sections) if contract == NEW_SUMMARY else SECTIONS
    headings = [line.split(":")[0] for line in text.split("\n") if re.match(r"(Summary|Calls|TODOs|Actions):", line)]
    return tuple(headings) == wanted and bool(parse_answer(text).summary)


def marks_of_expression(commit: dict[str, Any]) -> Marks:
    """The baseline: each `name(` on an added line, and each comment marker's text."""
    added = [line[1:] for line in commit["diff"].splitlines() if line.startswith("+") and not line.startswith("+++")]
    names = {name for line in added for name in re.findall(r"([A-Za-z_$][\w$]*)\s*\(", line)} - KEYWORDS
    todos = [
        found[1].strip()
        for line in added
        if (found := re.search(r"\b(?:TODO|FIXME|XXX|HACK)\b(?:\([^)]*\))?:?\s*(.*?)(?:\*/)?$", line))
    ]
    return marks_of(commit, Sections("", tuple(sorted(names)), tuple(todos), ()), valid=True)


def marks_of_openings(commit: dict[str, Any]) -> Marks:
    """What the prompt shows to choose from, all of it named: what the model adds is measured against this."""
    return marks_of(commit, Sections("", tuple(openings(parse_diff(commit["diff"]))), (), ()), valid=True)


def marks_of_code(commit: dict[str, Any]) -> Marks:
    """What the product's own reading of the diff says, with no model."""
    evidence = gather(commit["diff"])
    sentence = summary(account_of(commit["diff"]))
    return marks_of(commit, Sections(sentence, evidence.calls, evidence.todos, ()), valid=True)


def separation(all_marks: Sequence[Marks]) -> float:
    """How often a right call's score is above a wrong one's (AUROC), ties counted half; NaN where one kind is missing.

    Source: Mann and Whitney, 1947: the area under the curve is U divided by the number of pairs.
    """
    ranked = sorted(score for one in all_marks for score in one.scores)
    wrong = sum(not right for _, right in ranked)
    pairs = wrong * (len(ranked) - wrong)
    if not pairs:
        return float("nan")
    below, won = 0, 0.0
    for _, group in groupby(ranked, key=itemgetter(0)):
        kinds = [right for _, right in group]
        losing = kinds.count(False)
        won += kinds.count(True) * (below + 0.5 * losing)
        below += losing
    return won / pairs


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def ratio(top: str, bottom: str) -> Callable[[Sequence[Marks]], float]:
    """Pooled over commits; NaN where the bottom is zero."""

    def value(all_marks: Sequence[Marks]) -> float:
        below = sum(getattr(one, bottom) for one in all_marks)
        return sum(getattr(one, top) for one in all_marks) / below if below else float("nan")

    return value


FIGURES: dict[str, Callable[[Sequence[Marks]], float]] = {
    "call_recall": ratio("right", "required"),
    "call_precision": ratio("right", "named"),
    "named_not_required": lambda all_marks: 1.0 - ratio("right", "named")(all_marks),
    "named_not_in_diff": ratio("unknown", "named"),
    "all_calls_exact": lambda all_marks: sum(one.exact for one in all_marks) / len(all_marks),
    "sentence_grounded": lambda all_marks: sum(one.grounded for one in all_marks) / len(all_marks),
    "sentence_overlap": lambda all_marks: mean([one.overlap or 0.0 for one in all_marks if one.overlap is not None]),
    "sentence_told": lambda all_marks: mean([one.told for one in all_marks]),
    "sentence_identified": lambda all_marks: mean([one.identified for one in all_marks if one.identified is not None]),
    "separation": separation,
    "format_valid": lambda all_marks: sum(one.valid for one in all_marks) / len(all_marks),
}


def interval(
    all_marks: Sequence[One], figure: Callable[[Sequence[One]], float], seed: int = 1, draws: int = 1000
) -> list[float]:
    """[value, low, high]: a 95% percentile bootstrap over commits; empty where the figure has no value."""
    value = figure(all_marks) if all_marks else float("nan")
    if math.isnan(value):
        return []
    rng = random.Random(seed)
    drawn = (figure(rng.choices(all_marks, k=len(all_marks))) for _ in range(draws))
    values = sorted(number for number in drawn if not math.isnan(number))
    low, high = values[int(0.025 * len(values))], values[int(0.975 * len(values))]
    return [round(number, 4) for number in (value, low, high)]


def figures_of(all_marks: Sequence[Marks]) -> dict[str, list[float]]:
    """The figures that have a value."""
    return {name: found for name, figure in FIGURES.items() if (found := interval(all_marks, figure))}


def by_language(all_marks: Sequence[Marks]) -> dict[str, dict[str, Any]]:
    """Figures for each language with at least ten commits."""
    groups: dict[str, list[Marks]] = {}
    for one in all_marks:
        groups.setdefault(one.language, []).append(one)
    return {
        name: {"commits": len(group), **figures_of(group)} for name, group in sorted(groups.items()) if len(group) >= 10
    }
