"""A run of `firstpass bench` for machines and for people. Measures nothing."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from yarl import URL

from firstpass.bench.figures import Figure
from firstpass.bench.load import roofline
from firstpass.bench.load.figures import LATENCIES, SHARES, Ratio, Slo, values
from firstpass.bench.load.roofline import Roofline
from firstpass.bench.load.run import Load, Ran

FORMAT = 1
NAMES: Mapping[str, str] = {
    "ttft_ms": "to the first token, ms",
    "tpot_ms": "a token after it, ms",
    "itl_ms": "between two tokens, ms",
    "e2e_ms": "whole answer, ms",
    "ttft_from_sent_ms": "to the first token from the actual send, ms",
    "queue_ms": "sent too late by this client, ms",
    "requests_per_s": "answers a second",
    "tokens_per_s": "tokens a second",
    "goodput": "requests within the SLO",
    "goodput_per_s": "of them a second",
    "errors": "requests that failed",
}
FIGURES = (
    *(f"{latency}.{share}" for latency in LATENCIES for share in SHARES),
    *(name for name in NAMES if name not in LATENCIES),
)
FIELDS = ("arm", "round", "intended_s", "sent_s", "ttft_ms", "tpot_ms", "e2e_ms", "tokens_in", "tokens_out", "error")


@dataclass(frozen=True, slots=True)
class Report:
    """facts: of the run as a whole, by name. roofs: by arm, where it serves a model with a card on this machine.

    starts: by arm, the seconds that its engine took, where the run started it.
    """

    facts: Mapping[str, Any]
    ran: Ran
    slo: Slo
    figures: Mapping[str, Mapping[str, Figure]]
    ratios: Sequence[Ratio]
    warnings: Sequence[str]
    roofs: Mapping[str, Roofline] = field(default_factory=dict)
    starts: Mapping[str, float] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """Each comparison and each roofline."""
        roofs = (roofline.sentence(arm, one, self.figures[arm].get("tpot_ms.p50")) for arm, one in self.roofs.items())
        return [*map(sentence, self.ratios), *roofs]


def table(done: Report) -> list[list[str]]:
    """The head and a row a figure."""
    arms = [target.name for target in done.ran.targets]
    rows = [["", *arms]]
    for name in FIGURES:
        found = [done.figures[arm].get(name) for arm in arms]
        if any(found):
            rows.append([title(name), *(shown(one) for one in found)])
    return rows


def title(name: str) -> str:
    latency, _, share = name.partition(".")
    return f"{NAMES[latency]}{f', {share}' if share else ''}"


def shown(figure: Figure | None) -> str:
    """A value with its interval, where it has one."""
    if figure is None or math.isnan(figure.value):
        return "-"
    if math.isnan(figure.low):
        return _digits(figure.value)
    value, low, high = map(_digits, (figure.value, figure.low, figure.high))
    return f"{value} ({low}-{high})"


def _digits(value: float) -> str:
    """Three that count."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def sentence(one: Ratio) -> str:
    """What one arm has of another's, and whether that is one difference."""
    figure = one.figure
    if math.isnan(figure.value):
        return f"{one.arm} and {one.other}, {title(one.name)}: a round has no value."
    verdict = "a difference" if one.real else "not told apart"
    sure = f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
    return f"{one.arm}, {title(one.name)}: {sure} of {one.other}'s: {verdict}."


def as_json(done: Report) -> str:
    """rounds: every figure of every block, so that runs can be compared later."""
    ran = done.ran
    told = {
        "format": FORMAT,
        **done.facts,
        "load": ran.load.told,
        "slo": asdict(done.slo),
        "seed": ran.seed,
        "cut_short": ran.cut_short,
        "client_cores": ran.client_cores,
        "other_cores": ran.other_cores,
        "arms": {
            target.name: {
                "url": None if target.uds else str(URL(target.url).with_user(None)),  # Without a password.
                "start_seconds": done.starts.get(target.name),
                "model": target.model,
                "api": target.api,
                "figures": {name: _plain(one) for name, one in done.figures[target.name].items()},
                "warm_up_ms": [
                    timed.whole_seconds * 1000
                    for block in ran.warm
                    if block.arm == target.name
                    for timed in block.requests
                ],
                "roofline": asdict(done.roofs[target.name]) if target.name in done.roofs else None,
                "rounds": [values([block], done.slo) for block in ran.of(target.name)],
            }
            for target in ran.targets
        },
        "ratios": [
            {"arm": one.arm, "other": one.other, "name": one.name, **_plain(one.figure), "real": one.real}
            for one in done.ratios
        ],
        "warnings": list(done.warnings),
    }
    return json.dumps(told, indent=1, allow_nan=False) + "\n"


def _plain(figure: Figure) -> dict[str, float | None]:
    return {name: value if math.isfinite(value := getattr(figure, name)) else None for name in ("value", "low", "high")}


def as_csv(done: Report) -> str:
    """A line for each request. Times from the beginning of the first block."""
    told = io.StringIO()
    lines = csv.writer(told)
    lines.writerow(FIELDS)
    begin = min(timed.intended for block in done.ran.blocks for timed in block.requests)
    for block in done.ran.blocks:
        for one in block.requests:
            first, token = one.first_seconds, one.token_seconds
            lines.writerow(
                [
                    block.arm,
                    block.round,
                    f"{one.intended - begin:.6f}",
                    f"{one.sent - begin:.6f}",
                    "" if first is None else f"{first * 1000:.3f}",
                    "" if token is None else f"{token * 1000:.3f}",
                    f"{one.whole_seconds * 1000:.3f}",
                    one.tokens_in,
                    one.tokens_out,
                    one.error or "",
                ]
            )
    return told.getvalue()


def as_markdown(done: Report) -> str:
    head, *body = table(done)
    lines = [f"# {heading(done)}", "", *(f"**{warning}**\n" for warning in done.warnings)]
    lines += ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
    lines += ["", *(f"- {one}" for one in done.sentences), "", *(f"- {note}" for note in notes(done))]
    return "\n".join(lines) + "\n"


def _loop(load: Load) -> str:
    if load.replayed:
        return f"at the workload's own times, {load.speed:g} times as fast"
    if load.rate is not None:
        return f"{load.rate:g} requests a second ({load.pace})"
    return f"{load.at_once} callers who ask again at once"


def _asked(load: Load) -> str:
    if load.workload is None:
        return f"Prompts of {load.words} made-up words, answers of at most {load.tokens} tokens"
    where = f"Lines of {load.workload.name} ({len(load.workload.lines)}, sha256 {load.workload.digest}...), in order"
    if load.fresh:
        return f"{where}; each prompt with a first line of its own, so that no cache knows it"
    return f"{where} and the same in every arm; what a server remembers of one, its cache may have ready"


def heading(done: Report) -> str:
    return f"{' and '.join(target.name for target in done.ran.targets)} under load"


def notes(done: Report) -> Iterator[str]:
    """How it was measured."""
    load = done.ran.load
    rounds = len({block.round for block in done.ran.blocks})
    yield (
        f"{rounds} rounds; in each, every arm has a block of {load.requests} requests, in random order; {_loop(load)}."
    )
    yield "Latency counts from the moment at which a request was to be sent; tokens are those of the server's usage."
    yield "Intervals are 95%: of an arm by a bootstrap over rounds, of a ratio Student's over their logarithms."
    yield f"{_asked(load)}; seed {done.ran.seed}."
    for arm, seconds in done.starts.items():
        yield f"The engine of {arm} was started for this and had answered its first request after {seconds:.1f} s."
    if len(done.starts) > 1:
        yield "Engines that were started for this stayed loaded together; those that were not asked had nothing to do."
    yield f"Of each arm the first {load.warm_up} requests were a warm-up and count for nothing."
    limits = {"to the first token": done.slo.ttft_ms, "for a token after it": done.slo.tpot_ms}
    if done.slo.asked:
        slo = ", ".join(f"{most:g} ms {name}" for name, most in limits.items() if most is not None)
        yield f"The SLO: {slo}; a request that failed is not within it."
    others = done.ran.other_cores
    known = "" if others is None else f"; others used {others:.2f}"
    yield f"The client used {done.ran.client_cores:.2f} cores of {done.facts['machine']}{known}."
