"""A verifier's score against its verdict, on the same drafts: tokens, latency, and what each tells of right and wrong.

    python score.py commits.jsonl.zst --number 120 --delay-ms 150 --out run

The draft model drafts each commit; nothing is mended. Then the verifier is asked for a score and for a verdict, in
random order, one request at a time, with what the contract would ask. Right is a draft by the labels, all or nothing.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engines import both, chosen, interval, mean, options, ratio, share, shown, write
from measure import STRONGER, delayed
from tqdm import tqdm

from firstpass.bench.cases import Case
from firstpass.bench.score import score_of
from firstpass.chat import Message
from firstpass.contract import PromptedContract, shipped
from firstpass.egress import EgressDoor
from firstpass.errors import BadVerdict, FirstpassError
from firstpass.exchange import Ask, Consult, Exchange, Receipt, Reply, Step
from firstpass.gate.score import auroc
from firstpass.tier.openai_http import OpenAITier

DRAFTER = "firstpass-draft-10m"
DRAFT = Consult("draft", "draft", measured=True)
DEFAULT_FLOOR = -4.0
FLOORS = (-1.0, -2.0, -3.0, -4.0, -6.0, -8.0)
ASKED = {"score": Consult("verifier", "score", floor=0.0), "verdict": Consult("verifier", "verify")}
MEASURES = {
    "tokens in": mean("in"),
    "tokens out": mean("out"),
    "tokens": mean("tokens"),
    "latency p50, s": share("seconds", 0.5),
    "latency p90, s": share("seconds", 0.9),
}


class Silent:
    """A listener that wants whole replies and nothing else."""

    streaming = watching = False

    def sent(self, receipt: Receipt) -> None:
        raise AssertionError("nothing leaves the machine")

    def instead(self, field: str, value: str) -> None:
        raise AssertionError("a contract asks for nothing that is refused")

    def goes_on(self, text: str) -> bool:
        return True

    async def chunk(self, data: bytes) -> None:
        raise AssertionError("nothing streams")


async def unrecorded(exchange_id: str, receipt: Receipt) -> Receipt:
    raise AssertionError("nothing leaves the machine")


def door(url: str, model: str) -> EgressDoor:
    return EgressDoor(url, model, None, hosted=False, reply_seconds=600, record=unrecorded)


async def drafted(contract: PromptedContract, case: Case, drafter: OpenAITier) -> Exchange:
    """With one step, the draft; raises what asking for it raises."""
    ask = Ask(case.commit, 0.0, "chat", "firstpass", "cascade", (Message("user", case.diff),), contract=contract.pinned)
    exchange = Exchange(ask)
    reply = await drafter.reply(contract.prepare(exchange, DRAFT), Silent())
    return exchange.grown(Step(DRAFT, reply, findings=contract.check(ask, reply), signals=contract.signals(ask, reply)))


def used(reply: Reply) -> dict[str, Any]:
    assert reply.usage is not None, "vLLM counts"
    tokens_in, tokens_out = reply.usage.prompt_tokens, reply.usage.completion_tokens
    return {"in": tokens_in, "out": tokens_out, "tokens": tokens_in + tokens_out, "seconds": reply.seconds}


async def row(
    contract: PromptedContract, case: Case, drafter: OpenAITier, stronger: OpenAITier, rng: random.Random
) -> dict[str, Any]:
    exchange = await drafted(contract, case, drafter)
    (step,) = exchange.steps
    text = step.text or ""
    found: dict[str, Any] = {"commit": case.commit, "own": step.signals.get("least_name"), "passes": step.passed}
    found["right"] = score_of(case, text, contract.files.form).passed
    for name in rng.sample(list(ASKED), len(ASKED)):
        move = ASKED[name]
        reply = await stronger.reply(contract.prepare(exchange, move), Silent())
        found[name] = used(reply)
        if name == "score":
            values = [one.value for one in contract.doubts(replace(reply, text=text.strip()), 0.0)]
            found["least"] = min((value for value in values if value is not None), default=None)
        else:
            try:
                found["ok"] = contract.read(exchange, move, reply) == text.strip()
            except BadVerdict:
                found["ok"] = None
    return found


async def measured(cases: Sequence[Case], near: str, far: str, seed: int) -> list[dict[str, Any]]:
    contract, rng, rows = shipped("pr-summary"), random.Random(seed), []
    doors = door(near, DRAFTER), door(far, STRONGER)
    drafter, stronger = (OpenAITier("verifier", one) for one in doors)
    for case in tqdm(cases):
        try:
            rows.append(await row(contract, case, drafter, stronger, rng))
        except FirstpassError as error:
            tqdm.write(f"{case.repository} {case.commit}: {error}")
    for one in doors:
        await one.aclose()
    return rows


def in_turn(row: dict[str, Any], floor: float) -> dict[str, Any]:
    """What mode = "score" costs: the score, and the verdict as well where a name is doubted."""
    if row["least"] is not None and row["least"] >= floor:
        return dict(row["score"])
    return {name: value + row["verdict"][name] for name, value in row["score"].items()}


def separation(rows: Sequence[dict[str, Any]], signal: str) -> float:
    value = auroc([one[signal] for one in rows], [one["right"] for one in rows])
    return float("nan") if value is None else value


def told(rows: Sequence[dict[str, Any]]) -> str:
    """AUROC of both models' least name, on the drafts that have one, and their difference."""
    named = [one for one in rows if one["least"] is not None and one["own"] is not None]
    figures = {
        "the verifier's least name": lambda drawn: separation(drawn, "least"),
        "the draft model's own": lambda drawn: separation(drawn, "own"),
        "the first less the second": lambda drawn: separation(drawn, "least") - separation(drawn, "own"),
    }
    lines = [
        f"{len(named)} drafts with a name, {sum(one['right'] for one in named)} right",
        "",
        "| | AUROC |",
        "|---|---|",
    ]
    for name, figure in figures.items():
        drawn = interval(lambda places, figure=figure: figure([named[place] for place in places]), len(named))
        lines.append(f"| {name} | {shown(drawn)} |")
    return "\n".join(lines)


def accepted(rows: Sequence[dict[str, Any]]) -> str:
    """Of the drafts that pass the checks: which each would take for verified."""
    passing = [one for one in rows if one["passes"]]
    wrong = sum(not one["right"] for one in passing)
    kept = {
        f"score, floor {floor:g}": [(one["least"] or 0) >= floor and one["least"] is not None for one in passing]
        for floor in FLOORS
    }
    kept["verdict ok"] = [one["ok"] is True for one in passing]
    lines = [
        f"{len(passing)} drafts pass the checks, {wrong} of them wrong",
        "",
        "| | accepted | of them wrong |",
        "|---|---|---|",
    ]
    for name, keeps in kept.items():
        taken = [one for one, keep in zip(passing, keeps, strict=True) if keep]
        lines.append(f"| {name} | {len(taken)} | {sum(not one['right'] for one in taken)} |")
    return "\n".join(lines)


def costs(rows: Sequence[dict[str, Any]]) -> str:
    scores, verdicts = [one["score"] for one in rows], [one["verdict"] for one in rows]
    turns = [in_turn(one, DEFAULT_FLOOR) for one in rows]
    lines = ["| | score | verdict | score / verdict | score, then verdict / verdict |", "|---|---|---|---|---|"]
    for name, measure in MEASURES.items():
        ratios = (shown(ratio(arm, verdicts, measure)) for arm in (scores, turns))
        lines.append(f"| {' | '.join([name, f'{measure(scores):.3f}', f'{measure(verdicts):.3f}', *ratios])} |")
    return "\n".join(lines)


def main() -> None:
    wanted = options(__doc__, 120)
    cases = chosen(wanted.commits, wanted.number, wanted.seed)
    with both(wanted.delay_ms) as (_, socket, far), delayed(socket, 0.0) as near:
        rows = asyncio.run(measured(cases, f"{near}/v1", far, wanted.seed))
    write(wanted.out, "score.json", rows)
    passing = [one for one in rows if one["passes"]]
    rejects = sum(one["ok"] is None for one in rows)
    print(f"{len(rows)} drafts, {rejects} verdicts were none\n\nall drafts\n\n{costs(rows)}")
    print(f"\nthose that pass the checks\n\n{costs(passing)}\n\n{accepted(rows)}\n\nall drafts: {told(rows)}")


if __name__ == "__main__":
    main()
