"""`firstpass sessions`: conversations of the record, read from the store; needs no server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from firstpass.cli.history import line
from firstpass.cli.keys import opened
from firstpass.cli.terminal import AsJson, Config, err, fail, moment, out, plain, print_table, table, write_files
from firstpass.conversation import Turn, end, title, turns
from firstpass.errors import StoreFailed
from firstpass.exchange import Exchange
from firstpass.settings import load
from firstpass.store import Damaged, Store
from firstpass.store.query import Query, Session

Name = Annotated[str, typer.Argument(help="The session's name.")]
Key = Annotated[str | None, typer.Option(help="The key's owner whose it is, where several have one; - for none.")]

sessions = typer.Typer(no_args_is_help=True, help="Conversations of the record: list, show, export and forget them.")


@sessions.command("list")
def list_sessions(
    search: Annotated[str | None, typer.Option(help="Those in which these words were said.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the last used.", min=1, max=10_000)] = 20,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the sessions of the record, the last used first."""
    with opened(load(config)) as store:
        found = list(store.sessions(Query(limit=limit, words=search)))
    if as_json:
        typer.echo(json.dumps([_outline(session) for session in found], ensure_ascii=False))
        return
    rows = table("last used", "session", "key", "exchanges", "begins with")
    for session in found:
        used = moment(session.latest.ask.received_unix) if session.latest else "-"
        begins = escape(plain(title(session.first))) if session.first else "-"
        rows.add_row(used, escape(plain(session.name)), session.owner or "-", str(session.exchanges), begins)
    print_table(rows)


@sessions.command("show")
def show_session(name: Name, key: Key = None, config: Config = None) -> None:
    """Print a session as a conversation, oldest first, each turn with the exchange that has it."""
    with opened(load(config)) as store:
        for exchange in _exchanges(store, _session(store, name, key)):
            if isinstance(exchange, Damaged):
                err.print(f"[red]damaged:[/] {escape(plain(exchange.id))}: {escape(plain(exchange.why))}")
                continue
            about = f"{exchange.ask.id}, {moment(exchange.ask.received_unix)}"
            for turn in turns(exchange):
                out.print(f"\n[bold]{turn.role}[/] [dim]{escape(plain(f'{about}{_by(turn, exchange)}'))}[/]")
                out.print(plain(turn.text), markup=False)
                for call in turn.calls:
                    out.print(plain(f"{call.name}({call.given})"), markup=False)


@sessions.command("export")
def export_session(
    name: Name,
    form: Annotated[
        Literal["jsonl", "markdown"],
        typer.Option("--format", help="jsonl: whole exchanges, a line each, as `firstpass replay --file` reads them."),
    ] = "jsonl",
    to: Annotated[Path | None, typer.Option("--out", help="The file; else the terminal.", dir_okay=False)] = None,
    key: Key = None,
    config: Config = None,
) -> None:
    """Write a session down, for people or for other programs."""
    with opened(load(config)) as store:
        exchanges = _exchanges(store, _session(store, name, key))
        lines = (line(exchange) for exchange in exchanges) if form == "jsonl" else _markdown(name, exchanges)
        text = "".join(f"{one}\n" for one in lines)
    if to is None:
        typer.echo(text, nl=False)
    else:
        write_files(to.parent, {to.name: text})


@sessions.command("forget")
def forget_session(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    key: Key = None,
    config: Config = None,
) -> None:
    """Delete the words of all its exchanges for good; counts and times stay."""
    with opened(load(config)) as store:
        session = _session(store, name, key)
        if not yes:
            typer.confirm(f"Forget the words of {session.exchanges} exchanges?", abort=True)
        count = store.forget_session(session.owner, session.name)
    err.print(f"forgotten: {count} exchanges")


def _outline(session: Session) -> dict[str, Any]:
    ends = {"first": session.first, "latest": session.latest}
    said = {"session": session.name, "key": session.owner, "exchanges": session.exchanges}
    return said | {name: exchange.ask.id if exchange else None for name, exchange in ends.items()}


def _session(store: Store, name: str, key: str | None) -> Session:
    owners = None if key is None else (None if key == "-" else key,)
    found = list(store.sessions(Query(limit=2, session=name, owners=owners)))
    if not found:
        fail(f"no session {name} in the record")
    if len(found) > 1:
        fail(f"several keys have a session {name}: say whose with --key, as `firstpass sessions list` has it")
    return found[0]


def _exchanges(store: Store, session: Session) -> Iterator[Exchange | Damaged]:
    """Oldest first."""
    for exchange_id in store.session_ids(session.owner, session.name):
        try:
            exchange = store.read(exchange_id)
        except StoreFailed as error:
            yield Damaged(exchange_id, str(error))
        else:
            if exchange is not None:
                yield exchange


def _markdown(name: str, exchanges: Iterator[Exchange | Damaged]) -> Iterator[str]:
    yield f"# {plain(name)}"
    for exchange in exchanges:
        if isinstance(exchange, Damaged):
            yield f"\n## damaged: `{exchange.id}`\n\n{exchange.why}"
            continue
        for turn in turns(exchange):
            calls = [f"`{call.name}({call.given})`" for call in turn.calls]
            said = "\n\n".join(filter(None, (turn.text, *calls)))
            yield f"\n## {turn.role}{_by(turn, exchange)}, `{exchange.ask.id}`\n\n{said}"


def _by(turn: Turn, exchange: Exchange) -> str:
    return f", {exchange.ask.model}, {end(exchange)}" if turn.role == "assistant" else ""
