"""`firstpass keys`: make, list, rotate and revoke API keys. A server that runs follows at once."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from firstpass.cli.terminal import AsJson, Config, err, fail, moment, plain, print_table, table
from firstpass.exchange import Ceiling
from firstpass.settings import Settings, load
from firstpass.store import Damaged, Store, whole_keys
from firstpass.store.keys import KeyRecord, load_pepper, mint, mint_after
from firstpass.store.scopes import Scopes, Spend, day_of
from firstpass.store.sqlite import SqliteStore
from firstpass.web.scopes import GROUPS

SECONDS: Mapping[str, int] = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = re.compile(r"([0-9]{1,5})([mhdw])")
SPEND = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(?:/(day|month))?")

KeyId = Annotated[str, typer.Argument(help="The key's id.")]
Routes = Annotated[
    list[str] | None, typer.Option("--routes", help=f"Only these, with commas between, of {', '.join(GROUPS)}.")
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Only models of this name, with * for any text; may be repeated.")
]
CeilingOption = Annotated[Ceiling, typer.Option(help="Of its requests; the strictest of all ceilings holds.")]
Rate = Annotated[int | None, typer.Option(help="Requests a minute.", min=1)]
TokenRate = Annotated[int | None, typer.Option(help="Tokens a minute, read and written.", min=1)]
SpendOption = Annotated[str | None, typer.Option(help="US dollars at the verifier: 5/day, 100/month.")]
Record = Annotated[
    Literal["own", "all"], typer.Option(help="Which exchanges it may see and have forgotten: its own, or everybody's.")
]
Expires = Annotated[str | None, typer.Option(help="When it ends: 90d, 12h, or a date as 2027-01-31.")]
NotBefore = Annotated[str | None, typer.Option(help="When it begins, said likewise.")]

keys = typer.Typer(no_args_is_help=True, help="API keys: needed as soon as the server listens beyond loopback.")


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    routes: Routes = None,
    model: Models = None,
    ceiling: CeilingOption = "any",
    rate: Rate = None,
    token_rate: TokenRate = None,
    spend: SpendOption = None,
    expires: Expires = None,
    not_before: NotBefore = None,
    record: Record = "own",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, which may do everything but what the options leave out. It is shown once: only a digest is kept."""
    settings, now = load(config), time.time()
    limits = (ceiling, rate, token_rate, _spend(spend, settings))
    scopes = Scopes(_routes(routes), tuple(model or ()), *limits, record=record)
    begins, ends = (_when(option, now) if option else None for option in (not_before, expires))
    if ends is not None and ends <= max(now, begins or now):
        fail("the key would end before it begins")
    with opened(settings) as store:
        pepper = load_pepper(settings.server.pepper_path)
        key, made = mint(name, pepper, now, scopes, not_before_unix=begins, expires_unix=ends)
        store.add_key(made)
    _show_once(key, made, as_json)


def _show_once(key: str, record: KeyRecord, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_public(record) | {"key": key}))
        return
    ends = f", ends {moment(record.expires_unix)}" if record.expires_unix else ""
    err.print(f"key {record.id} for {escape(record.name)}{ends}; keep it now, it can not be shown again:")
    typer.echo(key)


@keys.command("list")
def list_keys(config: Config = None, as_json: AsJson = False) -> None:
    """The keys that were ever made, without their secrets, and what each may do."""
    now = time.time()
    with opened(load(config)) as store:
        listed = store.list_keys()
        records, damaged = whole_keys(listed), [key for key in listed if isinstance(key, Damaged)]
        spent = {record.id: _spent(store, record, now) for record in records}
    if as_json:
        whole = [_public(record) | {"spent_usd": spent[record.id]} for record in records]
        typer.echo(json.dumps([*whole, *({"id": key.id, "damaged": key.why} for key in damaged)]))
        return
    rows = table("id", "name", "owner", "created", "state", "may", "spent")
    for record in records:
        made, name = moment(record.created_unix), escape(record.name)
        said = (_state(record, now), escape(_may(record.scopes)), f"${spent[record.id]:.4f}")
        rows.add_row(record.id, name, record.owner, made, *said)
    for key in damaged:
        rows.add_row(escape(plain(key.id)), "-", "-", "-", "damaged", "-", "-")
    print_table(rows)


@keys.command("revoke")
def revoke_key(key: KeyId, config: Config = None) -> None:
    """End a key at once, on every front that shares the store."""
    with opened(load(config)) as store:
        if not store.revoke_key(key, time.time()):
            fail(f"no live key {key}")
    err.print(f"revoked {key}")


@keys.command("rotate")
def rotate_key(
    key: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old one goes on: 7d, 12h, 0m.")] = "7d",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a second key that may do the same, and let the old one end after a grace. Both count as one owner's."""
    settings, now = load(config), time.time()
    with opened(settings) as store:
        old = store.find_key(key)
        if old is None or not old.live(now):
            fail(f"no live key {key}")
        if after := [one.id for one in whole_keys(store.list_keys()) if _follows(one, old, now)]:
            fail(f"key {key} was rotated already: rotate {after[-1]}, which took its place")
        made, record = mint_after(old, load_pepper(settings.server.pepper_path), now)
        ends = now + seconds_of(grace)
        store.rotate_key(old.id, record, ends)
    out_of_use = min(ends, old.expires_unix or ends)
    err.print(f"key {old.id} ends {moment(out_of_use)}")
    _show_once(made, record, as_json)


def _follows(key: KeyRecord, old: KeyRecord, now_unix: float) -> bool:
    return key.owner == old.owner and key.live(now_unix) and key.created_unix > old.created_unix


def require_a_key(settings: Settings) -> None:
    """Before a server starts that answers nobody without one."""
    with opened(settings) as store:
        if not any(key.live(time.time()) for key in whole_keys(store.list_keys())):
            fail("API keys are required here and there is no live one: make one with `firstpass keys create NAME`")


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    store = SqliteStore(settings.server.store_path)
    try:
        yield store
    finally:
        store.close()


def _routes(named: list[str] | None) -> tuple[str, ...]:
    routes = tuple(route.strip() for text in named or () for route in text.split(",") if route.strip())
    if unknown := [route for route in routes if route not in GROUPS]:
        fail(f"--routes: there is no {unknown[0]!r}, only {', '.join(GROUPS)}")
    return routes


def _spend(said: str | None, settings: Settings) -> Spend | None:
    if said is None:
        return None
    found = SPEND.fullmatch(said)
    if found is None or float(found[1]) == 0:
        fail(f"--spend: {said!r} is no amount of US dollars, such as 5/day or 100/month")
    if not settings.priced:
        fail("--spend: a cap needs verifier.usd_per_million_input_tokens and ..._output_tokens in the settings")
    return Spend(float(found[1]), "month" if found[2] == "month" else "day")


def seconds_of(said: str) -> int:
    """Of a time such as 90d, 12h or 30m. What is none ends the command."""
    found = DURATION.fullmatch(said)
    if found is None:
        fail(f"{said!r} is no time, such as 90d, 12h or 30m")
    return int(found[1]) * SECONDS[found[2]]


def _when(said: str, now_unix: float) -> float:
    """A time from now, or the beginning of a day of UTC."""
    try:
        return datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return now_unix + seconds_of(said)


def _spent(store: Store, record: KeyRecord, now_unix: float) -> float:
    """In US dollars, in the cap's period or today; with what is reserved for requests that are running."""
    spend, today = record.scopes.spend, day_of(now_unix)
    return store.spent(record.owner, spend.since(today) if spend else today)


def _state(record: KeyRecord, now_unix: float) -> str:
    if record.revoked_unix is not None:
        return f"revoked {moment(record.revoked_unix)}"
    if record.not_before_unix is not None and record.not_before_unix > now_unix:
        return f"from {moment(record.not_before_unix)}"
    if record.expires_unix is None:
        return "live"
    return f"{'until' if record.expires_unix > now_unix else 'expired'} {moment(record.expires_unix)}"


def _may(scopes: Scopes) -> str:
    spend = f"${scopes.spend.usd:g}/{scopes.spend.per}" if scopes.spend else ""
    rates = (f"{number} {unit}/min" if number else "" for number, unit in _rates(scopes))
    named = (",".join(scopes.routes), ",".join(scopes.models), "" if scopes.ceiling == "any" else scopes.ceiling)
    record = "everybody's record" if scopes.record == "all" else ""
    return "; ".join(filter(None, (*named, *rates, spend))) or "everything" + (f"; {record}" if record else "")


def _rates(scopes: Scopes) -> tuple[tuple[int | None, str], ...]:
    return (scopes.requests, "requests"), (scopes.tokens, "tokens")


def _public(record: KeyRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "digest"}
