"""`firstpass calibrate`: a gate with a promise, from changes with known truth. Asks a server as a client does."""

import asyncio
import json
import time
from collections.abc import Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, get_args

import typer

from firstpass.bench.calibration import (
    Calibration,
    Draft,
    Wanted,
    calibrated,
    drafts_of,
    recorded,
    split,
    usable,
)
from firstpass.bench.cases import Case
from firstpass.bench.runner import Arm, Outcome
from firstpass.cli.eval import Commits, OptionalSources, Plan, Repos, cases_of, client_of, own_server
from firstpass.cli.terminal import AsJson, Config, err, out, print_table, table
from firstpass.contract import Shelf
from firstpass.errors import BadLabels, TierFailed
from firstpass.evidence import LanguageName, languages_in
from firstpass.exchange import Ask
from firstpass.gate.bounds import least_labels
from firstpass.gate.file import input_bytes
from firstpass.settings import Settings, load
from firstpass.store.sqlite import SqliteStore

ARM = Arm("local", "firstpass")
"""The cascade without a verifier: drafted, checked and mended here, which is what a gate judges."""


def calibrate(
    sources: OptionalSources = None,
    repo: Repos = None,
    commits: Commits = 500,
    most_bytes: Annotated[int, typer.Option(help="A longer diff is left out.", min=1)] = 8_000,
    contract: Annotated[str, typer.Option(help="Whose drafts the gate judges.")] = "pr-summary",
    language: Annotated[
        str | None, typer.Option(help="A gate for diffs of this language alone, from changes of that language.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A gate for the requests of this API key alone, by its id; label its changes.")
    ] = None,
    labels: Annotated[
        bool,
        typer.Option("--labels", help="From labels in the record here, of requests drawn at random."),
    ] = False,
    risk: Annotated[float, typer.Option(help="At most this share of all requests is accepted bad.")] = 0.02,
    confidence: Annotated[float, typer.Option(help="How sure that is.")] = 0.95,
    fit: Annotated[
        list[str] | None, typer.Option(help="A repository for the score; the others are for the threshold; repeatable.")
    ] = None,
    gate_file: Annotated[Path, typer.Option("--out", help="The gate's file.", dir_okay=False)] = Path("gate.json"),
    at_once: Annotated[int, typer.Option(help="Requests in flight.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Of the choice, the order and the split.")] = 1,
    url: Annotated[
        str | None, typer.Option(envvar="FIRSTPASS_URL", help="A server with policy.signals; else one of its own.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="FIRSTPASS_API_KEY", show_envvar=True)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Fit a score on some repositories, find on others the threshold that keeps a promise, and write both to a file.

    The drafts are made, checked and mended on this machine; no verifier is asked. Put the file under policy.gates. With
    --labels they are those of the record that somebody labelled: the promise is about requests like these, so which
    ones were labelled must not depend on how their answers look.
    """
    for name, share in (("--risk", risk), ("--confidence", confidence)):
        if not 0 < share < 1:
            raise BadLabels(f"{name}: must be above 0 and below 1, not {share:g}")
    if labels == bool(sources):
        raise BadLabels("give changes to ask about, or --labels, and not both")
    if labels:
        drafts, pinned, model, most_bytes = _of_record(load(config), contract, _checked_language(language), key)
    else:
        cases = _of_language(language, cases_of(sources or [], repo or [], commits, most_bytes, seed)[0])
        _enough(split(cases, fit or [], seed)[1], risk, confidence)
        with _server(url, config) as where:
            plan = Plan(client_of(where, api_key, at_once), contract, {"egress": "local-only"}, [ARM], optional=False)
            _, outcomes, pinned = asyncio.run(plan.measured(cases, seed, at_once))
        drafts, model = drafts_of(cases, outcomes), _model(outcomes)
    made = time.time(), version("firstpass")
    wanted = Wanted(pinned, model, risk, confidence, most_bytes, *made, language, key)
    _enough(split(drafts, fit or [], seed)[1], risk, confidence)
    found = calibrated(drafts, fit or [], wanted, seed)
    gate_file.write_text(found.gate.text(), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({"gate": found.gate.name, "file": str(gate_file), **asdict(found)}))
    else:
        _show(found, gate_file)


def _enough(calibrating: Sequence[object], risk: float, confidence: float) -> None:
    """Raises: BadLabels."""
    if len(calibrating) < (needed := least_labels(risk, confidence)):
        there = f"there are {len(calibrating)} beside those for the score"
        raise BadLabels(f"a risk of {risk:g} at {confidence:g} confidence needs {needed} labelled drafts; {there}")


def _of_record(
    settings: Settings, contract: str, language: str | None, key: str | None
) -> tuple[list[Draft], str, str, int]:
    """(drafts, the pinned contract, the model, the largest input's bytes). Raises: BadLabels, NotFound, StoreFailed."""
    pinned = Shelf.of(settings.server.contracts_dir).find(contract).pinned

    def suits(ask: Ask) -> bool:
        text = "\n".join(message.content for message in ask.messages)
        return key in (None, ask.key) and (language is None or languages_in(text) == {language})

    auditors = settings.policy.auditors
    store = SqliteStore(settings.server.store_path)
    try:
        said = [pair for pair in store.labelled("user") if not auditors or pair[1].key in auditors]
        pairs = usable([*store.labelled("eval"), *said], pinned, suits)
    finally:
        store.close()
    if not pairs:
        raise BadLabels(f"the record has no labelled drafts of {pinned} like these, with signals and without a gate")
    models = {exchange.steps[0].reply.model for exchange, _ in pairs if exchange.steps[0].reply}
    largest = max(input_bytes(exchange.ask) for exchange, _ in pairs)
    return [recorded(exchange, label) for exchange, label in pairs], pinned, _one(models), largest


def _checked_language(language: str | None) -> str | None:
    """Raises: BadLabels."""
    if language is not None and language not in get_args(LanguageName):
        raise BadLabels(f"--language: must be one of {', '.join(get_args(LanguageName))}, not {language[:40]!r}")
    return language


def _of_language(language: str | None, cases: Sequence[Case]) -> Sequence[Case]:
    """Raises: BadLabels."""
    if _checked_language(language) is None:
        return cases
    of_it = [case for case in cases if languages_in(case.diff) == {language}]
    if not of_it:
        raise BadLabels(f"--language {language}: none of the {len(cases)} changes is of this language alone")
    return of_it


def _server(url: str | None, config: Path | None) -> AbstractContextManager[str]:
    """Its own one records signals, has no gate and no verifier."""
    if url is not None:
        return nullcontext(url)
    settings = load(config)
    policy = settings.policy.model_copy(update={"signals": True, "gates": (), "rules": ()})
    alone: dict[str, object] = {"policy": policy, "verifier": None, "verifiers": {}, "aliases": {}}
    return own_server(settings.model_copy(update=alone))


def _model(outcomes: Sequence[Outcome]) -> str:
    """That all drafts are of. Raises: TierFailed, BadLabels."""
    models = {outcome.models[0] for outcome in outcomes if outcome.models}
    if not models:
        raise TierFailed(f"no request was answered: {outcomes[0].error}")
    return _one(models)


def _one(models: Set[str]) -> str:
    """Raises: BadLabels."""
    if len(models) > 1:
        raise BadLabels(f"a gate is for the drafts of one model; these are of {', '.join(sorted(models))}")
    return next(iter(models))


def _show(found: Calibration, gate_file: Path) -> None:
    gate = found.gate
    promise = gate.promise
    rows = table("", "AUROC")
    for name, value in found.aurocs.items():
        rows.add_row(name, "-" if value is None else f"{value:.3f}")
    print_table(rows)
    for what, on in (("fitted on", gate.fitted_on), ("calibrated on", gate.calibrated_on)):
        out.print(f"{what} {sum(on.values())} drafts of {', '.join(sorted(on))}")
    accepts = "all that pass the checks" if gate.accept_from is None else f"scores from {gate.accept_from:.4f}"
    if whose := [f"{what} {value}" for what, value in (("language", gate.language), ("key", gate.key)) if value]:
        out.print(f"for requests of the {' and the '.join(whose)} alone")
    out.print(
        f"{found.bad} of {promise.labels} are wrong; accepted are {accepts}: {promise.coverage:.1%} of all requests"
    )
    out.print(
        f"promise: with {promise.confidence:.0%} confidence at most {promise.risk:.1%} of all requests are accepted and"
        f" wrong ({promise.failures} of {promise.labels} were, so at most {promise.upper:.2%})"
    )
    if promise.accepted_risk is not None:
        among = f"of the accepted answers at most {promise.accepted_risk:.1%} are wrong"
        out.print(f"with {promise.accepted_confidence:.0%} confidence {among}")
    err.print(f"written to {gate_file} as {gate.name}")
