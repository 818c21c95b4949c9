"""A replay for people and machines: lines, a table, Markdown, JSON. Compares and counts nothing itself."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from firstpass.bench.figures import Price
from firstpass.exchange import Finding
from firstpass.replay.answer import Answered
from firstpass.replay.compare import Edit
from firstpass.replay.steady import IN_ENGINES
from firstpass.replay.totals import Arm, Outcome, Skipped, Totals, cost, totals
from firstpass.replay.wording import Piece, bracketed, trimmed

FORMAT = 1
SHOWN_CHARACTERS = 400
"""Of one item that came or went."""

_TICKS = re.compile(r"`+")


@dataclass(frozen=True, slots=True)
class Report:
    """All that is said. facts: of the run as a whole, by name. against: what answers are held to, in words.

    cut_short: there was more to ask.
    """

    arms: Sequence[Arm]
    outcomes: Sequence[Outcome]
    skipped: Sequence[Skipped] = ()
    price: Price | None = None
    against: str = "the record"
    cut_short: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_arm(self) -> dict[str, Totals]:
        """Of the arms that were held against anything."""
        own = {arm.name: [one for one in self.outcomes if one.arm == arm.name] for arm in self.arms}
        return {name: totals(outcomes, self.price) for name, outcomes in own.items() if outcomes}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what changed: what it is about, and its text in pieces."""

    about: str
    pieces: Sequence[Piece]


def headline(outcome: Outcome) -> str:
    """The one word for what became of an answer."""
    if outcome.after.error:
        return "no answer" if not outcome.change.same else "same, no answer"
    if outcome.change.same:
        return "same" if outcome.steady else "unsteady"
    return outcome.change.verdict if outcome.change.verdict in ("better", "worse") else "changed"


def lines(outcome: Outcome, price: Price | None) -> Iterator[Line]:
    """What changed, the weightiest first; of an answer that is the same each time, nothing."""
    if not outcome.change.same:
        yield from _changed(outcome, price)
    elif outcome.steady:
        return
    if outcome.repeats > 1:
        worse = f"; worse than before: {outcome.worse}" if outcome.worse else ""
        yield Line("repeats", [Piece("same", f"{outcome.alike} of {outcome.repeats} answers are this one{worse}")])
    yield from (Line("mind", [Piece("same", doubt)]) for doubt in (*outcome.sent, *outcome.doubts, *outcome.lost_told))


def _changed(outcome: Outcome, price: Price | None) -> Iterator[Line]:
    old, new, changed = outcome.before, outcome.after, outcome.change
    yield from _pair("answer", _ending(old), _ending(new))
    yield from _pair("checks failed", *(str(len(one.failed)) for one in (old, new) if one.checked and not one.error))
    yield from (Line("finding", [Piece("gone", _told(one))]) for one in changed.went)
    yield from (Line("finding", [Piece("new", _told(one))]) for one in changed.came)
    for edit in changed.edits:
        yield Line(edit.where, _pieces(edit))
    if not (old.error or new.error):
        yield from _pair("finish", str(old.finish_reason), str(new.finish_reason))
        yield from _pair("contract", str(old.contract), str(new.contract))
        yield from _pair("model", str(old.model), str(new.model))
        yield Line("used", [Piece("same", _used(old, new, price))])


def _pair(about: str, *values: str) -> Iterator[Line]:
    if len(values) == 2 and values[0] != values[1]:
        yield Line(about, [Piece("gone", values[0]), Piece("same", " "), Piece("new", values[1])])


def _ending(answer: Answered) -> str:
    if answer.error:
        return f"{answer.error}: {answer.said}" if answer.said else answer.error
    return answer.route or "?"


def _told(finding: Finding) -> str:
    where = f", {finding.section}" if finding.section else ""
    return f"{finding.severity} {finding.check}{where}: {finding.message}"


def _pieces(edit: Edit) -> list[Piece]:
    match edit.kind:
        case "added":
            return [Piece("new", _short(edit.after))]
        case "removed":
            return [Piece("gone", _short(edit.before))]
        case "moved":
            return [Piece("same", f"in another order: {_short(edit.after)}")]
        case _:
            return trimmed(edit.pieces)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _used(old: Answered, new: Answered, price: Price | None) -> str:
    tokens = f"{_tokens(old.tokens)} -> {_tokens(new.tokens)} tokens"
    verifiers = ""
    if old.verifier_tokens or new.verifier_tokens:
        both = (_tokens(one.verifier_tokens or (0, 0)) for one in (old, new))
        verifiers = f" (verifier {' -> '.join(both)})"
    paid = " -> ".join(_usd(cost(one.verifier_tokens, price)) for one in (old, new)) if price and verifiers else ""
    return f"{tokens}{verifiers}, {_seconds(old.seconds)} -> {_seconds(new.seconds)} s{f', {paid}' if paid else ''}"


def _tokens(tokens: tuple[int, int]) -> str:
    return f"{tokens[0]:,}+{tokens[1]:,}"


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"${amount:.4f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def table(report: Report) -> list[list[str]]:
    """The first row is the head: an arm a column."""
    by_arm = report.by_arm
    rows = {name: [value for _, value in _rows(one)] for name, one in by_arm.items()}
    if not rows:
        return [["", "nothing was asked again"]]
    labels = [label for label, _ in _rows(next(iter(by_arm.values())))]
    body = [[label, *(rows[name][at] for name in rows)] for at, label in enumerate(labels)]
    return [["", *rows], *(row for row in body if any(cell for cell in row[1:]))]


def _rows(one: Totals) -> Iterator[tuple[str, str]]:
    yield "asked again", str(one.pairs)
    yield "same", _of(one.same, one.pairs)
    yield "changed", _of(one.changed, one.pairs)
    yield "better", _of(one.better, one.checked) if one.checked else ""
    yield "worse", _of(one.worse, one.checked) if one.checked else ""
    yield "worse in a repeat", _of(one.worse_once, one.pairs) if one.repeats > 1 else ""
    yield "no answer now", str(one.errors or "")
    yield f"all {one.repeats} repeats alike", _of(one.steady, one.pairs) if one.repeats > 1 else ""
    yield "tokens read", _both(one.tokens_before[0], one.tokens_after[0])
    yield "tokens written", _both(one.tokens_before[1], one.tokens_after[1])
    verified = any((*one.verifier_tokens_before, *one.verifier_tokens_after))
    yield "of these the verifier's", _both(sum(one.verifier_tokens_before), sum(one.verifier_tokens_after)) * verified
    yield (
        "the verifier's cost",
        f"{_usd(one.usd_before)} -> {_usd(one.usd_after)}" if one.usd_before is not None else "",
    )
    yield "p50 of seconds", f"{_seconds(one.p50_seconds_before)} -> {_seconds(one.p50_seconds_after)}"


def _of(number: int, every: int) -> str:
    return f"{number} of {every}"


def _both(before: int, after: int) -> str:
    return f"{before:,} -> {after:,}"


def sentences(report: Report) -> Iterator[str]:
    """What the table can not say."""
    for name, one in report.by_arm.items():
        if one.better or one.worse:
            even = "by chance alone as uneven, or more so, with probability"
            yield f"{name}: {one.better} better and {one.worse} worse of {one.checked} pairs; {even} {one.chance:.2g}"
    if left := sum(bool(one.after.receipts) for one in report.outcomes):
        yield f"{_of(left, len(report.outcomes))}: something left the machine on the way; `firstpass audit list` has it"
    for said, number in Counter(_every_doubt(report.outcomes)).items():
        yield f"{_of(number, len(report.outcomes))}: {said}"
    if any((not one.change.same or not one.steady) and not one.after.error for one in report.outcomes):
        yield f"besides, {IN_ENGINES}"
    if report.cut_short:
        yield "stopped before all was asked"


def _every_doubt(outcomes: Iterable[Outcome]) -> Iterator[str]:
    for one in outcomes:
        yield from (*one.sent, *one.doubts, *one.lost_told)


def left_out(skipped: Iterable[Skipped]) -> list[str]:
    """By reason, with the first ids."""
    by_why: dict[str, list[str]] = {}
    for one in skipped:
        arm = f" in {one.arm}" if one.arm else ""
        by_why.setdefault(f"{one.why}", []).append(f"{one.exchange}{arm}")
    return [f"not asked again: {len(names)}, {why} ({_few(names)})" for why, names in by_why.items()]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def as_markdown(report: Report) -> str:
    head, *body = table(report)
    told = [f"# Replay against {report.against}", "", _made(report), "", _row(head), _row(["---"] * len(head))]
    told += [_row(row) for row in body]
    told += ["", *(f"- {_plain(sentence)}" for sentence in (*sentences(report), *left_out(report.skipped)))]
    for outcome in report.outcomes:
        if outcome.change.same and outcome.steady:
            continue
        told += ["", f"## {_plain(headline(outcome))}: {_plain(outcome.exchange)} ({_plain(outcome.arm)})", ""]
        told += [_plain(outcome.title), ""]
        told += [f"- {_plain(line.about)}: {_code(bracketed(line.pieces))}" for line in lines(outcome, report.price)]
    return "\n".join((*told, ""))


def _made(report: Report) -> str:
    arms = "; ".join(f"{arm.name}: {arm.told}" for arm in report.arms)
    made = report.facts.get("made_unix")
    when = f" {datetime.fromtimestamp(made, UTC):%Y-%m-%d %H:%M} UTC." if made else ""
    return _plain(f"Arms: {arms}.{when}")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """On one line, without what Markdown or a page would take for more than words."""
    line = " ".join(text.split())
    for sign in "\\`*_[]<>|#":
        line = line.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return line


def _code(text: str) -> str:
    """What a model wrote, as it is, between more backticks than it has in a row; its line ends are shown."""
    line = text.replace("\r", "\\r").replace("\n", "\\n")
    fence = "`" * (max(map(len, _TICKS.findall(line)), default=0) + 1)
    return f"{fence} {line} {fence}"


def as_json(report: Report) -> str:
    body = {
        "format": FORMAT,
        **report.facts,
        "against": report.against,
        "cut_short": report.cut_short,
        "prices_usd_per_million_tokens": asdict(report.price) if report.price else None,
        "arms": {arm.name: asdict(arm) for arm in report.arms},
        "totals": {name: _counted(one) for name, one in report.by_arm.items()},
        "outcomes": [line_of(one, report.price) for one in report.outcomes],
        "not_asked": [asdict(one) for one in report.skipped],
        "sentences": list(sentences(report)),
    }
    return _line(json.dumps(body, indent=2, ensure_ascii=False))


def _line(text: str) -> str:
    """Half of a UTF-16 pair is written as JSON says it: no file and no terminal could take it."""
    return f"{text.encode(errors='backslashreplace').decode()}\n"


def _counted(one: Totals) -> dict[str, Any]:
    return asdict(one) | {"changed": one.changed}


def line_of(outcome: Outcome, price: Price | None) -> dict[str, Any]:
    """One of outcomes.jsonl."""
    fields = asdict(outcome)
    change = fields.pop("change")
    for edit in change["edits"]:
        del edit["pieces"]
    costs = {"usd_before": cost(outcome.before.verifier_tokens, price)}
    costs["usd_after"] = cost(outcome.after.verifier_tokens, price)
    return fields | {"result": headline(outcome), "change": change} | (costs if price else {})


def lines_of_outcomes(report: Report) -> str:
    asked = [line_of(one, report.price) for one in report.outcomes]
    skipped = [asdict(one) | {"result": "not asked"} for one in report.skipped]
    return "".join(_line(json.dumps(one, ensure_ascii=False)) for one in (*asked, *skipped))
