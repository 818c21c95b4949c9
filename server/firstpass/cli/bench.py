"""`firstpass bench`: how fast servers answer under a load, side by side. Asks them as a client does."""

import asyncio
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from firstpass import catalogue
from firstpass.bench.load import compare, report
from firstpass.bench.load.arrivals import Pace
from firstpass.bench.load.doubts import warnings
from firstpass.bench.load.engines import Starts, running
from firstpass.bench.load.figures import Slo, Wanted, measured
from firstpass.bench.load.page import as_html
from firstpass.bench.load.recorded import lines
from firstpass.bench.load.report import Report
from firstpass.bench.load.request import Api, Target
from firstpass.bench.load.require import faults, requirement
from firstpass.bench.load.roofline import roofline
from firstpass.bench.load.run import Load, Ran, run, warming
from firstpass.bench.load.workload import read_workload, written
from firstpass.catalogue import Card
from firstpass.cli.eval import PriceIn, PriceOut, machine, price_of
from firstpass.cli.keys import opened, seconds_of
from firstpass.cli.terminal import AsJson, Config, err, fail, out, print_rows, write_files
from firstpass.drafting import engine_spec
from firstpass.errors import BadLabels, TierFailed
from firstpass.plan.rates import where_models_are
from firstpass.settings import EngineSettings
from firstpass.settings import load as load_settings
from firstpass.store import Damaged

A_A = "again"
LEAST_LINES, MOST_LINES = 2, 100_000
"""Of a workload with times, that is made of the record."""

NOT_MET, IN_THE_WAY, INTERRUPTED = 1, 3, 130
"""Exit statuses: a requirement is not met; something speaks against the figures, with --strict; Ctrl-C."""

NEVER_SECONDS = 1e9
"""Between two canaries of an engine: they would be in the way."""

_ARM = re.compile(
    r"(?P<name>[\w-]{1,40})=(?:(?P<url>https?://[^\s#]+?)/*(?:#(?P<model>\S+))?"
    r"|(?P<kind>vllm|llama\.cpp|transformers):(?P<where>\S.*))"
)
ARM_FORMS = (
    "NAME=URL, NAME=URL#MODEL, or of an engine to start NAME=vllm:MODEL, NAME=llama.cpp:FILE, NAME=transformers:DIR"
)


def _finite(value: float | None) -> float | None:
    """No least value of an option keeps infinity away."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number")
    return value


Arms = Annotated[list[str], typer.Option("--arm", help=f"{ARM_FORMS}; repeatable, others are compared with the first.")]
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
WarmUp = Annotated[
    int, typer.Option(help="Requests of each arm beforehand, at least one a caller; they count for nothing.", min=1)
]
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
Speed = Annotated[
    float, typer.Option(help="How many times as fast its own times are replayed.", min=0.001, callback=_finite)
]
Temperature = Annotated[
    float | None, typer.Option(help="Of every request; else what its line or the server says.", min=0, callback=_finite)
]
IgnoreEos = Annotated[
    bool, typer.Option("--ignore-eos", help="Answers as long as they may be: vLLM and llama.cpp take that.")
]
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
    temperature: Temperature = None,
    ignore_eos: IgnoreEos = False,
    requests: Requests = 20,
    rounds: Rounds = 10,
    words: Annotated[int, typer.Option(help="Of a prompt.", min=1)] = 100,
    tokens: Annotated[int, typer.Option(help="Of an answer, at most.", min=1)] = 64,
    warm_up: WarmUp = 2,
    a_a: Twice = False,
    slo_ttft_ms: SloFirst = None,
    slo_tpot_ms: SloToken = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    require: Requirements = None,
    strict: Strict = False,
    out_dir: Out = None,
    card: OfCard = None,
    seed: Annotated[int, typer.Option(help="Of prompts, arrivals and orders.")] = 1,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put the same load on every arm, in blocks that take turns, and compare them round by round.

    Writes results.json, requests.csv, report.md and report.html.
    """
    folder = out_dir or Path(datetime.now(UTC).strftime("bench-%Y%m%d-%H%M%S"))
    arms = _arms(arm, model, api, api_key, config)
    names = _names(arms, a_a=a_a)
    slo = Slo(slo_ttft_ms, slo_tpot_ms)
    required = [requirement(text, names, slo) for text in require or ()]
    wanted = Wanted(slo, price_of(price_in, price_out))
    shown = None if card is None else catalogue.named(card)
    asked = None if workload is None else read_workload(workload)
    said = ({} if temperature is None else {"temperature": temperature}) | ({"ignore_eos": True} if ignore_eos else {})
    load = Load(requests, rounds, words, tokens, rate, pace, at_once or 1, warm_up, asked, speed, fresh, said)
    _refuse(load, at_once, arms)
    try:
        with _kept_where_written(folder):
            ran, seconds = asyncio.run(_measured(arms, load, seed, a_a=a_a))
            if all(timed.error for block in ran.blocks for timed in block.requests):
                raise TierFailed(f"no request was answered: {ran.blocks[0].requests[0].error}")
            done = _report(ran, wanted, shown, seconds)
            _write(done, folder)
    except KeyboardInterrupt:
        err.print("stopped before a round was whole: nothing is written")
        raise typer.Exit(INTERRUPTED) from None
    _print(done, folder, as_json=as_json)
    broken = faults(required, done.measured.arms)
    for one in broken:
        err.print(f"[red]not met:[/] {escape(one)}")
    if ran.cut_short:
        raise typer.Exit(INTERRUPTED)
    if broken:
        raise typer.Exit(NOT_MET)
    if strict and done.warnings:
        raise typer.Exit(IN_THE_WAY)


@contextmanager
def _kept_where_written(folder: Path) -> Iterator[None]:
    """A folder for results, which does not stay where there are none. Raises: OSError where it can not be made."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # What is in it stays.
            folder.rmdir()
        raise


def _report(ran: Ran, wanted: Wanted, card: Card | None, seconds: Mapping[str, float]) -> Report:
    found = measured(ran, wanted)
    facts = {"made_unix": time.time(), "version": version("firstpass"), "machine": machine()}
    roofs = {}
    if card is not None:
        read = where_models_are()
        roofs = {target.name: roofline(card, ran, target.name, read) for target in ran.targets}
    return Report(facts, ran, wanted, found, list(warnings(ran, found)), roofs, seconds)


async def _measured(
    arms: Sequence[Target | Starts], load: Load, seed: int, *, a_a: bool
) -> tuple[Ran, dict[str, float]]:
    """And the seconds that engines took to start."""
    with Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("asking", total=(len(arms) + a_a) * (load.requests * load.rounds + warming(load).requests))
        async with running(arms, lambda said: bar.update(task, description=escape(said))) as started:
            bar.update(task, description="asking")
            targets = list(started.targets)
            if a_a:
                targets.insert(1, replace(targets[0], name=A_A))
            return await run(targets, load, seed, lambda: bar.advance(task)), started.seconds


def _refuse(load: Load, at_once: int | None, arms: Sequence[Target | Starts]) -> None:
    """What would else be left out without a word. Raises: BadLabels."""
    if load.replayed and load.rate is not None:
        raise BadLabels("--rate: the workload has times of its own; without at_s in its lines it has none")
    if load.is_open and at_once is not None:
        raise BadLabels("--at-once: of an open loop nobody knows how many ask at once")
    if load.speed != 1 and not load.replayed:
        raise BadLabels("--speed: there are no times to replay; the lines of a workload have at_s for that")
    if load.fresh and load.workload is None:
        raise BadLabels("--fresh: made-up words are new in any case; it is for a workload")
    for arm in arms if "ignore_eos" in load.fields else ():
        if arm.api == "anthropic" or (isinstance(arm, Starts) and arm.spec.kind == "transformers"):
            raise BadLabels(f"--ignore-eos: there is no such field in what {arm.name} speaks")


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
    old, new = compare.read_result(before, arm), compare.read_result(after, arm)
    for said in compare.unlike(old, new):
        err.print(f"[bold red]not alike: {escape(said)}[/]")
    worse = _lost(old, new)
    for one in compare.changes(old, new):
        out.print(escape(report.sentence(one)))
        worse |= compare.is_worse(one, slower)
    if worse:
        raise typer.Exit(NOT_MET)


def _lost(old: compare.Result, new: compare.Result) -> bool:
    """Whether more requests failed than chance explains; said, since those have no latency that could be longer."""
    rise = compare.lost(old, new)
    if not rise.value > 0:
        return False
    verdict = "a difference" if rise.low > 0 else "not told apart"
    sure = f"{rise.value:+.1%} ({rise.low:+.1%} to {rise.high:+.1%})"
    err.print(f"[bold red]{new.failed / new.asked:.1%} of the requests failed after, {sure}: {verdict}[/]")
    return rise.low > 0


def _arms(texts: Sequence[str], model: str, api: Api, key: str | None, config: Path | None) -> list[Target | Starts]:
    """Raises: BadLabels; BadSettings for an engine that there is not."""
    found: list[Target | Starts] = []
    for text in texts:
        match = _ARM.fullmatch(text)
        if match is None:
            raise BadLabels(f"--arm {text!r}: must be {ARM_FORMS}")
        if match["kind"] is None:
            url = match["url"].removesuffix("/v1")
            found.append(Target(match["name"], url, match["model"] or model, api, key))
        else:
            found.append(_engine(match, api, config))
    return found


def _engine(match: re.Match[str], api: Api, config: Path | None) -> Starts:
    """Of its settings the model and its kind; where llama-server is and where models lie the file of settings says."""
    settings = load_settings(config)
    ours = settings.engine
    wanted = EngineSettings.model_validate(
        {"kind": match["kind"], "model": match["where"], "canary_idle_seconds": NEVER_SECONDS}
        | {"binary": ours.binary, "models_dir": ours.models_dir}
    )
    spec = engine_spec(settings, wanted)
    name = match["name"]
    named = replace(spec, name=f"bench-{name}", served_name=spec.name, title=f"the engine of {name}")
    return Starts(name, named, api)


def _names(arms: Sequence[Target | Starts], *, a_a: bool) -> list[str]:
    """Raises: BadLabels where two are alike."""
    names = [arm.name for arm in arms]
    if a_a:
        names.insert(1, A_A)
    for name in names:
        if names.count(name) > 1:
            raise BadLabels(f"--arm {name}: given twice")
    return names


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
