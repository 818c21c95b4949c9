"""Answers that `firstpass eval` saved, scored under the labels of commits.py.

    python rescore.py CACHE OUTCOMES.jsonl CONTRACT [--again] [--failures]

OUTCOMES.jsonl: of a run's folder, over commits that commits.py labelled. Shows the contract pass of the cascade's
answers, under the commits' own labels too, and by language the share of answers that list the label's calls and no
others. An interval holds 95% of 1,000 draws of whole repositories. `--again` first mends each answer anew with the code
at hand: a change of what code reads in a diff needs no new run. `--failures` shows the answers that do not pass or are
not exact.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstpass.bench.cases import Case, read_labelled
from firstpass.bench.score import Score, score_of
from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.exchange import Ask, Exchange, Reply

DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """own: the score under the commit's own labels, as the run had it."""

    case: Case
    language: str
    how: str
    listed: frozenset[str]
    score: Score
    own: bool

    @property
    def exact(self) -> bool:
        return self.listed == self.case.required


def read(cache: Path, outcomes: Path, contract: str, again: bool) -> Iterator[Answer]:
    labelled = {case.commit: case for case in read_labelled(cache / "commits.jsonl", "")}
    made = {(one := json.loads(line))["sha"]: one for line in (cache / "commits.made.jsonl").open()}
    form = shipped(contract).files.form
    for line in outcomes.open():
        saved = json.loads(line)
        case = labelled.get(saved["commit"])
        if case is not None and saved["arm"] == "cascade":
            text = mended(saved["text"], case.diff, contract) if again else saved["text"]
            listed = frozenset(form.read(text)["Calls"])
            how = made[case.commit]
            yield Answer(case, how["language"], how["how"], listed, score_of(case, text, form), saved["passed"])


def mended(answer: str, diff: str, contract: str) -> str:
    made = shipped(contract)
    ask = Ask("", 0.0, "chat", "", "cascade", (Message("user", diff),), contract=made.pinned)
    return made.mend(Exchange(ask), Reply(answer, "", "stop", None, 0.0)) or answer


def row(title: str, answers: Sequence[Answer], of: Callable[[Answer], bool]) -> str:
    return f"| {title} | {len(answers):,} | {sum(map(of, answers)) / len(answers):.1%} | {interval(answers, of)} |"


def interval(answers: Iterable[Answer], of: Callable[[Answer], bool]) -> str:
    tallies: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        tallies[answer.case.repository].append(of(answer))
    each = list(tallies.values())
    if len(each) == 1:
        return "one repository"
    chance = random.Random(0)
    shares = []
    for _ in range(DRAWS):
        drawn = chance.choices(each, k=len(each))
        shares.append(sum(map(sum, drawn)) / sum(map(len, drawn)))
    shares.sort()
    return f"{shares[DRAWS // 40]:.1%} to {shares[-1 - DRAWS // 40]:.1%}, {len(each)} repositories"


def failures(answers: Iterable[Answer]) -> Iterator[str]:
    for answer in answers:
        lacking, more = answer.case.required - answer.listed, answer.listed - answer.case.required
        if not answer.score.passed or not answer.exact:
            state = "passes" if answer.score.passed else "FAILS"
            yield f"{answer.case.repository} {answer.case.commit[:10]} ({answer.language}, {answer.how}) {state}"
            yield f"    not listed: {sorted(lacking)}; listed and not required: {sorted(more)}; {answer.score}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("contract")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--failures", action="store_true")
    asked = parser.parse_args()
    answers = list(read(asked.cache, asked.outcomes, asked.contract, asked.again))
    if asked.failures:
        print("\n".join(failures(answers)))
        return
    print("| contract pass | commits | share | interval |\n|---|---|---|---|")
    print(row("all", answers, lambda one: one.score.passed))
    if not asked.again:
        print(row("all, by their own labels", answers, lambda one: one.own))
    for title, some in by(answers, lambda one: one.how) + by(answers, lambda one: one.case.repository):
        print(row(title, some, lambda one: one.score.passed))
    print("\n| exact calls | commits | share | interval |\n|---|---|---|---|")
    for title, some in by(answers, lambda one: one.language):
        print(row(title, some, lambda one: one.exact))


def by(answers: Sequence[Answer], of: Callable[[Answer], str]) -> list[tuple[str, list[Answer]]]:
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[of(answer)].append(answer)
    return sorted(groups.items())


if __name__ == "__main__":
    main()
