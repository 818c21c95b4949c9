"""`firstpass bench`: how fast servers answer under a load, side by side. Asks them as a client does."""

import asyncio
import json
import math
import os
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress

from firstpass import catalogue
from firstpass.bench.figures import Figure
from firstpass.bench.load import report
from firstpass.bench.load.arrivals import Pace
from firstpass.bench.load.figures import COMPARED, Ratio, Slo, figures, ratios, student, warnings
from firstpass.bench.load.page import as_html
from firstpass.bench.load.recorded import lines
from firstpass.bench.load.report import Report
from firstpass.bench.load.request import Api, Target
from firstpass.bench.load.roofline import bandwidth, roofline
from firstpass.bench.load.run import Load, run
from firstpass.bench.load.workload import read_workload, written
from firstpass.cli.eval import machine
from firstpass.cli.keys import opened, seconds_of
from firstpass.cli.terminal import AsJson, Config, err, fail, out, print_rows, write_files
from firstpass.errors import BadLabels, TierFailed
from firstpass.settings import load as load_settings
from firstpass.store import Damaged

A_A = "again"
LEAST_LINES, MOST_LINES = 2, 100_000
"""Of a workload with times, that is made of the record."""

NOT_MET, IN_THE_WAY = 1, 3
"""Exit statuses: a requirement is not met; something speaks against the figures, with --strict."""

_ARM = re.compile(r"(?P<name>[\w-]{1,40})=(?P<url>https?://[^\s#]+?)/*(?:#(?P<model>\S+))?")
_REQUIREMENT = re.compile(
    r"(?:(?P<arm>[\w-]+):)?(?P<name>[a-z_0-9]+(?:\.p\d\d)?)(?P<sign>[<>])(?P<value>\d+(?:\.\d+)?)"
)


def _finite(value: float | None) -> float | None:
    """No least value of an option keeps infinity away."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number")
    return value


Arms = Annotated[
    list[str], typer.Option("--arm", help="NAME=URL or NAME=URL#MODEL; repeatable, others are compared with the first.")
]
Model = Annotated[str, typer.Option(help="What arms without a model of their own are asked for.")]
Speaks = Annotated[Api, typer.Option(help="What the arms speak.")]
Key = Annotated[str | None, typer.Option(envvar="FIRSTPASS_API_KEY", show_envvar=True)]
Rate = Annotated[
    float | None,
    typer.Option(help="Requests a second, whatever was answered: an open loop.", min=0.001, callback=_finite),
]
AtOnce = Annotated[
    int | None,
    typer.Option(help="Callers who ask again as soon as they are answered: a closed loop. By default one.", min=1),
]
Requests = Annotated[int, typer.Option(help="Of each arm in each round.", min=1)]
Rounds = Annotated[int, typer.Option(help="The more of them, the narrower the intervals.", min=1)]
WarmUp = Annotated[int, typer.Option(help="Requests of each arm beforehand, which count for nothing.", min=1)]
Twice = Annotated[bool, typer.Option("--a-a", help="The first arm stands twice: what the method itself makes up.")]
SloFirst = Annotated[
    float | None, typer.Option(help="For goodput: the most to the first token.", min=0, callback=_finite)
]
SloToken = Annotated[
    float | None, typer.Option(help="For goodput: the most for a token after it.", min=0, callback=_finite)
]
Requirements = Annotated[
    list[str] | None, typer.Option(help="As 'ttft_ms.p99<500' or 'new:tokens_per_s>20'; status 1 where one is not met.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Status 3 where something speaks against the figures.")]
Out = Annotated[Path | None, typer.Option("--out", help="By default bench-TIME.", file_okay=False)]
OfCard = Annotated[
    str | None, typer.Option(help="Of the model that the arms serve on this machine: how near they come to its memory.")
]
Results = Annotated[Path, typer.Argument(help="results.json of a run, or its folder.", exists=True)]
Lines = Annotated[
    Path | None,
    typer.Option("--workload", help="A file of requests to ask in the place of made-up words.", dir_okay=False),
]
Speed = Annotated[float, typer.Option(help="How many times as fast its own times are replayed.", min=0.001)]
Fresh = Annotated[bool, typer.Option("--fresh", help="A first line of its own for each prompt: no cache knows it.")]

bench = typer.Typer(no_args_is_help=True, help="Latency and throughput of servers under a load, side by side.")


@bench.command("run")
def run_command(
    arm: Arms,
    model: Model = "local",
    api: Speaks = "openai",
    api_key: Key = None,
    rate: Rate = None,
    pace: Annotated[Pace, typer.Option(help="Of an open loop.")] = "poisson",
    at_once: AtOnce = None,
    workload: Lines = None,
    speed: Speed = 1.0,
    fresh: Fresh = False,
    requests: Requests = 20,
    rounds: Rounds = 10,
    words: Annotated[int, typer.Option(help="Of a prompt.", min=1)] = 100,
    tokens: Annotated[int, typer.Option(help="Of an answer, at most.", min=1)] = 64,
    warm_up: WarmUp = 2,
    a_a: Twice = False,
    slo_ttft_ms: SloFirst = None,
    slo_tpot_ms: SloToken = None,
    require: Requirements = None,
    strict: Strict = False,
    out_dir: Out = None,
    card: OfCard = None,
    seed: Annotated[int, typer.Option(help="Of prompts, arrivals and orders.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Put the same load on every arm, in blocks that take turns, and compare them round by round.

    Writes results.json, requests.csv, report.md and report.html.
    """
    targets = _targets(arm, model, api, api_key, a_a=a_a)
    slo = Slo(slo_ttft_ms, slo_tpot_ms)
    wanted = [_requirement(text, targets, slo) for text in require or ()]
    shown = None if card is None else catalogue.named(card)
    asked = None if workload is None else read_workload(workload)
    load = Load(requests, rounds, words, tokens, rate, pace, at_once or 1, warm_up, asked, speed, fresh)
    _refuse(load, at_once)
    folder = out_dir or Path(datetime.now(UTC).strftime("bench-%Y%m%d-%H%M%S"))
    folder.mkdir(parents=True, exist_ok=True)
    with Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("asking", total=len(targets) * (requests * rounds + warm_up))
        ran = asyncio.run(run(targets, load, seed, lambda: bar.advance(task)))
    if all(timed.error for block in ran.blocks for timed in block.requests):
        raise TierFailed(f"no request was answered: {ran.blocks[0].requests[0].error}")
    found = figures(ran, slo)
    facts = {"made_unix": time.time(), "version": version("firstpass"), "machine": machine()}
    roofs = {}
    if shown is not None:
        read = bandwidth()
        roofs = {target.name: roofline(shown, ran, target.name, read) for target in targets}
    done = Report(facts, ran, slo, found, ratios(ran, slo), list(warnings(ran, found)), roofs)
    _write(done, folder)
    _print(done, folder, as_json=as_json)
    broken = [one for one in wanted if not one.met(found)]
    for one in broken:
        err.print(f"[red]not met:[/] {escape(one.said(found))}")
    if broken:
        raise typer.Exit(NOT_MET)
    if strict and done.warnings:
        raise typer.Exit(IN_THE_WAY)


def _refuse(load: Load, at_once: int | None) -> None:
    """What would else be left out without a word. Raises: BadLabels."""
    if load.replayed and load.rate is not None:
        raise BadLabels("--rate: the workload has times of its own; without at_s in its lines it has none")
    if load.is_open and at_once is not None:
        raise BadLabels("--at-once: of an open loop nobody knows how many ask at once")
    if load.speed != 1 and not load.replayed:
        raise BadLabels("--speed: there are no times to replay; the lines of a workload have at_s for that")
    if load.fresh and load.workload is None:
        raise BadLabels("--fresh: made-up words are new in any case; it is for a workload")


@bench.command("record")
def record_command(
    to: Annotated[Path, typer.Option(help="The file of requests to write; it has their words.", dir_okay=False)],
    last: Annotated[str | None, typer.Option(help="Only those of the last 1h, 30m, 7d.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest.", min=1, max=MOST_LINES)] = 1000,
    config: Config = None,
) -> None:
    """Make a workload of the recorded exchanges, for `bench run --workload`; needs no server.

    Left out is what the record has no words of, what was no chat, and shadows of experiments.
    """
    since = 0.0 if last is None else time.time() - seconds_of(last)
    with opened(load_settings(config)) as store:
        newest = store.latest(limit)
    exchanges = [one for one in reversed(newest) if isinstance(one, Damaged) or one.ask.received_unix >= since]
    found, left_out = lines(exchanges)
    for why, number in left_out.items():
        err.print(f"left out: {number}, {escape(why)}")
    if len(found) < LEAST_LINES:
        fail(f"the record has {len(found)} such requests; at least {LEAST_LINES} are needed")
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(written(found))
    err.print(f"{len(found)} requests of {found[-1].at_s or 0:.0f} s written to {escape(str(to))}")


@bench.command("compare")
def compare_command(
    before: Results,
    after: Results,
    arm: Annotated[str | None, typer.Option(help="Of both runs; by default the first of each.")] = None,
    slower: Annotated[
        float, typer.Option(help="How many times as long a latency may be.", min=1, callback=_finite)
    ] = 1.0,
) -> None:
    """Compare two runs that were made at different times, which is less sure than two arms of one run.

    Status 1 where a latency of the second is longer, or its throughput lower, and the interval leaves no doubt; or
    where more of its requests failed.
    """
    (was, old), (is_, new) = (_rounds_of(path, arm) for path in (before, after))
    for name in was.keys() | is_.keys():
        if was.get(name) != is_.get(name):
            err.print(f"[bold red]not the same load: {escape(f'{name} was {was.get(name)} and is {is_.get(name)}')}[/]")
    worse = _lost(old, new)
    for name in COMPARED:
        one = Ratio("after", "before", name, _unpaired([row.get(name) for row in new], [row.get(name) for row in old]))
        out.print(escape(report.sentence(one)))
        higher_is_better = name == "tokens_per_s"
        worse |= one.figure.high < 1 / slower if higher_is_better else one.figure.low > slower
    if worse:
        raise typer.Exit(NOT_MET)


@dataclass(frozen=True, slots=True)
class Requirement:
    """arm: of the run; name: of a figure; at_most: or at least."""

    text: str
    arm: str
    name: str
    value: float
    at_most: bool

    def met(self, found: Mapping[str, Mapping[str, Figure]]) -> bool:
        """Not where there is no such figure."""
        value = self._found(found)
        return value < self.value if self.at_most else value > self.value

    def said(self, found: Mapping[str, Mapping[str, Figure]]) -> str:
        value = self._found(found)
        return f"{self.text}: {'no answer has it' if math.isnan(value) else f'it is {value:.4g}'}"

    def _found(self, found: Mapping[str, Mapping[str, Figure]]) -> float:
        figure = found[self.arm].get(self.name)
        return math.nan if figure is None else figure.value


def _targets(arms: Sequence[str], model: str, api: Api, key: str | None, *, a_a: bool) -> list[Target]:
    """Raises: BadLabels."""
    found: list[Target] = []
    for text in arms:
        match = _ARM.fullmatch(text)
        if match is None:
            raise BadLabels(f"--arm {text!r}: must be NAME=URL or NAME=URL#MODEL")
        url = match["url"].removesuffix("/v1")
        found.append(Target(match["name"], url, match["model"] or model, api, key))
    if a_a:
        found.insert(1, Target(A_A, found[0].url, found[0].model, api, key))
    names = [target.name for target in found]
    if len(set(names)) < len(names):
        raise BadLabels(f"--arm {next(name for name in names if names.count(name) > 1)}: given twice")
    return found


def _requirement(text: str, targets: Sequence[Target], slo: Slo) -> Requirement:
    """Raises: BadLabels."""
    match = _REQUIREMENT.fullmatch(text.replace(" ", ""))
    if match is None or match["name"] not in report.FIGURES:
        raise BadLabels(f"--require {text!r}: must be as ttft_ms.p99<500; figures are {', '.join(report.FIGURES)}")
    if match["name"].startswith("goodput") and not slo.asked:
        raise BadLabels(f"--require {text!r}: goodput is of --slo-ttft-ms or --slo-tpot-ms, and neither is given")
    arm = match["arm"] or targets[0].name
    if arm not in {target.name for target in targets}:
        raise BadLabels(f"--require {text!r}: there is no arm {arm!r}")
    return Requirement(text, arm, match["name"], float(match["value"]), match["sign"] == "<")


def _rounds_of(path: Path, arm: str | None) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """(The load, an arm's figures of every round). Raises: BadLabels."""
    path = path / "results.json" if path.is_dir() else path
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != report.FORMAT:
            raise BadLabels(f"{path}: its format is {told['format']}, and this firstpass reads {report.FORMAT}")
        arms = told["arms"]
        name = arm or next(iter(arms))
        if name not in arms:
            raise BadLabels(f"--arm {name!r}: {path} has only {', '.join(arms)}")
        rounds = [{figure: float(value) for figure, value in row.items()} for row in arms[name]["rounds"]]
        if any(not 0 <= value < math.inf for row in rounds for value in row.values()):
            raise ValueError("a figure is no number from 0 up")
        return dict(told["load"]), rounds
    except (OSError, ValueError, LookupError, StopIteration, TypeError, AttributeError, RecursionError) as error:
        raise BadLabels(f"{path} is no result of firstpass bench run: {error}") from error


def _lost(old: Sequence[Mapping[str, float]], new: Sequence[Mapping[str, float]]) -> bool:
    """Whether more requests failed; said, since those that fail have no latency that could be longer."""
    was, is_ = (statistics.fmean(row.get("errors", 0.0) for row in rows) if rows else 0.0 for rows in (old, new))
    if is_ > was:
        err.print(f"[bold red]{is_:.1%} of the requests failed after, {was:.1%} before[/]")
    return is_ > was


def _unpaired(new: Sequence[float | None], old: Sequence[float | None]) -> Figure:
    """Of the means of the logarithms, with Welch's interval, for which the fewer rounds count."""
    logs = [[math.log(one) for one in side if one] for side in (new, old)]
    if any(len(side) < 2 for side in logs):
        return Figure(math.nan, math.nan, math.nan)
    mean = statistics.fmean(logs[0]) - statistics.fmean(logs[1])
    error = math.sqrt(sum(statistics.variance(side) / len(side) for side in logs))
    reach = student(min(map(len, logs)) - 1) * error
    return Figure(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach))


def _write(done: Report, folder: Path) -> None:
    written = {
        "results.json": report.as_json(done),
        "requests.csv": report.as_csv(done),
        "report.md": report.as_markdown(done),
        "report.html": as_html(done),
    }
    write_files(folder, written)


def _print(done: Report, folder: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.as_json(done), nl=False)
    else:
        print_rows(report.table(done))
        for sentence in done.sentences:
            out.print(escape(sentence))
    for warning in done.warnings:
        err.print(f"[bold red]{escape(warning)}[/]")
    err.print(f"written to {escape(str(folder))}")
