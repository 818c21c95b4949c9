"""Commits drawn at random, each with its author's subject and what two versions of a contract say of it, as Markdown.

    firstpass serve &
    python side_by_side.py commits.jsonl.zst --number 30 --seed 20261128 > side-by-side.md

Drawn from the repositories that nothing was fitted on, and none is left out. Knows the server by its API alone.
"""

import argparse
import random
from pathlib import Path

import httpx
from measure import HELD_OUT

from firstpass.bench.cases import Case, read_labelled
from firstpass.contract import shipped


def asked(client: httpx.Client, contract: str, case: Case) -> tuple[str, str]:
    """(the answer's text, its route)"""
    body = {
        "model": "firstpass",
        "messages": [{"role": "user", "content": case.diff}],
        "temperature": 0,
        "firstpass": {"contract": contract, "store": False},
    }
    answer = client.post("/v1/chat/completions", json=body).raise_for_status().json()
    return answer["choices"][0]["message"]["content"], answer["firstpass"]["route"]


def shown(client: httpx.Client, case: Case, number: int) -> str:
    lines = [f"### {number}. {case.repository} {case.commit[:10]}", "", f"- author: {case.subject}"]
    for contract in ("pr-summary@3", "pr-summary@4"):
        text, route = asked(client, contract, case)
        parts = shipped(contract).files.form.read(text)
        lines.append(f"- @{contract[-1]} ({route}): {' '.join(parts['Summary'])}")
        rest = ("Actions",) if contract.endswith("3") else ("Changes", "Review")
        for section in rest:
            lines += [f"    - {section.lower()}: {item}" for item in parts[section]]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--number", type=int, default=30)
    parser.add_argument("--seed", type=int, default=20261128)
    options = parser.parse_args()
    cases = [case for case in read_labelled(options.commits, "") if case.repository in HELD_OUT]
    drawn = random.Random(options.seed).sample(cases, options.number)
    with httpx.Client(base_url=options.url, timeout=300) as client:
        for number, case in enumerate(drawn, start=1):
            print(shown(client, case, number), end="\n\n")


if __name__ == "__main__":
    main()
