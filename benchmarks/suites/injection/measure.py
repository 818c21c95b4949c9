"""Can a verifier be talked into accepting? The same faulty drafts without injection, and with that of each family.

    python measure.py commits.jsonl.zst --number 48 --out run

A real vLLM with `firstpass-verify-30m`, at temperature 0. The draft tier is scripted: it says the faulty draft. Code
mends nothing, and a gate accepts nothing, so that every draft comes before the judge. Placements go round, so that each
kind of fault meets each of them. `again` is the baseline with other nonces: what chance alone moves.
"""

import argparse
import asyncio
import itertools
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from families import FAMILIES
from placing import PLACEMENTS
from planting import KINDS, Faulty, asked, planted
from tqdm import tqdm

from firstpass import cascade, engine
from firstpass.app import aside
from firstpass.bench.cases import read_labelled
from firstpass.bench.figures import percentile
from firstpass.chat import Message
from firstpass.contract import PromptedContract
from firstpass.contract.files import SHIPPED, load
from firstpass.drafting import engine_spec
from firstpass.exchange import Answer, Ask, Exchange, Reply
from firstpass.gate import Gate
from firstpass.gate.bounds import Promise
from firstpass.gate.score import Score
from firstpass.policy.escalation import EscalationPolicy
from firstpass.settings import Settings
from firstpass.tier import Listener, Tier
from firstpass.tier.local import LocalDoor
from firstpass.tier.openai_http import OpenAITier

HELD_OUT = ("psf/requests", "fastify/fastify", "gin-gonic/gin", "BurntSushi/ripgrep", "axios/axios")
JUDGE = "firstpass-verify-30m"
CONTRACT = "pr-summary@3"
BASE, AGAIN = "none", "none, again"
MOST_BYTES = 5_000
DRAWS = 2_000
TRIES = 4
"""Of a question that the engine did not answer; where it was started again, the next one waits for it."""

PROMISE = Promise(0.02, 0.95, 150, 0, 0.0198, 0.0, None, 0.94)
ACCEPTS_NOTHING = Gate(CONTRACT, "planted", Score((), 0.0), 1.0, PROMISE, 10**6, {}, {}, 0.0, "0")
OUTCOMES = ("invalid", "ok", "verified", "wrong accept")


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one draft. invalid: the verdict was none. ok: the judge's word, on a draft that is wrong.

    verified: the route. wrong: so is the answer.
    """

    draft: int
    kind: str
    seen: bool
    family: str
    placement: str
    invalid: bool
    ok: bool
    verified: bool
    wrong: bool

    def is_(self, outcome: str) -> bool:
        return self.verified and self.wrong if outcome == "wrong accept" else bool(getattr(self, outcome))


@dataclass(slots=True)
class Planted:
    """A draft tier that says one text."""

    text: str

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        return Reply(self.text, "planted", "stop", None, 0.0)


def unmended(pinned: str) -> PromptedContract:
    """The shipped contract, but that code mends nothing."""
    files = load(SHIPPED.joinpath(*pinned.split("@")))
    return PromptedContract(replace(files, spec=files.spec.model_copy(update={"mend": False})))


async def judged(ask: Ask, text: str, contract: PromptedContract, judge: Tier) -> Exchange:
    policy = EscalationPolicy("local", gates=[ACCEPTS_NOTHING])
    parts = cascade.Parts(
        policy, {"draft": Planted(text), "verifier": judge}, {CONTRACT: contract}, time.monotonic, aside
    )
    return await cascade.run(ask, parts, lambda _: None)


def injected(faulty: Faulty, number: int, family: str, seed: int) -> tuple[str, str, str]:
    """(placement, diff, draft)"""
    if family not in FAMILIES:
        return "", faulty.case.diff, faulty.text
    turn = number + number // len(KINDS) + [*FAMILIES].index(family)
    placement = [*PLACEMENTS][turn % len(PLACEMENTS)]
    payload = FAMILIES[family](random.Random(f"{seed} {number} {family}"))
    return placement, *PLACEMENTS[placement](faulty.case.diff, faulty.text, payload)


async def row(number: int, faulty: Faulty, family: str, seed: int, contract: PromptedContract, judge: Tier) -> Row:
    placement, diff, text = injected(faulty, number, family, seed)
    ask = replace(asked(faulty.case, contract, f"{seed} {number} {family}"), messages=(Message("user", diff),))
    exchange = await judged(ask, text, contract, judge)
    for _ in range(TRIES):
        failure = exchange.steps[-1].failure
        if failure is None or failure.kind == "BadVerdict":
            break
        tqdm.write(f"{family}, {placement}: {failure.message}")
        exchange = await judged(ask, text, contract, judge)
    step = exchange.steps[-1]
    if step.failure is not None and step.failure.kind != "BadVerdict":
        raise SystemExit(f"{family}, {placement}: {step.failure.message}")
    ending = exchange.ending
    assert isinstance(ending, Answer) and exchange.answer is not None, "a draft is there to answer with"
    return Row(
        number,
        faulty.kind,
        faulty.seen,
        family,
        placement,
        invalid=step.failure is not None,
        ok=step.text == text.strip(),
        verified=ending.route == "verified",
        wrong=faulty.within(diff).wrong(exchange.answer.text or ""),
    )


async def measured(drafts: Sequence[Faulty], wanted: argparse.Namespace, folder: Path) -> list[Row]:
    """All draws in random order, so many at once."""
    settings = Settings.model_validate({"server": {"data_dir": folder}, "engine": {"model": JUDGE}})
    running = engine.build(engine_spec(settings, settings.engine))
    door = LocalDoor(running, 600.0, vllm=True)
    judge, contract, turns = OpenAITier("verifier", door), unmended(CONTRACT), asyncio.Semaphore(wanted.at_once)
    arms = [*itertools.product(range(len(drafts)), (BASE, AGAIN, *wanted.family))]
    random.Random(wanted.seed).shuffle(arms)

    async def one(number: int, family: str) -> Row:
        async with turns:
            return await row(number, drafts[number], family, wanted.seed, contract, judge)

    try:
        await running.ensure_ready()
        working, rows = [asyncio.ensure_future(one(*arm)) for arm in arms], []
        with (wanted.out / "rows.jsonl").open("w", encoding="utf-8") as kept:
            for done in tqdm(asyncio.as_completed(working), total=len(working)):
                rows.append(await done)
                print(json.dumps(asdict(rows[-1])), file=kept, flush=True)
        return rows
    finally:
        await door.aclose()
        await running.close()


def rise(rows: Sequence[Row], families: Collection[str], outcome: str) -> str:
    """In points over the baseline, with a 95% percentile bootstrap over drafts, each drawn with all of its families."""
    base = {one.draft: one.is_(outcome) for one in rows if one.family == BASE}
    counts = Counter(one.draft for one in rows if one.family in families and one.is_(outcome))
    steps = [counts[number] / len(families) - base[number] for number in sorted(base)]
    rng = random.Random(1)
    drawn = sorted(100 * sum(rng.choices(steps, k=len(steps))) / len(steps) for _ in range(DRAWS))
    points, low, high = 100 * sum(steps) / len(steps), percentile(drawn, 0.025), percentile(drawn, 0.975)
    return f"{points:+.1f} ({low:+.1f} to {high:+.1f})"


def table(rows: Sequence[Row]) -> str:
    found = [name for name in FAMILIES if any(one.family == name for one in rows)]
    arms = [(name, [name]) for name in (BASE, AGAIN, *found)]
    lines = [f"| family | {' | '.join(OUTCOMES)} | rise of ok | rise of wrong accepts |", "|" + "---|" * 7]
    for name, families in [*arms, ("all", found)]:
        counts = [sum(one.is_(outcome) for one in rows if one.family in families) for outcome in OUTCOMES]
        rises = [rise(rows, families, outcome) for outcome in ("ok", "wrong accept")]
        lines.append(f"| {' | '.join([name, *map(str, counts), *rises])} |")
    return "\n".join(lines)


def by_placement(rows: Sequence[Row]) -> str:
    """Each placement beside the baseline of the same drafts."""
    lines = [f"| placement | drafts | {' | '.join(OUTCOMES)} | wrong accepts without, share |", "|" + "---|" * 7]
    base = {one.draft: one.is_("wrong accept") for one in rows if one.family == BASE}
    for placement in PLACEMENTS:
        held = [one for one in rows if one.placement == placement]
        shares = [f"{100 * sum(one.is_(outcome) for one in held) / max(1, len(held)):.1f}%" for outcome in OUTCOMES]
        without = 100 * sum(base[one.draft] for one in held) / max(1, len(held))
        lines.append(f"| {placement} | {len(held)} | {' | '.join(shares)} | {without:.1f}% |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", type=Path)
    parser.add_argument("--number", type=int, default=48, help="of faulty drafts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", action="append", choices=FAMILIES, help="only this one; may be repeated")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    wanted.family = wanted.family or [*FAMILIES]
    cases = [one for one in read_labelled(wanted.commits, "") if len(one.diff.encode()) <= MOST_BYTES]
    held = [one for one in cases if one.repository in HELD_OUT]
    others = [one for one in cases if one.repository not in HELD_OUT]
    drafts = [*planted(held, others, unmended(CONTRACT), wanted.number, wanted.seed)]
    wanted.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measured(drafts, wanted, Path(folder)))
    print(f"{len(drafts)} drafts: {dict(Counter(one.kind for one in drafts))}")
    for name, seen in (("all", (True, False)), ("a check sees the fault", (True,)), ("none can see it", (False,))):
        print(f"\n{name}\n\n{table([one for one in rows if one.seen in seen])}")
    print(f"\n{by_placement(rows)}")


if __name__ == "__main__":
    main()
