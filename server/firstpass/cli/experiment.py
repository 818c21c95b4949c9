"""`firstpass experiment`: an experiment's arms side by side, from the record; needs no server."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from firstpass.assembly import prices
from firstpass.bench.report import ROWS as NAMES
from firstpass.bench.report import shown
from firstpass.bench.trials import ArmFigures, Difference, Measure, Trial, differences, figures_of, trial_of
from firstpass.chat import Usage
from firstpass.cli.keys import opened
from firstpass.cli.terminal import AsJson, Config, err, fail, out, plain, print_table, table
from firstpass.exchange import Exchange
from firstpass.settings import Settings, load
from firstpass.store import Damaged, Store

DAY_SECONDS = 86_400
ROWS: Mapping[Measure, tuple[str, str]] = {
    "right": ("right, by labels", "%"),
    "passed": ("passed the checks", "%"),
    "refused": NAMES["errors"],
    "escalated": NAMES["escalations"],
    "usd": NAMES["cost_usd"],
    "p50_ms": NAMES["p50_ms"],
    "p90_ms": NAMES["p90_ms"],
    "p99_ms": NAMES["p99_ms"],
}
"""In the table's order: what a figure is called, and its unit."""


def experiment(
    name: Annotated[str, typer.Argument(help="As it is called in the settings.")],
    days: Annotated[float | None, typer.Option(help="Only requests of the last days.", min=0)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare the arms of an experiment by what the record has of them: labels, checks, latency, cost.

    Percentages have 95% intervals. A difference is called real where it is so however often one looks, as long as what
    is looked at begins at the same time.
    """
    settings = load(config)
    since = 0.0 if days is None else time.time() - days * DAY_SECONDS
    with opened(settings) as store:
        read = Read(store, settings)
        trials = list(read.trials(name, since))
        if not trials:
            there = ", ".join(store.experiments()) or "none"
            when = "" if days is None else f" of the last {days:g} days"
            fail(f"the record has no request{when} of an experiment {name!r}; those that it has are: {there}")
    arms = _in_order(figures_of(trials), settings, name)
    against = next(iter(arms))
    found = differences(arms, against)
    if as_json:
        typer.echo(json.dumps(_plain(name, arms, found, read), allow_nan=False))
        return
    _print(arms, found)
    for note in read.notes():
        err.print(escape(note))


class Read:
    """What was read of the record. damaged: ids. ran_under: digests of settings."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._prices = {name: prices(one) for name, one in settings.ordered_verifiers.items()}
        self.damaged: list[str] = []
        self.ran_under: set[str | None] = set()
        self._units: dict[str, str] = {}

    def trials(self, name: str, since_unix: float) -> Iterator[Trial]:
        for exchange in self._store.of_experiment(name, since_unix):
            if isinstance(exchange, Damaged):
                self.damaged.append(exchange.id)
            else:
                yield self._trial(exchange)

    def _trial(self, exchange: Exchange) -> Trial:
        self.ran_under.add(exchange.ask.settings)
        ask = exchange.ask
        before = self._units.get(ask.previous) if ask.previous else None
        trial = trial_of(exchange, self._store.labels(ask.id), self._cost, before)
        self._units[ask.id] = trial.unit
        return trial

    def _cost(self, verifier: str | None, usage: Usage) -> float | None:
        found = self._prices.get(verifier or "")
        return found.of(usage) if found else None

    def notes(self) -> Iterator[str]:
        if self.damaged:
            yield f"{len(self.damaged)} exchanges are damaged and left out: {', '.join(self.damaged[:5])}"
        if len(self.ran_under) > 1:
            yield f"it ran under {len(self.ran_under)} settings (firstpass history --settings): an arm may have changed"


def _in_order(arms: Mapping[str, ArmFigures], settings: Settings, name: str) -> dict[str, ArmFigures]:
    """As the settings have them, the first of which the others are compared with; then what is in the record alone."""
    wanted = settings.experiments[name].arms if name in settings.experiments else {}
    return {arm: arms[arm] for arm in (*(arm for arm in wanted if arm in arms), *sorted(arms.keys() - wanted.keys()))}


def _print(arms: Mapping[str, ArmFigures], found: Iterable[Difference]) -> None:
    rows = table("", *arms)
    rows.add_row("requests", *(str(arm.requests) for arm in arms.values()))
    rows.add_row("sessions, and requests without one", *(str(arm.units) for arm in arms.values()))
    rows.add_row("labelled", *(str(arm.labelled) for arm in arms.values()))
    for measure, (name, unit) in ROWS.items():
        cells = [arm.measured.get(measure) for arm in arms.values()]
        if any(cells):
            rows.add_row(name, *(shown(cell.figure if cell else None, unit) for cell in cells))
    print_table(rows)
    for difference in found:
        out.print(escape(plain(sentence(difference))))


def sentence(one: Difference) -> str:
    """What a difference is, and whether it is one."""
    name, unit = ROWS[one.measure]
    scale, word = {"%": (100.0, "points"), "$": (1000.0, "dollars"), "ms": (1.0, "ms")}[unit]
    verdict = {True: "real", False: "not told apart", None: "too few to tell"}[one.real]
    value, low, high = (scale * number for number in (one.figure.value, one.figure.low, one.figure.high))
    digits = 2 if unit == "$" else 1
    sure = f"{low:+.{digits}f} to {high:+.{digits}f}"
    return f"{one.arm} less {one.other}, {name}: {value:+.{digits}f} {word} ({sure}): {verdict}."


def _plain(name: str, arms: Mapping[str, ArmFigures], found: Iterable[Difference], read: Read) -> dict[str, object]:
    return {
        "experiment": name,
        "arms": {
            arm: {
                "requests": one.requests,
                "units": one.units,
                "labelled": one.labelled,
                **{measure: asdict(measured.figure) for measure, measured in one.measured.items()},
            }
            for arm, one in arms.items()
        },
        "differences": [
            {"arm": one.arm, "other": one.other, "measure": one.measure, **asdict(one.figure), "real": one.real}
            for one in found
        ],
        "damaged": read.damaged,
        "settings": len(read.ran_under),
    }
