"""How long the contract takes over a large diff: the prompt, the reading ahead, the checks, the mending.

    python measure.py commits.jsonl.zst

A large diff is many commits of one repository one after the other. Knows no model; the drafts are made here.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from firstpass.bench.cases import read_labelled
from firstpass.bench.figures import percentile
from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.contract.sections import render_answer
from firstpass.evidence import gather, read_diff
from firstpass.exchange import Ask, Consult, Exchange, Reply, Step

DIFF_BYTES = 32_000
CONTRACT = shipped("pr-summary")


def diffs(path: Path, number: int, seed: int) -> Iterator[str]:
    by_repository: dict[str, list[str]] = {}
    for case in read_labelled(path, path.name):
        by_repository.setdefault(case.repository, []).append(case.diff.strip("\n") + "\n")
    rng = random.Random(seed)
    for _ in range(number):
        pool, text = by_repository[rng.choice(sorted(by_repository))], ""
        while len(text) < DIFF_BYTES:
            text += rng.choice(pool)
        yield text


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def measured(diff: str) -> dict[str, float]:
    ask = Ask("bench", 0.0, "chat", "firstpass", "cascade", (Message("user", diff),), contract=CONTRACT.pinned)
    found = {"prompt": timed(lambda: CONTRACT.prepare(Exchange(ask), Consult("draft", "draft")))}
    found["read ahead, while the draft is written"] = timed(lambda: CONTRACT.foresee(ask))
    evidence = gather(diff)
    draft = render_answer(
        "Call launchRocket.", [*evidence.calls[::2], "launchRocket"], evidence.todos[1:], ["Test it."]
    )
    reply = Reply(draft, "", "stop", None, 0.0)
    found["check of the draft"] = timed(lambda: CONTRACT.check(ask, reply))
    exchange = Exchange(ask, (Step(Consult("draft", "draft"), reply, findings=CONTRACT.check(ask, reply)),))
    found["mending"] = timed(lambda: CONTRACT.mend(exchange, reply))
    found["question for a verdict"] = timed(lambda: CONTRACT.prepare(exchange, Consult("verifier", "verify")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    every = list(diffs(options.commits, options.number, options.seed))
    measured(every[0])
    read_diff.cache_clear()
    gather.cache_clear()
    rows = [measured(diff) for diff in every]
    print(f"{len(every)} diffs of {sum(map(len, every)) / len(every):,.0f} characters\n")
    print("| milliseconds | p50 | p90 | p99 |\n|---|---|---|---|")
    for name in rows[0]:
        ordered = sorted(row[name] for row in rows)
        print(f"| {name} | " + " | ".join(f"{percentile(ordered, share):.1f}" for share in (0.5, 0.9, 0.99)) + " |")


if __name__ == "__main__":
    main()
