"""An experiment over two versions of a contract beside `eval` of both, on the same commits, in one run.

    python benchmarks/suites/experiment/measure.py COMMITS.jsonl.zst --commits 200

A server with the bundled model splits requests for pr-summary between two versions. Each commit is asked three times,
in random order: for each version by its name, which is in no experiment, and for pr-summary without a version, which is
in one arm. The labels of those are what the commit's known truth says. It prints what `eval` says of each version, what
`firstpass experiment` says of each arm, and how many answers of an arm are the ones that its version gave when it was
asked by name.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from firstpass.bench.cases import Case
from firstpass.bench.figures import figures_of
from firstpass.bench.runner import Arm, Bench, Outcome
from firstpass.bench.score import score_of
from firstpass.bench.trials import figures_of as arm_figures_of
from firstpass.bench.trials import trial_of
from firstpass.cli.eval import cases_of, own_server
from firstpass.contract import Shelf
from firstpass.exchange import Exchange
from firstpass.settings import Settings
from firstpass.store.sqlite import SqliteStore

NAME, CONTRACT = "versions", "pr-summary"
OLD, NEW = f"{CONTRACT}@3", f"{CONTRACT}@4"
ARMS = {"old": {"share": 0.5, "contract": OLD}, "new": {"share": 0.5, "contract": NEW}}
VERSIONS = {"old": OLD, "new": NEW}
PASS, P50 = "pass", "p50_ms"


async def asked(url: str, cases: Sequence[Case], seed: int, folder: Path) -> dict[str, list[Outcome]]:
    """By version, and `split`: the outcomes in the cases' order. folder: of the server's data."""
    shelf = Shelf.of(None)
    wanted = [(version, pinned, shelf.find(pinned).form) for version, pinned in VERSIONS.items()]
    wanted.append(("split", CONTRACT, shelf.find(CONTRACT).form))
    found: dict[str, dict[int, Outcome]] = {name: {} for name, _, _ in wanted}
    todo = [(number, *one) for number in range(len(cases)) for one in wanted]
    random.Random(seed).shuffle(todo)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for number, name, contract, form in todo:
            bench = Bench(client, contract, form, {}, {})
            found[name][number] = await bench.ask(Arm(name, "firstpass"), number, cases[number])
        arms = {exchange.ask.id: exchange.ask.arm or "" for exchange, _ in recorded(folder)}
        for number, outcome in found["split"].items():
            form = shelf.find(VERSIONS[arms[outcome.exchange or ""]]).form  # That of the version which answered.
            outcome = replace(outcome, score=score_of(cases[number], outcome.text, form))
            found["split"][number] = outcome
            body = {"verdict": "accept" if outcome.score.passed else "reject", "source": "eval"}
            (await client.post(f"/v1/exchanges/{outcome.exchange}/label", json=body)).raise_for_status()
    return {name: [one[number] for number in range(len(cases))] for name, one in found.items()}


def recorded(folder: Path) -> list[tuple[Exchange, Any]]:
    store = SqliteStore(folder / "firstpass.sqlite")
    found = [(one, store.labels(one.ask.id)) for one in store.of_experiment(NAME, 0.0) if isinstance(one, Exchange)]
    store.close()
    return found


def by_eval(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """pass: by known truth. checked: by the server's own checks."""
    those = [cases[outcome.case] for outcome in outcomes]
    renumbered = [replace(outcome, case=number) for number, outcome in enumerate(outcomes)]
    [figures] = figures_of(those, renumbered, None, outcomes[0].arm).arms.values()
    checked = sum(outcome.checked for outcome in outcomes) / len(outcomes)
    told = {name: [figures[name].value, figures[name].low, figures[name].high] for name in (PASS, P50)}
    return {"commits": len(outcomes), **told, "checked": checked, "escalated": figures["escalations"].value}


def by_record(found: Sequence[tuple[Exchange, Any]]) -> dict[str, Any]:
    arms = arm_figures_of(trial_of(exchange, labels, lambda *_: None) for exchange, labels in found)
    names = {PASS: "right", "checked": "passed", P50: "p50_ms", "escalated": "escalated"}
    return {
        arm: {"commits": one.requests}
        | {
            name: [(figure := one.measured[measure].figure).value, figure.low, figure.high]  # type: ignore[index]
            for name, measure in names.items()
        }
        for arm, one in sorted(arms.items())
    }


def measured(sources: list[Path], commits: int, seed: int) -> dict[str, Any]:
    cases, _ = cases_of(sources, [], commits, 8_000, seed)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        experiments = {NAME: {"contracts": [CONTRACT], "arms": ARMS}}
        settings = Settings.model_validate({"server": {"data_dir": folder}, "experiments": experiments})
        with own_server(settings) as url:
            outcomes = asyncio.run(asked(url, cases, seed, folder))
        found = recorded(folder)
    arm_of = {exchange.ask.id: exchange.ask.arm or "" for exchange, _ in found}
    same = [outcomes[arm_of[one.exchange or ""]][one.case].text == one.text for one in outcomes["split"]]
    halves = {
        f"eval of {version}, on the commits of that arm": by_eval(
            cases, [outcomes[version][one.case] for one in outcomes["split"] if arm_of[one.exchange or ""] == version]
        )
        for version in VERSIONS
    }
    return {
        "eval, all commits": {version: by_eval(cases, outcomes[version]) for version in VERSIONS},
        **halves,
        "experiment": by_record(found),
        "answers alike": [sum(same), len(same)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--commits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    print(json.dumps(measured(wanted.sources, wanted.commits, wanted.seed), indent=2))


if __name__ == "__main__":
    main()
