"""What an answer is worth, against a commit's labels. Knows no model; the baseline is measured the same way."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from diff_reader.rows import changed_paths
from firstpass.contract.sections import SECTIONS, parse_answer

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
    sentence: bool
    """The sentence is of the recipe's kind and the labels bear it out."""

    @property
    def exact(self) -> bool:
        return self.named == self.right == self.required


def language_of(diff: str) -> str:
    """The language that most changed files have."""
    found = [LANGUAGES[suffix] for path in changed_paths(diff) if (suffix := path.rpartition(".")[2]) in LANGUAGES]
    return max(sorted(set(found)), key=found.count) if found else "other"


def sentence_holds(commit: dict[str, Any], sentence: str) -> bool:
    """Whether each name in `Call a, no longer b.`, `Call a in b.` and their like is what the sentence says it is."""
    called = re.match(r"Call (\S+?)(?:,| in )", sentence)
    dropped = re.search(r"(?:no longer|^Remove) (\S+?)(?:\.$| from )", sentence)
    place = re.search(r" (?:in|from) (\S+)\.$", sentence)
    return (
        bool(called or dropped)
        and (not called or called[1] in commit["required"])
        and (not dropped or dropped[1] in commit["removed"])
        and (not place or place[1] in commit["diff"])
    )


def marks(
    commit: dict[str, Any], calls: Sequence[str], todos: Sequence[str], valid: bool, sentence: bool = False
) -> Marks:
    named, required = set(calls), set(commit["required"])
    return Marks(
        language=language_of(commit["diff"]),
        named=len(named),
        right=len(named & required),
        required=len(required),
        unknown=len(named - set(commit["identifiers"])),
        todos_found=sum(todo in todos for todo in set(commit["todos"])),
        todos=len(set(commit["todos"])),
        valid=valid,
        sentence=sentence,
    )


def marks_of_answer(commit: dict[str, Any], text: str, ended: bool) -> Marks:
    """ended: the model stopped by itself; an answer that was cut is not valid."""
    answer = parse_answer(text)
    headings = [line.split(":")[0] for line in text.split("\n") if re.match(r"(Summary|Calls|TODOs|Actions):", line)]
    valid = ended and tuple(headings) == SECTIONS and bool(answer.summary)
    return marks(commit, answer.calls, answer.todos, valid, sentence_holds(commit, answer.summary))


def marks_of_expression(commit: dict[str, Any]) -> Marks:
    """The baseline: each `name(` on an added line, and each comment marker's text."""
    added = [line[1:] for line in commit["diff"].splitlines() if line.startswith("+") and not line.startswith("+++")]
    names = {name for line in added for name in re.findall(r"([A-Za-z_$][\w$]*)\s*\(", line)} - KEYWORDS
    todos = [
        found[1].strip()
        for line in added
        if (found := re.search(r"\b(?:TODO|FIXME|XXX|HACK)\b(?:\([^)]*\))?:?\s*(.*?)(?:\*/)?$", line))
    ]
    return marks(commit, sorted(names), todos, valid=True)


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
    "sentence_true": lambda all_marks: sum(one.sentence for one in all_marks) / len(all_marks),
    "format_valid": lambda all_marks: sum(one.valid for one in all_marks) / len(all_marks),
}


def interval(
    all_marks: Sequence[Marks], figure: Callable[[Sequence[Marks]], float], seed: int = 1, draws: int = 1000
) -> list[float]:
    """[value, low, high]: a 95% percentile bootstrap over commits."""
    rng = random.Random(seed)
    values = sorted(figure(rng.choices(all_marks, k=len(all_marks))) for _ in range(draws))
    return [round(number, 4) for number in (figure(all_marks), values[int(0.025 * draws)], values[int(0.975 * draws)])]


def figures_of(all_marks: Sequence[Marks]) -> dict[str, list[float]]:
    return {name: interval(all_marks, figure) for name, figure in FIGURES.items()}


def by_language(all_marks: Sequence[Marks]) -> dict[str, dict[str, Any]]:
    """Figures for each language with at least ten commits."""
    groups: dict[str, list[Marks]] = {}
    for one in all_marks:
        groups.setdefault(one.language, []).append(one)
    return {
        name: {"commits": len(group), **figures_of(group)} for name, group in sorted(groups.items()) if len(group) >= 10
    }
