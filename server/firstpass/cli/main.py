"""The command line of Firstpass: serve a model, ask it, read the record, make keys, look after the models."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from rich.markup import escape

from firstpass.cli.calibrate import calibrate
from firstpass.cli.contracts import contracts
from firstpass.cli.eval import evaluate
from firstpass.cli.index import index
from firstpass.cli.models import models
from firstpass.cli.prove import prove
from firstpass.cli.terminal import AsJson, Config, err, fail, out, print_table, table
from firstpass.errors import FirstpassError
from firstpass.exchange import Answer, Exchange, Refuse
from firstpass.policy.telling import told
from firstpass.settings import Settings, load
from firstpass.store import Store
from firstpass.store.codec import encode
from firstpass.store.keys import KeyRecord, load_pepper, mint
from firstpass.store.sqlite import SqliteStore

DEFAULT_URL = "http://127.0.0.1:8080"
ASK_SECONDS = 600.0
LIST_LIMIT = 100_000
EXCHANGE = re.compile(r"ex_[0-9a-f]{24}")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Prompt = Annotated[str | None, typer.Argument(help="The prompt; read from stdin where it is left out.")]
Contract = Annotated[str | None, typer.Option(help="Such as pr-summary: then the input is a diff.")]
Model = Annotated[str, typer.Option(help="firstpass (the cascade), local, strong or a model.")]
Egress = Annotated[str | None, typer.Option(help="The ceiling of this request: local-only or any.")]
Url = Annotated[str, typer.Option(envvar="FIRSTPASS_URL", help="The server.")]
ApiKey = Annotated[str | None, typer.Option(envvar="FIRSTPASS_API_KEY", show_envvar=True)]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
keys = typer.Typer(no_args_is_help=True, help="API keys: needed as soon as the server listens beyond loopback.")
app.add_typer(keys, name="keys")
app.add_typer(models, name="models")
app.add_typer(contracts, name="contracts")
app.command("eval")(evaluate)
app.command("calibrate")(calibrate)
app.command("index")(index)
app.command("prove")(prove)


def main() -> None:
    """The console script. Errors of ours and the system's end with a line on stderr and status 1."""
    try:
        app()
    except (FirstpassError, OSError) as error:
        fail(str(error))


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port.", min=0, max=65535)] = None,
) -> None:
    """Start the engine and the front, and serve until Ctrl-C."""
    from firstpass.app import keys_required
    from firstpass.front import front, run

    show_log()
    settings = load(config, _overridden(host, port))
    if keys_required(settings):
        _require_a_key(settings)
    run(front(settings))


def show_log() -> None:
    """The server's log on stderr, readable for people."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _overridden(host: str | None, port: int | None) -> dict[str, str]:
    environment = dict(os.environ)
    if host is not None:
        environment["FIRSTPASS_SERVER__HOST"] = host
    if port is not None:
        environment["FIRSTPASS_SERVER__PORT"] = str(port)
    return environment


def _require_a_key(settings: Settings) -> None:
    with _store(settings) as store:
        if not any(key.revoked_unix is None for key in store.list_keys()):
            fail("API keys are required here and there is none yet: make one with `firstpass keys create NAME`")


@app.command()
def ask(
    prompt: Prompt = None,
    contract: Contract = None,
    model: Model = "firstpass",
    egress: Egress = None,
    session: Annotated[str | None, typer.Option(help="A name that ties requests together.")] = None,
    repository: Annotated[str | None, typer.Option(help="The name of an index made by `firstpass index`.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Length limit of the answer.", min=1)] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Send a prompt or a diff to a running server: git diff main | firstpass ask --contract pr-summary"""
    body = _body(prompt, model, contract=contract, egress=egress, session=session, repository=repository)
    body |= {"max_tokens": max_tokens} if max_tokens else {}
    response = _post(f"{url.rstrip('/')}/v1/chat/completions", body, api_key)
    if as_json:
        typer.echo(response.text)
        raise typer.Exit(0 if response.is_success else 1)
    if not response.is_success:
        fail(_error_message(response))
    print_answer(response)


@app.command()
def explain(
    prompt: Prompt = None,
    contract: Contract = None,
    model: Model = "firstpass",
    egress: Egress = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what a running server would do with a prompt or a diff, and by which rule, without doing it.

    Given the id of a recorded exchange, say what was done and why; that needs no server.
    """
    if prompt is not None and EXCHANGE.fullmatch(prompt):
        _explain_recorded(prompt, load(config), as_json)
        return
    response = _post(f"{url.rstrip('/')}/v1/explain", _body(prompt, model, contract=contract, egress=egress), api_key)
    if not response.is_success:
        fail(_error_message(response))
    if as_json:
        typer.echo(response.text)
        return
    course = response.json()
    rule = f"by the rule {course['rule']['name']!r}" if course["rule"] else "by no rule"
    out.print(f"{escape(course['model'])} means {course['target']}, {escape(_plain(rule))}; ceiling {course['egress']}")
    for number, step in enumerate(course["steps"], start=1):
        out.print(f"{number}. {escape(_plain(step))}")


@app.command()
def label(
    exchange: Annotated[str, typer.Argument(help="The answer's exchange, as `firstpass history` lists it.")],
    verdict: Annotated[str, typer.Argument(help="accept, reject or edit.")],
    text: Annotated[str | None, typer.Option(help="How it should have been, for an edit; - reads stdin.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Tell a running server whether an answer was right: for the record, and for the gate that accepted it."""
    body = {"verdict": verdict} | ({"text": _utf8(_stdin()) if text == "-" else text} if text is not None else {})
    response = _post(f"{url.rstrip('/')}/v1/exchanges/{quote(exchange, safe='')}/label", body, api_key)
    if not response.is_success:
        fail(_error_message(response))
    err.print(f"{escape(verdict)}: {escape(exchange)}")


def _explain_recorded(exchange_id: str, settings: Settings, as_json: bool) -> None:
    with _store(settings) as store:
        exchange = store.read(exchange_id)
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    sentences = [_plain(sentence) for sentence in told(exchange)]
    if as_json:
        typer.echo(json.dumps({"exchange": exchange_id, "steps": sentences}))
        return
    for number, sentence in enumerate(sentences, start=1):
        out.print(f"{number}. {escape(sentence)}")


def _body(prompt: str | None, model: str, **options: str | None) -> dict[str, Any]:
    """A chat's body. options: of Firstpass, those that are given."""
    text = _utf8(os.fsencode(prompt)) if prompt is not None else _utf8(_stdin())
    given = {name: value for name, value in options.items() if value is not None}
    return {"model": model, "messages": [{"role": "user", "content": text}], "firstpass": given}


def _stdin() -> bytes:
    if sys.stdin is None:
        fail("there is neither a prompt nor an open stdin")
    if sys.stdin.isatty():
        err.print("reading from the terminal; end with Ctrl-D")
    return sys.stdin.buffer.read()


def _utf8(data: bytes) -> str:
    """Bytes that are no UTF-8 are replaced: a diff of a Latin-1 file is still a diff."""
    return data.decode(errors="replace")


def _plain(text: str) -> str:
    """Text of a model or a diff without the control characters that would steer a terminal."""
    return CONTROLS.sub("", text)


def _post(url: str, body: dict[str, Any], api_key: str | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        return httpx.post(url, json=body, headers=headers, timeout=ASK_SECONDS, trust_env=False)
    except (httpx.InvalidURL, UnicodeError) as error:
        fail(f"bad URL or API key: {error}")
    except httpx.HTTPError as error:
        fail(f"no answer from {url} ({error}); is the server up? Start it with `firstpass serve`")


def _error_message(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return f"{error['message']} ({response.status_code} {error['code']}, {error.get('part', 'web')})"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}: {response.text[:300]}"


def print_answer(response: httpx.Response) -> None:
    """An answer for people: the text, how it was made, what the checks found, and whether anything left the machine."""
    answer = response.json()
    out.print(_plain(answer["choices"][0]["message"]["content"] or ""), markup=False)
    how = answer.get("firstpass") or {}
    route = how.get("route") or response.headers.get("x-firstpass-route", "?")
    out.print(f"\n[dim]route[/] {route}  [dim]exchange[/] {response.headers['x-request-id']}")
    for finding in how.get("findings", ()):
        colour = "red" if finding["severity"] == "fail" else "yellow"
        out.print(f"[{colour}]{finding['check']}[/] {escape(_plain(finding['message']))}")
    if gate := how.get("gate"):
        floor = "every score" if gate["accept_from"] is None else f"from {gate['accept_from']:.3f}"
        out.print(f"[dim]gate[/] {gate['score']:.3f}, accepts {floor} ({gate['by']}); {escape(gate['gate'])}")
    if how:
        out.print(f"[dim]latency[/] {how['seconds']:.3f} s")
        out.print(f"[dim]left the machine[/] {_departed(how['receipts'])}")


def _departed(receipts: list[dict[str, Any]]) -> str:
    return ", ".join(f"{receipt['bytes']} bytes to {receipt['host']}" for receipt in receipts) or "nothing"


@app.command()
def history(
    exchange_id: Annotated[str | None, typer.Argument(help="Show this exchange whole.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the newest to list.", min=1, max=LIST_LIMIT)] = 20,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the recorded exchanges, newest first, or show one with its steps and findings."""
    with _store(load(config)) as store:
        if exchange_id is None:
            _list(store.latest(limit), as_json)
            return
        exchange = store.read(exchange_id)
    if exchange is None:
        fail(f"no exchange {exchange_id} in the record")
    _show(exchange, as_json)


def _list(exchanges: list[Exchange], as_json: bool) -> None:
    if as_json:
        typer.echo("[" + ",\n".join(encode(exchange) for exchange in exchanges) + "]")
        return
    rows = table("time", "exchange", "model", "contract", "end", "steps", "tokens", "seconds")
    for exchange in exchanges:
        tokens = sum(step.reply.usage.completion_tokens for step in exchange.steps if step.reply and step.reply.usage)
        ask_ = exchange.ask
        rows.add_row(
            _time(ask_.received_unix),
            ask_.id,
            escape(ask_.model),
            ask_.contract or "-",
            _end(exchange),
            str(len(exchange.steps)),
            str(tokens),
            f"{exchange.seconds or 0:.3f}",
        )
    print_table(rows)


def _show(exchange: Exchange, as_json: bool) -> None:
    if as_json:
        typer.echo(encode(exchange))
        return
    ask_ = exchange.ask
    out.print(f"[bold]{ask_.id}[/]  {_time(ask_.received_unix)}  {escape(ask_.model)}  contract {ask_.contract or '-'}")
    out.print(f"ceiling {ask_.ceiling}, end {_end(exchange)}, {exchange.seconds or 0:.3f} s")
    for message in ask_.messages:
        said = message.told(lambda image: f"[{image.media_type}]")
        out.print(f"\n[bold]{message.role}[/]\n{escape(_plain(said))}")
    for number, step in enumerate(exchange.steps):
        out.print(f"\n[bold]step {number}: {step.move.tier}, {step.move.purpose}[/]")
        if step.reply:
            out.print(f"[dim]{escape(str(step.reply.usage))}, {step.reply.seconds:.3f} s[/]")
            out.print(_plain(step.reply.text), markup=False)
        if step.edited is not None:
            out.print("[dim]with its edits made:[/]")
            out.print(_plain(step.edited), markup=False)
        if step.failure:
            out.print(f"[red]{step.failure.kind}[/] {escape(_plain(step.failure.message))}")
        for finding in step.findings:
            out.print(f"  {finding.severity} {finding.check}: {escape(_plain(finding.message))}")
    for receipt in exchange.receipts:
        out.print(f"\nleft the machine: {receipt.bytes} bytes to {receipt.host}, sha256 {receipt.sha256}")
    if not exchange.receipts:
        out.print("\nnothing left the machine")


def _end(exchange: Exchange) -> str:
    match exchange.ending:
        case Answer(route=route):
            return route
        case Refuse(failure=failure):
            return f"{failure.status} {failure.code}"
        case None:
            return "unended"


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")], config: Config = None, as_json: AsJson = False
) -> None:
    """Make a key. It is shown once: only a digest is kept. Two live keys for one name allow a rotation."""
    settings = load(config)
    with _store(settings) as store:
        key, record = mint(name, load_pepper(settings.server.pepper_path), time.time())
        store.add_key(record)
    if as_json:
        typer.echo(json.dumps({"id": record.id, "name": name, "key": key}))
        return
    err.print(f"key {record.id} for {escape(name)}; keep it now, it can not be shown again:")
    typer.echo(key)


@keys.command("list")
def list_keys(config: Config = None, as_json: AsJson = False) -> None:
    """The keys that were ever made, without their secrets."""
    with _store(load(config)) as store:
        records = store.list_keys()
    if as_json:
        typer.echo(json.dumps([_public(record) for record in records]))
        return
    rows = table("id", "name", "created", "revoked")
    for record in records:
        revoked = _time(record.revoked_unix) if record.revoked_unix else "-"
        rows.add_row(record.id, escape(record.name), _time(record.created_unix), revoked)
    print_table(rows)


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="The key's id.")], config: Config = None) -> None:
    """End a key at once, on every front that shares the store."""
    with _store(load(config)) as store:
        if not store.revoke_key(key, time.time()):
            fail(f"no live key {key}")
    err.print(f"revoked {key}")


def _public(record: KeyRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "digest"}


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    store = SqliteStore(settings.server.store_path)
    try:
        yield store
    finally:
        store.close()


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
