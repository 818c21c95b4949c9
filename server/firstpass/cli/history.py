"""`firstpass history`: the recorded exchanges, read from the store; needs no server."""

import json
from typing import Annotated

import typer
from rich.markup import escape

from firstpass.cli.keys import opened
from firstpass.cli.terminal import AsJson, Config, err, fail, moment, out, plain, print_table, table
from firstpass.conversation import end
from firstpass.exchange import Exchange, Route
from firstpass.settings import load
from firstpass.store import Damaged, Store
from firstpass.store.codec import encode
from firstpass.store.query import Query

LIST_LIMIT = 100_000
SEARCH = 'Those with all of these words, "several in a row" in quotes.'


def history(
    exchange_id: Annotated[str | None, typer.Argument(help="Show this exchange whole.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest to list.", min=1, max=LIST_LIMIT)] = 20,
    search: Annotated[str | None, typer.Option(help=SEARCH)] = None,
    session: Annotated[str | None, typer.Option(help="Those of this session.")] = None,
    route: Annotated[Route | None, typer.Option(help="Those that were answered so.")] = None,
    model: Annotated[str | None, typer.Option(help="Those that asked for this model.")] = None,
    contract: Annotated[str | None, typer.Option(help="Those under it, with its version or without.")] = None,
    status: Annotated[int | None, typer.Option(help="200 for those that were answered.")] = None,
    before: Annotated[str | None, typer.Option(help="Those that are older than this exchange.")] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="The settings that were in use, in their place.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the recorded exchanges, newest first, or show one with its steps and findings.

    With --settings, list the settings that servers of this record had, or show those that one exchange ran under.
    """
    with opened(load(config)) as store:
        if settings:
            _settings(store, exchange_id, as_json)
            return
        if exchange_id is None:
            wanted = Query(limit, before, None, search, session, route, model, contract, status)
            _list(store.latest(limit) if wanted == Query(limit) else list(store.browse(wanted)), as_json)
            return
        exchange = store.read(exchange_id)
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    _show(exchange, as_json)


def _settings(store: Store, exchange_id: str | None, as_json: bool) -> None:
    if exchange_id is None:
        held = store.settings()
        if as_json:
            typer.echo(json.dumps([{"digest": one.digest, "first_unix": one.first_unix} for one in held]))
            return
        rows = table("digest", "first in use")
        for one in held:
            rows.add_row(one.digest, moment(one.first_unix))
        print_table(rows)
        return
    exchange = store.read(exchange_id)
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    found = store.settings(exchange.ask.settings) if exchange.ask.settings else []
    if not found:
        fail(f"the record does not say under which settings {exchange_id} ran")
    typer.echo(found[0].told if as_json else json.dumps(json.loads(found[0].told), indent=2, ensure_ascii=False))


def _list(exchanges: list[Exchange | Damaged], as_json: bool) -> None:
    damaged = [exchange for exchange in exchanges if isinstance(exchange, Damaged)]
    for each in damaged:
        err.print(f"[red]damaged:[/] {escape(plain(each.id))}: {escape(plain(each.why))}")
    if as_json:
        typer.echo("[" + ",\n".join(line(exchange) for exchange in exchanges) + "]")
        return
    rows = table("time", "exchange", "model", "contract", "end", "steps", "tokens", "seconds")
    for exchange in exchanges:
        if isinstance(exchange, Damaged):
            rows.add_row("-", escape(plain(exchange.id)), "-", "-", "damaged", "-", "-", "-")
            continue
        _, tokens = exchange.tokens
        ask_ = exchange.ask
        rows.add_row(
            moment(ask_.received_unix),
            ask_.id,
            escape(ask_.model),
            ask_.contract or "-",
            end(exchange),
            str(len(exchange.steps)),
            str(tokens),
            f"{exchange.seconds or 0:.3f}",
        )
    print_table(rows)


def line(exchange: Exchange | Damaged) -> str:
    if isinstance(exchange, Damaged):
        return json.dumps({"damaged": exchange.why, "ask": {"id": exchange.id}})
    return encode(exchange)


def _show(exchange: Exchange, as_json: bool) -> None:
    if as_json:
        typer.echo(encode(exchange))
        return
    ask_, received = exchange.ask, moment(exchange.ask.received_unix)
    out.print(f"[bold]{ask_.id}[/]  {received}  {escape(ask_.model)}  contract {ask_.contract or '-'}")
    out.print(f"ceiling {ask_.ceiling}, end {end(exchange)}, {exchange.seconds or 0:.3f} s")
    if ask_.settings:
        out.print(f"settings {ask_.settings}{f', engine {ask_.engine}' if ask_.engine else ''}")
    if ask_.experiment:
        shadows = f", a shadow of {ask_.shadows}" if ask_.shadows else ""
        out.print(f"experiment {ask_.experiment}, arm {ask_.arm}{shadows}")
    for message in ask_.messages:
        said = message.told(lambda image: f"[{image.media_type}]")
        out.print(f"\n[bold]{message.role}[/]\n{escape(plain(said))}")
    for number, step in enumerate(exchange.steps):
        out.print(f"\n[bold]step {number}: {step.move.tier}, {step.move.purpose}[/]")
        if step.reply:
            out.print(f"[dim]{escape(str(step.reply.usage))}, {step.reply.seconds:.3f} s[/]")
            out.print(plain(step.reply.text), markup=False)
        if step.edited is not None:
            out.print("[dim]with its edits made:[/]")
            out.print(plain(step.edited), markup=False)
        if step.failure:
            out.print(f"[red]{step.failure.kind}[/] {escape(plain(step.failure.message))}")
        for finding in step.findings:
            out.print(f"  {finding.severity} {finding.check}: {escape(plain(finding.message))}")
    for receipt in exchange.receipts:
        where = "" if receipt.number is None else f", entry {receipt.number} of the log"
        out.print(f"\nleft the machine: {receipt.bytes} bytes to {receipt.host}, sha256 {receipt.sha256}{where}")
    if not exchange.receipts:
        out.print("\nnothing left the machine")
