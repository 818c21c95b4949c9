"""What code alone can say of a diff: is it about that change, and what does it cost? Knows no model and no server.

    python measure.py commits.jsonl.zst [--number 100] [--tuned]

By default on the five repositories that nothing was fitted on; --tuned measures the nine others instead.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from firstpass.bench.cases import Case, read_labelled, with_rivals
from firstpass.bench.figures import percentile
from firstpass.bench.identify import identified
from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.contract.changelines import change_lines
from firstpass.contract.wording import summary
from firstpass.evidence import facts_of, gather, read_diff
from firstpass.evidence.account import account_of, shown_facts
from firstpass.evidence.salience.frequencies import general
from firstpass.evidence.salience.terms import salient
from firstpass.exchange import Ask, Exchange, Reply

HELD_OUT = frozenset(("psf/requests", "fastify/fastify", "gin-gonic/gin", "BurntSushi/ripgrep", "axios/axios"))
DRAWS = 1000

WAYS: dict[str, Callable[[Case], str]] = {
    "the paths": lambda case: " ".join(file.path or "" for file in read_diff(case.diff).files),
    "all changed words": lambda case: " ".join(_changed(case)),
    "the 12 most telling terms": lambda case: " ".join(term.text for term in account_of(case.diff).terms[:12]),
    "code's sentence": lambda case: summary(account_of(case.diff)),
    "code's sentence and changes": lambda case: " ".join(
        (summary(account_of(case.diff)), *change_lines(account_of(case.diff)))
    ),
}


def _changed(case: Case) -> Iterator[str]:
    for file in read_diff(case.diff).files:
        yield file.path or ""
        yield from (line.text for hunk in file.hunks for line in hunk.lines if line.kind != "context")


def drawn(cases: Sequence[Case], number: int, seed: int) -> list[Case]:
    rng = random.Random(seed)
    by: dict[str, list[Case]] = {}
    for case in cases:
        by.setdefault(case.repository, []).append(case)
    return [case for _, group in sorted(by.items()) for case in rng.sample(group, min(number, len(group)))]


def interval(by: dict[str, list[float]], seed: int) -> tuple[float, float, float]:
    """The mean, and the ends of its 95% bootstrap interval over repositories."""
    rng = random.Random(seed)
    groups = list(by.values())
    means = []
    for _ in range(DRAWS):
        chosen = [one for group in rng.choices(groups, k=len(groups)) for one in group]
        means.append(sum(chosen) / len(chosen))
    every = [one for group in groups for one in group]
    return sum(every) / len(every), percentile(sorted(means), 0.025), percentile(sorted(means), 0.975)


def report_identified(cases: Sequence[Case], seed: int) -> None:
    print(f"| own subject first among 20, {len(cases)} commits | identified | by repository |\n|---|---|---|")
    for name, way in WAYS.items():
        by: dict[str, list[float]] = {}
        for case in cases:
            by.setdefault(case.repository, []).append(identified(way(case), case.subject, case.rivals))
        mean, low, high = interval(by, seed)
        each = ", ".join(f"{repository.partition('/')[2]} {sum(one) / len(one):.2f}" for repository, one in by.items())
        print(f"| {name} | {mean:.1%} ({low:.1%}-{high:.1%}) | {each} |")


def report_own_checks(cases: Sequence[Case]) -> None:
    contract = shipped("pr-summary@4")
    failed = 0
    for case in cases:
        ask = Ask("x", 0.0, "chat", "", "cascade", (Message("user", case.diff),), contract=contract.pinned)
        text = contract.mend(Exchange(ask), Reply("", "", "stop", None, 0.0)) or ""
        found = contract.check(ask, Reply(text, "", "stop", None, 0.0))
        failed += any(finding.severity == "fail" for finding in found)
    print(f"\nanswers by code alone that fail the contract's own checks: {failed} of {len(cases)}")


def report_time(cases: Sequence[Case], kilobytes: int, number: int, seed: int) -> None:
    """Processor time of one thread, each part after the one before it, on diffs of one size."""
    rng = random.Random(seed)
    spent: dict[str, list[float]] = {"read and gather": [], "facts": [], "salience": [], "account whole": []}
    for _ in range(number):
        text = ""
        while len(text) < kilobytes * 1024:
            text += rng.choice(cases).diff.rstrip("\n") + "\n"
        text = text[: kilobytes * 1024]
        parts: list[tuple[str, Callable[[], object]]] = [
            ("read and gather", lambda text=text: gather(text)),
            ("facts", lambda text=text: facts_of(text)),
            ("salience", lambda text=text: salient(read_diff(text), shown_facts(text), general())),
            ("account whole", lambda text=text: account_of(text)),
        ]
        for name, part in parts:
            started = time.thread_time()
            part()
            spent[name].append((time.thread_time() - started) * 1000)
    for name, all_of in spent.items():
        marks = ", ".join(f"p{mark} {percentile(sorted(all_of), mark / 100):.1f}" for mark in (50, 90, 99))
        print(f"{name}, {kilobytes} kB, {number} diffs, processor ms: {marks}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--number", type=int, default=100, help="of each repository")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    wanted = [case for case in read_labelled(options.commits, "") if (case.repository in HELD_OUT) != options.tuned]
    cases = with_rivals(drawn(wanted, options.number, options.seed), options.seed)
    report_identified(cases, options.seed)
    report_own_checks(cases)
    for kilobytes in (8, 32):
        report_time(wanted, kilobytes, 200, options.seed)


if __name__ == "__main__":
    main()
