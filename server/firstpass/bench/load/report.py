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
from firstpass.bench.load.figures import LATENCIES, LEAST_ROUNDS, SHARES, Measured, Ratio, Wanted
from firstpass.bench.load.made import Made
from firstpass.bench.load.roofline import Roofline
from firstpass.bench.load.run import Load, Ran, warming

FORMAT = 1
NAMES: Mapping[str, str] = {
    "ttft_ms": "to the first token, ms",
    "tpot_ms": "a token after it, ms",
    "itl_ms": "between two tokens, ms",
    "piece_ms": "between two pieces, ms",
    "e2e_ms": "whole answer, ms",
    "ttft_from_sent_ms": "to the first token from the actual send, ms",
    "queue_ms": "sent too late by this client, ms",
    "draft_ttft_ms": "to the draft's first token, as the server says, ms",
    "checks_ms": "checks by code, as the server says, ms",
    "requests_per_s": "answers a second",
    "tokens_per_s": "tokens a second",
    "goodput": "requests within the SLO",
    "goodput_per_s": "of them a second",
    "escalations": "asked the verifier",
    "accepted": "answers that passed the checks",
    "verifier_tokens_per_accepted": "verifier's tokens for one of them",
    "usd_per_1000_accepted": "verifier's cost of 1,000 of them, $",
    "errors": "requests that failed",
}
WARM = {"ttft_ms.p50": "to the first token", "e2e_ms.p50": "for a whole answer"}
"""What is said of a warm-up."""

FIGURES = (
    *(f"{latency}.{share}" for latency in LATENCIES for share in SHARES),
    *(name for name in NAMES if name not in LATENCIES),
)
FIELDS = (
    *("arm", "round", "intended_s", "sent_s", "ttft_ms", "tpot_ms", "e2e_ms", "tokens_in", "tokens_out"),
    *("draft_ttft_ms", "checks_ms", "escalated", "accepted", "verifier_tokens", "error"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """facts: of the run as a whole, by name. roofs: by arm, where it serves a model with a card on this machine.

    starts: by arm, the seconds that its engine took, where the run started it.
    """

    facts: Mapping[str, Any]
    ran: Ran
    wanted: Wanted
    measured: Measured
    warnings: Sequence[str]
    roofs: Mapping[str, Roofline] = field(default_factory=dict)
    starts: Mapping[str, float] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """Each comparison and each roofline."""
        token_ms = {arm: found.get("tpot_ms.p50") for arm, found in self.measured.arms.items()}
        roofs = (roofline.sentence(arm, one, token_ms[arm]) for arm, one in self.roofs.items())
        return [*map(sentence, self.measured.ratios), *roofs]


def table(done: Report) -> list[list[str]]:
    """The head and a row a figure."""
    arms = [target.name for target in done.ran.targets]
    rows = [["", *arms]]
    for name in FIGURES:
        found = [done.measured.arms[arm].get(name) for arm in arms]
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
        "slo": asdict(done.wanted.slo),
        "prices_usd_per_million_tokens": asdict(done.wanted.price) if done.wanted.price else None,
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
                "figures": {name: _plain(one) for name, one in done.measured.arms[target.name].items()},
                "warm_up": done.measured.warm.get(target.name),
                "roofline": asdict(done.roofs[target.name]) if target.name in done.roofs else None,
                "rounds": done.measured.rounds[target.name],
            }
            for target in ran.targets
        },
        "ratios": [
            {"arm": one.arm, "other": one.other, "name": one.name, **_plain(one.figure), "real": one.real}
            for one in done.measured.ratios
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
            lines.writerow(
                [
                    block.arm,
                    block.round,
                    f"{one.intended - begin:.6f}",
                    f"{one.sent - begin:.6f}",
                    _ms(one.first_seconds),
                    _ms(one.token_seconds),
                    _ms(one.whole_seconds),
                    one.tokens_in,
                    one.tokens_out,
                    *_made(one.made),
                    one.error or "",
                ]
            )
    return told.getvalue()


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.3f}"


def _made(made: Made | None) -> list[object]:
    if made is None:
        return [""] * 5
    accepted = "" if made.accepted is None else int(made.accepted)
    tokens = made.tokens_in + made.tokens_out
    return [_ms(made.draft_first_seconds), _ms(made.checks_seconds), int(made.escalated), accepted, tokens]


def as_markdown(done: Report) -> str:
    head, *body = table(done)
    lines = [f"# {heading(done)}", "", *(f"**{warning}**\n" for warning in done.warnings)]
    lines += ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
    lines += ["", *(f"- {one}" for one in done.sentences), "", *(f"- {note}" for note in notes(done))]
    return "\n".join(lines) + "\n"


def _warm(arm: str, found: Mapping[str, float]) -> str:
    """The cold beside the steady."""
    times = [f"{found[name]:.1f} ms {said}" for name, said in WARM.items() if name in found]
    return f"{arm} in its warm-up, medians: {' and '.join(times) or 'no answer'}."


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
    few = f"; of fewer than {LEAST_ROUNDS} rounds there is none" if rounds < LEAST_ROUNDS else ""
    yield f"Intervals are 95%: of an arm by a bootstrap over rounds{few}, of a ratio Student's over their logarithms."
    yield (
        "The time between two tokens is that between two pieces, shared among a piece's tokens; how long a reader saw "
        "nothing new is the time between two pieces."
    )
    yield f"{_asked(load)}; seed {done.ran.seed}."
    for arm, seconds in done.starts.items():
        yield f"The engine of {arm} was started for this and had answered its first request after {seconds:.1f} s."
    if len(done.starts) > 1:
        yield "Engines that were started for this stayed loaded together; those that were not asked had nothing to do."
    number = warming(load).requests
    yield f"Of each arm the first {number} requests were a warm-up under the same load, and count for nothing."
    yield from (_warm(arm, found) for arm, found in done.measured.warm.items())
    if any("escalations" in found for found in done.measured.arms.values()):
        yield (
            "What became of drafts is as a Firstpass server says with each answer; accepted is what its checks found no"
            " fault in, and a plain answer is not checked."
        )
    limits = {"to the first token": done.wanted.slo.ttft_ms, "for a token after it": done.wanted.slo.tpot_ms}
    if done.wanted.slo.asked:
        slo = ", ".join(f"{most:g} ms {name}" for name, most in limits.items() if most is not None)
        yield f"The SLO: {slo}; a request that failed is not within it."
    others = done.ran.other_cores
    known = "" if others is None else f"; others used {others:.2f}"
    yield f"The client used {done.ran.client_cores:.2f} cores of {done.facts['machine']}{known}."
