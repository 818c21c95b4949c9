"""Early escalation, on and off, with repair switched off: the same commits through fronts that share two engines.

    python early.py commits.jsonl.zst --number 60 --delay-ms 150 --out run

Each commit goes through the arms in random order, one request at a time: `late`, `again` (the same front once more, so
that its ratio to `late` says what noise is) and `early`.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from engines import asked, both, chosen, mean, options, ratio, share, shown, used, write
from measure import UNMENDED, settings, unmended
from tqdm import tqdm

from firstpass.bench.cases import Case
from firstpass.bench.score import score_of
from firstpass.contract import shipped
from firstpass.front import beside
from firstpass.settings import Settings

ARMS = {"late": "off", "again": "off", "early": "on"}
MEASURES = {
    "latency p50": share("seconds", 0.5),
    "latency p90": share("seconds", 0.9),
    "latency mean": mean("seconds"),
    "verifier tokens in": mean("verifier_in"),
    "verifier tokens out": mean("verifier_out"),
    "draft tokens out": mean("draft_out"),
    "contract pass": mean("passed"),
}


def front(folder: Path, name: str, drafter: str, far: str, *, early: bool) -> Settings:
    return settings(
        folder / name,
        engine={"kind": "external", "url": drafter},
        server={"contracts_dir": unmended(folder / f"{name}-contracts")},
        verifier={"url": far, "model": "firstpass-verify-30m", "hosted": False},
        policy={"early_escalation": early},
    )


def row(arm: str, case: Case, client: httpx.Client) -> dict[str, Any]:
    seconds, answer = asked(client, case, UNMENDED)
    steps, text = answer["firstpass"]["steps"], answer["choices"][0]["message"]["content"]
    return {
        "arm": arm,
        "commit": case.commit,
        "seconds": seconds,
        "cut": steps[0]["finish_reason"] == "escalated",
        "asked": any(step["tier"] == "verifier" for step in steps),
        "verifier_in": used(steps, "verifier", "prompt"),
        "verifier_out": used(steps, "verifier", "completion"),
        "draft_out": used(steps, "draft", "completion"),
        "passed": score_of(case, text, shipped("pr-summary").files.form).passed,
        "route": answer["firstpass"]["route"],
    }


def table(rows: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    late = rows["late"]
    lines = ["| | late | early | early / late | again / late |", "|---|---|---|---|---|"]
    for name, measure in MEASURES.items():
        figures = [measure(late), measure(rows["early"])]
        ratios = [shown(ratio(rows[arm], late, measure)) for arm in ("early", "again")]
        lines.append(f"| {' | '.join([name, *(f'{figure:.3f}' for figure in figures), *ratios])} |")
    return "\n".join(lines)


def main() -> None:
    wanted = options(__doc__, 60)
    cases = chosen(wanted.commits, wanted.number, wanted.seed)
    rng = random.Random(wanted.seed)
    rows: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    with (
        both(wanted.delay_ms) as (folder, drafter, far),
        beside(front(folder, "off", drafter, far, early=False)) as off,
        beside(front(folder, "on", drafter, far, early=True)) as on,
        httpx.Client(base_url=off) as late,
        httpx.Client(base_url=on) as early,
    ):
        clients = {"off": late, "on": early}
        for case in tqdm(cases):
            for arm in rng.sample(list(ARMS), len(ARMS)):
                rows[arm].append(row(arm, case, clients[ARMS[arm]]))
    write(wanted.out, "early.json", rows)
    cut = [place for place, one in enumerate(rows["early"]) if one["cut"]]
    sent = sum(one["asked"] for one in rows["late"])
    print(f"{len(cases)} commits, {sent} asked the verifier when late, {len(cut)} were cut off\n\n{table(rows)}")
    if cut:
        print(
            f"\nthose that were cut off\n\n{table({arm: [held[place] for place in cut] for arm, held in rows.items()})}"
        )


if __name__ == "__main__":
    main()
